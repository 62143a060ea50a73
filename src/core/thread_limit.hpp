// How many threads an option may ask for.
#pragma once

#include <cstddef>

namespace setget::inline v0::detail {

// More than any host has work for: a number beyond it is a slip, and would fail halfway through the start, or take the machine.
inline constexpr std::size_t kMostThreads = 1024;

}  // namespace setget::inline v0::detail
