// Two processes at the same entry at the same moment, again and again: what each of them read is old by the time it writes.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <future>
#include <thread>

#include "redis/opened_store.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/commands.hpp>
#include <setget/testing/tcp_proxy.hpp>

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

// One process stands still in the middle of a set, its claims made and their answer held back, while another goes on.
class RedisOvertaken : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  using Way = kit::TcpProxy::Way;
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    direct_ = open_store(server().uri(), prefix_, GetParam());
    proxy_ = kit::TcpProxy::start("127.0.0.1", server().port()).value();
    slow_ = open_store("redis://127.0.0.1:" + std::to_string(proxy_->port()), prefix_, GetParam());
    // It is connected, and knows what it needs to know of the store.
    for (const char* id : {"a", "b", "c"}) apply(*slow_, set(id, {id}, 1));
  }
  // The slow one sets `late`, which claims the new key `key`; meanwhile `early` is set, so many exchanges after the claim.
  void overtake(const ApplyEntry& late, const std::string& key, const ApplyEntry& early, int exchanges = 0) {
    // So slow that what follows the claim's answer can still be stopped once the claim is seen.
    proxy_->delay(Way::kToClient, Milliseconds(200));
    std::jthread writer([&] { apply(*slow_, late); });
    const auto deadline = Deadline::in(Milliseconds(4'000));
    while (server().cli({"--scan", "--pattern", prefix_ + ":*/" + key}).empty()) ASSERT_FALSE(deadline.passed());
    // Where it has already come to its end, what is expected is the same.
    for (; exchanges > 0; --exchanges)
      (void)proxy_->wait_for(Way::kToServer, proxy_->passed(Way::kToServer) + 1, Deadline::in(Milliseconds(1'000)));
    proxy_->stall(Way::kToClient, true);
    apply(*direct_, early);
    proxy_->heal();
  }
  // The slow one asks; once its first question is on the way, and its answer held back, another process trims the log.
  template <class Ask>
  auto trim_under(Ask&& ask) {
    proxy_->stall(Way::kToClient, true);
    const auto passed = proxy_->passed(Way::kToServer);
    auto answer = std::async(std::launch::async, [&] { return ask(*slow_); });
    EXPECT_TRUE(proxy_->wait_for(Way::kToServer, passed + 1, Deadline::in(Milliseconds(4'000))));
    const auto deadline = Deadline::in(Milliseconds(4'000));
    std::uint64_t trimmed = 0;
    while (trimmed == 0 && !deadline.passed()) trimmed = direct_->reclaim({.now = kNow, .floor = 0}).value().log_trimmed;
    EXPECT_GT(trimmed, 0U);
    proxy_->heal();
    return answer.get();
  }
  KeyStoreBackend& direct() { return *direct_; }
  KeyStoreBackend& slow() { return *slow_; }
  kit::TcpProxy& proxy() { return *proxy_; }
  std::optional<Record> record(const std::string& id) const { return direct_->get_by_id({.ns = {}, .id = id, .now = kNow}).value().record; }
  std::optional<Record> leads(std::string_view key) const {
    return direct_->get({.ns = {}, .keys = {&key, 1}, .now = kNow}).value().at(0).record;
  }
  std::uint64_t records() const { return direct_->stats().value().records; }

 private:
  const std::string prefix_ = new_prefix();
  std::shared_ptr<KeyStoreBackend> direct_;
  std::shared_ptr<KeyStoreBackend> slow_;
  std::unique_ptr<kit::TcpProxy> proxy_;
};
INSTANTIATE_TEST_SUITE_P(Parts, RedisOvertaken, ::testing::Values(1U, 16U));

TEST_P(RedisOvertaken, a_record_that_came_since_the_look_is_not_overwritten) {
  overtake(set("r", {"r", "k"}, 2), "k", set("r", {"r"}, 3));
  ASSERT_TRUE(record("r"));
  EXPECT_EQ(record("r")->stamp, stamp_at(kNow) + 3);
  EXPECT_FALSE(leads("k")) << "a key that only the older version lists";
  EXPECT_EQ(records(), 4U);
}

TEST_P(RedisOvertaken, a_reader_whose_log_is_trimmed_between_its_questions_is_told_all_and_may_confirm_it) {
  ASSERT_TRUE(direct().open_cursor({.name = "c", .from_now = true}));
  Stamp last = 10;
  const auto set_some = [&] {
    for (int i = 0; i < 8; ++i, ++last) apply(direct(), set("r" + std::to_string(last), {"k" + std::to_string(last)}, last));
  };
  set_some();
  auto read = slow().changes({.cursor = "c"}).value();
  ASSERT_EQ(read.changes.size(), 8U);
  ASSERT_TRUE(slow().commit_cursor("c", read.next));
  set_some();
  const auto more = trim_under([&](KeyStoreBackend& store) { return store.changes({.cursor = "c", .after = read.next}); });
  ASSERT_TRUE(more) << more.error().describe();
  ASSERT_EQ(more->changes.size(), 8U);
  EXPECT_TRUE(more->at_end);
  // What was told but not confirmed is there still; another cursor makes lines that can be trimmed.
  const auto half = slow().changes({.cursor = "c", .after = read.next, .limit = 4}).value();
  ASSERT_TRUE(slow().commit_cursor("c", half.next));
  const auto confirmed = trim_under([&](KeyStoreBackend& store) { return store.commit_cursor("c", more->next); });
  EXPECT_TRUE(confirmed) << confirmed.error().describe();
  EXPECT_EQ(direct().cursors().value().at(0).lag, 0U);
}

// How far the slow one gets on several parts; on one, its next step is its last.
int most_exchanges(std::uint32_t parts) { return parts == 1 ? 0 : 2; }

TEST_P(RedisOvertaken, a_record_whose_key_another_took_meanwhile_says_so) {
  for (int after = 0; after <= most_exchanges(GetParam()); ++after) {
    for (const bool is_new : {false, true}) {
      const auto number = std::to_string(after) + (is_new ? "n" : "o");
      const auto key = "k" + number;
      const auto other = "r" + number;
      const auto id = is_new ? "n" + number : std::string("a");
      const Stamp stamp = 2 + 2 * static_cast<Stamp>(after);
      overtake(set(id, {id, key}, stamp), key, set(other, {other, key}, stamp + 1), after);
      ASSERT_TRUE(leads(key)) << number;
      EXPECT_EQ(leads(key)->id, other) << number;
      ASSERT_TRUE(record(id)) << number;
      EXPECT_EQ(record(id)->stamp, stamp_at(kNow) + stamp) << number;
      EXPECT_TRUE(record(id)->lost_keys.contains(key)) << number;
    }
  }
}

// It knows that it lost the key before the key's entry does: it lists the key all the same, so an erase of the key ends it.
TEST_P(RedisOvertaken, a_record_that_is_losing_its_key_is_erased_with_it) {
  for (int after = 0; after <= most_exchanges(GetParam()) + 2; ++after) {
    const auto number = std::to_string(after);
    const auto loser = "l" + number;
    const auto taker = "t" + number;
    const auto shared = "s" + number;
    const auto fresh = "f" + number;
    apply(direct(), set(loser, {loser, shared}, 2));
    overtake(set(taker, {fresh, shared}, 4), fresh, kit::erase_key_entry(shared, stamp_at(kNow) + 9, {}), after);
    EXPECT_FALSE(record(loser)) << number;
    EXPECT_FALSE(record(taker)) << number;
    EXPECT_FALSE(leads(loser)) << number;
  }
}

TEST_P(RedisOvertaken, a_record_whose_only_key_another_took_meanwhile_is_superseded) {
  for (int after = 0; after <= most_exchanges(GetParam()); ++after) {
    const auto number = std::to_string(after);
    const auto id = std::string(1, static_cast<char>('a' + after));
    overtake(set(id, {"k" + number}, 2), "k" + number, set("r" + number, {"k" + number}, 3), after);
    ASSERT_TRUE(leads("k" + number)) << number;
    EXPECT_EQ(leads("k" + number)->id, "r" + number);
    EXPECT_FALSE(record(id)) << number;
  }
}

// Versions of the caller's, in another order than their stamps: from one to the next a key's claims stay as they are, and only whether it
// leads to its record changes, to and fro. Who read the key before must notice all the same that it was written since.
class RedisToAndFro : public RedisOvertaken {
 protected:
  // Every version lists `all`; those that are odd list the others too, most of which lie in other parts than the record.
  static ApplyEntry version(Version number, const std::string& all) {
    return kit::set_entry({.id = "r",
                           .keys = number % 2 == 1 ? keys(all) : std::vector{all},
                           .stamp = stamp_at(kNow) + 100 - number,
                           .payload = std::to_string(number),
                           .version = number});
  }
  // One version under all keys that it lists, and under no other.
  static void expect_whole(const std::vector<Lookup>& found, const std::string& all) {
    ASSERT_TRUE(found.front().record) << "a gap";
    const auto& record = *found.front().record;
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].record.has_value(), record.keys.contains(keys(all)[i])) << "version " << record.version << ", key " << i;
      if (found[i].record) {
        EXPECT_EQ(found[i].record->version, record.version);
      }
    }
  }
  static std::vector<Lookup> look(KeyStoreBackend& store, const std::string& all) {
    const auto names = keys(all);
    const std::vector<std::string_view> views(names.begin(), names.end());
    return store.get({.ns = {}, .keys = views, .now = kNow}).value();
  }

 private:
  static std::vector<std::string> keys(const std::string& all) { return {all, "k0", "k1", "k2", "k3", "k4"}; }
};
INSTANTIATE_TEST_SUITE_P(Parts, RedisToAndFro, ::testing::Values(1U, 16U));

// Its record is written, and what it says of the keys is not, when the next version comes and brings them all to their ends. The key that
// stays is the record's own name, so that nothing is left for the writer that would not be as it was.
TEST_P(RedisToAndFro, a_writer_that_was_held_up_takes_nothing_from_the_version_after_its_own) {
  apply(direct(), version(1, "r"));
  proxy().delay(Way::kToClient, Milliseconds(200));
  std::jthread writer([&] { apply(slow(), version(2, "r")); });
  const auto deadline = Deadline::in(Milliseconds(4'000));
  while (record("r")->version != 2) ASSERT_FALSE(deadline.passed());
  proxy().stall(Way::kToClient, true);
  apply(direct(), version(3, "r"));
  proxy().heal();
  writer.join();
  const auto found = look(direct(), "r");
  expect_whole(found, "r");
  EXPECT_EQ(found.front().record->version, 3U);
}

TEST_P(RedisToAndFro, a_reader_that_was_held_up_sees_one_version_under_all_keys) {
  apply(direct(), version(1, "all"));
  apply(direct(), version(2, "all"));
  proxy().delay(Way::kToClient, Milliseconds(200));
  auto passed = proxy().passed(Way::kToServer);
  auto answer = std::async(std::launch::async, [&] { return look(slow(), "all"); });
  for (const Version next : {3U, 4U}) {
    // Its question is on the way, and the answer is not back before this version has come.
    ASSERT_TRUE(proxy().wait_for(Way::kToServer, passed + 1, Deadline::in(Milliseconds(4'000))));
    passed = proxy().passed(Way::kToServer);
    apply(direct(), version(next, "all"));
  }
  proxy().heal();
  expect_whole(answer.get(), "all");
}

// Reclaims in small steps, as often as it can, until it goes.
class Trimmer {
 public:
  explicit Trimmer(std::shared_ptr<KeyStoreBackend> store)
      : thread_([store = std::move(store)](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            EXPECT_TRUE(store->reclaim({.now = kNow, .floor = 0, .max_steps = 16}));
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
    apply(*writer, set("r" + std::to_string(n), {"k" + std::to_string(n)}, static_cast<Stamp>(n) + 1));
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
    apply(*store, set(id, {id}, static_cast<Stamp>(round) + 1));
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
