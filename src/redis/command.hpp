// RedisCommand: one command in its wire form, and what routing must know about it. RedisCommands: many of them in one buffer. Thread rule:
// values.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "redis/reply.hpp"
#include "redis/slots.hpp"

#include <setget/error.hpp>

namespace setget::inline v0::redis {

class RedisCommand {
 public:
  explicit RedisCommand(std::string_view name) {
    wire_.reserve(kFirst);
    wire_.resize(kHead);
    arg(name);
  }
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
  friend class RedisCommands;
  struct Ready {};
  RedisCommand(Ready, std::string_view wire) : wire_(wire), start_(0) {}
  static constexpr std::size_t kFirst = 120;  // bytes that most commands without values need
  // Room for "*<arguments>\r\n" before the arguments, filled from its end as they come.
  static constexpr std::size_t kHead = 16;
  std::string wire_;
  std::size_t start_ = kHead;
  std::uint32_t arguments_ = 0;
  std::uint32_t replies_ = 1;
  std::optional<std::uint32_t> slot_;
  bool idempotent_ = false;
};

// Commands for Client::submit, one behind the other in one buffer, so that a batch costs a few allocations and not a few for each command:
//   RedisCommands commands;
//   commands.add("GET", 2).key(name).idempotent();
class RedisCommands {
 public:
  void reserve(std::size_t commands, std::size_t bytes) {
    items_.reserve(commands);
    wire_.reserve(bytes);
  }
  // Begins a command of so many words, its name included. Precondition: exactly as many calls of arg() and key(), less one, follow.
  RedisCommands& add(std::string_view name, std::size_t words);
  RedisCommands& add(const RedisCommand& command);
  // Of the command that was begun last; see RedisCommand.
  RedisCommands& arg(std::string_view bytes);
  // One argument made of parts.
  RedisCommands& arg(std::initializer_list<std::string_view> parts);
  RedisCommands& arg(std::int64_t number) {
    std::array<char, 24> digits;
    return arg(std::string_view(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr));
  }
  RedisCommands& key(std::string_view bytes) {
    items_.back().slot = key_slot(bytes);
    return arg(bytes);
  }
  RedisCommands& at_slot(std::uint32_t slot) noexcept {
    items_.back().slot = slot;
    return *this;
  }
  RedisCommands& idempotent() noexcept {
    items_.back().idempotent = true;
    return *this;
  }

  std::size_t size() const noexcept { return items_.size(); }
  bool empty() const noexcept { return items_.empty(); }
  std::string_view wire() const noexcept { return wire_; }
  std::string_view wire(std::size_t number) const noexcept {
    const auto begin = items_[number].begin;
    return std::string_view(wire_).substr(begin, (number + 1 < items_.size() ? items_[number + 1].begin : wire_.size()) - begin);
  }
  std::optional<std::uint32_t> slot(std::size_t number) const noexcept { return items_[number].slot; }
  std::uint32_t replies(std::size_t number) const noexcept { return items_[number].replies; }
  // Of all.
  std::size_t replies() const noexcept { return replies_; }
  // One of them, as it stands: nothing can be added to it.
  RedisCommand command(std::size_t number) const;

 private:
  struct Item {
    std::size_t begin = 0;
    std::optional<std::uint32_t> slot{};
    std::uint32_t replies = 1;
    bool idempotent = false;
  };
  std::string wire_;
  std::vector<Item> items_;
  std::size_t replies_ = 0;
};

// What the replies to one command come to: its reply, or the server's refusal as an Error. Of a transaction: EXEC's reply (nil: a watched
// key changed), or the first refusal. Precondition: as many replies as the command has, at least one.
Result<Reply> outcome_of(std::span<Reply> replies);

}  // namespace setget::inline v0::redis
