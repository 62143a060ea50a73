#include "gateway/json_writer.hpp"

#include <fmt/format.h>

#include <chrono>

#include "gateway/utf8.hpp"

namespace setget::inline v0::detail {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_plain(unsigned char byte) noexcept { return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\'; }

void append_escaped(std::string& out, unsigned char byte) {
  switch (byte) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = at;
    while (end < text.size() && is_plain(static_cast<unsigned char>(text[end]))) ++end;
    out.append(text.substr(at, end - at));
    if (end == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[end]);
    if (byte < 0x80) {
      append_escaped(out, byte);
      at = end + 1;
      continue;
    }
    const std::size_t length = utf8_sequence(text.substr(end));
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      at = end + 1;
    } else {
      out.append(text.substr(end, length));
      at = end + length;
    }
  }
  out += '"';
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
  append_json_string(raw(name), value);
  return *this;
}
JsonObject& JsonObject::number(std::string_view name, std::uint64_t value) {
  const fmt::format_int digits(value);
  raw(name).append(digits.data(), digits.size());
  return *this;
}
JsonObject& JsonObject::boolean(std::string_view name, bool value) {
  raw(name) += value ? "true" : "false";
  return *this;
}
JsonObject& JsonObject::null(std::string_view name) {
  raw(name) += "null";
  return *this;
}
std::string& JsonObject::raw(std::string_view name) {
  if (!first_) out_ += ',';
  first_ = false;
  append_json_string(out_, name);
  out_ += ':';
  return out_;
}

JsonArray& JsonArray::text(std::string_view value) {
  append_json_string(raw(), value);
  return *this;
}
std::string& JsonArray::raw() {
  if (!first_) out_ += ',';
  first_ = false;
  return out_;
}

}  // namespace setget::inline v0::detail
