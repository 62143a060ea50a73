#include "bench/load.hpp"

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "bench/candidate.hpp"
#include "bench/raw_sqlite.hpp"

namespace bench {

namespace {

std::string make_payload(std::uint64_t n) {
  std::string text = R"({"order": )" + std::to_string(n) + R"(, "total": )" + std::to_string(n % 10'000) + R"(.25, "lines": [)";
  Sequence random{n};
  char field[64];
  const std::string_view tail = R"("end"]})";
  while (true) {
    std::snprintf(field, sizeof field, R"({"sku": "%016)" PRIx64 R"(", "n": %u}, )", random.next(),
                  static_cast<unsigned>(random.next() % 100));
    const std::string_view next = field;
    if (text.size() + next.size() + tail.size() > kPayloadBytes) break;
    text += next;
  }
  text.append(kPayloadBytes - tail.size() - text.size(), ' ');
  text += tail;
  return text;
}

}  // namespace

// Made ahead, so that neither side of a ratio is timed making them.
const std::string& payload(std::uint64_t n) {
  static const std::vector<std::string> pool = [] {
    std::vector<std::string> made;
    for (std::uint64_t i = 0; i < 1024; ++i) made.push_back(make_payload(i));
    return made;
  }();
  return pool[n % pool.size()];
}

std::string key(std::uint64_t n) {
  char text[32];
  std::snprintf(text, sizeof text, "order/%012" PRIu64, n);
  return text;
}

setget::SetRequest request(std::uint64_t n) {
  setget::SetRequest made;
  made.keys = {key(n)};
  made.account = "bench";
  made.flow = "orders";
  made.payload = payload(n);
  return made;
}

std::uint64_t run_threads(std::size_t threads, std::size_t per_call, std::uint64_t first, double seconds, std::uint64_t limit,
                          const std::function<void(std::uint64_t from, std::size_t count)>& step) {
  std::atomic<std::uint64_t> next{0};
  const auto start = Clock::now();
  const auto work = [&] {
    while (seconds <= 0 || seconds_since(start) < seconds) {
      const std::uint64_t from = next.fetch_add(per_call, std::memory_order_relaxed);
      if (limit != 0 && from >= limit) {
        next.fetch_sub(per_call, std::memory_order_relaxed);
        return;
      }
      step(first + from, per_call);
    }
  };
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < threads; ++i) workers.emplace_back(work);
  for (auto& worker : workers) worker.join();
  return next.load();
}

std::uint64_t produce(setget::Pipeline& pipeline, std::size_t threads, std::size_t per_call, std::uint64_t first, double seconds,
                      std::uint64_t limit) {
  return run_threads(threads, per_call, first, seconds, limit, [&](std::uint64_t from, std::size_t count) {
    if (count == 1) {
      must(pipeline.set(request(from)), "set");
      return;
    }
    std::vector<setget::SetRequest> requests;
    requests.reserve(count);
    for (std::size_t i = 0; i < count; ++i) requests.push_back(request(from + i));
    for (auto& result : must(pipeline.set(std::move(requests)), "set")) must(std::move(result), "set");
  });
}

double raw_insert_rate(const std::string& path, std::size_t per_transaction, double seconds) {
  std::int64_t rows = 0;
  double took = 0;
  payload(0);
  {
    RawStore store(path, false);
    const auto start = Clock::now();
    while (seconds_since(start) < seconds) {
      store.begin();
      for (std::size_t i = 0; i < per_transaction; ++i, ++rows) store.insert(rows, payload(static_cast<std::uint64_t>(rows)));
      store.commit();
    }
    took = seconds_since(start);
  }
  std::error_code ignored;
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix, ignored);
  return static_cast<double>(rows) / took;
}

}  // namespace bench
