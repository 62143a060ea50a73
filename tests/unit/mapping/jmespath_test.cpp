// What the compliance cases do not ask: let, exact numbers, order of members, positions of errors, values without copies.
#include <gtest/gtest.h>

#include <setget/jmespath.hpp>
#include <thread>

namespace {

using namespace setget;
using namespace setget::jmespath;

struct Answer {
  std::string text;      // JSON, or the reason's code
  std::size_t position;  // of an error
  friend bool operator==(const Answer&, const Answer&) = default;
};

Answer ask(std::string_view expression, std::string_view json, Options options = {.let_expressions = true}) {
  const auto document = Document::parse_borrowed(json).value();
  const auto compiled = Expression::compile(expression, options);
  const auto failed = [](const Error& error) { return Answer{error.reasons().at(0).code, error.position().value()}; };
  if (!compiled) return failed(compiled.error());
  Workspace workspace;
  const auto value = compiled->evaluate(document, workspace);
  if (!value) return failed(value.error());
  return {value->json().value(), 0};
}
std::string value_of(std::string_view expression, std::string_view json) { return ask(expression, json).text; }

TEST(Jmespath, binds_variables_in_a_let) {
  EXPECT_EQ(value_of("let $x = a in b[*].[@, $x]", R"({"a":1,"b":[2,3]})"), "[[2,1],[3,1]]");
  EXPECT_EQ(value_of("let $x = a, $y = b in {x: $x, y: $y}", R"({"a":1,"b":[2]})"), R"({"x":1,"y":[2]})");
  EXPECT_EQ(value_of("let $x = a in $x.b[0]", R"({"a":{"b":[7]}})"), "7");
  EXPECT_EQ(value_of("let $want = w in items[?kind == $want].n", R"({"w":"b","items":[{"kind":"a","n":1},{"kind":"b","n":2}]})"), "[2]");
  EXPECT_EQ(value_of("let $k = `2` in sort_by(@, &mod_is.$k)", "[]"), "syntax");
  EXPECT_EQ(value_of("let $k = k in map(&[@, $k], l)", R"({"k":0,"l":[1,2]})"), "[[1,0],[2,0]]");
}

TEST(Jmespath, hides_an_outer_variable_only_inside_an_inner_let) {
  EXPECT_EQ(value_of("let $x = a in [let $x = b in $x, $x]", R"({"a":1,"b":2})"), "[2,1]");
  EXPECT_EQ(value_of("let $x = a in let $x = [$x, `9`] in $x", R"({"a":1})"), "[1,9]");
  EXPECT_EQ(value_of("let $x = a in let $y = b, $z = $x in [$x, $y, $z]", R"({"a":1,"b":2})"), "[1,2,1]");
}

TEST(Jmespath, refuses_variables_that_are_not_defined_where_they_stand) {
  EXPECT_EQ(ask("$x", "{}"), (Answer{"undefined-variable", 0}));
  EXPECT_EQ(ask("[let $x = a in $x, $x]", "{}"), (Answer{"undefined-variable", 19}));
  EXPECT_EQ(ask("let $x = a, $y = $x in $y", "{}"), (Answer{"undefined-variable", 17}));
}

TEST(Jmespath, keeps_let_and_in_as_names_of_members) {
  EXPECT_EQ(value_of("let", R"({"let":1})"), "1");
  EXPECT_EQ(value_of("let.in", R"({"let":{"in":2}})"), "2");
  EXPECT_EQ(value_of("let $let = let in $let", R"({"let":3})"), "3");
}

TEST(Jmespath, knows_let_only_where_it_is_switched_on) {
  EXPECT_EQ(ask("let $x = a in $x", "{}", {}), (Answer{"syntax", 4}));
  EXPECT_EQ(ask("a = b", "{}", {}), (Answer{"syntax", 2}));
}

TEST(Jmespath, names_the_position_of_a_mistake) {
  EXPECT_EQ(ask("foo.bar[", "{}"), (Answer{"syntax", 8}));
  EXPECT_EQ(ask("foo.`1`", "{}"), (Answer{"syntax", 4}));
  EXPECT_EQ(ask("a || nope(@)", "{}"), (Answer{"unknown-function", 5}));
  EXPECT_EQ(ask("a || length(@, @)", "{}"), (Answer{"invalid-arity", 5}));
  EXPECT_EQ(ask("a || length(`1`)", "{}"), (Answer{"invalid-type", 5}));
  EXPECT_EQ(ask("a[1:2:0]", "{}"), (Answer{"invalid-value", 6}));
  EXPECT_EQ(ask("\"\\ud800\"", "{}"), (Answer{"syntax", 1}));
  EXPECT_EQ(ask("a \xff", "{}"), (Answer{"syntax", 0}));
  EXPECT_EQ(ask("`{\"a\":}`", "{}"), (Answer{"syntax", 0}));
  EXPECT_EQ(ask("&a", "{}"), (Answer{"syntax", 0}));
  EXPECT_EQ(ask("sort_by(@, a)", "[]"), (Answer{"invalid-type", 11}));
  EXPECT_EQ(ask("length(&a)", "[]"), (Answer{"invalid-type", 8}));
}

TEST(Jmespath, keeps_integers_exact) {
  EXPECT_EQ(value_of("@", "123456789012345678901234567890"), "123456789012345678901234567890");
  EXPECT_EQ(value_of("to_string(@)", "12345678901234567890123"), "\"12345678901234567890123\"");
  EXPECT_EQ(value_of("to_number(@)", "\"12345678901234567890123\""), "12345678901234567890123");
  EXPECT_EQ(value_of("sum(@)", "[9007199254740993, 1]"), "9007199254740994");
  EXPECT_EQ(value_of("sum(@)", "[18446744073709551614, 1]"), "18446744073709551615");
  EXPECT_EQ(value_of("sum(@)", "[9223372036854775807, -9223372036854775808]"), "-1");
  EXPECT_EQ(value_of("avg(@)", "[9007199254740993, 9007199254740993]"), "9007199254740993");
  EXPECT_EQ(value_of("abs(@)", "-9223372036854775808"), "9223372036854775808");
  EXPECT_EQ(value_of("max(@)", "[9007199254740992, 9007199254740993]"), "9007199254740993");
  EXPECT_EQ(value_of("sort(@)", "[18446744073709551615, 18446744073709551614, -1, 1.5]"),
            "[-1,1.5,18446744073709551614,18446744073709551615]");
  EXPECT_EQ(value_of("floor(@)", "12345678901234567890123"), "12345678901234567890123");
}

TEST(Jmespath, compares_integers_with_fractions_exactly) {
  EXPECT_EQ(value_of("[?@ > `9007199254740992.0`]", "[9007199254740991, 9007199254740992, 9007199254740993]"), "[9007199254740993]");
  EXPECT_EQ(value_of("[?@ < `-0.5`]", "[-1, 0, -0.5, -9223372036854775808]"), "[-1,-9223372036854775808]");
  EXPECT_EQ(value_of("[?@ < `1e400`]", "[18446744073709551615, 1e308]"), "[18446744073709551615,1e308]");
  EXPECT_EQ(value_of("[?@ > `1e-400`]", "[0, -1, 1]"), "[1]");
  EXPECT_EQ(value_of("a == b", R"({"a":1,"b":1.0})"), "true");
  EXPECT_EQ(value_of("a == b", R"({"a":100,"b":1e2})"), "true");
  EXPECT_EQ(value_of("a == b", R"({"a":9007199254740993,"b":9007199254740992.0})"), "false");
  EXPECT_EQ(value_of("a == b", R"({"a":true,"b":1})"), "false");
}

TEST(Jmespath, refuses_results_beyond_the_range_of_numbers) {
  EXPECT_EQ(value_of("sum(@)", "[1e308, 1e308]"), "invalid-value");
  EXPECT_EQ(value_of("abs(@)", "-1e400"), "invalid-value");
  EXPECT_EQ(value_of("to_number(@)", "\"0x10\""), "null");
  EXPECT_EQ(value_of("to_number(@)", "\" 1\""), "null");
}

TEST(Jmespath, keeps_the_order_of_members) {
  EXPECT_EQ(value_of("keys(@)", R"({"z":1,"a":2,"m":3})"), R"(["z","a","m"])");
  EXPECT_EQ(value_of("*", R"({"z":1,"a":2,"m":3})"), "[1,2,3]");
  EXPECT_EQ(value_of("merge(a, b)", R"({"a":{"x":1,"y":2},"b":{"z":3,"x":4}})"), R"({"x":4,"y":2,"z":3})");
  EXPECT_EQ(value_of("{b: b, a: a, b: a}", R"({"a":1,"b":2})"), R"({"b":1,"a":1})");
}

TEST(Jmespath, sorts_equals_in_their_order_and_takes_the_first_of_them) {
  const auto* people = R"([{"n":"a","g":2},{"n":"b","g":1},{"n":"c","g":2},{"n":"d","g":1.0}])";
  EXPECT_EQ(value_of("sort_by(@, &g)[].n", people), R"(["b","d","a","c"])");
  EXPECT_EQ(value_of("max_by(@, &g).n", people), R"("a")");
  EXPECT_EQ(value_of("min_by(@, &g).n", people), R"("b")");
}

TEST(Jmespath, counts_and_reverses_characters_not_bytes) {
  EXPECT_EQ(value_of("length(@)", R"("aé😀")"), "3");
  EXPECT_EQ(value_of("reverse(@)", R"("aé😀")"), R"("😀éa")");
  EXPECT_EQ(value_of("sort(@)", R"(["é","z","😀","\uffff"])"), "[\"z\",\"é\",\"\uffff\",\"😀\"]");
  EXPECT_EQ(value_of("\"\\ud83d\\ude00\"", R"({"😀":1})"), "1");
}

TEST(Jmespath, escapes_only_the_quote_in_raw_strings) {
  EXPECT_EQ(value_of(R"('a\'b')", "1"), R"("a'b")");
  EXPECT_EQ(value_of(R"('\\')", "1"), R"("\\\\")");
  EXPECT_EQ(value_of(R"('a\nb')", "1"), R"("a\\nb")");
}

TEST(Jmespath, gives_a_list_of_literals_only_where_there_is_a_value) {
  EXPECT_EQ(value_of("a.['x', 'y']", R"({"a":1})"), R"(["x","y"])");
  EXPECT_EQ(value_of("a.['x', 'y']", "{}"), "null");
}

TEST(Jmespath, refers_to_the_document_instead_of_copying_from_it) {
  const std::string text = R"({"a": {"b" : [1, "two\n", {"c":null}]}})";
  const auto document = Document::parse_borrowed(text).value();
  Workspace workspace;
  const auto path = Expression::compile("a.b").value();
  const auto part = path.evaluate(document, workspace).value();
  const auto source = part.source().value();
  EXPECT_EQ(source, R"([1, "two\n", {"c":null}])");
  EXPECT_TRUE(source.data() > text.data() && source.data() < text.data() + text.size()) << "the original bytes";
  EXPECT_EQ(part.at(1).source().value(), R"("two\n")");
  EXPECT_EQ(part.at(1).string().value(), "two\n");
  EXPECT_EQ(part.at(2).find("c")->source().value(), "null");
  EXPECT_EQ(part.json().value(), R"([1,"two\n",{"c":null}])");
  const auto list = Expression::compile("[a]").value();
  const auto made = list.evaluate(document, workspace).value();
  EXPECT_FALSE(made.source());
  EXPECT_EQ(made.at(0).source().value(), R"({"b" : [1, "two\n", {"c":null}]})");
}

TEST(Jmespath, reads_inputs_that_a_host_puts_together) {
  const auto body = Document::parse("{\"id\":5}").value();
  Workspace workspace;
  const std::pair<std::string_view, Value> headers[] = {{"x-event", Value::of(std::string_view("push"))}};
  const std::pair<std::string_view, Value> all[] = {
      {"body", body.root()}, {"headers", workspace.object(headers)}, {"n", Value::of(std::int64_t{-7})}};
  const auto input = workspace.object(all);
  const auto expression = Expression::compile("{event: headers.\"x-event\", id: body.id, n: abs(n)}").value();
  const auto value = expression.evaluate(input, workspace).value();
  EXPECT_EQ(value.json().value(), R"({"event":"push","id":5,"n":7})");
}

TEST(Jmespath, answers_of_values_are_typed) {
  const auto document = Document::parse(R"([null,true,1.0,1e2,-0,18446744073709551615,"s",[],{}])").value();
  const auto root = document.root();
  EXPECT_EQ(root.at(2).integer(), 1);
  EXPECT_EQ(root.at(3).integer(), 100);
  EXPECT_EQ(root.at(4).integer(), 0);
  EXPECT_EQ(root.at(5).integer(), std::nullopt);
  EXPECT_EQ(root.at(5).number(), 18446744073709551615.0);
  EXPECT_EQ(root.at(6).integer(), std::nullopt);
  EXPECT_EQ(root.at(1).boolean(), true);
  EXPECT_EQ(root.at(0).string(), std::nullopt);
  EXPECT_TRUE(root.at(2).truthy());
  for (const std::size_t empty : {0u, 7u, 8u}) EXPECT_FALSE(root.at(empty).truthy());
  EXPECT_EQ(to_string(root.at(8).type()), "object");
}

TEST(Jmespath, one_expression_serves_many_threads) {
  const auto expression = Expression::compile("sort_by(items, &n)[*].n | join(',', map(&to_string(@), @))").value();
  const auto document = Document::parse(R"({"items":[{"n":3},{"n":1},{"n":2}]})").value();
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      Workspace workspace;
      for (int round = 0; round < 500; ++round) {
        workspace.clear();
        const auto value = expression.evaluate(document, workspace);
        if (!value || value->string() != "1,2,3") ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
