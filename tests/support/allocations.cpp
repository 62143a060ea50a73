#include "support/allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#include "support/sanitized.hpp"

#ifdef SETGET_SANITIZED
std::optional<std::size_t> allocations() noexcept { return std::nullopt; }
std::optional<std::size_t> allocated_bytes() noexcept { return std::nullopt; }
FailingAllocation::FailingAllocation(std::size_t, std::size_t, std::size_t) noexcept {}
FailingAllocation::~FailingAllocation() = default;
bool FailingAllocation::has_failed() const noexcept { return false; }
#else
namespace {

thread_local std::size_t count = 0;
thread_local std::size_t bytes = 0;

enum class Failure : unsigned char { kNone, kWaits, kCounts, kHappened };
std::atomic<Failure> failure{Failure::kNone};
// Written while nothing waits.
std::size_t least_bytes = 0;
std::size_t most_bytes = 0;
std::size_t calls_before = 0;
thread_local bool counts_here = false;

bool fails_now(std::size_t size) noexcept {
  auto now = failure.load(std::memory_order_acquire);
  if (now == Failure::kWaits && size >= least_bytes && size < most_bytes)
    counts_here = failure.compare_exchange_strong(now, Failure::kCounts, std::memory_order_acq_rel);
  if (!counts_here || calls_before-- != 0) return false;
  counts_here = false;
  failure.store(Failure::kHappened, std::memory_order_release);
  return true;
}

}  // namespace

std::optional<std::size_t> allocations() noexcept { return count; }
std::optional<std::size_t> allocated_bytes() noexcept { return bytes; }

FailingAllocation::FailingAllocation(std::size_t least, std::size_t most, std::size_t after) noexcept {
  least_bytes = least;
  most_bytes = most;
  calls_before = after;
  failure.store(Failure::kWaits, std::memory_order_release);
}
FailingAllocation::~FailingAllocation() {
  auto waits = Failure::kWaits;
  failure.compare_exchange_strong(waits, Failure::kNone);
}
bool FailingAllocation::has_failed() const noexcept { return failure.load(std::memory_order_acquire) == Failure::kHappened; }

void* operator new(std::size_t size) {
  ++count;
  bytes += size;
  if (fails_now(size)) throw std::bad_alloc();
  if (auto* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif
