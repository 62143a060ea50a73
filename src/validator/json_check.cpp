#include <fmt/format.h>
#include <simdjson.h>

#include <setget/validator.hpp>

#include "validator/json_scan.hpp"
#include "validator/utf8.hpp"

namespace setget::inline v0 {

bool is_utf8(std::string_view text) noexcept { return simdjson::validate_utf8(text.data(), text.size()); }

namespace detail {

std::size_t first_bad_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    // RFC 3629 section 4: how many bytes follow, and what the first of them may be (no overlong forms, surrogates, or beyond U+10FFFF).
    std::size_t more = 0;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (lead < 0x80) {
      more = 0;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
      more = 1;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      more = 2;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      more = 3;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else {
      return at;
    }
    for (std::size_t i = 1; i <= more; ++i) {
      if (at + i >= text.size()) return at;
      const auto next = static_cast<unsigned char>(text[at + i]);
      if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xBF)) return at;
    }
    at += more + 1;
  }
  return text.size();
}

}  // namespace detail

std::vector<Reason> check_json(std::string_view text, const Limits& limits, std::string_view prefix) {
  if (!is_utf8(text)) {
    return {{.code = "json_invalid_utf8",
             .message = fmt::format("byte {}: not UTF-8 (RFC 3629)", detail::first_bad_utf8(text)),
             .pointer = std::string(prefix)}};
  }
  thread_local detail::JsonScan scan;
  return scan.run(text, limits, prefix);
}

}  // namespace setget::inline v0
