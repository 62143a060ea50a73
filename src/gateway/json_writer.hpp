// Appends JSON to a string. No tree is built: answers are written once, front to back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/moment.hpp"

namespace setget::inline v0::detail {

// `text` as a JSON string. Bytes that are not UTF-8 become U+FFFD: what must survive exactly travels as base64 beside it.
void append_json_string(std::string& out, std::string_view text);

// One object or array under construction; nesting is by raw(), so that a part can be written by another function.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_ += '{'; }
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;
  ~JsonObject() { out_ += '}'; }

  JsonObject& text(std::string_view name, std::string_view value);
  JsonObject& number(std::string_view name, std::uint64_t value);
  JsonObject& boolean(std::string_view name, bool value);
  JsonObject& null(std::string_view name);
  // Writes the name; the caller appends exactly one JSON value to the string.
  std::string& raw(std::string_view name);

 private:
  std::string& out_;
  bool first_ = true;
};

class JsonArray {
 public:
  explicit JsonArray(std::string& out) : out_(out) { out_ += '['; }
  JsonArray(const JsonArray&) = delete;
  JsonArray& operator=(const JsonArray&) = delete;
  ~JsonArray() { out_ += ']'; }

  JsonArray& text(std::string_view value);
  std::string& raw();

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace setget::inline v0::detail
