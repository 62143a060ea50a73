// Command: one command in its wire form, and what routing must know about it. Thread rule: a value.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "redis/slots.hpp"

namespace setget::inline v0::redis {

class Command {
 public:
  explicit Command(std::string_view name) : wire_(kHead, '\0') { arg(name); }
  // Command::of("SET", key, value): without a key; see key().
  template <class... Args>
  static Command of(std::string_view name, const Args&... args) {
    Command command(name);
    (command.arg(args), ...);
    return command;
  }
  // MULTI, the commands, EXEC: sent in one piece, so that they may share a connection. Answered by EXEC's reply, or by the first refusal.
  static Command transaction(std::span<const Command> commands);

  Command& arg(std::string_view bytes) &;
  Command&& arg(std::string_view bytes) && { return std::move(arg(bytes)); }
  Command& arg(std::int64_t number) & {
    std::array<char, 24> digits;
    return arg(std::string_view(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr));
  }
  Command&& arg(std::int64_t number) && { return std::move(arg(number)); }
  // The same, and the command goes where this key lives. All keys of a command must share a slot.
  Command& key(std::string_view bytes) & {
    slot_ = key_slot(bytes);
    return arg(bytes);
  }
  Command&& key(std::string_view bytes) && { return std::move(key(bytes)); }
  // For commands whose keys stand among other arguments, or that have none.
  Command&& at_slot(std::uint32_t slot) && {
    slot_ = slot;
    return std::move(*this);
  }
  // Doing it twice is as good as once: it may be sent again when its reply was lost.
  Command&& idempotent() && {
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

}  // namespace setget::inline v0::redis
