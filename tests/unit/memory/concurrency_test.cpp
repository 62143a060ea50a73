// Many threads on one database. Meant to be run under ThreadSanitizer as well (preset tsan).
#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "support.hpp"

namespace setget_test {
namespace {

constexpr int kProducers = 4;
constexpr int kConsumers = 4;
constexpr int kEach = 400;
constexpr int kGroups = 7;

TEST(MemoryConcurrency, every_message_of_every_group_is_finished_once_and_in_order) {
  auto db = memory::open().value();
  auto queue = db.queue("q", {.kind = QueueKind::kFifo, .max_receives = 0});
  std::mutex mutex;
  std::map<std::string, std::vector<Stamp>> finished;
  std::atomic<int> acked = 0;
  const auto give_up = Deadline::in(kPatience);
  {
    std::vector<std::jthread> threads;
    for (int p = 0; p < kProducers; ++p) {
      threads.emplace_back([queue, p]() mutable {
        for (int i = 0; i < kEach; ++i) ASSERT_TRUE(queue.send(message("m", "g" + std::to_string((p + i) % kGroups))));
      });
    }
    for (int c = 0; c < kConsumers; ++c) {
      threads.emplace_back([&, queue, c]() mutable {
        SeededRandom random(static_cast<std::uint64_t>(c));
        while (acked < kProducers * kEach && !give_up.passed()) {
          for (const auto& got : queue.receive(1 + random.next() % 5, Deadline::in(Milliseconds(20))).value()) {
            if (random.next() % 8 == 0) {
              (void)queue.release(got);  // may be lost already: an earlier one of its group was released
              continue;
            }
            const std::lock_guard lock(mutex);  // makes "acked" and "noted" one step for the check below
            if (!queue.ack(got)) continue;
            finished[got.group].push_back(got.stamp);
            ++acked;
          }
        }
      });
    }
  }
  EXPECT_EQ(acked, kProducers * kEach);
  for (const auto& [group, stamps] : finished) EXPECT_TRUE(std::is_sorted(stamps.begin(), stamps.end())) << group;
  expect_ledger_adds_up(*queue.backend(), "q");
  EXPECT_EQ(queue.stats().value().outcomes[static_cast<std::size_t>(Outcome::kApplied)], static_cast<std::uint64_t>(kProducers * kEach));
}

TEST(MemoryConcurrency, readers_see_all_keys_of_a_record_change_together) {
  auto db = memory::open().value();
  auto store = db.key_store();
  const std::vector<std::string_view> keys{"a", "b", "c", "d"};
  const auto apply = [&](Stamp stamp) {
    // The last key alternates, so that keys come and go while the others stay.
    ASSERT_TRUE(
        store.apply(entry_of(set_command("id", {"a", "b", "c", stamp % 2 == 0 ? "d" : "e"}, std::to_string(stamp)), stamp), TimePoint()));
  };
  apply(2);
  std::atomic<bool> stop = false;
  {
    std::vector<std::jthread> readers;
    for (int r = 0; r < 3; ++r) {
      readers.emplace_back([&] {
        while (!stop) {
          const auto lookups = store.backend()->get({.ns = {}, .keys = keys, .now = TimePoint()}).value();
          ASSERT_TRUE(lookups[0].record);
          const auto version = lookups[0].record->version;
          for (std::size_t i = 1; i < 3; ++i) ASSERT_TRUE(lookups[i].record && lookups[i].record->version == version);
          ASSERT_EQ(lookups[3].record.has_value(), version % 2 == 0);
          ASSERT_EQ(lookups[0].record->payload.str(), std::to_string(version));
        }
      });
    }
    for (Stamp stamp = 3; stamp < 1500; ++stamp) apply(stamp);
    stop = true;
  }
}

// The whole path with everything at once: threads send, apply and ack in one step, extend, read, list, scan,
// follow the log, reclaim and keep house.
TEST(MemoryConcurrency, the_whole_path_under_load_ends_in_the_state_that_the_messages_define) {
  auto db = memory::open().value();
  auto queue = db.queue("q", {.kind = QueueKind::kStandard, .max_receives = 0});
  auto store = db.key_store();
  auto* fused = store.backend()->fused_with(*queue.backend());
  ASSERT_TRUE(store.backend()->open_cursor({.name = "follower"}));
  constexpr int kIds = 20;
  std::mutex mutex;
  std::map<std::string, Stamp> newest;  // of each id: the highest stamp that was accepted
  std::atomic<int> settled = 0;
  const auto give_up = Deadline::in(kPatience);
  const auto done = [&] { return settled >= kProducers * kEach || give_up.passed(); };
  std::map<std::string, Version> followed;
  {
    std::vector<std::jthread> threads;
    for (int p = 0; p < kProducers; ++p) {
      threads.emplace_back([&, queue, p]() mutable {
        for (int i = 0; i < kEach; ++i) {
          const auto id = std::to_string((p * 7 + i) % kIds);
          const auto sent = queue.send(message(id)).value();
          const std::lock_guard lock(mutex);
          newest[id] = std::max(newest[id], sent.stamp);
        }
      });
    }
    for (int c = 0; c < kConsumers; ++c) {
      threads.emplace_back([&, queue]() mutable {
        while (!done()) {
          const auto batch = queue.receive(16, Deadline::in(Milliseconds(20))).value();
          std::vector<FusedEntry> entries;
          for (const auto& got : batch) {
            ASSERT_TRUE(queue.extend(got, Milliseconds(30'000)));
            const auto id = got.body.str();
            entries.push_back({got.receipt, entry_of(set_command(id, {"key" + id, "popular"}, std::to_string(got.stamp)), got.stamp)});
          }
          const auto results = fused->apply_and_settle("q", entries, {}, TimePoint(), Deadline::in(kPatience)).value();
          for (const auto& applied : results.applied) {
            ASSERT_TRUE(applied);
            ++settled;
          }
        }
      });
    }
    threads.emplace_back([&] {
      Position at = 0;
      while (true) {
        const bool last_round = done();
        const auto batch = store.backend()->changes({.cursor = "follower", .after = at, .limit = 10}).value();
        for (const auto& change : batch.changes) followed[change.id] = change.version;
        at = batch.next;
        ASSERT_TRUE(store.backend()->commit_cursor("follower", at));
        if (last_round && batch.at_end) return;
        ASSERT_TRUE(store.backend()->wait_for_changes(at, Deadline::in(Milliseconds(5))));
      }
    });
    threads.emplace_back([&] {
      while (!done()) {
        ASSERT_TRUE(store.backend()->reclaim({.now = TimePoint(), .floor = queue.backend()->oldest_unfinished().value(), .max_steps = 50}));
        ASSERT_TRUE(queue.backend()->maintain({.queue = "q"}));
        ASSERT_TRUE(store.backend()->scan({.cursor = {}, .limit = 5, .with_records = true}));
        ASSERT_TRUE(store.backend()->stats());
        expect_ledger_adds_up(*queue.backend(), "q");
      }
    });
  }
  ASSERT_EQ(settled, kProducers * kEach);
  std::string holder;
  Stamp highest = 0;
  for (const auto& [id, stamp] : newest) {
    const auto record = store.get("key" + id, TimePoint()).value();
    ASSERT_TRUE(record) << id;
    EXPECT_EQ(record->version, stamp) << id;
    EXPECT_EQ(followed[id], stamp) << id;
    if (stamp > highest) holder = id, highest = stamp;
  }
  EXPECT_EQ(store.get("popular", TimePoint()).value()->id, holder);
}

TEST(MemoryConcurrency, queues_may_come_and_go_while_others_use_them) {
  auto db = memory::open().value();
  std::atomic<bool> stop = false;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        Queue queue(db.queues(), "comes-and-goes");
        while (!stop) {
          const auto sent = queue.send(message("m", "g"));
          ASSERT_TRUE(sent || sent.error().code() == ErrorCode::kNotFound);
          const auto got = queue.receive(4, Deadline::in(Milliseconds(1)));
          ASSERT_TRUE(got || got.error().code() == ErrorCode::kNotFound);
        }
      });
    }
    for (int round = 0; round < 200; ++round) {
      ASSERT_TRUE(db.queues()->create({.name = "comes-and-goes", .options = {}}));
      ASSERT_TRUE(db.queues()->list());
      ASSERT_TRUE(db.queues()->remove("comes-and-goes"));
    }
    stop = true;
  }
}

}  // namespace
}  // namespace setget_test
