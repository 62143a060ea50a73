// One process stands still between two of its questions while another goes on: each thing that can have happened meanwhile, made to happen.
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <thread>

#include "redis/command_cutter.hpp"
#include "redis/races.hpp"

#include <setget/testing/tcp_proxy.hpp>

namespace redis_test {
namespace {

using namespace setget;
namespace kit = setget::testing;

// One process stands still in the middle of a set, its claims made and their answer held back, while another goes on.
class RedisOvertaken : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  using Way = kit::TcpProxy::Way;
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    direct_ = open_store(races_server().uri(), prefix_, GetParam());
    proxy_ = kit::TcpProxy::start("127.0.0.1", races_server().port()).value();
    slow_ = open_store("redis://127.0.0.1:" + std::to_string(proxy_->port()), prefix_, GetParam());
    // It is connected, and knows what it needs to know of the store.
    for (const char* id : {"a", "b", "c"}) apply_one(*slow_, set_at(id, {id}, 1));
  }
  // The slow one sets `late`, which claims the new key `key`; meanwhile `early` is set, so many exchanges after the claim.
  void overtake(const ApplyEntry& late, const std::string& key, const ApplyEntry& early, int exchanges = 0) {
    const auto writer = begin(late, key);
    ASSERT_FALSE(HasFatalFailure());
    // Where it has already come to its end, what is expected is the same.
    for (; exchanges > 0; --exchanges)
      (void)proxy_->wait_for(Way::kToServer, proxy_->passed(Way::kToServer) + 1, Deadline::in(Milliseconds(1'000)));
    proxy_->stall(Way::kToClient, true);
    apply_one(*direct_, early);
    proxy_->heal();
  }
  // The slow one sets `late`, and has just claimed the new key `key`.
  std::jthread begin(const ApplyEntry& late, const std::string& key, Milliseconds delay = Milliseconds(200)) {
    // So slow that what follows the claim's answer can still be stopped once the claim is seen.
    proxy_->delay(Way::kToClient, delay);
    std::jthread writer([this, late] { apply_one(*slow_, late); });
    wait_until([&] { return !races_server().cli({"--scan", "--pattern", prefix_ + ":*/" + key}).empty(); });
    return writer;
  }
  static void wait_until(const std::function<bool()>& so) {
    const auto deadline = Deadline::in(Milliseconds(20'000));
    while (!so()) ASSERT_FALSE(deadline.passed());
  }
  // The slow one asks; once its first question is on the way, and its answer held back, another process trims the log.
  template <class Ask>
  auto trim_under(Ask&& ask) {
    proxy_->stall(Way::kToClient, true);
    const auto passed = proxy_->passed(Way::kToServer);
    auto answer = std::async(std::launch::async, [&] { return ask(*slow_); });
    EXPECT_TRUE(proxy_->wait_for(Way::kToServer, passed + 1, Deadline::in(Milliseconds(20'000))));
    const auto deadline = Deadline::in(Milliseconds(20'000));
    std::uint64_t trimmed = 0;
    while (trimmed == 0 && !deadline.passed()) trimmed = direct_->reclaim({.now = kRacesNow, .floor = 0}).value().log_trimmed;
    EXPECT_GT(trimmed, 0U);
    proxy_->heal();
    return answer.get();
  }
  KeyStoreBackend& direct() { return *direct_; }
  KeyStoreBackend& slow() { return *slow_; }
  kit::TcpProxy& proxy() { return *proxy_; }
  const std::string& prefix() const noexcept { return prefix_; }
  std::optional<Record> record(const std::string& id) const {
    return direct_->get_by_id({.ns = {}, .id = id, .now = kRacesNow}).value().record;
  }
  std::optional<Record> leads(std::string_view key) const {
    return direct_->get({.ns = {}, .keys = {&key, 1}, .now = kRacesNow}).value().at(0).record;
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
  overtake(set_at("r", {"r", "k"}, 2), "k", set_at("r", {"r"}, 3));
  ASSERT_TRUE(record("r"));
  EXPECT_EQ(record("r")->stamp, stamp_at(kRacesNow) + 3);
  EXPECT_FALSE(leads("k")) << "a key that only the older version lists";
  EXPECT_EQ(records(), 4U);
}

TEST_P(RedisOvertaken, a_reader_whose_log_is_trimmed_between_its_questions_is_told_all_and_may_confirm_it) {
  ASSERT_TRUE(direct().open_cursor({.name = "c", .from_now = true}));
  Stamp last = 10;
  const auto set_some = [&] {
    for (int i = 0; i < 8; ++i, ++last) apply_one(direct(), set_at("r" + std::to_string(last), {"k" + std::to_string(last)}, last));
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

TEST_P(RedisOvertaken, a_wait_for_changes_ends_in_time_though_the_server_says_nothing) {
  proxy().stall(Way::kToClient, true);
  const auto begun = Deadline::Steady::now();
  EXPECT_FALSE(slow().wait_for_changes(1'000'000, Deadline::in(Milliseconds(100))).value_or(false));
  EXPECT_LT(Deadline::Steady::now() - begun, Milliseconds(4'500));
  proxy().heal();
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
      overtake(set_at(id, {id, key}, stamp), key, set_at(other, {other, key}, stamp + 1), after);
      ASSERT_TRUE(leads(key)) << number;
      EXPECT_EQ(leads(key)->id, other) << number;
      ASSERT_TRUE(record(id)) << number;
      EXPECT_EQ(record(id)->stamp, stamp_at(kRacesNow) + stamp) << number;
      EXPECT_TRUE(record(id)->lost_keys.contains(key)) << number;
    }
  }
}

// Not a moment later: it comes when the other one has long been found there. Several keys, since some may lie in the record's own part.
TEST_P(RedisOvertaken, a_record_whose_keys_were_taken_before_it_came_says_so_from_the_beginning) {
  const std::vector<std::string> keys{"k0", "k1", "k2", "k3", "k4"};
  auto both = keys;
  both.emplace_back("r");
  const auto writer = begin(set_at("r", both, 2), "k[0-9]");
  proxy().stall(Way::kToClient, true);
  both.back() = "s";
  apply_one(direct(), set_at("s", both, 3));
  proxy().stall(Way::kToClient, false);
  wait_until([&] { return record("r").has_value(); });
  for (const auto& key : keys) EXPECT_TRUE(record("r")->lost_keys.contains(key)) << key;
}

// It lost its keys before; its next version wins them back, and before their entries say so it loses them again, to a writer that dies on
// its way, anywhere.
TEST_P(RedisOvertaken, a_record_that_wins_its_keys_back_and_loses_them_again_says_so) {
  CommandCutter cutter(races_server().port());
  for (std::size_t commands = 0;; ++commands) {
    const auto number = std::to_string(commands);
    const std::vector<std::string> keys{number + "k0", number + "k1", number + "k2"};
    const auto set = [&](const std::string& id, const std::vector<std::string>& own, Stamp stamp) {
      auto all = keys;
      all.insert(all.end(), own.begin(), own.end());
      return set_at(id + number, all, stamp);
    };
    apply_one(direct(), set("r", {"r" + number}, 2));
    apply_one(direct(), set("s", {"s" + number}, 3));
    const auto last = set("s", {"s" + number}, 5);
    cutter.revive();
    const auto dying = open_store(cutter.uri(), prefix(), GetParam());
    (void)dying->get_by_id({.ns = {}, .id = "nobody", .now = kRacesNow});
    {
      const auto writer = begin(set("r", {"r" + number, "n" + number}, 4), "n" + number, Milliseconds(40));
      proxy().stall(Way::kToClient, true);
      cutter.cut_after(commands);
      (void)dying->apply({.entries = std::span(&last, 1), .now = kRacesNow, .deadline = Deadline::in(Milliseconds(5'000))});
      proxy().heal();
    }
    apply_one(direct(), last);
    ASSERT_TRUE(record("r" + number)) << number;
    EXPECT_EQ(record("r" + number)->stamp, stamp_at(kRacesNow) + 4);
    for (const auto& key : keys) {
      ASSERT_TRUE(leads(key)) << key;
      EXPECT_EQ(leads(key)->id, "s" + number);
      EXPECT_TRUE(record("r" + number)->lost_keys.contains(key)) << key << ", dead after so many commands: " << number;
    }
    if (!cutter.cut() || HasFailure()) break;
  }
}

// Another writer has read the entry of a key that it wins, then finds it claiming a second one, and reads it when it has come: it must not
// be told that it lost the first. Its own writer comes to its end before the other could notice.
TEST_P(RedisOvertaken, a_record_that_comes_while_another_writer_reads_keeps_the_keys_that_it_won) {
  const auto way = kit::TcpProxy::start("127.0.0.1", races_server().port()).value();
  const auto third = open_store("redis://127.0.0.1:" + std::to_string(way->port()), prefix(), GetParam());
  apply_one(*third, set_at("c", {"c"}, 2));
  for (int exchanges = 0; exchanges <= 8; ++exchanges) {
    const auto number = std::to_string(exchanges);
    const auto other = "x" + number;
    const auto id = "r" + number;
    const auto shared = "s" + number;
    apply_one(direct(), set_at(id, {id}, 20));
    apply_one(direct(), set_at(other, {other + ".0", shared}, 59));
    const auto next_exchange = [&] {
      (void)proxy().wait_for(Way::kToServer, proxy().passed(Way::kToServer) + 1, Deadline::in(Milliseconds(300)));
    };
    proxy().delay(Way::kToClient, Milliseconds(60));
    std::jthread stale([&] { apply_one(slow(), set_at(other, {other + ".0"}, 35)); });
    next_exchange();
    proxy().stall(Way::kToClient, true);
    way->delay(Way::kToClient, Milliseconds(60));
    std::jthread winner([&] { apply_one(*third, set_at(id, {id, shared, other}, 58)); });
    wait_until([&] { return record(id)->stamp == stamp_at(kRacesNow) + 58; });
    way->stall(Way::kToClient, true);
    proxy().stall(Way::kToClient, false);
    for (int i = 0; i < exchanges; ++i) next_exchange();
    proxy().stall(Way::kToClient, true);
    way->heal();
    winner.join();
    proxy().heal();
    stale.join();
    EXPECT_FALSE(record(id)->lost_keys.contains(other)) << "held up after so many exchanges: " << number;
    EXPECT_TRUE(record(id)->lost_keys.contains(shared)) << number;
    ASSERT_TRUE(leads(other)) << number;
    EXPECT_EQ(leads(other)->id, id);
  }
}

// The keys were marked by an erase before, which can be forgotten by now; the claims that were made since cannot.
TEST_P(RedisOvertaken, a_claim_whose_record_has_not_come_is_not_forgotten_with_what_its_key_remembered) {
  std::vector<std::string> keys{"k0", "k1", "k2", "k3", "k4"};
  for (const auto& key : keys) apply_one(direct(), kit::erase_key_entry(key, stamp_at(kRacesNow) + 2, {}));
  // The floor has been raised before, and the writer knows it: nothing else tells it that something is forgotten.
  const Reclaim raise{.now = kRacesNow, .floor = stamp_at(kRacesNow) + 5, .max_steps = 0};
  EXPECT_TRUE(direct().reclaim(raise));
  apply_one(slow(), set_at("r", {"r"}, 6));
  auto all = keys;
  for (const char* more : {"n0", "n1", "n2", "n3", "n4", "r"}) all.emplace_back(more);
  const auto writer = begin(set_at("r", all, 10), "n[0-9]");
  proxy().stall(Way::kToClient, true);
  EXPECT_TRUE(direct().reclaim({.now = kRacesNow, .floor = raise.floor}));
  proxy().stall(Way::kToClient, false);
  wait_until([&] { return record("r")->stamp == stamp_at(kRacesNow) + 10; });
  proxy().stall(Way::kToClient, true);
  for (const auto& key : keys) EXPECT_TRUE(leads(key)) << "a gap until its writer comes back to " << key;
  proxy().heal();
}

// It knows that it lost the key before the key's entry does: it lists the key all the same, so an erase of the key ends it.
TEST_P(RedisOvertaken, a_record_that_is_losing_its_key_is_erased_with_it) {
  for (int after = 0; after <= most_exchanges(GetParam()) + 2; ++after) {
    const auto number = std::to_string(after);
    const auto loser = "l" + number;
    const auto taker = "t" + number;
    const auto shared = "s" + number;
    const auto fresh = "f" + number;
    apply_one(direct(), set_at(loser, {loser, shared}, 2));
    overtake(set_at(taker, {fresh, shared}, 4), fresh, kit::erase_key_entry(shared, stamp_at(kRacesNow) + 9, {}), after);
    EXPECT_FALSE(record(loser)) << number;
    EXPECT_FALSE(record(taker)) << number;
    EXPECT_FALSE(leads(loser)) << number;
  }
}

TEST_P(RedisOvertaken, a_record_whose_only_key_another_took_meanwhile_is_superseded) {
  for (int after = 0; after <= most_exchanges(GetParam()); ++after) {
    const auto number = std::to_string(after);
    const auto id = std::string(1, static_cast<char>('a' + after));
    overtake(set_at(id, {"k" + number}, 2), "k" + number, set_at("r" + number, {"k" + number}, 3), after);
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
                           .stamp = stamp_at(kRacesNow) + 100 - number,
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
    return store.get({.ns = {}, .keys = views, .now = kRacesNow}).value();
  }

 private:
  static std::vector<std::string> keys(const std::string& all) { return {all, "k0", "k1", "k2", "k3", "k4"}; }
};
INSTANTIATE_TEST_SUITE_P(Parts, RedisToAndFro, ::testing::Values(1U, 16U));

// Its record is written, and what it says of the keys is not, when the next version comes and brings them all to their ends. The key that
// stays is the record's own name, so that nothing is left for the writer that would not be as it was.
TEST_P(RedisToAndFro, a_writer_that_was_held_up_takes_nothing_from_the_version_after_its_own) {
  apply_one(direct(), version(1, "r"));
  proxy().delay(Way::kToClient, Milliseconds(200));
  std::jthread writer([&] { apply_one(slow(), version(2, "r")); });
  wait_until([&] { return record("r")->version == 2; });
  proxy().stall(Way::kToClient, true);
  apply_one(direct(), version(3, "r"));
  proxy().heal();
  writer.join();
  const auto found = look(direct(), "r");
  expect_whole(found, "r");
  EXPECT_EQ(found.front().record->version, 3U);
}

TEST_P(RedisToAndFro, a_reader_that_was_held_up_sees_one_version_under_all_keys) {
  apply_one(direct(), version(1, "all"));
  apply_one(direct(), version(2, "all"));
  proxy().delay(Way::kToClient, Milliseconds(200));
  auto passed = proxy().passed(Way::kToServer);
  auto answer = std::async(std::launch::async, [&] { return look(slow(), "all"); });
  for (const Version next : {3U, 4U}) {
    // Its question is on the way, and the answer is not back before this version has come. On a busy machine it may be back before, and
    // no other question follows.
    const bool asked = proxy().wait_for(Way::kToServer, passed + 1, Deadline::in(Milliseconds(4'000)));
    ASSERT_TRUE(asked || next == 4U);
    if (!asked) break;
    passed = proxy().passed(Way::kToServer);
    apply_one(direct(), version(next, "all"));
  }
  proxy().heal();
  expect_whole(answer.get(), "all");
}

}  // namespace
}  // namespace redis_test
