#include <functional>
#include <thread>
#include <utility>

#include "archive_support.hpp"
#include "support/sanitized.hpp"

#include "pipeline/archiver_state.hpp"

namespace {

using namespace setget_test;

TEST(Archiver, copies_everything_once_and_then_only_what_changed) {
  ArchiveWorld world;
  world.set_many(40);
  world.erase("r3");
  const auto first = world.archiver->run().value();
  EXPECT_TRUE(first.first_run);
  EXPECT_EQ(first.written, 39u);
  EXPECT_EQ(first.tombstones, 1u);
  const auto idle = world.archiver->run().value();
  EXPECT_FALSE(idle.first_run);
  EXPECT_EQ(idle.read, 0u);
  world.set(request("r7", {"r/7"}, R"("changed")"));
  world.erase("r8");
  const auto second = world.archiver->run().value();
  EXPECT_EQ(second.read, 2u);
  EXPECT_EQ(second.written, 1u);
  EXPECT_EQ(second.tombstones, 1u);
  EXPECT_EQ(world.archived("r7").record.value().payload.view(), R"("changed")");
  EXPECT_EQ(world.archived("r8").status, Lookup::Status::kGone);
}

TEST(Archiver, goes_on_where_a_broken_run_ended) {
  ArchiveWorld world({}, 10);
  world.set_many(1);
  ASSERT_TRUE(world.archiver->run());
  world.set_many(100);
  world.fragile->writes_left = 4;
  const auto broken = world.archiver->run();
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(world.archiver->checkpoint().value().value().last_error.empty());
  world.fragile->writes_left = -1;
  // Another process takes over.
  const auto rest = world.make_archiver(10)->run().value();
  EXPECT_EQ(rest.read, 60u);
  EXPECT_EQ(world.archive_stats().records, 100u);
  EXPECT_TRUE(world.archiver->checkpoint().value().value().last_error.empty());
}

TEST(Archiver, goes_on_in_the_middle_of_its_first_copy) {
  ArchiveWorld world({}, 16);
  world.set_many(100);
  world.fragile->writes_left = 3;
  ASSERT_FALSE(world.archiver->run());
  world.fragile->writes_left = -1;
  world.set(request("r0", {"r/0"}, R"("changed while it was broken")"));
  world.erase("r99");
  const auto rest = world.make_archiver(16)->run().value();
  EXPECT_LE(rest.read, 100u - 48u + 2u);
  EXPECT_EQ(world.archive_stats().records, 99u);
  EXPECT_EQ(world.archived("r0").record.value().payload.view(), R"("changed while it was broken")");
  EXPECT_TRUE(world.archiver->verify().value().equal());
}

TEST(Archiver, repeats_a_batch_whose_confirmation_was_lost_without_harm) {
  ArchiveWorld world;
  world.set_many(1);
  ASSERT_TRUE(world.archiver->run());
  world.set_many(10, "s");
  world.fragile->checkpoints_left = 1;
  ASSERT_FALSE(world.archiver->run());
  world.fragile->checkpoints_left = -1;
  const auto again = world.archiver->run().value();
  EXPECT_EQ(again.older, 10u);
  EXPECT_EQ(again.written, 0u);
}

TEST(Archiver, stops_with_an_alarm_at_another_store_and_writes_nothing_unless_told_to_adopt_it) {
  ArchiveWorld world;
  world.set_many(5);
  ASSERT_TRUE(world.archiver->run());
  ArchiveWorld other;
  other.archive = world.archive;
  other.set_many(1, "other");
  auto archiver = other.make_archiver();
  const auto refused = archiver->run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(world.archive_stats().records, 5u);
  // Whoever asks for the status sees it; how far the archive came is as it was, and its own store goes on with it.
  const auto noted = world.archiver->checkpoint().value().value();
  EXPECT_EQ(noted.last_error, refused.error().describe());
  EXPECT_EQ(noted.history.back().error, refused.error().describe());
  EXPECT_EQ(noted.source, world.key_store.backend()->identity().value());
  EXPECT_EQ(noted.runner_until, TimePoint{});
  ASSERT_TRUE(world.archiver->run());
  EXPECT_TRUE(world.archiver->checkpoint().value().value().last_error.empty());
  EXPECT_EQ(archiver->verify().error().code(), ErrorCode::kFailedPrecondition);
  // An empty or foreign store never erases: adoption adds, and leaves what only the archive has.
  ASSERT_TRUE(archiver->run(patience(), true));
  EXPECT_EQ(world.archive_stats().records, 6u);
  EXPECT_TRUE(archiver->run());
}

TEST(Archiver, copies_everything_again_after_its_cursor_was_dropped_and_erases_nothing) {
  ArchiveWorld world;
  world.set_many(20);
  ASSERT_TRUE(world.archiver->run());
  ASSERT_TRUE(world.key_store.backend()->drop_cursor("archiver"));
  world.set(request("r1", {"r/1"}, R"("changed unseen")"));
  world.erase("r2");
  world.reclaim();
  world.clock->advance(Milliseconds(1000));
  world.set(request("late", {"late"}));
  world.reclaim();
  const auto full = world.archiver->run().value();
  EXPECT_GE(full.read, 20u);
  EXPECT_EQ(world.archived("r1").record.value().payload.view(), R"("changed unseen")");
  EXPECT_EQ(world.archived("late").status, Lookup::Status::kFound);
  EXPECT_EQ(world.archived("r5").status, Lookup::Status::kFound);
}

// As after a failover, or a power cut of a file that is not synced: the archive knows of changes which the store has lost, and whose
// positions it gives anew.
TEST(Archiver, goes_back_to_the_cursor_where_the_store_has_lost_what_was_archived) {
  ArchiveWorld world;
  world.set_many(5);
  ASSERT_TRUE(world.archiver->run());
  auto ahead = world.archiver->checkpoint().value().value();
  const auto cursor = world.key_store.backend()->cursors().value().at(0).position;
  ASSERT_EQ(ahead.position, cursor);
  ahead.position += 4;
  ASSERT_TRUE(world.archive->save_checkpoint(ahead));
  for (int i = 0; i < 6; ++i) world.set(request("anew" + std::to_string(i), {"anew/" + std::to_string(i)}));
  world.erase("r2");
  ASSERT_TRUE(world.archiver->run());
  for (int i = 0; i < 6; ++i) EXPECT_EQ(world.archived("anew" + std::to_string(i)).status, Lookup::Status::kFound) << i;
  EXPECT_NE(world.archived("r2").status, Lookup::Status::kFound);
  EXPECT_TRUE(world.archiver->verify().value().equal());
}

TEST(Archiver, stops_at_its_next_batch_when_it_is_cancelled) {
  ArchiveWorld world({}, 1);
  world.set_many(50);
  ArchiverOptions options;
  options.key_store = world.key_store;
  options.archive = world.archive;
  options.policy = world.policy;
  options.batch = 1;
  options.max_records_per_second = 0.001;  // the pace leaves it waiting after the first record
  options.clock = world.clock;
  auto archiver = Archiver::create(std::move(options)).value();
  Result<ArchiveRunReport> result = Error(ErrorCode::kInternal, "not run");
  std::thread running([&] { result = archiver->run(); });
  while (world.archive_stats().records == 0) std::this_thread::yield();
  archiver->cancel();
  running.join();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kCancelled);
  ASSERT_TRUE(world.archiver->run());  // a cancel is not for ever
  EXPECT_EQ(world.archive_stats().records, 50u);
}

TEST(Archiver, a_run_that_is_out_of_time_keeps_what_it_did) {
  ArchiveWorld world({}, 1);
  world.set_many(3);
  EXPECT_EQ(world.archiver->run(Deadline::immediate()).error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(world.archiver->run().value().written, 3u);
}

TEST(Archiver, holds_back_forgetting_until_it_has_seen_the_tombstone) {
  ArchiveWorld world;
  world.set(request("x", {"k"}));
  ASSERT_TRUE(world.archiver->run());
  world.erase("x");
  world.clock->advance(days(1));
  world.set(request("other", {"o"}));
  world.clock->advance(days(1));
  world.reclaim();
  ASSERT_TRUE(world.archiver->run());
  EXPECT_EQ(world.archived("x").status, Lookup::Status::kGone);
}

TEST(Archiver, keeps_what_the_archive_refuses_in_quarantine_and_archives_the_rest) {
  ArchiveWorld world({}, 7);
  world.set_many(20);
  world.fragile->refused = {"r3", "r11"};
  const auto first = world.archiver->run().value();
  EXPECT_EQ(first.written, 18u);
  EXPECT_EQ(first.quarantined, 2u);
  EXPECT_EQ(world.archive_stats().records, 18u);
  EXPECT_EQ(world.archive_stats().quarantined, 2u);
  const auto kept = world.archive->quarantined({}).value().entries;
  ASSERT_EQ(kept.size(), 2u);
  for (const auto& entry : kept) {
    EXPECT_TRUE(entry.id == "r3" || entry.id == "r11");
    EXPECT_EQ(entry.attempts, 3u);
    EXPECT_EQ(entry.since, world.clock->now());
    EXPECT_NE(entry.reason.find("no room for " + entry.id), std::string::npos);
  }
  EXPECT_EQ(world.archiver->verify().value().difference_count, 2u) << "nobody is told that all is well";
}

TEST(Archiver, tries_what_is_in_quarantine_again_in_every_run) {
  ArchiveWorld world;
  world.set_many(3);
  world.fragile->refused = {"r1", "r2"};
  ASSERT_EQ(world.archiver->run().value().quarantined, 2u);
  const auto since = world.clock->now();
  world.clock->advance(Milliseconds(1000));
  world.set(request("r2", {"r/2"}, R"("newer")"));
  ASSERT_EQ(world.archiver->run().value().quarantined, 2u);
  for (const auto& entry : world.archive->quarantined({}).value().entries) {
    EXPECT_GE(entry.attempts, 6u);
    EXPECT_EQ(entry.since, since);
    EXPECT_EQ(entry.last_at, world.clock->now());
  }
  world.fragile->refused.clear();
  const auto healed = world.archiver->run().value();
  EXPECT_EQ(healed.quarantined, 0u);
  EXPECT_EQ(healed.written, 2u);
  EXPECT_EQ(world.archive_stats().quarantined, 0u);
  EXPECT_EQ(world.archived("r2").record.value().payload.view(), R"("newer")");
  EXPECT_TRUE(world.archiver->verify({.deep = true}).value().equal());
}

TEST(Archiver, a_refused_tombstone_erases_in_the_end) {
  ArchiveWorld world;
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  world.erase("r1");
  world.fragile->refused = {"r1"};
  ASSERT_EQ(world.archiver->run().value().quarantined, 1u);
  EXPECT_TRUE(world.archive->quarantined({}).value().entries.at(0).tombstone);
  EXPECT_EQ(world.archived("r1").status, Lookup::Status::kUnknown) << "what it ends is taken away";
  world.reclaim();
  world.fragile->refused.clear();
  ASSERT_EQ(world.archiver->run().value().quarantined, 0u);
  EXPECT_EQ(world.archived("r1").status, Lookup::Status::kGone);
}

TEST(Archiver, a_refused_record_that_was_erased_meanwhile_leaves_the_quarantine) {
  ArchiveWorld world;
  world.set_many(2);
  world.fragile->refused = {"r1"};
  ASSERT_EQ(world.archiver->run().value().quarantined, 1u);
  world.erase("r1");
  world.fragile->refused.clear();
  const auto report = world.archiver->run().value();
  EXPECT_EQ(report.quarantined, 0u);
  EXPECT_EQ(world.archived("r1").status, Lookup::Status::kGone);
}

TEST(Archiver, stops_where_the_archive_refuses_more_than_the_quarantine_may_hold) {
  ArchiveWorld world({}, 5);
  world.set_many(20);
  for (int i = 0; i < 20; ++i) world.fragile->refused.insert("r" + std::to_string(i));
  ArchiverOptions options;
  options.key_store = world.key_store;
  options.archive = world.archive;
  options.policy = world.policy;
  options.batch = 5;
  options.clock = world.clock;
  options.max_quarantined = 10;
  const auto archiver = Archiver::create(options).value();
  const auto stopped = archiver->run();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), ErrorCode::kOutOfSpace);
  EXPECT_LE(world.archive_stats().quarantined, 10u);
  world.fragile->refused.clear();
  EXPECT_EQ(archiver->run().value().quarantined, 0u);
  EXPECT_TRUE(archiver->verify().value().equal());
}

// Does something in the middle of a run: before its first write.
class Interrupted final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    if (then) std::exchange(then, nullptr)();
    return ForwardingArchive::write(request);
  }
  std::function<void()> then{};
};

TEST(Archiver, only_one_of_many_runs_at_a_time) {
  ArchiveWorld world;
  const auto archive = std::make_shared<Interrupted>(world.archive);
  world.archive = archive;
  world.set_many(10);
  const auto first = world.make_archiver();
  const auto other = world.make_archiver();
  archive->then = [&] {
    world.clock->advance(Milliseconds(59'000));
    const auto refused = other->run();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kConflict);
    EXPECT_EQ(refused.error().field(), "runner");
  };
  ASSERT_TRUE(first->run());
  EXPECT_FALSE(archive->then) << "nothing was written";
  EXPECT_TRUE(other->run());
}

TEST(Archiver, who_stalls_past_its_lease_confirms_nothing_any_more) {
  ArchiveWorld world;
  const auto archive = std::make_shared<Interrupted>(world.archive);
  world.archive = archive;
  world.set_many(10);
  const auto first = world.make_archiver();
  const auto other = world.make_archiver();
  archive->then = [&] {
    world.clock->advance(Milliseconds(61'000));
    EXPECT_EQ(other->run().value().written, 10u);
  };
  const auto stalled = first->run();
  ASSERT_FALSE(stalled);
  EXPECT_EQ(stalled.error().code(), ErrorCode::kLeaseLost);
  EXPECT_EQ(first->checkpoint().value()->last_error, "") << "the other one's";
  EXPECT_TRUE(other->verify().value().equal());
  world.set_many(3, "later");
  EXPECT_EQ(first->run().value().written, 3u);
}

TEST(Archiver, a_runner_that_is_gone_holds_nobody_up) {
  ArchiveWorld world;
  world.set_many(10);
  auto gone = world.make_archiver();
  world.fragile->writes_left = 0;
  ASSERT_FALSE(gone->run());
  auto left = world.archive->load_checkpoint().value().value();
  left.runner_until = world.clock->now() + Milliseconds(60'000);  // as a SIGKILL leaves it
  ASSERT_TRUE(world.archive->save_checkpoint(left));
  world.fragile->writes_left = -1;
  EXPECT_EQ(world.archiver->run().error().code(), ErrorCode::kConflict);
  gone.reset();
  EXPECT_TRUE(world.archiver->run());
  left = world.archive->load_checkpoint().value().value();
  ++left.fence;
  left.runner = "another-host 1 nonce 1";
  left.runner_until = world.clock->now() + Milliseconds(60'000);
  ASSERT_TRUE(world.archive->save_checkpoint(left));
  EXPECT_EQ(world.archiver->run().error().code(), ErrorCode::kConflict);
  world.clock->advance(Milliseconds(60'000));
  EXPECT_TRUE(world.archiver->run());
}

TEST(Archiver, the_archive_keeps_the_last_runs) {
  ArchiveWorld world;
  world.set_many(4);
  ASSERT_TRUE(world.archiver->run());
  world.set_many(2, "more");
  world.fragile->writes_left = 0;
  ASSERT_FALSE(world.archiver->run());
  world.fragile->writes_left = -1;
  ASSERT_TRUE(world.archiver->run());
  auto history = world.archiver->checkpoint().value()->history;
  ASSERT_EQ(history.size(), 3u);
  EXPECT_EQ(history[0].written, 4u);
  EXPECT_EQ(history[0].error, "");
  EXPECT_NE(history[1].error, "");
  EXPECT_EQ(history[2].written, 2u);
  EXPECT_EQ(history[2].error, "");
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(world.archiver->run());
  history = world.archiver->checkpoint().value()->history;
  EXPECT_EQ(history.size(), kArchiveRunLines);
  EXPECT_EQ(history.back().ended_at, world.clock->now());
}

TEST(Archiver, after_a_gap_in_the_log_it_does_not_say_none_where_it_could_not_compare) {
  ArchiveWorld world;
  world.set_many(20);
  ASSERT_TRUE(world.archiver->run());
  ASSERT_TRUE(world.key_store.backend()->drop_cursor("archiver"));
  world.fragile->compares = false;
  const auto report = world.archiver->run().value();
  EXPECT_TRUE(report.reconciled);
  EXPECT_EQ(report.archive_only, std::nullopt);
}

TEST(Archiver, after_a_gap_in_the_log_it_says_what_only_the_archive_has_and_leaves_it) {
  ArchiveWorld world;
  world.set_many(20);
  ASSERT_FALSE(world.archiver->run().value().reconciled);
  auto stray = world.archived("r5").record.value();
  ArchiveEntry entry;
  entry.id = stray.id = "stray";
  entry.version = stray.version;
  entry.record = std::move(stray);
  ASSERT_TRUE(world.archive->write({.entries = std::span(&entry, 1)}));
  ASSERT_TRUE(world.key_store.backend()->drop_cursor("archiver"));
  const auto report = world.archiver->run().value();
  EXPECT_TRUE(report.reconciled);
  EXPECT_EQ(report.archive_only, 1u);
  EXPECT_EQ(world.archived("stray").status, Lookup::Status::kFound);
  EXPECT_EQ(world.archiver->verify({.repair = true, .prune = true}).value().repaired, 1u);
  EXPECT_EQ(world.archived("stray").status, Lookup::Status::kUnknown);
}

TEST(Archiver, as_many_nights_as_the_sample_says_read_every_payload) {
  ArchiveWorld world;
  world.set_many(60);
  ASSERT_TRUE(world.archiver->run());
  // One wrong byte, behind the archive's back: only reading it tells.
  class Lying final : public setget::testing::ForwardingArchive {
   public:
    using ForwardingArchive::ForwardingArchive;
    Result<Lookup> get_by_id(const GetById& request) override {
      auto found = ForwardingArchive::get_by_id(request);
      if (found && found->record && request.id == "r17") found->record->payload = Payload(R"({"n":2})");
      return found;
    }
    Result<std::vector<RangeDigest>> digest(const DigestArchive& request) override { return ArchiveBackend::digest(request); }
  };
  world.archive = std::make_shared<Lying>(world.archive);
  auto archiver = world.make_archiver();
  constexpr std::uint64_t kNights = 5;
  const auto found_in = [&](std::uint64_t nights) {
    std::uint64_t found = 0;
    for (std::uint64_t night = 0; night < nights; ++night) {
      // Not by the calendar: nights on which nothing ran are made up for.
      world.clock->advance(days(night % 2 == 0 ? 1 : 5));
      const auto report = archiver->nightly({.run = {}, .verify_sample = kNights}).value();
      found += report.verify->difference_count;
    }
    return found;
  };
  EXPECT_EQ(found_in(kNights), 1u);
  EXPECT_EQ(found_in(kNights), 1u);
  const auto checkpoint = archiver->checkpoint().value().value();
  EXPECT_EQ(checkpoint.verify_turn, 2 * kNights);
  EXPECT_EQ(checkpoint.last_differences, 1u);
  EXPECT_FALSE(archiver->nightly({.run = {}, .verify_sample = 0}).value().verify);
}

TEST(Archiver, says_how_far_a_run_is) {
  ArchiveWorld world({}, 16);
  world.set_many(100);
  std::vector<ArchiveProgress> seen;
  const ArchiveRunOptions options{.on_progress = [&](const ArchiveProgress& progress) { seen.push_back(progress); }};
  const auto report = world.archiver->run(options, patience()).value();
  ASSERT_GE(seen.size(), 7u);
  EXPECT_TRUE(seen.front().full_copy);
  EXPECT_EQ(seen.front().total, 100u);
  EXPECT_EQ(seen.front().read, 16u);
  EXPECT_TRUE(seen.front().left);
  EXPECT_FALSE(seen.back().full_copy);
  EXPECT_EQ(seen.back().read, 100u);
  EXPECT_EQ(seen.back().bytes, 100 * std::string_view(R"({"n":1})").size());
  EXPECT_EQ(report.bytes, seen.back().bytes);
  seen.clear();
  world.set_many(40, "later");
  ASSERT_TRUE(world.archiver->run(options, patience()));
  ASSERT_FALSE(seen.empty());
  EXPECT_FALSE(seen.front().full_copy);
  EXPECT_EQ(seen.front().total, 40u);
  EXPECT_EQ(seen.back().read, 40u);
}

TEST(Archiver, a_callback_that_throws_ends_the_run_and_the_next_goes_on) {
  ArchiveWorld world({}, 16);
  world.set_many(100);
  const ArchiveRunOptions options{.on_progress = [](const ArchiveProgress&) { throw std::runtime_error("no terminal"); }};
  EXPECT_EQ(world.archiver->run(options, patience()).error().code(), ErrorCode::kInternal);
  EXPECT_EQ(world.archiver->run().value().read, 100u - 16u);
}

TEST(Archiver, refuses_budgets_that_would_stand_still) {
  ArchiveWorld world;
  EXPECT_EQ(world.archiver->run({.max_share = 0}, patience()).error().field(), "max_share");
  EXPECT_EQ(world.archiver->run({.max_records_per_second = -1}, patience()).error().field(), "max_records_per_second");
}

TEST(ArchiveBudget, lets_work_go_on_by_the_stricter_of_its_limits) {
  using detail::ArchiveBudget;
  using Seconds = std::chrono::duration<double>;
  EXPECT_EQ((ArchiveBudget{}).due(1e9, Seconds(3)).count(), 0);
  EXPECT_EQ((ArchiveBudget{.records_per_second = 100}).due(250, Seconds(3)).count(), 2.5);
  EXPECT_EQ((ArchiveBudget{.share = 0.25}).due(1e9, Seconds(3)).count(), 12);
  EXPECT_EQ((ArchiveBudget{.records_per_second = 100, .share = 0.25}).due(250, Seconds(0.5)).count(), 2.5);
  EXPECT_EQ((ArchiveBudget{.records_per_second = 100, .share = 0.25}).due(250, Seconds(1)).count(), 4);
}

TEST(Archiver, keeps_to_its_rate_and_to_its_share_of_the_time) {
  ArchiveWorld world({}, 20);
  world.set_many(100);
  const auto by_rate = world.archiver->run({.max_records_per_second = 400}, patience()).value();
  EXPECT_GE(by_rate.took, Milliseconds(100 * 1000 / 400 - 1));
  world.set_many(400, "more");
  const auto by_share = world.archiver->run({.max_share = 0.05}, patience()).value();
  EXPECT_EQ(by_share.read, 400u);
  // Rounded down, and what comes after the last batch does not rest any more.
  EXPECT_GE(by_share.took.count() + 1, 5 * by_share.worked.count());
}

TEST(Archiver, the_verification_of_a_night_keeps_to_its_share_too) {
  ArchiveWorld world;
  world.set_many(setget_test::kSanitized ? 500 : 4000);  // much beside what it takes to start a thread on a busy machine
  ArchiverOptions options;
  options.key_store = world.key_store;
  options.archive = world.archive;
  options.policy = world.policy;
  options.batch = 20;
  options.max_share = 0.1;
  options.clock = world.clock;
  const auto archiver = Archiver::create(std::move(options)).value();
  ASSERT_TRUE(world.archiver->run());
  // As fast as it can, to know what there is to do.
  const auto timed = [](Archiver& one) {
    const auto began = Deadline::Steady::now();
    EXPECT_TRUE(one.verify({.deep = true}).value().equal());
    return Deadline::Steady::now() - began;
  };
  const auto quickest = [&] { return std::min({timed(*world.archiver), timed(*world.archiver), timed(*world.archiver)}); };
  // Before and after: the machine may be busy at one of these times.
  const auto before = quickest();
  const auto shared = timed(*archiver);
  EXPECT_GE(shared, 3 * std::min(before, quickest()));
}

TEST(Archiver, a_rest_longer_than_the_lease_does_not_lose_it_and_a_cancel_ends_it) {
  ArchiveWorld world({}, 10);
  world.set_many(30);
  const auto other = world.make_archiver(10);
  ArchiveRunOptions options;
  options.max_records_per_second = 0.001;  // hours
  // The clock passes the lease twice while it rests.
  std::jthread meanwhile;
  options.on_progress = [&](const ArchiveProgress&) {
    meanwhile = std::jthread([&] {
      const auto until = Deadline::in(std::chrono::seconds(30));
      for (int i = 0; i < 4; ++i) {
        world.clock->advance(Milliseconds(300));
        const auto now = world.clock->now();
        while (world.archive->load_checkpoint().value()->runner_until < now + Milliseconds(450) && !until.passed())
          std::this_thread::yield();
      }
      EXPECT_EQ(other->run().error().code(), ErrorCode::kConflict);
      world.archiver->cancel();
    });
  };
  ArchiverOptions quick;
  quick.key_store = world.key_store;
  quick.archive = world.archive;
  quick.policy = world.policy;
  quick.batch = 10;
  quick.lease = Milliseconds(600);
  quick.clock = world.clock;
  world.archiver = Archiver::create(std::move(quick)).value();
  EXPECT_EQ(world.archiver->run(options, patience()).error().code(), ErrorCode::kCancelled);
  meanwhile.join();
  EXPECT_EQ(other->run().value().read, 20u);
}

}  // namespace
