#include "mapping/json_string.hpp"

#include <cstdint>
#include <cstring>
#include <optional>

namespace setget::inline v0::jmespath::detail {
namespace {

std::optional<std::uint32_t> hex4(std::string_view text) noexcept {
  if (text.size() < 4) return std::nullopt;
  std::uint32_t code = 0;
  for (const char c : text.substr(0, 4)) {
    const char lower = static_cast<char>(c | 0x20);
    std::uint32_t value = 0;
    if (c >= '0' && c <= '9')
      value = static_cast<std::uint32_t>(c - '0');
    else if (lower >= 'a' && lower <= 'f')
      value = static_cast<std::uint32_t>(lower - 'a') + 10;
    else
      return std::nullopt;
    code = code << 4 | value;
  }
  return code;
}

std::size_t encode_utf8(std::uint32_t code, char* out) noexcept {
  const auto tail = [&](unsigned shift) { return static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) return out[0] = static_cast<char>(code), 1;
  if (code < 0x800) return out[0] = static_cast<char>(0xC0 | code >> 6), out[1] = tail(0), 2;
  if (code < 0x10000) return out[0] = static_cast<char>(0xE0 | code >> 12), out[1] = tail(6), out[2] = tail(0), 3;
  out[0] = static_cast<char>(0xF0 | code >> 18);
  out[1] = tail(12);
  out[2] = tail(6);
  out[3] = tail(0);
  return 4;
}

char simple_escape(char kind) noexcept {
  switch (kind) {
    case '"':
    case '\\':
    case '/':
      return kind;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return '\0';
  }
}

}  // namespace

Decoded decode_string(std::string_view escaped, char* out) noexcept {
  std::size_t at = 0;
  std::size_t size = 0;
  while (at < escaped.size()) {
    const void* next = std::memchr(escaped.data() + at, '\\', escaped.size() - at);
    const std::size_t plain =
        (next == nullptr ? escaped.size() : static_cast<std::size_t>(static_cast<const char*>(next) - escaped.data())) - at;
    std::memcpy(out + size, escaped.data() + at, plain);
    size += plain;
    at += plain;
    if (at == escaped.size()) break;
    if (at + 1 == escaped.size()) return {at, "the text ends inside an escape"};
    if (escaped[at + 1] != 'u') {
      const char c = simple_escape(escaped[at + 1]);
      if (c == '\0') return {at, "no such escape in JSON"};
      out[size++] = c;
      at += 2;
      continue;
    }
    auto code = hex4(escaped.substr(at + 2));
    if (!code) return {at, "\\u needs four hexadecimal digits"};
    std::size_t used = 6;
    if (*code >= 0xD800 && *code < 0xE000) {
      const auto rest = escaped.substr(at + 6);
      const auto low = *code < 0xDC00 && rest.starts_with("\\u") ? hex4(rest.substr(2)) : std::nullopt;
      if (!low || *low < 0xDC00 || *low > 0xDFFF) return {at, "half of a surrogate pair is not a character"};
      code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
      used = 12;
    }
    size += encode_utf8(*code, out + size);
    at += used;
  }
  return {size, {}};
}

void append_string(std::string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  std::size_t plain = 0;  // where what is not written yet begins
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text.substr(plain, i - plain));
    plain = i + 1;
    out.push_back('\\');
    switch (c) {
      case '\b':
        out.push_back('b');
        break;
      case '\f':
        out.push_back('f');
        break;
      case '\n':
        out.push_back('n');
        break;
      case '\r':
        out.push_back('r');
        break;
      case '\t':
        out.push_back('t');
        break;
      case '"':
      case '\\':
        out.push_back(static_cast<char>(c));
        break;
      default:
        out.append("u00").append(1, kHex[c >> 4]).append(1, kHex[c & 15]);
    }
  }
  out.append(text.substr(plain)).push_back('"');
}

std::size_t count_characters(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0u) != 0x80;
  return count;
}

std::size_t character_size(char lead) noexcept {
  const auto c = static_cast<unsigned char>(lead);
  return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

bool is_utf8(std::string_view text) noexcept { return valid_utf8(text) == text.size(); }

std::size_t valid_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x80) {
      ++at;
      continue;
    }
    // RFC 3629 section 4: what the second byte may be, so that there are no overlong forms, no surrogates, nothing beyond U+10FFFF.
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (c == 0xE0) low = 0xA0;
    if (c == 0xED) high = 0x9F;
    if (c == 0xF0) low = 0x90;
    if (c == 0xF4) high = 0x8F;
    const std::size_t size = character_size(text[at]);
    if (c < 0xC2 || c > 0xF4 || at + size > text.size()) return at;
    const auto second = static_cast<unsigned char>(text[at + 1]);
    if (second < low || second > high) return at;
    for (std::size_t i = 2; i < size; ++i)
      if ((static_cast<unsigned char>(text[at + i]) & 0xC0u) != 0x80) return at;
    at += size;
  }
  return at;
}

Flaw first_flaw(std::string_view text) noexcept {
  const std::size_t valid = valid_utf8(text);
  bool inside = false;    // of a string
  std::size_t start = 0;  // of it
  for (std::size_t at = 0; at < valid; ++at) {
    const char c = text[at];
    if (c == '"') {
      inside = !inside;
      start = at;
    } else if (c == '\\') {
      if (!inside) return {at, "an escape is for strings only"};
      ++at;  // whatever it is, it does not close the string
    }
    if (inside && at < valid && static_cast<unsigned char>(text[at]) < 0x20) return {at, "a control character in a string must be escaped"};
  }
  if (valid < text.size()) return {valid, "not UTF-8"};
  if (inside) return {start, "the string is not closed"};
  return {text.size(), "the text ends where a value is expected"};
}

}  // namespace setget::inline v0::jmespath::detail
