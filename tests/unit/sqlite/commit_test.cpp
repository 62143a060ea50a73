// Group commit: callers share syncs, and the errors of the file reach everybody without leaving anything half done.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include <setget/sqlite.hpp>

#include "unit/sqlite/raw_file.hpp"
#include "unit/sqlite/watched_vfs.hpp"

namespace {

using namespace setget;
using sqlite_test::TemporaryFolder;
using sqlite_test::watch;

class SqliteCommit : public ::testing::Test {
 protected:
  void SetUp() override { reset(); }
  void TearDown() override { reset(); }
  static void reset() {
    watch().wal_syncs = 0;
    watch().disk_full = false;
    watch().before_wal_sync = nullptr;
  }
  sqlite::Database open() { return sqlite::open({.path = folder_.path(), .vfs = sqlite_test::watched_vfs()}).value(); }
  TemporaryFolder folder_;
};

TEST_F(SqliteCommit, concurrent_callers_share_one_sync) {
  constexpr int kThreads = 12;
  constexpr int kSendsEach = 40;
  std::atomic<int> inside{0};
  std::atomic<int> running{kThreads};
  std::atomic<bool> measuring{false};
  // A sync ends when most of the callers that still run have come to the door, as a slow disk would have it.
  watch().before_wal_sync = [&] {
    while (measuring && inside.load() < running.load() / 2) std::this_thread::yield();
  };
  auto db = open();
  auto queue = db.queue("records");
  const int before = watch().wal_syncs;
  measuring = true;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kSendsEach; ++i) {
        ++inside;
        EXPECT_TRUE(queue.send({.body = "body"}));
        --inside;
      }
      --running;
    });
  }
  for (auto& thread : threads) thread.join();
  measuring = false;
  EXPECT_LE(watch().wal_syncs - before, kThreads * kSendsEach / 2);
  EXPECT_EQ(queue.stats().value().depth, static_cast<std::uint64_t>(kThreads * kSendsEach));
}

// Whoever takes the lead carries out what waits in front of it first: with small commits that is not its own operation.
TEST_F(SqliteCommit, everybody_gets_an_answer_when_more_wait_than_one_commit_takes) {
  auto db = sqlite::open({.path = folder_.path(), .max_batch = 2, .vfs = sqlite_test::watched_vfs()}).value();
  auto queue = db.queue("records");
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) EXPECT_TRUE(queue.send({.body = "body"}));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(queue.stats().value().depth, 16U * 50U);
}

TEST_F(SqliteCommit, a_lone_send_costs_one_sync) {
  auto db = open();
  auto queue = db.queue("records");
  queue.send({.body = "first"}).value();  // the WAL's own header is synced once
  const int before = watch().wal_syncs;
  queue.send({.body = "second"}).value();
  EXPECT_EQ(watch().wal_syncs - before, 1);
}

TEST_F(SqliteCommit, a_full_disk_is_told_to_the_caller_and_leaves_nothing_behind) {
  auto db = open();
  auto queue = db.queue("records");
  queue.send({.body = "kept"}).value();
  watch().disk_full = true;
  const auto refused = queue.send({.body = "refused"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kOutOfSpace);
  EXPECT_TRUE(refused.error().retryable());
  watch().disk_full = false;
  queue.send({.body = "later"}).value();
  const auto stats = queue.stats().value();
  EXPECT_EQ(stats.accepted, 2U);
  EXPECT_EQ(stats.depth, 2U);
}

TEST_F(SqliteCommit, one_operation_that_fails_late_leaves_the_others_of_its_commit_alone) {
  auto db = open();
  auto queue = db.queue("records");
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        if (t % 2 == 0) {
          EXPECT_TRUE(queue.send({.body = "body"}));
        } else {
          EXPECT_FALSE(db.queues()->send({.queue = "nowhere", .messages = {}}));
          EXPECT_FALSE(queue.ack({.receipt = "1-2-3"}));
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(queue.stats().value().depth, 200U);
}

TEST_F(SqliteCommit, nothing_waits_for_ever_behind_a_held_sync) {
  std::atomic<bool> held{false};
  std::atomic<bool> open_gate{true};
  watch().before_wal_sync = [&] {
    while (!open_gate) {
      held = true;
      std::this_thread::yield();
    }
  };
  auto db = open();
  auto queue = db.queue("records");
  open_gate = false;
  std::thread first([&] { EXPECT_TRUE(queue.send({.body = "first"})); });
  while (!held) std::this_thread::yield();
  // The writer is stuck in its sync: whoever comes later is answered at the deadline, and his message is not sent.
  const auto late = queue.send({.body = "second"}, Deadline::in(Milliseconds(10)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), ErrorCode::kDeadlineExceeded);
  open_gate = true;
  first.join();
  EXPECT_EQ(queue.stats().value().accepted, 1U);
}

}  // namespace
