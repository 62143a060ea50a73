// What one process gets through the completion form, as parts of what redis-benchmark gets from the same server in the same run:
//   redis_async_bench [SECONDS] [ROUNDS] [MODE…]
// Opt-in: not built by default, no test. 100 000 keys of 1 KiB; "follow" reads a pointer and then the record that it names.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <semaphore>
#include <set>
#include <thread>

#include "redis/client.hpp"
#include "support/redis_server.hpp"

namespace {

using namespace setget;
using namespace setget::redis;
using redis_test::RedisServer;
using Steady = std::chrono::steady_clock;

constexpr int kKeys = 100'000;
constexpr std::ptrdiff_t kWindow = 2048;
const char* kRedisBenchmark = "redis-benchmark";

std::string key(std::uint64_t n) { return fmt::format("key:{:012}", n % kKeys); }
std::string pointer(std::uint64_t n) { return fmt::format("ptr:{:012}", n % kKeys); }

void fill(Client& client) {
  const std::string value(1024, 'x');
  for (int at = 0; at < kKeys; at += 1000) {
    std::vector<RedisCommand> commands;
    for (int i = at; i < at + 1000; ++i) {
      const auto n = static_cast<std::uint64_t>(i);
      commands.push_back(RedisCommand("SET").key(key(n)).arg(value).idempotent());
      commands.push_back(RedisCommand("SET").key(pointer(n)).arg(key(n * 7919)).idempotent());
    }
    for (const auto& one : client.pipeline(commands, Deadline::in(Milliseconds(20'000)))) one.value();
  }
}

double yardstick(const RedisServer& server, double seconds) {
  const auto requests = std::to_string(static_cast<long>(seconds * 500'000));
  const auto out = redis_test::run({kRedisBenchmark, "-p", std::to_string(server.port()), "-P", "64", "-c", "50", "-r",
                                    std::to_string(kKeys), "-n", requests, "--csv", "GET", "key:__rand_int__"});
  // A line of names, "test","rps",…, and a line of values.
  const auto line = out.find('\n');
  const auto second = out.find("\",\"", line);
  return second == std::string::npos ? 0 : std::strtod(out.c_str() + second + 3, nullptr);
}

// Processor time of this process: what is left of the figures when others use the machine.
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Figure {
  double per_second;
  double cpu_us;  // each
  bool operator<(const Figure& other) const { return per_second < other.per_second; }
};

struct Run {
  Client& client;
  double seconds;
  std::counting_semaphore<1 << 20> window{kWindow};
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<bool> over{false};

  Figure measure(const std::function<void()>& produce) {
    const auto cpu = cpu_seconds();
    const auto begin = Steady::now();
    const auto end = begin + std::chrono::duration<double>(seconds);
    for (int i = 0; Steady::now() < end; ++i) produce();
    over = true;
    for (std::ptrdiff_t i = 0; i < kWindow; ++i) window.acquire();
    const std::chrono::duration<double> took = Steady::now() - begin;
    if (failed > 0) fmt::print(stderr, "{} failed\n", failed.load());
    const auto count = static_cast<double>(done.load());
    return {count / took.count(), (cpu_seconds() - cpu) / count * 1e6};
  }
};

Deadline soon() { return Deadline::in(Milliseconds(10'000)); }

Figure singles(Client& client, double seconds) {
  Run run{.client = client, .seconds = seconds};
  std::minstd_rand random(1);
  return run.measure([&] {
    run.window.acquire();
    const auto sent = client.submit(RedisCommand("GET").key(key(random())).idempotent(), soon(), [&run](Result<Reply> reply) {
      (reply && reply->take_payload().size() == 1024 ? run.done : run.failed).fetch_add(1, std::memory_order_relaxed);
      run.window.release();
    });
    if (!sent) std::abort();
  });
}

Figure follow(Client& client, double seconds) {
  Run run{.client = client, .seconds = seconds};
  std::minstd_rand random(1);
  return run.measure([&] {
    run.window.acquire();
    const auto sent = client.submit(RedisCommand("GET").key(pointer(random())).idempotent(), soon(), [&run, &client](Result<Reply> first) {
      if (!first) std::abort();
      const auto next = client.submit(RedisCommand("GET").key(first->text()).idempotent(), soon(), [&run](Result<Reply> reply) {
        (reply && reply->take_payload().size() == 1024 ? run.done : run.failed).fetch_add(1, std::memory_order_relaxed);
        run.window.release();
      });
      if (!next) std::abort();
    });
    if (!sent) std::abort();
  });
}

// As the two above, 32 at a time.
constexpr std::uint64_t kBatch = 32;

Figure batches(Client& client, double seconds) {
  Run run{.client = client, .seconds = seconds};
  std::minstd_rand random(1);
  return run.measure([&] {
    RedisCommands commands;
    commands.reserve(kBatch, kBatch * 48);
    for (std::uint64_t i = 0; i < kBatch; ++i) {
      run.window.acquire();
      commands.add("GET", 2).key(key(random())).idempotent();
    }
    const auto sent = client.submit(std::move(commands), soon(), [&run](std::vector<Result<Reply>> replies) {
      for (auto& reply : replies) {
        (reply && reply->take_payload().size() == 1024 ? run.done : run.failed).fetch_add(1, std::memory_order_relaxed);
      }
      run.window.release(kBatch);
    });
    if (!sent) std::abort();
  });
}

Figure follow_batches(Client& client, double seconds) {
  Run run{.client = client, .seconds = seconds};
  std::minstd_rand random(1);
  return run.measure([&] {
    RedisCommands commands;
    commands.reserve(kBatch, kBatch * 48);
    for (std::uint64_t i = 0; i < kBatch; ++i) {
      run.window.acquire();
      commands.add("GET", 2).key(pointer(random())).idempotent();
    }
    const auto sent = client.submit(std::move(commands), soon(), [&run, &client](std::vector<Result<Reply>> pointers) {
      RedisCommands records;
      records.reserve(kBatch, kBatch * 48);
      for (const auto& one : pointers) records.add("GET", 2).key(one.value().text()).idempotent();
      const auto next = client.submit(std::move(records), soon(), [&run](std::vector<Result<Reply>> replies) {
        for (auto& reply : replies) {
          (reply && reply->take_payload().size() == 1024 ? run.done : run.failed).fetch_add(1, std::memory_order_relaxed);
        }
        run.window.release(kBatch);
      });
      if (!next) std::abort();
    });
    if (!sent) std::abort();
  });
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
  const std::set<std::string> only(argv + std::min(argc, 3), argv + argc);
  const std::pair<const char*, Figure (*)(Client&, double)> modes[] = {
      {"single", singles}, {"follow", follow}, {"batch", batches}, {"follow32", follow_batches}};
  RedisServer server({.arguments = {"--save", "", "--appendonly", "no"}});
  const auto client = Client::create({.settings = parse_uri(server.uri()).value()}).value();
  fill(*client);
  std::vector<double> g;
  std::map<std::string, std::vector<Figure>> found;
  for (int round = 0; round < rounds; ++round) {
    g.push_back(yardstick(server, seconds));
    for (const auto& [name, mode] : modes) {
      if (only.empty() || only.contains(name)) found[name].push_back(mode(*client, seconds));
    }
  }
  const auto median = [](auto all) {
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  };
  fmt::print("G {:.0f}/s\n", median(g));
  for (const auto& [name, all] : found)
    fmt::print("{:10} {:8.0f}/s  {:.2f} G  {:.2f} us of processor time each\n", name, median(all).per_second,
               median(all).per_second / median(g), median(all).cpu_us);
}
