// What the archive of a SQLite file promises beyond the conformance suite: what is returned is what was archived, scans leave payloads
// alone, and its totals are right.
#include <gtest/gtest.h>

#include <algorithm>

#include <setget/sqlite.hpp>

#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using sqlite_test::run_sql;
using sqlite_test::TemporaryFolder;

const TimePoint kNow(Milliseconds(1'700'000'000'000));

ArchiveEntry document(const std::string& id, KeyList keys, Version version, const std::string& payload = "payload") {
  ArchiveEntry entry;
  entry.id = id;
  entry.version = version;
  entry.record.id = id;
  entry.record.keys = std::move(keys);
  entry.record.account = "acme";
  entry.record.payload = Payload(payload);
  entry.record.version = version;
  entry.record.stamp = stamp_at(kNow) + version;
  entry.record.created_at = time_of(entry.record.stamp);
  return entry;
}

class SqliteArchive : public ::testing::Test {
 protected:
  void write(const ArchiveEntry& entry) {
    for (const auto& result : archive().write({.entries = std::span(&entry, 1)}).value()) result.value();
  }
  Result<std::vector<Lookup>> get(std::string_view key) { return archive().get({.ns = {}, .keys = std::span(&key, 1), .now = kNow}); }
  ArchiveBackend& archive() {
    if (!archive_) archive_ = sqlite::open({.path = folder_.path()}).value().archive();
    return *archive_;
  }
  // Changes the file while nobody has it open.
  void damage(const std::string& sql) {
    archive_.reset();
    run_sql(folder_.path(), sql);
  }

  TemporaryFolder folder_;
  std::shared_ptr<ArchiveBackend> archive_;
};

TEST_F(SqliteArchive, a_payload_that_is_not_what_was_archived_is_an_error_and_a_scan_does_not_read_it) {
  write(document("a", {"k"}, 1, std::string(5000, 'x')));
  damage("UPDATE archive_body SET body = substr(body, 1, 4000) || x'ff' || substr(body, 4002)");
  ASSERT_FALSE(get("k"));
  EXPECT_EQ(get("k").error().code(), ErrorCode::kCorrupted);
  EXPECT_EQ(archive().get_by_id({.ns = {}, .id = "a", .now = kNow}).error().code(), ErrorCode::kCorrupted);
  EXPECT_EQ(archive().scan({.cursor = {}, .with_records = true}).error().code(), ErrorCode::kCorrupted);
  const auto page = archive().scan({.cursor = {}}).value();
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_EQ(page.items[0].content, content_digest(document("a", {"k"}, 1, std::string(5000, 'x')).record));
}

TEST_F(SqliteArchive, a_scan_goes_on_over_what_is_damaged_and_it_can_be_removed) {
  for (const auto* id : {"a", "b", "c", "d"}) write(document(id, {std::string("k") + id}, 1, std::string(50, 'x')));
  damage("UPDATE archive_body SET body = x'ff' WHERE row = 2; UPDATE archive_doc SET lost = x'ff' WHERE row = 4");
  for (const std::size_t limit : {1u, 2u, 10u}) {
    std::vector<std::string> healthy;
    std::vector<std::string> damaged;
    std::string cursor;
    do {
      const auto page = archive().scan({.cursor = cursor, .limit = limit, .with_records = true, .over_damaged = true}).value();
      for (const auto& item : page.items) healthy.push_back(item.id);
      for (const auto& item : page.damaged) damaged.push_back(item.id);
      cursor = page.next;
    } while (!cursor.empty());
    std::ranges::sort(healthy);
    std::ranges::sort(damaged);
    EXPECT_EQ(healthy, (std::vector<std::string>{"a", "c"}));
    EXPECT_EQ(damaged, (std::vector<std::string>{"b", "d"}));
  }
  const std::vector<ArchiveId> ids{{.ns = {}, .id = "b"}, {.ns = {}, .id = "d"}};
  EXPECT_EQ(archive().remove(ids).value(), 2u);
  EXPECT_EQ(archive().stats().value().records, 2u);
  EXPECT_EQ(get("kb").value().at(0).status, Lookup::Status::kUnknown);
  write(document("b", {"kb"}, 1));
  EXPECT_EQ(get("kb").value().at(0).status, Lookup::Status::kFound);
}

TEST_F(SqliteArchive, a_scan_of_the_past_goes_on_over_a_state_that_is_damaged) {
  std::vector<ArchivedState> states;
  for (const auto* id : {"a", "b", "c", "d"}) {
    auto& state = states.emplace_back().state;
    state.position = states.size();
    state.at = kNow;
    state.id = id;
    state.version = 1;
    state.record = document(id, {std::string("k") + id}, 1).record;
  }
  ASSERT_EQ(archive().write_history({.source = {.uuid = "s", .epoch = 1}, .states = states}).value(), 4u);
  damage("UPDATE archive_state_kept SET body = x'ff' WHERE row = 2; UPDATE archive_state_kept SET lost = x'ff' WHERE row = 4");
  for (const std::size_t limit : {1u, 2u, 10u}) {
    std::vector<std::string> healthy;
    std::vector<std::string> damaged;
    std::string cursor;
    do {
      const auto page = archive().scan_history({.cursor = cursor, .limit = limit, .at = kNow, .over_damaged = true}).value();
      for (const auto& item : page.items) healthy.push_back(item.id);
      for (const auto& item : page.damaged) damaged.push_back(item.id);
      cursor = page.next;
    } while (!cursor.empty());
    std::ranges::sort(healthy);
    std::ranges::sort(damaged);
    EXPECT_EQ(healthy, (std::vector<std::string>{"a", "c"}));
    EXPECT_EQ(damaged, (std::vector<std::string>{"b", "d"}));
  }
  EXPECT_EQ(archive().scan_history({.at = kNow}).error().code(), ErrorCode::kCorrupted);
  EXPECT_EQ(archive().get_history({.ns = {}, .key = "kb", .id = {}, .at = kNow}).error().code(), ErrorCode::kCorrupted);
}

TEST_F(SqliteArchive, a_payload_that_is_missing_is_an_error_and_not_an_absence) {
  write(document("a", {"k"}, 1));
  damage("DELETE FROM archive_body");
  EXPECT_EQ(get("k").error().code(), ErrorCode::kCorrupted);
}

TEST_F(SqliteArchive, payloads_that_were_exchanged_are_noticed) {
  write(document("a", {"k"}, 1, "one"));
  write(document("b", {"l"}, 2, "two"));
  damage(
      "UPDATE archive_doc SET content = (SELECT content FROM archive_doc o WHERE o.row <> archive_doc.row);"
      "UPDATE archive_body SET row = -row; UPDATE archive_body SET row = 3 + row");
  EXPECT_EQ(get("k").error().code(), ErrorCode::kCorrupted);
}

TEST_F(SqliteArchive, of_two_documents_that_list_a_key_the_later_acceptance_has_it) {
  write(document("late", {"k"}, 9, "late"));
  write(document("early", {"k"}, 3, "early"));
  EXPECT_EQ(get("k").value()[0].record->payload.str(), "late");
  ArchiveEntry gone;
  gone.tombstone = true;
  gone.id = "late";
  gone.version = 10;
  write(gone);
  EXPECT_EQ(get("k").value()[0].status, Lookup::Status::kGone) << "there is no falling back to an earlier holder";
}

TEST_F(SqliteArchive, a_key_that_was_lost_later_is_given_up) {
  write(document("a", {"k", "l"}, 1));
  auto lost = document("a", {"k", "l"}, 1);
  lost.revision = lost.record.revision = 1;
  lost.record.lost_keys = KeyList({"k"});
  write(lost);
  EXPECT_EQ(get("k").value()[0].status, Lookup::Status::kUnknown);
  EXPECT_EQ(get("l").value()[0].record->revision, 1u);
}

TEST_F(SqliteArchive, its_totals_follow_every_kind_of_change) {
  const auto size = [](const ArchiveEntry& entry) { return encoded_of(entry.record).size(); };
  const auto small = document("a", {"k"}, 1, "small");
  auto large = document("a", {"k"}, 2, std::string(9000, 'x'));
  write(small);
  EXPECT_EQ(archive().stats().value().bytes, size(small));
  write(large);
  large.revision = large.record.revision = 1;  // as a touch does: same content
  write(large);
  write(document("b", {"m"}, 1));
  auto stats = archive().stats().value();
  EXPECT_EQ(stats.records, 2u);
  EXPECT_EQ(stats.bytes, size(large) + size(document("b", {"m"}, 1)));
  ArchiveEntry gone;
  gone.tombstone = true;
  gone.id = "a";
  gone.version = 3;
  write(gone);
  stats = archive().stats().value();
  EXPECT_EQ(stats.records, 1u);
  EXPECT_EQ(stats.tombstones, 1u);
  EXPECT_EQ(stats.bytes, size(document("b", {"m"}, 1)));
  const std::vector<ArchiveId> both{{.ns = {}, .id = "a"}, {.ns = {}, .id = "b"}};
  EXPECT_EQ(archive().remove(both).value(), 2u);
  stats = archive().stats().value();
  EXPECT_EQ(stats.records + stats.tombstones + stats.bytes, 0u);
}

TEST_F(SqliteArchive, a_bad_entry_leaves_the_others_of_its_batch) {
  std::vector<ArchiveEntry> batch{document("a", {"k"}, 1), document("b", {"l"}, 0), document("c", {"m"}, 1)};
  batch[2].record.id = "other";
  const auto results = archive().write({.entries = batch}).value();
  EXPECT_TRUE(results[0]);
  EXPECT_EQ(results[1].error().field(), "version");
  EXPECT_EQ(results[2].error().field(), "record");
  EXPECT_EQ(archive().stats().value().records, 1u);
}

TEST_F(SqliteArchive, a_checkpoint_of_a_newer_version_or_a_damaged_one_is_refused) {
  archive().save_checkpoint({.source = {.uuid = "u"}}).value();
  damage("UPDATE archive_state SET checkpoint = x'63'");
  EXPECT_EQ(archive().load_checkpoint().error().code(), ErrorCode::kUnsupported);
  damage("UPDATE archive_state SET checkpoint = x'0105'");
  EXPECT_EQ(archive().load_checkpoint().error().code(), ErrorCode::kCorrupted);
}

TEST_F(SqliteArchive, a_cursor_that_no_scan_gave_is_refused) {
  EXPECT_EQ(archive().scan({.cursor = "nonsense"}).error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
