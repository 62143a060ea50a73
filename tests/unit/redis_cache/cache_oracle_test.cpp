// Writers in another client change keys; readers with the cache on note what they saw and when they asked. No reader may see what had been
// replaced, and acknowledged, longer than the bound before it asked; while connections are killed, and while the network stands still.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "unit/redis_cache/cache_fixture.hpp"

#include <setget/testing/tcp_proxy.hpp>

namespace setget::redis {
namespace {

using redis_test::cache_on;
using redis_test::OpenStore;
using redis_test::Steady;
using testing::TcpProxy;

constexpr int kKeys = 8;
constexpr std::size_t kMost = 200'000;
constexpr auto kBound = Milliseconds(250);

// When each version of one key was acknowledged: version n at place n.
struct History {
  std::array<std::atomic<std::int64_t>, kMost> acknowledged{};
  std::atomic<std::uint64_t> last{0};
};

std::int64_t ticks(Steady::time_point time) { return time.time_since_epoch().count(); }

int seconds() {
  const char* text = std::getenv("SETGET_CACHE_ORACLE_SECONDS");
  return text == nullptr ? 6 : std::atoi(text);
}

struct Seen {
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> too_old{0};
  std::atomic<std::int64_t> oldest{0};
};

// `disturb` is called again and again.
void run_oracle(const std::string& writer_uri, const std::string& reader_uri, std::uint32_t shards, const std::function<void()>& disturb) {
  auto histories = std::make_unique<std::array<History, kKeys>>();
  OpenStore writer(writer_uri, {}, nullptr, shards);
  OpenStore reader(reader_uri, cache_on(kBound), nullptr, shards);
  std::atomic<bool> over{false};
  Seen seen;
  std::vector<std::thread> threads;
  for (int w = 0; w < 2; ++w) {
    threads.emplace_back([&, w] {
      std::uint64_t n = 0;
      while (!over && n + 2 < kMost) {
        ++n;
        for (int k = w; k < kKeys; k += 2) {
          // Half of the records are reached by a key of another name.
          const auto id = "id" + std::to_string(k);
          while (!over && !writer.try_set(id, {k % 4 < 2 ? id : "key" + std::to_string(k)}, n, std::to_string(n))) {
          }
          if (over) return;
          auto& history = (*histories)[static_cast<std::size_t>(k)];
          history.acknowledged[n] = ticks(Steady::now());
          history.last = n;
        }
        // Now and then long enough for the cache to be of use.
        if (n % 16 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
  }
  for (int r = 0; r < 3; ++r) {
    threads.emplace_back([&, r] {
      for (int k = r; !over; k = (k + 1) % kKeys) {
        auto& history = (*histories)[static_cast<std::size_t>(k)];
        const auto id = "id" + std::to_string(k);
        const auto asked = Steady::now();
        const auto found = reader.look(k % 4 < 2 ? id : "key" + std::to_string(k), Milliseconds(2000));
        if (!found) {
          ++seen.failed;
          continue;
        }
        ++seen.reads;
        const auto version = found->record ? found->record->version >> 20 : 0;
        if (version + 1 >= kMost) continue;
        const auto replaced = history.acknowledged[version + 1].load();
        if (replaced == 0) continue;
        const auto age = ticks(asked) - replaced;
        auto most = seen.oldest.load();
        while (age > most && !seen.oldest.compare_exchange_weak(most, age)) {
        }
        if (age > std::chrono::nanoseconds(kBound).count()) ++seen.too_old;
      }
    });
  }
  // Longer where the machine is so busy that nothing would be shown.
  const auto begin = Steady::now();
  const auto shown = [&] {
    const auto counts = reader.counts();
    return seen.reads > 200 && counts.hits > 20 && counts.invalidations > 100;
  };
  for (auto took = Steady::now() - begin; took < std::chrono::seconds(seconds()) || (took < std::chrono::seconds(60) && !shown());
       took = Steady::now() - begin)
    disturb();
  over = true;
  for (auto& one : threads) one.join();
  const auto counts = reader.counts();
  EXPECT_EQ(seen.too_old, 0U);
  EXPECT_GT(seen.reads, 200U);
  EXPECT_GT(counts.hits, 20U) << "the test must meet the cache";
  EXPECT_GT(counts.invalidations, 100U);
  std::printf("%llu reads, %llu hits, %llu failed, %llu invalidations; the oldest answer was %.1f ms behind (bound %lld ms)\n",
              static_cast<unsigned long long>(seen.reads), static_cast<unsigned long long>(counts.hits),
              static_cast<unsigned long long>(seen.failed), static_cast<unsigned long long>(counts.invalidations),
              static_cast<double>(seen.oldest) / 1e6, static_cast<long long>(kBound.count()));
}

TEST(CacheOracle, no_answer_is_older_than_the_bound_while_connections_are_killed) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  run_oracle(server.uri(), server.uri(), 0, [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    server.cli({"CLIENT", "KILL", "TYPE", "normal"});
  });
}

TEST(CacheOracle, no_answer_is_older_than_the_bound_where_a_store_has_several_parts) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  run_oracle(server.uri(), server.uri(), 16, [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    server.cli({"CLIENT", "KILL", "TYPE", "normal"});
  });
}

TEST(CacheOracle, no_answer_is_older_than_the_bound_while_the_network_stands_still) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
  run_oracle(server.uri(), "redis://127.0.0.1:" + std::to_string(proxy->port()), 0, [&, turn = 0]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    const auto way = ++turn % 2 == 0 ? TcpProxy::Way::kToClient : TcpProxy::Way::kToServer;
    proxy->stall(way, true);
    std::this_thread::sleep_for(std::chrono::milliseconds(turn % 3 == 0 ? 600 : 100));
    proxy->stall(way, false);
    if (turn % 4 == 0) proxy->reset_all();
  });
}

}  // namespace
}  // namespace setget::redis
