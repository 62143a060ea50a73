// What only this archive has, on real servers: pieces, native documents, indexes, formats, errors of one document of a bulk, doctor.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "mongo/archived.hpp"
#include "mongo/counters.hpp"
#include "mongo/names.hpp"
#include "mongo/reader.hpp"
#include "mongo/trial.hpp"

#include <setget/archiver.hpp>
#include <setget/memory.hpp>

namespace {

using namespace mongo_test;

class MongoArchive : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { SETGET_REQUIRE_MONGO(GetParam()); }
  static mongo::Options options() { return shared_server(GetParam()).options(); }
  // open() gives a server more time before it takes it for one that is away, which is no error.
  static mongo::Options patient() {
    auto with = options();
    with.connect_timeout = Milliseconds(30'000);
    return with;
  }
};

TEST_P(MongoArchive, cuts_a_large_payload_into_pieces_and_gives_it_back_whole) {
  auto with = options();
  with.max_inline_bytes = 1024;
  Archive archive(with);
  const std::string large = std::string(2500, 'a') + std::string("\0\xff", 2) + std::string(2500, 'b');
  const auto entries = std::vector{document("large", 1, large), document("small", 1, "s"), document("exact", 1, std::string(1024, 'e'))};
  EXPECT_EQ(written(archive->write({.entries = entries}).value()), 3u);
  EXPECT_EQ(archive.count(".chunks"), 5);
  EXPECT_EQ(by_id(*archive, "large").record.value().payload.view(), large);
  const std::string_view key = "k/large";
  EXPECT_EQ(archive->get({.ns = {}, .keys = std::span(&key, 1), .now = TimePoint{}}).value().at(0).record.value().payload.view(), large);
  const auto page = archive->scan({.with_records = true}).value();
  ASSERT_EQ(page.items.size(), 3u);
  for (const auto& item : page.items) EXPECT_EQ(item.content, content_digest(item.record.value()));
  // A newer version, an older one, and the end: no piece of another version stays.
  const auto newer = document("large", 2, large + "!");
  EXPECT_EQ(written(archive->write({.entries = std::span(&newer, 1)}).value()), 1u);
  EXPECT_EQ(archive.count(".chunks"), 5);
  EXPECT_EQ(written(archive->write({.entries = entries}).value()), 0u);
  EXPECT_EQ(archive.count(".chunks"), 5);
  EXPECT_EQ(by_id(*archive, "large").record.value().payload.view(), large + "!");
  const auto end = gravestone("large", 3);
  EXPECT_EQ(written(archive->write({.entries = std::span(&end, 1)}).value()), 1u);
  EXPECT_EQ(archive.count(".chunks"), 0);
  EXPECT_EQ(by_id(*archive, "large").status, Lookup::Status::kGone);
}

TEST_P(MongoArchive, purging_and_removing_take_the_pieces_along) {
  auto with = options();
  with.max_inline_bytes = 1024;
  with.ttl_index = false;
  Archive archive(with);
  auto entries = std::vector{document("a", 1, std::string(3000, 'a')), document("b", 1, std::string(3000, 'b'))};
  entries[0].purge_at = TimePoint(Milliseconds(1000));
  ASSERT_EQ(written(archive->write({.entries = entries}).value()), 2u);
  EXPECT_EQ(archive.count(".chunks"), 6);
  EXPECT_EQ(archive->reclaim({.now = TimePoint(Milliseconds(1000))}).value(), 1u);
  EXPECT_EQ(archive.count(".chunks"), 3);
  const std::vector<ArchiveId> ids{{.ns = {}, .id = "b"}};
  EXPECT_EQ(archive->remove(ids).value(), 1u);
  EXPECT_EQ(archive.count(".chunks"), 0);
}

TEST_P(MongoArchive, another_process_purges_what_this_one_wrote_and_nobody_looks_before_it_is_due) {
  const auto counters = std::make_shared<Counters>();
  auto with = options();
  with.ttl_index = false;
  Archive archive(with);
  with.metrics = counters;
  const auto other = mongo::open(with).value().archive();
  const auto write = [&](const std::string& id, std::int64_t purge_at) {
    auto entry = document(id, 1);
    entry.purge_at = TimePoint(Milliseconds(purge_at));
    ASSERT_EQ(written(archive->write({.entries = std::span(&entry, 1)}).value()), 1u);
  };
  const auto finds_of_reclaim = [&](std::int64_t now, std::size_t steps) {
    const auto before = counters->of("setget_mongo_commands_total find ok");
    EXPECT_EQ(other->reclaim({.now = TimePoint(Milliseconds(now))}).value(), steps);
    return counters->of("setget_mongo_commands_total find ok") - before;
  };
  ASSERT_EQ(written(archive->write({.entries = documents(3, 1)}).value()), 3u);
  // The first of an object looks through pieces from some place on, and then from the beginning.
  (void)finds_of_reclaim(1'000'000, 0);
  const auto nothing_due = finds_of_reclaim(1'000'000, 0);
  write("late", 3000);
  write("later", 4000);
  EXPECT_EQ(finds_of_reclaim(2999, 0), nothing_due);
  EXPECT_EQ(finds_of_reclaim(3000, 1), nothing_due + 1);
  write("early", 2000);
  EXPECT_EQ(finds_of_reclaim(2000, 1), nothing_due + 1);
  EXPECT_EQ(finds_of_reclaim(4000, 1), nothing_due + 1);
  EXPECT_EQ(archive.count(), 3);
}

TEST_P(MongoArchive, a_missing_piece_is_damage_and_not_a_shorter_payload) {
  auto with = options();
  with.max_inline_bytes = 1024;
  Archive archive(with);
  const auto entry = document("a", 1, std::string(5000, 'a'));
  ASSERT_EQ(written(archive->write({.entries = std::span(&entry, 1)}).value()), 1u);
  ASSERT_TRUE(archive.command(R"({"delete": ")" + archive.options().collection + R"(.chunks", "deletes": [{"q": {}, "limit": 1}]})"));
  const auto found = archive->get_by_id({.ns = {}, .id = "a", .now = TimePoint{}});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kCorrupted);
}

TEST_P(MongoArchive, a_payload_over_sixteen_megabytes_comes_back_as_it_was) {
  Archive archive(options());
  std::string large(17u << 20, 'x');
  for (std::size_t i = 0; i < large.size(); i += 4096) large[i] = static_cast<char>(i >> 12);
  const auto entry = document("large", 1, large);
  ASSERT_EQ(written(archive->write({.entries = std::span(&entry, 1)}).value()), 1u);
  EXPECT_TRUE(by_id(*archive, "large").record.value().payload.view() == large);
}

TEST_P(MongoArchive, keeps_json_as_a_document_that_can_be_asked_for_beside_its_exact_bytes) {
  auto with = options();
  with.payload = mongo::PayloadForm::kDocument;
  Archive archive(with);
  const std::string json = R"({ "order" : {"total": 12.50, "lines": [1, 2]},   "note": "as sent" })";
  const auto entries =
      std::vector{document("json", 1, json), document("text", 1, "no json"), document("odd", 1, R"({"$where": 1, "a": 1, "a": 2})")};
  ASSERT_EQ(written(archive->write({.entries = entries}).value()), 3u);
  const auto place = archive.behind();
  mongo::Document filter;
  filter.add("record.document.order.total", 12.5);
  const auto deadline = Deadline::in(Milliseconds(20'000));
  std::vector<std::string> found;
  ASSERT_TRUE(place->clients().call(deadline, [&](mongoc_client_t* client) {
    return place->find(client, place->documents(), filter, mongo::Document(), false, deadline, [&](const bson_t* one) -> Result<void> {
      found.push_back(mongo::text_or_empty(one, "id"));
      return {};
    });
  }));
  EXPECT_EQ(found, std::vector<std::string>{"json"});
  for (const auto& entry : entries) EXPECT_EQ(by_id(*archive, entry.id).record.value().payload, entry.record.payload) << "byte for byte";
}

TEST_P(MongoArchive, a_payload_that_somebody_changed_in_the_database_is_found_out) {
  Archive archive(options());
  const auto entry = document("a", 1);
  ASSERT_EQ(written(archive->write({.entries = std::span(&entry, 1)}).value()), 1u);
  ASSERT_TRUE(archive.command(
      R"({"update": ")" + archive.options().collection +
      R"(", "updates": [{"q": {}, "u": {"$set": {"record.payload": {"$binary": {"base64": "AAAA", "subType": "00"}}}}}]})"));
  EXPECT_EQ(archive->get_by_id({.ns = {}, .id = "a", .now = TimePoint{}}).error().code(), ErrorCode::kCorrupted);
}

TEST_P(MongoArchive, an_index_of_its_name_with_other_fields_is_an_error_that_says_so) {
  const auto with = patient();
  {
    Archive other(options());  // only for its way to the server
    ASSERT_TRUE(
        other.command(R"({"createIndexes": ")" + with.collection + R"(", "indexes": [{"key": {"flow": 1}, "name": "setget_keys"}]})"));
  }
  const auto opened = mongo::open(with);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(opened.error().field(), "index");
  EXPECT_NE(opened.error().message().find("state.keys:1 state.stamp:-1"), std::string::npos) << opened.error().message();
  EXPECT_NE(opened.error().message().find("dropIndex"), std::string::npos);
}

TEST_P(MongoArchive, refuses_what_a_newer_version_wrote) {
  const auto with = patient();
  Archive archive(with);
  ASSERT_TRUE(archive.command(R"({"update": ")" + with.collection +
                              R"(.state", "updates": [{"q": {"_id": "format"}, "u": {"$set": {"min_reader": )" +
                              std::to_string(mongo::kFormat + 1) + "}}}]}"));
  const auto opened = mongo::open(with);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kUnsupported);
}

TEST_P(MongoArchive, documents_of_another_layout_are_refused_and_not_misread) {
  const auto with = patient();
  Archive archive(with);
  ASSERT_TRUE(archive.command(R"({"insert": ")" + with.collection + R"(", "documents": [{"_id": ")" + mongo::document_id({}, "a") +
                              R"(", "format": 1, "ns": "", "id": "a", "keys": ["k/a"], "order": "00000000000001.0000000000000000"}]})"));
  // It has no state, so a digest takes it for something that is like nothing else.
  const std::uint64_t start = 0;
  EXPECT_EQ(archive->digest({.starts = std::span(&start, 1)}).value().at(0).count, 1u);
  const auto entry = document("a", 2);
  (void)archive->write({.entries = std::span(&entry, 1)});
  EXPECT_EQ(archive->get_by_id({.ns = {}, .id = "a", .now = TimePoint{}}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(archive->scan({.with_records = true}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(archive->digest({.starts = std::span(&start, 1), .deep = {.of = 1}}).error().code(), ErrorCode::kUnsupported);
  // A state of another layout says so in its seal.
  archive.reseal(entry, [](std::string& seal) { seal[0] = static_cast<char>(mongo::kFormat + 1); });
  EXPECT_EQ(archive->digest({.starts = std::span(&start, 1)}).error().code(), ErrorCode::kUnsupported);
  // And an archive that says so is not opened at all.
  ASSERT_TRUE(archive.command(R"({"update": ")" + with.collection +
                              R"(.state", "updates": [{"q": {"_id": "format"}, "u": {"$set": {"format": 1, "min_reader": 1}}}]})"));
  const auto opened = mongo::open(with);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kUnsupported);
  EXPECT_NE(opened.error().message().find("another collection"), std::string::npos) << opened.error().message();
}

// A unique index that somebody made on the archive's collection refuses one document of a bulk.
TEST_P(MongoArchive, an_error_of_one_document_of_a_bulk_is_that_documents_alone) {
  Archive archive(options());
  ASSERT_TRUE(archive.command(R"({"createIndexes": ")" + archive.options().collection +
                              R"(", "indexes": [{"key": {"record.owner": 1}, "name": "theirs", "unique": true}]})"));
  auto entries = documents(9, 1);
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i].record.owner = "o" + std::to_string(i);
  entries[5].record.owner = "o2";
  for (int again = 0; again < 2; ++again) {
    const auto results = archive->write({.entries = entries}).value();
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (i == 5) {
        ASSERT_FALSE(results[i]);
        EXPECT_EQ(results[i].error().code(), ErrorCode::kConflict);
        EXPECT_EQ(results[i].error().native_code(), 11000);
      } else {
        ASSERT_TRUE(results[i]) << results[i].error().describe();
        EXPECT_EQ(*results[i], again == 0 ? ArchiveWrite::kWritten : ArchiveWrite::kOlder);
      }
    }
  }
  EXPECT_EQ(archive->stats().value().records, 8u);
}

TEST_P(MongoArchive, an_archive_run_keeps_the_refused_document_in_quarantine_and_archives_it_once_it_may) {
  Archive archive(options());
  ASSERT_TRUE(archive.command(R"({"createIndexes": ")" + archive.options().collection +
                              R"(", "indexes": [{"key": {"record.owner": 1}, "name": "theirs", "unique": true}]})"));
  auto store = memory::open().value().key_store();
  std::vector<ApplyEntry> sets;
  for (int i = 0; i < 12; ++i) {
    ApplyEntry entry;
    entry.command.id = "r" + std::to_string(i);
    entry.command.keys = KeyList({"k/" + std::to_string(i)});
    entry.command.account = "acme";
    entry.command.flow = "orders";
    entry.command.owner = i == 7 ? "o3" : "o" + std::to_string(i);
    entry.command.payload = Payload("x");
    entry.encoded = encode_command(entry.command);
    entry.stamp = stamp_at(system_clock()->now()) + static_cast<Stamp>(i);
    sets.push_back(std::move(entry));
  }
  ASSERT_TRUE(store.backend()->apply({.entries = sets, .now = system_clock()->now()}));
  ArchiverOptions with;
  with.key_store = store;
  with.archive = archive.database().archive();
  with.policy = std::make_shared<TtlPolicy>(Flows{});
  const auto archiver = Archiver::create(with).value();
  EXPECT_EQ(archiver->run().value().quarantined, 1u);
  EXPECT_EQ(archive->stats().value().records, 11u);
  const auto kept = archive->quarantined({}).value().entries;
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_TRUE(kept[0].id == "r7" || kept[0].id == "r3");
  EXPECT_NE(kept[0].reason.find("unique index"), std::string::npos) << kept[0].reason;
  const auto findings = archive.database().doctor().value();
  EXPECT_TRUE(std::ranges::any_of(findings, [](const Finding& one) {
    return one.level == Finding::Level::kWarning && one.what.find("quarantine") != std::string::npos;
  }));
  ASSERT_TRUE(archive.command(R"({"dropIndexes": ")" + archive.options().collection + R"(", "index": "theirs"})"));
  const auto healed = archiver->run().value();
  EXPECT_EQ(healed.quarantined, 0u);
  EXPECT_TRUE(archiver->verify({.deep = true}).value().equal());
}

TEST_P(MongoArchive, a_verify_of_what_agrees_costs_as_many_round_trips_however_much_there_is) {
  const auto counters = std::make_shared<Counters>();
  auto with = options();
  with.metrics = counters;
  Archived world(with, 1200);
  const auto before = counters->all();
  EXPECT_EQ(world.archiver->verify().value().ranges_differing, 0u);
  EXPECT_LE(counters->all() - before, 8) << "the checkpoint, and one cursor over all documents";
}

// Scans of records read ahead. What others write meanwhile is seen once that is older than its bound.
TEST_P(MongoArchive, pages_that_were_read_ahead_are_read_again_once_they_are_older_than_their_bound) {
  EXPECT_EQ(mongo::Reader::kFreshFor, Milliseconds(10'000)) << "what docs/mongo.md says";
  for (const auto fresh_for : {Milliseconds(0), Milliseconds(600'000)}) {
    Archive archive(options());
    ASSERT_EQ(written(archive->write({.entries = documents(100, 1)}).value()), 100u);
    const auto all = archive->scan({.limit = 100}).value().items;
    ASSERT_EQ(all.size(), 100u);
    mongo::Reader reader(archive.behind(), fresh_for);
    const auto page = [&](const std::string& cursor) { return reader.scan({.cursor = cursor, .limit = 10, .with_records = true}).value(); };
    const auto second = page(page({}).next);
    const auto changed = document(all[25].id, 2, "of another process");
    ASSERT_EQ(written(archive->write({.entries = std::span(&changed, 1)}).value()), 1u);
    const auto third = page(second.next);
    ASSERT_EQ(third.items.size(), 10u);
    ASSERT_EQ(third.items[5].id, changed.id);
    EXPECT_EQ(third.items[5].version, fresh_for == Milliseconds(0) ? 2u : 1u);
    EXPECT_EQ(third.items[5].record.value().version, third.items[5].version);
  }
}

TEST_P(MongoArchive, two_writers_at_once_leave_the_newest_of_each_and_no_duplicate_key) {
  if (GetParam() == Kind::kFerret)
    GTEST_SKIP() << "FerretDB v1.23 on SQLite looks and writes in two steps: an update of another connection can come between";
  Archive archive(options());
  const auto other = mongo::open(archive.options()).value().archive();
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 4; ++writer) {
    writers.emplace_back([&, writer] {
      auto& to = writer % 2 == 0 ? *archive : *other;
      for (int round = 0; round < 5; ++round) {
        // Rising and falling versions of the same documents.
        const auto version = static_cast<Version>(writer % 2 == 0 ? 1 + round * 4 + writer : 40 - round * 4 - writer);
        for (const auto& result : to.write({.entries = documents(15, version)}).value()) {
          EXPECT_TRUE(result) << result.error().describe();
        }
      }
    });
  }
  for (auto& writer : writers) writer.join();
  for (int i = 0; i < 15; ++i) EXPECT_EQ(by_id(*archive, "r" + std::to_string(i)).record.value().version, 39u);
  EXPECT_EQ(archive->stats().value().records, 15u);
}

TEST_P(MongoArchive, what_a_crash_left_of_pieces_is_swept_up_in_the_end) {
  auto with = options();
  with.max_inline_bytes = 1024;
  Archive archive(with);
  const auto entry = document("kept", 2, std::string(3000, 'a'));
  ASSERT_EQ(written(archive->write({.entries = std::span(&entry, 1)}).value()), 1u);
  // Of a version that never came, and one on its way.
  const auto orphan = [&](const std::string& id, const std::string& written_at) {
    return archive.command(R"({"insert": ")" + with.collection + R"(.chunks", "documents": [{"_id": ")" + id +
                           R"( 00000000000001.0000000000000000 000000", "written_at": {"$date": {"$numberLong": ")" + written_at +
                           R"("}}}]})");
  };
  ASSERT_TRUE(orphan("0000000000000001 lost", "1000"));
  ASSERT_TRUE(orphan("0000000000000002 new", std::to_string(system_clock()->now().time_since_epoch().count())));
  EXPECT_EQ(archive.count(".chunks"), 5);
  ASSERT_TRUE(archive->reclaim({.now = TimePoint{}}));
  EXPECT_EQ(archive.count(".chunks"), 4);
  EXPECT_EQ(by_id(*archive, "kept").record.value().payload.size(), 3000u);
}

TEST_P(MongoArchive, the_doctor_says_what_the_server_is) {
  Archive archive(options());
  const auto findings = archive.database().doctor().value();
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings.front().level, Finding::Level::kOk);
  EXPECT_NE(findings.front().what.find("answers, version"), std::string::npos) << findings.front().what;
  for (const auto& one : findings) EXPECT_EQ(one.level, Finding::Level::kOk) << one.what;
}

// mongo-java-server lists the TTL index like any other, and never drops anything by it.
TEST_P(MongoArchive, the_doctor_says_who_drops_documents_after_their_retention) {
  Archive archive(options());
  const auto who = [](const std::vector<Finding>& findings) {
    for (const auto& one : findings)
      if (one.what.find("drop documents after their retention") != std::string::npos) return std::string("runs");
    return std::string("the server");
  };
  if (GetParam() == Kind::kMongod) {
    EXPECT_EQ(who(archive.database().doctor().value()), "the server");
  } else if (GetParam() != Kind::kNamed) {
    EXPECT_EQ(who(archive.database().doctor().value()), "runs");
  }
  auto with = options();
  with.ttl_index = false;
  Archive without(with);
  EXPECT_EQ(who(without.database().doctor().value()), "runs");
}

TEST_P(MongoArchive, metrics_count_what_the_driver_did) {
  const auto counters = std::make_shared<Counters>();
  auto with = options();
  with.metrics = counters;
  Archive archive(with);
  ASSERT_EQ(written(archive->write({.entries = documents(5, 1)}).value()), 5u);
  EXPECT_EQ(counters->of("setget_mongo_commands_total insert ok"), 1) << "the format";
  EXPECT_EQ(counters->of("setget_mongo_commands_total update ok"), 1) << "the documents";
  (void)archive.database().archive()->get_by_id({.ns = {}, .id = "r1", .now = TimePoint{}}).value();
  EXPECT_GE(counters->of("setget_mongo_commands_total find ok"), 2);
}

TEST_P(MongoArchive, a_run_without_changes_costs_at_most_twenty_round_trips) {
  const auto counters = std::make_shared<Counters>();
  auto with = options();
  with.metrics = counters;
  Archive archive(with);
  auto store = memory::open().value().key_store();
  for (int i = 0; i < 30; ++i) {
    ApplyEntry entry;
    entry.command.id = "r" + std::to_string(i);
    entry.command.keys = KeyList({"k"});
    entry.command.account = "acme";
    entry.command.flow = "orders";
    entry.command.payload = Payload("x");
    entry.encoded = encode_command(entry.command);
    entry.stamp = stamp_at(system_clock()->now()) + static_cast<Stamp>(i);
    ASSERT_TRUE(store.apply(entry, system_clock()->now()));
  }
  ArchiverOptions of_run;
  of_run.key_store = store;
  of_run.archive = archive.database().archive();
  of_run.policy = std::make_shared<TtlPolicy>(Flows{});
  const auto archiver = Archiver::create(of_run).value();
  ASSERT_TRUE(archiver->run());
  const auto before = counters->all();
  ASSERT_EQ(archiver->run().value().read, 0u);
  EXPECT_LE(counters->all() - before, 20);
  EXPECT_GE(counters->all() - before, 2) << "nothing was counted";

  // The first one of another process, whatever the archive holds, which takes a server long to count.
  const auto counts = counters->of("setget_mongo_commands_total count ok");
  const auto other = Archiver::create(of_run).value();
  ASSERT_EQ(other->run().value().read, 0u);
  EXPECT_EQ(counters->of("setget_mongo_commands_total count ok"), counts);
  (void)of_run.archive->stats().value();
  EXPECT_GT(counters->of("setget_mongo_commands_total count ok"), counts) << "nothing was counted";
}

Lookup by_key(ArchiveBackend& archive, std::string_view key) {
  return archive.get({.ns = {}, .keys = std::span(&key, 1), .now = TimePoint{}}).value().at(0);
}

TEST_P(MongoArchive, a_tombstone_keeps_the_keys_of_its_record_whichever_comes_first) {
  auto earlier = document("earlier", 1);
  earlier.record.keys = KeyList({"k"});
  auto record = document("a", 2);
  record.record.keys = KeyList({"k"});
  auto older = document("a", 1);
  older.record.keys = KeyList({"k", "of the first version"});
  std::vector<ArchiveEntry> entries{older, record, gravestone("a", 3)};
  std::vector<std::size_t> order{0, 1, 2};
  do {
    Archive one(options());
    ASSERT_EQ(written(one->write({.entries = std::span(&earlier, 1)}).value()), 1u);
    std::string came;
    for (const auto i : order) {
      came += std::to_string(i);
      ASSERT_TRUE(one->write({.entries = std::span(&entries[i], 1)}).value().at(0));
    }
    EXPECT_EQ(by_id(*one, "a").status, Lookup::Status::kGone) << came;
    EXPECT_EQ(by_key(*one, "k").status, Lookup::Status::kGone) << came << ": not the earlier holder";
    EXPECT_EQ(by_key(*one, "of the first version").status, Lookup::Status::kUnknown) << came;
    EXPECT_EQ(one->stats().value().tombstones, 1u) << came;
  } while (std::ranges::next_permutation(order).found);
}

TEST_P(MongoArchive, says_of_each_document_of_a_mixed_bulk_what_came_of_it) {
  Archive archive(options());
  auto entries = documents(6, 5);
  ASSERT_EQ(written(archive->write({.entries = entries}).value()), 6u);
  entries[0] = document("r0", 4);
  entries[1] = document("r1", 6);
  entries[2] = document("r2", 5, "other bytes, and more of them, of the same version");
  entries[3] = gravestone("r3", 6);
  entries[4] = gravestone("r4", 5);
  entries[5] = document("new", 1);
  const std::vector<ArchiveWrite> expected{ArchiveWrite::kOlder,   ArchiveWrite::kWritten, ArchiveWrite::kOlder,
                                           ArchiveWrite::kWritten, ArchiveWrite::kOlder,   ArchiveWrite::kWritten};
  const auto answers = [&] {
    std::vector<ArchiveWrite> out;
    for (const auto& result : archive->write({.entries = entries}).value()) out.push_back(result.value());
    return out;
  };
  EXPECT_EQ(answers(), expected);
  EXPECT_EQ(answers(), std::vector<ArchiveWrite>(6, ArchiveWrite::kOlder));
  EXPECT_EQ(by_id(*archive, "r0").record.value().version, 5u);
  EXPECT_EQ(by_id(*archive, "r1").record.value().version, 6u);
  EXPECT_EQ(by_id(*archive, "r2").record.value().payload, documents(3, 5)[2].record.payload) << "the first of one version stays";
  EXPECT_EQ(by_id(*archive, "r3").status, Lookup::Status::kGone);
  EXPECT_EQ(by_id(*archive, "r4").status, Lookup::Status::kFound);
}

// An archive does for ten seconds, and then asks the server again, by a command more. So they are counted while this says true.
auto believes_that_there_are_no_pieces() {
  return [until = Deadline::in(Milliseconds(10'000))] { return !until.passed(); };
}

TEST_P(MongoArchive, writes_over_what_is_there_without_a_look_at_it) {
  const auto counters = std::make_shared<Counters>();
  auto with = options();
  with.metrics = counters;
  Archive archive(with);
  const auto finds = counters->of("setget_mongo_commands_total find ok");
  const auto believed = believes_that_there_are_no_pieces();
  ASSERT_EQ(written(archive->write({.entries = documents(30, 1)}).value()), 30u);
  // The bulk after a first copy still begins with inserts; those behind it do not.
  ASSERT_EQ(written(archive->write({.entries = documents(30, 2)}).value()), 30u);
  if (believed()) {
    EXPECT_EQ(counters->of("setget_mongo_commands_total find ok") - finds, 1) << "whether any document has pieces";
  }
  const auto entries = documents(30, 3);
  const auto all = counters->all();
  EXPECT_EQ(written(archive->write({.entries = entries}).value()), 30u);
  if (believed()) {
    EXPECT_EQ(counters->all() - all, 1) << "that there are none is believed for a while";
  }
  EXPECT_EQ(written(archive->write({.entries = entries}).value()), 0u);
  if (believed()) {
    EXPECT_EQ(counters->all() - all, 2) << "that nothing rose is told apart without a look";
  }
}

TEST_P(MongoArchive, looks_once_at_the_tombstones_of_a_bulk_that_rose) {
  const auto counters = std::make_shared<Counters>();
  auto with = options();
  with.metrics = counters;
  Archive archive(with);
  const auto believed = believes_that_there_are_no_pieces();
  for (const Version version : {1u, 2u}) ASSERT_EQ(written(archive->write({.entries = documents(30, version)}).value()), 30u);
  auto entries = documents(30, 3);
  for (const auto* id : {"r7", "r8"}) entries[static_cast<std::size_t>(id[1] - '0')] = gravestone(id, 3);
  const auto all = counters->all();
  EXPECT_EQ(written(archive->write({.entries = entries}).value()), 30u);
  if (believed()) {
    EXPECT_EQ(counters->all() - all, 2) << "the bulk, the look";
  }
  EXPECT_EQ(written(archive->write({.entries = entries}).value()), 0u);
  if (believed()) {
    EXPECT_EQ(counters->all() - all, 3) << "nothing rose";
  }
  EXPECT_EQ(by_key(*archive, "k/r7").status, Lookup::Status::kGone);
  // A record after its tombstone, and an older tombstone after that: the end that it has stays below.
  ASSERT_EQ(written(archive->write({.entries = documents(30, 5)}).value()), 30u);
  std::vector<ArchiveEntry> late;
  for (const auto* id : {"r6", "r7"}) late.push_back(gravestone(id, 4));
  EXPECT_EQ(written(archive->write({.entries = late}).value()), 0u);
  for (const auto* id : {"r6", "r7"}) EXPECT_EQ(by_key(*archive, std::string("k/") + id).record.value().version, 5u) << id;
  EXPECT_EQ(archive->stats().value().tombstones, 0u);
  EXPECT_EQ(archive->stats().value().records, 30u);
}

TEST_P(MongoArchive, pieces_of_the_version_before_go_whoever_writes_the_next) {
  auto with = options();
  with.max_inline_bytes = 1024;
  Archive archive(with);
  auto entries = documents(3, 1);
  entries[1] = document("r1", 1, std::string(3000, 'a'));
  ASSERT_EQ(written(archive->write({.entries = entries}).value()), 3u);
  ASSERT_EQ(archive.count(".chunks"), 3);
  // One that has not seen any pieces yet.
  const auto other = mongo::open(with).value().archive();
  ASSERT_EQ(written(other->write({.entries = documents(3, 2)}).value()), 3u);
  EXPECT_EQ(archive.count(".chunks"), 0);
  // A late record below its tombstone leaves none either.
  const auto end = gravestone("late", 2);
  ASSERT_EQ(written(archive->write({.entries = std::span(&end, 1)}).value()), 1u);
  const auto late = document("late", 1, std::string(3000, 'b'));
  ASSERT_TRUE(archive->write({.entries = std::span(&late, 1)}).value().at(0));
  EXPECT_EQ(archive.count(".chunks"), 0);
  EXPECT_EQ(by_key(*archive, "k/late").status, Lookup::Status::kGone);
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoArchive, ::testing::ValuesIn(kinds()), [](const auto& test) { return name_of(test.param); });

}  // namespace
