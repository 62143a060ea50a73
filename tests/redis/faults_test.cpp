// Many writers at once, and servers that refuse what they are asked, under an oracle: readers look all the time and never see a mixture;
// what was acknowledged is there; in the end the store holds what the messages amount to. What the network may do: network_faults_test.cpp.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "redis/errors.hpp"
#include "redis/load.hpp"
#include "redis/messages.hpp"
#include "redis/opened_store.hpp"
#include "support/redis_server.hpp"

namespace redis_test {
namespace {

RedisServer& server() {
  static RedisServer one;
  return one;
}

std::uint64_t rounds() {
  const char* given = std::getenv("SETGET_CRASH_ROUNDS");
  return given == nullptr ? 10 : std::max<std::uint64_t>(std::strtoull(given, nullptr, 10) / 6, 1);
}

class RedisFaults : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
};
INSTANTIATE_TEST_SUITE_P(Parts, RedisFaults, ::testing::Values(1, 16));

TEST_P(RedisFaults, Writers_at_once_leave_what_their_messages_amount_to) {
  constexpr std::uint64_t kMessages = 120;
  const auto prefix = new_prefix();
  std::atomic<std::uint64_t> looks{0};
  const auto many = rounds();
  for (std::uint64_t round = 1; round <= many; ++round) {
    const Messages messages(round);
    const auto ns = "c" + std::to_string(round);
    std::vector<std::string> failed(4);
    std::vector<std::jthread> writers;
    for (std::size_t w = 0; w < 3; ++w) {
      std::vector<std::uint64_t> mine;
      for (std::uint64_t n = 1; n <= kMessages; ++n) {
        if (n % 3 == w || n % 7 == w) mine.push_back(n);  // some come twice
      }
      writers.emplace_back([&, w, mine, store = open_store(server().uri(), prefix, GetParam())] {
        deliver(*store, messages, ns, mine, round * 10 + w, Milliseconds(10'000), failed[w]);
      });
    }
    std::atomic<bool> over{false};
    auto reader = open_store(server().uri(), prefix, GetParam());
    std::jthread watcher([&] { watch(*reader, messages, ns, GetParam() > 1, over, looks, failed[3]); });
    writers.clear();
    over = true;
    watcher.join();
    for (const auto& one : failed) EXPECT_EQ(one, "") << "round " << round;
    expect_reference(*reader, messages, ns, kMessages);
    if (HasFailure()) return;
  }
  EXPECT_GT(looks.load(), many);
  std::printf("%llu rounds, %llu looks, %u parts\n", static_cast<unsigned long long>(many), static_cast<unsigned long long>(looks.load()),
              GetParam());
}

TEST_P(RedisFaults, A_refused_set_claims_nothing) {
  auto store = open_store(server().uri(), new_prefix(), GetParam());
  const auto set = [&](const char* id, std::vector<std::string> keys, Stamp stamp, std::string payload, Version version) {
    auto entry = kit::set_entry(
        {.id = id, .keys = std::move(keys), .stamp = Messages::base() + stamp, .payload = std::move(payload), .version = version});
    return store->apply({.entries = std::span(&entry, 1), .now = Messages::now()}).value().at(0).value().outcome;
  };
  EXPECT_EQ(set("a", {"k"}, 9, "first", 1), Outcome::kApplied);
  EXPECT_EQ(set("a", {"l"}, 8, "second", 1), Outcome::kDeadLettered);
  EXPECT_EQ(store->get({.keys = std::vector<std::string_view>{"l"}, .now = Messages::now()}).value()[0].status, Lookup::Status::kUnknown);
  EXPECT_EQ(set("b", {"l"}, 5, "third", 1), Outcome::kApplied);
  EXPECT_EQ(store->get({.keys = std::vector<std::string_view>{"l"}, .now = Messages::now()}).value()[0].status, Lookup::Status::kFound);
}

TEST_P(RedisFaults, Something_else_under_the_name_of_an_entry_is_said_to_be_so) {
  const auto prefix = new_prefix();
  auto store = open_store(server().uri(), prefix, GetParam());
  auto entry = kit::set_entry({.id = "a", .keys = {"k"}, .stamp = Messages::base() + 1});
  const auto apply = [&] {
    return store->apply({.entries = std::span(&entry, 1), .now = Messages::now(), .deadline = Deadline::in(Milliseconds(2000))});
  };
  ASSERT_TRUE(apply().value().at(0));
  const auto name = server().cli({"KEYS", prefix + ":*e:/k"});
  ASSERT_NE(name, "");
  server().cli({"DEL", name});
  server().cli({"LPUSH", name, "x"});
  entry = kit::set_entry({.id = "a", .keys = {"k"}, .stamp = Messages::base() + 2});
  const auto refused = apply();
  ASSERT_FALSE(refused && refused->at(0)) << "it was written over";
  const auto& error = refused ? refused->at(0).error() : refused.error();
  EXPECT_EQ(error.code(), ErrorCode::kFailedPrecondition) << error.describe();
  EXPECT_FALSE(error.retryable());
  EXPECT_TRUE(error.native_text().starts_with("WRONGTYPE")) << error.describe();
  EXPECT_EQ(server().cli({"LRANGE", name, "0", "-1"}), "x") << "it is another program's";
  EXPECT_EQ(store->get_by_id({.id = "a", .now = Messages::now()}).value().record.value().stamp, Messages::base() + 1)
      << "a refused set has changed its record";
  server().cli({"DEL", name});
  EXPECT_EQ(apply().value().at(0).value().outcome, Outcome::kApplied);
  const auto found = store->get({.keys = std::vector<std::string_view>{"k"}, .now = Messages::now()}).value();
  ASSERT_EQ(found[0].status, Lookup::Status::kFound);
  EXPECT_EQ(found[0].record->stamp, Messages::base() + 2);
}

// A record without its line in the change log would never reach the archive.
TEST_P(RedisFaults, Something_else_under_the_name_of_the_change_log_is_said_to_be_so_and_no_record_is_written_without_its_line) {
  const auto prefix = new_prefix();
  auto store = open_store(server().uri(), prefix, GetParam());
  const auto apply = [&](const std::string& id, Stamp number) {
    auto entry = kit::set_entry({.id = id, .keys = {id}, .stamp = Messages::base() + number});
    auto results = store->apply({.entries = std::span(&entry, 1), .now = Messages::now(), .deadline = Deadline::in(Milliseconds(2000))});
    return results ? results->at(0) : Result<ApplyResult>(results.error());
  };
  const auto stamp_of = [&](const std::string& id) {
    const auto found = store->get_by_id({.id = id, .now = Messages::now()}).value();
    return found.record ? found.record->stamp - Messages::base() : 0;
  };
  ASSERT_TRUE(apply("a", 1));
  const auto log = server().cli({"KEYS", prefix + ":*:l"});
  ASSERT_NE(log, "");
  server().cli({"DEL", log});
  server().cli({"SET", log, "x"});
  // New ones, where they belong to that part; and one that is there.
  int others = 0;
  for (int i = 0; i < 32; ++i) {
    const auto id = "b" + std::to_string(i);
    const auto applied = apply(id, 2);
    EXPECT_EQ(stamp_of(id), applied ? 2U : 0U) << id;
    if (!applied) ++others;
  }
  EXPECT_GT(others, 0);
  const auto refused = apply("a", 2);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().native_text().starts_with("WRONGTYPE")) << refused.error().describe();
  EXPECT_EQ(stamp_of("a"), 1U);
  server().cli({"DEL", log});
  ASSERT_TRUE(apply("a", 2));
  EXPECT_EQ(stamp_of("a"), 2U);
}

TEST_P(RedisFaults, A_user_that_may_not_do_all_that_a_set_does_is_told_so_and_nothing_is_half_written) {
  RedisServer own;
  const auto prefix = new_prefix();
  own.cli({"ACL", "SETUSER", "narrow", "on", ">secret", "~*", "&*", "+@all", "-rpush"});
  const auto all = open_store(own.uri(), prefix, GetParam());
  const auto narrow = open_store(own.uri("", "narrow:secret@"), prefix, GetParam());
  const auto apply = [](KeyStoreBackend& store, const std::string& id, Stamp number) {
    auto entry = kit::set_entry({.id = id, .keys = {id, id + ".key"}, .stamp = Messages::base() + number});
    auto results = store.apply({.entries = std::span(&entry, 1), .now = Messages::now(), .deadline = Deadline::in(Milliseconds(2000))});
    return results ? results->at(0) : Result<ApplyResult>(results.error());
  };
  ASSERT_TRUE(apply(*all, "old", 1));
  for (const char* id : {"old", "new"}) {
    const auto refused = apply(*narrow, id, 2);
    ASSERT_FALSE(refused);
    EXPECT_EQ(redis::trouble_of(refused.error()), redis::Trouble::kNoPermission) << refused.error().describe();
    EXPECT_NE(refused.error().message().find("ACL SETUSER"), std::string::npos) << refused.error().describe();
  }
  EXPECT_EQ(all->get_by_id({.id = "old", .now = Messages::now()}).value().record.value().stamp, Messages::base() + 1);
  EXPECT_EQ(all->get_by_id({.id = "new", .now = Messages::now()}).value().status, Lookup::Status::kUnknown);
}

TEST_P(RedisFaults, Memory_full_is_said_and_nothing_is_half_written) {
  RedisServer small;
  auto store = open_store(small.uri(), new_prefix(), GetParam());
  const Messages messages(5);
  const auto apply = [&](std::uint64_t n) {
    auto entry = messages.at(n, "m");
    auto results = store->apply({.entries = std::span(&entry, 1), .now = Messages::now()});
    return results ? results->at(0) : Result<ApplyResult>(results.error());
  };
  for (std::uint64_t n = 1; n <= 20; ++n) ASSERT_TRUE(apply(n));
  const auto before = state_of(*store, messages, "m");
  small.cli({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
  small.cli({"CONFIG", "SET", "maxmemory", "1"});
  for (std::uint64_t n = 21; n <= 30; ++n) {
    const auto refused = apply(n);
    if (refused) continue;  // it needed no memory
    EXPECT_EQ(refused.error().code(), ErrorCode::kOutOfSpace) << refused.error().message();
  }
  EXPECT_EQ(state_of(*store, messages, "m"), before);
  small.cli({"CONFIG", "SET", "maxmemory", "0"});
  for (std::uint64_t n = 21; n <= 60; ++n) ASSERT_TRUE(apply(n));
  expect_reference(*store, messages, "m", 60);
}

TEST_P(RedisFaults, Killed_connections_and_forgotten_scripts_are_not_noticed) {
  const auto prefix = new_prefix();
  auto store = open_store(server().uri(), prefix, GetParam());
  const Messages messages(77);
  std::atomic<bool> over{false};
  std::jthread nuisance([&] {
    while (!over) {
      server().cli({"CLIENT", "KILL", "TYPE", "normal"});
      server().cli({"SCRIPT", "FLUSH"});
    }
  });
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t n = 1; n <= 300; ++n) numbers.push_back(n);
  std::string failed;
  deliver(*store, messages, "k", numbers, 1, Milliseconds(5000), failed);
  over = true;
  nuisance.join();
  EXPECT_EQ(failed, "");
  expect_reference(*store, messages, "k", 300);
}

}  // namespace
}  // namespace redis_test
