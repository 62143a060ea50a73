// A pattern of ECMA-262 in the words of RE2 or of PCRE2, and as a plain list of sets where it is no more than that. Private to the
// validator.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>

#include "validator/char_set.hpp"

namespace setget::inline v0::detail::schema {

enum class Engine : std::uint8_t { kRe2, kPcre2 };

struct PlainItem {
  CharSet set{};
  std::uint64_t min = 1;
  std::uint64_t max = 1;
};

struct Translated {
  std::string pattern{};
  bool needs_backtracking = false;  // look-around, back-references, or what RE2 does not know
  bool is_plain = false;            // ^?, items, $?
  bool at_start = false;
  bool at_end = false;
  std::vector<PlainItem> items{};
};

// Error: kInvalidArgument with the position of what is not of ECMA-262.
Result<Translated> translate(std::string_view pattern, Engine engine);

}  // namespace setget::inline v0::detail::schema
