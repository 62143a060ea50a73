// The outbox for histories on real servers: its limit, its positions, and what many writers at once leave in it.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "redis/races.hpp"

#include <setget/memory.hpp>
#include <setget/redis.hpp>

namespace redis_test {
namespace {

using namespace setget;
namespace kit = setget::testing;

// Of 1 and 16 parts.
class RedisHistory : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  std::shared_ptr<KeyStoreBackend> open(std::size_t outbox_states = 100'000, std::size_t outbox_bytes = 256u << 20) const {
    return redis::open({.uri = races_server().uri(),
                        .prefix = prefix_,
                        .shards = GetParam(),
                        .outbox_states = outbox_states,
                        .outbox_bytes = outbox_bytes})
        .value()
        .key_store()
        .backend();
  }
  const std::string prefix_ = new_prefix();
};
INSTANTIATE_TEST_SUITE_P(Parts, RedisHistory, ::testing::Values(1U, 16U));

ApplyEntry kept(ApplyEntry entry) {
  entry.history = true;
  return entry;
}

std::vector<HistoryState> waiting(KeyStoreBackend& store) { return store.history({.limit = 100'000}).value().states; }

std::vector<Result<ApplyResult>> apply(KeyStoreBackend& store, const std::vector<ApplyEntry>& entries) {
  return store.apply({.entries = entries, .now = kRacesNow}).value();
}

TEST_P(RedisHistory, a_full_outbox_holds_back_what_makes_history_and_nothing_else) {
  const auto parts = GetParam();
  const auto store = open(3 * std::size_t{parts});
  // All sets of one record: all states in one part.
  apply_one(*store, kept(set_at("a", {"k"}, 1)));
  const auto applied =
      apply(*store, {kept(set_at("a", {"k"}, 2)), kept(set_at("a", {"k"}, 3)), kept(set_at("a", {"k"}, 4)), set_at("e", {"e"}, 5)});
  EXPECT_TRUE(applied.at(0));
  EXPECT_TRUE(applied.at(1));
  ASSERT_FALSE(applied.at(2));
  EXPECT_EQ(applied.at(2).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(applied.at(2).error().retryable());
  EXPECT_TRUE(applied.at(3)) << "it keeps no history";
  EXPECT_EQ(store->get_by_id({.ns = {}, .id = "a", .now = kRacesNow}).value().record->payload.view(), "a3") << "nothing of it was done";
  EXPECT_EQ(store->stats().value().outbox, 3u);
  const auto first = waiting(*store);
  ASSERT_EQ(first.size(), 3u);
  const OutboxPlace place{.part = first[0].part, .position = first[0].position};
  ASSERT_TRUE(store->confirm_history({&place, 1}));
  EXPECT_TRUE(apply(*store, {kept(set_at("a", {"k"}, 4))}).at(0));
  EXPECT_EQ(store->get_by_id({.ns = {}, .id = "a", .now = kRacesNow}).value().record->payload.view(), "a4");
}

TEST_P(RedisHistory, an_outbox_is_bounded_by_bytes_and_empty_takes_one_of_any_size) {
  const auto store = open(100'000, std::size_t{2000} * GetParam());
  const auto large = [](Stamp number) {
    kit::SetSpec spec;
    spec.id = "a";
    spec.keys = {"k"};
    spec.stamp = stamp_at(kRacesNow) + number;
    spec.payload = std::string(5000, static_cast<char>('a' + number));
    return kept(kit::set_entry(spec));
  };
  EXPECT_TRUE(apply(*store, {large(1)}).at(0));
  EXPECT_EQ(apply(*store, {large(2)}).at(0).error().code(), ErrorCode::kResourceExhausted);
  const auto states = waiting(*store);
  ASSERT_EQ(states.size(), 1u);
  const OutboxPlace place{.part = states[0].part, .position = states[0].position};
  ASSERT_TRUE(store->confirm_history({&place, 1}));
  EXPECT_TRUE(apply(*store, {large(2)}).at(0)) << "its bytes are given back";
}

// As a failover does that loses the end of what was written: the archive knows the position, and must not take another state for it.
TEST_P(RedisHistory, positions_are_not_used_again_after_a_server_forgot_some) {
  const auto store = open();
  apply_one(*store, kept(set_at("a", {"k"}, 1)));
  const auto before = waiting(*store);
  ASSERT_EQ(before.size(), 1u);
  for (const auto* part : {"o", "h"}) {
    const auto names = races_server().cli({"--scan", "--pattern", prefix_ + ":*:" + part});
    for (std::size_t from = 0; from < names.size();) {
      const auto end = std::min(names.find('\n', from), names.size());
      if (end > from) (void)races_server().cli({"DEL", names.substr(from, end - from)});
      from = end + 1;
    }
  }
  ASSERT_TRUE(waiting(*store).empty());
  apply_one(*store, kept(set_at("a", {"k"}, 2)));
  const auto after = waiting(*store);
  ASSERT_EQ(after.size(), 1u);
  EXPECT_GT(after[0].position, before[0].position);
}

// Keys move, records are erased and set again by four writers at once: at its end the history says what is there, of every key and id.
TEST_P(RedisHistory, ends_where_the_store_is_however_many_write) {
  constexpr int kIds = 6;
  std::atomic<Stamp> next{1};
  const auto reader = open();
  {
    std::vector<std::jthread> writers;
    for (unsigned seed = 1; seed <= 4; ++seed) {
      writers.emplace_back([&, seed] {
        const auto store = open();
        std::minstd_rand dice(seed);
        const auto name = [&](const char* what) { return what + std::to_string(dice() % kIds); };
        for (int step = 0; step < 150; ++step) {
          const auto stamp = next.fetch_add(1);
          if (dice() % 5 == 0) {
            const auto entry =
                dice() % 2 == 0
                    ? kit::erase_entry({.id = name("r"), .stamp = stamp_at(kRacesNow) + stamp, .version = {}, .expires_at = {}, .ns = {}})
                    : kit::erase_key_entry(name("k"), stamp_at(kRacesNow) + stamp);
            apply_one(*store, entry);
            continue;
          }
          std::vector<std::string> keys{name("k")};
          if (const auto other = name("k"); other != keys[0]) keys.push_back(other);
          apply_one(*store, kept(set_at(name("r"), keys, stamp)));
        }
      });
    }
  }
  const auto archive = memory::open({}).value().archive();
  auto states = waiting(*reader);
  std::vector<ArchivedState> archived;
  for (auto& state : states) archived.push_back({.state = std::move(state), .keep = {}});
  ASSERT_EQ(archive->write_history({.source = {.uuid = "s", .epoch = 1}, .states = archived}).value(), archived.size());
  const auto far = kRacesNow + Milliseconds(1'000'000);
  const auto text = [](const std::optional<Record>& record) {
    return record ? record->id + "/" + record->payload.str() : std::string("none");
  };
  for (int i = 0; i < kIds; ++i) {
    const auto key = "k" + std::to_string(i);
    const std::string_view view = key;
    EXPECT_EQ(text(archive->get_history({.ns = {}, .key = key, .id = {}, .at = far}).value().record),
              text(reader->get({.ns = {}, .keys = {&view, 1}, .now = kRacesNow}).value().at(0).record))
        << key;
    const auto id = "r" + std::to_string(i);
    EXPECT_EQ(text(archive->get_history({.ns = {}, .key = {}, .id = id, .at = far}).value().record),
              text(reader->get_by_id({.ns = {}, .id = id, .now = kRacesNow}).value().record))
        << id;
  }
}

}  // namespace
}  // namespace redis_test
