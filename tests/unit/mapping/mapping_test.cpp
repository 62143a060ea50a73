// From a request to a record, and what a mapping says where it cannot.
#include <gtest/gtest.h>

#include <setget/mapping.hpp>

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

TEST(Mapping, joins_headers_of_one_name_in_lower_case) {
  auto options = basic();
  options.keys = {"headers.\"x-tag\""};
  EXPECT_EQ(keys_of(map(options, {.headers = {{"X-Tag", "a"}, {"x-tag", "b"}, {"X-TAG", "\xff"}}}).value()),
            std::vector<std::string>{"a, b"});
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
  ASSERT_EQ(found.size(), 6u);
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
