// What a hit costs: run it by hand.
#include <cstdio>

#include "unit/redis_cache/cache_fixture.hpp"

int main() {
  redis_test::RedisServer server;
  redis_test::OpenStore store(server.uri(), redis_test::cache_on());
  constexpr std::size_t kKeys = 1000;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < kKeys; ++i) {
    keys.push_back("key" + std::to_string(i));
    (void)store.try_set(keys.back(), {keys.back()}, 1, std::string(1024, 'x'));
  }
  if (!store.warm(keys.front())) return 1;
  for (int threads : {1, 2}) {
    std::atomic<std::uint64_t> done{0};
    const auto start = redis_test::Steady::now();
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        std::uint64_t found = 0;
        for (std::size_t n = 0; n < 2'000'000; ++n) {
          const std::string_view key = keys[n * 7919 % kKeys];
          store.store().get_async({.keys = {&key, 1}, .now = setget::TimePoint(setget::Milliseconds(1'900'000'000'000))},
                                  [&](setget::Result<std::vector<setget::Lookup>> answer) { found += answer->front().record ? 1U : 0U; });
        }
        done += found;
      });
    }
    for (auto& one : all) one.join();
    const auto seconds = std::chrono::duration<double>(redis_test::Steady::now() - start).count();
    const auto counts = store.counts();
    std::printf("%d threads: %.0f ns a get, %.2f M gets/s in all (%llu hits, %llu misses)\n", threads,
                seconds * 1e9 * threads / static_cast<double>(done), static_cast<double>(done) / seconds / 1e6,
                static_cast<unsigned long long>(counts.hits), static_cast<unsigned long long>(counts.misses));
  }
}
