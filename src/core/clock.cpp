#include <sys/random.h>

#include <array>
#include <cstring>
#include <random>

#include <setget/clock.hpp>

namespace setget::inline v0 {

Clock::~Clock() = default;
Random::~Random() = default;

namespace {

class SystemClock final : public Clock {
 public:
  TimePoint now() const noexcept override { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }
};

class SystemRandom final : public Random {
 public:
  // One getrandom(2) fills a block, because ids and jitter ask often. The block belongs to the thread.
  std::uint64_t next() noexcept override {
    thread_local std::array<std::uint64_t, 32> block;
    thread_local std::size_t left = 0;
    if (left == 0) {
      fill(block.data(), sizeof block);
      left = block.size();
    }
    return block[--left];
  }

 private:
  static void fill(void* bytes, std::size_t size) noexcept {
    auto* at = static_cast<char*>(bytes);
    while (size > 0) {
      const auto got = ::getrandom(at, size, 0);
      if (got > 0) {
        at += got;
        size -= static_cast<std::size_t>(got);
      }
    }
  }
};

}  // namespace

std::shared_ptr<const Clock> system_clock() {
  static const auto clock = std::make_shared<const SystemClock>();
  return clock;
}

std::shared_ptr<Random> system_random() {
  static const auto random = std::make_shared<SystemRandom>();
  return random;
}

}  // namespace setget::inline v0
