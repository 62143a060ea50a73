#include <algorithm>

#include "archive_support.hpp"

namespace {

using namespace setget_test;
using Kind = Difference::Kind;

std::vector<std::pair<std::string, Kind>> found(const VerifyReport& report) {
  std::vector<std::pair<std::string, Kind>> list;
  for (const auto& difference : report.differences) list.emplace_back(difference.id, difference.kind);
  std::ranges::sort(list);
  return list;
}

ArchiveEntry entry_of(Record record) {
  ArchiveEntry entry;
  entry.id = record.id;
  entry.version = record.version;
  entry.revision = record.revision;
  entry.record = std::move(record);
  return entry;
}

class Verify : public ::testing::Test {
 protected:
  // Replaces what the archive holds, versions or not.
  void put(Record record) {
    const std::vector<ArchiveId> ids{{.ns = record.ns, .id = record.id}};
    ASSERT_TRUE(world_.archive->remove(ids));
    const std::vector<ArchiveEntry> entries{entry_of(std::move(record))};
    ASSERT_TRUE(world_.archive->write({.entries = entries}));
  }
  void lose(const std::string& id) {
    const std::vector<ArchiveId> ids{{.ns = {}, .id = id}};
    ASSERT_EQ(world_.archive->remove(ids).value(), 1u);
  }
  void SetUp() override {
    world_.set_many(30);
    ASSERT_TRUE(world_.archiver->run());
  }
  ArchiveWorld world_;
};

TEST_F(Verify, finds_both_sides_equal_after_a_run) {
  for (const bool deep : {false, true}) {
    const auto report = world_.archiver->verify({.deep = deep}).value();
    EXPECT_TRUE(report.equal());
    EXPECT_EQ(report.compared, 30u);
  }
}

TEST_F(Verify, names_every_kind_of_difference_and_repairs_what_the_store_knows_better) {
  lose("r1");
  auto older = world_.archived("r2").record.value();
  older.version -= 1;
  put(older);
  auto other_bytes = world_.archived("r3").record.value();
  other_bytes.payload = R"("tampered")";
  put(other_bytes);
  auto other_expiry = world_.archived("r4").record.value();
  other_expiry.expires_at = world_.clock->now() + days(400);
  put(other_expiry);
  auto newer = world_.archived("r5").record.value();
  newer.version += 10;
  put(newer);
  auto stray = world_.archived("r6").record.value();
  stray.id = "stray";
  put(stray);

  const std::vector<std::pair<std::string, Kind>> expected{{"r1", Kind::kMissingInArchive}, {"r2", Kind::kOlderInArchive},
                                                           {"r3", Kind::kContent},          {"r4", Kind::kExpiry},
                                                           {"r5", Kind::kNewerInArchive},   {"stray", Kind::kOnlyInArchive}};
  EXPECT_EQ(found(world_.archiver->verify().value()), expected);
  EXPECT_EQ(found(world_.archiver->verify({.deep = true}).value()), expected);
  const auto limited = world_.archiver->verify({.max_differences = 2}).value();
  EXPECT_EQ(limited.differences.size(), 2u);
  EXPECT_EQ(limited.difference_count, 6u);

  const auto repaired = world_.archiver->verify({.repair = true}).value();
  EXPECT_EQ(repaired.repaired, 4u);
  const std::vector<std::pair<std::string, Kind>> left{{"r5", Kind::kNewerInArchive}, {"stray", Kind::kOnlyInArchive}};
  EXPECT_EQ(found(world_.archiver->verify().value()), left);
  EXPECT_EQ(world_.archiver->verify({.repair = true, .prune = true}).value().repaired, 1u);
  EXPECT_EQ(world_.archived("stray").status, Lookup::Status::kUnknown);
}

TEST_F(Verify, an_erase_that_the_archive_missed_is_a_difference) {
  const auto before = world_.archived("r1").record.value();
  world_.erase("r1");
  ASSERT_TRUE(world_.archiver->run());
  put(before);
  EXPECT_EQ(found(world_.archiver->verify().value()), (std::vector<std::pair<std::string, Kind>>{{"r1", Kind::kOlderInArchive}}));
  EXPECT_EQ(world_.archiver->verify({.repair = true}).value().repaired, 1u);
  EXPECT_EQ(world_.archived("r1").status, Lookup::Status::kGone);
  EXPECT_TRUE(world_.archiver->verify().value().equal());
}

TEST_F(Verify, changes_since_the_last_run_are_no_differences) {
  world_.set(request("new", {"new"}));
  world_.set(request("r1", {"r/1"}, R"("changed")"));
  world_.erase("r2");
  const auto report = world_.archiver->verify().value();
  EXPECT_TRUE(report.equal()) << report.differences.at(0).id;
  lose("r3");
  EXPECT_EQ(found(world_.archiver->verify().value()), (std::vector<std::pair<std::string, Kind>>{{"r3", Kind::kMissingInArchive}}));
}

TEST_F(Verify, leaves_out_what_the_rules_leave_out_of_the_archive) {
  auto brief = request("brief", {"brief"});
  brief.ttl = Ttl::after(std::chrono::hours(2));
  world_.set(brief);
  ASSERT_TRUE(world_.archiver->run());
  const auto report = world_.archiver->verify().value();
  EXPECT_TRUE(report.equal());
  EXPECT_EQ(report.skipped, 1u);
}

TEST_F(Verify, what_expired_or_was_forgotten_is_no_difference_on_either_side) {
  auto mortal = request("mortal", {"m"});
  mortal.ttl = Ttl::after(days(2));
  world_.set(mortal);
  world_.erase("r1");
  ASSERT_TRUE(world_.archiver->run());
  world_.clock->advance(days(3));
  EXPECT_TRUE(world_.archiver->verify().value().equal());  // expired, not yet evicted
  world_.reclaim();
  EXPECT_TRUE(world_.archiver->verify().value().equal());
  world_.set(request("later", {"l"}));
  ASSERT_TRUE(world_.archiver->run());
  world_.clock->advance(days(1));
  world_.reclaim();
  world_.reclaim();
  EXPECT_TRUE(world_.archiver->verify().value().equal());  // tombstones forgotten by the store
}

TEST(VerifyAlone, refuses_to_call_an_archive_equal_that_was_never_filled) {
  ArchiveWorld world;
  EXPECT_EQ(world.archiver->verify().error().code(), ErrorCode::kFailedPrecondition);
}

}  // namespace
