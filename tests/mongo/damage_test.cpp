// Documents that somebody changed in the database, or that cannot be read: who finds them, who passes over them, and who mends them.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "mongo/archived.hpp"
#include "mongo/names.hpp"

namespace {

using namespace mongo_test;

class MongoDamage : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { SETGET_REQUIRE_MONGO(GetParam()); }
  static mongo::Options options() { return shared_server(GetParam()).options(); }
};

TEST_P(MongoDamage, verify_finds_what_somebody_changed_in_the_database_and_mends_it) {
  using Kind = Difference::Kind;
  auto with = options();
  with.max_inline_bytes = 1024;
  Archived world(with, 600);
  for (const auto& how : {VerifyOptions{}, VerifyOptions{.deep = true}, VerifyOptions{.deep = true, .deep_sample = 3}}) {
    const auto report = world.archiver->verify(how).value();
    EXPECT_TRUE(report.equal());
    EXPECT_EQ(report.ranges_differing, 0u) << "digests say so";
  }
  struct Change {
    const char* id;
    Kind kind;
    std::function<void(const char*)> make;
  };
  const auto update = [&](const char* with_what) { return [&world, with_what](const char* id) { world.change(id, with_what); }; };
  const auto reseal = [&](void (*change)(std::string&)) { return [&world, change](const char* id) { world.reseal(id, change); }; };
  const Change changes[] = {
      {"r5", Kind::kContent, update(R"({"$set": {"state.keys": [" k/5"]}})")},
      {"r33", Kind::kExpiry, update(R"({"$set": {"state.expires_at": {"$date": {"$numberLong": "4000000000000"}}}})")},
      {"r44", Kind::kContent, update(R"({"$unset": {"state.seal": ""}})")},
      {"r45", Kind::kContent, reseal([](std::string& seal) { seal.back() ^= 1; })},
      {"r6", Kind::kContent, update(R"({"$unset": {"state.keys": ""}})")},
      {"r7", Kind::kContent, update(R"({"$unset": {"state.stamp": ""}})")},
      {"r8", Kind::kContent, update(R"({"$set": {"state.keys": [" k/8", " l/8", "elsewhere k/8"]}})")},
      {"r9", Kind::kContent, update(R"({"$set": {"state.keys": [" k/9", " l/8"]}})")},
      {"r12", Kind::kContent, update(R"({"$set": {"state.stamp": {"$numberLong": "1790000000000000"}}})")},
      {"r13", Kind::kExpiry, reseal([](std::string& seal) { seal[1] ^= 3; })},
      {"r14", Kind::kContent, reseal([](std::string& seal) { seal.pop_back(); })},
      {"r15", Kind::kContent, update(R"({"$set": {"state.keys": ["k/15", " l/15"]}})")},
  };
  std::map<std::string, Kind> shallow;
  for (const auto& [id, kind, make] : changes) {
    shallow.emplace(id, kind);
    // Each alone, so that nothing else leads a look to it. What a digest is made of is no matter of the server, and FerretDB takes a
    // minute.
    if (GetParam() == mongo_test::Kind::kFerret) continue;
    make(id);
    EXPECT_EQ(world.verify({}), (std::map<std::string, Kind>{{id, kind}}));
    EXPECT_EQ(world.archiver->verify({.repair = true}).value().repaired, 1u) << id;
    EXPECT_TRUE(world.archiver->verify().value().equal()) << id;
  }
  for (const auto& [id, kind, make] : changes) make(id);
  EXPECT_EQ(world.verify({}), shallow);
  // What nobody but people reads is nobody's loss.
  world.change("r11", R"({"$set": {"record.account": 7}, "$unset": {"record.created_at": "", "record.flow": ""}})");
  EXPECT_EQ(world.verify({}), shallow);
  // Bytes of a payload, of one in pieces too, and what stands beside them: only who reads them can tell.
  world.change("r78", R"({"$set": {"record.lost": {"$binary": {"base64": "BGsvNzg=", "subType": "00"}}}})");
  world.change("r79", R"({"$set": {"record.mark": "00000000000009.0000000000000000.7fffffffffffffff"}})");
  world.change("r77", R"({"$set": {"record.payload": {"$binary": {"base64": "AAAA", "subType": "00"}}}})");
  ASSERT_TRUE(world.archive.command(R"({"delete": ")" + with.collection + R"(.chunks", "deletes": [{"q": {}, "limit": 1}]})"));
  EXPECT_EQ(world.verify({}), shallow);
  const auto deep = world.verify({.deep = true});
  EXPECT_EQ(deep.size(), shallow.size() + 4);
  for (const auto* id : {"r77", "r78", "r79"}) EXPECT_TRUE(deep.contains(id) && deep.at(id) == Kind::kContent) << id;
  EXPECT_EQ(world.archiver->verify({.deep = true, .repair = true}).value().repaired, deep.size());
  EXPECT_TRUE(world.archiver->verify({.deep = true}).value().equal());
}

// One document after the other is damaged by hand, each in another way.
struct Damaged : Archived {
  static constexpr int kCount = 40;
  explicit Damaged(const mongo::Options& options, int count = kCount) : Archived(options, count) {
    change("r1", R"({"$set": {"state.expires_at": "soon"}})");
    change("r2", R"({"$set": {"state": "text"}})");
    change("r3", R"({"$unset": {"record": ""}})");
    change("r4", R"({"$set": {"record.payload": "y)" + std::string(29, 'x') + R"(4"}})");
    change("r5", R"({"$unset": {"state.stamp": ""}})");
    change("r6", R"({"$set": {"state.keys": "text"}})");
    change("r7", R"({"$set": {"state": true}})");
    change("r8", R"({"$set": {"format": "three"}})");
    change("r9", R"({"$unset": {"state": ""}})");
    const auto piece = mongo::document_id({}, "r10");
    EXPECT_TRUE(archive.command(R"({"delete": ")" + options.collection + R"(.chunks", "deletes": [{"q": {"_id": {"$gte": ")" + piece +
                                R"( ", "$lt": ")" + piece + R"(!"}}, "limit": 1}]})"));
    change("r11", R"({"$set": {"state.mark": 5}})");
    change("r12", R"({"$set": {"end": {"mark": "g"}}})");
    change("r13", R"({"$set": {"end": "text"}})");
  }
  // Documents that are nobody's, before, among and behind the archive's.
  void stray(const std::string& name) {
    EXPECT_TRUE(archive.command(R"({"insert": ")" + archive.options().collection + R"(", "documents": [{"_id": ")" + name +
                                R"(", "format": )" + std::to_string(mongo::kFormat) + R"(, "ns": "", "state": {}}]})"));
  }
  static std::set<std::string> all() {
    std::set<std::string> ids;
    for (int i = 0; i < kCount; ++i) ids.insert("r" + std::to_string(i));
    return ids;
  }
  static bool is_damaged(const std::string& id) { return id.size() < 4 && std::stoi(id.substr(1)) >= 1 && std::stoi(id.substr(1)) <= 13; }
  static constexpr std::size_t kDamaged = 13;
  static mongo::Options with_pieces(mongo::Options options) {
    options.max_inline_bytes = 1024;
    return options;
  }
};

// All pages of a scan.
struct Scanned {
  std::multiset<std::string> read{};
  std::multiset<std::string> told{};      // the damaged ones of the archive's
  std::multiset<std::string> nameless{};  // and what is none of it
};
Scanned scan_over_damage(ArchiveBackend& archive, std::size_t limit, bool with_records) {
  Scanned out;
  std::string cursor;
  for (int pages = 0; pages < 100; ++pages) {
    const auto page = archive.scan({.cursor = cursor, .limit = limit, .with_records = with_records, .over_damaged = true}).value();
    EXPECT_LE(page.items.size() + page.damaged.size(), limit);
    for (const auto& item : page.items) {
      // Of r3 nothing is left that says whose it was.
      EXPECT_TRUE(item.record.has_value() == with_records && (item.account == "acme" || item.id == "r3")) << item.id;
      out.read.insert(item.id);
    }
    for (const auto& item : page.damaged) {
      EXPECT_FALSE(item.reason.empty());
      EXPECT_TRUE(item.id.empty() || item.hash == identity_hash(item.ns, item.id)) << item.id;
      if (item.id.empty()) {
        out.nameless.insert(item.name);
      } else {
        out.told.insert(item.id);
      }
    }
    cursor = page.next;
    if (cursor.empty()) return out;
  }
  ADD_FAILURE() << "it has no end";
  return out;
}

TEST_P(MongoDamage, a_scan_goes_on_over_what_is_damaged_and_tells_whose_it_is) {
  Damaged world(Damaged::with_pieces(options()));
  const std::multiset<std::string> strays{"00", "0123456789abcdef", "7fff", "8000000000000000 nobody", "nobody's"};
  for (const auto& name : strays) world.stray(name);
  const std::multiset<std::string> lines{"r1", "r11", "r12", "r13", "r2", "r5", "r6", "r7", "r8", "r9"};
  const std::multiset<std::string> records{"r1", "r10", "r11", "r12", "r13", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9"};
  const auto look = [&](const char* when) {
    for (const auto limit : {1u, 3u, 500u}) {
      for (const bool with_records : {true, false}) {
        auto all = scan_over_damage(*world.archive, limit, with_records);
        EXPECT_EQ(all.told, with_records ? records : lines) << when << limit;
        EXPECT_EQ(all.read.size(), Damaged::kCount - all.told.size()) << when << limit;
        EXPECT_EQ(std::set<std::string>(all.read.begin(), all.read.end()).size(), all.read.size()) << "each once";
        all.nameless.erase("");
        EXPECT_EQ(all.nameless, strays) << when << limit;
      }
    }
  };
  look("limit ");
  // What is no text sorts before or behind all that is.
  ASSERT_TRUE(world.archive.command(R"({"insert": ")" + world.archive.options().collection +
                                    R"(", "documents": [{"_id": 5}, {"_id": {"$oid": "65a000000000000000000000"}}, {"_id": true}]})"));
  look("and others, limit ");
  const auto plain = world.archive->scan({.with_records = true});
  ASSERT_FALSE(plain) << "who did not ask for it";
  EXPECT_EQ(plain.error().code(), ErrorCode::kCorrupted);
}

// However many ranges there are: each is told once, where it stands.
TEST_P(MongoDamage, verify_tells_what_is_nobodys_and_counts_nothing_that_no_line_finds) {
  Damaged world(options(), 1100);
  const std::multiset<std::string> strays{"00", "0123456789abcdef", "7fff", "8000000000000000 nobody", "AB", "nobody's", "zzz"};
  for (const auto& name : strays) world.stray(name);
  ASSERT_TRUE(world.archive.command(R"({"insert": ")" + world.archive.options().collection +
                                    R"(", "documents": [{"_id": 5}, {"_id": {"$oid": "65a000000000000000000000"}}, {"_id": true}]})"));
  const auto told = [&world] {
    const auto report = world.archiver->verify().value();
    EXPECT_GE(report.ranges, 4u);
    std::multiset<std::string> names;
    for (const auto& one : report.differences) names.insert(one.id);
    EXPECT_EQ(names.size(), report.difference_count);
    return names;
  };
  auto expected = strays;
  for (int i = 1; i <= 13; ++i) {
    // Of these only the bytes are damaged.
    if (i != 3 && i != 4 && i != 10) expected.insert("r" + std::to_string(i));
  }
  EXPECT_EQ(told(), expected);
  EXPECT_EQ(world.archiver->verify({.repair = true}).value().repaired, expected.size() - strays.size());
  EXPECT_EQ(told(), strays);
  ASSERT_TRUE(world.archive.command(R"({"delete": ")" + world.archive.options().collection +
                                    R"(", "deletes": [{"q": {"ns": "", "state": {}}, "limit": 0}]})"));
  const auto report = world.archiver->verify().value();
  EXPECT_TRUE(report.equal());
  EXPECT_EQ(report.ranges_differing, 0u);
}

TEST_P(MongoDamage, a_restore_brings_back_what_is_healthy_and_tells_what_is_damaged) {
  Damaged world(Damaged::with_pieces(options()));
  auto store = memory::open().value().key_store();
  ArchiverOptions with;
  with.key_store = store;
  with.archive = world.archive.database().archive();
  with.policy = std::make_shared<TtlPolicy>(Flows{});
  with.batch = 7;
  const auto report = Archiver::create(with).value()->restore();
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(report->restored, Damaged::kCount - Damaged::kDamaged);
  EXPECT_EQ(report->damaged, Damaged::kDamaged);
  for (const auto& item : report->damaged_list) EXPECT_TRUE(Damaged::is_damaged(item.id)) << item.id;
  for (const auto& id : Damaged::all()) {
    EXPECT_EQ(store.get_by_id(id, system_clock()->now()).value().has_value(), !Damaged::is_damaged(id)) << id;
  }
}

TEST_P(MongoDamage, verify_finds_each_damaged_document_and_mends_it_from_the_store) {
  Damaged world(Damaged::with_pieces(options()));
  const auto found = world.verify({.deep = true});
  EXPECT_EQ(found.size(), Damaged::kDamaged);
  for (const auto& [id, kind] : found) EXPECT_TRUE(Damaged::is_damaged(id) && kind == Difference::Kind::kContent) << id;
  EXPECT_EQ(world.archiver->verify({.deep = true, .repair = true}).value().repaired, Damaged::kDamaged);
  EXPECT_TRUE(world.archiver->verify({.deep = true}).value().equal());
  EXPECT_EQ(world.archive.count(), Damaged::kCount);
}

TEST_P(MongoDamage, a_damaged_document_stops_no_other_of_its_bulk_and_no_write_of_it_stops_a_repair) {
  Damaged world(Damaged::with_pieces(options()));
  std::vector<ArchiveEntry> entries;
  const auto now = system_clock()->now();
  for (const auto& id : Damaged::all()) {
    ArchiveEntry entry{.ns = {}, .id = id};
    entry.record = world.store.get_by_id(id, now).value().value();
    entry.record.version += 1;
    entry.version = entry.record.version;
    entries.push_back(std::move(entry));
  }
  const auto results = world.archive->write({.entries = entries});
  ASSERT_TRUE(results) << results.error().describe();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& result = results->at(i);
    if (!Damaged::is_damaged(entries[i].id)) {
      EXPECT_TRUE(result && *result == ArchiveWrite::kWritten) << entries[i].id;
    }
  }
  // What is still damaged is told, and can be removed and written.
  std::vector<ArchiveId> ids;
  for (const auto& entry : entries) ids.push_back({.ns = {}, .id = entry.id});
  EXPECT_EQ(world.archive->remove(ids).value(), entries.size());
  EXPECT_EQ(world.archive.count(".chunks"), 0);
  EXPECT_EQ(written(world.archive->write({.entries = entries}).value()), entries.size());
  EXPECT_TRUE(world.archive->scan({.with_records = true}).value().damaged.empty());
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoDamage, ::testing::ValuesIn(kinds()), [](const auto& test) { return name_of(test.param); });

}  // namespace
