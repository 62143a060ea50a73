// How often this thread has called operator new and for how many bytes, and a call of it that fails. In a file of its own: seen together
// with its users, GCC takes malloc and free for a mismatch.
#pragma once

#include <cstddef>
#include <optional>

// Empty under a sanitizer: its own operators stay in place, and nothing fails.
std::optional<std::size_t> allocations() noexcept;
// All bytes so far, given back or not.
std::optional<std::size_t> allocated_bytes() noexcept;

// Once, on whichever thread first asks for [least, most) bytes: of this call and those that follow it on that thread, the one that comes
// after `after` others fails. One at a time.
class FailingAllocation {
 public:
  FailingAllocation(std::size_t least, std::size_t most, std::size_t after = 0) noexcept;
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;
  bool has_failed() const noexcept;
};
