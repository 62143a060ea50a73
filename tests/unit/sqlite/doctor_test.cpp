// The doctor: a healthy file has no complaint, and each thing that is wrong is named with its fix.
#include <gtest/gtest.h>

#include <algorithm>
#include <setget/sqlite.hpp>
#include <setget/testing/clock.hpp>

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

TEST(SqliteDoctor, gives_a_fix_with_every_complaint) {
  const TemporaryFolder folder;
  const auto findings = examine({.path = folder.path(), .durable = false});
  for (const auto& finding : findings) EXPECT_TRUE(finding.level == Finding::Level::kOk || !finding.fix.empty()) << finding.what;
}

}  // namespace
