// Histories of which one state is damaged, or could never be written: that state's reads say so, and nothing else is held up.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mongo/trial.hpp"

namespace {

using namespace mongo_test;
using Found = HistoryLookup::Status;

const TimePoint kBegin{Milliseconds(1'790'000'000'000)};
TimePoint moment(std::int64_t ms) { return kBegin + Milliseconds(ms); }

class MongoHistoryDamage : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { SETGET_REQUIRE_MONGO(GetParam()); }
  static mongo::Options options() {
    auto out = shared_server(GetParam()).options();
    out.ttl_index = false;
    return out;
  }
};

// An outbox, and what the archive says against states of it.
struct Moving {
  explicit Moving(const mongo::Options& options) : archive(options) {}

  ArchivedState& set(const std::string& id, std::int64_t ms, const std::string& payload) {
    auto& one = states.emplace_back();
    one.keep = Milliseconds(1000);
    one.state.position = states.size();
    one.state.at = moment(ms);
    one.state.id = id;
    one.state.version = states.size();
    one.state.record = document(id, one.state.version, payload).record;
    one.state.record->stamp = stamp_at(moment(ms));
    return one;
  }
  Result<std::size_t> move() {
    return archive->write_history({.source = {.uuid = "s", .epoch = 1},
                                   .states = states,
                                   .refused = [this](const ArchivedState& state, const Error& why) -> Result<void> {
                                     refused.emplace(state.state.id, why.code());
                                     return {};
                                   }});
  }
  Result<HistoryLookup> id_at(const std::string& id, std::int64_t ms) {
    return archive->get_history({.ns = {}, .key = {}, .id = id, .at = moment(ms)});
  }
  Result<HistoryLookup> key_at(const std::string& id, std::int64_t ms) {
    const auto key = "k/" + id;
    return archive->get_history({.ns = {}, .key = key, .id = {}, .at = moment(ms)});
  }
  // By id and by key: the payload, or what is said instead.
  std::string said(const std::string& id, std::int64_t ms) {
    const auto text = [](const Result<HistoryLookup>& found) {
      if (!found) return std::string(to_string(found.error().code()));
      return found->status == Found::kFound ? found->record->payload.str() : std::string("nothing");
    };
    EXPECT_EQ(text(id_at(id, ms)), text(key_at(id, ms))) << id << " at " << ms;
    return text(id_at(id, ms));
  }
  // What a scan gives, and what it passes over, page by page.
  std::map<std::string, std::string> scan(std::int64_t ms, std::size_t limit = 2) {
    std::map<std::string, std::string> out;
    std::string cursor;
    do {
      const auto page = archive->scan_history({.cursor = cursor, .limit = limit, .at = moment(ms), .over_damaged = true}).value();
      for (const auto& item : page.items) EXPECT_TRUE(out.emplace(item.id, item.record->payload.str()).second) << item.id;
      for (const auto& item : page.damaged) EXPECT_TRUE(out.emplace(item.id, "damaged").second) << item.id;
      cursor = page.next;
    } while (!cursor.empty());
    return out;
  }

  Archive archive;
  std::vector<ArchivedState> states;
  std::map<std::string, ErrorCode> refused;
};

TEST_P(MongoHistoryDamage, a_state_that_no_document_can_hold_is_in_quarantine_and_the_others_are_written) {
  Moving world(options());
  world.set("big", 10, "first");
  world.set("a", 11, "a1");
  std::vector<std::string> keys{"k/big"};
  for (int i = 0; i < 36'000; ++i) keys.push_back(std::to_string(i) + std::string(480, 'k'));
  world.set("big", 20, "second").state.record->keys = KeyList(std::span<const std::string>(keys));
  world.set("b", 30, "b1");
  ASSERT_EQ(world.move().value(), 4u);
  EXPECT_EQ(world.refused, (std::map<std::string, ErrorCode>{{"big", ErrorCode::kTooLarge}}));
  EXPECT_EQ(world.said("big", 19), "first");
  EXPECT_EQ(world.said("big", 20), "corrupted") << "and not what was there before";
  EXPECT_EQ(world.said("b", 30), "b1");
  EXPECT_EQ(world.said("a", 19), "a1");
  EXPECT_EQ(world.id_at("a", 25)->record->payload.str(), "a1");
  EXPECT_EQ(world.key_at("a", 25).error().code(), ErrorCode::kCorrupted) << "it may have had any key";
  EXPECT_EQ(world.scan(35), (std::map<std::string, std::string>{{"a", "a1"}, {"b", "b1"}, {"big", "damaged"}}));
  EXPECT_EQ(world.archive->scan_history({.at = moment(35)}).error().code(), ErrorCode::kCorrupted) << "who did not ask for it";
  // Visible, once, and nothing is tried again.
  const auto kept = world.archive->quarantined({}).value().entries;
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].id, "big");
  EXPECT_EQ(kept[0].state_at, moment(20));
  EXPECT_NE(kept[0].reason.find("does not fit"), std::string::npos) << kept[0].reason;
  EXPECT_EQ(world.archive->stats().value().quarantined, 1u);
  EXPECT_EQ(world.move().value(), 0u);
  // It ends with the next state, and leaves the quarantine with its place.
  world.set("big", 40, "third");
  ASSERT_EQ(world.move().value(), 1u);
  EXPECT_EQ(world.said("big", 39), "corrupted");
  EXPECT_EQ(world.said("big", 40), "third");
  ASSERT_TRUE(world.archive->reclaim({.now = moment(1039)}));
  EXPECT_EQ(world.archive->stats().value().quarantined, 1u);
  ASSERT_TRUE(world.archive->reclaim({.now = moment(1040)}));
  EXPECT_EQ(world.archive->stats().value().quarantined, 0u);
  EXPECT_EQ(world.said("big", 40), "third");
}

// A unique index that somebody made on the collection refuses one state of a batch.
TEST_P(MongoHistoryDamage, a_state_that_the_server_refuses_is_in_quarantine_and_the_others_are_written) {
  auto with = options();
  with.max_inline_bytes = 1024;
  const std::string one(2500, '1');
  Moving world(with);
  ASSERT_TRUE(world.archive.command(R"({"createIndexes": ")" + with.collection +
                                    R"(.history", "indexes": [{"key": {"content": 1}, "name": "theirs", "unique": true}]})"));
  for (int i = 0; i < 5; ++i) world.set("r" + std::to_string(i), 10 + i, one);
  world.set("r2", 20, "two");
  world.set("r3", 21, one);  // as it was
  world.set("r4", 22, "two");
  ASSERT_EQ(world.move().value(), 8u);
  EXPECT_EQ(world.refused, (std::map<std::string, ErrorCode>{{"r3", ErrorCode::kConflict}}));
  EXPECT_EQ(world.said("r3", 20), one);
  EXPECT_EQ(world.said("r3", 21), "corrupted");
  EXPECT_EQ(world.said("r2", 25), "two");
  EXPECT_EQ(world.said("r4", 25), "two");
  EXPECT_EQ(world.scan(25),
            (std::map<std::string, std::string>{{"r0", one}, {"r1", one}, {"r2", "two"}, {"r3", "damaged"}, {"r4", "two"}}));
  ASSERT_EQ(world.archive->quarantined({}).value().entries.size(), 1u);
  EXPECT_EQ(world.archive->quarantined({}).value().entries[0].state_at, moment(21));
  EXPECT_EQ(world.archive.count(".history.chunks"), 5 * 3) << "and no piece of it stays";
  EXPECT_EQ(world.move().value(), 0u);
}

TEST_P(MongoHistoryDamage, nothing_leaves_the_outbox_where_nobody_takes_a_refusal) {
  Moving world(options());
  std::vector<std::string> keys;
  for (int i = 0; i < 36'000; ++i) keys.push_back(std::to_string(i) + std::string(480, 'k'));
  world.set("a", 10, "a1");
  world.set("big", 20, "big").state.record->keys = KeyList(std::span<const std::string>(keys));
  const auto refused = world.archive->write_history({.source = {.uuid = "s", .epoch = 1}, .states = world.states});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kTooLarge);
  EXPECT_TRUE(world.archive->quarantined({}).value().entries.empty());
  EXPECT_EQ(world.move().value(), 2u) << "all of it comes again";
}

TEST_P(MongoHistoryDamage, quarantined_states_are_listed_in_pages_beside_the_record_of_their_identity) {
  Moving world(options());
  std::vector<std::string> keys;
  for (int i = 0; i < 36'000; ++i) keys.push_back(std::to_string(i) + std::string(480, 'k'));
  for (const std::int64_t ms : {10, 20, 30}) world.set("a", ms, "x").state.record->keys = KeyList(std::span<const std::string>(keys));
  ASSERT_EQ(world.move().value(), 3u);
  const std::vector<QuarantinedEntry> record{{.ns = {}, .id = "a", .version = 9, .reason = "no"}};
  ASSERT_TRUE(world.archive->quarantine(record));
  std::vector<std::optional<TimePoint>> seen;
  std::string cursor;
  do {
    const auto page = world.archive->quarantined({.cursor = cursor, .limit = 1}).value();
    for (const auto& entry : page.entries) seen.push_back(entry.state_at);
    cursor = page.next;
  } while (!cursor.empty());
  EXPECT_EQ(seen, (std::vector<std::optional<TimePoint>>{std::nullopt, moment(10), moment(20), moment(30)}));
  const std::vector<ArchiveId> ids{{.ns = {}, .id = "a"}};
  EXPECT_EQ(world.archive->release(ids).value(), 1u);
  EXPECT_EQ(world.archive->quarantined({}).value().entries.size(), 3u) << "what is lost stays lost";
}

TEST_P(MongoHistoryDamage, a_state_that_somebody_damaged_is_told_and_holds_up_nothing) {
  const std::vector<std::string> ways{
      R"({"$set": {"since": "soon"}})",   R"({"$set": {"until": 5}})",    R"({"$unset": {"until": ""}})",
      R"({"$unset": {"since": ""}})",     R"({"$set": {"stamp": "x"}})",  R"({"$set": {"body": 7}})",
      R"({"$set": {"content": "none"}})", R"({"$set": {"format": "x"}})", R"({"$set": {"live_until": true}})"};
  auto with = options();
  Moving world(with);
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const auto id = "r" + std::to_string(i);
    world.set(id, 10, "one");
    world.set(id, 20, "two");
  }
  world.set("well", 15, "well");
  ASSERT_TRUE(world.move());
  for (std::size_t i = 0; i < ways.size(); ++i) {
    ASSERT_TRUE(world.archive.command(R"({"update": ")" + with.collection + R"(.history", "updates": [{"q": {"position": )" +
                                      std::to_string(2 * i + 2) + R"(}, "u": )" + ways[i] + "}]}"));
  }
  std::map<std::string, std::string> expected{{"well", "well"}};
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const auto id = "r" + std::to_string(i);
    EXPECT_EQ(world.said(id, 25), "corrupted") << ways[i];
    EXPECT_EQ(world.id_at(id, 15)->record->payload.str(), "one") << ways[i];
    expected[id] = "damaged";
  }
  for (const std::size_t limit : {1u, 4u, 100u}) EXPECT_EQ(world.scan(25, limit), expected) << limit;
  EXPECT_EQ(world.archive->scan_history({.at = moment(25)}).error().code(), ErrorCode::kCorrupted);
  // The next states are written all the same, and what was damaged ends and goes as others do.
  for (std::size_t i = 0; i < ways.size(); ++i) world.set("r" + std::to_string(i), 30, "three");
  ASSERT_EQ(world.move().value(), ways.size());
  EXPECT_TRUE(world.refused.empty());
  for (std::size_t i = 0; i < ways.size(); ++i) {
    EXPECT_EQ(world.id_at("r" + std::to_string(i), 35)->record->payload.str(), "three") << ways[i];
    expected["r" + std::to_string(i)] = "three";
  }
  EXPECT_EQ(world.scan(35), expected);
  ASSERT_TRUE(world.archive->reclaim({.now = moment(5000)}));
  EXPECT_EQ(world.archive.count(".history"), static_cast<std::int64_t>(ways.size()) + 1) << "only what is in force";
}

// Pieces of an attempt that cut them otherwise are no part of a state.
TEST_P(MongoHistoryDamage, a_state_that_is_written_again_keeps_its_pieces_however_they_are_cut_now) {
  auto with = options();
  with.max_inline_bytes = 1024;
  Moving world(with);
  world.set("a", 10, std::string(5000, 'a'));
  ASSERT_TRUE(world.move());
  const auto forget = R"({"delete": ")" + with.collection + R"(.state", "deletes": [{"q": {"position": {"$gt": 0}}, "limit": 0}]})";
  with.max_inline_bytes = 2048;
  const auto other = mongo::open(with).value().archive();
  const auto again = [&] { return other->write_history({.source = {.uuid = "s", .epoch = 1}, .states = world.states}); };
  ASSERT_TRUE(world.archive.command(forget)) << "as a crash before the end of the batch";
  ASSERT_TRUE(again());
  EXPECT_EQ(world.said("a", 15), std::string(5000, 'a'));
  // And where the state itself had not come.
  ASSERT_TRUE(world.archive.command(forget));
  ASSERT_TRUE(world.archive.command(R"({"delete": ")" + with.collection + R"(.history", "deletes": [{"q": {}, "limit": 0}]})"));
  ASSERT_TRUE(again());
  EXPECT_EQ(world.said("a", 15), std::string(5000, 'a'));
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoHistoryDamage, ::testing::ValuesIn(kinds()), [](const auto& test) { return name_of(test.param); });

}  // namespace
