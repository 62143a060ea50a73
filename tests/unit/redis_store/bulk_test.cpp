// What reads many records at a time, where they are large, many, or elsewhere than an index says.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "redis/shards.hpp"
#include "support/redis_server.hpp"

#include <setget/redis.hpp>

namespace {

using namespace setget;
using redis_test::RedisServer;

class RedisBulk : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    server_ = std::make_unique<RedisServer>();
  }

  // `options` of the URI.
  std::shared_ptr<KeyStoreBackend> open(const std::string& options = {}) {
    auto database = redis::open({.uri = server_->uri() + options, .prefix = "app", .shards = GetParam()});
    EXPECT_TRUE(database) << database.error().describe();
    return database->key_store().backend();
  }

  ApplyEntry entry(const std::string& id, std::string payload, std::optional<TimePoint> expires_at = {}) {
    Command command;
    command.kind = CommandKind::kSet;
    command.id = id;
    const std::vector<std::string> keys = {"key-of-" + id};
    command.keys = KeyList(std::span<const std::string>(keys));
    command.account = "acme";
    command.flow = "orders";
    command.payload = std::move(payload);
    ApplyEntry out;
    out.encoded = encode_command(command);
    out.command = decode_command(out.encoded).value();
    out.stamp = stamp_at(now_) + ++stamps_;
    out.expires_at = expires_at;
    return out;
  }

  void apply(KeyStoreBackend& store, const ApplyEntry& entry) {
    auto applied = store.apply({.entries = {&entry, 1}, .now = now_});
    ASSERT_TRUE(applied) << applied.error().describe();
    ASSERT_TRUE(applied->front()) << applied->front().error().describe();
    ASSERT_EQ(applied->front()->outcome, Outcome::kApplied);
  }

  void fill(KeyStoreBackend& store, int count, std::size_t bytes, std::optional<TimePoint> expires_at = {}) {
    for (int n = 0; n < count; ++n) {
      auto one = entry("r" + std::to_string(n), std::string(bytes, static_cast<char>('a' + n % 26)), expires_at);
      one.listed = true;
      apply(store, one);
    }
  }

  std::string eval(const std::string& script) { return server_->cli({"EVAL", script, "0"}); }

  std::unique_ptr<RedisServer> server_;
  const TimePoint now_ = system_clock()->now();
  std::uint64_t stamps_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Parts, RedisBulk, ::testing::Values(1, 4), [](const auto& one) { return std::to_string(one.param); });

TEST_P(RedisBulk, Changes_are_read_up_to_their_limit_of_bytes_however_large_and_however_often_records_changed) {
  auto store = open("?max_reply=3000000");
  (void)store->open_cursor({.name = "nightly"}).value();
  fill(*store, 60, 100'000);
  const auto before = server_->cli({"INFO", "stats"});
  std::size_t seen = 0;
  Position at = 0;
  for (bool end = false; !end;) {
    auto batch = store->changes({.cursor = "nightly", .after = at, .limit = 500, .max_bytes = 1'000'000});
    ASSERT_TRUE(batch) << batch.error().describe();
    ASSERT_FALSE(batch->changes.empty());
    std::size_t bytes = 0;
    for (const auto& change : batch->changes) bytes += change.record->payload.size();
    EXPECT_LE(bytes, 1'000'000u);
    seen += batch->changes.size();
    at = batch->next;
    end = batch->at_end;
  }
  EXPECT_EQ(seen, 60u);
  store->commit_cursor("nightly", at, Deadline::in(Milliseconds(10'000))).value();

  for (int n = 0; n < 50; ++n) apply(*store, entry("hot", std::string(100'000, 'h')));
  const auto batch = store->changes({.cursor = "nightly", .after = at, .limit = 500, .max_bytes = 100'000'000});
  ASSERT_TRUE(batch) << batch.error().describe();
  EXPECT_TRUE(batch->at_end);
  ASSERT_FALSE(batch->changes.empty());
  EXPECT_EQ(batch->changes.back().record->payload.size(), 100'000u);
}

TEST_P(RedisBulk, Large_records_are_evicted_and_listed_a_few_at_a_time) {
  auto store = open("?max_reply=40000000");
  const auto ends = now_ + Milliseconds(60'000);
  fill(*store, GetParam() == 1 ? 110 : 220, 400'000, ends);
  std::size_t listed = 0;
  std::string cursor;
  do {
    const auto page = store->list({.account = "acme", .flow = "orders", .now = now_, .cursor = cursor, .limit = 220});
    ASSERT_TRUE(page) << page.error().describe();
    EXPECT_LE(page->records.size(), kListPageBytes / 400'000 + 1);
    listed += page->records.size();
    cursor = page->next;
  } while (!cursor.empty());
  EXPECT_EQ(listed, GetParam() == 1 ? 110u : 220u);
  std::size_t expired = 0;
  for (std::size_t steps = 1'000; steps == 1'000;) {
    const auto done = store->reclaim({.now = ends + Milliseconds(3'600'000), .max_steps = 1'000});
    ASSERT_TRUE(done) << done.error().describe();
    steps = done->steps;
    expired += done->expired;
  }
  EXPECT_EQ(expired, GetParam() == 1 ? 110u : 220u);
}

TEST_P(RedisBulk, Large_records_are_replaced_and_given_other_ends_a_few_at_a_time) {
  auto store = open("?max_reply=3000000");
  fill(*store, 60, 100'000);
  std::vector<ApplyEntry> again;
  for (int n = 0; n < 60; ++n) again.push_back(entry("r" + std::to_string(n), std::string(1'000, 'z')));
  std::vector<ApplyEntry> back;
  for (int n = 0; n < 60; ++n) back.push_back(entry("r" + std::to_string(n), std::string(100'000, 'y')));
  for (const auto* batch : {&again, &back}) {
    const auto applied = store->apply({.entries = *batch, .now = now_});
    ASSERT_TRUE(applied) << applied.error().describe();
    for (const auto& one : *applied) {
      ASSERT_TRUE(one) << one.error().describe();
      EXPECT_EQ(one->outcome, Outcome::kApplied);
    }
  }
  // What has been done already is found out by reading alone, in as many replies.
  const auto repeated = store->apply({.entries = back, .now = now_});
  ASSERT_TRUE(repeated) << repeated.error().describe();
  for (const auto& one : *repeated) {
    ASSERT_TRUE(one) << one.error().describe();
    EXPECT_EQ(one->outcome, Outcome::kDuplicate);
  }
  std::vector<SetExpiry> ends;
  for (const auto& one : back) {
    ends.push_back({.id = one.command.id, .version = one.stamp, .revision = 0, .expires_at = now_ + Milliseconds(60'000), .now = now_});
  }
  const auto changed = store->set_expiry(ends, Deadline::in(Milliseconds(30'000)));
  ASSERT_TRUE(changed) << changed.error().describe();
  for (const auto& one : *changed) EXPECT_TRUE(one.value());
}

TEST_P(RedisBulk, An_index_that_holds_nothing_any_more_is_forgotten) {
  auto store = open();
  const auto indexes = [&] {
    return eval("local n = 0 for _, key in ipairs(redis.call('KEYS', 'app:*:N:*')) do n = n + redis.call('SCARD', key) end return n");
  };
  for (const std::string account : {"acme", "globex"}) {
    auto one = entry("of-" + account, "{}");
    one.command.account = account;
    one.encoded = encode_command(one.command);
    one.listed = true;
    apply(*store, one);
  }
  EXPECT_EQ(indexes(), "2");
  Command command;
  command.kind = CommandKind::kErase;
  command.id = "of-acme";
  ApplyEntry erase{.command = command, .encoded = encode_command(command), .stamp = stamp_at(now_) + ++stamps_};
  apply(*store, erase);
  EXPECT_EQ(indexes(), "1");
  EXPECT_EQ(store->list({.account = {}, .flow = "orders", .now = now_, .limit = 10}).value().records.size(), 1u);
  auto back = entry("of-acme", "{}");
  back.listed = true;
  apply(*store, back);
  EXPECT_EQ(indexes(), "2");
  EXPECT_EQ(store->list({.account = {}, .flow = "orders", .now = now_, .limit = 10}).value().records.size(), 2u);
}

TEST_P(RedisBulk, A_record_that_is_set_again_and_again_waits_once_for_its_end) {
  auto store = open();
  const auto waiting = [&] {
    return eval("local n = 0 for _, key in ipairs(redis.call('KEYS', 'app:*:x:*')) do n = n + redis.call('LLEN', key) end return n");
  };
  const auto day = Milliseconds(24 * 3'600'000);
  for (int n = 0; n < 300; ++n) apply(*store, entry("hot", "{}", now_ + 30 * day + Milliseconds(n)));
  EXPECT_LE(std::stoi(waiting()), 2) << "a bucket, or two where its border lies between";
  // Where its end moves, it waits there too.
  apply(*store, entry("hot", "{}", now_ + day));
  EXPECT_LE(std::stoi(waiting()), 3);
  EXPECT_EQ(store->reclaim({.now = now_ + 2 * day}).value().expired, 1u);
  apply(*store, entry("hot", "{}", now_ + 30 * day));
  EXPECT_EQ(store->reclaim({.now = now_ + 20 * day}).value().expired, 0u);
  EXPECT_EQ(store->reclaim({.now = now_ + 40 * day}).value().expired, 1u);
  EXPECT_EQ(waiting(), "0") << "nothing waits for what is gone";
}

// RESP3 has scores as numbers, in pairs with their members.
TEST_P(RedisBulk, What_is_gone_is_forgotten_in_either_protocol) {
  for (const std::string protocol : {"2", "3"}) {
    auto store = open("?protocol=" + protocol);
    fill(*store, 200, 10, now_ + Milliseconds(1000));
    const auto floor = stamp_at(now_) + stamps_ + 1;
    const auto evicted = store->reclaim({.now = now_ + Milliseconds(2000), .floor = floor, .max_steps = 5000});
    ASSERT_TRUE(evicted) << evicted.error().describe();
    EXPECT_EQ(evicted->expired, 200u);
    const auto more = store->reclaim({.now = now_ + Milliseconds(2000), .floor = floor, .max_steps = 5000});
    ASSERT_TRUE(more) << more.error().describe();
    EXPECT_EQ(evicted->forgotten + more->forgotten, 400u) << "identities and keys";
    EXPECT_EQ(eval("local n = 0 for _, key in ipairs(redis.call('KEYS', 'app:*:g')) do n = n + redis.call('ZCARD', key) end return n"),
              "0");
    EXPECT_EQ(store->stats().value().tombstones, 0u);
  }
}

TEST_P(RedisBulk, A_list_holds_no_record_of_another_account_or_flow_whatever_its_index_says) {
  auto store = open();
  auto mine = entry("mine", "{}");
  mine.listed = true;
  apply(*store, mine);
  auto theirs = entry("theirs", "{}");
  theirs.command.account = "globex";
  theirs.command.flow = "events";
  theirs.encoded = encode_command(theirs.command);
  theirs.listed = true;
  apply(*store, theirs);
  // As a writer leaves it that was overtaken by one that was faster.
  eval(
      "for _, other in ipairs(redis.call('KEYS', 'app:*:L:/globex/events')) do "
      "local mine = string.gsub(other, 'globex/events', 'acme/orders') "
      "for _, member in ipairs(redis.call('ZRANGE', other, 0, -1)) do redis.call('ZADD', mine, 0, member) end end");
  const auto page = store->list({.account = "acme", .flow = "orders", .now = now_}).value();
  ASSERT_EQ(page.records.size(), 1u);
  EXPECT_EQ(page.records[0].id, "mine");
  EXPECT_EQ(store->list({.account = "globex", .flow = "events", .now = now_}).value().records.size(), 1u);
  EXPECT_EQ(store->list({.now = now_}).value().records.size(), 2u);
}

TEST_P(RedisBulk, A_cursor_that_was_dropped_in_some_parts_only_is_seen_and_can_be_dropped_again) {
  auto store = open();
  (void)store->open_cursor({.name = "nightly"}).value();
  if (GetParam() == 1) return;  // one part drops it or does not
  server_->cli({"HDEL", redis::Shards("app", GetParam(), 'k').name(0, "r"), "nightly"});
  ASSERT_EQ(store->cursors(Deadline::in(Milliseconds(10'000))).value().size(), 1u);
  store->drop_cursor("nightly", Deadline::in(Milliseconds(10'000))).value();
  EXPECT_TRUE(store->cursors(Deadline::in(Milliseconds(10'000))).value().empty());
  EXPECT_EQ(eval("return #redis.call('KEYS', 'app:*:r')"), "0");
}

}  // namespace
