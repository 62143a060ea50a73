#include "unit/validator/allocations.hpp"

#include <cstdlib>
#include <new>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SETGET_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SETGET_SANITIZED 1
#endif
#endif

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
