// A text from outside that is shown in part. Thread rule: any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace setget::inline v0::detail {

// At most `most` bytes of its beginning, and no part of a character (UTF-8).
inline std::string_view cut_text(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80) --most;
  return text.substr(0, most);
}

}  // namespace setget::inline v0::detail
