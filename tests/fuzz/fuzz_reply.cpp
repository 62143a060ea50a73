// What a server that is broken, foreign or hostile may send. Held: no crash, nothing over the limit; the replies do not depend on the
// pieces in which the bytes come; commands that are built read back as they were meant.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "redis/command.hpp"
#include "redis/errors.hpp"
#include "redis/reply_parser.hpp"
#include "redis/slots.hpp"

namespace {

using namespace setget;
using namespace setget::redis;

constexpr std::size_t kLimit = 1 << 20;

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

std::size_t bytes_of(const Reply& reply) {
  std::size_t bytes = sizeof(Reply) + reply.text().size();
  for (const auto& element : reply.elements()) bytes += bytes_of(element);
  return bytes;
}

struct Parsed {
  std::vector<Reply> replies;
  bool broken = false;
  friend bool operator==(const Parsed&, const Parsed&) = default;
};

Parsed parse(std::string_view bytes, std::size_t piece) {
  ReplyParser parser(kLimit);
  Parsed parsed;
  for (;;) {
    Reply reply;
    switch (parser.next(reply)) {
      case ReplyParser::State::kReply:
        require(bytes_of(reply) <= 2 * kLimit, "a reply keeps to its limit");
        parsed.replies.push_back(std::move(reply));
        continue;
      case ReplyParser::State::kBroken:
        require(!parser.why().empty(), "it says why");
        require(parser.next(reply) == ReplyParser::State::kBroken, "broken for good");
        parsed.broken = true;
        return parsed;
      case ReplyParser::State::kMore:
        break;
    }
    if (bytes.empty()) return parsed;
    const auto room = parser.room();
    require(!room.empty(), "there is always room");
    const auto count = std::min({piece, room.size(), bytes.size()});
    std::memcpy(room.data(), bytes.data(), count);
    parser.arrived(count);
    bytes.remove_prefix(count);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = std::size_t{data[0]} + 1;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto whole = parse(input, input.size() + 1);
  require(whole == parse(input, piece), "the pieces do not matter");
  for (auto& reply : whole.replies) {
    static_cast<void>(SlotMap::from_slots(reply, {.host = "127.0.0.1", .port = 1}));
    static_cast<void>(SlotMap::from_shards(reply, {.host = "127.0.0.1", .port = 1}, false));
    if (reply.is_error()) static_cast<void>(redirect_of(server_error(reply.text())));
    static_cast<void>(outcome_of({&reply, 1}));
  }
  const auto half = input.substr(0, input.size() / 2);
  RedisCommands commands;
  commands.add("SET", 3).key(half).arg(input);
  commands.add(RedisCommand("GET").key(input));
  const auto sent = parse(commands.wire(), piece);
  require(!sent.broken && sent.replies.size() == 2, "commands are RESP");
  require(sent.replies[0].elements().size() == 3 && sent.replies[0].elements()[1].text() == half &&
              sent.replies[0].elements()[2].text() == input && sent.replies[1].elements()[1].text() == input,
          "commands say what was meant");
  require(commands.slot(1) == key_slot(input), "and go where their key lives");
  return 0;
}
