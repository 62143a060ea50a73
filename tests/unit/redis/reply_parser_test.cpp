#include "redis/reply_parser.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "redis/command.hpp"
#include "support/hiredis.hpp"

namespace {

using namespace setget;
using namespace setget::redis;

constexpr std::size_t kLimit = std::size_t{64} << 20;

// Feeds `bytes` in pieces of at most `piece` and returns all replies; `broken` says why it stopped.
std::vector<Reply> parse(std::string_view bytes, std::size_t piece, std::string* broken = nullptr, std::size_t limit = kLimit) {
  ReplyParser parser(limit);
  std::vector<Reply> replies;
  for (;;) {
    Reply reply;
    switch (parser.next(reply)) {
      case ReplyParser::State::kReply:
        replies.push_back(std::move(reply));
        continue;
      case ReplyParser::State::kBroken:
        if (broken != nullptr) *broken = parser.why();
        return replies;
      case ReplyParser::State::kMore:
        break;
    }
    if (bytes.empty()) return replies;
    const auto room = parser.room();
    const auto count = std::min({piece, room.size(), bytes.size()});
    std::memcpy(room.data(), bytes.data(), count);
    parser.arrived(count);
    bytes.remove_prefix(count);
  }
}

Reply text(std::string bytes) { return Reply::of(ReplyKind::kString, std::move(bytes)); }

TEST(ReplyParser, reads_all_types_however_they_are_cut) {
  const std::string longer(40'000, 'x');
  const std::string stream =
      "+OK\r\n-ERR no\r\n:-42\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n:1\r\n*1\r\n$1\r\nz\r\n$40000\r\n" + longer +
      "\r\n_\r\n#t\r\n,1.5\r\n(123456789012345678901\r\n=7\r\ntxt:abc\r\n!5\r\nERR "
      "x\r\n%1\r\n+k\r\n:1\r\n~1\r\n:2\r\n>2\r\n+message\r\n+x\r\n"
      "|1\r\n+ttl\r\n:1\r\n:7\r\n";
  const std::vector<Reply> expected = {
      Reply::of(ReplyKind::kStatus, "OK"),
      Reply::of(ReplyKind::kError, "ERR no"),
      Reply::of(ReplyKind::kInteger, -42),
      text("a\r\nbc"),
      text(""),
      Reply::nil(),
      Reply::nil(),
      Reply::of(ReplyKind::kArray, std::vector<Reply>{}),
      Reply::of(ReplyKind::kArray, {Reply::of(ReplyKind::kInteger, 1), Reply::of(ReplyKind::kArray, {text("z")})}),
      text(longer),
      Reply::nil(),
      Reply::of(ReplyKind::kBoolean, 1),
      Reply::of(ReplyKind::kDouble, "1.5"),
      Reply::of(ReplyKind::kStatus, "123456789012345678901"),
      text("abc"),
      Reply::of(ReplyKind::kError, "ERR x"),
      Reply::of(ReplyKind::kMap, {Reply::of(ReplyKind::kStatus, "k"), Reply::of(ReplyKind::kInteger, 1)}),
      Reply::of(ReplyKind::kSet, {Reply::of(ReplyKind::kInteger, 2)}),
      Reply::of(ReplyKind::kPush, {Reply::of(ReplyKind::kStatus, "message"), Reply::of(ReplyKind::kStatus, "x")}),
      Reply::of(ReplyKind::kInteger, 7),
  };
  for (const std::size_t piece : {1U, 2U, 3U, 7U, 1000U, 1U << 20}) EXPECT_TRUE(parse(stream, piece) == expected) << piece;
}

TEST(ReplyParser, refuses_what_is_not_resp) {
  for (const char* bad : {"x\r\n", "\r\n", "+OK\n", ":abc\r\n", ":\r\n", "$-2\r\n", "$3\r\nabcde", "$x\r\n", "*-2\r\n", "*99999999999\r\n",
                          "#x\r\n", "_1\r\n", ":1 \r\n"}) {
    std::string why;
    EXPECT_TRUE(parse(bad, 1, &why).empty()) << bad;
    EXPECT_FALSE(why.empty()) << bad;
  }
}

TEST(ReplyParser, believes_no_announcement_before_its_bytes_come) {
  std::string why;
  EXPECT_TRUE(parse("*4294967296\r\n:1\r\n", 64, &why).empty());  // reserves next to nothing, waits
  EXPECT_TRUE(why.empty());
  EXPECT_TRUE(parse("$67108865\r\n", 64, &why).empty());
  EXPECT_NE(why.find("max_reply"), std::string::npos);
}

TEST(ReplyParser, holds_to_its_limits) {
  std::string deep;
  for (int i = 0; i < 17; ++i) deep += "*1\r\n";
  std::string why;
  parse(deep + ":1\r\n", 64, &why);
  EXPECT_NE(why.find("deeper"), std::string::npos);

  std::string wide = "*1000\r\n";
  for (int i = 0; i < 1000; ++i) wide += ":1\r\n";
  why.clear();
  EXPECT_EQ(parse(wide + wide, 4096, &why, 100'000).size(), 2U) << why;  // the limit is for each reply
  EXPECT_TRUE(parse(wide, 4096, &why, 50'000).empty());
  EXPECT_NE(why.find("max_reply"), std::string::npos);

  why.clear();
  parse(std::string(100'000, '+'), 4096, &why);
  EXPECT_NE(why.find("line"), std::string::npos);
}

bool same(const Reply& ours, const redisReply& theirs) {
  const std::string_view bytes(theirs.str == nullptr ? "" : theirs.str, theirs.str == nullptr ? 0 : theirs.len);
  switch (theirs.type) {
    case REDIS_REPLY_STRING:
      return ours.kind() == ReplyKind::kString && ours.text() == bytes;
    case REDIS_REPLY_STATUS:
      return ours.kind() == ReplyKind::kStatus && ours.text() == bytes;
    case REDIS_REPLY_ERROR:
      return ours.is_error() && ours.text() == bytes;
    case REDIS_REPLY_INTEGER:
      return ours.kind() == ReplyKind::kInteger && ours.integer() == theirs.integer;
    case REDIS_REPLY_NIL:
      return ours.is_nil();
    default:
      if (ours.kind() != ReplyKind::kArray || ours.elements().size() != theirs.elements) return false;
      for (std::size_t i = 0; i < theirs.elements; ++i) {
        if (!same(ours.elements()[i], *theirs.element[i])) return false;
      }
      return true;
  }
}

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}
  std::string reply(int depth = 0) {
    switch (random_() % (depth < 5 ? 7 : 5)) {
      case 0:
        return "+" + word() + "\r\n";
      case 1:
        return "-ERR " + word() + "\r\n";
      case 2:
        return ":" + std::to_string(static_cast<std::int64_t>(random_())) + "\r\n";
      case 3:
        return "$-1\r\n";
      case 4: {
        const auto bytes = random_() % 20 == 0 ? std::string(random_() % 60'000, 'b') : word();
        return "$" + std::to_string(bytes.size()) + "\r\n" + bytes + "\r\n";
      }
      default: {
        const auto count = random_() % 6;
        std::string text = "*" + std::to_string(count) + "\r\n";
        for (std::uint64_t i = 0; i < count; ++i) text += reply(depth + 1);
        return text;
      }
    }
  }
  std::size_t below(std::size_t bound) { return random_() % bound; }

 private:
  std::string word() { return std::string(random_() % 20, static_cast<char>('a' + random_() % 26)); }
  std::mt19937_64 random_;
};

TEST(ReplyParser, agrees_with_hiredis_on_random_streams) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Generator random(seed);
    std::string stream;
    for (int i = 0; i < 20; ++i) stream += random.reply();
    const redis_test::HiredisReader reader(redisReaderCreate());
    ASSERT_EQ(redisReaderFeed(reader.get(), stream.data(), stream.size()), REDIS_OK);
    const auto ours = parse(stream, 1 + random.below(3000));
    ASSERT_EQ(ours.size(), 20U);
    for (const auto& reply : ours) {
      void* theirs = nullptr;
      ASSERT_EQ(redisReaderGetReply(reader.get(), &theirs), REDIS_OK);
      const redis_test::HiredisReply owned(static_cast<redisReply*>(theirs));
      ASSERT_TRUE(same(reply, *owned)) << "seed " << seed;
    }
  }
}

TEST(ReplyParser, survives_damaged_streams) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Generator random(seed);
    std::string stream = random.reply() + random.reply() + random.reply();
    for (std::size_t i = 0; i <= random.below(4); ++i) stream[random.below(stream.size())] = static_cast<char>(random.below(256));
    std::string whole;
    std::string pieces;
    EXPECT_TRUE(parse(stream, stream.size(), &whole, 1 << 20) == parse(stream, 1 + random.below(9), &pieces, 1 << 20)) << "seed " << seed;
    EXPECT_EQ(whole, pieces) << "seed " << seed;
  }
}

TEST(RedisCommands, has_the_wire_form_that_hiredis_gives_it) {
  const std::string value("a\0\r\n", 4);
  const auto command = RedisCommand("SET").key("k{x}").arg(value).arg(std::int64_t{-7});
  const char* arguments[] = {"SET", "k{x}", value.data(), "-7"};
  const std::size_t sizes[] = {3, 4, value.size(), 2};
  char* theirs = nullptr;
  const auto size = redisFormatCommandArgv(&theirs, 4, arguments, sizes);
  EXPECT_EQ(command.wire(), std::string_view(theirs, static_cast<std::size_t>(size)));
  redisFreeCommand(theirs);
  EXPECT_EQ(command.slot(), key_slot("x"));
  auto many = RedisCommand("MSET");
  for (int i = 0; i < 1000; ++i) many.arg("v");
  EXPECT_TRUE(many.wire().starts_with("*1001\r\n$4\r\nMSET\r\n$1\r\nv\r\n"));
}

TEST(RedisCommands, transaction_is_one_piece_with_all_its_replies) {
  const RedisCommand parts[] = {RedisCommand("INCR").key("a"), RedisCommand("GET").key("a")};
  const auto whole = RedisCommand::transaction(parts);
  EXPECT_EQ(whole.wire(), "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n");
  EXPECT_EQ(whole.replies(), 4U);
  EXPECT_EQ(whole.slot(), key_slot("a"));
}

}  // namespace
