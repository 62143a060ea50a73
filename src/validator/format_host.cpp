// Names of hosts (RFC 1123, IDNA 2008 in RFC 5890 to 5893) and addresses of mail (RFC 5321, RFC 6531).
#include <algorithm>
#include <string>

#include "validator/format.hpp"
#include "validator/idn_door.hpp"

namespace setget::inline v0::detail::schema {
namespace {

bool alphanumeric(char c) noexcept { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool has_non_ascii(std::string_view text) noexcept {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return true;
  }
  return false;
}

// RFC 5321 section 4.1.2: Dot-string or Quoted-string.
bool local_part(std::string_view text, bool international) noexcept {
  if (text.empty()) return false;
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c == '\\') {
        if (++i >= text.size() || static_cast<unsigned char>(text[i]) < 32 || static_cast<unsigned char>(text[i]) > 126) return false;
      } else if (c < 32 || c == 127 || c == '"' || (c > 127 && !international)) {
        return false;
      }
    }
    return true;
  }
  bool fresh = true;
  for (const char c : text) {
    if (c == '.') {
      if (fresh) return false;
      fresh = true;
      continue;
    }
    const bool atom = alphanumeric(c) || (c != '\0' && std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos) ||
                      (static_cast<unsigned char>(c) >= 0x80 && international);
    if (!atom) return false;
    fresh = false;
  }
  return !fresh;
}

bool ldh_label(std::string_view label) noexcept {
  if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
  return std::ranges::all_of(label, [](char c) { return alphanumeric(c) || c == '-'; });
}

// An LDH-label of RFC 5890 that is not reserved, or an A-label.
bool host_label(std::string_view label, Direction& direction) {
  if (!ldh_label(label)) return false;
  direction.begins_weak = label.front() <= '9';
  if (label.size() < 4 || label[2] != '-' || label[3] != '-') return true;
  // Encoded, or reserved.
  IdnLabel found;
  if ((label[0] | 0x20) != 'x' || (label[1] | 0x20) != 'n' || !is_idn_label(label, true, found)) return false;
  direction = found.direction;
  return true;
}

// `normalized`: see is_idn_label().
bool idn_hostname(std::string_view text, bool normalized) {
  if (text.empty()) return false;
  if (!has_non_ascii(text)) return is_hostname(text);
  // RFC 3490 section 3.1 (and UTS 46) take these for dots.
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto three = text.substr(i, 3);
    if (three == "\u3002" || three == "\uFF0E" || three == "\uFF61") {
      plain += '.';
      i += 2;
    } else {
      plain += text[i];
    }
  }
  std::size_t length = 0;
  BidiName name;
  for (std::string_view rest = plain;;) {
    const auto dot = rest.find('.');
    const auto label = rest.substr(0, dot);
    IdnLabel found{.encoded = label.size(), .direction = {}};
    if (label.empty() || !(has_non_ascii(label) ? is_idn_label(label, normalized, found) : host_label(label, found.direction)))
      return false;
    name.add(found.direction);
    length += found.encoded + 1;
    if (length > 254) return false;
    if (dot == std::string_view::npos) return name.holds();
    rest.remove_prefix(dot + 1);
  }
}

bool mail_holds(std::string_view text, bool international) noexcept {
  const auto at = text.rfind('@');
  if (at == std::string_view::npos || !local_part(text.substr(0, at), international)) return false;
  const auto domain = text.substr(at + 1);
  if (domain.size() > 2 && domain.front() == '[' && domain.back() == ']') {
    const auto literal = domain.substr(1, domain.size() - 2);
    // Words of ABNF are of either case (RFC 5234 section 2.3).
    constexpr std::string_view kTag = "ipv6:";
    const auto tag = literal.substr(0, kTag.size());
    const bool tagged = std::ranges::equal(tag, kTag, {}, [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return tagged ? is_ipv6(literal.substr(kTag.size())) : is_ipv4(literal);
  }
  // RFC 5321 knows nothing of IDNA. RFC 6531 section 3.7.1 leaves the form of a domain to whoever looks it up.
  return international ? idn_hostname(domain, false) : is_ldh_name(domain);
}

}  // namespace

bool is_ldh_name(std::string_view text) noexcept {
  if (text.size() > 253) return false;
  while (true) {
    const auto dot = text.find('.');
    if (!ldh_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_hostname(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  BidiName name;
  while (true) {
    const auto dot = text.find('.');
    Direction direction;
    if (!host_label(text.substr(0, dot), direction)) return false;
    name.add(direction);
    if (dot == std::string_view::npos) return name.holds();
    text.remove_prefix(dot + 1);
  }
}

bool is_idn_hostname(std::string_view text) { return idn_hostname(text, true); }

bool is_email(std::string_view text) noexcept { return mail_holds(text, false); }
bool is_idn_email(std::string_view text) noexcept { return mail_holds(text, true); }

}  // namespace setget::inline v0::detail::schema
