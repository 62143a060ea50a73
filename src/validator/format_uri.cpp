// URIs (RFC 3986), IRIs (RFC 3987) and templates of URIs (RFC 6570).
#include <array>
#include <cstdint>

#include "validator/char_set.hpp"
#include "validator/format.hpp"

namespace setget::inline v0::detail::schema {
namespace {

enum Class : std::uint8_t { kUserInfo = 1, kHost = 2, kPath = 4, kQuery = 8, kHex = 16, kScheme = 32, kTemplate = 64, kVariable = 128 };

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> of{};
  const auto give = [&](std::string_view all, int bits) {
    for (const char c : all) of[static_cast<unsigned char>(c)] = static_cast<std::uint8_t>(of[static_cast<unsigned char>(c)] | bits);
  };
  constexpr std::string_view kAlphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  constexpr std::string_view kSubDelimiters = "!$&'()*+,;=";
  for (const auto all : {kAlphanumeric, std::string_view("-._~"), kSubDelimiters}) give(all, kUserInfo | kHost | kPath | kQuery);
  give(":", kUserInfo | kPath | kQuery);
  give("@/", kPath | kQuery);
  give("?", kQuery);
  give("0123456789abcdefABCDEF", kHex);
  give(kAlphanumeric, kScheme | kVariable);
  give("+-.", kScheme);
  give("_", kVariable);
  // Literals of RFC 6570 section 2.1 and its erratum 6937 (the apostrophe), but % and what is not ASCII.
  for (int c = 0x21; c < 0x7F; ++c) {
    if (std::string_view("\"%<>\\^`{|}").find(static_cast<char>(c)) == std::string_view::npos)
      of[static_cast<std::size_t>(c)] = static_cast<std::uint8_t>(of[static_cast<std::size_t>(c)] | kTemplate);
  }
  return of;
}
constexpr auto kClasses = make_classes();

bool is(char c, int bits) noexcept { return (kClasses[static_cast<unsigned char>(c)] & bits) != 0; }
bool letter(char c) noexcept { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool escape(std::string_view text, std::size_t at) noexcept {
  return at + 2 < text.size() && is(text[at + 1], kHex) && is(text[at + 2], kHex);
}

// Where the run of bytes of a class ends: eight at once, without a branch for each.
std::size_t run(std::string_view text, std::size_t at, int bits) noexcept {
  const auto of = [&](std::size_t i) { return kClasses[static_cast<unsigned char>(text[at + i])]; };
  for (; at + 8 <= text.size(); at += 8) {
    if ((of(0) & of(1) & of(2) & of(3) & of(4) & of(5) & of(6) & of(7) & bits) == 0) break;
  }
  while (at < text.size() && is(text[at], bits)) ++at;
  return at;
}

// ucschar of RFC 3987; iprivate too, where allowed.
bool international(std::string_view text, std::size_t& at, bool private_too) noexcept {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t size = lead < 0xE0 ? 2 : (lead < 0xF0 ? 3 : 4);
  if (lead < 0xC0 || at + size > text.size()) return false;
  std::uint32_t code = lead & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) code = (code << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3F);
  at += size - 1;
  if ((code >= 0xA0 && code <= 0xD7FF) || (code >= 0xF900 && code <= 0xFDCF) || (code >= 0xFDF0 && code <= 0xFFEF)) return true;
  if (code >= 0x10000 && code <= 0xEFFFF) return (code & 0xFFFF) <= 0xFFFD && (code < 0xE0000 || code >= 0xE1000);
  return private_too && ((code >= 0xE000 && code <= 0xF8FF) || (code >= 0xF0000 && code <= 0x10FFFD && (code & 0xFFFF) <= 0xFFFD));
}

bool all_of(std::string_view text, int bits, bool iri, bool private_too = false) noexcept {
  for (auto at = run(text, 0, bits); at < text.size(); at = run(text, at + 1, bits)) {
    if (text[at] == '%') {
      if (!escape(text, at)) return false;
      at += 2;
    } else if (!iri || !international(text, at, private_too)) {
      return false;
    }
  }
  return true;
}

bool authority_holds(std::string_view text, bool iri) noexcept {
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    if (!all_of(text.substr(0, at), kUserInfo, iri)) return false;
    text.remove_prefix(at + 1);
  }
  std::string_view port;
  if (!text.empty() && text[0] == '[') {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return false;
    const auto inner = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (!port.empty() && port[0] != ':') return false;
    if (!inner.empty() && (inner[0] == 'v' || inner[0] == 'V')) {
      const auto dot = inner.find('.');
      if (dot == std::string_view::npos || dot < 2 || dot + 1 == inner.size()) return false;
      for (const char c : inner.substr(1, dot - 1)) {
        if (!is(c, kHex)) return false;
      }
      for (const char c : inner.substr(dot + 1)) {
        if (!is(c, kUserInfo)) return false;
      }
    } else if (!is_ipv6(inner)) {
      return false;
    }
  } else {
    const auto colon = text.find(':');
    if (!all_of(text.substr(0, colon), kHost, iri)) return false;
    port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  if (!port.empty()) port.remove_prefix(1);
  for (const char c : port) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

bool reference_holds(std::string_view text, bool iri, bool absolute) noexcept {
  std::size_t at = 0;
  while (at < text.size() && is(text[at], kScheme)) ++at;
  const bool has_scheme = at > 0 && at < text.size() && text[at] == ':' && letter(text[0]);
  if (has_scheme) {
    text.remove_prefix(at + 1);
  } else if (absolute) {
    return false;
  }
  if (const auto hash = text.find('#'); hash != std::string_view::npos) {
    if (!all_of(text.substr(hash + 1), kQuery, iri)) return false;
    text = text.substr(0, hash);
  }
  if (const auto mark = text.find('?'); mark != std::string_view::npos) {
    if (!all_of(text.substr(mark + 1), kQuery, iri, true)) return false;
    text = text.substr(0, mark);
  }
  if (text.starts_with("//")) {
    const auto end = text.find('/', 2);
    if (!authority_holds(text.substr(2, end == std::string_view::npos ? end : end - 2), iri)) return false;
    text = end == std::string_view::npos ? std::string_view() : text.substr(end);
  } else if (!has_scheme) {
    // The first segment of a relative path has no colon: it would be a scheme.
    const auto colon = text.find(':');
    if (colon != std::string_view::npos && colon < text.find('/')) return false;
  }
  return all_of(text, kPath, iri);
}

// Section 2.3: names with dots between, a prefix or an asterisk after each.
bool expression_holds(std::string_view text) noexcept {
  if (!text.empty() && std::string_view("+#./;?&=,!@|").find(text[0]) != std::string_view::npos) text.remove_prefix(1);
  if (text.empty()) return false;
  std::size_t at = 0;
  while (true) {
    bool fresh = true;  // a character of a name must come
    for (; at < text.size(); ++at) {
      if (is(text[at], kVariable)) {
        fresh = false;
      } else if (text[at] == '%' && escape(text, at)) {
        at += 2;
        fresh = false;
      } else if (text[at] == '.' && !fresh) {
        fresh = true;
      } else {
        break;
      }
    }
    if (fresh) return false;
    if (at < text.size() && text[at] == '*') {
      ++at;
    } else if (at < text.size() && text[at] == ':') {
      const auto start = ++at;
      while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
      if (at == start || at - start > 4 || text[start] == '0') return false;
    }
    if (at == text.size()) return true;
    if (text[at++] != ',') return false;
  }
}

}  // namespace

bool is_uri(std::string_view text) noexcept {
  // Most are https://host/path and nothing else.
  if (text.starts_with("http")) {
    const std::size_t from = text.starts_with("https://") ? 8 : (text.starts_with("http://") ? 7 : 0);
    if (from != 0) {
      const auto end = run(text, from, kHost);
      if (end == text.size() || (text[end] == '/' && run(text, end, kPath) == text.size())) return true;
    }
  }
  return reference_holds(text, false, true);
}
bool is_uri_reference(std::string_view text) noexcept { return reference_holds(text, false, false); }
bool is_iri(std::string_view text) noexcept { return reference_holds(text, true, true); }
bool is_iri_reference(std::string_view text) noexcept { return reference_holds(text, true, false); }

bool is_uri_template(std::string_view text) noexcept {
  for (auto at = run(text, 0, kTemplate); at < text.size(); at = run(text, at + 1, kTemplate)) {
    if (text[at] == '{') {
      const auto end = text.find('}', at);
      if (end == std::string_view::npos || !expression_holds(text.substr(at + 1, end - at - 1))) return false;
      at = end;
    } else if (text[at] == '%') {
      if (!escape(text, at)) return false;
      at += 2;
    } else if (!international(text, at, true)) {
      return false;
    }
  }
  return true;
}

}  // namespace setget::inline v0::detail::schema
