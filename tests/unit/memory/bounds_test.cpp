// What keeps a memory database from growing: the limit in bytes, and that what is finished or gone leaves nothing behind.
#include "support.hpp"

namespace setget_test {
namespace {

struct Bounded {
  std::shared_ptr<SimulatedClock> clock = std::make_shared<SimulatedClock>();
  memory::Database db;
  Queue queue;
  explicit Bounded(std::size_t max_bytes)
      : db(memory::open({.clock = clock, .random = std::make_shared<SeededRandom>(1), .max_bytes = max_bytes}).value()),
        queue(db.queue("q", {.kind = QueueKind::kStandard})) {}
};

TEST(MemoryBounds, a_message_beyond_the_limit_is_refused_and_admitted_once_there_is_room) {
  Bounded bounded(100);
  ASSERT_TRUE(bounded.queue.send(message(std::string(60, 'a'))));
  const auto refused = bounded.queue.send(message(std::string(60, 'b')));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(refused.error().retryable());
  EXPECT_EQ(bounded.queue.stats().value().accepted, 1u);
  const auto got = bounded.queue.receive().value();
  ASSERT_TRUE(bounded.queue.ack(got.at(0)));
  EXPECT_TRUE(bounded.queue.send(message(std::string(60, 'b'))));
}

TEST(MemoryBounds, the_refused_entry_of_a_batch_leaves_the_others) {
  Bounded bounded(100);
  const std::vector<OutgoingMessage> batch{message(std::string(60, 'a')), message(std::string(60, 'b')), message(std::string(40, 'c'))};
  const auto sent = bounded.queue.send(batch).value();
  EXPECT_TRUE(sent.at(0));
  EXPECT_FALSE(sent.at(1));
  EXPECT_TRUE(sent.at(2));
}

TEST(MemoryBounds, dead_letters_count_until_they_are_purged) {
  Bounded bounded(100);
  ASSERT_TRUE(bounded.queue.send(message(std::string(60, 'a'))));
  const auto got = bounded.queue.receive().value();
  ASSERT_TRUE(bounded.queue.dead_letter(got.at(0), {{.code = "bad", .message = {}, .pointer = {}}}));
  EXPECT_FALSE(bounded.queue.send(message(std::string(60, 'b'))));
  EXPECT_EQ(bounded.queue.backend()->purge({.queue = "q", .filter = {}}).value(), 1u);
  EXPECT_TRUE(bounded.queue.send(message(std::string(60, 'b'))));
}

TEST(MemoryBounds, a_removed_queue_gives_its_bytes_back) {
  Bounded bounded(100);
  ASSERT_TRUE(bounded.queue.send(message(std::string(90, 'a'))));
  auto other = bounded.db.queue("other");
  EXPECT_FALSE(other.send(message(std::string(90, 'b')))) << "the limit is that of the database";
  ASSERT_TRUE(bounded.queue.backend()->remove("q"));
  EXPECT_TRUE(other.send(message(std::string(90, 'b'))));
}

TEST(MemoryBounds, attributes_count_too) {
  Bounded bounded(100);
  auto with_attribute = message(std::string(50, 'a'));
  with_attribute.attributes["name"] = {.type = AttributeValue::Type::kBinary, .data = std::string(50, 'b')};
  EXPECT_FALSE(bounded.queue.send(with_attribute));
}

TEST(MemoryBounds, maintenance_forgets_outcomes_and_deduplication_ids) {
  Bounded bounded(0);
  ASSERT_TRUE(bounded.queue.backend()->create(
      {.name = "q",
       .options = {.kind = QueueKind::kStandard, .dedup_window = Milliseconds(1000), .outcome_retention = Milliseconds(1000)}}));
  auto deduplicated = message("x");
  deduplicated.dedup_id = "once";
  const auto sent = bounded.queue.send(deduplicated).value();
  ASSERT_TRUE(bounded.queue.ack(bounded.queue.receive().value().at(0)));
  auto& queues = *bounded.queue.backend();
  EXPECT_EQ(queues.maintain({.queue = "q"}).value(), 0u);
  bounded.clock->advance(Milliseconds(1000));
  EXPECT_EQ(queues.maintain({.queue = "q", .max_steps = 1}).value(), 1u) << "never more than asked";
  EXPECT_EQ(queues.maintain({.queue = "q"}).value(), 1u);
  EXPECT_EQ(queues.maintain({.queue = "q"}).value(), 0u);
  const auto forgotten = queues.find({.message_id = sent.message_id});
  ASSERT_FALSE(forgotten);
  EXPECT_EQ(forgotten.error().code(), ErrorCode::kNotFound);
}

TEST(MemoryBounds, the_change_log_has_one_entry_for_a_record_however_often_it_changes) {
  Bounded bounded(0);
  auto store = bounded.db.key_store();
  ASSERT_TRUE(store.backend()->open_cursor({.name = "slow"}));
  for (Stamp stamp = 1; stamp <= 1000; ++stamp) {
    ASSERT_TRUE(store.apply(entry_of(set_command("a", {"k"}, std::to_string(stamp)), stamp), bounded.clock->now()));
  }
  EXPECT_EQ(store.backend()->stats().value().changes, 1u);
}

TEST(MemoryBounds, short_lived_records_leave_nothing_behind) {
  Bounded bounded(0);
  auto store = bounded.db.key_store();
  const auto soon = bounded.clock->now() + Milliseconds(1000);
  for (Stamp stamp = 1; stamp <= 500; ++stamp) {
    const auto name = std::to_string(stamp);
    // Distinct keys, and one that all of them claim: each supersedes nothing but silences the one before.
    ASSERT_TRUE(store.apply(entry_of(set_command("id" + name, {"key" + name, "popular"}), stamp, soon), bounded.clock->now()));
  }
  EXPECT_EQ(store.backend()->stats().value().keys, 501u);
  bounded.clock->advance(Milliseconds(1000));
  std::size_t steps = 0;
  do {
    steps = store.backend()->reclaim({.now = bounded.clock->now(), .floor = 1'000'000, .max_steps = 100}).value().steps;
  } while (steps == 100);
  const auto stats = store.backend()->stats().value();
  EXPECT_EQ(stats.records, 0u);
  EXPECT_EQ(stats.tombstones, 0u);
  EXPECT_EQ(stats.keys, 0u);
  EXPECT_EQ(stats.changes, 0u);
  EXPECT_EQ(stats.bytes, 0u);
}

TEST(MemoryBounds, a_key_that_somebody_still_lists_is_remembered_below_the_floor) {
  Bounded bounded(0);
  auto store = bounded.db.key_store();
  const auto now = bounded.clock->now();
  ASSERT_TRUE(store.apply(entry_of(set_command("first", {"k", "own"}), 10), now));
  ASSERT_TRUE(store.apply(entry_of(set_command("second", {"k"}), 20, now + Milliseconds(10)), now));
  bounded.clock->advance(Milliseconds(10));
  ASSERT_TRUE(store.backend()->reclaim({.now = bounded.clock->now(), .floor = 1000}));
  const std::string_view key = "k";
  const auto lookup = store.backend()->get({.ns = {}, .keys = std::span(&key, 1), .now = bounded.clock->now()}).value().at(0);
  EXPECT_EQ(lookup.status, Lookup::Status::kGone) << "there is no falling back, and an archive must not answer with the first record";
}

}  // namespace
}  // namespace setget_test
