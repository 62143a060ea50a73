// What ends: records that are not worth archiving, that expire, that are erased, and how long the archive keeps them.
#include "archive_support.hpp"

namespace {

using namespace setget_test;

TEST(Archiver, leaves_out_and_counts_what_ends_before_the_next_run_unless_its_flow_says_always) {
  Flows flows;
  flows.accounts["acme"].flows["keep"].archive = ArchiveMode::kAlways;
  ArchiveWorld world(flows);
  auto brief = request("brief", {"brief"});
  brief.ttl = Ttl::after(std::chrono::hours(1));
  world.set(brief);
  auto kept = request("kept", {"kept"});
  kept.flow = "keep";
  kept.ttl = Ttl::after(std::chrono::hours(1));
  world.set(kept);
  auto lasting = request("lasting", {"lasting"});
  lasting.ttl = Ttl::after(days(2));
  world.set(lasting);
  const auto report = world.archiver->run().value();
  EXPECT_EQ(report.skipped_short_lived, 1u);
  EXPECT_EQ(report.written, 2u);
  EXPECT_EQ(world.archived("brief").status, Lookup::Status::kUnknown);
  EXPECT_EQ(world.archived("kept").status, Lookup::Status::kFound);
}

TEST(Archiver, a_short_lived_version_still_replaces_the_older_one_in_the_archive) {
  ArchiveWorld world;
  world.set(request("x", {"k"}, R"("old")"));
  ASSERT_TRUE(world.archiver->run());
  auto brief = request("x", {"k"}, R"("brief")");
  brief.ttl = Ttl::after(std::chrono::hours(1));
  world.set(brief);
  ASSERT_TRUE(world.archiver->run());
  EXPECT_EQ(world.archived("x").record.value().payload.view(), R"("brief")");
  world.clock->advance(std::chrono::hours(1));
  EXPECT_EQ(world.archived("x").status, Lookup::Status::kGone);
}

TEST(Archiver, keeps_an_expired_record_for_its_flows_retention_and_an_erased_one_as_a_tombstone) {
  Flows flows;
  flows.accounts["acme"].flows["orders"].archive_retention = Ttl::after(days(10));
  ArchiveWorld world(flows);
  auto mortal = request("mortal", {"m"});
  mortal.ttl = Ttl::after(days(5));
  world.set(mortal);
  world.set(request("erased", {"e"}));
  ASSERT_TRUE(world.archiver->run());
  world.erase("erased");
  ASSERT_TRUE(world.archiver->run());
  EXPECT_EQ(world.archive_stats().tombstones, 1u);
  world.clock->advance(days(9));
  world.reclaim();  // the store evicts what expired; the archive is not told to forget it
  ASSERT_TRUE(world.archiver->run());
  EXPECT_EQ(world.archive_stats().records, 1u);
  world.clock->advance(days(2));
  EXPECT_EQ(world.archiver->run().value().purged, 1u);  // the tombstone: 10 days after the erase
  EXPECT_EQ(world.archive_stats().records, 1u);
  world.clock->advance(days(5));
  ASSERT_TRUE(world.archiver->run());
  EXPECT_EQ(world.archive_stats().records, 0u);
}

TEST(Archiver, learns_that_a_record_ended_earlier_than_it_knew) {
  ArchiveWorld world;
  auto lasting = request("x", {"k"}, R"("kept")");
  lasting.ttl = Ttl::after(days(30));
  world.set(lasting);
  ASSERT_TRUE(world.archiver->run());
  TouchRequest touch;
  touch.id = "x";
  touch.ttl = Ttl::after(std::chrono::minutes(1));
  ASSERT_TRUE(world.door->touch(touch));
  drain(*world.hands);
  world.clock->advance(std::chrono::hours(25));
  world.reclaim();  // so that the log tells of its end, and no more of the touch
  ASSERT_TRUE(world.archiver->run());
  EXPECT_EQ(world.archived("x").status, Lookup::Status::kGone);
  EXPECT_TRUE(world.archiver->verify().value().equal());
  EXPECT_EQ(world.archive_stats().records, 1u) << "expiry is no erase";
  const auto before = world.archive->get_by_id({.ns = {}, .id = "x", .now = TimePoint{}}).value();
  EXPECT_EQ(before.record.value().payload.view(), R"("kept")");
  world.clock->advance(days(31));
  ASSERT_TRUE(world.archiver->run());
  EXPECT_EQ(world.archive_stats().records, 0u) << "and its retention began then";
}

// The store forgets it, and read-through and restores would find the record alive.
TEST(Archiver, takes_away_what_ended_where_the_archive_refuses_its_tombstone) {
  ArchiveWorld world;
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  world.erase("r1");
  world.fragile->refused = {"r1"};
  const auto through = Reader::create({.key_store = world.key_store, .archive = world.archive, .read_through = true, .clock = world.clock});
  const auto told = [&] {
    world.clock->advance(Milliseconds(61'000));  // what it did not find counts as missing for a while
    std::string out;
    for (const auto* key : {"r/0", "r/1", "later"}) out += through.value()->find(key).value().record ? '1' : '0';
    return out;
  };
  for (int night = 0; night < 2; ++night) {
    ASSERT_EQ(world.archiver->run().value().quarantined, 1u);
    world.set(request("later", {"later"}));
    world.clock->advance(std::chrono::hours(24));
    world.reclaim();
    EXPECT_EQ(world.key_store.backend()->get_by_id({.id = "r1", .now = world.clock->now()}).value().status, Lookup::Status::kUnknown);
    EXPECT_EQ(told(), "101");
  }
  ASSERT_TRUE(world.archiver->run());
  ArchiveWorld fresh;
  fresh.clock->set(world.clock->now());
  fresh.archive = world.archive;
  fresh.archiver = fresh.make_archiver();
  EXPECT_EQ(fresh.archiver->restore().value().restored, 3u);
  EXPECT_FALSE(fresh.get("r/1"));

  world.fragile->refused.clear();
  ASSERT_EQ(world.archiver->run().value().quarantined, 0u);
  EXPECT_EQ(world.archived("r1").status, Lookup::Status::kGone);
  EXPECT_EQ(told(), "101");
}

TEST(Archiver, takes_nothing_away_that_is_newer_than_the_refused_tombstone) {
  ArchiveWorld world;
  world.set(request("x", {"k"}));
  ASSERT_TRUE(world.archiver->run());
  auto newer = world.archived("x").record.value();
  newer.version += stamp_at(TimePoint(std::chrono::hours(24)));
  ArchiveEntry entry;
  entry.id = newer.id;
  entry.version = newer.version;
  entry.record = std::move(newer);
  ASSERT_TRUE(world.archive->write({.entries = std::span(&entry, 1)}));
  world.erase("x");
  world.fragile->refused = {"x"};
  ASSERT_EQ(world.archiver->run().value().quarantined, 1u);
  EXPECT_EQ(world.archived("x").status, Lookup::Status::kFound);
}

// No record of the store tells it once more.
TEST(Archiver, tries_again_to_tell_of_an_end_that_came_earlier_than_the_archive_knew) {
  ArchiveWorld world;
  auto lasting = request("x", {"k"});
  lasting.ttl = Ttl::after(days(30));
  world.set(lasting);
  ASSERT_TRUE(world.archiver->run());
  TouchRequest touch;
  touch.id = "x";
  touch.ttl = Ttl::after(std::chrono::minutes(1));
  ASSERT_TRUE(world.door->touch(touch));
  drain(*world.hands);
  world.clock->advance(std::chrono::hours(25));
  world.reclaim();
  world.fragile->refused = {"x"};
  for (int night = 0; night < 2; ++night) ASSERT_EQ(world.archiver->run().value().quarantined, 1u);
  world.fragile->refused.clear();
  ASSERT_EQ(world.archiver->run().value().quarantined, 0u);
  EXPECT_EQ(world.archived("x").status, Lookup::Status::kGone);
  EXPECT_EQ(world.archive_stats().records, 1u) << "expiry is no erase";
}

}  // namespace
