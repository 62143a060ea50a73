// What only histories on MongoDB have: pieces, attempts that did not come to their end, two processes that move one outbox, indexes.
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "mongo/trial.hpp"

namespace {

using namespace mongo_test;
using Kind_ = HistoryState::Kind;
using Status = HistoryLookup::Status;

const TimePoint kZero{Milliseconds(1'790'000'000'000)};
TimePoint at(std::int64_t ms) { return kZero + Milliseconds(ms); }

class MongoHistory : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { SETGET_REQUIRE_MONGO(GetParam()); }
  static mongo::Options options() {
    auto out = shared_server(GetParam()).options();
    out.ttl_index = false;
    return out;
  }
};

// States as an outbox gives them: of `id` a set at each of these milliseconds.
struct Outbox {
  std::vector<ArchivedState> states;
  Outbox& set(const std::string& id, std::int64_t ms, const std::string& payload) {
    auto& one = states.emplace_back();
    one.keep = Milliseconds(1000);
    auto& state = one.state;
    state.position = states.size();
    state.at = at(ms);
    state.id = id;
    state.version = states.size();
    state.record = document(id, state.version, payload).record;
    return *this;
  }
  Outbox& erase(const std::string& id, std::int64_t ms) {
    auto& one = states.emplace_back();
    one.keep = Milliseconds(1000);
    one.state.position = states.size();
    one.state.kind = Kind_::kTombstone;
    one.state.at = at(ms);
    one.state.id = id;
    return *this;
  }
};

std::size_t write(ArchiveBackend& archive, std::span<const ArchivedState> states) {
  return archive.write_history({.source = {.uuid = "s", .epoch = 1}, .states = states}).value();
}
std::string said(ArchiveBackend& archive, const std::string& id, std::int64_t ms) {
  const auto by_id = archive.get_history({.ns = {}, .key = {}, .id = id, .at = at(ms)}).value();
  const auto key = "k/" + id;
  const auto by_key = archive.get_history({.ns = {}, .key = key, .id = {}, .at = at(ms)}).value();
  EXPECT_EQ(by_id.status, by_key.status) << id << " at " << ms;
  if (by_id.status == Status::kFound) {
    EXPECT_EQ(by_id.record->payload.view(), by_key.record->payload.view());
    return by_id.record->payload.str();
  }
  return by_id.status == Status::kGone ? "gone" : by_id.status == Status::kUnknown ? "unknown" : "not kept";
}

// Every process looks after the archive.
TEST_P(MongoHistory, that_is_too_large_is_dropped_once_where_two_processes_look_after_it) {
  Archive archive(options());
  Outbox outbox;
  for (int i = 0; i < 21; ++i) outbox.set("a", 10 + i, std::string(1000, 'x'));
  EXPECT_EQ(write(*archive, outbox.states), 21u);
  const auto other = mongo::open(archive.options()).value().archive();
  const auto full = archive->stats().value().history_bytes;
  const auto reclaim = [&](ArchiveBackend& who, std::uint64_t most) {
    return who.reclaim({.now = at(50), .max_steps = 100, .max_history_bytes = most}).value();
  };
  EXPECT_EQ(reclaim(*archive, full), 0u);
  EXPECT_EQ(reclaim(*other, full), 0u);
  EXPECT_EQ(reclaim(*archive, full / 2), 11u);
  EXPECT_EQ(reclaim(*other, full / 2), 0u);
  EXPECT_EQ(reclaim(*archive, full / 3), 3u);
  EXPECT_EQ(archive->stats().value().history_states, 7u);
}

TEST_P(MongoHistory, cuts_large_states_into_pieces_and_drops_them_together) {
  auto with = options();
  with.max_inline_bytes = 1024;
  Archive archive(with);
  const std::string large = std::string(3000, 'a') + std::string("\0\xff", 2);
  Outbox outbox;
  outbox.set("a", 10, large).set("a", 20, "small").set("a", 30, large + "!");
  EXPECT_EQ(write(*archive, outbox.states), 3u);
  EXPECT_EQ(archive.count(".history"), 3);
  const auto pieces = archive.count(".history.chunks");
  EXPECT_GE(pieces, 6);
  EXPECT_EQ(said(*archive, "a", 15), large);
  EXPECT_EQ(said(*archive, "a", 25), "small");
  EXPECT_EQ(said(*archive, "a", 35), large + "!");
  const auto page = archive->scan_history({.at = at(12)}).value();
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_EQ(page.items[0].record->payload.view(), large);
  EXPECT_EQ(archive->reclaim({.now = at(1030), .max_steps = 100}).value(), 2u);
  EXPECT_EQ(archive.count(".history"), 1);
  EXPECT_EQ(archive.count(".history.chunks"), pieces / 2);
  EXPECT_EQ(said(*archive, "a", 15), "unknown");
  EXPECT_EQ(said(*archive, "a", 35), large + "!");
}

// As a process leaves it that dies before it has noted how far it came, and one that reads the outbox in other portions afterwards.
TEST_P(MongoHistory, an_attempt_that_did_not_end_is_taken_up_in_other_portions) {
  Archive archive(options());
  Outbox outbox;
  outbox.set("a", 10, "a1").set("b", 11, "b1").set("a", 20, "a2").erase("a", 30).set("a", 40, "a3").set("b", 41, "b2");
  const auto all = std::span<const ArchivedState>(outbox.states);
  ASSERT_EQ(write(*archive, all.subspan(0, 1)), 1u);
  ASSERT_EQ(write(*archive, all.subspan(0, 5)), 4u);
  const auto forget = [&](int position) {
    return archive.command(R"({"update": ")" + archive.options().collection +
                           R"(.state", "updates": [{"q": {"position": {"$gt": 0}}, "u": {"$set": {"position": {"$numberLong": ")" +
                           std::to_string(position) + R"("}}}}]})");
  };
  for (const std::size_t portion : {1u, 2u, 3u, 6u}) {
    ASSERT_TRUE(forget(1));
    // Ends that were not written yet.
    if (portion != 6) {
      ASSERT_TRUE(archive.command(R"({"update": ")" + archive.options().collection +
                                  R"(.history", "updates": [{"q": {"position": {"$gt": 1}}, "u": {"$set": {"until": {"$date": )" +
                                  R"({"$numberLong": "253402300799999"}}}}, "multi": true}]})"));
    }
    for (std::size_t from = 0; from < all.size(); from += portion)
      (void)write(*archive, all.subspan(from, std::min(portion, all.size() - from)));
    EXPECT_EQ(write(*archive, all), 0u);
    EXPECT_EQ(archive.count(".history"), 6) << portion;
    EXPECT_EQ(said(*archive, "a", 9), "unknown");
    EXPECT_EQ(said(*archive, "a", 19), "a1") << portion;
    EXPECT_EQ(said(*archive, "a", 20), "a2") << portion;
    EXPECT_EQ(said(*archive, "a", 30), "gone") << portion;
    EXPECT_EQ(said(*archive, "a", 40), "a3") << portion;
    EXPECT_EQ(said(*archive, "b", 40), "b1") << portion;
    EXPECT_EQ(said(*archive, "b", 41), "b2") << portion;
    const auto page = archive->scan_history({.at = at(25)}).value();
    EXPECT_EQ(page.items.size(), 2u) << portion;
  }
}

TEST_P(MongoHistory, two_that_move_one_outbox_at_once_write_each_state_once) {
  Archive archive(options());
  Outbox outbox;
  for (int i = 0; i < 60; ++i) outbox.set("r" + std::to_string(i % 7), 10 + i, "v" + std::to_string(i));
  const auto all = std::span<const ArchivedState>(outbox.states);
  const auto move = [&](std::size_t portion) {
    for (std::size_t from = 0; from < all.size(); from += portion) {
      const auto done =
          archive->write_history({.source = {.uuid = "s", .epoch = 1}, .states = all.subspan(from, std::min(portion, all.size() - from))});
      EXPECT_TRUE(done) << done.error().describe();
    }
  };
  std::thread other([&] { move(10); });
  move(15);
  other.join();
  EXPECT_EQ(archive.count(".history"), 60);
  for (int i = 0; i < 60; ++i) EXPECT_EQ(said(*archive, "r" + std::to_string(i % 7), 10 + i), "v" + std::to_string(i));
  EXPECT_EQ(archive->reclaim({.now = at(100'000), .max_steps = 1000}).value(), 53u) << "all that have ended";
}

TEST_P(MongoHistory, costs_nothing_where_no_flow_keeps_one) {
  Archive archive(options());
  const auto entries = documents(3, 1);
  ASSERT_EQ(written(archive->write({.entries = entries}).value()), 3u);
  (void)archive->reclaim({.now = at(0)}).value();
  EXPECT_EQ(archive->stats().value().history_states, 0u);
  EXPECT_FALSE(archive->stats().value().history_from);
  const auto place = archive.behind();
  const auto deadline = Deadline::in(Milliseconds(20'000));
  const auto listed = place->clients().call(deadline, [&](mongoc_client_t* client) {
    return mongo::list_indexes(*place, client, archive.options().collection + ".history", deadline);
  });
  EXPECT_TRUE(!listed || listed->empty()) << "there is no such collection";
}

// The server may have dropped what nobody of us has noted.
TEST_P(MongoHistory, that_nobody_looked_after_for_a_day_says_no_longer_what_was_not_there) {
  auto with = options();
  with.ttl_index = true;
  Archive archive(with);
  Outbox outbox;
  outbox.set("a", 10, "a1");
  outbox.states[0].keep.reset();
  ASSERT_EQ(write(*archive, outbox.states), 1u);
  (void)archive->reclaim({.now = at(1000)}).value();
  (void)archive->reclaim({.now = at(80'000'000)}).value();
  EXPECT_EQ(archive->stats().value().history_from, at(10)) << "less than a day";
  (void)archive->reclaim({.now = at(80'000'000 + 86'400'000)}).value();
  EXPECT_EQ(archive->stats().value().history_from, at(80'000'000));
  EXPECT_EQ(said(*archive, "a", 15), "a1");
}

// Whoever writes inserts states and ends those before them after that; here he died in between.
TEST_P(MongoHistory, a_scan_sees_no_state_behind_one_that_follows_it_whatever_that_is) {
  Archive archive(options());
  Outbox outbox;
  outbox.set("a", 10, "a1").erase("a", 20).set("b", 10, "b1");
  ASSERT_EQ(write(*archive, outbox.states), 3u);
  ASSERT_TRUE(archive.command(R"({"update": ")" + archive.options().collection + R"(.history", "updates": [{"q": {"position": 1},
      "u": {"$set": {"until": {"$date": {"$numberLong": "253402300799999"}}}}}]})"));
  const auto ids_at = [&](std::int64_t ms) {
    std::set<std::string> ids;
    for (const auto& item : archive->scan_history({.limit = 10, .at = at(ms)}).value().items) ids.insert(item.id);
    return ids;
  };
  EXPECT_EQ(ids_at(15), (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(ids_at(25), (std::set<std::string>{"b"}));
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoHistory, ::testing::ValuesIn(kinds()), [](const auto& test) { return name_of(test.param); });

}  // namespace
