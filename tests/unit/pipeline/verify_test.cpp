#include <algorithm>
#include <cstdlib>

#include "archive_support.hpp"
#include "support/sanitized.hpp"

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

// A store that lost its end, but not its identity: what it calls gone, or has, is older than what the archive knows.
TEST_F(Verify, leaves_what_the_archive_knows_better_where_one_side_is_gone) {
  auto newer = world_.archived("r5").record.value();
  newer.version += 1'000'000;
  world_.erase("r5");
  ASSERT_TRUE(world_.archiver->run());
  put(newer);
  ArchiveEntry erased;
  erased.id = "r6";
  erased.version = world_.archived("r6").record.value().version + 10;
  erased.tombstone = true;
  const std::vector<ArchiveId> ids{{.ns = {}, .id = "r6"}};
  ASSERT_TRUE(world_.archive->remove(ids));
  ASSERT_TRUE(world_.archive->write({.entries = std::span(&erased, 1)}));

  const std::vector<std::pair<std::string, Kind>> expected{{"r5", Kind::kNewerInArchive}, {"r6", Kind::kNewerInArchive}};
  EXPECT_EQ(found(world_.archiver->verify().value()), expected);
  const auto repaired = world_.archiver->verify({.repair = true, .prune = true}).value();
  EXPECT_EQ(repaired.repaired, 0u);
  EXPECT_EQ(found(repaired), expected);
  EXPECT_EQ(world_.archived("r5").record.value().version, newer.version);
  EXPECT_EQ(world_.archived("r6").status, Lookup::Status::kGone);
}

TEST_F(Verify, what_the_archive_refuses_stays_unrepaired_and_the_others_are_mended) {
  for (const auto* id : {"r1", "r2", "r3", "r4"}) lose(id);
  world_.fragile->refused = {"r2", "r4"};
  const auto report = world_.archiver->verify({.repair = true}).value();
  EXPECT_EQ(report.difference_count, 4u);
  EXPECT_EQ(report.repaired, 2u);
  for (const auto& difference : report.differences) {
    EXPECT_EQ(difference.unrepaired.find("no room for " + difference.id) != std::string::npos,
              difference.id == "r2" || difference.id == "r4")
        << difference.id << difference.unrepaired;
  }
  world_.fragile->refused.clear();
  EXPECT_EQ(world_.archiver->verify({.repair = true}).value().repaired, 2u);
  EXPECT_TRUE(world_.archiver->verify().value().equal());
}

TEST_F(Verify, an_archive_that_goes_away_ends_a_repair) {
  lose("r1");
  world_.fragile->writes_left = 0;
  EXPECT_EQ(world_.archiver->verify({.repair = true}).error().code(), ErrorCode::kUnavailable);
}

TEST_F(Verify, a_damaged_document_is_a_difference_that_a_repair_writes_anew) {
  for (const bool told : {true, false}) {
    SCOPED_TRACE(told ? "an archive that tells it" : "an archive that does not");
    world_.fragile->tells_damaged = told;
    world_.fragile->damaged_records = {"r7"};
    world_.fragile->damaged_lines = {"r3", "r20"};
    lose("r5");
    const std::vector<std::pair<std::string, Kind>> lines{{"r20", Kind::kContent}, {"r3", Kind::kContent}, {"r5", Kind::kMissingInArchive}};
    auto all = lines;
    all.emplace_back("r7", Kind::kContent);
    EXPECT_EQ(found(world_.archiver->verify().value()), lines) << "what lines say";
    const auto deep = world_.archiver->verify({.deep = true}).value();
    EXPECT_EQ(found(deep), all);
    EXPECT_EQ(deep.difference_count, 4u);
    EXPECT_EQ(world_.archiver->verify({.deep = true, .repair = true}).value().repaired, 4u);
    EXPECT_TRUE(world_.archiver->verify({.deep = true}).value().equal());
  }
}

TEST_F(Verify, a_damaged_document_that_the_store_does_not_know_goes_only_with_prune) {
  auto stray = world_.archived("r6").record.value();
  stray.id = "stray";
  put(stray);
  world_.fragile->damaged_lines = {"stray"};
  EXPECT_EQ(world_.archiver->verify({.repair = true}).value().repaired, 0u);
  EXPECT_EQ(world_.archiver->verify({.repair = true, .prune = true}).value().repaired, 1u);
  EXPECT_TRUE(world_.archiver->verify().value().equal());
}

// A store that cannot read single records.
class DamagedStore final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  Result<Lookup> get_by_id(const GetById& request) override {
    if (damaged.contains(request.id)) return Error(ErrorCode::kUnsupported, "an entry of format 99");
    return ForwardingKeyStore::get_by_id(request);
  }
  Result<SummaryPage> scan(const ScanRecords& request) override {
    auto page = ForwardingKeyStore::scan(request);
    if (!page) return page;
    for (const auto& item : page->items) {
      if (damaged.contains(item.id)) return Error(ErrorCode::kUnsupported, "an entry of format 99");
    }
    return page;
  }
  Result<std::vector<RangeDigest>> digest(const DigestRecords& request) override { return KeyStoreBackend::digest(request); }
  std::set<std::string, std::less<>> damaged{};
};

TEST_F(Verify, a_record_that_the_store_cannot_read_is_a_difference_and_the_others_are_mended) {
  const auto store = std::make_shared<DamagedStore>(world_.key_store.backend());
  world_.key_store = KeyStore(store);
  const auto archiver = world_.make_archiver();
  store->damaged = {"r3", "r20"};
  lose("r5");
  const auto report = archiver->verify({.repair = true}).value();
  EXPECT_EQ(found(report),
            (std::vector<std::pair<std::string, Kind>>{{"r20", Kind::kContent}, {"r3", Kind::kContent}, {"r5", Kind::kMissingInArchive}}));
  EXPECT_EQ(report.repaired, 1u);
  EXPECT_TRUE(
      std::ranges::any_of(report.differences, [](const Difference& one) { return one.detail == "in the store: an entry of format 99"; }));
  EXPECT_EQ(world_.archived("r3").status, Lookup::Status::kFound) << "the better copy";
}

TEST_F(Verify, a_record_that_the_store_cannot_read_is_told_where_the_archive_has_not_got_it_either) {
  const auto store = std::make_shared<DamagedStore>(world_.key_store.backend());
  world_.key_store = KeyStore(store);
  const auto archiver = world_.make_archiver();
  store->damaged = {"r3"};
  lose("r3");
  EXPECT_EQ(archiver->verify().value().difference_count, 1u);
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

// Nor where another process archives meanwhile that it has gone.
TEST_F(Verify, what_expires_while_it_runs_is_no_difference) {
  for (const auto left : {Lookup::Status::kGone, Lookup::Status::kUnknown}) {
    auto brief = request("brief", {"brief"});
    brief.ttl = Ttl::after(Milliseconds(5'000));
    world_.set(brief);
    world_.set(request("kept", {"kept"}));
    ASSERT_TRUE(world_.archiver->run());
    const auto another = world_.make_archiver();
    world_.fragile->before_checkpoint = [&] {
      world_.clock->advance(std::chrono::hours(2));
      world_.reclaim();
      world_.set(request("later", {"later"}));
      ASSERT_TRUE(another->run());
      if (left == Lookup::Status::kUnknown) world_.reclaim();
    };
    const auto report = world_.archiver->verify().value();
    EXPECT_EQ(found(report).size(), 0u) << report.differences.at(0).detail;
    EXPECT_EQ(world_.key_store.backend()->get_by_id({.ns = {}, .id = "brief", .now = TimePoint{}}).value().status, left);
  }
}

TEST_F(Verify, a_repair_keeps_what_expired_in_the_store_as_expired) {
  for (const bool evicted : {false, true}) {
    SCOPED_TRACE(evicted);
    const std::string id = evicted ? "evicted" : "expired";
    auto mortal = request(id, {id}, R"("kept")");
    mortal.ttl = Ttl::after(days(5));
    world_.set(mortal);
    ASSERT_TRUE(world_.archiver->run());
    auto longer = world_.archived(id).record.value();
    longer.expires_at = world_.clock->now() + days(400);
    put(longer);
    world_.clock->advance(days(6));
    if (evicted) {
      world_.reclaim();
      ASSERT_TRUE(world_.archiver->run());
      put(longer);
    }
    const auto report = world_.archiver->verify({.repair = true}).value();
    EXPECT_EQ(report.repaired, report.difference_count);
    EXPECT_EQ(world_.archived(id).status, Lookup::Status::kGone);
    const auto kept = world_.archive->get_by_id({.ns = {}, .id = id, .now = TimePoint{}}).value();
    ASSERT_TRUE(kept.record) << "expiry is no erase";
    EXPECT_EQ(kept.record->payload.view(), R"("kept")");
    EXPECT_TRUE(world_.archiver->verify().value().equal());
  }
}

TEST_F(Verify, looks_only_into_ranges_that_differ) {
  ArchiveWorld world;
  world.set_many(3000, "many");
  ASSERT_TRUE(world.archiver->run());
  EXPECT_EQ(world.archiver->verify().value().ranges_differing, 0u);
  const std::vector<ArchiveId> ids{{.ns = {}, .id = "many1234"}};
  ASSERT_EQ(world.archive->remove(ids).value(), 1u);
  const auto report = world.archiver->verify().value();
  EXPECT_EQ(found(report), (std::vector<std::pair<std::string, Kind>>{{"many1234", Kind::kMissingInArchive}}));
  EXPECT_GT(report.ranges, 10u);
  EXPECT_EQ(report.ranges_differing, 1u);
  EXPECT_EQ(report.compared, 3000u);
}

TEST_F(Verify, finds_one_key_more_or_less) {
  auto fewer = world_.archived("r1").record.value();
  fewer.keys = KeyList({"r/other"});
  put(fewer);
  auto more = world_.archived("r2").record.value();
  more.keys = KeyList({"r/2", "more"});
  put(more);
  const auto report = world_.archiver->verify().value();
  EXPECT_EQ(found(report), (std::vector<std::pair<std::string, Kind>>{{"r1", Kind::kContent}, {"r2", Kind::kContent}}));
}

// An archive whose bytes of one record are not those that it remembers.
class Rotten final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<Lookup> get_by_id(const GetById& request) override {
    ++reads;
    if (request.id == bad) return Error(ErrorCode::kCorrupted, "its payload is not what was archived");
    return ForwardingArchive::get_by_id(request);
  }
  // By this one's own reads.
  Result<std::vector<RangeDigest>> digest(const DigestArchive& request) override { return ArchiveBackend::digest(request); }
  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    for (const auto& entry : request.entries) {
      if (entry.id == bad && rewritten) bad.clear();
    }
    return ForwardingArchive::write(request);
  }
  Result<std::size_t> remove_tagged(const RemoveTagged& request) override {
    rewritten = true;
    return ForwardingArchive::remove_tagged(request);
  }
  std::string bad{};
  bool rewritten = false;
  int reads = 0;
};

TEST_F(Verify, deep_finds_a_wrong_byte_and_repair_mends_it) {
  const auto rotten = std::make_shared<Rotten>(world_.archive);
  rotten->bad = "r7";
  world_.archive = rotten;
  const auto archiver = world_.make_archiver();
  EXPECT_TRUE(archiver->verify().value().equal()) << "nobody read it";
  EXPECT_EQ(rotten->reads, 0);
  EXPECT_EQ(found(archiver->verify({.deep = true}).value()), (std::vector<std::pair<std::string, Kind>>{{"r7", Kind::kContent}}));
  EXPECT_EQ(archiver->verify({.deep = true, .repair = true}).value().repaired, 1u);
  EXPECT_TRUE(archiver->verify({.deep = true}).value().equal());
}

TEST_F(Verify, a_sample_reads_everything_once_in_as_many_days) {
  const auto rotten = std::make_shared<Rotten>(world_.archive);
  rotten->bad = "r7";
  world_.archive = rotten;
  const auto archiver = world_.make_archiver();
  int found_on = 0;
  for (int day = 0; day < 5; ++day) {
    found_on += archiver->verify({.deep = true, .deep_sample = 5}).value().equal() ? 0 : 1;
    EXPECT_LT(rotten->reads, 40) << "of 30 records, and of the range that differs";
    world_.clock->advance(days(1));
  }
  EXPECT_EQ(found_on, 1);
  EXPECT_EQ(archiver->verify({.deep = true, .deep_sample = 0}).error().code(), ErrorCode::kInvalidArgument);
}

// Not of the payload, and yet of the record: who had a key first, and what a new policy may change.
TEST_F(Verify, finds_a_wrong_stamp_and_a_wrong_rule_and_mends_them) {
  auto stamp = world_.archived("r1").record.value();
  ++stamp.stamp;
  put(stamp);
  auto rule = world_.archived("r2").record.value();
  ASSERT_NE(rule.ttl_rule, TtlRule::kMessage);
  rule.ttl_rule = TtlRule::kMessage;
  put(rule);
  const std::vector<std::pair<std::string, Kind>> expected{{"r1", Kind::kContent}, {"r2", Kind::kExpiry}};
  for (const bool deep : {false, true}) EXPECT_EQ(found(world_.archiver->verify({.deep = deep}).value()), expected) << deep;
  EXPECT_EQ(world_.archiver->verify({.repair = true}).value().repaired, 2u);
  EXPECT_TRUE(world_.archiver->verify().value().equal());
}

// Between the last look at a document and its removal a run brings a newer one.
class Brought final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<std::size_t> remove(std::span<const ArchiveId> ids) override {
    bring();
    return ForwardingArchive::remove(ids);
  }
  Result<std::size_t> remove_tagged(const RemoveTagged& request) override {
    bring();
    return ForwardingArchive::remove_tagged(request);
  }
  std::vector<ArchiveEntry> newer{};

 private:
  void bring() {
    const auto now = std::exchange(newer, {});
    EXPECT_TRUE(now.empty() || inner()->write({.entries = now}));
  }
};

TEST_F(Verify, removes_nothing_that_came_after_its_last_look) {
  const auto brought = std::make_shared<Brought>(world_.archive);
  world_.archive = brought;
  const auto archiver = world_.make_archiver();
  auto stray = world_.archived("r6").record.value();
  stray.id = "stray";
  auto other_bytes = world_.archived("r3").record.value();
  for (auto* record : {&stray, &other_bytes}) {
    record->payload = R"("tampered")";
    put(*record);
    ++record->version;
    record->payload = R"("newer")";
    brought->newer = {entry_of(*record)};
    const auto report = archiver->verify({.repair = true, .prune = record == &stray}).value();
    EXPECT_TRUE(brought->newer.empty()) << "nothing was to be removed";
    EXPECT_EQ(world_.archived(record->id).record.value().payload.view(), R"("newer")") << record->id;
    EXPECT_EQ(report.repaired, 0u);
  }
}

TEST(VerifyAlone, refuses_to_call_an_archive_equal_that_was_never_filled) {
  ArchiveWorld world;
  EXPECT_EQ(world.archiver->verify().error().code(), ErrorCode::kFailedPrecondition);
}

TEST(VerifyAlone, finds_one_record_one_key_and_one_expiry_among_a_million) {
  const char* wanted = std::getenv("SETGET_VERIFY_RECORDS");
  const int count = wanted != nullptr ? std::atoi(wanted) : setget_test::kSanitized ? 5'000 : 20'000;
  ASSERT_GE(count, 1000);
  ArchiveWorld world({}, 5000);
  const auto now = world.clock->now();
  std::vector<ApplyEntry> sets;
  for (int i = 0; i < count; ++i) {
    ApplyEntry entry;
    entry.command.id = "r" + std::to_string(i);
    entry.command.keys = KeyList({"a/" + std::to_string(i), "b/" + std::to_string(i)});
    entry.command.account = "acme";
    entry.command.flow = "orders";
    entry.command.payload = Payload("x" + std::to_string(i));
    entry.encoded = encode_command(entry.command);
    entry.stamp = stamp_at(now) + static_cast<Stamp>(i);
    entry.expires_at = now + days(100);
    sets.push_back(std::move(entry));
    if (sets.size() < 1000 && i + 1 < count) continue;
    ASSERT_TRUE(world.key_store.backend()->apply({.entries = sets, .now = now}));
    sets.clear();
  }
  ASSERT_EQ(world.archiver->run().value().written, static_cast<std::uint64_t>(count));
  const auto equal = world.archiver->verify().value();
  EXPECT_TRUE(equal.equal());
  EXPECT_EQ(equal.ranges_differing, 0u);
  const auto change = [&](int number, auto how) {
    auto record = world.archived("r" + std::to_string(number)).record.value();
    const std::vector<ArchiveId> ids{{.ns = {}, .id = record.id}};
    ASSERT_EQ(world.archive->remove(ids).value(), 1u);
    if (!how(record)) return;
    const std::vector<ArchiveEntry> entries{entry_of(std::move(record))};
    ASSERT_TRUE(world.archive->write({.entries = entries}));
  };
  change(count / 2, [](Record&) { return false; });
  change(count / 3, [](Record& record) {
    record.keys = KeyList({"a/" + record.id.substr(1)});
    return true;
  });
  change(count / 4, [](Record& record) {
    *record.expires_at += Milliseconds(1);
    return true;
  });
  const auto report = world.archiver->verify().value();
  std::vector<std::pair<std::string, Kind>> expected{{"r" + std::to_string(count / 2), Kind::kMissingInArchive},
                                                     {"r" + std::to_string(count / 3), Kind::kContent},
                                                     {"r" + std::to_string(count / 4), Kind::kExpiry}};
  std::ranges::sort(expected);
  EXPECT_EQ(found(report), expected);
  EXPECT_LE(report.ranges_differing, 3u);
  EXPECT_EQ(world.archiver->verify({.repair = true}).value().repaired, 3u);
  EXPECT_TRUE(world.archiver->verify().value().equal());
}

}  // namespace
