// How often this thread has called operator new. In a file of its own: seen together with its users, GCC takes malloc and free for a
// mismatch.
#pragma once

#include <cstddef>

std::size_t allocations() noexcept;
