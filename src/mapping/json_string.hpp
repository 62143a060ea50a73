// Strings of JSON, to and from their escaped form. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace setget::inline v0::jmespath::detail {

struct Decoded {
  std::size_t size = 0;  // of what was written; where there is a problem: its offset in the input
  std::string_view problem{};
};
// What is between the quotes of a JSON string to its characters. `out` has room for escaped.size() bytes. Half a surrogate pair is a
// problem.
Decoded decode_string(std::string_view escaped, char* out) noexcept;
// With quotes; only what must be escaped is.
void append_string(std::string_view text, std::string& out);
// Characters (code points). Precondition of both: UTF-8.
std::size_t count_characters(std::string_view text) noexcept;
// Bytes of the character that starts with `lead`.
std::size_t character_size(char lead) noexcept;
bool is_utf8(std::string_view text) noexcept;
// Bytes of `text` before the first that begins no character; its size where there is none.
std::size_t valid_utf8(std::string_view text) noexcept;

struct Flaw {
  std::size_t position = 0;
  std::string_view problem{};
};
// The first place where a text has no tokens of JSON: bytes that are no character, a control character in a string, an escape outside of
// one, a string that is not closed. At its end where it has them.
Flaw first_flaw(std::string_view text) noexcept;

}  // namespace setget::inline v0::jmespath::detail
