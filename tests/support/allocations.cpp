#include "support/allocations.hpp"

#include <cstdlib>
#include <new>

#include "support/sanitized.hpp"

#ifdef SETGET_SANITIZED
std::optional<std::size_t> allocations() noexcept { return std::nullopt; }
#else
namespace {
thread_local std::size_t count = 0;
}  // namespace

std::optional<std::size_t> allocations() noexcept { return count; }

void* operator new(std::size_t size) {
  ++count;
  if (auto* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif
