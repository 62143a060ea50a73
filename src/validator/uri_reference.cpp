#include "validator/uri_reference.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace setget::inline v0::detail::schema {
namespace {

bool is_scheme(std::string_view text) noexcept {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  if (text.empty() || !letter(text[0])) return false;
  for (const char c : text) {
    if (!letter(c) && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') return false;
  }
  return true;
}

// Section 5.2.4.
std::string without_dots(std::string_view path) {
  std::string out;
  const auto drop_last = [&] {
    const auto slash = out.rfind('/');
    out.resize(slash == std::string::npos ? 0 : slash);
  };
  while (!path.empty()) {
    if (path.starts_with("../")) {
      path.remove_prefix(3);
    } else if (path.starts_with("./") || path.starts_with("/./")) {
      path.remove_prefix(2);
    } else if (path == "/.") {
      path = "/";
    } else if (path.starts_with("/../")) {
      path.remove_prefix(3);
      drop_last();
    } else if (path == "/..") {
      path = "/";
      drop_last();
    } else if (path == "." || path == "..") {
      path = {};
    } else {
      const auto end = path.find('/', 1);
      out += path.substr(0, end);
      path = end == std::string_view::npos ? std::string_view() : path.substr(end);
    }
  }
  return out;
}

std::string merged(const UriReference& base, const std::string& path) {
  if (base.authority && base.path.empty()) return "/" + path;
  const auto slash = base.path.rfind('/');
  return (slash == std::string::npos ? "" : base.path.substr(0, slash + 1)) + path;
}

}  // namespace

UriReference UriReference::parse(std::string_view text) {
  UriReference out;
  if (const auto hash = text.find('#'); hash != std::string_view::npos) {
    out.fragment = text.substr(hash + 1);
    text = text.substr(0, hash);
  }
  if (const auto mark = text.find('?'); mark != std::string_view::npos) {
    out.query = text.substr(mark + 1);
    text = text.substr(0, mark);
  }
  if (const auto colon = text.find(':'); colon != std::string_view::npos && is_scheme(text.substr(0, colon))) {
    out.scheme = text.substr(0, colon);
    text = text.substr(colon + 1);
  }
  if (text.starts_with("//")) {
    const auto end = text.find('/', 2);
    out.authority = text.substr(2, end == std::string_view::npos ? end : end - 2);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end);
  }
  out.path = text;
  return out;
}

std::string UriReference::to_string() const {
  std::string out;
  if (scheme) out += *scheme + ":";
  if (authority) out += "//" + *authority;
  out += path;
  if (query) out += "?" + *query;
  if (fragment) out += "#" + *fragment;
  return out;
}

UriReference resolve(const UriReference& base, const UriReference& reference) {
  auto out = reference;
  if (reference.scheme) {
    if (!out.path.empty() && out.path[0] == '/') out.path = without_dots(out.path);
    return out;
  }
  out.scheme = base.scheme;
  if (reference.authority) {
    out.path = without_dots(out.path);
    return out;
  }
  out.authority = base.authority;
  if (reference.path.empty()) {
    out.path = base.path;
    if (!reference.query) out.query = base.query;
    return out;
  }
  out.path = without_dots(reference.path[0] == '/' ? reference.path : merged(base, reference.path));
  return out;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

namespace {

// What stands for itself in a fragment, and what in a token.
constexpr std::uint8_t kInFragment = 1;
constexpr std::uint8_t kInToken = 2;
constexpr auto kPlain = [] {
  std::array<std::uint8_t, 256> plain{};
  plain.fill(kInToken);
  for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?"))
    plain[static_cast<unsigned char>(c)] |= kInFragment;
  plain['~'] = plain['/'] = kInFragment;
  return plain;
}();

std::uint8_t plain_in(std::string_view text) noexcept {
  std::uint8_t plain = kInFragment | kInToken;
  for (const char c : text) plain &= kPlain[static_cast<unsigned char>(c)];
  return plain;
}

}  // namespace

bool append_token(Text& out, std::string_view name) {
  const auto plain = plain_in(name);
  if ((plain & kInToken) != 0) {
    out += name;
    return (plain & kInFragment) != 0;
  }
  for (const char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return (plain & kInFragment) != 0;
}

std::string pointer_token(std::string_view name) {
  Text out;
  append_token(out, name);
  return out.str();
}

void append_fragment(Text& out, std::string_view pointer) {
  std::size_t done = 0;
  for (std::size_t at = 0; at < pointer.size(); ++at) {
    const auto byte = static_cast<unsigned char>(pointer[at]);
    if ((kPlain[byte] & kInFragment) != 0) continue;
    out += pointer.substr(done, at - done);
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
    done = at + 1;
  }
  out += pointer.substr(done);
}

bool stands_for_itself(std::string_view pointer) noexcept { return (plain_in(pointer) & kInFragment) != 0; }

std::string as_fragment(std::string_view pointer) {
  Text out;
  append_fragment(out, pointer);
  return out.str();
}

void append_long_number(Text& out, std::uint64_t number) {
  std::array<char, 20> digits;  // NOLINT(cppcoreguidelines-pro-type-member-init): written next
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out += std::string_view(digits.data(), end);
}

}  // namespace setget::inline v0::detail::schema
