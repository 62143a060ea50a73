// The compliance cases of two other implementations, every one of them, and what the two suites do not have in common.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <setget/jmespath.hpp>

#include "support/cases.hpp"

namespace {

using namespace setget;
using Ordered = nlohmann::ordered_json;

struct Case {
  std::string file;
  std::string given;
  std::string expression;
  std::optional<std::string> error;
  std::optional<Ordered> result;  // neither: to be timed only
};

std::vector<Case> read_cases(const std::filesystem::path& folder) {
  std::vector<Case> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    for (const auto& suite : Ordered::parse(std::ifstream(entry.path()))) {
      const std::string given = suite.at("given").dump();
      for (const auto& one : suite.at("cases")) {
        Case made{entry.path().filename().string(), given, one.at("expression"), {}, {}};
        if (one.contains("error")) made.error = one.at("error").get<std::string>();
        if (one.contains("result")) made.result = one.at("result");
        out.push_back(std::move(made));
      }
    }
  }
  return out;
}

// "error: KIND", or the value as JSON.
std::string run(const Case& one) {
  const auto expression = jmespath::Expression::compile(one.expression);
  if (!expression) return "error: " + expression.error().reasons().at(0).code;
  const auto document = jmespath::Document::parse_borrowed(one.given).value();
  jmespath::Workspace workspace;
  const auto value = expression->evaluate(document, workspace);
  return value ? value->json().value() : "error: " + value.error().reasons().at(0).code;
}

bool same_json(const std::string& text, const Ordered& wanted) {
  return nlohmann::json::parse(text, nullptr, false) == nlohmann::json::parse(wanted.dump());
}

std::string verdict(const Case& one) {
  return one.error ? "error: " + *one.error : one.result ? nlohmann::json::parse(one.result->dump()).dump() : "";
}

class JmespathCompliance : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = test_cases::fetch_cases("jmespath");
    SETGET_NEEDS_CASES(folder, "jmespath");
    crate_ = read_cases(folder / "crate");
    go_ = read_cases(folder / "go");
    std::ifstream file(std::filesystem::path(SETGET_TEST_SOURCE_DIR) / "tests/unit/mapping/compliance_differences.json");
    listed_ = nlohmann::json::parse(file);
  }
  std::set<std::string> listed(const char* group) const {
    std::set<std::string> out;
    for (const auto& entry : listed_.at(group)) out.insert(entry.at("expressions").begin(), entry.at("expressions").end());
    return out;
  }
  std::vector<Case> crate_;
  std::vector<Case> go_;
  nlohmann::json listed_;
};

void all_hold(const std::vector<Case>& cases, std::size_t least) {
  EXPECT_GE(cases.size(), least) << "fewer cases than were published";
  for (const Case& one : cases) {
    if (!one.error && !one.result) continue;
    const auto got = run(one);
    const bool holds = one.error ? got == "error: " + *one.error : !got.starts_with("error") && same_json(got, *one.result);
    EXPECT_TRUE(holds) << one.file << ": " << one.expression << "\n on " << one.given << "\n wanted " << verdict(one) << "\n got " << got;
  }
}

TEST_F(JmespathCompliance, holds_for_every_case_of_the_crate) { all_hold(crate_, 875); }
TEST_F(JmespathCompliance, holds_for_every_case_of_the_go_module) { all_hold(go_, 862); }

TEST_F(JmespathCompliance, explains_every_difference_between_the_two_suites) {
  using Verdicts = std::map<std::pair<std::string, std::string>, std::string>;
  const auto verdicts = [](const std::vector<Case>& cases) {
    Verdicts out;
    for (const Case& one : cases)
      if (one.error || one.result) out[{nlohmann::json::parse(one.given).dump(), one.expression}] = verdict(one);
    return out;
  };
  const Verdicts crate = verdicts(crate_);
  const Verdicts go = verdicts(go_);
  std::set<std::string> contradictions;
  std::set<std::string> only_crate;
  std::set<std::string> only_go;
  for (const auto& [what, wanted] : crate) {
    const auto other = go.find(what);
    if (other == go.end())
      only_crate.insert(what.second);
    else if (other->second != wanted)
      contradictions.insert(what.second);
  }
  for (const auto& [what, wanted] : go)
    if (!crate.contains(what)) only_go.insert(what.second);
  EXPECT_EQ(contradictions, listed("contradictions"));
  EXPECT_EQ(only_crate, listed("only_crate"));
  EXPECT_EQ(only_go, listed("only_go"));
}

TEST_F(JmespathCompliance, compiles_what_is_to_be_timed_but_for_what_is_explained) {
  std::set<std::string> refused;
  for (const Case& one : crate_)
    if (!one.error && !one.result && !jmespath::Expression::compile(one.expression)) refused.insert(one.expression);
  EXPECT_EQ(refused, listed("benchmarks_that_do_not_compile"));
}

}  // namespace
