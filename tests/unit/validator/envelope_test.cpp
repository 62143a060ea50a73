#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <setget/validator.hpp>

using namespace setget;

namespace {

Command good_set() {
  Command command;
  command.id = "order-42";
  command.keys = {"order/42", "crm/9"};
  command.account = "acme";
  command.flow = "orders";
  command.payload = R"({"total": 12})";
  command.content_type = "application/json";
  return command;
}

std::vector<std::string> codes(const std::vector<Reason>& reasons) {
  std::vector<std::string> out;
  for (const auto& reason : reasons) out.push_back(reason.code + "@" + reason.pointer);
  return out;
}
std::vector<std::string> check(const Command& command, const Limits& limits = {}) {
  return codes(envelope_validator(limits)->validate(command));
}
using Codes = std::vector<std::string>;

}  // namespace

TEST(Envelope, accepts_a_plain_set) { EXPECT_EQ(check(good_set()), Codes{}); }

TEST(Envelope, accepts_every_value_at_its_limit) {
  auto command = good_set();
  command.ns = std::string(64, 'n');
  command.id = std::string(512, 'i');
  command.account = std::string(64, 'a');
  command.keys = {std::string(512, 'k')};
  command.owner = std::string(256, 'o');
  command.version = kMaxVersion;
  command.expected_version = 0;
  EXPECT_EQ(check(command), Codes{});
}

TEST(Envelope, accepts_payload_keys_and_attributes_that_fill_their_limits) {
  Limits limits;
  limits.max_payload = 10;
  limits.max_keys = 3;
  limits.max_attributes = 2;
  limits.max_attribute_bytes = 8;
  auto command = good_set();
  command.payload = "\"12345678\"";
  command.keys = {"a", "b", "c"};
  command.attributes = {{"a", "123"}, {"b", "456"}};
  EXPECT_EQ(check(command, limits), Codes{});
  command.attributes["b"] = "4567";
  EXPECT_EQ(check(command, limits), Codes{"attributes_too_large@/attributes"});
}

TEST(Envelope, names_every_violation_at_once) {
  auto command = good_set();
  command.ns = "not a name";
  command.id = std::string(513, 'i');
  command.keys = {"", std::string(513, 'k'), "a", "a"};
  command.account = "";
  command.flow = "or/ders";
  command.owner = "\xC3";
  command.content_type = "text/plain\r\nSet-Cookie: x";
  command.attributes = {{"", "x"}};
  command.ttl = Ttl::after(Milliseconds(-1));
  command.version = 0;
  command.expected_version = kMaxVersion + 1;
  EXPECT_EQ(check(command), (Codes{"invalid_namespace@/namespace", "id_too_long@/id", "key_empty@/keys/0", "key_too_long@/keys/1",
                                   "key_duplicate@/keys/3", "account_missing@/account", "invalid_flow@/flow", "invalid_utf8@/owner",
                                   "invalid_content_type@/content_type", "attribute_name_empty@/attributes", "invalid_ttl@/ttl",
                                   "version_out_of_range@/version", "version_out_of_range@/expected_version"}));
}

TEST(Envelope, reports_no_more_reasons_than_its_limit) {
  auto command = good_set();
  std::vector<std::string> keys(200);
  command.keys = KeyList(std::span<const std::string>(keys));
  Limits limits;
  limits.max_reasons = 3;
  EXPECT_EQ(check(command, limits).size(), 3U);
}

TEST(Envelope, finds_a_repeated_key_among_few_and_among_many) {
  for (const std::size_t count : {2U, 16U, 17U, 1024U}) {
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < count; ++i) keys.push_back("key/" + std::to_string(i));
    auto command = good_set();
    command.keys = KeyList(std::span<const std::string>(keys));
    EXPECT_EQ(check(command), Codes{}) << count;
    keys.back() = keys.front();
    command.keys = KeyList(std::span<const std::string>(keys));
    EXPECT_EQ(check(command), Codes{"key_duplicate@/keys/" + std::to_string(count - 1)}) << count;
  }
}

TEST(Envelope, refuses_too_many_keys_and_none) {
  auto command = good_set();
  command.keys = {};
  EXPECT_EQ(check(command), Codes{"keys_missing@/keys"});
  std::vector<std::string> keys;
  for (int i = 0; i < 1025; ++i) keys.push_back(std::to_string(i));
  command.keys = KeyList(std::span<const std::string>(keys));
  EXPECT_EQ(check(command), Codes{"too_many_keys@/keys"});
}

TEST(Envelope, keys_may_be_any_bytes) {
  auto command = good_set();
  command.keys = {std::string_view("\x00\xFF\n", 3), "\xED\xA0\x80"};
  EXPECT_EQ(check(command), Codes{});
}

TEST(Envelope, bounds_payload_and_attributes_by_bytes) {
  Limits limits;
  limits.max_payload = 10;
  auto command = good_set();
  command.payload = "12345678901";
  EXPECT_EQ(check(command, limits), Codes{"payload_too_large@/payload"});
  command = good_set();
  command.attributes = {{"a", std::string(16'384, 'x')}};
  EXPECT_EQ(check(command), Codes{"attributes_too_large@/attributes"});
  command.attributes.clear();
  for (int i = 0; i < 65; ++i) command.attributes[std::to_string(i)] = "x";
  EXPECT_EQ(check(command), Codes{"too_many_attributes@/attributes"});
}

TEST(Envelope, checks_the_payload_only_where_its_type_is_json) {
  for (const auto* type :
       {"application/json", "APPLICATION/JSON; charset=utf-8", "application/problem+json", " application/vnd.api+JSON ;v=1"}) {
    auto command = good_set();
    command.content_type = type;
    command.payload = "{";
    EXPECT_EQ(check(command), Codes{"json_syntax@/payload"}) << type;
  }
  for (const auto* type : {"text/plain", "application/octet-stream", "application/jsonl", "", "+json"}) {
    auto command = good_set();
    command.content_type = type;
    command.payload = "{\xFF";
    EXPECT_EQ(check(command), Codes{}) << type;
  }
}

TEST(Envelope, an_erase_needs_what_it_names) {
  Command command;
  command.kind = CommandKind::kErase;
  EXPECT_EQ(check(command), Codes{"id_missing@/id"});
  command.kind = CommandKind::kTouch;
  EXPECT_EQ(check(command), Codes{"id_missing@/id"});
  command.kind = CommandKind::kEraseKey;
  EXPECT_EQ(check(command), Codes{"keys_missing@/keys"});
  command.keys = {"a", "b"};
  EXPECT_EQ(check(command), Codes{"too_many_keys@/keys"});
  command.keys = {"a"};
  EXPECT_EQ(check(command), Codes{});
  command.kind = static_cast<CommandKind>(9);
  EXPECT_EQ(check(command), Codes{"invalid_kind@"});
}

TEST(Envelope, a_chain_stops_at_the_first_validator_that_finds_something) {
  struct Always final : Validator {
    explicit Always(std::string given) : code(std::move(given)) {}
    std::vector<Reason> validate(const Command&) const override { return {{.code = code, .message = "", .pointer = ""}}; }
    std::string code;
  };
  const auto chain =
      chain_validators({envelope_validator(), nullptr, std::make_shared<Always>("first"), std::make_shared<Always>("second")});
  EXPECT_EQ(codes(chain->validate(good_set())), Codes{"first@"});
  EXPECT_TRUE(chain_validators({})->validate(good_set()).empty());
}

TEST(Envelope, limits_that_stores_cannot_hold_are_refused) {
  EXPECT_TRUE(Limits{}.validate().has_value());
  Limits limits;
  limits.max_key_bytes = 513;
  ASSERT_FALSE(limits.validate().has_value());
  EXPECT_EQ(limits.validate().error().field(), "limits.max_key_bytes");
  limits = {};
  limits.max_depth = 0;
  EXPECT_FALSE(limits.validate().has_value());
}

TEST(Names, are_1_to_64_of_a_small_charset) {
  EXPECT_TRUE(is_name("Acme-1_x.y"));
  EXPECT_TRUE(is_name(std::string(64, 'x')));
  EXPECT_FALSE(is_name(""));
  EXPECT_FALSE(is_name(std::string(65, 'x')));
  EXPECT_FALSE(is_name("a b"));
  EXPECT_FALSE(is_name("a/b"));
  EXPECT_FALSE(is_name("\xC3\xA4"));
}
