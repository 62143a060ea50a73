// Media types (RFC 9110 section 8.3) as far as the gateway has to tell them apart.
#pragma once

#include <string_view>

namespace setget::inline v0::detail {

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;
std::string_view trim(std::string_view text) noexcept;
// Without parameters: "application/json" of "application/json; charset=utf-8".
std::string_view media_type(std::string_view content_type) noexcept;
// application/json or any +json type: what the validator reads as JSON.
bool is_json_type(std::string_view content_type) noexcept;
// True unless a charset other than UTF-8 (or its part ASCII) is named.
bool is_utf8_charset(std::string_view content_type) noexcept;
// May stand in a header as it is: no control bytes, so no response splitting.
bool is_header_value(std::string_view text) noexcept;

}  // namespace setget::inline v0::detail
