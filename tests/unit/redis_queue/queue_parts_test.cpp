// Several parts, several threads, several processes' views.
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <set>
#include <thread>

#include "support/sanitized.hpp"
#include "unit/redis_queue/queue_fixture.hpp"

namespace redis_test {
namespace {

RedisServer& server() {
  static RedisServer one;
  return one;
}

// How many messages each part has accepted.
std::vector<std::size_t> spread(const std::string& prefix, std::uint32_t partitions,
                                const std::function<std::string(std::vector<std::string>, std::uint32_t slot)>& cli) {
  const redis::Shards shards(prefix, partitions, 'q');
  std::vector<std::size_t> counts;
  for (std::uint32_t part = 0; part < partitions; ++part) {
    counts.push_back(std::strtoul(cli({"hget", shards.name(part, "q:m"), "seq"}, shards.slot(part)).c_str(), nullptr, 10));
  }
  return counts;
}

void expect_even(const std::vector<std::size_t>& counts, std::size_t total) {
  const auto even = total / counts.size();
  for (const auto count : counts) {
    EXPECT_GE(count, even * 8 / 10);
    EXPECT_LE(count, even * 12 / 10);
  }
}

TEST(RedisQueue, A_receive_without_a_limit_of_bytes_is_one_of_many_messages) {
  constexpr auto kAll = std::numeric_limits<std::size_t>::max();
  for (const std::uint32_t partitions : {1U, 4U}) {
    for (const auto kind : {QueueKind::kStandard, QueueKind::kFifo}) {
      View view(server().uri(), fresh_prefix(), partitions);
      auto queue = Queue::open(view.queues, "q", {.kind = kind}).value();
      const auto receive = [&](std::size_t count) {
        const auto got = view.queues->receive({.queue = "q", .max_messages = count, .max_bytes = kAll});
        EXPECT_TRUE(got) << got.error().describe();
        return got ? got->size() : 0;
      };
      EXPECT_EQ(receive(10), 0u);
      for (int i = 0; i < 20; ++i) (void)queue.send(message("m")).value();
      EXPECT_EQ(receive(10), 10u);
      EXPECT_EQ(receive(10), 10u);
      for (int i = 0; i < 4; ++i) (void)queue.send(batch_of(25)).value();
      std::size_t all = 0;
      for (int i = 0; i < 4; ++i) all += receive(100);
      EXPECT_EQ(all, 100u);
    }
  }
}

TEST(RedisQueue, Messages_are_spread_evenly_over_the_masters_of_a_cluster) {
  ClusterGroup cluster(6, 1, {}, kNoneDies);
  const auto cli = [&](std::vector<std::string> words, std::uint32_t slot) { return cluster.master_of(slot).cli(std::move(words)); };
  for (const auto kind : {QueueKind::kFifo, QueueKind::kStandard}) {
    const auto prefix = fresh_prefix();
    View view(cluster.uri(), prefix, 0);
    auto queue = Queue::open(view.queues, "q", {.kind = kind}).value();
    constexpr std::size_t kTotal = 16'000;
    for (std::size_t at = 0; at < kTotal; at += 100) {
      auto batch = batch_of(100);
      for (std::size_t i = 0; i < batch.size(); ++i) batch[i].group = "user:" + std::to_string(at + i);
      for (const auto& one : queue.send(batch).value()) (void)one.value();
    }
    const auto counts = spread(prefix, 16, cli);
    expect_even(counts, kTotal);
    std::map<const RedisServer*, std::size_t> masters;
    const redis::Shards shards(prefix, 16, 'q');
    for (std::uint32_t part = 0; part < 16; ++part) masters[&cluster.master_of(shards.slot(part))] += counts[part];
    EXPECT_EQ(masters.size(), 3u);
    std::size_t got = 0;
    for (;;) {
      const auto some = queue.receive(500).value();
      if (some.empty()) break;
      got += some.size();
      std::vector<Settlement> settlements;
      for (const auto& one : some) settlements.push_back({.receipt = one.receipt, .reasons = {}});
      for (const auto& one : view.queues->settle({.queue = "q", .settlements = settlements}).value()) one.value();
    }
    EXPECT_EQ(got, kTotal);
    expect_ledger(queue, kTotal, kTotal);
  }
}

TEST(RedisQueue, Stamps_of_a_batch_rise_and_no_two_parts_give_the_same) {
  const auto prefix = fresh_prefix();
  View one(server().uri(), prefix, 8);
  View two(server().uri(), prefix, 8);
  auto first = Queue::open(one.queues, "q").value();
  Queue second(two.queues, "q");
  std::set<Stamp> all;
  std::vector<OutgoingMessage> batch;
  for (int i = 0; i < 50; ++i) batch.push_back(message("m", "g" + std::to_string(i % 20)));
  for (int round = 0; round < 10; ++round) {
    Stamp last = 0;
    for (const auto& sent : first.send(batch).value()) {
      EXPECT_GT(sent.value().stamp, last) << "nobody else has sent since";
      last = sent.value().stamp;
      EXPECT_TRUE(all.insert(last).second);
    }
  }
  for (int round = 0; round < 10; ++round) {
    for (auto* queue : {&first, &second}) {
      std::map<int, Stamp> last;
      int i = 0;
      for (const auto& sent : queue->send(batch).value()) {
        EXPECT_GT(sent.value().stamp, last[i % 20]) << "whoever else sends: in order within the group";
        last[i++ % 20] = sent.value().stamp;
        EXPECT_TRUE(all.insert(sent.value().stamp).second);
      }
    }
  }
  EXPECT_EQ(one.queues->oldest_unfinished().value(), *all.begin());
}

TEST(RedisQueue, Later_stamps_are_never_below_the_oldest_unfinished_one) {
  const auto prefix = fresh_prefix();
  View view(server().uri(), prefix, 8);
  View other(server().uri(), prefix, 8);
  auto queue = Queue::open(view.queues, "q").value();
  Queue theirs(other.queues, "q");
  for (int round = 0; round < 50; ++round) {
    const auto floor = view.queues->oldest_unfinished().value();
    const auto sent = (round % 2 == 0 ? queue : theirs).send(message("m", "g" + std::to_string(round))).value();
    EXPECT_GE(sent.stamp, floor);
    if (round % 5 == 4) {
      for (const auto& one : queue.receive(100).value()) queue.ack(one).value();
      EXPECT_EQ(view.queues->oldest_unfinished().value(), sent.stamp + 1) << "all is finished";
    }
  }
}

TEST(RedisQueue, A_deduplication_id_is_accepted_once_whatever_its_group_and_part) {
  const auto prefix = fresh_prefix();
  constexpr int kThreads = 6;
  constexpr int kIds = 60;
  View maker(server().uri(), prefix, 8);
  auto queue = Queue::open(maker.queues, "q").value();
  std::mutex mutex;
  std::map<std::string, std::set<std::string>> ids_of;
  int fresh = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        View mine(server().uri(), prefix, 8);
        Queue theirs(mine.queues, "q");
        for (int i = 0; i < kIds; ++i) {
          const auto id = "id" + std::to_string(i);
          auto sent = theirs.send(message("m", "g" + std::to_string((t * 7 + i) % 31), id));
          while (!sent && sent.error().code() == ErrorCode::kUnavailable) {
            sent = theirs.send(message("m", "g" + std::to_string((t * 7 + i) % 31), id));
          }
          const std::lock_guard lock(mutex);
          ids_of[id].insert(sent.value().message_id);
          fresh += sent.value().deduplicated ? 0 : 1;
        }
      });
    }
  }
  EXPECT_EQ(fresh, kIds);
  for (const auto& [id, messages] : ids_of) EXPECT_EQ(messages.size(), 1u) << id;
  expect_ledger(queue, kIds, 0);
}

TEST(RedisQueue, A_deduplication_id_is_accepted_once_with_and_without_a_group) {
  View view(server().uri(), fresh_prefix(), 8);
  auto queue = Queue::open(view.queues, "q").value();
  for (int i = 0; i < 20; ++i) {
    const auto id = "id" + std::to_string(i);
    const auto group = "g" + std::to_string(i);
    const auto first = queue.send(message("m", i % 2 == 0 ? group : "", id)).value();
    const auto second = queue.send(message("m", i % 2 == 0 ? "" : group, id)).value();
    EXPECT_FALSE(first.deduplicated) << id;
    EXPECT_TRUE(second.deduplicated) << id;
    EXPECT_EQ(first.message_id, second.message_id) << id;
  }
  expect_ledger(queue, 20, 0);
}

TEST(RedisQueue, What_is_sent_after_a_redrive_that_restamps_comes_after_it_in_every_part) {
  View view(server().uri(), fresh_prefix(), 8);
  auto queue = Queue::open(view.queues, "q").value();
  for (int round = 0; round < 10; ++round) {
    std::vector<OutgoingMessage> batch;
    for (int i = 0; i < 30; ++i) batch.push_back(message("m", "g" + std::to_string(i)));
    for (const auto& sent : queue.send(batch).value()) (void)sent.value();
    for (const auto& one : queue.receive(30).value()) queue.dead_letter(one, {{.code = "bad", .message = {}, .pointer = {}}}).value();
    // The stamps that the first ones get now run ahead of the clock in their parts.
    EXPECT_EQ(view.queues->redrive({.queue = "q", .filter = {}, .limit = 100, .restamp = true}).value(), 30u);
    Stamp highest = 0;
    for (const auto& one : view.queues->peek({.queue = "q", .limit = 100}).value()) highest = std::max(highest, one.stamp);
    EXPECT_GT(queue.send(message("later", "h" + std::to_string(round))).value().stamp, highest);
    for (const auto& one : queue.receive(31).value()) queue.ack(one).value();
  }
}

TEST(RedisQueue, What_somebody_else_made_of_its_limits_counts_at_once) {
  const auto prefix = fresh_prefix();
  View one(server().uri(), prefix, 16);
  View other(server().uri(), prefix, 16);
  auto queue = Queue::open(one.queues, "q", {.max_in_flight = 20'000}).value();
  auto theirs = Queue::open(other.queues, "q", {.max_in_flight = 15}).value();
  for (int i = 0; i < 40; ++i) (void)queue.send(message("m", "g" + std::to_string(i))).value();
  EXPECT_EQ(queue.receive(10).value().size(), 10u) << "a lower limit is no reason to give nothing";
  EXPECT_EQ(queue.receive(10).value().size(), 5u);
  EXPECT_TRUE(theirs.receive(10).value().empty());
}

TEST(RedisQueue, A_limit_of_bytes_beyond_what_can_be_counted_is_none) {
  View view(server().uri(), fresh_prefix());
  auto queue = Queue::open(view.queues, "q", {.max_message_bytes = std::numeric_limits<std::size_t>::max()}).value();
  (void)queue.send(message("m")).value();
  EXPECT_EQ(view.queues->list().value().size(), 1u);
  EXPECT_TRUE(view.queues->oldest_unfinished());
  EXPECT_TRUE(view.queues->remove("q"));
}

TEST(RedisQueue, Small_receives_are_exact_though_a_large_message_was_sent_once) {
  View view(server().uri(), fresh_prefix(), 4);
  auto queue = Queue::open(view.queues, "q", {.kind = QueueKind::kStandard}).value();
  for (int i = 0; i < 4; ++i) (void)queue.send(message(std::string(5'000'000, 'x'))).value();
  for (std::size_t got = 0; got < 4;) {
    const auto some = queue.receive(10).value();
    ASSERT_FALSE(some.empty());
    for (const auto& one : some) queue.ack(one).value();
    got += some.size();
  }
  for (const auto& sent : queue.send(batch_of(20)).value()) (void)sent.value();
  EXPECT_EQ(queue.receive(10).value().size(), 10u);
}

TEST(RedisQueue, Dead_letters_larger_than_a_reply_may_be_are_redriven_and_purged) {
  const auto prefix = fresh_prefix();
  View view(server().uri() + "?max_reply=2000000", prefix);
  auto queue = Queue::open(view.queues, "q", {.kind = QueueKind::kStandard}).value();
  constexpr std::size_t kCount = 6;
  for (std::size_t i = 0; i < kCount; ++i) (void)queue.send(message(std::string(500'000, 'x'))).value();
  const auto bury = [&] {
    for (std::size_t done = 0; done < kCount;) {
      for (const auto& one : queue.receive(1).value()) {
        const std::vector<Settlement> settlements{{.receipt = one.receipt, .action = SettleAction::kDeadLetter, .reasons = {}}};
        for (const auto& result : view.queues->settle({.queue = "q", .settlements = settlements}).value()) ASSERT_TRUE(result);
        ++done;
      }
    }
  };
  bury();
  const auto page = view.queues->dead_letters({.queue = "q", .limit = 4}).value();
  ASSERT_EQ(page.letters.size(), 4u);
  EXPECT_EQ(page.letters[3].body.size(), 500'000u);
  EXPECT_EQ(view.queues->dead_letters({.queue = "q", .cursor = page.next}).value().letters.size(), 2u);
  EXPECT_EQ(view.queues->redrive({.queue = "q"}).value(), kCount);
  bury();
  EXPECT_EQ(view.queues->purge({.queue = "q"}).value(), kCount);
}

TEST(RedisQueue, Names_and_bodies_are_any_bytes) {
  View view(server().uri(), fresh_prefix(), 4);
  auto queue = Queue::open(view.queues, "q").value();
  const std::vector<std::string> odd{std::string("\0", 1), "{q0}", "a}b{c", "\r\n*1\r\n", std::string("x\0:y", 4), "12:34:", "\xff\xfe"};
  for (const auto& bytes : odd) {
    (void)queue.send(message(bytes, bytes, bytes)).value();
    auto late = message(bytes + "2", bytes);
    late.delay = Milliseconds(1);
    (void)queue.send(late).value();
    EXPECT_TRUE(queue.send(message("again", bytes, bytes)).value().deduplicated);
  }
  std::map<std::string, std::vector<std::string>> got;
  ASSERT_TRUE(eventually([&] {
    for (const auto& one : queue.receive(5).value()) {
      got[one.group].push_back(one.body.str());
      queue.ack(one).value();
    }
    return queue.stats().value().outcomes[1] == odd.size() * 2;
  }));
  for (const auto& bytes : odd) EXPECT_EQ(got[bytes], (std::vector<std::string>{bytes, bytes + "2"}));
}

TEST(RedisQueue, A_send_elsewhere_wakes_a_waiting_receive_and_a_wait_costs_little) {
  const auto prefix = fresh_prefix();
  View one(server().uri(), prefix, 4);
  View two(server().uri(), prefix, 4);
  auto queue = Queue::open(one.queues, "q").value();
  Queue theirs(two.queues, "q");
  const auto before = server().info("total_commands_processed");
  EXPECT_TRUE(queue.receive(1, Deadline::in(Milliseconds(500))).value().empty());
  EXPECT_LT(server().info("total_commands_processed") - before, 4000u);
  std::jthread sender([&] { (void)theirs.send(message("m")).value(); });
  const auto start = Deadline::Steady::now();
  EXPECT_EQ(queue.receive(1, Deadline::in(Milliseconds(10'000))).value().size(), 1u);
  EXPECT_LT(Deadline::Steady::now() - start, std::chrono::seconds(5));
}

// Producers and consumers that release, forget and finish at random: at the end all is applied once, each group in its order.
void storm(std::uint32_t partitions, std::size_t most) {
  constexpr int kProducers = 3;
  constexpr int kConsumers = 4;
  constexpr int kEach = 500;
  constexpr int kGroups = 23;
  const auto prefix = fresh_prefix();
  View maker(server().uri(), prefix, partitions);
  const Milliseconds lease(setget_test::kSanitized ? 600 : 150);  // much longer than it takes to finish what was received
  auto queue = Queue::open(maker.queues, "q", {.visibility_timeout = lease, .max_receives = 0}).value();
  std::array<std::mutex, kGroups> turns;
  std::array<std::vector<std::string>, kGroups> done;
  std::atomic<int> finished{0};
  const auto until = Deadline::in(std::chrono::seconds(100));
  {
    std::vector<std::jthread> threads;
    for (int p = 0; p < kProducers; ++p) {
      threads.emplace_back([&, p] {
        View mine(server().uri(), prefix, partitions);
        Queue own(mine.queues, "q");
        for (int i = 0; i < kEach; i += 5) {
          std::vector<OutgoingMessage> batch;
          for (int k = i; k < i + 5; ++k) {
            const auto group = (p + kProducers * (k * 13 % 7)) % kGroups;  // one producer to a group, so that its order is known
            batch.push_back(message(std::to_string(group) + ":" + std::to_string(p) + ":" + std::to_string(k), std::to_string(group)));
          }
          for (const auto& one : own.send(batch).value()) (void)one.value();
        }
      });
    }
    for (int c = 0; c < kConsumers; ++c) {
      threads.emplace_back([&, c] {
        View mine(server().uri(), prefix, partitions);
        Queue own(mine.queues, "q");
        std::uint64_t dice = static_cast<std::uint64_t>(c) * 7919 + 1;
        while (finished.load() < kProducers * kEach && !until.passed()) {
          for (const auto& one : own.receive(most, Deadline::in(Milliseconds(50))).value()) {
            dice = dice * 6364136223846793005U + 1442695040888963407U;
            const auto face = dice >> 33 & 31;
            if (face == 0) break;  // crashed: the leases of this and of those behind it run out
            if (face <= 2) {
              (void)own.release(one, Milliseconds(static_cast<std::int64_t>(face * 10)));
              continue;
            }
            const auto group = static_cast<std::size_t>(std::atoi(one.group.c_str()));
            const std::lock_guard turn(turns[group]);
            if (!own.ack(one)) continue;
            done[group].push_back(one.body.str());
            ++finished;
          }
        }
      });
    }
  }
  EXPECT_EQ(finished.load(), kProducers * kEach);
  std::set<std::string> seen;
  for (const auto& group : done) {
    std::map<int, int> last;  // of each producer
    for (const auto& body : group) {
      EXPECT_TRUE(seen.insert(body).second) << body;
      int g = 0;
      int p = 0;
      int k = 0;
      ASSERT_EQ(std::sscanf(body.c_str(), "%d:%d:%d", &g, &p, &k), 3);
      const auto [at, first] = last.try_emplace(p, k);
      if (!first) {
        EXPECT_GT(k, at->second) << body;
        at->second = k;
      }
    }
  }
  expect_ledger(queue, kProducers * kEach, kProducers * kEach);
}

TEST(RedisQueue, A_storm_on_one_part_loses_repeats_and_reorders_nothing) { storm(1, 7); }
TEST(RedisQueue, A_storm_on_several_parts_loses_repeats_and_reorders_nothing) { storm(8, 7); }
TEST(RedisQueue, A_storm_of_large_receives_loses_repeats_and_reorders_nothing) { storm(4, 50); }

}  // namespace
}  // namespace redis_test
