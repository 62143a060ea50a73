// Two processes at the same entry at the same moment, again and again: what each of them read is old by the time it writes.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <thread>

#include "redis/races.hpp"

namespace redis_test {
namespace {

using namespace setget;
namespace kit = setget::testing;

constexpr int kRounds = 300;

// Of 1 and 16 parts.
class RedisRaces : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  std::shared_ptr<KeyStoreBackend> open() const { return open_store(races_server().uri(), prefix_, GetParam()); }
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
  race([](int) {}, [&](KeyStoreBackend& store, int round, bool later) { apply_one(store, set_at(id(round), {id(round)}, later ? 2 : 1)); },
       [&](int round) {
         const auto found = reader->get_by_id({.ns = {}, .id = id(round), .now = kRacesNow}).value();
         ASSERT_TRUE(found.record);
         EXPECT_EQ(found.record->stamp, stamp_at(kRacesNow) + 2) << round;
       });
  EXPECT_EQ(reader->stats().value().records, static_cast<std::uint64_t>(kRounds));
}

// Nobody holds it, so that nothing but its own entry tells the one of the other.
TEST_P(RedisRaces, a_key_that_two_records_claim_is_of_the_later_one) {
  const auto other = open();
  const auto name = [](const char* what, int round) { return what + std::to_string(round); };
  race(
      [&](int round) {
        apply_one(*other, set_at(name("old", round), {name("k", round)}, 1));
        apply_one(*other, kit::erase_entry(
                              {.id = name("old", round), .stamp = stamp_at(kRacesNow) + 2, .version = {}, .expires_at = {}, .ns = {}}));
      },
      [&](KeyStoreBackend& store, int round, bool later) {
        const auto id = name(later ? "later" : "earlier", round);
        apply_one(store, set_at(id, {id, name("k", round)}, later ? 4 : 3));
      },
      [&](int round) {
        const auto key = name("k", round);
        const std::string_view view = key;
        const auto found = other->get({.ns = {}, .keys = {&view, 1}, .now = kRacesNow}).value().at(0);
        ASSERT_TRUE(found.record) << round;
        EXPECT_EQ(found.record->id, name("later", round));
        const auto lost = other->get_by_id({.ns = {}, .id = name("earlier", round), .now = kRacesNow}).value();
        ASSERT_TRUE(lost.record) << round;
        EXPECT_TRUE(lost.record->lost_keys.contains(key)) << round;
      });
}

// A version that moves to other keys is seen under all of its keys or not at all, though the reader came in between.
TEST_P(RedisRaces, a_record_whose_keys_move_is_never_seen_in_part) {
  const auto writer = open();
  const std::vector<std::vector<std::string>> keys{{"k", "l"}, {"l", "m"}};
  apply_one(*writer, set_at("r", keys[0], 1));
  std::atomic<bool> over{false};
  std::atomic<int> looks{0};
  std::jthread reader([&, store = open()] {
    const std::vector<std::string_view> all{"k", "l", "m"};
    while (!over) {
      const auto answer = store->get({.ns = {}, .keys = all, .now = kRacesNow});
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
  const auto until = Deadline::in(Milliseconds(60'000));
  for (Stamp number = 2; number < 2'000 || (looks <= 20 && !until.passed()); ++number)
    apply_one(*writer, set_at("r", keys[number % 2 == 0 ? 1 : 0], number));
  over = true;
  reader.join();
  EXPECT_GT(looks, 20);
}

// Reclaims in small steps, as often as it can, until it goes.
class Trimmer {
 public:
  explicit Trimmer(std::shared_ptr<KeyStoreBackend> store)
      : thread_([store = std::move(store)](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            EXPECT_TRUE(store->reclaim({.now = kRacesNow, .floor = 0, .max_steps = 16}));
          }
        }) {}

 private:
  std::jthread thread_;
};

TEST_P(RedisRaces, a_reader_misses_no_change_while_another_process_trims_what_it_confirmed) {
  const auto writer = open();
  const auto reader = open();
  ASSERT_TRUE(reader->open_cursor({.name = "c"}));
  const Trimmer trimmer(open());
  Position position = 0;
  int told = 0;
  const auto read_on = [&](int until) {
    for (int tries = 0; told < until && tries < 100; ++tries) {
      const auto batch = reader->changes({.cursor = "c", .after = position, .limit = 2}).value();
      for (const auto& change : batch.changes) ASSERT_EQ(change.id, "r" + std::to_string(told++));
      position = batch.next;
      ASSERT_TRUE(reader->commit_cursor("c", position));
    }
    ASSERT_EQ(told, until) << "missed";
  };
  for (int n = 0; n < 2 * kRounds; ++n) {
    apply_one(*writer, set_at("r" + std::to_string(n), {"k" + std::to_string(n)}, static_cast<Stamp>(n) + 1));
    if (n % 3 == 2) {
      ASSERT_NO_FATAL_FAILURE(read_on(n + 1));
    }
  }
}

TEST_P(RedisRaces, a_cursor_that_is_opened_while_another_process_trims_misses_no_change) {
  const auto store = open();
  const Trimmer trimmer(open());
  for (int round = 0; round < kRounds; ++round) {
    const bool from_now = round % 2 == 0;
    ASSERT_TRUE(store->open_cursor({.name = "c", .from_now = from_now}));
    const auto id = "r" + std::to_string(round);
    apply_one(*store, set_at(id, {id}, static_cast<Stamp>(round) + 1));
    bool told = false;
    Position position = 0;
    for (bool end = false; !end;) {
      const auto batch = store->changes({.cursor = "c", .after = position}).value();
      for (const auto& change : batch.changes) told = told || change.id == id;
      position = batch.next;
      end = batch.at_end;
    }
    ASSERT_TRUE(told) << "round " << round;
    ASSERT_TRUE(store->drop_cursor("c"));
  }
}

}  // namespace
}  // namespace redis_test
