// Random schemas and documents: every verdict as that of an independent validator, PyPI jsonschema-rs. SETGET_SCHEMA_RANDOM=N: N schemas
// with twelve documents each (the long form: 20000); SETGET_SCHEMA_SEED chooses others.
#include <chrono>
#include <cstdio>
#include <memory>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <setget/json_schema.hpp>

#include "schema/fetched.hpp"

namespace {

using namespace setget::json_schema;

std::string environment(const char* name, const char* otherwise) {
  const auto* value = std::getenv(name);
  return value && *value ? value : otherwise;
}

TEST(JsonSchemaRandom, has_the_verdicts_of_an_independent_validator) {
  SETGET_FETCH(folder, "peer");
  const auto command = "python3 '" SETGET_SCHEMA_TESTS "/peer_random.py' '" + *folder + "/python' " +
                       environment("SETGET_SCHEMA_SEED", "1") + " " + environment("SETGET_SCHEMA_RANDOM", "4000");
  struct Close {
    void operator()(std::FILE* file) const { pclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> pipe(popen(command.c_str(), "r"));
  ASSERT_TRUE(pipe);
  std::size_t pairs = 0;
  std::size_t valid = 0;
  std::size_t wrong = 0;
  char* line = nullptr;
  std::size_t capacity = 0;
  while (getline(&line, &capacity, pipe.get()) > 0) {
    const auto one = nlohmann::json::parse(line);
    const auto schema = one.at("schema").get<std::string>();
    const auto verdicts = one.at("verdicts").get<std::string>();
    const auto validator = Validator::compile(schema, {.default_draft = parse_draft(one.at("draft").get<std::string>()).value(),
                                                       .assert_formats = one.at("formats").get<bool>()});
    if (!validator) {
      // Refused on purpose: see docs/json-schema.md.
      EXPECT_NE(validator.error().message().find("reference loop"), std::string::npos) << schema << ": " << validator.error().describe();
      continue;
    }
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
      const auto document = one.at("documents").at(i).get<std::string>();
      const auto ours = validator->is_valid(document);
      const auto report = validator->validate(document);
      setget::json_schema::Document parsed;
      ASSERT_TRUE(parsed.parse(document));
      const auto counted = validator->validate(parsed);
      ASSERT_EQ(static_cast<bool>(counted), static_cast<bool>(report)) << schema << " on " << document;
      if (report) {
        EXPECT_EQ(counted->violations.size(), report->violations.size()) << schema << " on " << document;
        EXPECT_EQ(counted->detailed(), report->detailed()) << schema << " on " << document;
      }
      if (!ours) {
        EXPECT_EQ(ours.error().code(), setget::ErrorCode::kTooLarge) << schema << " on " << document << ": " << ours.error().describe();
        continue;
      }
      ++pairs;
      valid += *ours ? 1 : 0;
      const bool same = *ours == (verdicts[i] == '1') && report && report->valid == *ours;
      if (same || ++wrong > 10) continue;
      ADD_FAILURE() << one.at("draft") << " " << schema << " on " << document << ": we say " << *ours << ", the report "
                    << (report ? report->basic() : report.error().describe()) << ", the other " << verdicts[i];
    }
  }
  std::free(line);
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(pairs, 1000U);
  EXPECT_GT(valid, pairs / 10);
  EXPECT_LT(valid, pairs - pairs / 10);
  std::printf("%zu pairs, %zu of them valid\n", pairs, valid);
}

}  // namespace
