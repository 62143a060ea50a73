#include "file_process/json_items.hpp"

namespace kairos {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

namespace {
constexpr std::size_t kMaxObject = 1u << 20;
}

Error JsonItemReader::refuse(const std::string& why) const {
  return Error(ErrorCode::kInvalidArgument, file_ + ": item " + std::to_string(items_ + 1) + ": " + why).at_field(file_);
}

Result<void> JsonItemReader::emit() {
  Item item{file_, items_ + 1, nlohmann::ordered_json::parse(object_, nullptr, false)};
  if (!item.fields.is_object()) return refuse("not a JSON object");
  ++items_;
  object_.clear();
  return sink_(std::move(item));
}

Result<void> JsonItemReader::take_between(char byte) {
  if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') return {};
  if (array_ended_) return refuse("text after the end of the array");
  if (byte == '[' && !in_array_ && items_ == 0) {
    in_array_ = true;
    return {};
  }
  if (byte == ']' && in_array_) {
    array_ended_ = true;
    return {};
  }
  if (byte == ',' && in_array_) return {};
  if (byte != '{') return refuse("expected an object that begins with {");
  depth_ = 1;
  object_ = "{";
  return {};
}

Result<void> JsonItemReader::take(char byte) {
  if (depth_ == 0) return take_between(byte);
  if (object_.size() >= kMaxObject)
    return Error(ErrorCode::kTooLarge, file_ + ": item " + std::to_string(items_ + 1) + ": over 1048576 bytes");
  object_ += byte;
  if (in_string_) {
    const bool was_escaped = escaped_;
    escaped_ = !was_escaped && byte == '\\';
    if (byte == '"' && !was_escaped) in_string_ = false;
    return {};
  }
  if (byte == '"') in_string_ = true;
  if (byte == '{' || byte == '[') ++depth_;
  if (byte == '}' || byte == ']') --depth_;
  return depth_ == 0 ? emit() : Result<void>();
}

Result<void> JsonItemReader::feed(std::string_view bytes) {
  for (const char byte : bytes) {
    auto taken = take(byte);
    if (!taken) return taken;
  }
  return {};
}

Result<void> JsonItemReader::finish() const {
  if (depth_ != 0 || (in_array_ && !array_ended_)) return refuse("the file is cut off");
  return {};
}

}  // namespace kairos
