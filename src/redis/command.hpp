// RedisCommand: one command in its wire form, and what routing must know about it. Thread rule: a value.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "redis/reply.hpp"
#include "redis/slots.hpp"

#include <setget/error.hpp>

namespace setget::inline v0::redis {

class RedisCommand {
 public:
  explicit RedisCommand(std::string_view name) : wire_(kHead, '\0') { arg(name); }
  // RedisCommand::of("SET", key, value): without a key; see key().
  template <class... Args>
  static RedisCommand of(std::string_view name, const Args&... args) {
    RedisCommand command(name);
    (command.arg(args), ...);
    return command;
  }
  // MULTI, the commands, EXEC: sent in one piece, so that they may share a connection. Answered by EXEC's reply, or by the first refusal.
  static RedisCommand transaction(std::span<const RedisCommand> commands);

  RedisCommand& arg(std::string_view bytes) &;
  RedisCommand&& arg(std::string_view bytes) && { return std::move(arg(bytes)); }
  RedisCommand& arg(std::int64_t number) & {
    std::array<char, 24> digits;
    return arg(std::string_view(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr));
  }
  RedisCommand&& arg(std::int64_t number) && { return std::move(arg(number)); }
  // The same, and the command goes where this key lives. All keys of a command must share a slot.
  RedisCommand& key(std::string_view bytes) & {
    slot_ = key_slot(bytes);
    return arg(bytes);
  }
  RedisCommand&& key(std::string_view bytes) && { return std::move(key(bytes)); }
  // For commands whose keys stand among other arguments, or that have none.
  RedisCommand&& at_slot(std::uint32_t slot) && {
    slot_ = slot;
    return std::move(*this);
  }
  // Doing it twice is as good as once: it may be sent again when its reply was lost.
  RedisCommand&& idempotent() && {
    idempotent_ = true;
    return std::move(*this);
  }

  std::string_view wire() const noexcept { return std::string_view(wire_).substr(start_); }
  std::optional<std::uint32_t> slot() const noexcept { return slot_; }
  bool is_idempotent() const noexcept { return idempotent_; }
  // How many replies the server sends; more than one only for a transaction.
  std::uint32_t replies() const noexcept { return replies_; }

 private:
  // Room for "*<arguments>\r\n" before the arguments, filled from its end as they come.
  static constexpr std::size_t kHead = 16;
  std::string wire_;
  std::size_t start_ = kHead;
  std::uint32_t arguments_ = 0;
  std::uint32_t replies_ = 1;
  std::optional<std::uint32_t> slot_;
  bool idempotent_ = false;
};

// What the replies to one command come to: its reply, or the server's refusal as an Error. Of a transaction: EXEC's reply (nil: a watched
// key changed), or the first refusal. Precondition: as many replies as the command has, at least one.
Result<Reply> outcome_of(std::span<Reply> replies);

}  // namespace setget::inline v0::redis
