// Base64 of RFC 4648 section 4, strict: padding required, no line breaks, no stray bits. Strict because two texts that decode to the same
// key would make error positions and idempotency digests lie.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace setget::inline v0::detail {

void append_base64(std::string& out, std::string_view bytes);
// Empty where `text` is not base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace setget::inline v0::detail
