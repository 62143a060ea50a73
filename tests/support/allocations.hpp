// How often this thread has called operator new. In a file of its own: seen together with its users, GCC takes malloc and free for a
// mismatch.
#pragma once

#include <cstddef>
#include <optional>

// Empty under a sanitizer: its own operators stay in place.
std::optional<std::size_t> allocations() noexcept;
