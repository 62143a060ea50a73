// Reads RESP2 and RESP3 piece by piece. hiredis 0.14 knows no RESP3, copies every byte twice more and moves its whole buffer for each
// reply, so this is our own; tests hold it to hiredis on everything that both understand.
//
// Bounded: by bytes of one reply (text and 72 bytes for each element), by depth, by the length of a line. What a server announces is only
// believed as it arrives: a count of 2^31 elements reserves nothing. A long string is received straight into its final place.
// Thread rule: one thread at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "redis/reply.hpp"

namespace setget::inline v0::redis {

class ReplyParser {
 public:
  explicit ReplyParser(std::size_t max_reply);

  // Where the next bytes belong; never empty. Valid until the next call of any member.
  std::span<char> room();
  // So many bytes were put into room().
  void arrived(std::size_t bytes);

  // kReply: one is in `reply`. kMore: all that is there has been read. kBroken: for good, see why().
  enum class State : std::uint8_t { kMore, kReply, kBroken };
  State next(Reply& reply);
  const std::string& why() const noexcept { return why_; }

  // Bytes that the reply now being read is still known to need.
  std::size_t missing() const noexcept { return long_text_ ? wanted_ - filled_ : 0; }

 private:
  struct Frame {
    Reply list;
    std::size_t left;
    bool attribute;  // read and dropped
  };
  enum class Step : std::uint8_t { kMore, kValue, kOpened, kBroken };

  Step value(Reply& into);
  Step finish_long_text(Reply& into);
  Step text_value(ReplyKind kind, std::string_view line, Reply& into);
  Step open_list(char type, std::string_view line, Reply& into);
  bool finish(Reply& value, Reply& reply);
  std::optional<std::string_view> line();
  std::optional<std::int64_t> count(std::string_view line);
  bool charge(std::size_t bytes);
  Step broken(std::string why);

  std::size_t max_reply_;
  std::size_t spent_ = 0;  // of the current reply
  std::string buffer_;     // [read_, end_) is unread
  std::size_t read_ = 0;
  std::size_t end_ = 0;
  std::vector<Frame> frames_;
  bool long_text_ = false;  // a string is received into text_ directly
  ReplyKind long_kind_ = ReplyKind::kString;
  bool verbatim_ = false;
  std::string text_;
  std::size_t wanted_ = 0;  // with its CR LF
  std::size_t filled_ = 0;
  std::string why_;
};

}  // namespace setget::inline v0::redis
