// What belongs to the database as a whole: shared ownership, atomic steps, apply and ack in one.
#include "support.hpp"

namespace setget_test {
namespace {

class MemoryDatabase : public ::testing::Test {
 protected:
  std::optional<Record> get(std::string_view key) { return db_.key_store().get(key, clock_->now()).value(); }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  memory::Database db_ = memory::open({.clock = clock_, .random = std::make_shared<SeededRandom>(7)}).value();
};

TEST_F(MemoryDatabase, opening_a_queue_again_keeps_its_options) {
  db_.queue("q", {.max_receives = 3});
  auto again = db_.queue("q");
  EXPECT_EQ(again.backend()->list().value().at(0).options.max_receives, 3u);
}

TEST_F(MemoryDatabase, a_queue_that_cannot_be_made_says_so_at_its_first_verb) {
  auto bad = db_.queue("no spaces allowed");
  const auto stats = bad.stats();
  ASSERT_FALSE(stats);
  EXPECT_EQ(stats.error().code(), ErrorCode::kNotFound);
}

// The floor that is asked for may come from a queue elsewhere.
TEST_F(MemoryDatabase, the_floor_stays_below_what_waits_in_its_own_queues) {
  auto store = db_.key_store();
  auto first = db_.queue("first");
  auto second = db_.queue("second");
  const auto body = entry_of(set_command("a", {"k"}), 1).encoded;
  const auto waits = second.send({.body = body}).value().stamp;
  const auto elsewhere = stamp_at(clock_->now() + std::chrono::hours(1));
  const auto floor = [&] {
    EXPECT_TRUE(store.backend()->reclaim({.now = clock_->now(), .floor = elsewhere}));
    return store.backend()->stats().value().floor;
  };
  EXPECT_EQ(floor(), waits);
  const auto held = second.receive(1).value();
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(floor(), waits);
  EXPECT_EQ(store.apply(entry_of(set_command("a", {"k"}), waits), clock_->now()).value().outcome, Outcome::kApplied);
  ASSERT_TRUE(second.ack(held.front()));
  EXPECT_EQ(floor(), elsewhere);
}

TEST(MemoryDatabaseLife, what_it_hands_out_outlives_it) {
  Queue queue;
  KeyStore store;
  std::shared_ptr<ArchiveBackend> archive;
  {
    auto db = memory::open().value();
    queue = db.queue();
    store = db.key_store();
    archive = db.archive();
  }
  EXPECT_TRUE(queue.send(message("m")));
  EXPECT_TRUE(store.apply(entry_of(set_command("a", {"k"}), 1), TimePoint()));
  EXPECT_EQ(store.get("k", TimePoint()).value()->id, "a");
  EXPECT_EQ(archive->stats().value().records, 0u);
}

TEST(MemoryDatabaseLife, every_database_has_an_identity_of_its_own) {
  const auto one = memory::open().value().key_store().backend()->identity().value();
  const auto two = memory::open().value().key_store().backend()->identity().value();
  EXPECT_NE(one.uuid, two.uuid);
  EXPECT_EQ(one.uuid.size(), 36u);
}

// The model decodes the command of a record that a new one disturbs. If that one is damaged, the step has already written much.
TEST_F(MemoryDatabase, a_step_that_fails_half_way_leaves_everything_as_it_was) {
  auto store = db_.key_store();
  ASSERT_TRUE(store.backend()->open_cursor({.name = "c"}));
  auto damaged = entry_of(set_command("damaged", {"k", "other"}), 10);
  damaged.encoded = Payload(std::string(3, '\0'));
  ASSERT_TRUE(store.apply(damaged, clock_->now()));
  const auto before = store.backend()->stats().value();
  const auto log_before = store.backend()->changes({.cursor = "c", .limit = 1}).has_value();

  const auto applied = store.apply(entry_of(set_command("intruder", {"fresh", "k"}), 20), clock_->now());
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code(), ErrorCode::kCorrupted);

  const auto after = store.backend()->stats().value();
  EXPECT_EQ(after.records, before.records);
  EXPECT_EQ(after.tombstones, before.tombstones);
  EXPECT_EQ(after.changes, before.changes);
  EXPECT_EQ(store.backend()->changes({.cursor = "c", .limit = 1}).has_value(), log_before);
  EXPECT_FALSE(store.get_by_id("intruder", clock_->now()).value());
  const std::string_view fresh = "fresh";
  EXPECT_EQ(store.backend()->get({.ns = {}, .keys = std::span(&fresh, 1), .now = clock_->now()}).value().at(0).status,
            Lookup::Status::kUnknown);
}

TEST_F(MemoryDatabase, fuses_only_with_its_own_queues) {
  auto store = db_.key_store();
  auto other = memory::open().value();
  EXPECT_NE(store.backend()->fused_with(*db_.queues()), nullptr);
  EXPECT_EQ(store.backend()->fused_with(*other.queues()), nullptr);
}

TEST_F(MemoryDatabase, apply_and_ack_are_one_step_and_a_lost_lease_does_neither) {
  auto queue = db_.queue("q", {.kind = QueueKind::kStandard, .visibility_timeout = Milliseconds(1000)});
  auto store = db_.key_store();
  auto* fused = store.backend()->fused_with(*queue.backend());
  const auto kept = queue.send(message("kept")).value();
  const auto lost = queue.send(message("lost")).value();
  const auto conflicting = queue.send(message("conflicting")).value();
  const auto got = queue.receive().value();
  ASSERT_EQ(got.size(), 3u);
  ASSERT_TRUE(queue.release(got[1]));

  auto first = set_command("a", {"k"}, "one");
  auto second = set_command("a", {"k"}, "two");
  first.version = second.version = 1;
  const std::vector<FusedEntry> entries{{got[0].receipt, entry_of(first, got[0].stamp)},
                                        {got[1].receipt, entry_of(set_command("b", {"l"}), got[1].stamp)},
                                        {got[2].receipt, entry_of(second, got[2].stamp)}};
  const auto results = fused->apply_and_settle("q", entries, {}, clock_->now(), Deadline::in(kPatience)).value();
  ASSERT_TRUE(results.applied.at(0));
  EXPECT_EQ(results.applied[0]->outcome, Outcome::kApplied);
  ASSERT_FALSE(results.applied.at(1));
  EXPECT_EQ(results.applied[1].error().code(), ErrorCode::kLeaseLost);
  ASSERT_TRUE(results.applied.at(2));
  EXPECT_EQ(results.applied[2]->outcome, Outcome::kDeadLettered);

  EXPECT_EQ(get("k")->payload.view(), "one");
  EXPECT_FALSE(get("l")) << "its lease was lost";
  EXPECT_EQ(queue.backend()->find({.message_id = kept.message_id})->outcome, Outcome::kApplied);
  EXPECT_EQ(queue.backend()->find({.message_id = lost.message_id})->outcome, Outcome::kPending);
  const auto dead = queue.backend()->find({.message_id = conflicting.message_id}).value();
  EXPECT_EQ(dead.outcome, Outcome::kDeadLettered);
  EXPECT_EQ(dead.reasons.at(0).code, "version_conflict");
  expect_ledger_adds_up(*queue.backend(), "q");
}

TEST_F(MemoryDatabase, an_evicted_record_that_a_cursor_has_not_seen_shows_as_a_tombstone) {
  auto store = db_.key_store();
  ASSERT_TRUE(store.backend()->open_cursor({.name = "c"}));
  ASSERT_TRUE(store.apply(entry_of(set_command("a", {"k"}), 1, clock_->now() + Milliseconds(10)), clock_->now()));
  clock_->advance(Milliseconds(10));
  ASSERT_TRUE(store.backend()->reclaim({.now = clock_->now(), .floor = 1000}));
  const auto batch = store.backend()->changes({.cursor = "c"}).value();
  ASSERT_EQ(batch.changes.size(), 1u);
  EXPECT_EQ(batch.changes[0].kind, ChangeKind::kTombstone);
  EXPECT_EQ(batch.changes[0].reason, TombstoneReason::kExpired);
}

}  // namespace
}  // namespace setget_test
