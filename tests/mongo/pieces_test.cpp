// Payloads in pieces: whose they are. Each write has its own, and no other write touches them.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mongo/names.hpp"
#include "mongo/trial.hpp"

namespace {

using namespace mongo_test;

class MongoPieces : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { SETGET_REQUIRE_MONGO(GetParam()); }
  static mongo::Options options() {
    auto out = shared_server(GetParam()).options();
    out.max_inline_bytes = 1024;
    out.ttl_index = false;
    return out;
  }
};

ArchiveWrite write_one(ArchiveBackend& archive, const ArchiveEntry& entry) {
  return archive.write({.entries = std::span(&entry, 1)}).value().at(0).value();
}
std::string payload_of(ArchiveBackend& archive, std::string_view id) { return by_id(archive, id).record.value().payload.str(); }

// The pieces as versions before 2026-11-29 named them: by version and revision alone.
void rename_as_of_old(const Archive& archive) {
  const auto place = archive.behind();
  const auto deadline = Deadline::in(Milliseconds(20'000));
  const auto done = place->clients().call(deadline, [&](mongoc_client_t* client) -> Result<void> {
    std::vector<std::pair<std::string, std::string>> pieces;
    auto found = place->find(client, place->chunks(), {}, {}, false, deadline, [&](const bson_t* piece) -> Result<void> {
      pieces.emplace_back(mongo::text_or_empty(piece, "_id"), mongo::text_or_empty(piece, "bytes"));
      return {};
    });
    if (!found) return found;
    const auto chunks = place->collection(client, place->chunks());
    for (const auto& [id, bytes] : pieces) {
      const auto number = id.rfind(' ');
      const auto mark = id.rfind(' ', number - 1) + 1;
      mongo::Document old;
      old.add_utf8("_id", id.substr(0, mark) + std::string(mongo::order_in(id.substr(mark, number - mark))) + id.substr(number));
      old.add_binary("bytes", bytes).add_date("written_at", TimePoint(Milliseconds(1000)));
      mongo::Document is_new;
      is_new.add_utf8("_id", id);
      bson_error_t error{};
      if (!mongoc_collection_insert_one(chunks.get(), old.raw(), nullptr, nullptr, &error) ||
          !mongoc_collection_delete_one(chunks.get(), is_new.raw(), nullptr, nullptr, &error)) {
        return mongo::call_error(error, deadline);
      }
    }
    return {};
  });
  ASSERT_TRUE(done) << done.error().describe();
}

TEST_P(MongoPieces, of_the_document_that_stays_are_left_alone_by_a_write_that_turns_out_to_be_older) {
  const auto with = options();
  Archive archive(with);
  auto first = document("a", 2, std::string(3000, 'a'));
  first.purge_at = TimePoint(Milliseconds(1'000'000));
  ASSERT_EQ(write_one(*archive, first), ArchiveWrite::kWritten);
  const auto other = mongo::open(with).value().archive();
  for (const std::size_t bytes : {3000u, 1100u, 5000u}) {
    for (const Version version : {Version{2}, Version{1}}) {
      auto late = document("a", version, std::string(bytes, 'b'));
      late.purge_at = TimePoint(Milliseconds(1));
      EXPECT_EQ(write_one(*other, late), ArchiveWrite::kOlder);
      EXPECT_EQ(payload_of(*archive, "a"), std::string(3000, 'a')) << bytes << " of version " << version;
      EXPECT_EQ(archive.count(".chunks"), 3) << "and leaves none of its own";
    }
  }
  // Nor does it bring their end nearer.
  EXPECT_EQ(archive.count_of(".chunks", R"({"purge_at": {"$lt": {"$date": {"$numberLong": "1000000"}}}})"), 0);
  EXPECT_EQ(archive->reclaim({.now = TimePoint(Milliseconds(1'000'000))}).value(), 1u);
  EXPECT_EQ(archive.count(".chunks"), 0);
}

TEST_P(MongoPieces, of_a_write_that_the_server_refuses_are_dropped) {
  Archive archive(options());
  ASSERT_TRUE(archive.command(R"({"createIndexes": ")" + archive.options().collection +
                              R"(", "indexes": [{"key": {"record.owner": 1}, "name": "theirs", "unique": true}]})"));
  auto entries = std::vector{document("a", 1, std::string(3000, 'a')), document("b", 1, std::string(3000, 'b'))};
  for (auto& entry : entries) entry.record.owner = "one";
  const auto results = archive->write({.entries = entries}).value();
  EXPECT_NE(results[0].has_value(), results[1].has_value());
  EXPECT_EQ(archive.count(".chunks"), 3);
}

TEST_P(MongoPieces, that_an_earlier_version_of_setget_named_are_read_and_dropped_as_others_are) {
  Archive archive(options());
  const auto entries = std::vector{document("a", 2, std::string(3000, 'a')), document("b", 2, std::string(2000, 'b'))};
  ASSERT_EQ(written(archive->write({.entries = entries}).value()), 2u);
  rename_as_of_old(archive);
  ASSERT_EQ(archive.count(".chunks"), 5);
  EXPECT_EQ(payload_of(*archive, "a"), std::string(3000, 'a'));
  EXPECT_EQ(archive->scan({.with_records = true}).value().items.at(0).record->payload.size() % 1000, 0u);
  const std::uint64_t start = 0;
  const auto shallow = archive->digest({.starts = std::span(&start, 1)}).value();
  EXPECT_EQ(archive->digest({.starts = std::span(&start, 1), .deep = {.of = 1}}).value(), shallow);
  // Neither a write that is older nor the sweep takes them for garbage.
  EXPECT_EQ(write_one(*archive, document("a", 2, std::string(3000, 'x'))), ArchiveWrite::kOlder);
  ASSERT_TRUE(archive->reclaim({.now = TimePoint{}}));
  EXPECT_EQ(archive.count(".chunks"), 5);
  EXPECT_EQ(payload_of(*archive, "a"), std::string(3000, 'a'));
  EXPECT_EQ(write_one(*archive, document("a", 3, "small")), ArchiveWrite::kWritten);
  EXPECT_EQ(archive.count(".chunks"), 2);
  const std::vector<ArchiveId> ids{{.ns = {}, .id = "b"}};
  EXPECT_EQ(archive->remove(ids).value(), 1u);
  EXPECT_EQ(archive.count(".chunks"), 0);
}

TEST_P(MongoPieces, of_another_write_of_the_same_version_are_swept_up_once_they_are_old) {
  Archive archive(options());
  ASSERT_EQ(write_one(*archive, document("a", 2, std::string(3000, 'a'))), ArchiveWrite::kWritten);
  const auto left = [&](std::int64_t turn, TimePoint written_at) {
    return archive.command(R"({"insert": ")" + archive.options().collection + R"(.chunks", "documents": [{"_id": ")" +
                           mongo::document_id({}, "a") + " " + mongo::mark_of(2, 0, turn) +
                           R"( 000000", "written_at": {"$date": {"$numberLong": ")" +
                           std::to_string(written_at.time_since_epoch().count()) + R"("}}}]})");
  };
  ASSERT_TRUE(left(-1, TimePoint(Milliseconds(1000)))) << "of one that died long ago";
  ASSERT_TRUE(left(-2, system_clock()->now())) << "of one that is at work";
  ASSERT_TRUE(left(-(std::int64_t{1} << 60), TimePoint(Milliseconds(1000)))) << "and one below that of the document";
  ASSERT_TRUE(archive->reclaim({.now = TimePoint{}}));
  EXPECT_EQ(archive.count(".chunks"), 4);
  EXPECT_EQ(payload_of(*archive, "a"), std::string(3000, 'a'));
}

// A get finds the document, and then its pieces, which are those of the next version by then. That one may have let the key go.
TEST_P(MongoPieces, of_a_document_that_is_replaced_while_it_is_read_are_never_mixed) {
  Archive archive(options());
  const auto version = [](Version number) {
    auto entry = document("a", number, std::string(3000, static_cast<char>('a' + number % 26)));
    entry.record.keys = number % 2 == 0 ? KeyList({"k", "even"}) : KeyList({"k", "odd"});
    return entry;
  };
  ASSERT_EQ(write_one(*archive, version(2)), ArchiveWrite::kWritten);
  std::atomic<bool> done = false;
  std::jthread writer([&] {
    for (Version number = 3; number < 300; ++number) EXPECT_EQ(write_one(*archive, version(number)), ArchiveWrite::kWritten);
    done = true;
  });
  std::uint64_t found = 0;
  while (!done) {
    const auto now = system_clock()->now();
    const std::vector<std::string_view> keys{"odd", "even", "k"};
    const auto by_key = archive->get({.keys = keys, .now = now});
    const auto by_id = archive->get_by_id({.ns = {}, .id = "a", .now = now});
    ASSERT_TRUE(by_id || by_id.error().code() == ErrorCode::kUnavailable) << by_id.error().describe();
    ASSERT_TRUE(by_key || by_key.error().code() == ErrorCode::kUnavailable) << by_key.error().describe();
    if (!by_key || !by_id) continue;
    std::vector<Lookup> all = *by_key;
    all.push_back(*by_id);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!all[i].record) continue;
      ++found;
      EXPECT_EQ(all[i].record->payload.str(), version(all[i].record->version).record.payload.str());
      EXPECT_TRUE(i == keys.size() || all[i].record->keys.contains(keys[i]));
    }
  }
  EXPECT_GT(found, 0u);
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoPieces, ::testing::ValuesIn(kinds()), [](const auto& test) { return name_of(test.param); });

}  // namespace
