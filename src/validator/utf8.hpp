// Where text stops being UTF-8, and code points as UTF-8. Private to the validator; is_utf8() is the fast question.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace setget::inline v0::detail {

// Offset of the first byte of the first malformed sequence; text.size() if there is none.
std::size_t first_bad_utf8(std::string_view text) noexcept;

// `code`: up to 0x10FFFF.
inline void append_utf8(std::string& out, unsigned code) {
  const auto byte = [&out](unsigned value) { out += static_cast<char>(static_cast<unsigned char>(value)); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | (code >> 6));
    byte(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    byte(0xE0 | (code >> 12));
    byte(0x80 | ((code >> 6) & 0x3F));
    byte(0x80 | (code & 0x3F));
  } else {
    byte(0xF0 | (code >> 18));
    byte(0x80 | ((code >> 12) & 0x3F));
    byte(0x80 | ((code >> 6) & 0x3F));
    byte(0x80 | (code & 0x3F));
  }
}

}  // namespace setget::inline v0::detail
