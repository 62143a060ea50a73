// Reply: what a server answered, as a value of our own. Thread rule: a value; const access from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <setget/payload.hpp>

namespace setget::inline v0::redis {

// The types of RESP2 and RESP3 that differ for a reader: verbatim strings are strings, big numbers are statuses.
enum class ReplyKind : std::uint8_t { kNil, kStatus, kError, kInteger, kString, kArray, kMap, kSet, kPush, kDouble, kBoolean };

class Reply {
 public:
  Reply() = default;
  static Reply nil() { return {}; }
  static Reply of(ReplyKind kind, std::string text) {
    Reply reply;
    reply.kind_ = kind;
    reply.text_ = std::move(text);
    return reply;
  }
  static Reply of(ReplyKind kind, std::int64_t integer) {
    Reply reply;
    reply.kind_ = kind;
    reply.integer_ = integer;
    return reply;
  }
  static Reply of(ReplyKind kind, std::vector<Reply> elements) {
    Reply reply;
    reply.kind_ = kind;
    reply.elements_ = std::move(elements);
    return reply;
  }

  ReplyKind kind() const noexcept { return kind_; }
  bool is_nil() const noexcept { return kind_ == ReplyKind::kNil; }
  bool is_error() const noexcept { return kind_ == ReplyKind::kError; }
  // A list of any kind; a map lists key, value, key, value, as RESP2 does.
  bool is_list() const noexcept { return kind_ >= ReplyKind::kArray && kind_ <= ReplyKind::kPush; }
  // Of statuses, errors, strings and doubles; empty for all others.
  std::string_view text() const noexcept { return text_; }
  // Of integers and booleans (0 or 1); 0 for all others.
  std::int64_t integer() const noexcept { return integer_; }
  std::span<const Reply> elements() const noexcept { return elements_; }
  std::span<Reply> elements() noexcept { return elements_; }
  // The text without a copy; this reply's own is empty afterwards.
  Payload take_payload() { return Payload::adopt(std::exchange(text_, {})); }
  std::string take_text() { return std::exchange(text_, {}); }

  friend bool operator==(const Reply&, const Reply&) = default;

 private:
  friend class ReplyParser;
  std::string text_;
  std::vector<Reply> elements_;
  std::int64_t integer_ = 0;
  ReplyKind kind_ = ReplyKind::kNil;
};

}  // namespace setget::inline v0::redis
