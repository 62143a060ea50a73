// The door to libidn2. Private to the validator.
#pragma once

#include <cstddef>
#include <string_view>

#include "validator/idn_bidi.hpp"

namespace setget::inline v0::detail::schema {

struct IdnLabel {
  std::size_t encoded = 0;  // bytes of its A-label
  Direction direction{};    // of its U-label
};

// Whether it is a U-label or an A-label of IDNA 2008, rules of context and direction included. `normalized`: whether it must be in
// Unicode's form NFC already, as IDNA asks; false: it is brought into that form first.
bool is_idn_label(std::string_view label, bool normalized, IdnLabel& found);

}  // namespace setget::inline v0::detail::schema
