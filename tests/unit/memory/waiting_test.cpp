// Waits that end because of something else than a message.
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <future>
#include <thread>

#include "support.hpp"

namespace setget_test {
namespace {

// 'R' runs, 'S' sleeps, …: proc(5). '?' before there is such a thread.
char state_of(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(") ");
  return name_end == std::string::npos ? '?' : text.at(name_end + 2);
}

// Runs `wait` on a thread and returns once that sleeps in it: a wait that begins behind what should wake it proves nothing. The test holds
// no lock meanwhile, so there is nothing else to sleep in for long.
template <class Wait>
auto begin(Wait wait) {
  const auto thread = std::make_shared<std::atomic<pid_t>>(0);
  auto result = std::async(std::launch::async, [thread, wait] {
    *thread = ::gettid();
    return wait();
  });
  const auto limit = Deadline::in(kPatience);
  for (int asleep = 0; asleep < 3 && !limit.passed(); std::this_thread::yield()) asleep = state_of(*thread) == 'S' ? asleep + 1 : 0;
  EXPECT_FALSE(limit.passed()) << "the wait has not begun";
  return result;
}

class MemoryWaiting : public ::testing::Test {
 protected:
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  memory::Database db_ = memory::open({.clock = clock_}).value();
  Queue queue_ = db_.queue("q", {.kind = QueueKind::kFifo, .max_receives = 1});
};

TEST_F(MemoryWaiting, a_receive_ends_when_its_queue_is_removed) {
  auto waiting = begin([&] { return queue_.receive(1, Deadline::in(kPatience)); });
  ASSERT_TRUE(db_.queues()->remove("q"));
  const auto received = waiting.get();
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code(), ErrorCode::kNotFound);
}

TEST_F(MemoryWaiting, a_reader_of_changes_is_told_of_what_expired) {
  auto store = db_.key_store();
  ApplyEntry entry;
  entry.command.id = "a";
  entry.command.keys = KeyList({"a"});
  entry.encoded = encode_command(entry.command);
  entry.stamp = stamp_at(clock_->now());
  entry.expires_at = clock_->now() + Milliseconds(1000);
  ASSERT_EQ(store.apply(entry, clock_->now()).value().outcome, Outcome::kApplied);
  ASSERT_TRUE(store.backend()->open_cursor({.name = "c"}));
  const auto end = store.backend()->changes({.cursor = "c"}).value().next;
  const auto began = std::chrono::steady_clock::now();
  auto waiting = begin([&] { return store.backend()->wait_for_changes(end, Deadline::in(kPatience)).value(); });
  clock_->advance(Milliseconds(2000));
  EXPECT_EQ(store.backend()->reclaim({.now = clock_->now()}).value().expired, 1u);
  EXPECT_TRUE(waiting.get());
  EXPECT_LT(std::chrono::steady_clock::now() - began, kPatience / 2) << "it was not told, and looked at the end of its wait";
}

TEST_F(MemoryWaiting, a_find_ends_when_its_queue_is_removed) {
  const auto sent = queue_.send(message("m")).value();
  auto waiting = begin([&] { return db_.queues()->find({.message_id = sent.message_id, .wait = Deadline::in(kPatience)}); });
  ASSERT_TRUE(db_.queues()->remove("q"));
  const auto found = waiting.get();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kNotFound);
}

TEST_F(MemoryWaiting, a_find_ends_when_its_message_becomes_a_dead_letter_at_receive) {
  const auto sent = queue_.send(message("poison")).value();
  ASSERT_EQ(queue_.receive().value().size(), 1u);
  auto waiting =
      begin([&] { return db_.queues()->find({.message_id = sent.message_id, .wait = Deadline::in(kPatience)}).value().outcome; });
  clock_->advance(Milliseconds(30'000));
  EXPECT_TRUE(queue_.receive().value().empty());
  EXPECT_EQ(waiting.get(), Outcome::kDeadLettered);
}

TEST_F(MemoryWaiting, maintenance_that_buries_the_head_of_a_group_wakes_who_waits_for_the_rest) {
  ASSERT_TRUE(db_.queues()->create({.name = "q", .options = {.kind = QueueKind::kFifo, .retention = Milliseconds(1000)}}));
  auto delayed = message("head", "g");
  delayed.delay = Milliseconds(5000);
  ASSERT_TRUE(queue_.send(delayed));
  clock_->advance(Milliseconds(500));
  ASSERT_TRUE(queue_.send(message("rest", "g")));
  auto waiting = begin([&] { return queue_.receive(1, Deadline::in(kPatience)).value(); });
  clock_->advance(Milliseconds(500));
  EXPECT_EQ(db_.queues()->maintain({.queue = "q"}).value(), 1u);
  const auto got = waiting.get();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].body.view(), "rest");
}

TEST_F(MemoryWaiting, every_waiting_find_of_one_message_is_answered) {
  const auto sent = queue_.send(message("m")).value();
  std::vector<std::future<Outcome>> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.push_back(
        begin([&] { return db_.queues()->find({.message_id = sent.message_id, .wait = Deadline::in(kPatience)}).value().outcome; }));
  }
  ASSERT_TRUE(queue_.ack(queue_.receive().value().at(0), Outcome::kStale));
  for (auto& one : waiting) EXPECT_EQ(one.get(), Outcome::kStale);
}

}  // namespace
}  // namespace setget_test
