// The log layout: a body is stored once, from the send to the record, and nothing is left of what is gone.
#include <gtest/gtest.h>

#include <setget/model.hpp>
#include <setget/sqlite.hpp>
#include <setget/testing/clock.hpp>

#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using setget::testing::SimulatedClock;
using sqlite_test::TemporaryFolder;

class SqliteLayout : public ::testing::Test {
 protected:
  void SetUp() override {
    db_.emplace(sqlite::open({.path = folder_.path(), .clock = clock_}).value());
    queue_ = db_->queue("records");
    store_ = db_->key_store();
  }
  static Command command(const std::string& id, const std::string& key, const std::string& payload) {
    Command set;
    set.id = id;
    set.keys = KeyList{key};
    set.payload = payload;
    return set;
  }
  FusedEntry entry_of(const Message& message, std::optional<TimePoint> expires_at = {}) {
    FusedEntry fused;
    fused.receipt = message.receipt;
    fused.entry.command = decode_command(message.body).value();
    fused.entry.encoded = message.body;
    fused.entry.stamp = message.stamp;
    fused.entry.expires_at = expires_at;
    return fused;
  }
  ApplyResult apply(const FusedEntry& entry) {
    auto* fused = store_.backend()->fused_with(*queue_.backend());
    EXPECT_NE(fused, nullptr);
    auto results = fused->apply_and_settle("records", std::span(&entry, 1), {}, clock_->now(), Deadline::in(Milliseconds(30'000))).value();
    return results.applied.at(0).value();
  }
  std::int64_t count(const std::string& table) {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(folder_.path().c_str(), &db), SQLITE_OK);
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db, ("SELECT count(*) FROM " + table).c_str(), -1, &statement, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    const auto rows = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return rows;
  }

  TemporaryFolder folder_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::optional<sqlite::Database> db_;
  Queue queue_;
  KeyStore store_;
};

// The other entries of a batch are done, the message of the one that did not fit is as it was, and its place in the outbox is the next one.
TEST_F(SqliteLayout, a_full_outbox_holds_back_what_makes_history_and_nothing_else) {
  db_.emplace(sqlite::open({.path = folder_.path(), .outbox_states = 2, .clock = clock_}).value());
  queue_ = db_->queue("records");
  store_ = db_->key_store();
  for (const auto* id : {"a", "b", "c", "d"}) queue_.send({.body = encode_command(command(id, id, "payload"))}).value();
  std::vector<FusedEntry> entries;
  for (const auto& message : queue_.receive(4).value()) entries.push_back(entry_of(message));
  ASSERT_EQ(entries.size(), 4u);
  for (const auto i : {0, 1, 2}) entries[static_cast<std::size_t>(i)].entry.history = true;
  auto* fused = store_.backend()->fused_with(*queue_.backend());
  const auto apply_all = [&](std::span<const FusedEntry> some) {
    return fused->apply_and_settle("records", some, {}, clock_->now(), Deadline::in(Milliseconds(30'000))).value().applied;
  };
  const auto applied = apply_all(entries);
  EXPECT_TRUE(applied.at(0));
  EXPECT_TRUE(applied.at(1));
  ASSERT_FALSE(applied.at(2));
  EXPECT_EQ(applied.at(2).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(applied.at(3)) << "it keeps no history";
  EXPECT_FALSE(store_.get("c", clock_->now()).value());
  EXPECT_EQ(queue_.stats().value().in_flight, 1u);
  EXPECT_EQ(count("outbox"), 2);

  const auto waiting = store_.backend()->history({}).value();
  ASSERT_EQ(waiting.states.size(), 2u);
  const OutboxPlace last{.part = 0, .position = waiting.states.back().position};
  ASSERT_TRUE(store_.backend()->confirm_history({&last, 1}));
  EXPECT_EQ(count("outbox"), 0);
  EXPECT_TRUE(apply_all(std::span(entries).subspan(2, 1)).at(0));
  EXPECT_EQ(store_.get("c", clock_->now()).value()->payload.view(), "payload");
  EXPECT_EQ(store_.backend()->history({}).value().states.at(0).position, waiting.states.back().position + 1);
}

TEST_F(SqliteLayout, the_row_of_a_message_becomes_the_row_of_its_record) {
  const auto sent = queue_.send({.body = encode_command(command("a", "k", "payload"))}).value();
  EXPECT_EQ(apply(entry_of(queue_.receive().value().at(0))).outcome, Outcome::kApplied);
  EXPECT_EQ(count("log"), 1);
  EXPECT_EQ(count("log WHERE stamp=" + std::to_string(sent.stamp)), 1);
  EXPECT_EQ(store_.get("k", clock_->now()).value()->payload.view(), "payload");
}

TEST_F(SqliteLayout, a_command_that_the_worker_changed_is_stored_as_changed_in_the_same_row) {
  queue_.send({.body = encode_command(command("a", "k", "before"))}).value();
  auto entry = entry_of(queue_.receive().value().at(0));
  entry.entry.command.payload = Payload("after");
  entry.entry.encoded = encode_command(entry.entry.command);
  EXPECT_EQ(apply(entry).outcome, Outcome::kApplied);
  EXPECT_EQ(count("log"), 1);
  EXPECT_EQ(store_.get("k", clock_->now()).value()->payload.view(), "after");
}

TEST_F(SqliteLayout, a_replaced_version_and_a_stale_message_leave_no_body) {
  for (const auto* payload : {"one", "two"}) queue_.send({.body = encode_command(command("a", "k", payload)), .group = "a"}).value();
  auto messages = queue_.receive().value();
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(apply(entry_of(messages[1])).outcome, Outcome::kApplied);
  EXPECT_EQ(apply(entry_of(messages[0])).outcome, Outcome::kStale);
  EXPECT_EQ(count("log"), 1);
  queue_.send({.body = encode_command(command("a", "k", "three")), .group = "a"}).value();
  EXPECT_EQ(apply(entry_of(queue_.receive().value().at(0))).outcome, Outcome::kApplied);
  EXPECT_EQ(count("log"), 1);
  EXPECT_EQ(store_.get("k", clock_->now()).value()->payload.view(), "three");
}

TEST_F(SqliteLayout, short_lived_records_leave_nothing_behind) {
  for (int i = 0; i < 50; ++i) {
    const auto id = std::to_string(i);
    queue_.send({.body = encode_command(command(id, "k" + id, "payload")), .group = id}).value();
  }
  for (const auto& message : queue_.receive(50).value()) apply(entry_of(message, clock_->now() + Milliseconds(1000)));
  clock_->advance(Milliseconds(2000));
  const auto floor = queue_.backend()->oldest_unfinished().value();
  while (store_.backend()->reclaim({.now = clock_->now(), .floor = floor, .max_steps = 7}).value().steps == 7) {
  }
  for (const auto* table : {"log", "ident", "keys", "expiry", "gc", "change", "lease", "grp", "waiting", "history"}) {
    EXPECT_EQ(count(table), 0) << table;
  }
  const auto stats = store_.backend()->stats().value();
  EXPECT_EQ(stats.records + stats.tombstones + stats.keys + stats.changes, 0U);
}

// Records that expire are noted for forgetting under the stamps that they had, which may be old, and wait for whoever follows the log.
TEST_F(SqliteLayout, what_may_be_forgotten_is_found_behind_much_that_may_not) {
  const auto put = [&](CommandKind kind, const std::string& id, Stamp n, std::optional<TimePoint> expires_at = {}) {
    ApplyEntry made;
    made.command = command(id, "k" + id, "payload");
    made.command.kind = kind;
    if (kind == CommandKind::kErase) made.command.keys = {};
    made.encoded = encode_command(made.command);
    made.stamp = stamp_at(clock_->now()) + n;
    made.expires_at = expires_at;
    ASSERT_EQ(store_.apply(made, clock_->now()).value().outcome, Outcome::kApplied);
  };
  auto& backend = *store_.backend();
  ASSERT_TRUE(backend.open_cursor({.name = "follower"}));
  const auto base = clock_->now();
  constexpr int kExpiring = 6000;
  for (int i = 0; i < kExpiring; ++i) put(CommandKind::kSet, "e" + std::to_string(i), static_cast<Stamp>(i), base + Milliseconds(5000));
  clock_->advance(Milliseconds(10));
  for (int i = 0; i < 10; ++i) put(CommandKind::kErase, "gone" + std::to_string(i), static_cast<Stamp>(i));
  const auto follow = [&] {
    Position last = 0;
    for (bool at_end = false; !at_end;) {
      const auto batch = backend.changes({.cursor = "follower", .after = last, .limit = 5000}).value();
      last = batch.next;
      at_end = batch.at_end;
    }
    ASSERT_TRUE(backend.commit_cursor("follower", last, Deadline::in(Milliseconds(10'000))));
  };
  follow();
  clock_->advance(Milliseconds(10'000));
  put(CommandKind::kSet, "unread", 0);
  const auto floor = stamp_at(clock_->now()) + 1000;
  std::uint64_t expired = 0;
  std::uint64_t forgotten = 0;
  for (int round = 0; round < 40; ++round) {
    const auto done = backend.reclaim({.now = clock_->now(), .floor = floor, .max_steps = 1000}).value();
    expired += done.expired;
    forgotten += done.forgotten;
  }
  EXPECT_EQ(expired, static_cast<std::uint64_t>(kExpiring));
  EXPECT_EQ(forgotten, 10u);
  follow();
  for (int round = 0; round < 40; ++round) {
    forgotten += backend.reclaim({.now = clock_->now(), .floor = floor, .max_steps = 1000}).value().forgotten;
  }
  EXPECT_EQ(count("gc"), 0);
  EXPECT_EQ(count("ident"), 1);
}

// A walk that ends within the keys of one record goes on behind the last of them, whatever their names are.
TEST_F(SqliteLayout, keys_of_erased_records_are_forgotten_in_steps_of_any_size) {
  auto& backend = *store_.backend();
  for (std::size_t steps = 1; steps <= 12; ++steps) {
    constexpr int kRecords = 8;
    for (int i = 0; i < kRecords; ++i) {
      std::vector<std::string> keys;
      for (int k = 0; k < 7; ++k) keys.push_back("\x01 a key that is longer than others/" + std::to_string(k) + "/" + std::to_string(i));
      auto made = command("r" + std::to_string(i), "", "payload");
      made.keys = KeyList(std::span<const std::string>(keys));
      for (const auto kind : {CommandKind::kSet, CommandKind::kErase}) {
        clock_->advance(Milliseconds(1));
        ApplyEntry entry;
        entry.command = made;
        entry.command.kind = kind;
        if (kind == CommandKind::kErase) entry.command.keys = {};
        entry.encoded = encode_command(entry.command);
        entry.stamp = stamp_at(clock_->now());
        ASSERT_EQ(store_.apply(entry, clock_->now()).value().outcome, Outcome::kApplied);
      }
    }
    clock_->advance(Milliseconds(1));
    const auto rows = count("gc");
    EXPECT_EQ(rows, kRecords * 8);
    const Reclaim request{.now = clock_->now(), .floor = stamp_at(clock_->now()), .max_steps = steps};
    std::size_t forgotten = 0;
    for (auto last = steps; last == steps;) {
      const auto done = backend.reclaim(request).value();
      last = done.steps;
      forgotten += done.forgotten;
    }
    EXPECT_EQ(forgotten, static_cast<std::size_t>(rows)) << "in steps of " << steps;
    EXPECT_EQ(count("gc"), 0) << "in steps of " << steps;
  }
}

// What was redriven under a new stamp is asked for by its old name, as long as there is anything to say.
TEST_F(SqliteLayout, the_name_of_a_message_is_known_as_long_as_the_message) {
  QueueOptions options;
  options.retention = Milliseconds(100'000);
  options.outcome_retention = Milliseconds(100'000);
  options.max_receives = 1;
  ASSERT_TRUE(db_->queues()->create({.name = "short", .options = options}));
  auto queue = db_->queue("short");
  const auto sent = queue.send({.body = "a"}).value();
  const auto kill = [&] { queue.dead_letter(queue.receive().value().at(0), {{.code = "no", .message = {}, .pointer = {}}}).value(); };
  const auto find = [&] { return queue.backend()->find({.message_id = sent.message_id}); };
  const auto grow_old = [&] {
    clock_->advance(Milliseconds(250'000));
    ASSERT_TRUE(queue.backend()->maintain({.queue = "short"}));
  };
  kill();
  ASSERT_EQ(queue.backend()->redrive({.queue = "short", .filter = {}, .restamp = true}).value(), 1u);
  kill();
  grow_old();
  ASSERT_TRUE(find());
  EXPECT_EQ(find()->outcome, Outcome::kDeadLettered);
  ASSERT_EQ(queue.backend()->redrive({.queue = "short", .filter = {}}).value(), 1u);
  ASSERT_TRUE(queue.backend()->maintain({.queue = "short"}));
  ASSERT_TRUE(find());
  EXPECT_EQ(find()->outcome, Outcome::kPending);
  queue.ack(queue.receive().value().at(0)).value();
  ASSERT_TRUE(queue.backend()->maintain({.queue = "short"}));
  ASSERT_TRUE(find());
  EXPECT_EQ(find()->outcome, Outcome::kApplied);
  EXPECT_EQ(count("moved"), 1);
  grow_old();
  EXPECT_FALSE(find());
  EXPECT_EQ(count("moved"), 0);
}

TEST_F(SqliteLayout, a_batch_costs_rows_by_the_batch_and_not_by_the_message) {
  std::vector<OutgoingMessage> messages(200);
  for (int i = 0; i < 200; ++i)
    messages[static_cast<std::size_t>(i)].body = encode_command(command(std::to_string(i), "k" + std::to_string(i), "p"));
  for (const auto& sent : queue_.send(messages).value()) sent.value();
  EXPECT_LE(count("state WHERE kind=2"), 1);
  const auto received = queue_.receive(200).value();
  EXPECT_EQ(received.size(), 200U);
  EXPECT_EQ(count("lease"), 1);
  std::vector<FusedEntry> entries;
  for (const auto& message : received) entries.push_back(entry_of(message));
  auto* fused = store_.backend()->fused_with(*queue_.backend());
  fused->apply_and_settle("records", entries, {}, clock_->now(), Deadline::in(Milliseconds(30'000))).value();
  EXPECT_EQ(count("lease"), 0);
  EXPECT_EQ(count("change"), 1);
  EXPECT_LE(count("outcome"), 2);
  EXPECT_EQ(queue_.stats().value().outcomes[static_cast<std::size_t>(Outcome::kApplied)], 200U);
}

TEST_F(SqliteLayout, a_store_in_another_file_than_the_queue_keeps_its_own_copy) {
  auto other = sqlite::open({.path = folder_.path("other.db"), .clock = clock_}).value();
  auto elsewhere = other.key_store();
  EXPECT_EQ(elsewhere.backend()->fused_with(*queue_.backend()), nullptr);
  queue_.send({.body = encode_command(command("a", "k", "payload"))}).value();
  const auto message = queue_.receive().value().at(0);
  EXPECT_EQ(elsewhere.apply(entry_of(message).entry, clock_->now()).value().outcome, Outcome::kApplied);
  queue_.ack(message).value();
  EXPECT_EQ(count("log"), 0);
  const auto record = elsewhere.get("k", clock_->now()).value();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->version, message.stamp);
  EXPECT_EQ(record->stamp, message.stamp);
}

}  // namespace
