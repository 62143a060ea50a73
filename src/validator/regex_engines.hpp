// The doors to RE2 and PCRE2. Private to the validator.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>

#include "validator/ecma_regex.hpp"
#include "validator/ecma_translate.hpp"

namespace setget::inline v0::detail::schema {

// Linear in the text. Errors: kTooLarge where it needs more memory than there may be, kUnsupported where RE2 does not take it.
Result<std::unique_ptr<const Regex>> make_re2(const Translated& from, const RegexLimits& limits);
// Where matches end: what a look-behind asks.
class RegexEnd {
 public:
  virtual ~RegexEnd() = default;
  // Whether some match ends at this byte. In time linear in `at`.
  virtual bool is_at(std::string_view text, std::size_t at) const = 0;
};
// Null where RE2 does not take the pattern.
std::unique_ptr<const RegexEnd> make_re2_end(const std::string& pattern, const RegexLimits& limits);

// Within limits.max_steps per search. Errors: kTooLarge, kUnsupported.
Result<std::unique_ptr<const Regex>> make_pcre2(const Translated& from, const RegexLimits& limits);

}  // namespace setget::inline v0::detail::schema
