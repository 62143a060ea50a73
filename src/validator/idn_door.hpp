// The door to libidn2. Private to the validator.
#pragma once

#include <cstddef>
#include <string_view>

namespace setget::inline v0::detail::schema {

// Whether it is a U-label or an A-label of IDNA 2008, rules of context and direction included. `encoded`: the bytes of its A-label.
bool is_idn_label(std::string_view label, std::size_t* encoded = nullptr);

}  // namespace setget::inline v0::detail::schema
