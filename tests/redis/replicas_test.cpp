// Durability "replica": what was acknowledged is on as many replicas as were asked for (redis::Options::wait_replicas), on real servers
// whose replicas hang, lag and take over.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "redis/errors.hpp"
#include "redis/place.hpp"
#include "redis/shards.hpp"
#include "support/redis_server.hpp"

#include <setget/redis.hpp>
#include <setget/testing/clock.hpp>
#include <setget/testing/commands.hpp>
#include <setget/testing/tcp_proxy.hpp>

namespace redis_test {
namespace {

using namespace setget;
namespace kit = setget::testing;
using kit::TcpProxy;
using Steady = Deadline::Steady;

TimePoint now() { return TimePoint(Milliseconds(1'700'000'000'000)); }

Deadline soon(std::int64_t within = 10'000) { return Deadline::in(Milliseconds(within)); }

ServerOptions replica_of(std::uint16_t port) { return {.arguments = {"--replicaof", "127.0.0.1", std::to_string(port)}}; }

// One that has told how far it is: right after its first copy it is online but says nothing for up to a second.
bool has_replica(const RedisServer& master) {
  master.cli({"SET", "setget-test", "1"});
  const auto text = master.cli({"INFO", "replication"});
  const auto at = text.find("state=online,offset=");
  return at != std::string::npos && std::strtoull(text.c_str() + at + 20, nullptr, 10) > 0;
}

// A master and one replica.
struct Pair {
  RedisServer master;
  RedisServer replica{replica_of(master.port())};
  Pair() {
    if (!eventually([&] { return has_replica(master); })) throw std::runtime_error("the replica does not come up");
  }
};

redis::Options options(const std::string& uri, std::uint32_t replicas, std::int64_t timeout = 4'000) {
  static std::atomic<int> count{0};
  redis::Options out;
  out.uri = uri;
  out.prefix = "p" + std::to_string(++count);
  out.wait_replicas = replicas;
  out.wait_timeout = Milliseconds(timeout);
  return out;
}

OutgoingMessage message(std::string body, std::string dedup_id = {}) {
  OutgoingMessage out;
  out.body = Payload(std::move(body));
  out.dedup_id = std::move(dedup_id);
  return out;
}

// One record, set at this stamp.
Result<ApplyResult> set(redis::Database& db, std::uint64_t number, Deadline deadline = soon()) {
  kit::SetSpec spec;
  spec.id = "i" + std::to_string(number);
  spec.keys = {"k" + std::to_string(number)};
  spec.stamp = stamp_at(now()) + number;
  spec.payload = std::to_string(number);
  spec.account = "a";
  spec.flow = "f";
  const auto entry = kit::set_entry(spec);
  auto store = db.key_store();
  auto applied = store.backend()->apply({.entries = {&entry, 1}, .now = now(), .deadline = deadline});
  if (!applied) return std::move(applied).error();
  return std::move(applied->front());
}

bool has(redis::Database& db, std::uint64_t number) {
  const auto key = "k" + std::to_string(number);
  const std::string_view view = key;
  auto store = db.key_store();
  const auto found = store.backend()->get({.ns = {}, .keys = {&view, 1}, .now = now(), .deadline = soon()}).value();
  return found.at(0).status == Lookup::Status::kFound;
}

void expect_unconfirmed(const Error& error) {
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable) << error.describe();
  EXPECT_TRUE(error.retryable());
  EXPECT_EQ(redis::trouble_of(error), redis::Trouble::kNotReplicated) << error.describe();
  EXPECT_NE(error.message().find("wait_replicas"), std::string::npos) << error.message();
}

TEST(RedisReplicas, durability_is_what_the_servers_and_the_waiting_come_to) {
  SETGET_REQUIRE_REDIS();
  Pair pair;
  const auto declared = [&](std::uint32_t replicas) {
    auto db = redis::open(options(pair.master.uri(), replicas)).value();
    const auto of_store = db.key_store().backend()->capabilities().durability;
    EXPECT_EQ(db.queues()->capabilities().durability, of_store);
    return of_store;
  };
  EXPECT_EQ(declared(0), Durability::kMemory);
  EXPECT_EQ(declared(1), Durability::kReplica);
  pair.master.cli({"CONFIG", "SET", "appendonly", "yes", "appendfsync", "always"});
  EXPECT_EQ(declared(0), Durability::kDisk);
  EXPECT_EQ(declared(1), Durability::kDisk);
}

TEST(RedisReplicas, fewer_replicas_than_asked_for_are_refused_at_open) {
  SETGET_REQUIRE_REDIS();
  RedisServer alone;
  Pair pair;
  for (const auto& [uri, asked] : std::map<std::string, std::uint32_t>{{alone.uri(), 1}, {pair.master.uri(), 2}}) {
    const auto opened = redis::open(options(uri, asked));
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code(), ErrorCode::kFailedPrecondition) << opened.error().describe();
    EXPECT_EQ(opened.error().field(), "wait_replicas");
    EXPECT_NE(opened.error().message().find("replicas online"), std::string::npos) << opened.error().message();
  }
  auto wrong = options(pair.master.uri("?timeout=1s"), 1, 1000);
  EXPECT_EQ(redis::open(wrong).error().field(), "wait_timeout");
  wrong = options(pair.master.uri(), 17);
  EXPECT_EQ(redis::open(wrong).error().field(), "wait_replicas");
}

TEST(RedisReplicas, what_a_hanging_replica_does_not_confirm_is_not_acknowledged_and_may_be_tried_again) {
  SETGET_REQUIRE_REDIS();
  Pair pair;
  auto db = redis::open(options(pair.master.uri(), 1, 2'000)).value();
  auto queue = db.queue("q", {.max_receives = 0}).value();
  (void)queue.send(message("before")).value();
  ASSERT_TRUE(set(db, 1).value().reasons.empty());
  const auto held = queue.receive(1).value().at(0);

  pair.replica.pause();
  const auto timed = [](auto&& work) {
    const auto start = Steady::now();
    auto result = work();
    const auto took = Steady::now() - start;
    EXPECT_GE(took, Milliseconds(2'000));
    EXPECT_LT(took, Milliseconds(9'000));
    return result;
  };
  auto sent = timed([&] { return queue.send(message("m", "once")); });
  ASSERT_FALSE(sent);
  expect_unconfirmed(sent.error());
  auto acked = timed([&] { return queue.ack(held); });
  ASSERT_FALSE(acked);
  expect_unconfirmed(acked.error());
  auto applied = timed([&] { return set(db, 2); });
  ASSERT_FALSE(applied);
  expect_unconfirmed(applied.error());
  // A redelivery finds everything done; that is no acknowledgement either.
  applied = timed([&] { return set(db, 2); });
  ASSERT_FALSE(applied);
  expect_unconfirmed(applied.error());
  // Readers do not wait behind it.
  {
    std::atomic<bool> over{false};
    const std::jthread writer([&] {
      (void)set(db, 3);
      over = true;
    });
    int gets = 0;
    for (; !over; ++gets) EXPECT_TRUE(has(db, 1));
    EXPECT_GT(gets, 20);
  }

  pair.replica.resume();
  ASSERT_TRUE(eventually([&] { return set(db, 2).has_value(); }));
  EXPECT_TRUE(has(db, 2));
  const auto again = queue.send(message("m", "once")).value();
  EXPECT_TRUE(again.deduplicated) << "it had been written: the same deduplication id tells so";
  EXPECT_EQ(queue.stats().value().accepted, 2u);
}

TEST(RedisReplicas, callers_share_a_barrier) {
  SETGET_REQUIRE_REDIS();
  Pair pair;
  auto db = redis::open(options(pair.master.uri(), 1)).value();
  auto queue = db.queue("q").value();
  pair.master.cli({"CONFIG", "RESETSTAT"});
  constexpr int kThreads = 16;
  constexpr int kEach = 100;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) (void)queue.send(message("m")).value();
      });
    }
  }
  const auto stats = pair.master.cli({"INFO", "commandstats"});
  const auto at = stats.find("cmdstat_wait:calls=");
  ASSERT_NE(at, std::string::npos) << stats;
  const auto waits = std::atoi(stats.c_str() + at + 19);
  EXPECT_GT(waits, 0);
  EXPECT_LT(waits, kThreads * kEach / 2) << "of " << kThreads * kEach << " sends";
}

TEST(RedisReplicas, a_master_that_forgot_the_batch_cannot_confirm_it) {
  SETGET_REQUIRE_REDIS();
  Pair pair;
  auto place = redis::Place::open(options(pair.master.uri(), 1)).value();
  const redis::Shards parts(place->prefix(), 1, 'k');
  const std::vector<std::string_view> heads{parts.head(0)};
  const auto before = place->began();
  (void)place->client().call(redis::RedisCommand("SET").key(parts.name(0, "written")).arg("1"), soon()).value();
  ASSERT_TRUE(place->confirm(heads, before, soon()).has_value());
  // Without its data, on the same port, with its replica: WAIT alone would say that all is well.
  pair.master.kill();
  pair.master.start();
  ASSERT_TRUE(eventually([&] { return has_replica(pair.master); }));
  ASSERT_EQ(pair.master.cli({"EXISTS", std::string(parts.head(0)) + "written"}), "0");
  auto sure = place->confirm(heads, before, soon());
  ASSERT_FALSE(sure.has_value());
  EXPECT_EQ(redis::trouble_of(sure.error()), redis::Trouble::kOtherMaster) << sure.error().describe();
  EXPECT_TRUE(sure.error().retryable());
  // Whoever begins now is on firm ground again.
  ASSERT_TRUE(eventually([&] { return place->confirm(heads, place->began(), soon()).has_value(); }));
}

// What was acknowledged until the master was killed, and how much of it the replica has that takes over. The way to the replica takes
// 30 ms, so that something is always on it.
struct Lost {
  std::size_t acknowledged = 0;
  std::size_t lost = 0;
};
Lost after_a_failover(std::uint32_t replicas) {
  RedisServer master;
  auto proxy = TcpProxy::start("127.0.0.1", master.port()).value();
  RedisServer replica(replica_of(proxy->port()));
  EXPECT_TRUE(eventually([&] { return has_replica(master); }));
  proxy->delay(TcpProxy::Way::kToClient, Milliseconds(30));
  auto opening = options(master.uri(), replicas, 2000);
  std::set<std::string> sent;
  std::set<std::uint64_t> applied;
  std::mutex mutex;
  {
    auto db = redis::open(opening).value();
    auto queue = db.queue("q").value();
    std::atomic<bool> stop{false};
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint64_t i = t * 1'000'000; !stop; ++i) {
          const auto body = "m" + std::to_string(i);
          const bool accepted = queue.send(message(body), soon(500)).has_value();
          const bool stored = set(db, i, soon(500)).has_value();
          const std::scoped_lock lock(mutex);
          if (accepted) sent.insert(body);
          if (stored) applied.insert(i);
        }
      });
    }
    EXPECT_TRUE(eventually([&] {
      const std::scoped_lock lock(mutex);
      return applied.size() > 60;
    }));
    // With the machine goes what was on its way.
    proxy->refuse(true);
    proxy->reset_all();
    master.kill();
    stop = true;
  }
  replica.cli({"REPLICAOF", "NO", "ONE"});
  opening.uri = replica.uri();
  opening.wait_replicas = 0;
  Lost out{.acknowledged = sent.size() + applied.size()};
  auto db = redis::open(opening).value();
  auto queue = db.queue("q").value();
  std::set<std::string> there;
  for (;;) {
    auto got = queue.receive(1000).value();
    if (got.empty()) break;
    for (const auto& one : got) there.insert(one.body.str());
  }
  for (const auto& body : sent) out.lost += there.contains(body) ? 0 : 1;
  for (const auto number : applied) out.lost += has(db, number) ? 0 : 1;
  return out;
}

TEST(RedisReplicas, a_failover_loses_nothing_that_was_acknowledged_and_would_without_waiting) {
  SETGET_REQUIRE_REDIS();
  const char* asked = std::getenv("SETGET_CRASH_ROUNDS");
  const int rounds = asked == nullptr ? 1 : std::max(1, std::atoi(asked) / 30);
  for (int round = 0; round < rounds; ++round) {
    const auto waited = after_a_failover(1);
    EXPECT_GT(waited.acknowledged, 120u) << round;
    EXPECT_EQ(waited.lost, 0u) << round;
  }
  // The control: the same without waiting does lose something, so the test can tell.
  std::size_t lost = 0;
  for (int tries = 0; tries < 3 && lost == 0; ++tries) lost = after_a_failover(0).lost;
  EXPECT_GT(lost, 0u);
}

TEST(RedisReplicas, sentinels_promote_what_was_acknowledged_and_writing_goes_on_with_a_replica_again) {
  SETGET_REQUIRE_REDIS();
  SentinelGroup group;
  auto db = redis::open(options(group.uri(), 1)).value();
  auto queue = db.queue("q", {.max_receives = 0}).value();
  std::set<std::uint64_t> acknowledged;
  std::uint64_t next = 0;
  const auto write = [&] {
    const auto number = ++next;
    if (queue.send(message("m" + std::to_string(number)), soon()) && set(db, number)) acknowledged.insert(number);
  };
  for (int i = 0; i < 50; ++i) write();
  EXPECT_EQ(acknowledged.size(), 50u);
  auto& old = group.master();
  old.kill();
  ASSERT_TRUE(
      eventually([&] { return &group.master() != &old && group.master().cli({"ROLE"}).starts_with("master"); }, Milliseconds(40'000)));
  write();
  EXPECT_EQ(acknowledged.size(), 50u) << "there is no replica left to confirm anything";
  for (const auto number : acknowledged) EXPECT_TRUE(has(db, number)) << number;
  old.start();
  ASSERT_TRUE(eventually(
      [&] {
        write();
        return acknowledged.size() > 50u;
      },
      Milliseconds(40'000)));
  std::set<std::string> there;
  for (auto got = queue.receive(100).value(); !got.empty(); got = queue.receive(100).value()) {
    for (const auto& one : got) {
      EXPECT_TRUE(there.insert(one.body.str()).second) << "twice: " << one.body.str();
      queue.ack(one).value();
    }
  }
  for (const auto number : acknowledged) {
    EXPECT_TRUE(there.contains("m" + std::to_string(number))) << number;
    EXPECT_TRUE(has(db, number)) << number;
  }
}

TEST(RedisReplicas, each_master_of_a_cluster_waits_for_its_own_replica) {
  SETGET_REQUIRE_REDIS();
  ClusterGroup group;
  auto db = redis::open(options(group.uri(), 1, 2'000)).value();
  auto queue = db.queue("q", {.max_receives = 0}).value();
  EXPECT_EQ(db.key_store().backend()->capabilities().durability, Durability::kReplica);
  std::set<std::uint64_t> acknowledged;
  std::set<std::string> sent;
  std::uint64_t next = 0;
  const auto write = [&] {
    const auto number = ++next;
    const bool accepted = queue.send(message("m" + std::to_string(number)), soon()).has_value();
    if (accepted) sent.insert("m" + std::to_string(number));
    if (set(db, number)) acknowledged.insert(number);
    return accepted;
  };
  for (int i = 0; i < 32; ++i) EXPECT_TRUE(write());
  EXPECT_EQ(acknowledged.size(), 32u);

  const auto replicas = [&] {
    std::vector<RedisServer*> found;
    for (auto& node : group.nodes()) {
      if (node->pid() > 0 && node->cli({"ROLE"}).starts_with("slave")) found.push_back(node.get());
    }
    return found;
  };
  auto* hanging = replicas().at(0);
  hanging->pause();
  const auto accepted_before = sent.size();
  for (int i = 0; i < 16; ++i) {
    const auto number = ++next;
    if (queue.send(message("m" + std::to_string(number)), soon(2000))) sent.insert("m" + std::to_string(number));
  }
  EXPECT_LT(sent.size(), accepted_before + 16) << "parts of the queue lie on its master";
  EXPECT_GT(sent.size(), accepted_before) << "and others do not";
  hanging->resume();
  ASSERT_TRUE(eventually([&] {
    const auto before = acknowledged.size();
    (void)write();
    return acknowledged.size() > before;
  }));

  // A master dies, its replica takes over: all is there. Its slots have no replica then, and nothing is acknowledged in them.
  auto& dead = group.master_of(redis::Shards("x", 16, 'q').slot(0));
  dead.kill();
  ASSERT_TRUE(eventually([&] { return group.masters().size() == 3 && group.healthy(); }));
  EXPECT_FALSE(set(db, ++next, soon(2000)).has_value());
  for (const auto number : acknowledged) EXPECT_TRUE(has(db, number)) << number;
  dead.start();
  ASSERT_TRUE(eventually([&] { return set(db, next, soon(5'000)).has_value(); }));
  std::set<std::string> there;
  for (auto got = queue.receive(1000).value(); !got.empty(); got = queue.receive(1000).value()) {
    for (const auto& one : got) there.insert(one.body.str());
  }
  for (const auto& body : sent) EXPECT_TRUE(there.contains(body)) << body;
}

}  // namespace
}  // namespace redis_test
