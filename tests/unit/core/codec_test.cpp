#include <gtest/gtest.h>

#include <setget/key_store.hpp>
#include <setget/record.hpp>
#include <setget/testing/clock.hpp>

namespace setget {
namespace {

Command full_command() {
  return {.kind = CommandKind::kSet,
          .ns = "tenant",
          .id = std::string("i\0d", 3),
          .keys = {"order/42", std::string_view("\xff\0{}", 4), ""},
          .account = "acme",
          .flow = "orders",
          .owner = "sub|7",
          .payload = R"({"total":12})",
          .content_type = "application/json",
          .attributes = {{"a", "1"}, {"b", std::string(300, 'x')}},
          .ttl = Ttl::after(Milliseconds(90'000)),
          .version = kMaxVersion,
          .expected_version = 0};
}

void expect_same(const Command& a, const Command& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.ns, b.ns);
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.keys, b.keys);
  EXPECT_EQ(a.account, b.account);
  EXPECT_EQ(a.flow, b.flow);
  EXPECT_EQ(a.owner, b.owner);
  EXPECT_EQ(a.payload, b.payload);
  EXPECT_EQ(a.content_type, b.content_type);
  EXPECT_EQ(a.attributes, b.attributes);
  EXPECT_EQ(a.ttl, b.ttl);
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.expected_version, b.expected_version);
}

TEST(Codec, gives_back_every_field) {
  const auto command = full_command();
  const auto decoded = decode_command(encode_command(command));
  ASSERT_TRUE(decoded) << decoded.error().describe();
  expect_same(command, *decoded);
}

TEST(Codec, gives_back_an_empty_command_and_never) {
  const Command command{.kind = CommandKind::kTouch, .ttl = Ttl::never()};
  const auto decoded = decode_command(encode_command(command));
  ASSERT_TRUE(decoded);
  expect_same(command, *decoded);
}

TEST(Codec, shares_the_payload_instead_of_copying_it) {
  const auto bytes = encode_command(full_command());
  const auto decoded = decode_command(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_GE(decoded->payload.data(), bytes.data());
  EXPECT_EQ(decoded->payload.data() + decoded->payload.size(), bytes.data() + bytes.size());
}

TEST(Codec, starts_with_a_format_byte_and_refuses_newer_ones) {
  auto bytes = encode_command(full_command()).str();
  EXPECT_EQ(bytes[0], 1);
  bytes[0] = 2;
  const auto decoded = decode_command(Payload(bytes));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code(), ErrorCode::kUnsupported);
}

TEST(Codec, answers_every_truncation_with_an_error_or_a_shorter_payload) {
  const auto command = full_command();
  const auto bytes = encode_command(command);
  const auto head = bytes.size() - command.payload.size();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto decoded = decode_command(bytes.slice(0, length));
    if (length < head) {
      ASSERT_FALSE(decoded) << length;
      EXPECT_EQ(decoded.error().code(), ErrorCode::kCorrupted);
      EXPECT_TRUE(decoded.error().position());
    } else {
      ASSERT_TRUE(decoded);
    }
  }
}

TEST(Codec, survives_any_single_wrong_byte) {
  const auto good = encode_command(full_command()).str();
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int change : {1, 0x55, 0x80, 0xff}) {
      auto bad = good;
      bad[at] = static_cast<char>(bad[at] ^ change);
      const auto decoded = decode_command(Payload(std::move(bad)));
      if (!decoded) continue;
      std::size_t keys = 0;
      for (const auto key : decoded->keys) keys += key.size() < good.size() ? 1 : 0;
      EXPECT_EQ(keys, decoded->keys.size());
    }
  }
}

TEST(Codec, content_digest_ignores_what_concerned_only_the_set) {
  auto command = full_command();
  const auto one = make_record(encode_command(command), {.version = 7, .stamp = 9});
  command.ttl.reset();
  command.version.reset();
  command.expected_version.reset();
  const auto two = make_record(encode_command(command), {.version = 8, .stamp = 10});
  ASSERT_TRUE(one && two);
  EXPECT_EQ(content_digest(*one), content_digest(*two));
  command.payload = "other";
  const auto three = make_record(encode_command(command), {});
  ASSERT_TRUE(three);
  EXPECT_NE(content_digest(*one), content_digest(*three));
}

}  // namespace
}  // namespace setget
