// Measures the queue on one fresh server without persistence, beside plain SET on the same server:
//
//   redis_queue_speed [messages] [batch] [bytes] [threads]
//
// Prints messages per second of sending, and of receiving and acknowledging; the share of Redis' one thread that each message took; and the
// ratio to `redis-benchmark -P 64 -c 50 SET`.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "redis/place.hpp"
#include "redis/queue.hpp"
#include "support/redis_server.hpp"

namespace {

using namespace setget;
using Steady = std::chrono::steady_clock;

double since(Steady::time_point start) { return std::chrono::duration<double>(Steady::now() - start).count(); }

double cpu_of(const redis_test::RedisServer& server) {
  const auto text = server.cli({"info", "cpu"});
  double sum = 0;
  for (const auto* name : {"used_cpu_sys_main_thread:", "used_cpu_user_main_thread:"}) {
    if (const auto at = text.find(name); at != std::string::npos) sum += std::atof(text.c_str() + at + std::string(name).size());
  }
  return sum;
}

double plain_set(const redis_test::RedisServer& server, std::size_t bytes) {
  const auto out = redis_test::run({"redis-benchmark", "-p", std::to_string(server.port()), "-P", "64", "-c", "50", "-r", "100000", "-n",
                                    "400000", "-d", std::to_string(bytes), "-q", "-t", "set"});
  const auto at = out.rfind("SET: ");
  return at == std::string::npos ? 0 : std::atof(out.c_str() + at + 5);
}

template <class Work>
void measure(const char* what, const redis_test::RedisServer& server, std::size_t messages, double base, Work work) {
  server.cli({"config", "resetstat"});
  const auto cpu = cpu_of(server);
  const auto start = Steady::now();
  work();
  const auto took = since(start);
  const auto rate = static_cast<double>(messages) / took;
  if (std::getenv("COMMANDS") != nullptr) std::printf("%s", server.cli({"info", "commandstats"}).c_str());
  std::printf("  %-14s %9.0f/s  ratio %.2f  %5.2f us of Redis each\n", what, rate, rate / base,
              (cpu_of(server) - cpu) * 1e6 / static_cast<double>(messages));
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, std::size_t otherwise) {
    return argc > i ? static_cast<std::size_t>(std::strtoull(argv[i], nullptr, 10)) : otherwise;
  };
  const auto messages = number(1, 100'000);
  const auto batch = number(2, 100);
  const auto bytes = number(3, 1024);
  const auto threads = number(4, 1);
  const redis_test::RedisServer server;
  const auto base = plain_set(server, bytes);
  server.cli({"flushall"});
  std::printf("plain SET %.0f/s; %zu messages of %zu bytes in batches of %zu, %zu thread(s)\n", base, messages, bytes, batch, threads);
  auto place = redis::Place::open({.uri = server.uri()}).value();
  auto backend = redis::make_queues(place);
  const std::string body(bytes, 'x');
  for (const bool fifo : {false, true}) {
    const std::string name = fifo ? "fifo" : "standard";
    auto queue = Queue::open(backend, name, {.kind = fifo ? QueueKind::kFifo : QueueKind::kStandard, .max_in_flight = 1'000'000}).value();
    std::printf("%s\n", name.c_str());
    const auto parallel = [&](auto work) {
      std::vector<std::thread> all;
      for (std::size_t t = 0; t < threads; ++t) all.emplace_back([&, t] { work(t); });
      for (auto& one : all) one.join();
    };
    measure("send", server, messages, base, [&] {
      parallel([&](std::size_t t) {
        std::vector<OutgoingMessage> out(batch);
        for (std::size_t at = 0; at < messages / threads; at += batch) {
          for (std::size_t i = 0; i < batch; ++i) {
            out[i].body = Payload(body);
            out[i].group = "user:" + std::to_string(t * messages + at + i);
          }
          for (const auto& one : queue.send(out).value()) (void)one.value();
        }
      });
    });
    measure("receive+ack", server, messages, base, [&] {
      parallel([&](std::size_t) {
        std::vector<Settlement> settlements;
        for (;;) {
          const auto got = backend->receive({.queue = name, .max_messages = batch, .visibility_timeout = {}}).value();
          if (got.empty()) break;
          settlements.clear();
          for (const auto& message : got) settlements.push_back({.receipt = message.receipt, .reasons = {}});
          for (const auto& one : backend->settle({.queue = name, .settlements = settlements}).value()) one.value();
        }
      });
    });
    const auto stats = queue.stats().value();
    std::printf("  applied %llu of %llu\n", static_cast<unsigned long long>(stats.outcomes[1]),
                static_cast<unsigned long long>(stats.accepted));
  }
  return 0;
}
