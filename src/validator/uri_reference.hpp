// URI references as RFC 3986 resolves them. Private to the validator.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "validator/text.hpp"

namespace setget::inline v0::detail::schema {

struct UriReference {
  std::optional<std::string> scheme{};
  std::optional<std::string> authority{};
  std::string path{};
  std::optional<std::string> query{};
  std::optional<std::string> fragment{};

  // Appendix B: takes any text.
  static UriReference parse(std::string_view text);
  std::string to_string() const;
};

// Section 5.2.
UriReference resolve(const UriReference& base, const UriReference& reference);
// %41 -> A; what is no escape stays.
std::string percent_decoded(std::string_view text);
// A name as a token of a JSON Pointer (RFC 6901): ~ and / escaped.
std::string pointer_token(std::string_view name);
// Whether it stands for itself in a fragment.
bool append_token(Text& out, std::string_view name);
// A JSON Pointer as a fragment of a URI.
std::string as_fragment(std::string_view pointer);
void append_fragment(Text& out, std::string_view pointer);
// Whether that is the pointer as it is.
bool stands_for_itself(std::string_view pointer) noexcept;
// In decimal.
void append_long_number(Text& out, std::uint64_t number);
inline void append_number(Text& out, std::uint64_t number) {
  if (number >= 10) return append_long_number(out, number);
  out += static_cast<char>('0' + number);
}

}  // namespace setget::inline v0::detail::schema
