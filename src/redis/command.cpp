#include "redis/command.hpp"

#include <algorithm>

#include "redis/errors.hpp"

namespace setget::inline v0::redis {

namespace {

// "$12\r\n" or "*3\r\n".
class Head {
 public:
  Head(char type, std::size_t count) noexcept {
    text_[0] = type;
    char* end = std::to_chars(text_.data() + 1, text_.data() + kDigits + 1, count).ptr;
    *end++ = '\r';
    *end++ = '\n';
    size_ = static_cast<std::size_t>(end - text_.data());
  }
  std::string_view view() const noexcept { return {text_.data(), size_}; }

 private:
  static constexpr std::size_t kDigits = 20;
  std::array<char, 32> text_;
  std::size_t size_;
};

}  // namespace

RedisCommand& RedisCommand::arg(std::string_view bytes) & {
  const Head size('$', bytes.size());
  const auto needed = wire_.size() + size.view().size() + bytes.size() + 2;
  if (needed > wire_.capacity()) wire_.reserve(std::max(wire_.capacity() * 2, needed));
  wire_.append(size.view()).append(bytes).append("\r\n");
  const Head count('*', ++arguments_);
  start_ = kHead - count.view().size();
  wire_.replace(start_, count.view().size(), count.view());
  return *this;
}

RedisCommand RedisCommand::transaction(std::span<const RedisCommand> commands) {
  RedisCommand whole("MULTI");
  for (const auto& command : commands) {
    whole.wire_.append(command.wire());
    if (!whole.slot_) whole.slot_ = command.slot_;
  }
  whole.wire_.append(RedisCommand("EXEC").wire());
  whole.replies_ = static_cast<std::uint32_t>(commands.size()) + 2;
  return whole;
}

RedisCommands& RedisCommands::add(std::string_view name, std::size_t words) {
  items_.push_back({.begin = wire_.size()});
  ++replies_;
  wire_.append(Head('*', words).view());
  return arg(name);
}

RedisCommands& RedisCommands::add(const RedisCommand& command) {
  items_.push_back({.begin = wire_.size(), .slot = command.slot(), .replies = command.replies(), .idempotent = command.is_idempotent()});
  replies_ += command.replies();
  wire_.append(command.wire());
  return *this;
}

RedisCommands& RedisCommands::arg(std::string_view bytes) {
  wire_.append(Head('$', bytes.size()).view()).append(bytes).append("\r\n");
  return *this;
}

RedisCommands& RedisCommands::arg(std::initializer_list<std::string_view> parts) {
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  wire_.append(Head('$', size).view());
  for (const auto part : parts) wire_.append(part);
  wire_.append("\r\n");
  return *this;
}

RedisCommand RedisCommands::command(std::size_t number) const {
  const auto& item = items_[number];
  RedisCommand one(RedisCommand::Ready{}, wire(number));
  one.slot_ = item.slot;
  one.replies_ = item.replies;
  one.idempotent_ = item.idempotent;
  return one;
}

Result<Reply> outcome_of(std::span<Reply> replies) {
  if (replies.back().is_error()) {
    // EXEC only says that it was aborted; the command that was refused knows why.
    for (const auto& reply : replies) {
      if (reply.is_error()) return server_error(reply.text());
    }
  }
  return std::move(replies.back());
}

}  // namespace setget::inline v0::redis
