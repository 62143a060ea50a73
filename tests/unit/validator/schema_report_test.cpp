// Reports write their texts when these are read: what they keep until then is their own.
#include <setget/json_schema.hpp>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "support/allocations.hpp"

namespace {

using setget::json_schema::Document;
using setget::json_schema::Options;
using setget::json_schema::Report;
using setget::json_schema::Validator;

Validator compiled(std::string_view schema, const Options& options = {}) {
  auto validator = Validator::compile(schema, options);
  EXPECT_TRUE(validator) << validator.error().describe();
  return std::move(*validator);
}

// Everything that a message can show: values of the document, names of both, constants of the schema.
constexpr auto kSchema = R"({
  "properties": {"text": {"type": "integer"}, "list": {"uniqueItems": true}, "a/b": {"enum": ["one of the constants of the schema", 2]},
                 "number": {"multipleOf": 0.7}, "deep": {"const": {"a": ["b"]}}},
  "patternProperties": {"^p": {"pattern": "^a pattern that is long enough for the heap$"}},
  "required": ["a name that is long enough for the heap"], "additionalProperties": false})";
constexpr auto kDocument =
    R"({"text": "a text that is long enough for the heap \" é", "list": [{"x": [1, "y"]}, 3, {"x": [1, "y"]}], "a/b": null,
  "number": 12345678901234567890.5, "deep": {"a": ["c", -7, true]}, "p\n": "another text that is long enough for the heap",
  "a name of the document that is long enough": {}})";

void expect_all_of_it(const Report& report) {
  ASSERT_EQ(report.violations.size(), 8U);
  const auto message = [&](std::size_t i) { return std::string(report.violations[i].message); };
  EXPECT_EQ(message(0), "\"a text that is long enough for the heap \\\" é\" is a string, expected integer");
  EXPECT_EQ(message(1), "the items 0 and 2 are the same: {\"x\":[1,\"y\"]}");
  EXPECT_EQ(message(2), "null is none of \"one of the constants of the schema\", 2");
  EXPECT_EQ(message(3), "12345678901234567890.5 is no multiple of 0.7");
  EXPECT_EQ(message(4), "{\"a\":[\"c\",-7,true]} is not {\"a\":[\"b\"]}");
  EXPECT_EQ(message(5),
            "\"another text that is long enough for the heap\" does not match \"^a pattern that is long enough for the heap$\"");
  EXPECT_EQ(message(6), "the name \"a name of the document that is long enough\" is not allowed, its value is {}");
  EXPECT_EQ(message(7), "the name \"a name that is long enough for the heap\" is missing");
  EXPECT_EQ(report.violations[2].instance_location, "/a~1b");
  EXPECT_EQ(report.violations[2].keyword_location, "/properties/a~1b/enum");
  EXPECT_EQ(report.violations[5].instance_location, "/p\n");
  EXPECT_EQ(report.violations[5].absolute_keyword_location, "#/patternProperties/%5Ep/pattern");
  EXPECT_EQ(report.violations[6].instance_location, "/a name of the document that is long enough");
  EXPECT_EQ(report.violations[6].keyword, "additionalProperties");
}

TEST(SchemaReport, is_read_when_document_and_validator_are_gone) {
  Report from_bytes;
  Report from_document;
  Report copy;
  {
    const auto validator = compiled(kSchema);
    std::string text = kDocument;
    from_bytes = *validator.validate(text);
    Document document;
    ASSERT_TRUE(document.parse(text));
    ASSERT_FALSE(*validator.validate(document, from_document));
    copy = from_document;
    text.assign(text.size(), '#');
    ASSERT_TRUE(document.parse("[\"what is written over the document\"]"));
  }
  ASSERT_FALSE(compiled(R"({"type": "null"})").validate("\"what a thread keeps between reports is used again\"")->valid);
  expect_all_of_it(from_bytes);
  expect_all_of_it(from_document);
  expect_all_of_it(copy);
}

TEST(SchemaReport, used_again_holds_nothing_of_before) {
  const auto validator = compiled(kSchema);
  const auto other = compiled(R"({"items": {"type": "null"}})", {.limits = {.max_errors = 2}});
  Report report;
  ASSERT_FALSE(*validator.validate(kDocument, report));
  expect_all_of_it(report);
  const auto kept = report;
  ASSERT_FALSE(*other.validate("[null, 5, 6, 7]", report));
  EXPECT_TRUE(report.truncated);
  ASSERT_EQ(report.violations.size(), 2U);
  EXPECT_EQ(report.violations.front().message, "5 is a number, expected null");
  EXPECT_EQ(report.violations.back().instance_location, "/2");
  expect_all_of_it(kept);
  EXPECT_TRUE(*other.validate("[null]", report));
  EXPECT_TRUE(report.valid);
  EXPECT_FALSE(report.truncated);
  EXPECT_TRUE(report.violations.empty());
  EXPECT_EQ(report.violations.begin(), report.violations.end());
  EXPECT_EQ(report.basic(), R"({"valid":true})");
  ASSERT_FALSE(*validator.validate(kDocument, report));
  EXPECT_FALSE(other.validate("[5", report)) << "no JSON";
  EXPECT_FALSE(report.valid);
  EXPECT_TRUE(report.violations.empty());
  ASSERT_FALSE(*validator.validate(kDocument, report));
  EXPECT_FALSE(compiled(R"({"items": {"minItems": 1}})", {.limits = {.max_steps = 2}}).validate("[[], [], []]", report)) << "a limit";
  EXPECT_FALSE(report.valid);
  EXPECT_TRUE(report.violations.empty());
  ASSERT_FALSE(*validator.validate(kDocument, report));
  expect_all_of_it(report);
}

TEST(SchemaReport, used_again_takes_no_allocation) {
  const auto validator = compiled(R"({
    "oneOf": [{"$ref": "#/$defs/a"}, {"properties": {"kind": {"const": "b"}}, "required": ["kind", "more"]}, {"anyOf": [{"type": "null"}, false]}],
    "properties": {"list": {"items": {"type": "string", "maxLength": 2}}, "x": false}, "unevaluatedProperties": false,
    "$defs": {"a": {"properties": {"kind": {"enum": ["a", {"b": 1.5}]}}}}})");
  Document document;
  ASSERT_TRUE(document.parse(
      R"({"kind": "c", "list": [1, "abc", [2.5, {"deep": "a text that is long enough for the heap"}]], "x": 1, "y": null})"));
  Report report;
  std::size_t texts = 0;
  const auto once = [&] {
    if (!validator.validate(document, report)) return;
    for (const auto& one : report.violations) texts += one.message.size();
  };
  for (int i = 0; i < 3; ++i) once();
  EXPECT_GT(report.violations.size(), 6U);
  EXPECT_GT(texts, 100U);
  const auto before = allocations();
  if (!before) GTEST_SKIP() << "a sanitizer has its own operator new";
  for (int i = 0; i < 100; ++i) once();
  EXPECT_EQ(allocations(), before);
}

// Of a value a message shows a hundred bytes, and a report keeps little more.
TEST(SchemaReport, cuts_what_it_shows_of_large_values) {
  const auto validator = compiled(R"({"type": "null"})");
  const auto shown = [&](const std::string& document) { return std::string(validator.validate(document)->violations.at(0).message); };
  const std::string large(1U << 20, 'x');
  EXPECT_EQ(shown("\"" + large + "\""), "\"" + large.substr(0, 99) + "… is a string, expected null");
  EXPECT_EQ(shown("[\"" + large + "\",\"" + large + "\"]"), "[\"" + large.substr(0, 98) + "… is an array, expected null");
  EXPECT_EQ(shown("{\"" + large + "\": 1}"), "{\"" + large.substr(0, 98) + "… is an object, expected null");
  std::string numbers = "[";
  for (int i = 0; i < 50'000; ++i) numbers += i == 0 ? "1" : ",1";
  EXPECT_EQ(shown(numbers + "]"), numbers.substr(0, 100) + "… is an array, expected null");
  const std::string deep(150, '[');
  EXPECT_EQ(shown(deep + std::string(150, ']')), deep.substr(0, 100) + "… is an array, expected null");
  // The last that is shown whole.
  const std::string brackets = std::string(50, '[') + std::string(50, ']');
  EXPECT_EQ(shown(brackets), brackets + " is an array, expected null");
}

TEST(SchemaReport, is_read_by_many_threads_at_once) {
  const auto validator = compiled(kSchema);
  for (int round = 0; round < 20; ++round) {
    const auto report = validator.validate(kDocument).value();
    std::vector<std::thread> threads;
    std::vector<std::string> seen(4);
    threads.reserve(seen.size());
    for (auto& text : seen) threads.emplace_back([&] { text = report.basic(); });
    for (auto& thread : threads) thread.join();
    for (const auto& text : seen) EXPECT_EQ(text, report.basic());
  }
}

TEST(SchemaReport, keeps_its_texts_when_it_is_moved) {
  auto report = compiled(kSchema).validate(kDocument).value();
  const auto before = report.violations[0].message;
  const auto moved = std::move(report);
  EXPECT_EQ(before.data(), moved.violations[0].message.data());
  EXPECT_TRUE(report.violations.empty());  // NOLINT(bugprone-use-after-move): empty, as promised
  EXPECT_THROW((void)moved.violations.at(8), std::out_of_range);
}

TEST(SchemaReport, names_the_branch_of_a_condition_that_allows_nothing) {
  const auto validator = compiled(R"({"if": {"type": "string"}, "then": false, "else": {"$ref": "#/$defs/no"}, "$defs": {"no": false}})");
  const auto first = validator.validate("\"a\"").value();
  EXPECT_EQ(first.violations.at(0).keyword, "then");
  EXPECT_EQ(first.violations.at(0).keyword_location, "/then");
  const auto second = validator.validate("1").value();
  EXPECT_EQ(second.violations.at(0).keyword, "$ref");
  EXPECT_EQ(second.violations.at(0).keyword_location, "/else/$ref");
  EXPECT_EQ(second.violations.at(0).absolute_keyword_location, "#/$defs/no");
}

}  // namespace
