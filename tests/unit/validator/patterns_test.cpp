// What a search by backtracking may read: each of its steps stands for no more than a step may cost, whichever part of a pattern reads.
#include <setget/json_schema.hpp>

#include <chrono>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/sanitized.hpp"

namespace {

using namespace setget::json_schema;
using setget::ErrorCode;

std::string text_of(std::size_t size, char filler) { return '"' + std::string(size, filler) + '"'; }
bool matches(const std::string& pattern, const std::string& text) {
  const auto validator = Validator::compile(R"({"pattern": ")" + pattern + "\"}");
  EXPECT_TRUE(validator) << pattern << ": " << validator.error().describe();
  const auto verdict = validator->is_valid(text);
  EXPECT_TRUE(verdict) << pattern << ": " << verdict.error().describe();
  return verdict && *verdict;
}
void budget_ends_in(const std::string& pattern, const std::string& text) {
  const auto validator = Validator::compile(R"({"pattern": ")" + pattern + "\"}");
  ASSERT_TRUE(validator) << pattern << ": " << validator.error().describe();
  const auto began = std::chrono::steady_clock::now();
  const auto verdict = validator->is_valid(text);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(setget_test::kSanitized ? 120 : 30)) << pattern.substr(0, 100);
  ASSERT_FALSE(verdict) << pattern.substr(0, 100);
  EXPECT_EQ(verdict.error().code(), ErrorCode::kTooLarge);
}

// Once from each place where a match may begin, and each time to the end: that is a step for each character, whoever counts them.
TEST(JsonSchema, a_pattern_that_looks_at_everything_from_everywhere_ends_by_its_budget) {
  const auto budget_ends = [&](const std::string& pattern, char filler) { budget_ends_in(pattern, text_of(200'000, filler)); };
  budget_ends("\\\\s+x(?=y)", ' ');
  budget_ends("\\\\p{Alphabetic}+:", 'a');
  budget_ends("(?!a*$)", 'a');
  budget_ends("(?!\\\\d*$)", '7');
  budget_ends("(?=[a-z]*)\\\\d", 'a');
  budget_ends("(?=[ab]{50000})c", 'a');
  budget_ends("(a+)\\\\1b", 'a');
  EXPECT_TRUE(matches("^\\\\p{Alphabetic}+$", text_of(100'000, 'a'))) << "one look is none too many";
}

TEST(JsonSchema, what_a_pattern_reads_without_a_choice_is_counted_wherever_it_stands) {
  const auto budget_ends = [&](const std::string& pattern) { budget_ends_in(pattern, text_of(1'000'000, 'a')); };
  const auto times = [](int count, const std::string& part) {
    std::string all;
    for (int i = 0; i < count; ++i) all += part;
    return all;
  };
  budget_ends("(?=a)" + times(20'000, "a") + "[bc]");
  budget_ends("(?=a)(?:aa){3000}b");
  budget_ends("(?=a)(?:(a)a){2000}b");
  budget_ends("(?<=a{60000})[bc]a");
  budget_ends("(?<!a{60000}|b{50000})[bc]a");
  budget_ends("(?=\\\\w{1,60000})c");
  budget_ends("(?=(?:[ab]{1000}(?=x)|[ab]{1000}(?=y)|[ab]*))c");
  budget_ends("(?i:(a+)\\\\1b)");
  budget_ends("(?=(?<x>a*))\\\\k<x>c");
  budget_ends(times(60, "(?=") + "a*" + times(60, ")a*") + "[bc]");
  // However short the text is, where there are many ways to come to the same place.
  budget_ends_in("^(?:a|a)*(?=a|!)" + times(15'000, "\\\\b") + "[xy]", '"' + std::string(30, 'a') + "!\"");
}

// PCRE2 goes through all ranges of a class for each character, and keeps all groups at each choice.
TEST(JsonSchema, a_step_of_a_pattern_with_large_classes_or_many_groups_counts_as_several) {
  const auto ranges = [](unsigned count) {
    std::string all;
    for (unsigned i = 0; i < count; ++i) all += fmt::format("\\u{:04x}-\\u{:04x}", 0x3400 + 3 * i, 0x3401 + 3 * i);
    return all;
  };
  std::string last;  // the last of them, which is found after all others
  for (int i = 0; i < 60'000; ++i) last += "\u6E95";
  budget_ends_in("(?!b)[" + ranges(5'000) + "]*$", '"' + last + "!\"");
  std::string properties;
  for (int i = 0; i < 3'000; ++i) properties += "\\\\p{Lu}";
  budget_ends_in("(?!b)[" + properties + "\\\\p{Ll}]*$", text_of(180'000, 'x').insert(180'000, "!"));
  std::string groups;
  for (int i = 0; i < 3'000; ++i) groups += "(a)?";
  budget_ends_in("^(?=.)(?:" + groups + "b)*$", '"' + std::string(1'000'000, 'b') + "!\"");
  // Of ordinary size they are what they were.
  EXPECT_TRUE(matches("^(?!b)[" + ranges(100) + "x]*$", text_of(50'000, 'x')));
}

TEST(JsonSchema, what_counts_what_a_pattern_reads_changes_no_verdict) {
  for (const auto size : {255, 256, 257, 299, 300, 301, 512, 513, 1000, 1300, 1301}) {
    const auto text = text_of(static_cast<std::size_t>(size), 'a');
    EXPECT_EQ(matches("^(?!b)a{300}$", text), size == 300) << size;
    EXPECT_EQ(matches("^(?!b)(?:a){300}$", text), size == 300) << size;
    EXPECT_EQ(matches("^(?!b)a{300,1300}$", text), size >= 300 && size <= 1300) << size;
    EXPECT_EQ(matches("^(?!b)a{300,1300}?$", text), size >= 300 && size <= 1300) << size;
    EXPECT_EQ(matches("^(?!b)a{513,}$", text), size >= 513) << size;
    EXPECT_EQ(matches("(?<=^a{300})$", text), size == 300) << size;
    EXPECT_EQ(matches("^(?=a{100,}(?:$|b))(a{200})\\\\1?a*$", text), true) << size;
    EXPECT_EQ(matches("^(?:(a)(?:a|b)){256}(?=a?$)", text), size == 512 || size == 513) << size;
  }
  EXPECT_FALSE(matches("(?<![a-z])[A-Z0-9]{100,300}(?![a-z])", text_of(1'000'000, 'a'))) << "what is not read is not paid for";
  const std::string amount =
      "[+-]?\\\\(?\\\\$? ?\\\\d{0,3},?\\\\d{0,3},?\\\\d{0,3},?\\\\d{0,3}\\\\.?\\\\d{0,2}\\\\)? ?(?:USD|EUR|GBP)(?!\\\\w)";
  EXPECT_FALSE(matches(amount, text_of(200'000, 'x'))) << "nor is it twice";
  const auto amounts = Validator::compile(R"({"items": {"pattern": ")" + amount + "\"}}");
  std::string many = "[" + text_of(300, 'x');
  for (int i = 1; i < 1'000; ++i) many += "," + text_of(300, 'x');
  EXPECT_FALSE(*amounts->is_valid(many + "]"));
  EXPECT_TRUE(matches("^(?!.*foo)(?=.*bar)(?=.*[0-9]$).+$", '"' + std::string(50'000, 'x') + "bar" + std::string(50'000, 'y') + "7\""));
  EXPECT_TRUE(matches("(['!])[^'!]*\\\\1", '"' + std::string(100'000, 'x') + "'" + std::string(100'000, 'y') + "'\""));
}

}  // namespace
