// The key store on Redis against what Redis itself does: R is `redis-benchmark -P 64 -c 50 -r 100000 SET key:__rand_int__ <payload> EX
// 3600`, G the same with GET on filled keys; one loopback server without persistence, in turns.
#include <functional>
#include <mutex>
#include <semaphore>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/redis_server.hpp"

namespace bench {

namespace {

struct Work {
  const char* name;
  Shape shape;
  double target;
  std::optional<double> aim;
};

constexpr std::uint64_t kRecords = 100'000;  // that gets find
constexpr int kWindow = 1024;                // gets under way
constexpr std::size_t kLoneGets = 20'000;

std::size_t count_for(const Settings& settings, std::size_t bytes) {
  return static_cast<std::size_t>((bytes <= 1024 ? 100'000 : 20'000) * settings.seconds);
}

std::string size_name(std::size_t bytes) { return bytes <= 1024 ? "-1k" : "-8k"; }

void compare_applies(const Settings& settings, Report& report, RedisServer& server, std::size_t bytes) {
  const Work works[] = {{"redis-apply-inline", {.bytes = bytes, .keys = 1, .inline_id = true}, 0.5, 0.8},
                        {"redis-apply-1-key", {.bytes = bytes, .keys = 1}, 0.5, 0.8},
                        {"redis-apply-4-keys", {.bytes = bytes, .keys = 4}, 0.25, 0.35},
                        {"redis-apply-indexed", {.bytes = bytes, .keys = 1, .inline_id = true, .indexed = true}, 0.25, {}}};
  std::vector<double> sets;
  std::map<std::string, std::vector<double>> rates;
  for (int trial = 0; trial < settings.trials; ++trial) {
    sets.push_back(server.measure_sets(bytes, settings.seconds));
    for (const auto& work : works) {
      const auto entries = make_entries(work.shape, count_for(settings, bytes));
      auto database = open_fresh(server);
      rates[work.name].push_back(apply_all(database, entries));
    }
  }
  for (const auto& work : works) {
    report.add({.name = work.name + size_name(bytes),
                .value = median(rates[work.name]),
                .unit = "records/s",
                .baseline = median(sets),
                .target = work.target,
                .aim = work.aim});
  }
}

// Uniformly random keys, kWindow under way at a time: each answer asks for the next, as in a server that does not block.
class GetLoop {
 public:
  GetLoop(setget::KeyStoreBackend& store, double seconds, std::size_t bytes) : store_(store), seconds_(seconds), bytes_(bytes) {}

  double run() {
    for (int i = 0; i < kWindow; ++i) next();
    left_.acquire();
    if (wrong_) fail("a get did not find what was set");
    return static_cast<double>(gets_) / took_;
  }

 private:
  void next() {
    std::string key;
    {
      const std::scoped_lock lock(mutex_);
      key = record_key(random_.next() % kRecords);
    }
    const std::string_view view = key;
    store_.get_async({.keys = {&view, 1}, .now = setget::system_clock()->now()},
                     [this](const setget::Result<std::vector<setget::Lookup>>& found) {
                       if (!found || !found->front().record || (bytes_ != 0 && found->front().record->payload.size() != bytes_)) {
                         wrong_ = true;
                       }
                       const auto count = gets_.fetch_add(1) + 1;
                       if (count % 64 == 0 && seconds_since(start_) >= seconds_) over_ = true;
                       if (!over_ && !wrong_) return next();
                       if (ended_.fetch_add(1) + 1 < kWindow) return;
                       took_ = seconds_since(start_);
                       left_.release();
                     });
  }

  setget::KeyStoreBackend& store_;
  const double seconds_;
  const std::size_t bytes_;
  std::mutex mutex_;
  Sequence random_{42};
  const Clock::time_point start_ = Clock::now();
  std::atomic<std::uint64_t> gets_{0};
  std::atomic<int> ended_{0};
  std::atomic<bool> over_{false};
  std::atomic<bool> wrong_{false};
  double took_ = 0;
  std::binary_semaphore left_{0};
};

}  // namespace

double get_rate(setget::KeyStoreBackend& store, double seconds, std::size_t bytes) { return GetLoop(store, seconds, bytes).run(); }

namespace {

void compare_gets(const Settings& settings, Report& report, RedisServer& server, std::size_t bytes) {
  const Work works[] = {{"redis-get-inline", {.bytes = bytes, .keys = 1, .inline_id = true}, 0.5, 0.8},
                        {"redis-get-pointer", {.bytes = bytes, .keys = 1}, 0.3, 0.5}};
  std::vector<double> gets;
  std::map<std::string, std::vector<double>> rates;
  for (int trial = 0; trial < settings.trials; ++trial) {
    gets.push_back(server.measure_gets(bytes, settings.seconds));
    for (const auto& work : works) {
      auto database = open_fresh(server, "?pool=1");
      apply_all(database, make_entries(work.shape, kRecords));
      rates[work.name].push_back(get_rate(*database.key_store().backend(), settings.seconds, bytes));
    }
  }
  for (const auto& work : works) {
    report.add({.name = work.name + size_name(bytes),
                .value = median(rates[work.name]),
                .unit = "gets/s",
                .baseline = median(gets),
                .target = work.target,
                .aim = work.aim});
  }
}

// One get at a time on each side, turn by turn, of what has the same size.
void compare_lone_gets(const Settings& settings, Report& report, RedisServer& server) {
  auto database = open_fresh(server);
  apply_all(database, make_entries({.keys = 1, .inline_id = true}, kRecords / 10));
  server.fill(
      kRecords / 10, [](std::uint64_t n) { return "plain-" + record_key(n); }, [](std::uint64_t n) { return sized_payload(n, 1024); });
  auto store = database.key_store();
  std::vector<double> ours50, theirs50;
  for (int trial = 0; trial < settings.trials; ++trial) {
    Sequence random{static_cast<std::uint64_t>(trial) + 1};
    std::vector<double> ours, theirs;
    for (std::size_t i = 0; i < kLoneGets; ++i) {
      const auto key = record_key(random.next() % (kRecords / 10));
      auto began = Clock::now();
      const auto found = must(store.get(key, setget::system_clock()->now()), "get");
      ours.push_back(seconds_since(began) * 1e6);
      if (!found) fail("a get did not find what was set");
      const auto plain = "plain-" + key;
      began = Clock::now();
      if (server.get(plain) != 1024) fail("the raw get did not find its key");
      theirs.push_back(seconds_since(began) * 1e6);
    }
    ours50.push_back(percentile(std::move(ours), 0.5));
    theirs50.push_back(percentile(std::move(theirs), 0.5));
  }
  report.add({.name = "redis-lone-get-p50",
              .value = median(ours50),
              .unit = "us",
              .baseline = median(theirs50),
              .target = 1.3,
              .lower_is_better = true});
}

}  // namespace

void bench_redis_apply(const Settings& settings, Report& report) {
  RedisServer server(settings);
  for (const std::size_t bytes : {1024, 8192}) compare_applies(settings, report, server, bytes);
}

void bench_redis_get(const Settings& settings, Report& report) {
  RedisServer server(settings);
  for (const std::size_t bytes : {1024, 8192}) compare_gets(settings, report, server, bytes);
  compare_lone_gets(settings, report, server);
}

}  // namespace bench
