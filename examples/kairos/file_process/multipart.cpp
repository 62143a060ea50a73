#include "file_process/multipart.hpp"

#include <algorithm>
#include <cctype>

namespace kairos {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

namespace {

constexpr std::size_t kMaxHeaders = 16'384;

std::string lower(std::string_view text) {
  std::string made(text);
  std::transform(made.begin(), made.end(), made.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return made;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The value of ;name=value or ;name="va\"lue" in a header value; empty if it is not there.
std::string parameter(std::string_view header, std::string_view name) {
  std::size_t at = header.find(';');
  while (at != std::string_view::npos && at < header.size()) {
    std::string_view rest = trim(header.substr(at + 1));
    const auto equals = rest.find('=');
    if (equals == std::string_view::npos) return {};
    const bool wanted = lower(trim(rest.substr(0, equals))) == name;
    const std::string_view value = rest.substr(equals + 1);
    std::string text;
    std::size_t used = 0;
    if (value.starts_with('"')) {
      for (used = 1; used < value.size() && value[used] != '"'; ++used) {
        if (value[used] == '\\' && used + 1 < value.size()) ++used;
        text += value[used];
      }
    } else {
      used = std::min(value.find(';'), value.size());
      text = trim(value.substr(0, used));
    }
    if (wanted) return text;
    at = header.find(';', static_cast<std::size_t>(value.data() - header.data()) + used);
  }
  return {};
}

PartHeader parse_headers(std::string_view block) {
  PartHeader header;
  while (!block.empty()) {
    const auto end = std::min(block.find("\r\n"), block.size());
    const std::string_view line = block.substr(0, end);
    block.remove_prefix(std::min(end + 2, block.size()));
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string name = lower(line.substr(0, colon));
    const std::string_view value = trim(line.substr(colon + 1));
    if (name == "content-disposition") {
      header.name = parameter(value, "name");
      header.filename = parameter(value, "filename");
    } else if (name == "content-type") {
      header.content_type = lower(trim(value.substr(0, value.find(';'))));
    }
  }
  return header;
}

}  // namespace

Result<std::string> boundary_of(std::string_view content_type) {
  if (!lower(content_type).starts_with("multipart/form-data")) {
    return Error(ErrorCode::kInvalidArgument, "expected multipart/form-data").at_field("Content-Type");
  }
  std::string boundary = parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > 70) {
    return Error(ErrorCode::kInvalidArgument, "needs a boundary of 1 to 70 characters").at_field("Content-Type");
  }
  return boundary;
}

MultipartParser::MultipartParser(std::string boundary, PartHandler handler)
    : delimiter_("\r\n--" + boundary), handler_(std::move(handler)), buffer_("\r\n") {
  // The first boundary may stand at the very beginning: the line break that delimiters start with is put there.
}

Error MultipartParser::refuse(const std::string& why) const {
  return Error(ErrorCode::kInvalidArgument, "multipart: " + why).at_position(position_ < 2 ? 0 : position_ - 2);
}

void MultipartParser::drop(std::size_t bytes) {
  buffer_.erase(0, bytes);
  position_ += bytes;
}

Result<void> MultipartParser::feed(std::string_view bytes) {
  buffer_ += bytes;
  while (true) {
    auto went_on = step();
    if (!went_on) return std::move(went_on).error();
    if (!*went_on) return {};
  }
}

// One step; false if it needs more bytes.
Result<bool> MultipartParser::step() {
  switch (state_) {
    case State::kPreamble: {
      const auto at = buffer_.find(delimiter_);
      if (at == std::string::npos) {
        if (buffer_.size() > delimiter_.size()) drop(buffer_.size() - delimiter_.size());
        return false;
      }
      drop(at + delimiter_.size());
      state_ = State::kAfterBoundary;
      return true;
    }
    case State::kAfterBoundary: {
      if (buffer_.size() < 2) return false;
      if (buffer_.starts_with("--")) {
        state_ = State::kDone;
        return true;
      }
      const auto end = buffer_.find("\r\n");
      if (end == std::string::npos && buffer_.size() < 256) return false;
      if (end == std::string::npos || !trim(std::string_view(buffer_).substr(0, end)).empty()) return refuse("text after a boundary");
      drop(end);  // keeps the line break: headers may be empty
      state_ = State::kHeaders;
      return true;
    }
    case State::kHeaders:
      return take_headers();
    case State::kBody:
      return take_body();
    case State::kDone:
      drop(buffer_.size());
      return false;
  }
  return false;
}

Result<bool> MultipartParser::take_headers() {
  const auto end = buffer_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (buffer_.size() > kMaxHeaders)
      return Error(ErrorCode::kTooLarge, "multipart: part headers over 16384 bytes").at_position(position_ - 2);
    return false;
  }
  auto begun = handler_.begin(parse_headers(std::string_view(buffer_).substr(2, end - std::min<std::size_t>(end, 2))));
  if (!begun) return std::move(begun).error();
  drop(end + 4);
  state_ = State::kBody;
  return true;
}

Result<bool> MultipartParser::take_body() {
  const auto at = buffer_.find(delimiter_);
  if (at != std::string::npos) {
    auto given = handler_.data(std::string_view(buffer_).substr(0, at));
    if (!given) return std::move(given).error();
    auto ended = handler_.end();
    if (!ended) return std::move(ended).error();
    drop(at + delimiter_.size());
    state_ = State::kAfterBoundary;
    return true;
  }
  // The last bytes may be the beginning of a delimiter.
  if (buffer_.size() >= delimiter_.size()) {
    const std::size_t sure = buffer_.size() - delimiter_.size() + 1;
    auto given = handler_.data(std::string_view(buffer_).substr(0, sure));
    if (!given) return std::move(given).error();
    drop(sure);
  }
  return false;
}

Result<void> MultipartParser::finish() const {
  if (state_ != State::kDone) return refuse("the closing boundary is missing");
  return {};
}

}  // namespace kairos
