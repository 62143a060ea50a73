// The doors to RE2 and PCRE2. Private to the validator.
#pragma once

#include <memory>
#include <string>

#include <setget/error.hpp>

#include "validator/ecma_regex.hpp"

namespace setget::inline v0::detail::schema {

// Linear in the text. Null where RE2 does not take the pattern, or needs more memory.
std::unique_ptr<const Regex> make_re2(const std::string& pattern, const RegexLimits& limits);
// Within limits.max_steps per search. Errors: kTooLarge, kUnsupported.
Result<std::unique_ptr<const Regex>> make_pcre2(const std::string& pattern, const RegexLimits& limits);

}  // namespace setget::inline v0::detail::schema
