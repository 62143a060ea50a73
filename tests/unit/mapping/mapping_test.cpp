// From a request to a record, and what a mapping says where it cannot.
#include <gtest/gtest.h>

#include <chrono>
#include <setget/mapping.hpp>

#include "support/sanitized.hpp"

namespace {

using namespace setget;
using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Asked {
  Pairs query{};
  Pairs headers{{"Content-Type", "application/json"}, {"X-Event", "push"}};
  std::string body = R"({"id":"e1","n":7,"repo":{"name" : "octo"},"list":["a","b",3],"flag":true,"none":null})";
};

Result<Mapped> map(const MappingOptions& options, const Asked& asked = {}) {
  return Mapping::compile(options).value().map({.method = "POST",
                                                .path = "/v1/hooks/x",
                                                .query = asked.query,
                                                .headers = asked.headers,
                                                .body = Payload::copy(asked.body),
                                                .received_at = TimePoint(Milliseconds(1772330400123))});
}
MappingOptions basic() { return {.keys = {"'k'"}, .default_account = "acme", .default_flow = "hooks"}; }

std::vector<std::string> keys_of(const Mapped& mapped) { return {mapped.request.keys.begin(), mapped.request.keys.end()}; }

TEST(Mapping, makes_a_record_of_everything_a_request_has) {
  auto options = basic();
  options.id = "body.id";
  options.keys = {"join('/', ['x', body.repo.name])", "body.list", "body.missing", "headers.\"x-event\"", "'a'"};
  options.account = "query.account";
  options.flow = "body.none";
  options.owner = "body.repo.name";
  options.ttl = "body.n";
  options.payload = "body.repo";
  options.attributes = {{"flag", "body.flag"}, {"n", "body.n"}, {"where", "join(' ', [method, path, received_at])"}, {"gone", "body.none"}};
  const auto mapped = map(options, {.query = {{"account", "shop"}, {"account", "other"}}}).value();
  const SetRequest& request = mapped.request;
  EXPECT_EQ(request.id, "e1");
  EXPECT_EQ(keys_of(mapped), (std::vector<std::string>{"x/octo", "a", "b", "3", "push"}));
  EXPECT_EQ(mapped.key_expressions, (std::vector<std::uint32_t>{0, 1, 1, 1, 3}));
  EXPECT_EQ(request.account, "shop");
  EXPECT_EQ(request.flow, "hooks") << "null is as if the expression were not there";
  EXPECT_EQ(request.owner, "octo");
  EXPECT_EQ(request.ttl, Ttl::after(Milliseconds(7000)));
  EXPECT_EQ(request.payload.view(), R"({"name" : "octo"})") << "the bytes as they were sent";
  EXPECT_EQ(request.content_type, "application/json");
  EXPECT_EQ(request.attributes, (Attributes{{"flag", "true"}, {"n", "7"}, {"where", "POST /v1/hooks/x 2026-03-01T02:00:00.123Z"}}));
  EXPECT_EQ(request.ns, "");
}

TEST(Mapping, stores_the_body_untouched_unless_it_is_told_otherwise) {
  const Asked asked{.headers = {{"content-type", "application/json; charset=utf-8"}}, .body = " {\"a\" : 1}\n"};
  const auto mapped = map(basic(), asked).value();
  EXPECT_EQ(mapped.request.payload.view(), asked.body);
  EXPECT_EQ(mapped.request.content_type, "application/json; charset=utf-8");
}

TEST(Mapping, shares_the_bytes_of_a_part_of_the_body) {
  auto options = basic();
  options.payload = "body.a";
  const auto mapping = Mapping::compile(options).value();
  const auto body = Payload::copy(R"({"a":[1,2]})");
  const auto mapped = mapping.map({.body = body}).value();
  EXPECT_EQ(mapped.request.payload.data(), body.data() + 5) << "no copy";
}

TEST(Mapping, writes_what_an_expression_made_as_json) {
  auto options = basic();
  options.payload = "{repo: body.repo, event: headers.\"x-event\"}";
  EXPECT_EQ(map(options).value().request.payload.view(), R"({"repo":{"name":"octo"},"event":"push"})");
}

TEST(Mapping, reads_the_body_by_its_content_type) {
  auto options = basic();
  options.attributes = {{"type", "type(body)"}};
  const auto type = [&](const char* content_type, std::string body) {
    Asked asked{.headers = {}, .body = std::move(body)};
    if (*content_type != '\0') asked.headers = {{"Content-Type", content_type}};
    const auto mapped = map(options, asked);
    return mapped ? mapped->request.attributes.at("type") + " " + mapped->request.content_type : mapped.error().describe();
  };
  EXPECT_EQ(type("application/json", "[1]"), "array application/json");
  EXPECT_EQ(type("Application/Cloudevents+JSON ; x=y", "{}"), "object Application/Cloudevents+JSON ; x=y");
  EXPECT_EQ(type("", "{}"), "object application/json");
  EXPECT_EQ(type("", "plain"), "string application/octet-stream");
  EXPECT_EQ(type("text/plain", "{}"), "string text/plain");
  EXPECT_EQ(type("image/png", "\x89PNG\xff"), "null image/png");
  EXPECT_EQ(type("", ""), "null application/octet-stream");
}

TEST(Mapping, names_the_place_where_a_json_body_is_none) {
  const auto mapped = map(basic(), {.body = R"({"a": tru})"});
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(mapped.error().position(), 6u);
  EXPECT_TRUE(mapped.error().reasons().empty());
  EXPECT_TRUE(map(basic(), {.body = ""}).error().position());
}

TEST(Mapping, names_the_place_of_bytes_that_are_no_text) {
  EXPECT_EQ(map(basic(), {.body = "{\"a\": \"\xff\"}"}).error().position(), 7u);
  EXPECT_EQ(map(basic(), {.body = "{\"a\": \"b\nc\"}"}).error().position(), 8u);
  EXPECT_EQ(map(basic(), {.body = "{\"a\": \"bc"}).error().position(), 6u);
}

TEST(Mapping, joins_headers_of_one_name_in_lower_case) {
  auto options = basic();
  options.keys = {"headers.\"x-tag\""};
  EXPECT_EQ(keys_of(map(options, {.headers = {{"X-Tag", "a"}, {"x-tag", "b"}, {"X-TAG", "\xff"}}}).value()),
            std::vector<std::string>{"a, b"});
}

TEST(Mapping, sees_of_many_headers_and_parameters_every_name_once_in_linear_time) {
  constexpr std::size_t kMany = 200'000;
  Asked asked;
  for (std::size_t i = 0; i < kMany; ++i) {
    asked.query.emplace_back(std::to_string(1'000'000 + i), std::to_string(i));
    asked.headers.emplace_back("X-" + std::to_string(1'000'000 + i), std::to_string(i));
  }
  asked.query.emplace_back("1000007", "again");
  asked.headers.emplace_back("x-1000007", "again");
  auto options = basic();
  options.keys = {"query.\"1000007\"",  "headers.\"x-1000007\"", "to_string(length(keys(query)))", "to_string(length(keys(headers)))",
                  "keys(headers)[1:3]", "headers.\"x-1199999\""};
  const auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(keys_of(map(options, asked).value()),
            (std::vector<std::string>{"7", "7, again", "200000", "200002", "x-event", "x-1000000", "199999"}));
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(setget_test::kSanitized ? 120 : 20));
}

std::vector<std::pair<std::string, std::string>> refusals(const MappingOptions& options, const Asked& asked = {}) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto mapped = map(options, asked);
  if (!mapped)
    for (const Reason& reason : mapped.error().reasons()) out.emplace_back(reason.pointer + " " + reason.code, reason.message);
  return out;
}

TEST(Mapping, says_which_expression_gave_what_and_what_was_wanted) {
  auto options = basic();
  options.id = "body.repo";
  options.keys = {"length(body.missing)", "body.flag", "[body.repo]"};
  options.account = "'not a name'";
  options.ttl = "'soon'";
  options.payload = "body.none";
  options.attributes = {{"list", "body.list"}};
  const auto found = refusals(options);
  ASSERT_EQ(found.size(), 7u);
  EXPECT_EQ(found[0].first, "/mapping/id mapping_value");
  EXPECT_EQ(found[0].second, R"(the expression body.repo gave {"name":"octo"}; wanted a string that is not empty, or a number)");
  EXPECT_EQ(found[1].first, "/mapping/keys/0 mapping_failed");
  EXPECT_EQ(
      found[1].second,
      "the expression length(body.missing) failed at byte 0: argument 1 of length() must be a string, an array or an object, not null");
  EXPECT_EQ(found[2].first, "/mapping/keys/2 mapping_value");
  EXPECT_EQ(found[3].first, "/mapping/account mapping_value");
  EXPECT_EQ(found[4].first, "/mapping/ttl mapping_value");
  EXPECT_EQ(found[5].first, "/mapping/attributes/list mapping_value");
  EXPECT_EQ(found[6].first, "/mapping/payload mapping_value");
}

TEST(Mapping, says_of_every_expression_what_is_wrong_once) {
  auto options = basic();
  options.default_account = options.default_flow = "";
  options.id = "length(body.missing)";
  options.account = "body.a";
  options.flow = "body.f";
  options.payload = "body.p";
  options.keys = {"body.k"};
  const auto pointers = [](const MappingOptions& from) {
    std::vector<std::string> out;
    for (const auto& [pointer, message] : refusals(from, {.body = R"({"z":1})"})) out.push_back(pointer);
    return out;
  };
  EXPECT_EQ(pointers(options),
            (std::vector<std::string>{"/mapping/id mapping_failed", "/mapping/payload mapping_value", "/mapping/account mapping_value",
                                      "/mapping/flow mapping_value", "/mapping/keys keys_missing"}));
  options.id = "";
  options.account = options.payload = "length(body.missing)";
  options.flow = "'not a name'";
  options.keys = {"body.k", "length(body.missing)"};
  EXPECT_EQ(pointers(options), (std::vector<std::string>{"/mapping/keys/1 mapping_failed", "/mapping/account mapping_failed",
                                                         "/mapping/flow mapping_value", "/mapping/payload mapping_failed"}))
      << "that nothing results is no news";
}

std::string many_texts(std::size_t count) {
  std::string body = "[";
  for (std::size_t i = 0; i < count; ++i) body += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\"";
  return body + "]";
}

TEST(Mapping, keeps_of_many_keys_the_first_of_equals) {
  auto options = basic();
  options.keys = {"body", "[body[3], 'one more']", "'2'", "body"};
  const auto mapped = map(options, {.body = many_texts(3000)}).value();
  EXPECT_EQ(mapped.request.keys.size(), 3001u);
  EXPECT_EQ(keys_of(mapped).at(2999), "2999");
  EXPECT_EQ(keys_of(mapped).back(), "one more");
  EXPECT_EQ(mapped.key_expressions.back(), 1u);
}

TEST(Mapping, says_which_expression_gives_more_keys_than_any_record_has) {
  auto options = basic();
  options.keys = {"'first'", "body"};
  const auto found = refusals(options, {.body = many_texts(100'000)});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].first, "/mapping/keys/1 mapping_value");
  EXPECT_EQ(found[0].second, "the expression body gave a value of more than 4096 bytes; wanted at most 100000 keys of all expressions");
  EXPECT_EQ(map(options, {.body = many_texts(99'999)}).value().request.keys.size(), 100'000u);
}

// Looking through keys takes steps like all that an expression does: repeated and long ones too.
TEST(Mapping, bounds_what_is_looked_through_for_keys) {
  auto options = basic();
  options.keys = {"body"};
  options.expressions.max_steps = 3000;
  std::string repeated = "[\"a\"";
  for (int i = 0; i < 3000; ++i) repeated += ",\"a\"";
  const auto found = refusals(options, {.body = repeated + "]"});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].first, "/mapping/keys/0 mapping_failed");
  EXPECT_EQ(found[0].second, "the expression body failed: to look through its keys takes more than 3000 steps");
  EXPECT_EQ(map(options, {.body = many_texts(250)}).value().request.keys.size(), 250u);
  options.keys = {"let $k = body in [`1`, `2`, `3`, `4`][*].[$k, $k][]"};
  EXPECT_EQ(map(options, {.body = "\"" + std::string(512, 'k') + "\""}).value().request.keys.size(), 1u);
  EXPECT_EQ(refusals(options, {.body = "\"" + std::string(50'000, 'k') + "\""}).at(0).first, "/mapping/keys/0 mapping_failed");
}

TEST(Mapping, has_one_budget_for_all_its_expressions) {
  auto options = basic();
  const auto reasons = [&](std::string_view expression, jmespath::Options limits) {
    options.attributes.clear();
    for (const auto* name : {"a", "b", "c"}) options.attributes.emplace(name, expression);
    options.expressions = limits;
    return refusals(options, {.body = many_texts(1000)});
  };
  const auto steps = reasons("length(body[*])", {.max_steps = 5000});
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].first, "/mapping/attributes/c mapping_failed");
  EXPECT_EQ(steps[0].second, "the expression length(body[*]) failed: the evaluation, with those before it, takes more than 5000 steps");
  const auto bytes = reasons("length(body[*])", {.max_result_bytes = 40'000});
  ASSERT_EQ(bytes.size(), 1u);
  EXPECT_EQ(bytes[0].first, "/mapping/attributes/c mapping_failed");
  EXPECT_EQ(bytes[0].second, "the expression length(body[*]) failed: the evaluation, with those before it, makes more than 40000 bytes");
  EXPECT_TRUE(reasons("length(body[*])", {.max_steps = 8000, .max_result_bytes = 60'000}).empty());
}

TEST(Mapping, refuses_a_payload_that_is_null_or_no_key_at_all) {
  auto options = basic();
  options.payload = "body.none";
  EXPECT_EQ(refusals(options).at(0).first, "/mapping/payload mapping_value");
  options = basic();
  options.keys = {"body.none", "body.missing[]"};
  EXPECT_EQ(refusals(options).at(0),
            (std::pair<std::string, std::string>{"/mapping/keys keys_missing",
                                                 "no expression gave a key; wanted at least one from: body.none; body.missing[]"}));
  options = basic();
  options.default_account = "";
  options.account = "body.none";
  EXPECT_EQ(refusals(options).at(0).first, "/mapping/account mapping_value");
}

TEST(Mapping, shortens_long_values_at_a_character) {
  auto options = basic();
  options.id = "[body]";
  std::string body = "\"";
  for (int i = 0; i < 200; ++i) body += "é";
  const auto found = refusals(options, {.body = body + "\""});
  EXPECT_NE(found.at(0).second.find("… (404 bytes)"), std::string::npos) << found.at(0).second;
  EXPECT_LT(found.at(0).second.size(), 300u);
}

TEST(Mapping, explains_what_an_ingress_refuses) {
  auto options = basic();
  options.keys = {"'fine'", "body.id"};
  const auto mapping = Mapping::compile(options).value();
  const auto mapped = mapping.map({.body = R"({"id":"long"})"}).value();
  std::vector<Reason> reasons{{"key_too_long", "4 bytes, limit 3", "/keys/1"}, {"other", "as it is", "/payload"}, {"odd", "", "/keys/9"}};
  mapping.explain(reasons, mapped);
  EXPECT_EQ(reasons[0].message, "4 bytes, limit 3; the expression body.id gave \"long\"");
  EXPECT_EQ(reasons[1].message, "as it is");
}

TEST(Mapping, explains_what_gave_nothing_and_what_has_a_name_that_is_escaped) {
  auto options = basic();
  options.owner = "body.none";
  options.attributes = {{"gone", "body.none"}, {"a/b~c", "body.id"}, {"a~1b", "'other'"}};
  const auto mapping = Mapping::compile(options).value();
  const auto mapped = mapping.map({.body = R"({"id":"e1"})"}).value();
  std::vector<Reason> reasons{{"schema_version_missing", "the schema is chosen by it", "/attributes/gone"},
                              {"schema_version_unknown", "no such schema", "/attributes/a~1b~0c"},
                              {"other", "of an attribute that no expression gives", "/attributes/nobody"},
                              {"owner_too_long", "never", "/owner"}};
  mapping.explain(reasons, mapped);
  EXPECT_EQ(reasons[0].message, "the schema is chosen by it; the expression body.none gave null");
  EXPECT_EQ(reasons[1].message, "no such schema; the expression body.id gave \"e1\"");
  EXPECT_EQ(reasons[2].message, "of an attribute that no expression gives");
  EXPECT_EQ(reasons[3].message, "never; the expression body.none gave null");
  options.attributes = {{"a/b", "body"}};
  EXPECT_EQ(refusals(options).at(0).first, "/mapping/attributes/a~1b mapping_value");
}

TEST(Mapping, explains_what_is_too_much_by_the_expression_that_gave_the_most) {
  auto options = basic();
  options.keys = {"'first'", "body.list", "body.id"};
  options.ttl = "body.ttl";
  options.attributes = {{"long", "body.long"}, {"short", "body.id"}};
  const auto mapping = Mapping::compile(options).value();
  const auto mapped = mapping.map({.body = R"({"id":"e1","list":["a","b","c"],"ttl":"90s","long":"a long text"})"}).value();
  std::vector<Reason> reasons{
      {"too_many_keys", "5 keys, limit 4", "/keys"}, {"attributes_too_large", "22 bytes, limit 20", "/attributes"}, {"odd", "", "/ttl"}};
  mapping.explain(reasons, mapped);
  EXPECT_EQ(reasons[0].message, "5 keys, limit 4; the expression body.list gave 3 of them");
  EXPECT_EQ(reasons[1].message, "22 bytes, limit 20; the expression body.long gave \"a long text\"");
  EXPECT_EQ(reasons[2].message, "; the expression body.ttl gave \"90s\"");
}

TEST(Mapping, is_refused_when_it_is_compiled_where_it_cannot_work) {
  const auto refused = [](MappingOptions options) {
    const auto compiled = Mapping::compile(std::move(options));
    return compiled ? std::string() : compiled.error().field();
  };
  auto options = basic();
  options.keys = {"a", "b ||"};
  EXPECT_EQ(refused(options), "keys[1]");
  EXPECT_EQ(Mapping::compile(options).error().position(), 4u);
  options = basic();
  options.attributes = {{"x", "nope(@)"}};
  EXPECT_EQ(refused(options), "attributes.x");
  options = basic();
  options.keys.clear();
  EXPECT_EQ(refused(options), "keys");
  options = basic();
  options.default_flow = "";
  EXPECT_EQ(refused(options), "flow");
  options = basic();
  options.default_account = "not a name";
  EXPECT_EQ(refused(options), "account");
  EXPECT_EQ(refused(basic()), "");
}

}  // namespace
