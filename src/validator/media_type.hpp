// Which content types are JSON. Private to the validator.
#pragma once

#include <string_view>

namespace setget::inline v0::detail {

// RFC 9110 section 8.3.1, RFC 6839: application/json or anything with the suffix +json, parameters ignored, in any case.
bool is_json_content(std::string_view type) noexcept;

}  // namespace setget::inline v0::detail
