// Of a small document a report knows at first only how many violations there are; what it lists later on is what it would have listed at
// once, as it does for a view of the same document.
#include <setget/json_schema.hpp>

#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/allocations.hpp"

namespace {

using setget::json_schema::Document;
using setget::json_schema::Options;
using setget::json_schema::Report;
using setget::json_schema::Validator;

const std::vector<std::string_view>& schemas() {
  static const std::vector<std::string_view> all = {
      "false",
      R"({"type": "integer"})",
      R"({"type": ["string", "null"], "minimum": 3, "minItems": 2, "minProperties": 2})",
      R"({"enum": ["a", 1.5, null, {"a": [1]}]})",
      R"({"const": {"a": 1, "b": [true]}})",
      R"({"minLength": 3, "maxLength": 4, "pattern": "^a+$"})",
      R"-({"pattern": "(?<=a)b(?!c)"})-",
      R"({"minimum": 2, "exclusiveMaximum": 7, "multipleOf": 0.3})",
      R"({"items": {"type": "string", "maxLength": 1}, "maxItems": 1, "uniqueItems": true})",
      R"({"prefixItems": [{"type": "null"}, {"minimum": 3}], "items": false, "contains": {"type": "boolean"}, "maxContains": 1})",
      R"({"properties": {"a": {"type": "null"}, "b": {"items": {"type": "integer"}}}, "required": ["c", "a"], "additionalProperties": false})",
      R"({"patternProperties": {"^a": {"minimum": 5}}, "propertyNames": {"maxLength": 1}, "additionalProperties": {"type": "string"}})",
      R"({"dependentRequired": {"a": ["x", "b"]}, "dependentSchemas": {"b": {"required": ["y"], "maxProperties": 1}}})",
      R"({"anyOf": [{"type": "string", "minLength": 9}, {"items": {"type": "null"}, "type": "array"}, {"required": ["z"], "type": "object"}]})",
      R"({"oneOf": [{"minimum": 1}, {"multipleOf": 1}, {"type": "object", "properties": {"a": false}}]})",
      R"({"allOf": [{"type": "object"}, {"$ref": "#/$defs/few"}, true, false], "$defs": {"few": {"maxProperties": 1, "maxItems": 1}}})",
      R"({"not": {"type": ["object", "number"]}})",
      R"({"if": {"type": "array"}, "then": {"minItems": 3, "items": {"$ref": "#/if"}}, "else": {"type": "string", "not": {"maxLength": 2}}})",
      R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"items": {"$ref": "#/$defs/tree"}, "additionalProperties": {"$ref": "#/$defs/tree"}, "minItems": 1, "type": ["array", "object"]}}})",
      R"({"properties": {"a": {"type": "integer"}}, "anyOf": [{"properties": {"b": true}}, {"required": ["c"]}], "unevaluatedProperties": false})",
      R"({"prefixItems": [true], "contains": {"type": "string"}, "unevaluatedItems": {"type": "null"}})",
      R"({"$id": "http://x/y", "$dynamicRef": "#n", "$defs": {"n": {"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}, "type": ["array", "null"]}}})",
      R"({"properties": {"a": {"allOf": [{"type": ["integer", "null"]}, {"maximum": 2}]}, "b": {"$ref": "#/$defs/list"}}, "required": ["c", "b", "~"], "items": {"allOf": [{"type": ["integer", "array", "null"]}, {"maxItems": 1}]}, "$defs": {"list": {"type": "array"}}})",
      R"({"properties": {"a": {"$ref": "#/$defs/a b~1%"}}, "$defs": {"a b/%": {"properties": {"$x": {"const": "é\n"}}, "type": "object"}}})"};
  return all;
}

const std::vector<std::string_view>& documents() {
  static const std::vector<std::string_view> all = {"null",
                                                    "true",
                                                    "0",
                                                    "4.5",
                                                    "1.0",
                                                    "-7",
                                                    "1e-20",
                                                    "18446744073709551615",
                                                    "\"\"",
                                                    "\"aab\"",
                                                    R"("é\"\n\\")",
                                                    "[]",
                                                    "[[]]",
                                                    "[1,1]",
                                                    R"([null,"ab",true,false,[2]])",
                                                    R"([[[],"a"],{"a":[[]]}])",
                                                    "{}",
                                                    R"({"a":1})",
                                                    R"({"a":{"$x":"é"},"b":[1,"x",null]})",
                                                    R"({"abc":6,"b":"~/","":null})",
                                                    R"({"a b/%":{"a":1},"~":[],"a":3,"a":null})",
                                                    R"({"b":[[["a text that does not find room in the document"]]],"c":12345678.25})"};
  return all;
}

// All there is to a report.
std::string shown(const setget::Result<Report>& report) {
  if (!report) return report.error().describe();
  std::string out = report->basic() + report->detailed() + (report->truncated ? " truncated " : " ");
  for (const auto& one : report->violations) {
    out.append(one.instance_location).append(" ").append(one.keyword_location).append(" ").append(one.absolute_keyword_location);
    out.append(" ").append(one.keyword).append(" ").append(one.message).append(std::to_string(one.parent)).append("\n");
  }
  return out + std::to_string(report->violations.size());
}

// Into a report that is used again, and by itself.
void expect_same(const Validator& validator, const Document& document, Report& again, const std::string& of) {
  const auto at_once = validator.validate(document.view());
  const auto fresh = validator.validate(document);
  ASSERT_EQ(shown(fresh), shown(at_once)) << of;
  const auto looked = validator.validate(document, again);
  ASSERT_EQ(static_cast<bool>(looked), static_cast<bool>(at_once)) << of;
  if (!looked) {
    ASSERT_FALSE(again.valid);
    ASSERT_TRUE(again.violations.empty()) << of;
    return;
  }
  ASSERT_EQ(*looked, at_once->valid) << of;
  ASSERT_EQ(again.violations.size(), at_once->violations.size()) << of;
  ASSERT_EQ(shown(again), shown(at_once)) << of;
}

void expect_same_of_all(const Options& options) {
  Report again;
  for (const auto schema : schemas()) {
    const auto validator = Validator::compile(schema, options);
    if (!validator) continue;  // does not keep to these limits itself
    for (const auto text : documents()) {
      Document document;
      ASSERT_TRUE(document.parse(text));
      expect_same(*validator, document, again, std::string(schema) + " " + std::string(text));
    }
  }
}

TEST(CountedReport, lists_what_was_counted) { expect_same_of_all({}); }

TEST(CountedReport, ends_where_a_limit_does) {
  for (std::size_t most = 1; most <= 4; ++most) expect_same_of_all({.limits = {.max_errors = most}});
  for (std::size_t most = 2; most <= 40; ++most) expect_same_of_all({.check_schema = false, .limits = {.max_steps = most}});
  for (std::size_t most = 1; most <= 5; ++most) expect_same_of_all({.check_schema = false, .limits = {.max_nesting = most}});
}

TEST(CountedReport, lists_what_was_counted_of_random_documents) {
  std::mt19937 random(20261129);
  const auto any = [&](std::size_t below) { return random() % below; };
  const auto value = [&](auto&& self, std::size_t depth) -> std::string {
    static const std::vector<std::string> kLeaves = {"null", "true", "1", "3.5", "-2", "\"a\"", "\"abc\"", "[]", "{}"};
    const auto kind = any(depth > 2 ? 2 : 4);
    if (kind < 2) return kLeaves[any(kLeaves.size())];
    std::string out = kind == 2 ? "[" : "{";
    const auto count = any(4);
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) out += ',';
      if (kind == 3) out += std::string("\"") + "abcxyz"[any(6)] + "\":";
      out += self(self, depth + 1);
    }
    return out + (kind == 2 ? "]" : "}");
  };
  std::vector<Validator> validators;
  for (const auto schema : schemas()) validators.push_back(Validator::compile(schema, {.limits = {.max_errors = 5}}).value());
  Report again;
  for (int i = 0; i < 2000; ++i) {
    const auto text = value(value, 0);
    Document document;
    ASSERT_TRUE(document.parse(text));
    for (const auto& validator : validators) expect_same(validator, document, again, text);
    if (HasFatalFailure()) return;
  }
}

// What takes more than a report may take again is listed at once.
TEST(CountedReport, is_listed_at_once_where_that_is_much_work) {
  std::string deep = R"({"type": "null"})";
  for (int i = 0; i < 100; ++i) deep = R"({"anyOf": [)" + deep + ", false]}";
  const auto nested = Validator::compile(deep).value();
  Document document;
  ASSERT_TRUE(document.parse("1"));
  Report again;
  expect_same(nested, document, again, "nested");
  EXPECT_EQ(again.violations.size(), 100U);
  EXPECT_TRUE(again.truncated);
  std::string wide = R"({"allOf": [{"minimum": 2})";
  for (int i = 0; i < 12'000; ++i) wide += R"(,{"maximum": 5})";
  expect_same(Validator::compile(wide + "]}").value(), document, again, "wide");
  EXPECT_EQ(again.violations.size(), 1U);
}

TEST(CountedReport, is_read_when_document_and_validator_are_gone) {
  constexpr std::string_view kText = R"({"name":"ab","c":[1.5]})";
  constexpr std::string_view kSchema =
      R"({"properties": {"name": {"minLength": 3}, "c": {"items": {"type": "null"}}}, "required": ["missing"]})";
  Report report;
  Report copy;
  std::string expected;
  {
    const auto validator = Validator::compile(kSchema).value();
    Document document;
    ASSERT_TRUE(document.parse(kText));
    expected = shown(validator.validate(document.view()));
    ASSERT_FALSE(*validator.validate(document, report));
    ASSERT_TRUE(document.parse(R"(["what is written over the document"])"));
  }
  copy = report;
  EXPECT_EQ(report.violations.size(), 3U);
  EXPECT_EQ(shown(report), expected);
  const auto before = report.violations[0].message;
  const auto moved = std::move(report);
  EXPECT_EQ(before.data(), moved.violations[0].message.data());
  EXPECT_EQ(shown(Report(moved)), expected);
  EXPECT_EQ(shown(copy), expected);
}

TEST(CountedReport, used_again_takes_no_allocation) {
  const auto validator = Validator::compile(schemas()[10]).value();
  const auto other = Validator::compile(R"({"type": "null"})").value();
  Document tiny;
  Document small;
  ASSERT_TRUE(tiny.parse(R"({"b":["x"]})"));
  ASSERT_TRUE(small.parse(documents().back()));
  Report report;
  std::size_t texts = 0;
  const auto once = [&](const Validator& by, const Document& document) {
    if (!by.validate(document, report)) return;
    for (const auto& one : report.violations) texts += one.message.size();
  };
  const auto all = [&] {
    once(validator, tiny);
    once(other, tiny);
    once(validator, small);
  };
  for (int i = 0; i < 3; ++i) all();
  EXPECT_GT(texts, 100U);
  const auto before = allocations();
  if (!before) GTEST_SKIP() << "a sanitizer has its own operator new";
  for (int i = 0; i < 100; ++i) all();
  EXPECT_EQ(allocations(), before);
}

TEST(CountedReport, is_read_by_many_threads_at_once) {
  const auto validator = Validator::compile(schemas()[10]).value();
  Document document;
  ASSERT_TRUE(document.parse(R"({"b":["x",1,"y"],"d":null})"));
  const auto expected = shown(validator.validate(document.view()));
  Report report;
  for (int round = 0; round < 50; ++round) {
    ASSERT_FALSE(*validator.validate(document, report));
    const auto& found = report;
    std::vector<std::string> seen(4);
    std::vector<std::thread> threads;
    threads.reserve(seen.size());
    for (auto& text : seen) {
      threads.emplace_back([&] {
        const auto copy = found;
        text = shown(found);
        if (text != shown(copy)) text += "the copy differs";
      });
    }
    for (auto& thread : threads) thread.join();
    for (const auto& text : seen) EXPECT_EQ(text, expected);
  }
}

}  // namespace
