// One damaged row is one message's or one record's trouble: its neighbours come through, and housekeeping and followers pass it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <setget/archiver.hpp>
#include <setget/memory.hpp>
#include <setget/model.hpp>
#include <setget/sqlite.hpp>
#include <setget/testing/clock.hpp>

#include "unit/sqlite/raw_file.hpp"
#include "unit/sqlite/watched_vfs.hpp"

namespace {

using namespace setget;
using setget::testing::SimulatedClock;
using sqlite_test::ask_sql;
using sqlite_test::run_sql;
using sqlite_test::TemporaryFolder;

class CountingLogger final : public Logger {
 public:
  bool enabled(LogLevel) const noexcept override { return true; }
  void log(LogLevel, std::string_view message, std::initializer_list<LogField>) noexcept override {
    const std::lock_guard lock(mutex_);
    ++lines_[std::string(message)];
  }
  // Lines that contain the words.
  int count(std::string_view words) const {
    const std::lock_guard lock(mutex_);
    int total = 0;
    for (const auto& [line, times] : lines_) total += line.find(words) != std::string::npos ? times : 0;
    return total;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int> lines_;
};

class SqliteDamagedRow : public ::testing::Test {
 protected:
  void SetUp() override {
    sqlite_test::watch().before_wal_sync = nullptr;
    db_.emplace(sqlite::open({.path = folder_.path(), .vfs = sqlite_test::watched_vfs(), .clock = clock_, .logger = logger_}).value());
    queue_ = db_->queue("records");
    store_ = db_->key_store();
  }
  void TearDown() override { sqlite_test::watch().before_wal_sync = nullptr; }

  // As a bad disk does it: the bytes are others, and their checksum does not say so.
  void damage_message(Stamp stamp) const {
    run_sql(folder_.path(), "UPDATE log SET body = CAST('rubbish' AS BLOB) WHERE stamp = " + std::to_string(stamp));
  }
  // Only the payload, or everything so that the record does not even name itself.
  void damage_record(const std::string& payload, bool all) const {
    const auto changed = all ? std::string("CAST('rubbish' AS BLOB)")
                             : "CAST(replace(body, '" + payload + "', 'x' || substr('" + payload + "', 2)) AS BLOB)";
    run_sql(folder_.path(), "UPDATE log SET body = " + changed + " WHERE instr(body, CAST('" + payload + "' AS BLOB)) > 0");
  }

  static ApplyEntry entry(CommandKind kind, const std::string& id, std::vector<std::string> keys, const std::string& payload, Stamp stamp) {
    ApplyEntry made;
    made.command.kind = kind;
    made.command.id = id;
    made.command.keys = KeyList(std::span<const std::string>(keys));
    made.command.payload = Payload(payload);
    made.encoded = encode_command(made.command);
    made.stamp = stamp;
    return made;
  }
  Stamp stamp(std::uint64_t n) const { return stamp_at(clock_->now()) + n; }
  void set(const std::string& id, const std::string& key, const std::string& payload, std::uint64_t n,
           std::optional<Milliseconds> life = {}) {
    auto made = entry(CommandKind::kSet, id, {key}, payload, stamp(n));
    if (life) made.expires_at = clock_->now() + *life;
    ASSERT_EQ(store_.apply(made, clock_->now()).value().outcome, Outcome::kApplied);
  }
  Result<Reclaimed> reclaim() { return store_.backend()->reclaim({.now = clock_->now(), .floor = stamp(0)}); }
  std::vector<DeadLetter> letters() {
    return queue_.backend()->dead_letters({.queue = "records", .filter = {}, .cursor = {}}).value().letters;
  }

  TemporaryFolder folder_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<CountingLogger> logger_ = std::make_shared<CountingLogger>();
  std::optional<sqlite::Database> db_;
  Queue queue_;
  KeyStore store_;
};

TEST_F(SqliteDamagedRow, of_a_message_is_buried_and_the_others_are_received) {
  queue_.send({.body = "a"}).value();
  const auto bad = queue_.send({.body = "b", .group = "g"}).value();
  queue_.send({.body = "c", .group = "g"}).value();
  queue_.send({.body = "d"}).value();
  damage_message(bad.stamp);
  std::vector<std::string> bodies;
  for (const auto& message : queue_.receive().value()) {
    bodies.push_back(message.body.str());
    queue_.ack(message).value();
  }
  EXPECT_EQ(bodies, (std::vector<std::string>{"a", "c", "d"}));
  const auto dead = letters();
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_EQ(dead[0].stamp, bad.stamp);
  EXPECT_TRUE(dead[0].body.empty());
  ASSERT_EQ(dead[0].reasons.size(), 1u);
  EXPECT_EQ(dead[0].reasons[0].code, "corrupted");
  EXPECT_EQ(logger_->count("damaged"), 1);
  queue_.send({.body = "e", .group = "g"}).value();
  EXPECT_EQ(queue_.receive().value().size(), 1u) << "its group goes on";
  const auto stats = queue_.stats().value();
  EXPECT_EQ(stats.accepted, 5u);
  EXPECT_EQ(stats.in_flight, 1u);
  EXPECT_EQ(stats.dead_letters, 1u);
  EXPECT_EQ(queue_.backend()->purge({.queue = "records", .filter = {}}).value(), 1u);
}

TEST_F(SqliteDamagedRow, of_a_message_does_not_hide_what_comes_behind_it) {
  const auto bad = queue_.send({.body = "a"}).value();
  const auto lost = queue_.send({.body = "b"}).value();
  queue_.send({.body = "c"}).value();
  damage_message(bad.stamp);
  run_sql(folder_.path(), "UPDATE log SET attrs = x'ff' WHERE stamp = " + std::to_string(lost.stamp));
  const auto received = queue_.receive(1).value();
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].body.view(), "c");
  EXPECT_EQ(letters().size(), 2u);
}

TEST_F(SqliteDamagedRow, of_a_dead_letter_is_listed_found_and_redriven_like_others) {
  const auto sent = queue_.send({.body = "a"}).value();
  queue_.dead_letter(queue_.receive().value().at(0), {{.code = "invalid", .message = {}, .pointer = {}}}).value();
  queue_.send({.body = "b"}).value();
  queue_.dead_letter(queue_.receive().value().at(0), {{.code = "invalid", .message = {}, .pointer = {}}}).value();
  damage_message(sent.stamp);
  const auto dead = letters();
  ASSERT_EQ(dead.size(), 2u);
  EXPECT_TRUE(dead[0].body.empty());
  ASSERT_EQ(dead[0].reasons.size(), 2u);
  EXPECT_EQ(dead[0].reasons[1].code, "corrupted");
  EXPECT_EQ(dead[1].body.view(), "b");
  const auto status = queue_.backend()->find({.message_id = sent.message_id}).value();
  EXPECT_EQ(status.outcome, Outcome::kDeadLettered);
  EXPECT_FALSE(status.body);
  EXPECT_EQ(queue_.backend()->redrive({.queue = "records", .filter = {}}).value(), 2u);
  EXPECT_EQ(queue_.receive().value().size(), 1u);
  EXPECT_EQ(letters().size(), 1u);
}

TEST_F(SqliteDamagedRow, of_a_message_is_shown_to_those_who_only_look) {
  const auto sent = queue_.send({.body = "a", .group = "g"}).value();
  queue_.send({.body = "b"}).value();
  damage_message(sent.stamp);
  const auto seen = queue_.backend()->peek({.queue = "records"}).value();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_TRUE(seen[0].damaged);
  EXPECT_TRUE(seen[0].body.empty());
  EXPECT_FALSE(seen[1].damaged);
  EXPECT_EQ(seen[1].body.view(), "b");
}

// The lost row has no name of a group any more.
TEST_F(SqliteDamagedRow, that_is_lost_in_a_group_stops_neither_the_queue_nor_the_group) {
  const auto first = queue_.send({.body = "a", .group = "g"}).value();
  ASSERT_EQ(queue_.receive().value().size(), 1u);
  queue_.send({.body = "b", .group = "g"}).value();
  run_sql(folder_.path(), "DELETE FROM log WHERE stamp = " + std::to_string(first.stamp));
  clock_->advance(Milliseconds(31'000));
  queue_.send({.body = "other"}).value();
  const auto others = queue_.receive().value();
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].body.view(), "other");
  ASSERT_TRUE(queue_.backend()->maintain({.queue = "records"}));
  const auto rest = queue_.receive().value();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].body.view(), "b");
  EXPECT_EQ(letters().size(), 1u);
}

TEST_F(SqliteDamagedRow, that_is_lost_while_it_waits_for_its_group_stops_neither_the_queue_nor_the_group) {
  queue_.send({.body = "a", .group = "g"}).value();
  const auto lost = queue_.send({.body = "b", .group = "g"}).value();
  queue_.send({.body = "c", .group = "g"}).value();
  queue_.send({.body = "other"}).value();
  run_sql(folder_.path(), "DELETE FROM log WHERE stamp = " + std::to_string(lost.stamp));
  std::vector<std::string> bodies;
  for (int round = 0; round < 3; ++round) {
    for (const auto& message : queue_.receive(10).value()) {
      bodies.push_back(message.body.str());
      queue_.ack(message).value();
    }
  }
  EXPECT_EQ(bodies, (std::vector<std::string>{"a", "c", "other"}));
  ASSERT_EQ(letters().size(), 1u);
  EXPECT_EQ(letters()[0].stamp, lost.stamp);
  EXPECT_EQ(letters()[0].reasons.at(0).code, "corrupted");
  const auto stats = queue_.stats().value();
  EXPECT_EQ(stats.depth + stats.in_flight + stats.delayed, 0u);
  queue_.send({.body = "d", .group = "g"}).value();
  EXPECT_EQ(queue_.receive().value().size(), 1u) << "its group goes on";
}

// What has no body any more can be listed and purged, and holds up no other letter.
TEST_F(SqliteDamagedRow, that_is_lost_stays_a_dead_letter) {
  auto standard = Queue::open(db_->queues(), "standard", {.kind = QueueKind::kStandard}).value();
  for (auto* queue : {&queue_, &standard}) {
    for (const bool restamp : {false, true}) {
      Stamp lost = 0;
      for (const auto* body : {"a", "b"}) {
        queue->send({.body = body, .group = queue == &queue_ ? "g" : ""}).value();
        auto message = queue->receive().value().at(0);
        if (lost == 0) lost = message.stamp;
        queue->dead_letter(message, {{.code = "no", .message = {}, .pointer = {}}}).value();
      }
      run_sql(folder_.path(), "DELETE FROM log WHERE stamp = " + std::to_string(lost));
      auto& backend = *queue->backend();
      const auto name = queue->name();
      EXPECT_EQ(backend.redrive({.queue = name, .filter = {}, .limit = 1, .restamp = restamp}).value(), 1u);
      EXPECT_EQ(backend.redrive({.queue = name, .filter = {}, .restamp = restamp}).value(), 0u);
      const auto messages = queue->receive(10).value();
      ASSERT_EQ(messages.size(), 1u);
      EXPECT_EQ(messages[0].body.view(), "b");
      queue->ack(messages[0]).value();
      const auto left = backend.dead_letters({.queue = name}).value().letters;
      ASSERT_EQ(left.size(), 1u);
      EXPECT_EQ(left[0].stamp, lost);
      const auto stats = queue->stats().value();
      EXPECT_EQ(stats.depth + stats.in_flight + stats.delayed, 0u);
      EXPECT_EQ(backend.purge({.queue = name, .filter = {}}).value(), 1u);
    }
  }
}

// The state of one is lost, and told; those behind it must not wait, for the outbox is bounded.
TEST_F(SqliteDamagedRow, of_the_outbox_holds_up_no_other_state) {
  const auto put = [&](const std::string& id, std::uint64_t n) {
    auto made = entry(CommandKind::kSet, id, {"k/" + id}, "payload-" + id, stamp(n));
    made.history = true;
    ASSERT_EQ(store_.apply(made, clock_->now()).value().outcome, Outcome::kApplied);
  };
  const auto damage = [&](int state, const std::string& how) {
    run_sql(folder_.path(),
            "UPDATE outbox SET " + how + " WHERE position = (SELECT min(position) + " + std::to_string(state) + " FROM outbox)");
  };
  const auto* ids = "abcd";
  for (std::uint64_t i = 0; i < 4; ++i) put(std::string(1, ids[i]), i + 1);
  damage(0, "body = CAST(replace(body, 'payload-a', 'qayload-a') AS BLOB)");
  damage(1, "entry = x'ff'");
  damage(2, "body = CAST('rubbish' AS BLOB)");
  Position last = 0;
  for (int i = 0; i < 2; ++i) {
    const auto batch = store_.backend()->history({}).value();
    ASSERT_EQ(batch.states.size(), 3u);
    EXPECT_TRUE(batch.at_end);
    EXPECT_EQ(batch.states[0].kind, HistoryState::Kind::kNotKept);
    EXPECT_EQ(batch.states[0].id, "a");
    EXPECT_TRUE(batch.states[0].record->keys.contains("k/a")) << "what can still be told";
    EXPECT_TRUE(batch.states[0].record->payload.empty());
    EXPECT_EQ(batch.states[1].kind, HistoryState::Kind::kNotKept);
    EXPECT_EQ(batch.states[1].id, "c");
    EXPECT_TRUE(batch.states[1].record->keys.empty());
    EXPECT_EQ(batch.states[2].record->payload.view(), "payload-d");
    last = batch.states[2].position;
  }
  EXPECT_EQ(logger_->count("history is damaged"), 3) << "each once";
  EXPECT_EQ(store_.backend()->history({.after = 0, .limit = 1}).value().states.at(0).id, "a");
  damage(1, "entry = x'03'");
  EXPECT_EQ(store_.backend()->history({}).error().code(), ErrorCode::kUnsupported) << "what a later version wrote is not lost";
  ASSERT_TRUE(store_.backend()->confirm_history(std::array{OutboxPlace{.part = 0, .position = last}}));
  EXPECT_EQ(store_.backend()->stats().value().outbox, 0u);
}

// Not its record alone: when it was, which version, what became of it. Whatever byte is another one, nobody is told what was not.
TEST_F(SqliteDamagedRow, of_the_outbox_is_noticed_at_each_byte) {
  auto made = entry(CommandKind::kSet, "a", {"k/a"}, "payload", stamp(1));
  made.history = true;
  ASSERT_EQ(store_.apply(made, clock_->now()).value().outcome, Outcome::kApplied);
  const auto whole = store_.backend()->history({}).value();
  ASSERT_EQ(whole.states.size(), 1u);
  run_sql(folder_.path(), "CREATE TABLE kept AS SELECT entry FROM outbox");
  const auto size = static_cast<std::size_t>(std::stoul(ask_sql(folder_.path(), "SELECT LENGTH(entry) FROM outbox")));
  ASSERT_GT(size, 20u);
  for (std::size_t i = 1; i < size; ++i) {  // the first says how it is written
    const auto place = std::to_string(i + 1);
    for (const auto* other : {"'00'", "'01'", "'7f'", "'80'", "'ff'"}) {
      run_sql(folder_.path(), "UPDATE outbox SET entry = (SELECT CAST(substr(entry, 1, " + std::to_string(i) + ") || x" + other +
                                  " || substr(entry, " + std::to_string(i + 2) + ") AS BLOB) FROM kept)");
      if (ask_sql(folder_.path(), "SELECT entry = (SELECT entry FROM kept) FROM outbox") == "1") continue;
      const auto batch = store_.backend()->history({});
      ASSERT_TRUE(batch) << batch.error().describe();
      EXPECT_TRUE(batch->states.empty()) << "byte " << place << " is " << other;
    }
  }
  run_sql(folder_.path(), "UPDATE outbox SET entry = (SELECT entry FROM kept)");
  EXPECT_EQ(store_.backend()->history({}).value().states.size(), 1u);
}

// What was written before entries had a checksum is read as it was.
TEST_F(SqliteDamagedRow, of_the_outbox_is_not_one_that_has_no_checksum) {
  auto made = entry(CommandKind::kSet, "a", {"k/a"}, "payload", stamp(1));
  made.history = true;
  ASSERT_EQ(store_.apply(made, clock_->now()).value().outcome, Outcome::kApplied);
  const auto size = std::stoul(ask_sql(folder_.path(), "SELECT LENGTH(entry) FROM outbox"));
  // A checksum is the last, and seven bits of it stand in each byte: all but the last of these have the eighth.
  std::size_t sum = 1;
  while (std::stoul(ask_sql(folder_.path(), "SELECT hex(substr(entry, " + std::to_string(size - sum) + ", 1)) FROM outbox"), nullptr, 16) >=
         128)
    ++sum;
  run_sql(folder_.path(), "UPDATE outbox SET entry = CAST(x'01' || substr(entry, 2, " + std::to_string(size - 1 - sum) + ") AS BLOB)");
  const auto batch = store_.backend()->history({}).value();
  ASSERT_EQ(batch.states.size(), 1u);
  EXPECT_EQ(batch.states[0].record->payload.view(), "payload");
  // A name that does not say where its namespace ends holds up no other.
  run_sql(folder_.path(),
          "UPDATE outbox SET entry = CAST(substr(entry, 1, instr(entry, x'1f61') - 1) || x'2e' || substr(entry, instr(entry, x'1f61') + 1) "
          "AS BLOB)");
  const auto nameless = store_.backend()->history({});
  ASSERT_TRUE(nameless) << nameless.error().describe();
  EXPECT_TRUE(nameless->states.empty() && nameless->at_end);
}

TEST_F(SqliteDamagedRow, of_a_record_does_not_stop_reclaiming) {
  for (const bool all : {true, false}) {
    set("bad", "k/bad", "payload-bad", 1, Milliseconds(1000));
    set("good", "k/good", "payload-good", 2, Milliseconds(2000));
    damage_record("payload-bad", all);
    clock_->advance(Milliseconds(5000));
    const auto done = reclaim();
    ASSERT_TRUE(done) << done.error().describe();
    EXPECT_EQ(done->expired, all ? 1u : 2u) << "one that still names itself is evicted like any other";
    EXPECT_EQ(store_.backend()->stats().value().floor, stamp(0));
    EXPECT_EQ(reclaim().value().expired, 0u);
    EXPECT_EQ(store_.backend()->stats().value().changes, 0u) << "the log is trimmed";
    EXPECT_EQ(logger_->count("damaged"), 1) << "once";
    EXPECT_FALSE(store_.get("k/bad", clock_->now()).value());
    if (!all) continue;
    const auto findings = db_->doctor().value();
    EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [](const sqlite::Finding& finding) {
      return finding.level == sqlite::Finding::Level::kError && finding.what.find("checksum") != std::string::npos;
    }));
    set("bad", "k/bad", "payload-new", 3);
    ASSERT_EQ(store_.get("k/bad", clock_->now()).value()->payload.view(), "payload-new");
    ASSERT_EQ(store_.apply(entry(CommandKind::kErase, "bad", {}, "", stamp(4)), clock_->now()).value().outcome, Outcome::kApplied);
    clock_->advance(Milliseconds(1000));
    reclaim().value();
  }
}

TEST_F(SqliteDamagedRow, of_a_record_is_passed_by_whoever_follows_the_change_log) {
  for (const auto* cursor : {"one", "two"}) store_.backend()->open_cursor({.name = cursor}).value();
  set("a", "k/a", "payload-a", 1);
  set("bad", "k/bad", "payload-bad", 2);
  set("c", "k/c", "payload-c", 3);
  damage_record("payload-bad", false);
  for (const auto* cursor : {"one", "two"}) {
    const auto batch = store_.backend()->changes({.cursor = cursor});
    ASSERT_TRUE(batch) << batch.error().describe();
    ASSERT_EQ(batch->changes.size(), 2u);
    EXPECT_EQ(batch->changes[0].id, "a");
    EXPECT_EQ(batch->changes[1].id, "c");
    EXPECT_EQ(batch->damaged, 1u);
    EXPECT_TRUE(
        std::none_of(batch->changes.begin(), batch->changes.end(), [](const Change& c) { return c.kind == ChangeKind::kTombstone; }));
    EXPECT_TRUE(batch->at_end);
    EXPECT_TRUE(store_.backend()->commit_cursor(cursor, batch->next));
  }
  EXPECT_EQ(logger_->count("damaged"), 1) << "once, however many follow";
}

TEST_F(SqliteDamagedRow, of_a_record_is_left_out_of_lists_and_scans_that_ask_for_it) {
  const auto listed = [&](const std::string& id, std::uint64_t n) {
    auto made = entry(CommandKind::kSet, id, {"k/" + id}, "payload-" + id, stamp(n));
    made.listed = true;
    ASSERT_EQ(store_.apply(made, clock_->now()).value().outcome, Outcome::kApplied);
  };
  for (const std::string id : {"a", "b", "c"}) listed(id, id == "a" ? 1 : id == "b" ? 2 : 3);
  damage_record("payload-b", true);
  for (int n = 0; n < 2; ++n) {
    const auto page = store_.backend()->list({.now = clock_->now(), .limit = 10});
    ASSERT_TRUE(page) << page.error().describe();
    ASSERT_EQ(page->records.size(), 2u);
    EXPECT_TRUE(std::none_of(page->records.begin(), page->records.end(), [](const Record& record) { return record.id == "b"; }));
  }
  EXPECT_EQ(logger_->count("damaged"), 1);
  EXPECT_EQ(store_.backend()->scan({.cursor = {}}).error().code(), ErrorCode::kCorrupted);
  std::vector<std::string> found;
  std::vector<std::string> damaged;
  std::string cursor;
  do {
    const auto page = store_.backend()->scan({.cursor = cursor, .limit = 1, .over_damaged = true});
    ASSERT_TRUE(page) << page.error().describe();
    for (const auto& item : page->items) found.push_back(item.id);
    for (const auto& item : page->damaged) damaged.push_back(item.id);
    cursor = page->next;
  } while (!cursor.empty());
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(damaged, (std::vector<std::string>{"b"}));
}

TEST_F(SqliteDamagedRow, of_a_record_keeps_no_other_out_of_the_archive_and_a_restore_mends_it) {
  const auto policy = std::make_shared<TtlPolicy>(Flows{});
  const auto archive = memory::open().value().archive();
  const auto make_archiver = [&](std::shared_ptr<ArchiveBackend> into, const std::string& cursor) {
    ArchiverOptions options;
    options.cursor = cursor;
    options.key_store = store_;
    options.archive = std::move(into);
    options.policy = policy;
    options.clock = clock_;
    return Archiver::create(std::move(options)).value();
  };
  const auto archiver = make_archiver(archive, "archiver");
  set("a", "k/a", "payload-a", 1);
  set("bad", "k/bad", "payload-bad", 2);
  set("c", "k/c", "payload-c", 3);
  ASSERT_EQ(archiver->run().value().written, 3u);
  damage_record("payload-bad", true);

  // A first copy of a store that is damaged already: all but that one.
  const auto late = memory::open().value().archive();
  auto report = make_archiver(late, "late")->run();
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(report->written, 2u);
  EXPECT_EQ(report->damaged, 1u);
  EXPECT_EQ(logger_->count("damaged"), 0) << "the archiver has a log of its own";

  EXPECT_TRUE(archiver->verify().value().equal()) << "it does not read bodies";
  const auto differences = archiver->verify({.deep = true});
  ASSERT_TRUE(differences) << differences.error().describe();
  ASSERT_EQ(differences->differences.size(), 1u);
  EXPECT_EQ(differences->differences[0].id, "bad");
  EXPECT_EQ(differences->differences[0].kind, Difference::Kind::kContent);

  EXPECT_EQ(archiver->restore().value().skipped_present, 3u);
  EXPECT_EQ(store_.get("k/bad", clock_->now()).error().code(), ErrorCode::kCorrupted);
  clock_->advance(Milliseconds(1000));
  const auto restored = archiver->restore({.key = "k/bad", .overwrite = true});
  ASSERT_TRUE(restored) << restored.error().describe();
  EXPECT_EQ(restored->restored, 1u);
  ASSERT_EQ(store_.get("k/bad", clock_->now()).value()->payload.view(), "payload-bad");
  ASSERT_TRUE(archiver->run());
  EXPECT_TRUE(archiver->verify().value().equal());
}

TEST_F(SqliteDamagedRow, of_a_record_can_be_replaced_and_gives_its_keys_free) {
  for (const bool all : {true, false}) {
    const std::string round = all ? "all" : "payload";
    set("id", "k/old", "payload-" + round, all ? 1 : 11);
    damage_record("payload-" + round, all);
    EXPECT_EQ(store_.get("k/old", clock_->now()).error().code(), ErrorCode::kCorrupted);
    set("id", "k/new", "fresh-" + round, all ? 2 : 12);
    EXPECT_EQ(store_.get("k/new", clock_->now()).value()->payload.view(), "fresh-" + round);
    EXPECT_FALSE(store_.get("k/old", clock_->now()).value()) << "it leads nowhere any more";
    damage_record("fresh-" + round, all);
    set("other", "k/new", "taken-" + round, all ? 3 : 13);
    EXPECT_EQ(store_.get("k/new", clock_->now()).value()->id, "other");
    EXPECT_FALSE(store_.get_by_id("id", clock_->now()).value()) << "it lost its last key";
  }
  for (const auto& finding : db_->doctor().value()) {
    EXPECT_FALSE(finding.level != sqlite::Finding::Level::kOk && finding.what.starts_with("tables")) << finding.what;
  }
}

TEST_F(SqliteDamagedRow, fails_its_own_command_and_none_of_the_same_batch) {
  set("bad", "k/bad", "payload-bad", 1);
  damage_record("payload-bad", true);
  auto touch = entry(CommandKind::kTouch, "bad", {}, "", stamp(3));
  touch.expires_at = clock_->now() + Milliseconds(60'000);
  const std::vector<ApplyEntry> entries{entry(CommandKind::kSet, "a", {"k/a"}, "payload-a", stamp(2)), touch,
                                        entry(CommandKind::kSet, "c", {"k/c"}, "payload-c", stamp(4))};
  const auto results = store_.backend()->apply({.entries = entries, .now = clock_->now()});
  ASSERT_TRUE(results) << results.error().describe();
  EXPECT_TRUE(results->at(0));
  ASSERT_FALSE(results->at(1));
  EXPECT_EQ(results->at(1).error().code(), ErrorCode::kCorrupted);
  EXPECT_TRUE(results->at(2));
  EXPECT_TRUE(store_.get("k/a", clock_->now()).value());
  EXPECT_TRUE(store_.get("k/c", clock_->now()).value());
}

TEST_F(SqliteDamagedRow, fails_its_own_caller_and_none_of_the_same_commit) {
  db_.emplace(sqlite::open({.path = folder_.path(), .vfs = sqlite_test::watched_vfs(), .clock = clock_}).value());
  queue_ = db_->queue("records");
  queue_.send({.body = "a"}).value();
  const auto held = queue_.receive().value().at(0);
  run_sql(folder_.path(), "UPDATE lease SET members = x'ff'");
  std::atomic<bool> syncing{false};
  std::atomic<bool> go_on{false};
  sqlite_test::watch().before_wal_sync = [&] {
    syncing = true;
    while (!go_on) std::this_thread::yield();
  };
  std::thread first([&] { EXPECT_TRUE(queue_.send({.body = "first"})); });
  while (!syncing) std::this_thread::yield();
  // Whether these two come into one commit or not, the good one must succeed; that they wait for the first makes it likely.
  std::thread bad([&] {
    const auto acked = queue_.ack(held);
    ASSERT_FALSE(acked);
    EXPECT_EQ(acked.error().code(), ErrorCode::kCorrupted);
  });
  std::thread good([&] { EXPECT_TRUE(queue_.send({.body = "good"})); });
  go_on = true;
  for (auto* thread : {&first, &bad, &good}) thread->join();
}

}  // namespace
