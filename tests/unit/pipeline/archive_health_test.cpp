#include "archive_support.hpp"

namespace {

using namespace setget_test;
using std::chrono::hours;
using std::chrono::minutes;

constexpr Milliseconds kGrace = hours(4);

// At 02:00 each night; runs are made by hand.
struct HealthWorld : ArchiveWorld {
  std::optional<Cron> schedule = Cron::parse("0 0 2 * * *").value();
  TimePoint midnight;
  HealthWorld() {
    midnight = std::chrono::ceil<std::chrono::days>(clock->now());
    clock->set(midnight + hours(2));
  }
  ArchiveHealth health() { return archive_health(*key_store.backend(), *archive, "archiver", clock->now()).value(); }
  std::vector<Finding> findings() { return judge_archive(health(), schedule, kGrace, clock->now()); }
  bool finds(std::string_view what) {
    for (const auto& finding : findings()) {
      if (finding.what.find(what) != std::string::npos) return true;
    }
    return false;
  }
};

TEST(ArchiveHealth, all_is_well_from_one_run_to_the_next_and_until_its_retries_are_over) {
  HealthWorld world;
  EXPECT_TRUE(world.finds("nothing has ever been archived"));
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  for (const auto at : {hours(3), hours(20), hours(24 + 2), hours(24 + 6)}) {
    world.clock->set(world.midnight + at);
    EXPECT_TRUE(world.findings().empty()) << world.findings().at(0).what;
  }
  world.clock->set(world.midnight + hours(24 + 6) + minutes(1));
  ASSERT_EQ(world.findings().size(), 1u);
  EXPECT_EQ(world.findings()[0].level, Finding::Level::kWarning);
  EXPECT_TRUE(world.finds("one was due at")) << world.findings()[0].what;
  world.clock->set(world.midnight + hours(48 + 7));
  EXPECT_EQ(world.findings()[0].level, Finding::Level::kError) << "two nights";
  ASSERT_TRUE(world.archiver->run());
  EXPECT_TRUE(world.findings().empty());
}

TEST(ArchiveHealth, an_archive_of_another_store_is_an_error_that_another_run_does_not_mend) {
  HealthWorld world;
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  HealthWorld other;
  other.archive = world.archive;
  EXPECT_TRUE(other.health().other_store);
  ASSERT_EQ(other.findings().size(), 1u) << "and no word of a log that does not go on";
  EXPECT_EQ(other.findings()[0].level, Finding::Level::kError);
  EXPECT_NE(other.findings()[0].fix.find("--adopt"), std::string::npos);
  const auto archiver = other.make_archiver();
  EXPECT_FALSE(archiver->run());
  ASSERT_TRUE(archiver->run(Deadline::in(minutes(1)), true));
  EXPECT_TRUE(other.findings().empty());
}

TEST(ArchiveHealth, thresholds_follow_the_schedule) {
  HealthWorld world;
  world.schedule = Cron::parse("@hourly").value();
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  world.clock->advance(hours(5));
  EXPECT_TRUE(world.findings().empty());
  world.clock->advance(minutes(1));
  EXPECT_TRUE(world.finds("one was due at"));
  world.schedule = Cron::parse("0 0 2 * * SUN").value();
  EXPECT_TRUE(world.findings().empty());
  world.schedule.reset();
  world.clock->advance(days(400));
  EXPECT_TRUE(world.findings().empty()) << "by hand, nothing is ever due";
}

TEST(ArchiveHealth, knows_how_many_changes_wait_and_for_how_long) {
  HealthWorld world;
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  EXPECT_EQ(world.health().lag, 0u);
  EXPECT_FALSE(world.health().oldest_change);
  world.clock->advance(hours(5));
  world.set(request("late", {"l"}));
  world.clock->advance(hours(2));
  world.erase("r1");
  world.clock->advance(hours(1));
  EXPECT_EQ(world.health().lag, 2u);
  EXPECT_EQ(world.health().oldest_change, Milliseconds(hours(3)));
  EXPECT_TRUE(world.findings().empty());
  world.clock->set(world.midnight + hours(24 + 7));
  EXPECT_TRUE(world.finds("2 changes wait")) << "they should have been archived at two";
}

TEST(ArchiveHealth, a_change_that_was_accepted_before_the_last_run_has_waited_no_longer_than_since_then) {
  HealthWorld world;
  ASSERT_TRUE(world.door->set(request("waits", {"w"})));
  world.clock->advance(hours(30));
  ASSERT_TRUE(world.archiver->run());
  world.clock->advance(hours(1));
  drain(*world.hands);
  EXPECT_EQ(world.health().oldest_change, Milliseconds(hours(1)));
}

TEST(ArchiveHealth, tells_of_failures_a_lost_cursor_and_what_a_night_found) {
  HealthWorld world;
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  world.fragile->writes_left = 0;
  world.set_many(3, "s");
  ASSERT_FALSE(world.archiver->run());
  EXPECT_TRUE(world.finds("the archive is away"));
  world.fragile->writes_left = -1;
  ASSERT_TRUE(world.archiver->run());
  ASSERT_TRUE(world.key_store.backend()->drop_cursor("archiver"));
  EXPECT_TRUE(world.finds("copies everything again"));
  ASSERT_TRUE(world.archiver->run());
  EXPECT_TRUE(world.findings().empty());
  const ArchiveId lost{"", "r1"};
  ASSERT_TRUE(world.archive->remove({&lost, 1}));
  ASSERT_EQ(world.archiver->nightly().value().verify->difference_count, 1u);
  EXPECT_TRUE(world.finds("found 1 differences"));
  // A verification that does not look at everything does not take it back.
  ASSERT_EQ(world.archiver->verify({.repair = true}).value().repaired, 1u);
  ASSERT_TRUE(world.archiver->nightly().value().verify->equal());
  EXPECT_TRUE(world.finds("found 1 differences"));
  ASSERT_TRUE(world.archiver->verify({.deep = true}).value().equal());
  EXPECT_TRUE(world.findings().empty());
}

}  // namespace
