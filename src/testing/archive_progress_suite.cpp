// Archive suite: what an archive keeps beside its documents, which is how far runs have come and what they could not write; and reopening.
#include <array>

#include "testing/archive_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

ArchiveCheckpoint example(Trial& t) {
  ArchiveCheckpoint checkpoint;
  checkpoint.source = {.uuid = "0b5c", .epoch = 7};
  checkpoint.position = 1234567890123;
  checkpoint.cursor_at = 1234567890120;
  checkpoint.runs = 3;
  checkpoint.last_started_at = t.now();
  checkpoint.last_success_at = t.now() + Milliseconds(5);
  checkpoint.records_written = 100;
  checkpoint.tombstones_written = 4;
  checkpoint.skipped_short_lived = 9;
  checkpoint.last_error = std::string("no\0space", 8);
  checkpoint.full_copy = true;
  checkpoint.scan_cursor = "where it was";
  checkpoint.copy_from = 1234567890000;
  checkpoint.fence = 4;
  checkpoint.runner = "host 1 a";
  checkpoint.runner_until = t.now() + Milliseconds(60'000);
  checkpoint.history = {
      {.started_at = t.now(), .ended_at = t.now() + Milliseconds(9), .read = 5, .written = 3, .tombstones = 2, .error = ""},
      {.started_at = t.now(), .ended_at = t.now(), .read = 0, .written = 0, .tombstones = 0, .error = "no"}};
  checkpoint.archive_id = "one of many";
  checkpoint.verify_turn = 31;
  checkpoint.last_verified_at = t.now() + Milliseconds(12);
  checkpoint.last_differences = 2;
  return checkpoint;
}

void expect_example(Trial& t, const std::optional<ArchiveCheckpoint>& loaded, const ArchiveCheckpoint& saved) {
  (void)t;
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->source, saved.source);
  EXPECT_EQ(loaded->position, saved.position);
  EXPECT_EQ(loaded->cursor_at, saved.cursor_at);
  EXPECT_EQ(loaded->runs, saved.runs);
  EXPECT_EQ(loaded->last_started_at, saved.last_started_at);
  EXPECT_EQ(loaded->last_success_at, saved.last_success_at);
  EXPECT_EQ(loaded->records_written, saved.records_written);
  EXPECT_EQ(loaded->tombstones_written, saved.tombstones_written);
  EXPECT_EQ(loaded->skipped_short_lived, saved.skipped_short_lived);
  EXPECT_EQ(loaded->last_error, saved.last_error);
  EXPECT_EQ(loaded->full_copy, saved.full_copy);
  EXPECT_EQ(loaded->scan_cursor, saved.scan_cursor);
  EXPECT_EQ(loaded->copy_from, saved.copy_from);
  EXPECT_EQ(loaded->fence, saved.fence);
  EXPECT_EQ(loaded->runner, saved.runner);
  EXPECT_EQ(loaded->runner_until, saved.runner_until);
  EXPECT_EQ(loaded->history, saved.history);
  EXPECT_EQ(loaded->archive_id, saved.archive_id);
  EXPECT_EQ(loaded->verify_turn, saved.verify_turn);
  EXPECT_EQ(loaded->last_verified_at, saved.last_verified_at);
  EXPECT_EQ(loaded->last_differences, saved.last_differences);
}

void the_checkpoint_is_kept(Trial& t) {
  EXPECT_FALSE(t.archive().load_checkpoint().value());
  auto checkpoint = example(t);
  t.archive().save_checkpoint(checkpoint).value();
  expect_example(t, t.archive().load_checkpoint().value(), checkpoint);
  checkpoint.position = 7;
  checkpoint.full_copy = false;
  checkpoint.copy_from.reset();
  t.archive().save_checkpoint(checkpoint).value();
  expect_example(t, t.archive().load_checkpoint().value(), checkpoint);
}

void a_checkpoint_is_replaced_by_its_runner_or_a_greater_fence_only(Trial& t) {
  auto mine = example(t);
  t.archive().save_checkpoint(mine).value();
  ++mine.position;
  t.archive().save_checkpoint(mine).value();
  auto theirs = mine;
  theirs.runner = "host 2 b";
  EXPECT_EQ(t.archive().save_checkpoint(theirs).error().code(), ErrorCode::kLeaseLost);
  theirs.fence = mine.fence - 1;
  EXPECT_EQ(t.archive().save_checkpoint(theirs).error().code(), ErrorCode::kLeaseLost);
  expect_example(t, t.archive().load_checkpoint().value(), mine);
  theirs.fence = mine.fence + 12;
  t.archive().save_checkpoint(theirs).value();
  EXPECT_EQ(t.archive().save_checkpoint(mine).error().code(), ErrorCode::kLeaseLost);
  expect_example(t, t.archive().load_checkpoint().value(), theirs);
}

QuarantinedEntry refused(Trial& t, const std::string& id, std::uint64_t attempts) {
  QuarantinedEntry entry;
  entry.ns = "space";
  entry.id = id;
  entry.version = 7;
  entry.revision = 2;
  entry.tombstone = attempts % 2 == 0;
  entry.tombstone_reason = entry.tombstone ? TombstoneReason::kSuperseded : TombstoneReason::kErased;
  entry.reason = std::string("no\0way \xff", 8);
  entry.attempts = attempts;
  entry.since = t.now();
  entry.last_at = t.now() + Milliseconds(5);
  return entry;
}

void expect_refused(const QuarantinedEntry& found, const QuarantinedEntry& put) {
  EXPECT_EQ(found.ns, put.ns);
  EXPECT_EQ(found.id, put.id);
  EXPECT_EQ(found.version, put.version);
  EXPECT_EQ(found.revision, put.revision);
  EXPECT_EQ(found.tombstone, put.tombstone);
  EXPECT_EQ(found.tombstone_reason, put.tombstone_reason);
  EXPECT_EQ(found.reason, put.reason);
  EXPECT_EQ(found.attempts, put.attempts);
  EXPECT_EQ(found.since, put.since);
  EXPECT_EQ(found.last_at, put.last_at);
}

void what_was_refused_is_in_quarantine_until_it_is_released(Trial& t) {
  ASSERT_TRUE(t.archive().capabilities().quarantine);
  EXPECT_TRUE(t.archive().quarantined({}).value().entries.empty());
  std::vector<QuarantinedEntry> all;
  for (std::uint64_t i = 0; i < 7; ++i) all.push_back(refused(t, std::string("r\0", 2) + std::to_string(i), i + 1));
  t.archive().quarantine(all).value();
  EXPECT_EQ(t.archive().stats().value().quarantined, 7u);
  EXPECT_EQ(t.archive().stats().value().records, 0u) << "it is no record";
  EXPECT_EQ(by_id(t, all[0].id, "space").status, Lookup::Status::kUnknown);
  all[3].attempts = 101;
  t.archive().quarantine(std::span(&all[3], 1)).value();
  EXPECT_EQ(t.archive().stats().value().quarantined, 7u);
  std::vector<QuarantinedEntry> listed;
  std::string cursor;
  do {
    auto page = t.archive().quarantined({.cursor = cursor, .limit = 3}).value();
    EXPECT_LE(page.entries.size(), 3u);
    for (auto& entry : page.entries) listed.push_back(std::move(entry));
    cursor = page.next;
  } while (!cursor.empty());
  ASSERT_EQ(listed.size(), 7u);
  for (const auto& found : listed) {
    const auto put = std::ranges::find(all, found.id, &QuarantinedEntry::id);
    ASSERT_NE(put, all.end());
    expect_refused(found, *put);
  }
  const std::vector<ArchiveId> ids{{.ns = "space", .id = all[3].id}, {.ns = "space", .id = "nobody"}, {.ns = {}, .id = all[1].id}};
  EXPECT_EQ(t.archive().release(ids).value(), 1u);
  EXPECT_EQ(t.archive().quarantined({}).value().entries.size(), 6u);
}

void reopening_keeps_documents_and_checkpoint(Trial& t) {
  write(t, document(t, "a", {"k"}, 5, 1, "kept"));
  write(t, gravestone("b", 2));
  const auto checkpoint = example(t);
  t.archive().save_checkpoint(checkpoint).value();
  const auto kept = refused(t, "c", 3);
  if (t.archive().capabilities().quarantine) t.archive().quarantine(std::span(&kept, 1)).value();
  t.reopen();
  if (t.archive().capabilities().quarantine) expect_refused(t.archive().quarantined({}).value().entries.at(0), kept);
  EXPECT_EQ(by_id(t, "a").record->payload.str(), "kept");
  EXPECT_EQ(by_id(t, "b").status, Lookup::Status::kGone);
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 5, 1)), ArchiveWrite::kOlder);
  expect_example(t, t.archive().load_checkpoint().value(), checkpoint);
  EXPECT_EQ(t.archive().stats().value().records, 1u);
}

const std::array kCases{
    Case{"the_checkpoint_is_kept", the_checkpoint_is_kept},
    Case{"a_checkpoint_is_replaced_by_its_runner_or_a_greater_fence_only", a_checkpoint_is_replaced_by_its_runner_or_a_greater_fence_only},
    Case{"what_was_refused_is_in_quarantine_until_it_is_released",
         what_was_refused_is_in_quarantine_until_it_is_released,
         {&Deviations::quarantine}},
    Case{"reopening_keeps_documents_and_checkpoint", reopening_keeps_documents_and_checkpoint, {}, Needs::kReopen},
};

void lacks_a_quarantine(Trial& t) {
  EXPECT_FALSE(t.archive().capabilities().quarantine);
  EXPECT_EQ(t.archive().quarantined({}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(t.archive().quarantine({}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(t.archive().release({}).error().code(), ErrorCode::kUnsupported);
}

const std::array kDeviationCases{
    Case{"lacks_a_quarantine", lacks_a_quarantine, {&Deviations::quarantine}},
};

}  // namespace

Cases archive_progress_cases() { return kCases; }
Cases archive_progress_deviation_cases() { return kDeviationCases; }

}  // namespace setget::inline v0::testing::detail
