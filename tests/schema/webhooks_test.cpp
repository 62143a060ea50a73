// GitHub's 329 payloads against their own schema: every verdict as ajv's, formats off and on.
#include <array>
#include <cstdio>
#include <memory>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <setget/json_schema_nlohmann.hpp>

#include "schema/fetched.hpp"
#include "schema/suite.hpp"

namespace {

using namespace setget::json_schema;

std::string output_of(const std::string& command) {
  struct Close {
    void operator()(std::FILE* file) const { pclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> pipe(popen(command.c_str(), "r"));
  std::string out;
  std::array<char, 4096> part{};
  while (pipe) {
    const auto size = std::fread(part.data(), 1, part.size(), pipe.get());
    if (size == 0) break;
    out.append(part.data(), size);
  }
  return out;
}

class Webhooks : public testing::TestWithParam<bool> {};

TEST_P(Webhooks, have_the_verdicts_of_ajv) {
  SETGET_FETCH(folder, "webhooks");
  const auto modules = *folder + "/npm/node_modules";
  const auto schema = schema_test::read_file(modules + "/@octokit/webhooks-schemas/schema.json");
  const auto examples = nlohmann::json::parse(schema_test::read_file(modules + "/@octokit/webhooks-examples/api.github.com/index.json"));
  const auto validator = Validator::compile(schema, {.assert_formats = GetParam()});
  ASSERT_TRUE(validator) << validator.error().describe();
  const auto verdicts = output_of("cd '" + *folder + "/npm' && cp '" SETGET_SCHEMA_TESTS "/peer_ajv.mjs' . && node peer_ajv.mjs " +
                                  (GetParam() ? "formats" : "plain"));
  std::size_t at = 0;
  std::size_t valid = 0;
  for (const auto& event : examples) {
    for (const auto& example : event.at("examples")) {
      ASSERT_LT(at, verdicts.size()) << "ajv did not answer for all";
      const auto ours = validator->is_valid(example.dump());
      ASSERT_TRUE(ours) << ours.error().describe();
      const auto report = validator->validate(example.dump());
      ASSERT_TRUE(report);
      EXPECT_EQ(*ours, verdicts[at] == '1') << event.at("name") << " number " << at << (report->valid ? "" : ": " + report->basic());
      EXPECT_EQ(report->valid, *ours);
      const auto from_tree = is_valid(*validator, example);
      ASSERT_TRUE(from_tree);
      EXPECT_EQ(*from_tree, *ours);
      valid += *ours ? 1 : 0;
      ++at;
    }
  }
  EXPECT_EQ(at, 329U);
  std::printf("%zu of %zu valid\n", valid, at);
}

INSTANTIATE_TEST_SUITE_P(Formats, Webhooks, testing::Bool(), [](const auto& one) { return one.param ? "on" : "off"; });

}  // namespace
