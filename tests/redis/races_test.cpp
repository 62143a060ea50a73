// Two processes at the same entry at the same moment, again and again: what each of them read is old by the time it writes.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace redis_test
