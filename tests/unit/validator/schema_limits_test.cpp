// What a hostile schema or document may cost: memory in proportion to the schema, work within a budget. Counted, not timed, wherever
// something can be counted.
#include <setget/json_schema.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "support/allocations.hpp"
#include "support/sanitized.hpp"

namespace {

using namespace setget::json_schema;
using setget::ErrorCode;

std::string listed(int count, const std::function<std::string(int)>& item) {
  std::string all;
  for (int i = 0; i < count; ++i) all += (i > 0 ? "," : "") + item(i);
  return all;
}

// Bytes that compiling a schema allocates; 0 under a sanitizer.
std::size_t bytes_to_compile(const std::string& schema, const Options& options = {}) {
  const auto before = allocated_bytes();
  const auto compiled = Validator::compile(schema, options);
  const auto after = allocated_bytes();
  EXPECT_TRUE(compiled) << compiled.error().describe();
  return after.value_or(0) - before.value_or(0);
}

// `schema(n)` is about n times a few bytes: four times as large must not take sixteen times the memory.
void grows_no_faster_than(const std::function<std::string(int)>& schema, int n) {
  if (!allocated_bytes()) GTEST_SKIP() << "a sanitizer has its own operator new";
  bytes_to_compile(schema(1));  // the metaschema, once per process
  const auto small = bytes_to_compile(schema(n));
  const auto large = bytes_to_compile(schema(4 * n));
  EXPECT_LT(large, 6 * small) << small << " bytes for " << schema(n).size() << ", " << large << " for " << schema(4 * n).size();
}

std::string users_of(const std::string& big, int users) {
  return R"({"$defs": {"big": )" + big + R"(}, "properties": {)" +
         listed(users, [](int i) { return "\"" + std::to_string(i) + R"(": {"allOf": [{"$ref": "#/$defs/big"}, {"minLength": 1}]})"; }) +
         "}}";
}

TEST(JsonSchemaLimits, a_union_that_many_schemas_refer_to_is_not_copied_into_each) {
  grows_no_faster_than([](int n) { return users_of(R"({"anyOf": [)" + listed(n, [](int) { return "{}"; }) + "]}", n); }, 1000);
}

TEST(JsonSchemaLimits, long_names_that_many_schemas_refer_to_are_not_copied_into_each) {
  const auto schema = [](int n) {
    return R"({"$defs": {"big": {"required": [")" + std::string(static_cast<std::size_t>(n) * 100, 'x') + R"("]}}, "properties": {)" +
           listed(n, [](int i) { return "\"" + std::to_string(i) + R"(": {"allOf": [{"$ref": "#/$defs/big"}, {"required": ["a"]}]})"; }) +
           "}}";
  };
  grows_no_faster_than(schema, 500);
}

TEST(JsonSchemaLimits, what_many_parts_say_of_any_name_is_not_repeated_for_each_name) {
  const auto schema = [](int n) {
    return R"({"allOf": [)" +
           listed(n,
                  [](int i) {
                    return R"({"properties": {")" + std::to_string(i) +
                           R"(": {"minLength": 1}}, "additionalProperties": {"maxLength": 9}})";
                  }) +
           "]}";
  };
  grows_no_faster_than(schema, 500);
  const auto validator = Validator::compile(schema(2000));
  ASSERT_TRUE(validator) << validator.error().describe();
  EXPECT_TRUE(*validator->is_valid(R"({"7": "a", "x": ""})"));
  EXPECT_FALSE(*validator->is_valid(R"({"7": "", "x": ""})"));
  EXPECT_FALSE(*validator->is_valid(R"({"x": "0123456789"})"));
}

void is_too_large(const std::string& schema, std::string_view field, const Options& options = {}) {
  const auto refused = Validator::compile(schema, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kTooLarge) << refused.error().describe();
  EXPECT_EQ(refused.error().field(), field);
}

// `base`: of the root. Each of the other resources has it in its own URI.
std::string resources(const std::string& base, int count) {
  return R"({"$id": ")" + base + R"(", "$defs": {)" +
         listed(count, [](int i) { return "\"" + std::to_string(i) + R"(": {"$id": "r)" + std::to_string(i) + "\"}"; }) + "}}";
}

TEST(JsonSchemaLimits, a_uri_is_of_bounded_length) {
  is_too_large(resources("http://x/" + std::string(100'000, 'a') + "/", 1), "#/$id");
  is_too_large(R"({"items": {"$id": "http://x/)" + std::string(100'000, 'a') + "\"}}", "#/items/$id");
  const auto based = Validator::compile("true", {.base_uri = "http://x/" + std::string(100'000, 'a')});
  ASSERT_FALSE(based);
  EXPECT_EQ(based.error().code(), ErrorCode::kTooLarge);
  EXPECT_LT(based.error().message().size(), 1000U);
  EXPECT_TRUE(Validator::compile(resources("http://x/" + std::string(8000, 'a') + "/", 1)));
}

TEST(JsonSchemaLimits, uris_of_many_resources_take_no_more_than_a_multiple_of_the_schema) {
  const auto base = "http://x/" + std::string(8000, 'a') + "/";
  const auto refused = Validator::compile(resources(base, 800));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kTooLarge);
  const auto field = refused.error().field();
  EXPECT_TRUE(field.starts_with(base + "#/$defs/") && field.ends_with("/$id")) << field;
  EXPECT_TRUE(Validator::compile(resources(base, 100)));
  EXPECT_TRUE(Validator::compile(resources("http://json-schema.org/a/path/of/usual/length/", 20'000)));
}

std::string repeated(std::size_t times, std::string_view text) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}
std::string in_quotes(const std::string& text) { return '"' + text + '"'; }

// Each of these took minutes or gigabytes: names were looked for from every group, and every group compared with every other.
TEST(JsonSchemaLimits, a_text_is_found_to_be_a_pattern_or_none_in_time_linear_in_it) {
  const auto validator = Validator::compile(R"({"format": "regex"})", {.assert_formats = true});
  ASSERT_TRUE(validator);
  const auto began = std::chrono::steady_clock::now();
  constexpr std::size_t kMany = 150'000;
  EXPECT_FALSE(*validator->is_valid(in_quotes(repeated(8 * kMany, "(?<"))));
  EXPECT_FALSE(*validator->is_valid(in_quotes(repeated(kMany, "(?<a") + ">")));
  EXPECT_TRUE(*validator->is_valid(in_quotes(repeated(kMany, "(?<a>)|") + "\\\\k<a>")));
  std::string named;
  for (std::size_t i = 0; i < kMany; ++i) named += "(?<a" + std::to_string(i) + ">)\\\\k<a" + std::to_string(i) + ">";
  EXPECT_TRUE(*validator->is_valid(in_quotes(named)));
  EXPECT_FALSE(*validator->is_valid(in_quotes(named + "(?<a7>)")));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(setget_test::kSanitized ? 120 : 20));
  if (!allocated_bytes()) return;
  const auto compiled = Validator::compile(R"({"pattern": ")" + repeated(1000, "((a{60000}){60000})") + "\"}");
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().code(), ErrorCode::kTooLarge);
  const auto before = *allocated_bytes();
  EXPECT_TRUE(*validator->is_valid(in_quotes(repeated(1000, "((a{60000}){60000})"))));
  EXPECT_TRUE(*validator->is_valid(in_quotes(repeated(190, "(") + repeated(10'000, "a") + repeated(190, ")"))));
  EXPECT_LT(*allocated_bytes() - before, 10u << 20);
}

// PCRE2 would take them, and then go over its steps on some of the texts.
TEST(JsonSchemaLimits, a_pattern_too_large_for_re2_is_refused_by_name) {
  const std::string large = R"j({"items": {"pattern": "(?:[\\p{L}\\p{N}]{1,1000}x)*y"}})j";
  is_too_large(large, "#/items/pattern");
  const auto refused = Validator::compile(large);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("8388608 bytes (max_pattern_memory)"), std::string::npos);
  EXPECT_TRUE(Validator::compile(large, {.limits = {.max_pattern_memory = 64u << 20}}));
  is_too_large(R"j({"pattern": "^x|[\\p{L}\\p{N}]{1000}y"})j", "#/pattern");
  const auto one_way = Validator::compile(R"j({"pattern": "^[\\p{L}\\p{N}]{1,1000}$"})j");
  ASSERT_TRUE(one_way) << "here PCRE2 has no choice but of one number";
  EXPECT_TRUE(*one_way->is_valid(in_quotes(repeated(1000, "a"))));
  EXPECT_FALSE(*one_way->is_valid(in_quotes(repeated(1001, "a"))));
}

TEST(JsonSchemaLimits, repetitions_within_repetitions_are_searched_in_linear_time) {
  const auto validator = Validator::compile(R"j({"pattern": "(?:[ab]{1,63}){2,100}(?:c{30}){40}d"})j");
  ASSERT_TRUE(validator) << validator.error().describe();
  EXPECT_TRUE(*validator->is_valid(in_quotes("ab" + repeated(1200, "c") + "d")));
  EXPECT_FALSE(*validator->is_valid(in_quotes("a" + repeated(1200, "c") + "d")));
  EXPECT_FALSE(*validator->is_valid(in_quotes("ab" + repeated(1199, "c") + "d")));
  const auto verdict = validator->is_valid(in_quotes(repeated(2000, "ab")));
  ASSERT_TRUE(verdict) << verdict.error().describe();
  EXPECT_FALSE(*verdict);
}

// Where there are too many states for an automaton RE2 goes on without one, at the cost of all of them for each byte.
TEST(JsonSchemaLimits, a_search_is_counted_by_what_it_may_have_to_look_at) {
  std::string text;
  std::uint32_t random = 1;
  for (int i = 0; i < 50'000; ++i) text += ((random = random * 1664525 + 1013904223) >> 31) != 0 ? 'a' : 'b';
  const auto verdict_of = [&](const std::string& pattern) {
    const auto validator = Validator::compile(R"({"pattern": ")" + pattern + "\"}", {.limits = {.max_steps = 1'000'000}});
    return validator ? validator->is_valid(in_quotes(text)) : validator.error();
  };
  const auto many = verdict_of("(?:a|b)*a(?:a|b){1000}c");
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code(), ErrorCode::kTooLarge);
  for (const auto* pattern : {"(^|,)a(?:a|b){1000}c", "^x|a(?:a|b){1000}c"}) {
    const auto anywhere = verdict_of(pattern);
    ASSERT_FALSE(anywhere) << pattern << " can begin anywhere";
    EXPECT_EQ(anywhere.error().code(), ErrorCode::kTooLarge);
  }
  const auto few = verdict_of("^(?:a+|b+)*$");
  ASSERT_TRUE(few) << few.error().describe();
  EXPECT_TRUE(*few);
}

// Within so many steps, for the verdict and for the list of violations alike.
void takes_more_than(std::size_t steps, const std::string& schema, const std::string& document) {
  const auto validator = Validator::compile(schema, {.assert_formats = true, .assert_content = true, .limits = {.max_steps = steps}});
  ASSERT_TRUE(validator) << validator.error().describe();
  const auto verdict = validator->is_valid(document);
  EXPECT_TRUE(!verdict && verdict.error().code() == ErrorCode::kTooLarge) << "verdict: " << schema.substr(0, 200);
  const auto report = validator->validate(document);
  EXPECT_TRUE(!report && report.error().code() == ErrorCode::kTooLarge) << "report: " << schema.substr(0, 200);
}

// What PCRE2 tries is bounded for each search, so all searches together need a bound too.
TEST(JsonSchemaLimits, searches_that_try_much_are_counted_by_what_they_may_try) {
  const std::string tries_much = R"("^(?=(a+)+$).*b")";
  const auto texts = [](int count) { return "[" + listed(count, [](int) { return in_quotes(repeated(13, "a") + "!b"); }) + "]"; };
  const auto schema = R"({"items": {"pattern": )" + tries_much + "}}";
  const auto few = Validator::compile(schema, {.limits = {.max_steps = 10'000'000}});
  ASSERT_TRUE(few) << few.error().describe();
  const auto verdict = few->is_valid(texts(5));
  ASSERT_TRUE(verdict) << verdict.error().describe();
  EXPECT_FALSE(*verdict);
  takes_more_than(10'000'000, R"({"items": {"not": {"pattern": )" + tries_much + "}}}", texts(1000));
  std::string names;
  for (int i = 0; i < 100; ++i) names += (i > 0 ? ", \"" : "\"") + repeated(13, "a") + "!b" + std::to_string(i) + R"(": {})";
  is_too_large(R"({"patternProperties": {)" + tries_much + R"(: {"minLength": 1}}, "properties": {)" + names + "}}", "#/patternProperties",
               {.limits = {.max_steps = 10'000'000}});
}

TEST(JsonSchemaLimits, long_division_is_counted_before_it_is_done) {
  const auto digits = [](std::size_t count) { return "1" + repeated(count - 2, "3") + "7"; };
  const auto validator = Validator::compile(R"({"multipleOf": )" + digits(200'000) + "}");
  ASSERT_TRUE(validator);
  const auto began = std::chrono::steady_clock::now();
  const auto verdict = validator->is_valid(digits(200'001));
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code(), ErrorCode::kTooLarge);
  EXPECT_FALSE(*validator->is_valid(digits(199'999))) << "less than its divisor";
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
  const auto small = Validator::compile(R"({"multipleOf": )" + digits(30) + "}");
  EXPECT_TRUE(*small->is_valid(digits(30) + "e1000"));
  EXPECT_FALSE(*small->is_valid(digits(60)));
}

std::string members(int count) {
  return "{" + listed(count, [](int i) { return "\"" + std::to_string(i) + "\": 1"; }) + "}";
}

TEST(JsonSchemaLimits, a_look_at_every_member_is_counted_whoever_looks) {
  const auto large = members(10'000);
  takes_more_than(1000, R"({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]})", large);
  takes_more_than(1000, R"({"unevaluatedProperties": {"type": "integer"}})", large);
  takes_more_than(1000, R"({"properties": {"a": {"minimum": 1}}})", large);
  takes_more_than(1000, R"({"items": {"type": "integer"}})", "[" + listed(10'000, [](int) { return "1"; }) + "]");
  // More than 64 branches, of which each has a bit for each member.
  const auto many = listed(200, [](int i) { return R"({"required": ["a)" + std::to_string(i) + R"("]})"; });
  takes_more_than(30'000, R"({"oneOf": [)" + many + "]}", large);
}

TEST(JsonSchemaLimits, marks_of_what_is_evaluated_are_counted_for_each_branch) {
  const auto branches = listed(100, [](int i) { return R"({"not": {"const": "a)" + std::to_string(i) + R"("}})"; });
  takes_more_than(20'000, R"({"anyOf": [)" + branches + R"(], "unevaluatedItems": {"type": "integer"}})",
                  "[" + listed(20'000, [](int) { return "1"; }) + "]");
}

TEST(JsonSchemaLimits, what_reads_a_long_text_is_counted_by_its_length) {
  const auto text = "\"a:" + repeated(100'000, "/") + '"';
  for (const auto* format : {"uri", "iri-reference", "json-pointer", "email", "regex", "idn-hostname"})
    takes_more_than(1000, R"({"format": ")" + std::string(format) + "\"}", text);
  takes_more_than(1000, R"({"minLength": 50000})", text);
  takes_more_than(1000, R"({"$schema": "http://json-schema.org/draft-07/schema#", "contentEncoding": "base64"})", text);
  takes_more_than(1000, R"({"const": [")" + repeated(100'000, "a") + "\"]}", "[\"" + repeated(100'000, "a") + "\"]");
  const auto digits = repeated(100'000, "7");
  takes_more_than(1000, R"({"minimum": 1})", digits);
  takes_more_than(1000, R"({"type": "integer", "maxLength": 1})", digits + ".0");
  takes_more_than(1000, R"({"enum": [1.5, 2.5]})", digits);
  takes_more_than(1000, R"({"uniqueItems": true})", "[[" + digits + "],[1]]");
  takes_more_than(1000, R"({"const": [)" + digits + "]}", "[" + digits + "]");
  takes_more_than(1000, R"({"enum": [[1], [)" + digits + "]]}", "[" + digits + "]");
  const auto idn = Validator::compile(R"({"format": "idn-hostname"})", {.assert_formats = true});
  EXPECT_FALSE(*idn->is_valid(in_quotes(repeated(100'000, "\u00e9.") + "a")));
}

}  // namespace
