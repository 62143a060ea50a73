#include <gtest/gtest.h>

#include <setget/gateway.hpp>

#include "gateway_fixture.hpp"

namespace {

using setget::Payload;
using setget_test::envelope;
using setget_test::json;

setget::Result<setget::SetRequest> parse(const std::string& text) { return setget::parse_envelope(Payload(text), {}); }

std::vector<std::string> codes(const setget::Result<setget::SetRequest>& parsed) {
  std::vector<std::string> found;
  if (parsed) return found;
  for (const auto& reason : parsed.error().reasons()) found.push_back(reason.code + " " + reason.pointer);
  return found;
}

TEST(Envelope, payload_is_a_slice_of_the_body_and_keeps_every_byte) {
  const Payload body(envelope("\"payload\" :\t{\"b\" : 1.50, \"a\":[ ]\n}  "));
  const auto parsed = setget::parse_envelope(body, {});
  ASSERT_TRUE(parsed) << parsed.error().describe();
  EXPECT_EQ(parsed->payload.view(), "{\"b\" : 1.50, \"a\":[ ]\n}");
  EXPECT_GE(parsed->payload.data(), body.data());
  EXPECT_LE(parsed->payload.data() + parsed->payload.size(), body.data() + body.size());
}

TEST(Envelope, payload_may_be_any_json_value) {
  for (const std::string value : {"null", "true", "\"text\"", "-1e3", "[]", "{}", "\"\\u00e9\\\"\""}) {
    const auto parsed = parse(envelope("\"payload\": " + value + " "));
    ASSERT_TRUE(parsed) << value << parsed.error().describe();
    EXPECT_EQ(parsed->payload.view(), value);
  }
}

TEST(Envelope, reads_every_field) {
  const auto parsed =
      parse(R"({"keys":["a\u00e9","b"],"keys_base64":["/wA="],"account":"acme","flow":"orders","id":"o1","owner":"me","ttl":1.5,)"
            R"("version":7,"expected_version":0,"content_type":"text/plain","attributes":{"x":"1","y":"2"},"payload_base64":"AAEC"})");
  ASSERT_TRUE(parsed) << parsed.error().describe();
  EXPECT_EQ(parsed->keys, setget::KeyList({"a\xC3\xA9", "b", std::string_view("\xFF\x00", 2)}));
  EXPECT_EQ(parsed->account, "acme");
  EXPECT_EQ(parsed->flow, "orders");
  EXPECT_EQ(parsed->id, "o1");
  EXPECT_EQ(parsed->owner, "me");
  EXPECT_EQ(parsed->ttl, setget::Ttl::after(setget::Milliseconds(1500)));
  EXPECT_EQ(parsed->version, 7u);
  EXPECT_EQ(parsed->expected_version, 0u);
  EXPECT_EQ(parsed->content_type, "text/plain");
  EXPECT_EQ(parsed->attributes, (setget::Attributes{{"x", "1"}, {"y", "2"}}));
  EXPECT_EQ(parsed->payload.view(), std::string_view("\x00\x01\x02", 3));
}

TEST(Envelope, binary_payloads_are_not_json_unless_they_say_so) {
  EXPECT_EQ(parse(envelope(R"("payload_base64":"AAEC")"))->content_type, "application/octet-stream");
  EXPECT_EQ(parse(envelope(R"("payload":1)"))->content_type, "application/json");
}

TEST(Envelope, ttl_is_seconds_or_text) {
  using setget::Milliseconds;
  using setget::Ttl;
  EXPECT_EQ(parse(envelope(R"("payload":1,"ttl":90)"))->ttl, Ttl::after(Milliseconds(90'000)));
  EXPECT_EQ(parse(envelope(R"("payload":1,"ttl":"15m")"))->ttl, Ttl::after(Milliseconds(900'000)));
  EXPECT_EQ(parse(envelope(R"("payload":1,"ttl":"never")"))->ttl, Ttl::never());
  for (const std::string bad : {"-1", "1e300", "\"soon\"", "null", "[]", "true"})
    EXPECT_EQ(codes(parse(envelope("\"payload\":1,\"ttl\":" + bad))).size(), 1u) << bad;
}

TEST(Envelope, versions_are_whole_numbers_in_range) {
  EXPECT_EQ(parse(envelope(R"("payload":1,"version":9007199254740991)"))->version, 9007199254740991u);
  for (const std::string bad : {"1.0", "1e3", "\"7\"", "null", "1.5"}) {
    const auto found = codes(parse(envelope("\"payload\":1,\"version\":" + bad)));
    ASSERT_EQ(found.size(), 1u) << bad;
    EXPECT_TRUE(found[0] == "not_integer /version" || found[0] == "wrong_type /version") << found[0];
  }
  for (const std::string bad : {"0", "9007199254740992"})
    EXPECT_EQ(codes(parse(envelope("\"payload\":1,\"version\":" + bad))), std::vector<std::string>{"out_of_range /version"}) << bad;
  for (const std::string bad : {"-1", "18446744073709551616", "99999999999999999999999"})
    EXPECT_EQ(codes(parse(envelope("\"payload\":1,\"version\":" + bad))), std::vector<std::string>{"not_integer /version"}) << bad;
}

TEST(Envelope, lists_every_violation_with_its_pointer) {
  const auto found =
      codes(parse(R"({"keys":[1,"a",null],"keys_base64":["!"],"account":5,"colour":1,"attributes":{"a/b":1},"id":"x","id":"y"})"));
  EXPECT_EQ(found, (std::vector<std::string>{"wrong_type /keys/0", "wrong_type /keys/2", "bad_base64 /keys_base64/0", "wrong_type /account",
                                             "unknown_field /colour", "wrong_type /attributes/a~1b", "duplicate_name /id",
                                             "missing_field /payload"}));
}

TEST(Envelope, says_where_the_text_stops_being_json) {
  const struct {
    std::string text;
    std::size_t position;
  } cases[] = {
      {"", 0},
      {"{", 1},
      {R"({"keys":["a"],})", 14},
      {R"({"keys":["a"]} x)", 15},
      {R"({"payload":{"a":tru}})", 19},
      {R"({"payload":[1,2,,3]})", 16},
      {"{\"payload\":\"\x01\"}", 12},
      {"{\"payload\":\"\xFF\"}", 12},
      {R"({"id":"\ud800"})", 13},
      {R"({"ttl": 01})", 9},
  };
  for (const auto& one : cases) {
    const auto parsed = parse(one.text);
    ASSERT_FALSE(parsed) << one.text;
    ASSERT_TRUE(parsed.error().position()) << one.text << ' ' << parsed.error().describe();
    EXPECT_EQ(*parsed.error().position(), one.position) << one.text << ' ' << parsed.error().describe();
    EXPECT_EQ(setget::http_status(parsed.error()), 400);
  }
}

TEST(Envelope, payload_of_another_content_type_is_still_checked_to_be_json) {
  EXPECT_FALSE(parse(envelope(R"("content_type":"text/plain","payload":{"a":tru})")));
}

TEST(Envelope, depth_costs_no_stack) {
  const std::string deep(1'000'000, '[');
  EXPECT_FALSE(parse(deep));
  EXPECT_FALSE(parse(envelope("\"payload\":" + deep)));
  EXPECT_FALSE(parse(envelope("\"payload\":" + deep + std::string(1'000'000, ']'))));
}

TEST(Envelope, only_an_object_is_an_envelope) {
  for (const std::string text : {"[]", "1", "\"a\"", "null", "true"}) {
    EXPECT_EQ(codes(parse(text)), std::vector<std::string>{"wrong_type "}) << text;
  }
}

TEST(Envelope, writes_what_it_reads) {
  setget::Record record;
  record.id = std::string("\x80id", 3);
  record.keys = {"plain", std::string_view("\xFF", 1)};
  record.account = "acme";
  record.flow = "orders";
  record.content_type = "application/json";
  record.payload = R"({"a": 1.50})";
  record.version = 5;
  record.expires_at = setget::TimePoint(setget::Milliseconds(1'700'000'000'123));
  const std::string text = setget::write_envelope(record);
  EXPECT_NE(text.find(R"("payload":{"a": 1.50})"), std::string::npos) << text;
  const json written = json::parse(text);
  EXPECT_EQ(written.at("id_base64"), "gGlk");
  EXPECT_EQ(written.at("keys"), json::array({"plain"}));
  EXPECT_EQ(written.at("keys_base64"), json::array({"/w=="}));
  EXPECT_EQ(written.at("expires_at"), "2023-11-14T22:13:20.123Z");
  record.payload = "{not json";
  record.expires_at.reset();
  const json binary = json::parse(setget::write_envelope(record));
  EXPECT_EQ(binary.at("payload_base64"), "e25vdCBqc29u");
  EXPECT_EQ(binary.at("expires_at"), "never");
}

}  // namespace
