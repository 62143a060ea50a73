// Hostile expressions and documents: an error in bounded time and memory, never a hang or a crash.
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
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

// What all of these look at is one text, one number or one name. The same with short ones takes a hundredth of the steps.
TEST(JmespathLimits, count_how_long_texts_numbers_and_names_are) {
  const auto document = [](std::size_t length) {
    const std::string a(length, 'a');
    const std::string number = "0." + std::string(length, '3');
    const std::string l = "[0" + repeat(",0", 99) + "]";
    return R"({"l":)" + l + R"(,"n":)" + number + R"(,"digits":")" + number + R"(","a":")" + a + R"(","b":")" + a.substr(1) +
           R"(b","o":{")" + a + R"(":1},"p":{")" + a + R"(":1,"x":2}})";
  };
  const auto of_each = [](std::string_view what) { return "let $r = @ in l[?" + std::string(what) + "]"; };
  constexpr std::uint64_t kSteps = 20'000;
  for (const std::string_view what : {"$r.n < `1`",
                                      "`1` >= $r.n",
                                      "$r.n == @",
                                      "@ != $r.n",
                                      "contains([@], $r.n)",
                                      "contains($r.[b, b], $r.a)",
                                      "contains($r.[n, n], @)",
                                      "$r.a == $r.b",
                                      "starts_with($r.a, $r.a)",
                                      "ends_with($r.a, $r.a)",
                                      "to_number($r.digits)",
                                      "sum([$r.n])",
                                      "avg([@, $r.n])",
                                      "abs($r.n)",
                                      "ceil($r.n)",
                                      "floor($r.n)",
                                      "max([$r.n])",
                                      "min([$r.n])",
                                      "max($r.[a, b])",
                                      "min($r.[a, b])",
                                      "max_by($r.[{x: a}, {x: b}], &x)",
                                      "min_by($r.[{x: n}], &x)",
                                      "sort($r.[a, b])",
                                      "sort([$r.n])",
                                      "sort_by($r.[{x: n}], &x)",
                                      "merge($r.o, $r.p)",
                                      "$r.o == $r.o",
                                      "$r.p == merge(`{\"x\": 2}`, $r.o)",
                                      "to_string($r.n)",
                                      "length($r.a)",
                                      "reverse($r.a)",
                                      "join($r.a, ['', ''])",
                                      "contains($r.a, 'b')"}) {
    EXPECT_EQ(refused(of_each(what), document(20'000), {.let_expressions = true, .max_steps = kSteps}), ErrorCode::kTooLarge) << what;
    EXPECT_EQ(refused(of_each(what), document(200), {.let_expressions = true, .max_steps = kSteps}), ErrorCode{}) << what;
  }
  const auto long_name = of_each("$r.o.\"" + std::string(20'000, 'a') + "\"");
  EXPECT_EQ(refused(long_name, document(20'000), {.let_expressions = true, .max_steps = kSteps}), ErrorCode::kTooLarge);
  EXPECT_EQ(refused(long_name, document(200)), ErrorCode{});
}

// The length of a text is none of those that are told apart without looking at it.
TEST(JmespathLimits, charge_nothing_for_texts_that_are_not_looked_at) {
  const std::string a(1'000'000, 'a');
  const std::string json =
      R"({"l":[0)" + repeat(",0", 99) + R"(],"a":")" + a + R"(","b":")" + a + R"(b","n":1)" + repeat("0", 1'000'000) + "}";
  for (const std::string_view what :
       {"$r.a == $r.b", "contains($r.[b, n], $r.a)", "starts_with($r.a, $r.b)", "$r.a.x", "$r.n.x", "$r.a == $r.n", "type($r.n)"})
    EXPECT_EQ(refused("let $r = @ in l[?" + std::string(what) + "]", json, {.let_expressions = true, .max_steps = 10'000}), ErrorCode{})
        << what;
}

TEST(JmespathLimits, may_be_without_a_bound_of_bytes) {
  const auto all = std::numeric_limits<std::size_t>::max();
  const auto document = Document::parse(R"([1,2])").value();
  const auto expression = Expression::compile("map(&[@], @)", {.max_result_bytes = all}).value();
  Workspace workspace;
  workspace.copy("what is there before");
  EXPECT_EQ(expression.evaluate(document, workspace).value().json().value(), "[[1],[2]]");
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
