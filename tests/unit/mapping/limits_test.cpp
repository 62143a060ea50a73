// Hostile expressions and documents: an error in bounded time and memory, never a hang or a crash.
#include <gtest/gtest.h>

#include <chrono>
#include <setget/jmespath.hpp>

namespace {

using namespace setget;
using namespace setget::jmespath;

std::string repeat(std::string_view part, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += part;
  return out;
}

ErrorCode refused(std::string_view expression, std::string_view json = "{}", Options options = {.let_expressions = true}) {
  const auto compiled = Expression::compile(expression, options);
  if (!compiled) return compiled.error().code();
  const auto document = Document::parse_borrowed(json).value();
  Workspace workspace;
  const auto value = compiled->evaluate(document, workspace);
  return value ? ErrorCode{} : value.error().code();
}

TEST(JmespathLimits, bound_the_depth_of_an_expression_whatever_nests) {
  for (const auto& text :
       {repeat("(", 5000) + "a", repeat("[", 5000), repeat("!", 5000) + "a", repeat("a|", 5000) + "a", repeat("a||", 5000) + "a",
        repeat("{a:", 5000), repeat("not_null(", 5000), repeat("[?", 5000), repeat("[0]", 5000), "a" + repeat("[*]", 5000),
        repeat("let $x = a in ", 5000) + "a", repeat("a==", 5000) + "a", repeat("[]", 5000), "a" + repeat(".*", 5000),
        "`" + repeat("[", 5000) + repeat("]", 5000) + "`", "a" + repeat(".[b]", 5000)})
    EXPECT_EQ(refused(text), ErrorCode::kTooLarge) << text.substr(0, 20);
}

TEST(JmespathLimits, allow_long_paths_and_wide_lists) {
  EXPECT_EQ(refused("a" + repeat(".a", 20'000)), ErrorCode{});
  EXPECT_EQ(refused("[a" + repeat(",a", 20'000) + "]"), ErrorCode{});
  EXPECT_EQ(refused(repeat("(", 200) + "a" + repeat(")", 200)), ErrorCode{});
}

TEST(JmespathLimits, bound_the_length_of_an_expression) {
  EXPECT_EQ(refused(repeat("a", 65'537)), ErrorCode::kTooLarge);
  EXPECT_EQ(refused("abc", "{}", {.max_expression_bytes = 2}), ErrorCode::kTooLarge);
  EXPECT_EQ(refused("abc", "{}", {.max_expression_depth = 0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused("abc", "{}", {.max_expression_depth = 513}), ErrorCode::kInvalidArgument);
}

TEST(JmespathLimits, bound_the_depth_and_size_of_a_document) {
  EXPECT_TRUE(Document::parse(repeat("[", 1024) + repeat("]", 1024)));
  EXPECT_EQ(Document::parse(repeat("[", 1025) + repeat("]", 1025)).error().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(Document::parse(repeat("[", 1'000'000)).error().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(Document::parse("[1,2]", {.max_bytes = 4}).error().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(Document::parse("[[1]]", {.max_depth = 1}).error().code(), ErrorCode::kTooLarge);
}

// Doubles forty times: a few bytes in memory, a terabyte of JSON.
TEST(JmespathLimits, bound_what_a_repeated_value_takes_to_write_compare_or_convert) {
  const std::string doubled = "a" + repeat(" | [@, @]", 40);
  const auto document = Document::parse(R"({"a":1})").value();
  Workspace workspace;
  const auto expression = Expression::compile(doubled).value();
  const auto value = expression.evaluate(document, workspace).value();
  EXPECT_EQ(value.json(1u << 20).error().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(refused(doubled + " | to_string(@)", R"({"a":1})"), ErrorCode::kTooLarge);
  EXPECT_EQ(refused(doubled + " | [@[0] == @[1]]", R"({"a":1})"), ErrorCode::kTooLarge);
  EXPECT_EQ(refused(doubled + " | contains(@, @[0])", R"({"a":1})"), ErrorCode::kTooLarge) << "compared in depth";
  EXPECT_EQ(refused("a" + repeat(" | [@, @][]", 40), R"({"a":1})"), ErrorCode::kTooLarge);
}

TEST(JmespathLimits, bound_the_steps_of_nested_loops) {
  std::string list = "[0";
  for (int i = 1; i < 2000; ++i) list += "," + std::to_string(i);
  list += "]";
  EXPECT_EQ(refused("let $all = @ in [*].[let $x = @ in $all[?@ == $x]]", list, {.let_expressions = true, .max_steps = 100'000}),
            ErrorCode::kTooLarge);
  EXPECT_EQ(refused("[?@ > `5`] | length(@)", list), ErrorCode{});
  EXPECT_EQ(refused("[?@ > `5`] | length(@)", list, {.max_steps = 100}), ErrorCode::kTooLarge);
  EXPECT_EQ(refused("map(&[@, @, @, @], @)", list, {.max_result_bytes = 10'000}), ErrorCode::kTooLarge);
  EXPECT_EQ(refused("[*].[@]", list, {.max_result_bytes = 10'000}), ErrorCode::kTooLarge);
  EXPECT_EQ(refused("join('0123456789', map(&to_string(@), @))", list, {.max_result_bytes = 60'000}), ErrorCode::kTooLarge);
}

// Names that hash alike are told apart one by one; that must not be free. Counted by look-ups alone these would be 40 000 steps.
TEST(JmespathLimits, count_what_it_takes_to_tell_names_apart) {
  std::string object = "{";
  for (int i = 0; i < 20'000; ++i) object += "\"12345678" + std::to_string(100'000 + i) + "12345678\":1,";
  object.back() = '}';
  EXPECT_EQ(refused("let $o = @ in values(@)[*].[$o.\"1234567819999912345678\", $o.\"12345678xxxxxx12345678\"]", object,
                    {.let_expressions = true, .max_steps = 1'000'000}),
            ErrorCode::kTooLarge);
}

TEST(JmespathLimits, look_for_a_word_in_linear_time) {
  const std::string text = repeat("a", 4'000'000);
  const std::string json = "[\"" + text + "\",\"" + repeat("a", 1'000'000) + "b" + repeat("a", 1'000'000) + "\"]";
  const auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(refused("contains([0], [1])", json), ErrorCode{});
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(20));
}

TEST(JmespathLimits, leave_a_workspace_usable) {
  const auto document = Document::parse("[1,2,3]").value();
  Workspace workspace;
  const auto limited = Expression::compile("[*].[@] | to_string(@)", {.max_steps = 5}).value();
  const auto wrong = Expression::compile("[*].length(@)").value();
  const auto sum = Expression::compile("sum(@)").value();
  const auto wrapped = Expression::compile("[*].[@]").value();
  EXPECT_FALSE(limited.evaluate(document, workspace));
  EXPECT_FALSE(wrong.evaluate(document, workspace));
  EXPECT_EQ(sum.evaluate(document, workspace).value().integer(), 6);
  workspace.clear();
  EXPECT_EQ(wrapped.evaluate(document, workspace).value().json().value(), "[[1],[2],[3]]");
}

}  // namespace
