// The official suite in two of its states: every required case of every draft; of the optional ones all but the list in
// optional_exceptions.txt.
#include <fstream>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "schema/fetched.hpp"
#include "schema/suite.hpp"

namespace {

using namespace setget::json_schema;

// Lines "name of the case # reason".
std::set<std::string> exceptions() {
  std::ifstream in(std::string(SETGET_SCHEMA_TESTS) + "/optional_exceptions.txt");
  std::set<std::string> out;
  for (std::string line; std::getline(in, line);) {
    const auto end = line.find(" # ");
    if (!line.empty() && line[0] != '#') out.insert(line.substr(0, end));
  }
  return out;
}

// As tests/schema/fetch names them.
struct Copy {
  const char* what;
  const char* folder;
};
constexpr Copy kOf2025{.what = "suite", .folder = "suite"};
constexpr Copy kOf2026{.what = "newer", .folder = "newer"};

class Suite : public testing::TestWithParam<std::tuple<Copy, Draft>> {};

TEST_P(Suite, holds_but_for_the_listed_optional_cases) {
  const auto [copy, draft] = GetParam();
  SETGET_FETCH(folder, copy.what);
  const auto suite = *folder + "/" + copy.folder;
  const auto listed = exceptions();
  std::size_t required = 0;
  std::size_t optional = 0;
  std::string schema;
  std::optional<setget::Result<Validator>> validator;
  std::string file;
  for (const auto& one : schema_test::read_cases(suite, draft)) {
    if (one.schema != schema || one.file != file) {
      validator = Validator::compile(one.schema, schema_test::options_for(suite, draft, one.file));
      schema = one.schema;
      file = one.file;
    }
    const bool is_optional = one.file.find("optional/") != std::string::npos;
    ++(is_optional ? optional : required);
    const auto wrong = *validator ? schema_test::run_case(**validator, one) : "does not compile: " + validator->error().describe();
    if (is_optional && listed.contains(std::string(copy.what) + " | " + one.name())) {
      EXPECT_FALSE(wrong.empty()) << one.name() << " is listed as an exception, but holds";
    } else {
      EXPECT_TRUE(wrong.empty()) << one.name() << ": " << wrong;
    }
  }
  EXPECT_GT(required, 500U);
  EXPECT_GT(optional, 200U);
  std::printf("%s: %zu required and %zu optional cases\n", std::string(to_string(draft)).c_str(), required, optional);
}

INSTANTIATE_TEST_SUITE_P(Drafts, Suite,
                         testing::Combine(testing::Values(kOf2025, kOf2026), testing::Values(Draft::kDraft4, Draft::kDraft6, Draft::kDraft7,
                                                                                             Draft::kDraft201909, Draft::kDraft202012)),
                         [](const auto& one) {
                           auto name = std::string(std::get<0>(one.param).what) + "_" + std::string(to_string(std::get<1>(one.param)));
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
