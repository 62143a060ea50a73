// Where text stops being UTF-8. Private to the validator; is_utf8() is the fast question.
#pragma once

#include <cstddef>
#include <string_view>

namespace setget::inline v0::detail {

// Offset of the first byte of the first malformed sequence; text.size() if there is none.
std::size_t first_bad_utf8(std::string_view text) noexcept;

}  // namespace setget::inline v0::detail
