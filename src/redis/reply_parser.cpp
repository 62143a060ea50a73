#include "redis/reply_parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace setget::inline v0::redis {
namespace {

constexpr std::size_t kBuffer = std::size_t{64} * 1024;
constexpr std::size_t kLeastRoom = std::size_t{16} * 1024;
constexpr std::size_t kLongText = std::size_t{16} * 1024;  // from here on strings are received in place
constexpr std::size_t kLongestLine = std::size_t{64} * 1024 - 2;
constexpr std::size_t kStep = std::size_t{256} * 1024;  // how far a long string is made ready ahead of its bytes
constexpr std::size_t kDeepest = 16;
constexpr std::size_t kElementCost = sizeof(Reply);

}  // namespace

ReplyParser::ReplyParser(std::size_t max_reply) : max_reply_(max_reply), buffer_(kBuffer, '\0') {}

std::span<char> ReplyParser::room() {
  if (long_text_) {
    if (text_.size() < wanted_ && text_.size() - filled_ < kLeastRoom) text_.resize(std::min(wanted_, filled_ + kStep));
    return {text_.data() + filled_, text_.size() - filled_};
  }
  if (read_ == end_) read_ = end_ = 0;
  if (buffer_.size() - end_ < kLeastRoom && read_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + read_, end_ - read_);
    end_ -= read_;
    read_ = 0;
  }
  if (buffer_.size() - end_ < kLeastRoom) buffer_.resize(end_ + kLeastRoom);
  return {buffer_.data() + end_, buffer_.size() - end_};
}

void ReplyParser::arrived(std::size_t bytes) { (long_text_ ? filled_ : end_) += bytes; }

ReplyParser::State ReplyParser::next(Reply& reply) {
  if (!why_.empty()) return State::kBroken;
  for (;;) {
    Reply one;
    switch (value(one)) {
      case Step::kMore:
        return State::kMore;
      case Step::kBroken:
        return State::kBroken;
      case Step::kOpened:
        break;
      case Step::kValue:
        if (finish(one, reply)) return State::kReply;
        break;
    }
  }
}

// Puts a whole value where it belongs; true if that completes the reply.
bool ReplyParser::finish(Reply& value, Reply& reply) {
  for (;;) {
    if (frames_.empty()) {
      reply = std::move(value);
      spent_ = 0;
      return true;
    }
    auto& frame = frames_.back();
    frame.list.elements_.push_back(std::move(value));
    if (--frame.left > 0) return false;
    value = std::move(frame.list);
    const bool attribute = frame.attribute;
    frames_.pop_back();
    if (attribute) return false;  // the value that it describes comes next
  }
}

ReplyParser::Step ReplyParser::value(Reply& into) {
  if (long_text_) return finish_long_text(into);
  const auto before = read_;
  const auto found = line();
  if (!found) return why_.empty() ? Step::kMore : Step::kBroken;
  if (found->empty()) return broken("an empty line where a reply should start");
  const char type = found->front();
  const auto rest = found->substr(1);
  if (!charge(kElementCost)) return Step::kBroken;
  switch (type) {
    case '+':
    case '(':
      into = Reply::of(ReplyKind::kStatus, std::string(rest));
      return charge(rest.size()) ? Step::kValue : Step::kBroken;
    case '-':
      into = Reply::of(ReplyKind::kError, std::string(rest));
      return charge(rest.size()) ? Step::kValue : Step::kBroken;
    case ',':
      into = Reply::of(ReplyKind::kDouble, std::string(rest));
      return charge(rest.size()) ? Step::kValue : Step::kBroken;
    case ':': {
      const auto number = count(rest);
      if (!number) return broken("an integer that is none");
      into = Reply::of(ReplyKind::kInteger, *number);
      return Step::kValue;
    }
    case '_':
      return rest.empty() ? Step::kValue : broken("a null with a value");
    case '#':
      if (rest != "t" && rest != "f") return broken("a boolean that is neither t nor f");
      into = Reply::of(ReplyKind::kBoolean, std::int64_t{rest == "t"});
      return Step::kValue;
    case '$':
    case '=':
    case '!': {
      verbatim_ = type == '=';
      const auto step = text_value(type == '!' ? ReplyKind::kError : ReplyKind::kString, rest, into);
      if (step == Step::kMore && !long_text_) {  // the text is not there yet: start over with its length then
        read_ = before;
        spent_ -= kElementCost;
      }
      return step;
    }
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
      return open_list(type, rest, into);
    default:
      return broken(fmt::format("a reply cannot start with byte {:#04x}", static_cast<unsigned char>(type)));
  }
}

ReplyParser::Step ReplyParser::text_value(ReplyKind kind, std::string_view line, Reply& into) {
  const auto announced = count(line);
  if (!announced || *announced < -1) return broken("a string with a bad length");
  if (*announced == -1) return Step::kValue;  // the nil of RESP2
  const auto size = static_cast<std::size_t>(*announced);
  if (size > max_reply_ - std::min(max_reply_, spent_))
    return broken(fmt::format("a reply over the limit of {} bytes (option max_reply): a string of {}", max_reply_, size));
  const auto there = end_ - read_;
  if (there < size + 2) {
    if (size < kLongText) return Step::kMore;
    spent_ += size;
    long_text_ = true;
    long_kind_ = kind;
    wanted_ = size + 2;
    filled_ = there;
    text_.clear();
    text_.reserve(wanted_);  // address space only: pages come with the bytes
    text_.assign(buffer_, read_, there);
    read_ = end_ = 0;
    return Step::kMore;
  }
  if (buffer_[read_ + size] != '\r' || buffer_[read_ + size + 1] != '\n') return broken("a string that does not end with CR LF");
  const std::size_t skipped = verbatim_ ? std::min<std::size_t>(4, size) : 0;  // "txt:"
  into = Reply::of(kind, buffer_.substr(read_ + skipped, size - skipped));
  read_ += size + 2;
  spent_ += size;
  return Step::kValue;
}

ReplyParser::Step ReplyParser::finish_long_text(Reply& into) {
  if (filled_ < wanted_) return Step::kMore;
  long_text_ = false;
  if (!text_.ends_with("\r\n")) return broken("a string that does not end with CR LF");
  text_.resize(text_.size() - 2);
  if (verbatim_) text_.erase(0, 4);
  into = Reply::of(long_kind_, std::exchange(text_, {}));
  return Step::kValue;
}

ReplyParser::Step ReplyParser::open_list(char type, std::string_view line, Reply& into) {
  const auto announced = count(line);
  constexpr std::int64_t kMost = std::int64_t{1} << 32;
  if (!announced || *announced < -1 || *announced > kMost) return broken("a list with a bad length");
  if (*announced == -1) return Step::kValue;
  const bool pairs = type == '%' || type == '|';
  const auto size = static_cast<std::size_t>(*announced) * (pairs ? 2 : 1);
  const auto kind = type == '*' ? ReplyKind::kArray : type == '~' ? ReplyKind::kSet : type == '>' ? ReplyKind::kPush : ReplyKind::kMap;
  Reply list = Reply::of(kind, std::vector<Reply>{});
  if (size == 0) {
    if (type == '|') return Step::kOpened;
    into = std::move(list);
    return Step::kValue;
  }
  if (frames_.size() == kDeepest) return broken(fmt::format("lists nested deeper than {}", kDeepest));
  list.elements_.reserve(std::min<std::size_t>(size, 256));
  frames_.push_back({std::move(list), size, type == '|'});
  return Step::kOpened;
}

// The next line without its CR LF, if it is there.
std::optional<std::string_view> ReplyParser::line() {
  const auto* start = buffer_.data() + read_;
  const auto* end = static_cast<const char*>(std::memchr(start, '\n', end_ - read_));
  if (end == nullptr) {
    if (end_ - read_ > kLongestLine) broken("a line that does not end");
    return std::nullopt;
  }
  const auto size = static_cast<std::size_t>(end - start);
  if (size == 0 || end[-1] != '\r') {
    broken("a line that does not end with CR LF");
    return std::nullopt;
  }
  read_ += size + 1;
  return std::string_view(start, size - 1);
}

std::optional<std::int64_t> ReplyParser::count(std::string_view line) {
  std::int64_t value = 0;
  if (line.starts_with('+')) line.remove_prefix(1);
  const auto [end, failed] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (failed != std::errc{} || end != line.data() + line.size()) return std::nullopt;
  return value;
}

bool ReplyParser::charge(std::size_t bytes) {
  spent_ += bytes;
  if (spent_ <= max_reply_) return true;
  broken(fmt::format("a reply over the limit of {} bytes (option max_reply)", max_reply_));
  return false;
}

ReplyParser::Step ReplyParser::broken(std::string why) {
  why_ = std::move(why);
  return Step::kBroken;
}

}  // namespace setget::inline v0::redis
