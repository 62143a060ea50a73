#include "validator/idn_door.hpp"

#include <idn2.h>

#include <cstring>
#include <memory>
#include <string>

namespace setget::inline v0::detail::schema {
namespace {

struct FreeIdn2 {
  void operator()(void* memory) const noexcept { idn2_free(memory); }
};

}  // namespace

bool is_idn_label(std::string_view label, bool normalized, IdnLabel& found) {
  if (label.size() > 252 || label.find('\0') != std::string_view::npos) return false;
  std::string unicode(label);
  const bool is_a_label = label.size() >= 4 && (label[0] | 0x20) == 'x' && (label[1] | 0x20) == 'n' && label[2] == '-' && label[3] == '-';
  if (is_a_label) {
    char* decoded = nullptr;
    if (idn2_to_unicode_8z8z(unicode.c_str(), &decoded, 0) != IDN2_OK) return false;
    const std::unique_ptr<char, FreeIdn2> owned(decoded);
    unicode = decoded;
    // What decodes to ASCII (or to itself) needed no encoding.
    bool international = false;
    for (const char c : unicode) international = international || static_cast<unsigned char>(c) >= 0x80;
    if (!international) return false;
  }
  std::uint8_t* out = nullptr;
  // What a registry asks of a U-label: no mapping, and the rules of context that a look-up leaves out (RFC 5891 section 4.2.3.3).
  const auto status =
      idn2_register_u8(reinterpret_cast<const std::uint8_t*>(unicode.c_str()), nullptr, &out, normalized ? 0 : IDN2_NFC_INPUT);
  const std::unique_ptr<std::uint8_t, FreeIdn2> owned(out);
  if (status != IDN2_OK) return false;
  const std::string_view text(reinterpret_cast<const char*>(out));
  if (text.size() > 63) return false;
  found = {.encoded = text.size(), .direction = direction_of(unicode)};
  if (!is_a_label) return true;
  // The A-label is the one encoding of its U-label.
  if (text.size() != label.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    if (lower(text[i]) != lower(label[i])) return false;
  }
  return true;
}

}  // namespace setget::inline v0::detail::schema
