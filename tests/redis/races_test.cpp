// Two processes at the same entry at the same moment, again and again: what each of them read is old by the time it writes.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <thread>

#include "redis/opened_store.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/commands.hpp>

namespace redis_test {
namespace {

using namespace setget;
namespace kit = setget::testing;

const TimePoint kNow(Milliseconds(1'700'000'000'000));
constexpr int kRounds = 300;

RedisServer& server() {
  static RedisServer one;
  return one;
}

ApplyEntry set(const std::string& id, std::vector<std::string> keys, Stamp number) {
  kit::SetSpec spec;
  spec.id = id;
  spec.keys = std::move(keys);
  spec.stamp = stamp_at(kNow) + number;
  spec.payload = id + std::to_string(number);
  return kit::set_entry(spec);
}

void apply(KeyStoreBackend& store, const ApplyEntry& entry) {
  EXPECT_TRUE(store.apply({.entries = std::span(&entry, 1), .now = kNow}).value().at(0));
}

// Of 1 and 16 parts.
class RedisRaces : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  std::shared_ptr<KeyStoreBackend> open() const { return open_store(server().uri(), prefix_, GetParam()); }
  // Each round `before`, then both sides at once, then `after`.
  template <class Side>
  void race(const std::function<void(int)>& before, const Side& side, const std::function<void(int)>& after) {
    std::barrier together(3);
    const auto run = [&](bool second) {
      const auto store = open();
      for (int round = 0; round < kRounds; ++round) {
        together.arrive_and_wait();
        side(*store, round, second);
        together.arrive_and_wait();
      }
    };
    std::jthread first(run, false);
    std::jthread second(run, true);
    for (int round = 0; round < kRounds; ++round) {
      before(round);
      together.arrive_and_wait();
      together.arrive_and_wait();
      after(round);
    }
  }

 private:
  const std::string prefix_ = new_prefix();
};
INSTANTIATE_TEST_SUITE_P(Parts, RedisRaces, ::testing::Values(1U, 16U));

TEST_P(RedisRaces, a_new_record_that_two_set_is_of_the_later_one) {
  const auto reader = open();
  const auto id = [](int round) { return "r" + std::to_string(round); };
  race([](int) {}, [&](KeyStoreBackend& store, int round, bool later) { apply(store, set(id(round), {id(round)}, later ? 2 : 1)); },
       [&](int round) {
         const auto found = reader->get_by_id({.ns = {}, .id = id(round), .now = kNow}).value();
         ASSERT_TRUE(found.record);
         EXPECT_EQ(found.record->stamp, stamp_at(kNow) + 2) << round;
       });
  EXPECT_EQ(reader->stats().value().records, static_cast<std::uint64_t>(kRounds));
}

// Nobody holds it, so that nothing but its own entry tells the one of the other.
TEST_P(RedisRaces, a_key_that_two_records_claim_is_of_the_later_one) {
  const auto other = open();
  const auto name = [](const char* what, int round) { return what + std::to_string(round); };
  race(
      [&](int round) {
        apply(*other, set(name("old", round), {name("k", round)}, 1));
        apply(*other, kit::erase_entry({.id = name("old", round), .stamp = stamp_at(kNow) + 2, .version = {}, .expires_at = {}, .ns = {}}));
      },
      [&](KeyStoreBackend& store, int round, bool later) {
        const auto id = name(later ? "later" : "earlier", round);
        apply(store, set(id, {id, name("k", round)}, later ? 4 : 3));
      },
      [&](int round) {
        const auto key = name("k", round);
        const std::string_view view = key;
        const auto found = other->get({.ns = {}, .keys = {&view, 1}, .now = kNow}).value().at(0);
        ASSERT_TRUE(found.record) << round;
        EXPECT_EQ(found.record->id, name("later", round));
        const auto lost = other->get_by_id({.ns = {}, .id = name("earlier", round), .now = kNow}).value();
        ASSERT_TRUE(lost.record) << round;
        EXPECT_TRUE(lost.record->lost_keys.contains(key)) << round;
      });
}

// A version that moves to other keys is seen under all of its keys or not at all, though the reader came in between.
TEST_P(RedisRaces, a_record_whose_keys_move_is_never_seen_in_part) {
  const auto writer = open();
  const std::vector<std::vector<std::string>> keys{{"k", "l"}, {"l", "m"}};
  apply(*writer, set("r", keys[0], 1));
  std::atomic<bool> over{false};
  std::atomic<int> looks{0};
  std::jthread reader([&, store = open()] {
    const std::vector<std::string_view> all{"k", "l", "m"};
    while (!over) {
      const auto answer = store->get({.ns = {}, .keys = all, .now = kNow});
      if (!answer) continue;  // too much went on, and it says so
      const auto& found = *answer;
      ++looks;
      ASSERT_TRUE(found[1].record) << "a gap under the key that both versions list";
      const auto& listed = found[1].record->keys;
      for (std::size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(found[i].record.has_value(), listed.contains(all[i])) << all[i];
        if (found[i].record) {
          ASSERT_EQ(found[i].record->version, found[1].record->version);
        }
      }
    }
  });
  for (Stamp number = 2; number < 2'000; ++number) apply(*writer, set("r", keys[number % 2 == 0 ? 1 : 0], number));
  over = true;
  reader.join();
  EXPECT_GT(looks, 20);
}

}  // namespace
}  // namespace redis_test
