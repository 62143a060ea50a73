#include <algorithm>

#include <setget/worker.hpp>

namespace setget::inline v0 {

Milliseconds Backoff::wait(std::uint32_t attempt, Random& random) const {
  const auto top = std::max<std::int64_t>(cap.count(), 0);
  auto ceiling = std::clamp<std::int64_t>(base.count(), 0, top);
  for (std::uint32_t i = 0; i < attempt && ceiling < top && ceiling > 0; ++i) ceiling = ceiling > top / 2 ? top : ceiling * 2;
  if (ceiling == 0) return Milliseconds(0);
  // The bias of the remainder is below 2^-20 for any wait shorter than centuries.
  return Milliseconds(static_cast<std::int64_t>(random.next() % (static_cast<std::uint64_t>(ceiling) + 1)));
}

Backoff Backoff::in_outage() const { return {.base = base, .cap = std::min(cap, outage_cap), .outage_cap = outage_cap}; }

}  // namespace setget::inline v0
