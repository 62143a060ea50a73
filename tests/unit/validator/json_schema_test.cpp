#include <setget/json_schema.hpp>
#include <setget/validator.hpp>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>
#include <nlohmann/json.hpp>

#include <setget/json_schema_nlohmann.hpp>
#include <setget/json_schema_simdjson.hpp>

#include "support/allocations.hpp"
#include "support/sanitized.hpp"

namespace {

using namespace setget;
using namespace setget::json_schema;

json_schema::Validator compiled(std::string_view schema, const Options& options = {}) {
  auto validator = json_schema::Validator::compile(schema, options);
  EXPECT_TRUE(validator) << validator.error().describe();
  return std::move(*validator);
}
bool valid(std::string_view schema, std::string_view document, const Options& options = {}) {
  auto verdict = compiled(schema, options).is_valid(document);
  EXPECT_TRUE(verdict) << verdict.error().describe();
  return *verdict;
}

TEST(JsonSchema, tells_malformed_json_and_depth_from_invalid) {
  const auto validator = compiled(R"({"type": "object"})");
  EXPECT_FALSE(*validator.is_valid("[]"));
  const auto malformed = validator.is_valid(R"({"a": tru})");
  ASSERT_FALSE(malformed);
  EXPECT_EQ(malformed.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(malformed.error().position(), 6U);
  const auto deep = validator.is_valid(std::string(300, '[') + std::string(300, ']'));
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code(), ErrorCode::kTooLarge);
  EXPECT_FALSE(*validator.is_valid(std::string(256, '[') + std::string(256, ']')));
}

TEST(JsonSchema, keeps_numbers_exact) {
  EXPECT_TRUE(valid(R"({"multipleOf": 0.01})", "19.99"));
  EXPECT_FALSE(valid(R"({"multipleOf": 0.01})", "19.995"));
  EXPECT_TRUE(valid(R"({"multipleOf": 0.01})", "1e400"));
  EXPECT_TRUE(valid(R"({"maximum": 18446744073709551616})", "18446744073709551616"));
  EXPECT_FALSE(valid(R"({"maximum": 18446744073709551616})", "18446744073709551617"));
  EXPECT_TRUE(valid(R"({"type": "integer"})", "1.0"));
  EXPECT_FALSE(valid(R"({"type": "integer"})", "1.00000000000000000001"));
  EXPECT_TRUE(valid(R"({"type": "integer"})", "1e300"));
  EXPECT_FALSE(valid(R"({"const": 0.1})", "0.1000000000000000000001"));
  EXPECT_TRUE(valid(R"({"const": 9007199254740993})", "9007199254740993.0"));
  EXPECT_FALSE(valid(R"({"const": 9007199254740993})", "9007199254740992"));
  EXPECT_FALSE(valid(R"({"exclusiveMinimum": 0})", "0e5"));
  EXPECT_TRUE(valid(R"({"exclusiveMinimum": 0})", "1e-400"));
  EXPECT_FALSE(valid(R"({"uniqueItems": true})", "[1, 1.0]"));
  EXPECT_TRUE(valid(R"({"uniqueItems": true})", "[9007199254740993, 9007199254740992]"));
  EXPECT_TRUE(valid(R"({"multipleOf": 12345678901234567890123})", "24691357802469135780246"));
  EXPECT_FALSE(valid(R"({"multipleOf": 12345678901234567890123})", "24691357802469135780247"));
}

TEST(JsonSchema, patterns_take_other_for_what_is_not_assigned_too_and_boundaries_between_characters) {
  EXPECT_FALSE(valid(R"({"pattern": "^\\P{C}*$"})", R"("\u0378")"));
  EXPECT_TRUE(valid(R"({"pattern": "^\\p{Other}$"})", R"("\u0378")"));
  EXPECT_FALSE(valid(R"({"pattern": "^[^\\p{C}]+$"})", R"("\u0378")"));
  EXPECT_TRUE(valid(R"({"pattern": "^\\P{C}*$"})", R"("a\u00e9")"));
  EXPECT_FALSE(valid(R"({"pattern": "\\B"})", R"("a\u00e9a")")) << "RE2 sees one between the bytes of é";
  EXPECT_TRUE(valid(R"({"pattern": "\\B"})", R"("aa")"));
}

TEST(JsonSchema, a_resource_of_another_draft_excuses_none_beside_it) {
  const auto schema = [](const std::string& name) {
    return R"({"$defs": {")" + name +
           R"(": {"$id": "http://x/", "$schema": "http://json-schema.org/draft-07/schema#"}, "ab": {"uniqueItems": "yes"}}})";
  };
  for (const auto* name : {"a", "c"}) {
    const auto refused = json_schema::Validator::compile(schema(name));
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().field(), "#/$defs/ab/uniqueItems");
  }
}

TEST(JsonSchema, a_resource_of_another_draft_is_checked_against_the_metaschema_of_that) {
  const auto field_of = [](const std::string& schema, const Options& options = {}) {
    const auto refused = json_schema::Validator::compile(schema, options);
    return refused ? std::string("(compiles)") : refused.error().field();
  };
  const auto within = [](const std::string& resource) { return R"({"$defs": {"a": )" + resource + "}}"; };
  const std::string seven = R"("$id": "http://x/", "$schema": "http://json-schema.org/draft-07/schema#")";
  EXPECT_EQ(field_of(within("{" + seven + R"(, "properties": {"b": {"uniqueItems": "yes"}}})")), "#/$defs/a/properties/b/uniqueItems");
  EXPECT_EQ(field_of(within("{" + seven + R"(, "examples": 1})")), "#/$defs/a/examples");
  EXPECT_EQ(field_of(within("{" + seven + R"(, "prefixItems": 1, "items": [true]})")), "(compiles)") << "it knows no prefixItems";
  // One of the outer draft within that again.
  EXPECT_EQ(
      field_of(within("{" + seven +
                      R"(, "not": {"$id": "http://y/", "$schema": "https://json-schema.org/draft/2020-12/schema", "items": [true]}})")),
      "#/$defs/a/not/items");
  EXPECT_EQ(field_of(R"({"x": {"$id": "http://x/", "$schema": "http://json-schema.org/draft-04/schema#", "id": "http://x/", "required": []},
                         "$ref": "#/x"})"),
            "#/x/required")
      << "where no keyword but a reference leads";
  // A metaschema of the host's own.
  const Options own{.loader = [](std::string_view) -> Result<std::string> {
    return std::string(
        R"({"$id": "http://m/", "$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"title": {"maxLength": 3}}})");
  }};
  const std::string short_title = R"({"$id": "http://x/", "$schema": "http://m/", "title": )";
  EXPECT_EQ(field_of(within(short_title + R"("long"})"), own), "#/$defs/a/title");
  EXPECT_EQ(field_of(within(short_title + R"("abc"})"), own), "(compiles)");
}

TEST(JsonSchema, large_objects_are_compared_and_wide_schemas_searched_for_loops_in_time) {
  constexpr int kCount = 50'000;
  std::string first;
  std::string second;
  for (int i = 0; i < kCount; ++i) {
    first += (i == 0 ? "\"n" : ",\"n") + std::to_string(i) + "\":0";
    second += (i == 0 ? "\"n" : ",\"n") + std::to_string(kCount - 1 - i) + "\":0";
  }
  const std::string unique = R"({"uniqueItems": true})";
  EXPECT_FALSE(valid(unique, "[{" + first + "},{" + second + "}]"));
  EXPECT_FALSE(valid(unique, "[{" + first + ",\"x\":1},{\"x\":1," + second + "}]"));
  EXPECT_TRUE(valid(unique, "[{" + first + ",\"x\":1},{\"x\":2," + second + "}]"));
  EXPECT_TRUE(valid(unique, "[{" + first + ",\"x\":1},{\"y\":1," + second + "}]"));
  EXPECT_FALSE(valid("{\"const\": {" + first + "}}", "{" + second + ",\"x\":1}"));
  EXPECT_TRUE(valid("{\"const\": {" + first + "}}", "{" + second + "}"));
  std::string wide = R"({"allOf":[{})";
  for (int i = 0; i < 100'000; ++i) wide += ",{}";
  EXPECT_TRUE(json_schema::Validator::compile(wide + "]}"));
}

TEST(JsonSchema, names_the_place_of_a_broken_schema) {
  const auto broken = json_schema::Validator::compile(R"({"properties": {"a": {"type": "strin"}}})");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().field(), "#/properties/a/type");
  const auto pattern = json_schema::Validator::compile(R"({"items": {"pattern": "(a"}})");
  ASSERT_FALSE(pattern);
  EXPECT_EQ(pattern.error().field(), "#/items/pattern");
  const auto lost = json_schema::Validator::compile(R"({"$ref": "#/$defs/no"})");
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code(), ErrorCode::kNotFound);
  const auto far = json_schema::Validator::compile(R"({"$ref": "http://example.com/x"})");
  ASSERT_FALSE(far);
  EXPECT_EQ(far.error().code(), ErrorCode::kNotFound);
}

// Each reference is found by its name: going through all names for each took minutes.
TEST(JsonSchema, compiles_many_definitions_that_refer_to_each_other) {
  const auto chain = [](int many, const std::string& more) {
    std::string text = R"({"$ref":"#/$defs/d0","$defs":{)";
    for (int i = 0; i < many; ++i) text += "\"d" + std::to_string(i) + R"(":{"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"},";
    return text + "\"d" + std::to_string(many) + R"(":{"type":"string"})" + more + "}}";
  };
  const auto began = std::chrono::steady_clock::now();
  const auto large = json_schema::Validator::compile(chain(40'000, ""));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(setget_test::kSanitized ? 120 : 20));
  EXPECT_TRUE(large) << large.error().describe();
  EXPECT_TRUE(valid(chain(40, R"(,"d7":false)"), "\"a\"")) << "of equal names the first counts, as in small objects";
  EXPECT_FALSE(valid(chain(40, ""), "1"));
}

TEST(JsonSchema, refuses_a_reference_loop) {
  for (const auto* schema :
       {R"({"$ref": "#"})", R"({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}})"}) {
    const auto loop = json_schema::Validator::compile(schema);
    ASSERT_FALSE(loop) << schema;
    EXPECT_EQ(loop.error().code(), ErrorCode::kInvalidArgument);
  }
  const auto conditional = compiled(R"({"anyOf": [{"type": "string"}, {"$ref": "#"}, {"$ref": "#"}]})");
  EXPECT_TRUE(*conditional.is_valid("\"a\""));
  const auto endless = conditional.is_valid("1");
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().code(), ErrorCode::kTooLarge);
}

TEST(JsonSchema, ends_what_doubles_at_every_step) {
  std::string schema = R"({"$ref": "#/$defs/a0", "$defs": {)";
  for (int i = 0; i < 60; ++i) {
    const auto next = "{\"$ref\": \"#/$defs/a" + std::to_string(i + 1) + "\"}";
    schema += "\"a" + std::to_string(i) + "\": {\"anyOf\": [" + next + "," + next + "]},";
  }
  schema += R"("a60": {"minLength": 5}}})";
  const auto validator = compiled(schema, {.limits = {.max_steps = 100'000}});
  const auto verdict = validator.is_valid("\"a\"");
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code(), ErrorCode::kTooLarge);
}

TEST(JsonSchema, ends_a_pattern_that_tries_everything) {
  const std::string text = "\"" + std::string(5000, 'a') + "!\"";
  EXPECT_FALSE(valid(R"({"pattern": "^(a+)+$"})", text));
  const auto validator = compiled(R"({"pattern": "^(?=(a+)+$)(a+)+$"})");
  const auto verdict = validator.is_valid(text);
  EXPECT_TRUE(!verdict || !*verdict);
  const auto references = compiled(R"({"pattern": "(a+)*(a+)*\\1b"})");
  EXPECT_FALSE(references.is_valid(text));
  EXPECT_FALSE(json_schema::Validator::compile(R"({"pattern": "((a{1,60000}){1,60000}){1,60000}"})"));
}

// Whenever a part is repeated ECMA-262 forgets what its groups matched before; PCRE2 does not. What V8 says is told where both agree.
TEST(JsonSchema, references_to_groups_that_a_repetition_forgets_are_refused) {
  for (const auto* pattern : {R"(^(?:(a)|b)*\\1$)", R"(^(?:(a)?b\\1)+$)", R"(^(?:\\1(a))+$)", R"(^(a\\1){2}$)", R"(^(a*)*b\\1$)",
                              R"(^(a*)+b\\1$)", R"(^(?:(?<x>a)|(?<x>b)|c){2}\\k<x>$)", R"(^(?:(?:x(a))*\\1)+$)"}) {
    const auto refused = json_schema::Validator::compile(R"({"pattern": ")" + std::string(pattern) + "\"}");
    ASSERT_FALSE(refused) << pattern;
    EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported) << pattern;
    EXPECT_TRUE(refused.error().position()) << pattern;
  }
  const auto matches = [](const char* pattern, const char* text) {
    return valid(R"({"pattern": ")" + std::string(pattern) + "\"}", '"' + std::string(text) + '"');
  };
  EXPECT_TRUE(matches(R"(^(?:(['!])[^'!]*\\1|[a-z])*$)", "a'x'b!y!"));
  EXPECT_FALSE(matches(R"(^(?:(['!])[^'!]*\\1|[a-z])*$)", "a'x!b"));
  EXPECT_TRUE(matches(R"(^(?:(.)\\1)+$)", "aabb"));
  EXPECT_FALSE(matches(R"(^(?:(.)\\1)+$)", "aabc"));
  EXPECT_TRUE(matches(R"(^(?:x(a))*\\1$)", "xaxaa"));
  EXPECT_TRUE(matches(R"(^(?:x(a))*\\1$)", ""));
  EXPECT_FALSE(matches(R"(^(?:x(a))*\\1$)", "xaxa"));
  EXPECT_TRUE(matches(R"(^(a)?b\\1$)", "b"));
  EXPECT_TRUE(matches(R"(^(?:(a)|b)\\1$)", "b"));
  EXPECT_TRUE(matches(R"(^((a|b)\\2){2}$)", "aabb"));
}

// PCRE2 knows none of varying length: RE2 answers them, seeing what stands before and behind. Verdicts are those of V8.
TEST(JsonSchema, looks_behind_at_any_length) {
  struct Case {
    const char* pattern;
    const char* text;
    bool matches;
  };
  for (const auto& [pattern, text, matches] : {
           Case{R"((?<=a+)b)", "aab", true},
           Case{R"((?<=a+)b)", "b", false},
           Case{R"((?<!a+)b)", "aab", false},
           Case{R"((?<!a+)b)", "cb", true},
           Case{R"((?<=^x*|y)z$)", "xxz", true},
           Case{R"((?<=^x*|y)z$)", "axz", false},
           Case{R"((?<=^x*|y)z$)", "ayz", true},
           Case{R"((\\wb?)(?<=.*\\d)$)", "1", true},
           Case{R"((\\wb?)(?<=.*\\d))", "1baé", true},  // less of it, after more was refused
           Case{R"((?<=é+\\b) )", "éé ", false},        // é is none of \\w
           Case{R"((?<=\\w+\\b) )", "a ", true},
           Case{R"((?<=\\w+\\b)a)", "aa", false},  // nor is there an edge before another letter
           Case{R"((?<=a+$))", "aa", true},
           Case{R"((?<=a+$))", "aab", false},
           Case{R"((?<=(?:ab?)+)(?=c+)c(?<!b{2,3}c))", "aabc", true},
           Case{R"((?<=(?:ab?)+)(?=c+)c(?<!b+c))", "aabc", false},
           Case{R"((?i:(?<=A+)b))", "aB", true},
           Case{R"((?:(?<=^|,\\s*)\\d+,?\\s*)+$)", "1, 2,3", true},
           Case{R"(^(?:(?<=^|,\\s*)\\d+,?\\s*)+$)", "1 2", false},
       }) {
    EXPECT_EQ(valid(std::string(R"({"pattern": ")") + pattern + "\"}", "\"" + std::string(text) + "\""), matches)
        << pattern << " in " << text;
  }
  // What refers to groups would count those that stand apart.
  EXPECT_FALSE(json_schema::Validator::compile(R"({"pattern": "(?<=(a)+)b\\1"})"));
  EXPECT_FALSE(json_schema::Validator::compile(R"({"pattern": "(?<=a+(?=b))b"})"));
  // Each look behind reads all that stands before: together within a limit.
  const auto verdict = compiled(R"({"pattern": "(?<=b+)c"})").is_valid("\"" + std::string(100'000, 'a') + "\"");
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code(), ErrorCode::kTooLarge);
}

// Its texts are its own, or those of a copy; not of the document, the validator or the thread that made it.
TEST(JsonSchema, a_copy_of_a_report_outlives_everything_that_it_was_made_of) {
  json_schema::Report copy;
  {
    json_schema::Report report;
    {
      const auto validator = compiled(R"({"properties": {"a name": {"enum": ["one value that is long enough for the heap", 2]}}})");
      const std::string text = R"({"a name": "another value that is long enough for the heap"})";
      report = *validator.validate(text);
    }
    copy = report;
  }
  ASSERT_FALSE(compiled(R"({"type": "null"})").validate("\"what a thread keeps between reports is used again\"")->valid);
  ASSERT_EQ(copy.violations.size(), 1U);
  const auto& one = copy.violations[0];
  EXPECT_EQ(one.instance_location, "/a name");
  EXPECT_EQ(one.keyword_location, "/properties/a name/enum");
  EXPECT_EQ(one.absolute_keyword_location, "#/properties/a%20name/enum");
  EXPECT_EQ(one.keyword, "enum");
  EXPECT_EQ(one.message, R"("another value that is long enough for the heap" is none of "one value that is long enough for the heap", 2)");
}

TEST(JsonSchema, a_report_takes_two_allocations_and_one_of_a_small_document_however_many_violations_it_has) {
  const auto validator = compiled(R"({"items": {"type": "object", "required": ["a name that is long enough for the heap"]}})");
  json_schema::Document document;
  ASSERT_TRUE(document.parse("[1, 2, {}, {}, \"a text\", {}, 7, 8]"));
  ASSERT_EQ(validator.validate(document.view())->violations.size(), 8U);
  const auto before = allocations();
  const auto small = validator.validate(document);
  const auto between = allocations();
  const auto report = validator.validate(document.view());
  if (before) {
    EXPECT_EQ(*between - *before, 1U);
    EXPECT_EQ(*allocations() - *between, 2U);
  }
  EXPECT_EQ(small->violations.size(), 8U);
  EXPECT_EQ(report->violations.size(), 8U);
}

TEST(JsonSchema, reports_every_violation_in_order) {
  const auto validator = compiled(R"({"properties": {"a": {"type": "integer", "minimum": 3}, "b": {"$ref": "#/$defs/s"}},
                                      "required": ["c"], "additionalProperties": false, "$defs": {"s": {"maxLength": 2}}})");
  const auto report = validator.validate(R"({"a": 1, "b": "long", "x/y": 0})");
  ASSERT_TRUE(report);
  ASSERT_EQ(report->violations.size(), 4U);
  EXPECT_EQ(report->violations[0].instance_location, "/a");
  EXPECT_EQ(report->violations[0].keyword, "minimum");
  EXPECT_EQ(report->violations[0].message, "1 is below 3");
  EXPECT_EQ(report->violations[1].keyword_location, "/properties/b/$ref/maxLength");
  EXPECT_EQ(report->violations[1].absolute_keyword_location, "#/$defs/s/maxLength");
  EXPECT_EQ(report->violations[2].instance_location, "/x~1y");
  EXPECT_EQ(report->violations[2].keyword, "additionalProperties");
  EXPECT_EQ(report->violations[3].keyword, "required");
  const auto reasons = report->reasons("/payload");
  EXPECT_EQ(reasons[0].code, "schema_minimum");
  EXPECT_EQ(reasons[0].pointer, "/payload/a");
  EXPECT_EQ(nlohmann::json::parse(report->basic()).at("errors").size(), 4U);
  const auto few = compiled(R"({"items": false})", {.limits = {.max_errors = 2}}).validate("[1, 2, 3]");
  EXPECT_EQ(few->violations.size(), 2U);
  EXPECT_TRUE(few->truncated);
  EXPECT_FALSE(few->valid);
}

TEST(JsonSchema, names_the_parts_of_a_failed_alternative) {
  const auto validator = compiled(R"({"oneOf": [{"properties": {"k": {"const": "a"}, "v": {"type": "string"}}, "required": ["k"]},
                                                {"properties": {"k": {"const": "b"}, "v": {"type": "number"}}, "required": ["k"]}]})");
  const auto report = validator.validate(R"({"k": "b", "v": "x"})");
  ASSERT_TRUE(report);
  ASSERT_EQ(report->violations.size(), 2U);
  EXPECT_EQ(report->violations[1].parent, 0U);
  EXPECT_EQ(report->violations[1].keyword_location, "/oneOf/1/properties/v/type");
  const auto detailed = nlohmann::json::parse(report->detailed());
  EXPECT_EQ(detailed.at("errors").at(0).at("errors").at(0).at("instanceLocation"), "/v");
  ASSERT_EQ(report->reasons().size(), 1U);
  EXPECT_EQ(report->reasons()[0].code, "schema_type");
}

TEST(JsonSchema, chooses_no_branch_that_a_careful_look_would_not) {
  const auto validator =
      compiled(R"({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}, {"enum": ["a", null]}, {"const": "b"}]})");
  EXPECT_TRUE(*validator.is_valid("1"));
  EXPECT_TRUE(*validator.is_valid("1.0"));
  EXPECT_TRUE(*validator.is_valid("2.5"));
  EXPECT_FALSE(*validator.is_valid("3"));
  EXPECT_FALSE(*validator.is_valid("3.0"));
  EXPECT_TRUE(*validator.is_valid("null"));
  EXPECT_TRUE(*validator.is_valid("\"b\""));
  EXPECT_FALSE(*validator.is_valid("\"c\""));
  // More branches than a word has bits.
  std::string many = R"({"oneOf": [)";
  for (int i = 0; i < 200; ++i) {
    many += (i > 0 ? "," : "") + std::string(R"({"properties": {"k": {"const": "v)") + std::to_string(i) + R"("}}, "required": ["k"]})";
  }
  const auto wide = compiled(many + "]}");
  EXPECT_TRUE(*wide.is_valid(R"({"k": "v150"})"));
  EXPECT_FALSE(*wide.is_valid(R"({"k": "v200"})"));
  EXPECT_FALSE(*wide.is_valid("{}"));
  EXPECT_FALSE(*wide.is_valid("1"));
}

TEST(JsonSchema, allocates_nothing_for_a_document_that_it_accepts) {
  const auto validator = compiled(R"({"oneOf": [{"$ref": "#/$defs/a"}, {"properties": {"kind": {"const": "b"}}, "required": ["kind"]}],
      "unevaluatedProperties": false, "properties": {"list": {"uniqueItems": true, "contains": {"multipleOf": 0.5}}},
      "$defs": {"a": {"properties": {"kind": {"const": "a"}, "when": {"format": "date-time"}, "code": {"pattern": "^[A-Z]{3}(-[0-9]+)?$"}}}}})",
                                  {.assert_formats = true});
  const std::string text = R"({"kind": "a", "list": [1, 2.5, "x", {"y": []}], "when": "2026-11-27T10:00:00Z", "code": "ABC-12"})";
  Document document;
  ASSERT_TRUE(document.parse(text));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(*validator.is_valid(text));
    ASSERT_TRUE(*validator.is_valid(document));
  }
  const auto before = allocations();
  if (!before) GTEST_SKIP() << "a sanitizer has its own operator new";
  bool all = true;
  for (int i = 0; i < 100; ++i) all = all && *validator.is_valid(text) && *validator.is_valid(document);
  EXPECT_EQ(allocations(), before);
  EXPECT_TRUE(all);
}

TEST(JsonSchema, takes_trees_of_nlohmann_and_simdjson) {
  const auto validator = compiled(R"({"type": "object", "required": ["a"], "properties": {"a": {"items": {"type": "number"}}}})");
  EXPECT_TRUE(*is_valid(validator, nlohmann::json{{"a", {1, 2.5, -3}}}));
  EXPECT_FALSE(*is_valid(validator, nlohmann::json{{"a", {"x"}}}));
  EXPECT_FALSE(is_valid(validator, nlohmann::json{{"a", nlohmann::json::binary({1})}}));
  simdjson::dom::parser parser;
  ASSERT_EQ(parser.parse(std::string_view(R"({"a": [1, "x"]})")).error(), simdjson::SUCCESS);
  const auto report = validate(validator, parser.doc);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->violations.at(0).instance_location, "/a/1");
}

TEST(JsonSchema, asks_the_loader_and_takes_its_errors) {
  std::vector<std::string> asked;
  Options options{.loader = [&](std::string_view uri) -> Result<std::string> {
    asked.emplace_back(uri);
    if (uri == "https://example.com/a.json") return std::string(R"({"$defs": {"x": {"type": "null"}}})");
    if (uri == "https://example.com/throws") throw std::runtime_error("no");
    return Error(ErrorCode::kNotFound, "no such thing");
  }};
  EXPECT_TRUE(valid(R"({"items": {"$ref": "https://example.com/a.json#/$defs/x"}, "not": {"$ref": "https://example.com/a.json"}})",
                    "[null]", options) == false);
  EXPECT_EQ(asked.size(), 1U);
  EXPECT_FALSE(json_schema::Validator::compile(R"({"$ref": "https://example.com/throws"})", options));
  EXPECT_FALSE(json_schema::Validator::compile(R"({"$ref": "https://example.com/none"})", options));
}

TEST(JsonSchema, takes_together_what_several_schemas_say_of_one_name) {
  const auto validator = compiled(R"({
    "properties": {"a": {"type": "integer"}, "name_longer_than_sixteen": {"minLength": 2}},
    "$ref": "#/$defs/bounded",
    "allOf": [{"properties": {"a": {"maximum": 9}}, "required": ["a"]},
              {"properties": {"a": true, "b": {"type": "string"}}, "additionalProperties": {"type": ["integer", "string"]}}],
    "$defs": {"bounded": {"type": ["object", "null"], "properties": {"a": {"minimum": 1}}}}})");
  const auto agrees = [&](std::string_view document, bool expected) {
    const auto report = validator.validate(document).value();
    EXPECT_EQ(report.valid, expected) << document << report.basic();
    EXPECT_EQ(*validator.is_valid(document), expected) << document;
  };
  agrees(R"({"a": 5})", true);
  agrees(R"({"a": 0})", false);
  agrees(R"({"a": 10})", false);
  agrees(R"({"a": 5.5})", false);
  agrees(R"({"b": "x"})", false);
  agrees(R"({"x": 1, "a": 5, "y": "z", "b": "x", "name_longer_than_sixteen": "ab"})", true);
  agrees(R"({"x": 1, "a": 5, "name_longer_than_sixteen": "a"})", false);
  agrees(R"({"a": 5, "b": 1})", false);
  agrees(R"({"a": 5, "c": []})", false);
  agrees("[]", false);
  agrees("null", true);
  // The places are those of the schema as it was written.
  EXPECT_EQ(validator.validate(R"({"a": 10})")->violations.at(0).keyword_location, "/allOf/0/properties/a/maximum");
  EXPECT_EQ(validator.validate(R"({"a": 0})")->violations.at(0).keyword_location, "/$ref/properties/a/minimum");
}

TEST(JsonSchema, what_a_message_shows_in_part_is_text) {
  const auto name = std::string(99, 'a') + "\u00e9" + std::string(300, 'b');
  const auto shown = std::string(199, 'a') + "\u00e9";
  for (const auto& [schema, document] :
       {std::pair(std::string(R"({"additionalProperties": false})"), "{\"" + name + "\": 1}"),
        std::pair(R"({"required": [")" + name + "\"]}", std::string("{}")),
        std::pair(R"({"dependentRequired": {")" + name + R"(": [")" + name + "c\"]}}", "{\"" + name + "\": 1}"),
        std::pair(R"({"pattern": ")" + shown + "\"}", std::string("\"x\""))}) {
    const auto report = compiled(schema).validate(document).value();
    ASSERT_FALSE(report.valid) << schema;
    EXPECT_TRUE(nlohmann::json::accept(report.basic())) << report.basic();
    EXPECT_TRUE(nlohmann::json::accept(report.detailed())) << report.detailed();
  }
  const auto refused = json_schema::Validator::compile(R"({"pattern": ")" + shown + "(\"}");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message().find("\xc3\""), std::string::npos) << refused.error().message();
}

TEST(JsonSchema, what_is_no_part_of_a_word_is_none_in_either_case) {
  for (const auto* pattern : {R"(^(?i:\\W+)$)", R"(^(?i:[\\W]+)$)", R"(^(?i:[^\\w]+)$)"}) {
    const auto validator = compiled(std::string(R"({"pattern": ")") + pattern + "\"}");
    for (const auto* letters : {"sk", "SK", "\u017f", "\u212a"})
      EXPECT_FALSE(*validator.is_valid(std::string("\"") + letters + "\"")) << pattern << letters;
    EXPECT_TRUE(*validator.is_valid("\"-. \"")) << pattern;
  }
  EXPECT_TRUE(valid(R"({"pattern": "^\\W$"})", "\"\u017f\"")) << "where case counts they are no letters of ASCII";
}

TEST(JsonSchema, fuses_no_more_than_a_schema_has_room_for) {
  // Each pair of big parts has as many names again.
  std::string schema = R"({"$defs": {)";
  for (const char part : {'a', 'b'}) {
    schema += std::string("\"") + part + R"(": {"properties": {)";
    for (int i = 0; i < 500; ++i) schema += (i > 0 ? ",\"" : "\"") + std::string(1, part) + std::to_string(i) + R"(": {"type": "integer"})";
    schema += "}},";
  }
  schema += R"("end": true}, "properties": {)";
  for (int i = 0; i < 300; ++i) {
    schema += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(": {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]})";
  }
  const auto validator = compiled(schema + "}}");
  for (const auto* number : {"0", "150", "299"}) {
    EXPECT_TRUE(*validator.is_valid(std::string("{\"") + number + R"(": {"a7": 1, "b499": 1}})"));
    EXPECT_FALSE(*validator.is_valid(std::string("{\"") + number + R"(": {"a7": 1, "b499": "1"}})"));
    EXPECT_FALSE(*validator.is_valid(std::string("{\"") + number + R"(": {"a7": false}})"));
  }
}

TEST(JsonSchema, finds_constants_by_value) {
  constexpr auto kSchema =
      R"({"enum": [3, 1.0, -2, 0.5, 18446744073709551616, 9223372036854775807, 1e3, [1, {"a": 1.0, "b": []}], {}, true]})";
  for (const auto* in : {"1", "1.0", "1e0", "3.0", "-2", "5e-1", "18446744073709551616.0", "9223372036854775807", "1000",
                         R"([1.0, {"b": [], "a": 1}])", "{}", "true"}) {
    EXPECT_TRUE(valid(kSchema, in)) << in;
  }
  for (const auto* out : {"2", "-3", "0.25", "18446744073709551615", "9223372036854775806", "9223372036854775808", "1e4",
                          R"([1, {"b": [], "a": 2}])", "[]", "false", "null", "\"1\"", "1.0000000000000000000001"}) {
    EXPECT_FALSE(valid(kSchema, out)) << out;
  }
}

TEST(JsonSchema, holds_integers_to_bounds_at_the_ends_of_their_range) {
  EXPECT_TRUE(valid(R"({"minimum": 9223372036854775807})", "9223372036854775807"));
  EXPECT_FALSE(valid(R"({"exclusiveMinimum": 9223372036854775807})", "9223372036854775807"));
  EXPECT_TRUE(valid(R"({"exclusiveMinimum": 9223372036854775807})", "9223372036854775808"));
  EXPECT_FALSE(valid(R"({"exclusiveMaximum": -9223372036854775808})", "-9223372036854775808"));
  EXPECT_FALSE(valid(R"({"minimum": 2, "exclusiveMaximum": 3})", "3"));
  EXPECT_TRUE(valid(R"({"minimum": 2, "exclusiveMaximum": 3})", "2"));
  EXPECT_FALSE(valid(R"({"minimum": 2})", "1.9999999999999999999"));
  EXPECT_FALSE(valid(R"({"maximum": 2.5})", "3"));
  EXPECT_TRUE(valid(R"({"items": {"exclusiveMinimum": 0}})", "[0.1, 12e-0400, 3E-999]"));
}

TEST(JsonSchema, reads_documents_again_and_after_a_move) {
  const auto validator = compiled(R"({"type": "array", "items": {"type": "integer", "maximum": 5}})");
  Document document;
  EXPECT_FALSE(*validator.is_valid(document));
  std::string large = "[1";
  for (int i = 0; i < 20'000; ++i) large += ",1";
  for (const auto& text :
       {std::string("[1, 2]"), large + "]", std::string("[3, 3.0]"), std::string("[12345678901234567890123]"), std::string("[4]")}) {
    ASSERT_TRUE(document.parse(text));
    EXPECT_EQ(*validator.is_valid(document), text.find("123") == std::string::npos) << text.substr(0, 30);
    Document moved = std::move(document);
    EXPECT_EQ(*validator.is_valid(moved), text.find("123") == std::string::npos);
    document = std::move(moved);
    EXPECT_FALSE(*validator.is_valid(moved));  // NOLINT(bugprone-use-after-move): null, as promised
  }
  ASSERT_FALSE(document.parse("[1"));
  EXPECT_EQ(validator.validate(document)->violations.at(0).keyword, "type");
}

TEST(JsonSchema, is_the_pipelines_validator) {
  const auto seam = schema_validator(compiled(R"({"required": ["total"]})"));
  Command command{.payload = Payload(std::string("{}")), .content_type = "application/json; charset=utf-8"};
  auto reasons = seam->validate(command);
  ASSERT_EQ(reasons.size(), 1U);
  EXPECT_EQ(reasons[0].code, "schema_required");
  EXPECT_EQ(reasons[0].pointer, "/payload");
  command.payload = Payload(std::string("{"));
  EXPECT_EQ(seam->validate(command).at(0).code, "json_syntax");
  command.content_type = "text/plain";
  EXPECT_TRUE(seam->validate(command).empty());
}

TEST(JsonSchema, is_used_by_many_threads_at_once) {
  const auto validator = compiled(R"J({"items": {"pattern": "^(a|b)+(?!c)"}, "uniqueItems": true})J");
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        if (!*validator.is_valid(R"(["ab", "ba"])") || *validator.is_valid(R"(["ab", "x"])")) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// A verdict by type alone reads only what the document says of itself.
TEST(JsonSchema, what_kind_of_value_a_document_is_goes_with_its_content) {
  const auto strings = compiled(R"({"type": "string"})");
  const auto nulls = compiled(R"({"type": "null"})");
  Document first;
  EXPECT_TRUE(*nulls.is_valid(first));
  ASSERT_TRUE(first.parse(R"("a")"));
  EXPECT_TRUE(*strings.is_valid(first));
  Document second(std::move(first));
  EXPECT_TRUE(*strings.is_valid(second));
  EXPECT_TRUE(*nulls.is_valid(first)) << "what was moved from is null";  // NOLINT(bugprone-use-after-move)
  first = std::move(second);
  EXPECT_TRUE(*strings.is_valid(first));
  EXPECT_TRUE(*nulls.is_valid(second)) << "what was moved from is null";  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(first.parse("{"));
  EXPECT_TRUE(*nulls.is_valid(first)) << "after an error it is null";
  Document::Builder builder;
  builder.string("b");
  EXPECT_TRUE(*strings.is_valid(*std::move(builder).finish()));
}

}  // namespace
