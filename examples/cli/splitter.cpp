#include "splitter.hpp"

namespace cli {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

namespace {
bool is_space(char byte) { return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n'; }
}  // namespace

Error EnvelopeSplitter::refuse(const std::string& why) const {
  return Error(ErrorCode::kInvalidArgument, "line " + std::to_string(line_) + ": " + why);
}

Result<void> EnvelopeSplitter::append(char byte) {
  if (value_.empty()) began_ = line_;
  if (value_.size() >= max_bytes_) {
    return Error(ErrorCode::kTooLarge,
                 "the envelope at line " + std::to_string(began_) + " is longer than " + std::to_string(max_bytes_) + " bytes");
  }
  value_ += byte;
  return {};
}

Result<void> EnvelopeSplitter::give() {
  std::string envelope;
  envelope.swap(value_);
  return sink_(std::move(envelope), began_);
}

Result<void> EnvelopeSplitter::take_line_byte(char byte) {
  if (byte != '\n') return value_.empty() && is_space(byte) ? Result<void>() : append(byte);
  return value_.empty() ? Result<void>() : give();
}

Result<void> EnvelopeSplitter::take_array_byte(char byte) {
  if (in_ == In::kEnd) return is_space(byte) ? Result<void>() : Result<void>(refuse("text after the end of the array"));
  if (in_ == In::kBetween) {
    if (is_space(byte)) return {};
    if (byte == ']' && !after_comma_) {
      in_ = In::kEnd;
      return {};
    }
    if (comma_wanted_) {
      if (byte != ',') return refuse("expected , or ] after an envelope");
      comma_wanted_ = false;
      after_comma_ = true;
      return {};
    }
    if (byte != '{') return refuse("expected an envelope, an object that begins with {");
    in_ = In::kValue;
    after_comma_ = false;
    depth_ = 1;
    return append(byte);
  }
  auto appended = append(byte);
  if (!appended) return appended;
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (byte == '\\') {
      escaped_ = true;
    } else if (byte == '"') {
      in_string_ = false;
    }
    return {};
  }
  if (byte == '"') in_string_ = true;
  if (byte == '{' || byte == '[') ++depth_;
  if (byte == '}' || byte == ']') --depth_;
  if (depth_ != 0) return {};
  in_ = In::kBetween;
  comma_wanted_ = true;
  return give();
}

Result<void> EnvelopeSplitter::feed(std::string_view bytes) {
  for (const char byte : bytes) {
    if (form_ == Form::kUnknown && !is_space(byte)) {
      form_ = byte == '[' ? Form::kArray : Form::kLines;
      if (form_ == Form::kArray) continue;
    }
    if (form_ != Form::kUnknown) {
      auto taken = form_ == Form::kArray ? take_array_byte(byte) : take_line_byte(byte);
      if (!taken) return taken;
    }
    if (byte == '\n') ++line_;
  }
  return {};
}

Result<void> EnvelopeSplitter::finish() {
  if (form_ == Form::kArray && in_ != In::kEnd) return refuse("the array is cut off: no ] at its end");
  return form_ == Form::kLines && !value_.empty() ? give() : Result<void>();
}

}  // namespace cli
