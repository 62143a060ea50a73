// A whole pipeline's parts in memory under a simulated clock, and short ways to write requests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <setget/memory.hpp>
#include <setget/setget.hpp>
#include <setget/testing/clock.hpp>
#include <setget/testing/faults.hpp>

namespace setget_test {

using namespace setget;
using setget::testing::Fault;
using setget::testing::FaultKind;
using setget::testing::FaultPlan;
using setget::testing::FaultyKeyStore;
using setget::testing::FaultyQueue;
using setget::testing::Gate;
using setget::testing::SeededRandom;
using setget::testing::SimulatedClock;

// Far longer than anything takes here: a test that waits so long has failed.
inline Deadline patience() { return Deadline::in(std::chrono::seconds(60)); }

inline Milliseconds days(int count) { return std::chrono::hours(24 * count); }

inline SetRequest request(std::string id, std::vector<std::string> keys, std::string payload = R"({"n":1})") {
  SetRequest request;
  request.id = std::move(id);
  request.keys = KeyList(std::span<const std::string>(keys));
  request.account = "acme";
  request.flow = "orders";
  request.payload = Payload(std::move(payload));
  return request;
}

inline Flows flows_with_default(Ttl ttl) {
  Flows flows;
  flows.default_ttl = ttl;
  return flows;
}

// Every world draws other numbers, or two stores would have one identity.
inline std::uint64_t next_seed() {
  static std::uint64_t seed = 0;
  return ++seed;
}

// One store in memory with a queue, faults in front of both, and the parts over them made on demand.
struct World {
  std::shared_ptr<SimulatedClock> clock = std::make_shared<SimulatedClock>();
  std::shared_ptr<SeededRandom> random = std::make_shared<SeededRandom>(next_seed());
  memory::Database db;
  std::shared_ptr<FaultPlan> queue_faults = std::make_shared<FaultPlan>();
  std::shared_ptr<FaultPlan> store_faults = std::make_shared<FaultPlan>();
  Queue plain_queue;
  Queue queue;
  KeyStore key_store;
  std::shared_ptr<ArchiveBackend> archive;
  std::shared_ptr<TtlPolicy> policy;

  explicit World(const QueueOptions& options = {}, Flows flows = {}, memory::Options limits = {})
      : db(open(std::move(limits))), policy(std::make_shared<TtlPolicy>(std::move(flows))) {
    plain_queue = db.queue("records", options);
    queue = Queue(std::make_shared<FaultyQueue>(plain_queue.backend(), queue_faults), "records");
    key_store = KeyStore(std::make_shared<FaultyKeyStore>(db.key_store().backend(), store_faults));
    archive = db.archive();
  }

  // `clock` and `random` are there before it.
  memory::Database open(memory::Options limits) const {
    limits.clock = clock;
    limits.random = random;
    return memory::open(std::move(limits)).value();
  }

  std::unique_ptr<Ingress> ingress() {
    IngressOptions options;
    options.queue = queue;
    options.policy = policy;
    options.clock = clock;
    options.random = random;
    return Ingress::create(std::move(options)).value();
  }

  WorkerOptions worker_options() {
    WorkerOptions options;
    options.queue = queue;
    options.key_store = key_store;
    options.policy = policy;
    options.clock = clock;
    options.random = random;
    return options;
  }
  std::unique_ptr<Worker> worker() { return Worker::create(worker_options()).value(); }

  PipelineOptions pipeline_options(Flows flows = {}) {
    PipelineOptions options;
    options.queue = queue;
    options.key_store = key_store;
    options.archive = archive;
    options.flows = std::move(flows);
    options.durability = Durability::kMemory;
    options.clock = clock;
    options.random = random;
    return options;
  }
  std::unique_ptr<Pipeline> pipeline(Flows flows = {}) { return Pipeline::create(pipeline_options(std::move(flows))).value(); }

  std::optional<Record> get(std::string_view key, std::string_view ns = {}) { return key_store.get(key, clock->now(), ns).value(); }
  QueueStats stats() { return plain_queue.stats().value(); }

  void expect_ledger_adds_up() {
    const auto found = stats();
    std::uint64_t finished = 0;
    for (const auto count : found.outcomes) finished += count;
    EXPECT_EQ(found.accepted, finished + found.depth + found.in_flight + found.delayed);
  }
};

// Works until nothing is left that could be worked on now.
inline void drain(Worker& worker) {
  while (worker.run_once().value() > 0) {
  }
}
inline void drain(Pipeline& pipeline) {
  while (pipeline.run_once().value() > 0) {
  }
}

}  // namespace setget_test
