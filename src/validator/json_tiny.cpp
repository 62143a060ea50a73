#include "validator/json_tiny.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

namespace setget::inline v0::detail::schema {
// `at` is behind the opening quote.
bool TinyReader::text(const char*& at, const char* end) noexcept {
  words_[words_end_++] = make_word('"', string_end_);
  auto* const size_at = strings_ + string_end_;
  auto* to = size_at + 4;
  for (;; ++at, ++to) {
    if (at == end) return false;
    const char c = *at;
    if (c == '"') break;
    // Of bytes that are negative as `char` the other readers know whether they are UTF-8.
    if (static_cast<signed char>(c) < 0x20 || c == '\\') return false;
    *to = static_cast<std::uint8_t>(c);
  }
  ++at;
  const auto size = static_cast<std::uint32_t>(to - size_at - 4);
  std::memcpy(size_at, &size, sizeof size);
  *to = 0;
  string_end_ += size + 5;
  return true;
}

bool TinyReader::number(const char*& at, const char* end) noexcept {
  const auto* const start = at;
  const bool negative = *at == '-';
  if (negative) ++at;
  const auto* const first = at;
  std::int64_t value = 0;
  for (; at != end && is_digit(*at); ++at) {
    if (at - first >= 18) return false;
    value = value * 10 + (*at - '0');
  }
  if (at == first || (*first == '0' && at - first > 1)) return false;
  if (at == end || (*at != '.' && (*at | 0x20) != 'e')) {
    words_[words_end_++] = make_word('l', 0);
    words_[words_end_++] = static_cast<std::uint64_t>(negative ? -value : value);
    return true;
  }
  // As the exact reader has it: 15 digits and an exponent that is far from the ends of what a double holds.
  auto digits = at - first;
  if (*at == '.') {
    const auto* const fraction = ++at;
    while (at != end && is_digit(*at)) ++at;
    if (at == fraction) return false;
    digits += at - fraction;
  }
  if (digits > 15) return false;
  if (at != end && (*at | 0x20) == 'e') {
    ++at;
    if (at != end && (*at == '+' || *at == '-')) ++at;
    const auto* const exponent = at;
    while (at != end && is_digit(*at)) ++at;
    if (at == exponent || at - exponent > 2) return false;
  }
  double real = 0;
  if (std::from_chars(start, at, real).ec != std::errc()) return false;
  words_[words_end_++] = make_word('d', 0);
  words_[words_end_++] = std::bit_cast<std::uint64_t>(real);
  return true;
}

bool TinyReader::parse(std::string_view json, std::size_t max_depth) noexcept {
  if (json.size() > kMostText) return false;
  const auto* at = json.data();
  const auto* const end = at + json.size();
  // Of what is open: its place, and how many names or elements it has had.
  std::uint32_t places[kDepth];
  std::uint32_t counts[kDepth];
  std::size_t depth = 0;
  words_end_ = 1;
  string_end_ = 0;
  const auto name = [&] {
    skip_space(at, end);
    if (at == end || *at++ != '"' || !text(at, end)) return false;
    skip_space(at, end);
    return at != end && *at++ == ':';
  };
  const auto literal = [&](std::string_view word) {
    if (static_cast<std::size_t>(end - at) < word.size() || std::memcmp(at, word.data(), word.size()) != 0) return false;
    at += word.size();
    words_[words_end_++] = make_word(word[0], 0);
    return true;
  };
  while (true) {
    skip_space(at, end);
    if (at == end) return false;
    bool is_open = false;
    switch (*at) {
      case '{':
      case '[': {
        if (depth >= kDepth || depth >= max_depth) return false;
        const char opener = *at++;
        places[depth] = static_cast<std::uint32_t>(words_end_);
        counts[depth] = 0;
        ++depth;
        words_[words_end_++] = make_word(opener, 0);
        skip_space(at, end);
        if (at == end) return false;
        is_open = *at != (opener == '{' ? '}' : ']');
        if (is_open && opener == '{' && !name()) return false;
        break;
      }
      case '"':
        if (!text(++at, end)) return false;
        break;
      case 't':
        if (!literal("true")) return false;
        break;
      case 'f':
        if (!literal("false")) return false;
        break;
      case 'n':
        if (!literal("null")) return false;
        break;
      default:
        if ((*at != '-' && !is_digit(*at)) || !number(at, end)) return false;
    }
    if (is_open) continue;
    // What ends here, up to where the next value begins.
    while (true) {
      skip_space(at, end);
      if (depth == 0) {
        if (at != end) return false;
        words_[0] = make_word('r', words_end_);
        words_[words_end_++] = make_word('r', 0);
        return true;
      }
      if (at == end) return false;
      const auto place = places[depth - 1];
      auto& opened = words_[place];
      const bool object = tag_of(opened) == '{';
      const char c = *at++;
      if (c == ',') {
        ++counts[depth - 1];
        if (object && !name()) return false;
        break;
      }
      if (c != (object ? '}' : ']')) return false;
      // The last one stands where the container does not end at once.
      const auto count = counts[depth - 1] + (words_end_ > place + 1 ? 1 : 0);
      words_[words_end_++] = make_word(c, place);
      opened |= words_end_ | (static_cast<std::uint64_t>(count) << 32);
      --depth;
    }
  }
}

}  // namespace setget::inline v0::detail::schema
