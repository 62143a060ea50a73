// The doctor: a healthy file has no complaint, and each thing that is wrong is named with its fix.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <setget/sqlite.hpp>
#include <setget/testing/clock.hpp>
#include <span>

#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using setget::testing::SimulatedClock;
using sqlite::Finding;
using sqlite_test::run_sql;
using sqlite_test::TemporaryFolder;

using Findings = std::vector<Finding>;

// The complaint that starts so; empty if there is none.
const Finding* complaint(const Findings& findings, std::string_view start) {
  const auto found = std::find_if(findings.begin(), findings.end(), [&](const Finding& finding) {
    return finding.level != Finding::Level::kOk && finding.what.starts_with(start);
  });
  return found == findings.end() ? nullptr : &*found;
}

Findings examine(sqlite::Options options) { return sqlite::open(std::move(options)).value().doctor().value(); }

TEST(SqliteDoctor, has_no_complaint_about_a_healthy_file) {
  const TemporaryFolder folder;
  const auto findings = examine({.path = folder.path()});
  EXPECT_GE(findings.size(), 10u);
  for (const auto& finding : findings) {
    // Where the test runs, not what it made.
    if (finding.what.starts_with("disk:") || finding.what.starts_with("file system:")) continue;
    EXPECT_EQ(finding.level, Finding::Level::kOk) << finding.what;
  }
}

TEST(SqliteDoctor, names_settings_that_can_lose_or_keep_data) {
  const TemporaryFolder folder;
  const auto unsafe = examine({.path = folder.path(), .durable = false});
  ASSERT_NE(complaint(unsafe, "synchronous"), nullptr);
  EXPECT_EQ(complaint(unsafe, "synchronous")->fix, "open with durable = true");
  const auto note = std::find_if(unsafe.begin(), unsafe.end(), [](const Finding& f) { return f.what.starts_with("secure_delete: off"); });
  ASSERT_NE(note, unsafe.end());
  EXPECT_FALSE(note->fix.empty());
}

TEST(SqliteDoctor, notices_a_clock_behind_the_last_stamp) {
  const TemporaryFolder folder;
  const auto clock = std::make_shared<SimulatedClock>();
  auto database = sqlite::open({.path = folder.path(), .clock = clock}).value();
  database.queue("records", QueueOptions{}).value().send({.body = "message"}).value();
  EXPECT_EQ(complaint(database.doctor().value(), "clock"), nullptr);
  clock->advance(Milliseconds(-60'000));
  const auto findings = database.doctor().value();
  ASSERT_NE(complaint(findings, "clock"), nullptr);
  EXPECT_NE(complaint(findings, "clock")->what.find("60000 ms"), std::string::npos);
}

TEST(SqliteDoctor, notices_a_lock_file_that_others_can_hold_or_cannot_reach) {
  const TemporaryFolder folder;
  auto database = sqlite::open({.path = folder.path()}).value();
  using std::filesystem::perms;
  const auto both = [&](perms of_database, perms of_lock) {
    std::filesystem::permissions(folder.path(), of_database);
    std::filesystem::permissions(folder.path() + "-lock", of_lock);
    return database.doctor().value();
  };
  constexpr auto kOwner = perms::owner_read | perms::owner_write;
  EXPECT_EQ(complaint(both(kOwner, kOwner), "lock file"), nullptr);
  EXPECT_NE(complaint(both(kOwner, kOwner | perms::others_write), "lock file: more users"), nullptr);
  EXPECT_NE(complaint(both(kOwner | perms::group_write, kOwner), "lock file: users who"), nullptr);
  EXPECT_NE(complaint(both(kOwner | perms::others_write, kOwner | perms::others_write), "permissions"), nullptr);
  EXPECT_EQ(complaint(both(kOwner, kOwner), "permissions"), nullptr);
  EXPECT_NE(complaint(both(kOwner | perms::others_read, kOwner), "permissions: every user may read"), nullptr);
  EXPECT_NE(complaint(both(kOwner | perms::group_read, kOwner), "permissions: its group may read"), nullptr);
  std::filesystem::remove(folder.path() + "-lock");
  const auto findings = database.doctor().value();
  ASSERT_NE(complaint(findings, "lock file: cannot"), nullptr);
  EXPECT_EQ(complaint(findings, "lock file: cannot")->level, Finding::Level::kError);
}

TEST(SqliteDoctor, reports_damage_with_the_way_back) {
  const TemporaryFolder folder;
  {
    auto database = sqlite::open({.path = folder.path()}).value();
    auto queue = database.queue("records", QueueOptions{}).value();
    for (int i = 0; i < 200; ++i) queue.send({.body = Payload(std::string(1000, 'x'))}).value();
  }
  // An index that lacks a row: every page can be read, and yet they do not agree.
  {
    const auto archive = sqlite::open({.path = folder.path()}).value().archive();
    ArchiveEntry gone;
    gone.tombstone = true;
    gone.id = "a";
    gone.version = 1;
    ASSERT_TRUE(archive->write({.entries = std::span(&gone, 1)}).value().at(0));
  }
  run_sql(folder.path(), "UPDATE archive_state SET tombstones = 7");
  EXPECT_NE(complaint(examine({.path = folder.path()}), "archive"), nullptr);

  const auto size = std::filesystem::file_size(folder.path());
  for (std::uintmax_t page = 20; page < size / 4096; page += 3) {
    sqlite_test::overwrite(folder.path(), static_cast<std::streamoff>(page * 4096), std::string(16, '\xff'));
  }
  auto opened = sqlite::open({.path = folder.path()});
  if (!opened) {
    EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupted);
    return;
  }
  const auto findings = opened->doctor().value();
  const auto damage = std::find_if(findings.begin(), findings.end(), [](const Finding& f) { return f.level == Finding::Level::kError; });
  ASSERT_NE(damage, findings.end());
  EXPECT_NE(damage->fix.find("restore"), std::string::npos);
}

// Puts a file through everything that its tables can hold.
class Life {
 public:
  Life(sqlite::Database& database, SimulatedClock& clock, std::uint64_t seed)
      : store_(database.key_store()), queues_(database.queues()), clock_(clock), random_(seed) {
    queue_ = Queue::open(queues_, "fifo", {.max_receives = 3}).value();
  }

  void step() {
    clock_.advance(Milliseconds(static_cast<std::int64_t>(random_.next() % 400)));
    switch (random_.next() % 10) {
      case 0:
      case 1:
      case 2:
        return apply();
      case 3:
        (void)store_.backend()->reclaim(
            {.now = clock_.now(), .floor = queues_->oldest_unfinished().value(), .grace = Milliseconds(0), .max_steps = 20});
        return;
      case 4:
        (void)queues_->redrive({.queue = "fifo", .filter = {}, .limit = 1 + random_.next() % 3, .restamp = random_.next() % 2 == 0});
        return;
      case 5:
        (void)queues_->maintain({.queue = "fifo", .max_steps = 50});
        if (random_.next() % 8 == 0) (void)queues_->purge({.queue = "fifo", .filter = {}, .limit = 1});
        return;
      case 6:
        return settle();
      case 7:
        for (auto& message : queue_.receive(1 + random_.next() % 4).value()) held_.push_back(std::move(message));
        return;
      default:
        return send();
    }
  }

 private:
  ApplyEntry command() {
    ApplyEntry entry;
    auto& c = entry.command;
    c.kind = random_.next() % 6 == 0 ? static_cast<CommandKind>(1 + random_.next() % 4) : CommandKind::kSet;
    c.id = std::string(1, static_cast<char>('a' + random_.next() % 6));
    c.account = "acme";
    c.flow = "orders";
    const std::vector<std::string> all{"k", "l", "m", "n", "o"};
    std::vector<std::string> keys;
    for (const auto& key : all) {
      if (random_.next() % 3 == 0) keys.push_back(key);
    }
    if (keys.empty() || c.kind == CommandKind::kEraseKey) keys = {all[random_.next() % all.size()]};
    if (c.kind == CommandKind::kSet || c.kind == CommandKind::kEraseKey) c.keys = KeyList(std::span<const std::string>(keys));
    if (c.kind == CommandKind::kEraseKey) c.id.clear();
    if (c.kind == CommandKind::kSet && random_.next() % 3 == 0) c.version = 1 + random_.next() % 5;
    c.payload = Payload(std::string(random_.next() % 300, 'x'));
    entry.encoded = encode_command(c);
    entry.listed = random_.next() % 2 == 0;
    if (random_.next() % 3 == 0) entry.expires_at = clock_.now() + Milliseconds(static_cast<std::int64_t>(random_.next() % 3000));
    return entry;
  }

  void apply() {
    auto entry = command();
    entry.stamp = stamp_at(clock_.now()) + random_.next() % 4;
    (void)store_.apply(entry, clock_.now());
  }

  void send() {
    OutgoingMessage message;
    const auto entry = command();
    message.body = entry.encoded;
    message.group = entry.command.id;
    if (random_.next() % 4 == 0) message.delay = Milliseconds(500);
    queue_.send(message).value();
  }

  void settle() {
    if (held_.empty()) return;
    const auto message = held_.back();
    held_.pop_back();
    switch (random_.next() % 4) {
      case 0:
        (void)queue_.release(message, Milliseconds(static_cast<std::int64_t>(random_.next() % 2 * 300)));
        return;
      case 1:
        (void)queue_.dead_letter(message, {{.code = "invalid", .message = {}, .pointer = {}}});
        return;
      default: {
        auto decoded = decode_command(message.body).value();
        FusedEntry fused;
        fused.receipt = message.receipt;
        fused.entry.command = std::move(decoded);
        fused.entry.encoded = message.body;
        fused.entry.stamp = message.stamp;
        const auto store = store_.backend()->fused_with(*queues_);
        (void)store->apply_and_settle("fifo", std::span(&fused, 1), {}, clock_.now(), Deadline::in(Milliseconds(1000)));
      }
    }
  }

  KeyStore store_;
  std::shared_ptr<QueueBackend> queues_;
  Queue queue_;
  SimulatedClock& clock_;
  setget::testing::SeededRandom random_;
  std::vector<Message> held_;
};

TEST(SqliteDoctor, has_no_complaint_about_tables_that_were_used_in_every_way) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const TemporaryFolder folder;
    const auto clock = std::make_shared<SimulatedClock>();
    auto database = sqlite::open({.path = folder.path(), .durable = false, .clock = clock}).value();
    Life life(database, *clock, seed);
    for (int step = 0; step < 600; ++step) {
      life.step();
      if (step % 60 != 59) continue;
      const auto findings = database.doctor().value();
      for (const auto* about : {"tables", "integrity"}) {
        const auto* found = complaint(findings, about);
        ASSERT_EQ(found, nullptr) << found->what << " after step " << step << " of seed " << seed;
      }
      for (const auto& finding : findings) {
        if (finding.what.starts_with("tables")) seen.insert(finding.what);
      }
    }
  }
  EXPECT_GT(seen.size(), 20u) << "always the same numbers: nothing was done";
}

TEST(SqliteDoctor, finds_what_no_longer_leads_to_its_record) {
  const std::array<const char*, 9> wrongs{"DELETE FROM keys",
                                          "UPDATE keys SET row = NULL, more = x'0100'",
                                          "DELETE FROM ident",
                                          "UPDATE ident SET h = h + 1",
                                          "UPDATE ident SET more = CAST(substr(more, 1, length(more) - 16) || zeroblob(16) AS BLOB)",
                                          "DELETE FROM log WHERE queue = 0",
                                          "DELETE FROM log WHERE queue > 0",
                                          "DELETE FROM state WHERE kind = 2",
                                          "DELETE FROM change"};
  for (const auto* wrong : wrongs) {
    const TemporaryFolder folder;
    {
      auto database = sqlite::open({.path = folder.path()}).value();
      ApplyEntry entry;
      entry.command.id = "id";
      const std::vector<std::string> keys{"k"};
      entry.command.keys = KeyList(std::span<const std::string>(keys));
      entry.encoded = encode_command(entry.command);
      entry.stamp = stamp_at(system_clock()->now());
      ASSERT_TRUE(database.key_store().apply(entry, system_clock()->now()));
      database.queue("records").send({.body = "waits"}).value();
    }
    EXPECT_EQ(complaint(examine({.path = folder.path()}), "tables"), nullptr);
    run_sql(folder.path(), wrong);
    EXPECT_NE(complaint(examine({.path = folder.path()}), "tables"), nullptr) << wrong;
  }
}

TEST(SqliteDoctor, gives_a_fix_with_every_complaint) {
  const TemporaryFolder folder;
  const auto findings = examine({.path = folder.path(), .durable = false});
  for (const auto& finding : findings) EXPECT_TRUE(finding.level == Finding::Level::kOk || !finding.fix.empty()) << finding.what;
}

}  // namespace
