// One damaged record is one record's trouble: what lists, scans, follows and reclaims goes on without it, and says so.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "support/redis_server.hpp"

#include <setget/redis.hpp>

namespace {

using namespace setget;
using redis_test::RedisServer;

// Which records were complained about, and in how many lines.
class Complaints final : public Logger {
 public:
  bool enabled(LogLevel) const noexcept override { return true; }
  void log(LogLevel level, std::string_view, std::initializer_list<LogField> fields) noexcept override {
    const std::lock_guard lock(mutex_);
    if (level != LogLevel::kError) return;
    for (const auto& field : fields) {
      if (field.name == "id") ++lines_[std::string(field.value)];
    }
  }
  std::map<std::string, int> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int> lines_;
};

class RedisDamaged : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    server_ = std::make_unique<RedisServer>();
    auto database = redis::open({.uri = server_->uri(), .prefix = "app", .shards = GetParam(), .logger = complaints_});
    ASSERT_TRUE(database) << database.error().describe();
    store_ = database->key_store().backend();
    (void)store_->open_cursor({.name = "nightly"}).value();
    for (const std::string id : {"a", "b", "c", "d", "e"}) set(id);
  }

  void set(const std::string& id, bool history = false) {
    Command command;
    command.kind = CommandKind::kSet;
    command.id = id;
    const std::vector<std::string> keys = {"key-of-" + id};
    command.keys = KeyList(std::span<const std::string>(keys));
    command.account = "acme";
    command.flow = "orders";
    command.payload = "{\"of\":\"" + id + "\"}";
    ApplyEntry entry;
    entry.encoded = encode_command(command);
    entry.command = decode_command(entry.encoded).value();
    entry.stamp = stamp_at(now_) + ++stamps_;
    entry.expires_at = ends_;
    entry.listed = true;
    entry.history = history;
    const auto applied = store_->apply({.entries = {&entry, 1}, .now = now_});
    ASSERT_TRUE(applied) << applied.error().describe();
    ASSERT_TRUE(applied->front()) << applied->front().error().describe();
    ASSERT_EQ(applied->front()->outcome, Outcome::kApplied);
  }

  // The whole entry, as another program does it; or only the end of its body, as a broken disk does.
  void overwrite(const std::string& id) { run("redis.call('SET', key, 'rubbish')", id); }
  void shorten(const std::string& id) { run("redis.call('SET', key, redis.call('GETRANGE', key, 0, -12))", id); }
  void run(const std::string& what, const std::string& id) {
    server_->cli({"EVAL", "local key = redis.call('KEYS', 'app:*:e:/" + id + "')[1] " + what, "0"});
  }

  std::vector<std::string> listed() {
    std::vector<std::string> ids;
    for (const auto& record : store_->list({.account = "acme", .flow = "orders", .now = now_, .limit = 10}).value().records) {
      ids.push_back(record.id);
    }
    std::ranges::sort(ids);
    return ids;
  }

  using Ids = std::vector<std::string>;
  std::unique_ptr<RedisServer> server_;
  std::shared_ptr<Complaints> complaints_ = std::make_shared<Complaints>();
  std::shared_ptr<KeyStoreBackend> store_;
  const TimePoint now_ = system_clock()->now();
  const TimePoint ends_ = now_ + Milliseconds(60'000);
  std::uint64_t stamps_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Parts, RedisDamaged, ::testing::Values(1, 4), [](const auto& one) { return std::to_string(one.param); });

TEST_P(RedisDamaged, followers_get_the_others_and_how_many_were_left_out) {
  overwrite("b");
  shorten("d");
  Ids ids;
  Position at = 0;
  std::uint64_t damaged = 0;
  for (bool end = false; !end;) {
    const auto batch = store_->changes({.cursor = "nightly", .after = at, .limit = 2});
    ASSERT_TRUE(batch) << batch.error().describe();
    for (const auto& change : batch->changes) ids.push_back(change.id);
    damaged += batch->damaged;
    at = batch->next;
    end = batch->at_end;
  }
  EXPECT_EQ(ids, (Ids{"a", "c", "e"}));
  EXPECT_EQ(damaged, 2u);
  store_->commit_cursor("nightly", at, Deadline::in(Milliseconds(10'000))).value();
  EXPECT_EQ(complaints_->lines(), (std::map<std::string, int>{{"b", 1}, {"d", 1}}));
}

// The outbox is bounded: what stays there would refuse every set in the end.
TEST_P(RedisDamaged, states_of_histories_do_not_wait_for_one_that_nobody_can_read) {
  for (const std::string id : {"h1", "h2", "h3", "h4", "h5", "h6"}) set(id, true);
  ASSERT_EQ(store_->history({}).value().states.size(), 6u);
  // In each part the first one, in one of two ways.
  server_->cli({"EVAL",
                "for n, key in ipairs(redis.call('KEYS', 'app:*:o')) do redis.call('LSET', key, 0, n % 2 == 0 and 'rubbish' or "
                "string.match(redis.call('LINDEX', key, 0), '^%d+ ') .. 'x') end",
                "0"});
  const auto batch = store_->history({}).value();
  EXPECT_TRUE(batch.at_end);
  EXPECT_LT(batch.states.size(), 6u);
  EXPECT_GE(batch.states.size(), 6u - GetParam());
  std::vector<OutboxPlace> places;
  for (const auto& state : batch.states) places.push_back({.part = state.part, .position = state.position});
  ASSERT_TRUE(store_->confirm_history(places));
  EXPECT_TRUE(store_->history({}).value().states.empty());
  for (const std::string id : {"h1", "h2", "h3", "h4", "h5", "h6"}) set(id, true);
  EXPECT_EQ(store_->history({}).value().states.size(), 6u);
  // What only looks like a position.
  for (const std::string head : {"1e300 x", "inf x", "0x10 x", "12345678", "9999999999999999 x"}) {
    if (GetParam() != 1) break;
    server_->cli({"EVAL", "redis.call('LSET', redis.call('KEYS', 'app:*:o')[1], 0, ARGV[1])", "0", head});
    places.clear();
    for (const auto& state : store_->history({}).value().states) places.push_back({.part = state.part, .position = state.position});
    ASSERT_EQ(places.size(), 5u) << head;
    ASSERT_TRUE(store_->confirm_history(places));
    EXPECT_EQ(server_->cli({"EVAL", "return #redis.call('KEYS', 'app:*:o')", "0"}), "0") << head;
    for (const std::string id : {"h1", "h2", "h3", "h4", "h5", "h6"}) set(id, true);
  }
  if (GetParam() == 1) {
    const std::string key = "local key = redis.call('KEYS', 'app:*:o')[1]; ";
    // The third one below those before it: these are as they were.
    server_->cli({"EVAL", key + "redis.call('LSET', key, 2, '1' .. string.match(redis.call('LINDEX', key, 2), ' .*'))", "0"});
    std::vector<std::string> ids;
    for (const auto& state : store_->history({}).value().states) ids.push_back(state.id);
    EXPECT_EQ(ids, (std::vector<std::string>{"h1", "h2", "h4", "h5", "h6"}));
    server_->cli({"EVAL", key + "redis.call('LPOP', key); redis.call('LSET', key, 0, '9' .. redis.call('LINDEX', key, 0))", "0"});
    server_->cli({"EVAL", key + "redis.call('LREM', key, 1, redis.call('LINDEX', key, 1))", "0"});
    EXPECT_EQ(store_->history({}).value().states.size(), 3u) << "it would be confirmed with all that are behind it";
  }
  if (GetParam() == 1) {
    server_->cli({"EVAL", "redis.call('LSET', redis.call('KEYS', 'app:*:o')[1], 0, '1 ' .. string.char(2))", "0"});
    EXPECT_EQ(store_->history({}).error().code(), ErrorCode::kUnsupported) << "what a later version wrote is not lost";
  }
}

TEST_P(RedisDamaged, lists_and_scans_hold_the_others) {
  overwrite("b");
  shorten("d");
  EXPECT_EQ(listed(), (Ids{"a", "c", "e"}));
  EXPECT_EQ(listed(), (Ids{"a", "c", "e"}));
  EXPECT_EQ(complaints_->lines(), (std::map<std::string, int>{{"b", 1}, {"d", 1}})) << "each once";
  EXPECT_EQ(store_->scan({.cursor = {}}).error().code(), ErrorCode::kCorrupted);
  Ids found;
  Ids damaged;
  std::string cursor;
  do {
    const auto page = store_->scan({.cursor = cursor, .limit = 1, .over_damaged = true});
    ASSERT_TRUE(page) << page.error().describe();
    for (const auto& item : page->items) found.push_back(item.id);
    for (const auto& item : page->damaged) damaged.push_back(item.id);
    cursor = page->next;
  } while (!cursor.empty());
  std::ranges::sort(found);
  std::ranges::sort(damaged);
  EXPECT_EQ(found, (Ids{"a", "c", "e"}));
  EXPECT_EQ(damaged, (Ids{"b", "d"}));
}

TEST_P(RedisDamaged, a_digest_of_everything_differs_where_one_is_damaged) {
  const std::vector<std::uint64_t> starts = {0};
  const auto whole = store_->digest({.starts = starts, .now = now_, .deep = {.of = 1}}).value();
  shorten("d");
  const auto without = store_->digest({.starts = starts, .now = now_, .deep = {.of = 1}});
  ASSERT_TRUE(without) << without.error().describe();
  EXPECT_FALSE(whole.front() == without->front());
  overwrite("b");
  const auto rubbish = store_->digest({.starts = starts, .now = now_});
  ASSERT_TRUE(rubbish) << rubbish.error().describe();
  EXPECT_FALSE(whole.front() == rubbish->front());
}

TEST_P(RedisDamaged, the_others_are_evicted_and_forgotten) {
  overwrite("b");
  shorten("d");
  overwrite("key-of-a");
  const auto later = ends_ + Milliseconds(3'600'000);
  std::size_t expired = 0;
  for (int n = 0; n < 3; ++n) {
    const auto done = store_->reclaim({.now = later, .floor = stamp_at(later)});
    ASSERT_TRUE(done) << done.error().describe();
    expired += done->expired;
  }
  EXPECT_EQ(expired, 3u) << "c and e, and d, of which the head says all that is needed";
  EXPECT_EQ(complaints_->lines(), (std::map<std::string, int>{{"a", 1}, {"b", 1}})) << "what is damaged, or has a damaged key, stays";
  // The tombstone that could be forgotten first cannot be read: it stays, and the others go, however few are looked at in one go.
  overwrite("c");
  store_->drop_cursor("nightly", Deadline::in(Milliseconds(10'000))).value();
  for (int n = 0; n < 40; ++n) {
    const auto done = store_->reclaim({.now = later, .floor = stamp_at(later), .max_steps = 1});
    ASSERT_TRUE(done) << done.error().describe();
  }
  EXPECT_EQ(store_->stats().value().tombstones, 1u);
  EXPECT_TRUE(complaints_->lines().contains("c"));
}

TEST_P(RedisDamaged, what_another_program_has_put_there_is_an_error_of_every_get_and_not_a_record_that_is_missing) {
  run("redis.call('DEL', key) redis.call('RPUSH', key, 'x')", "key-of-b");
  const std::vector<std::string_view> one = {"key-of-b"};
  const std::vector<std::string_view> many = {"key-of-a", "key-of-b", "key-of-none"};
  for (const auto* keys : {&one, &many}) {
    const GetRecords request{.keys = *keys, .now = now_};
    std::promise<Result<std::vector<Lookup>>> promise;
    store_->get_async(request, [&](Result<std::vector<Lookup>> found) { promise.set_value(std::move(found)); });
    for (const auto& found : {store_->get(request), promise.get_future().get()}) {
      ASSERT_FALSE(found) << keys->size();
      EXPECT_NE(found.error().native_text().find("WRONGTYPE"), std::string_view::npos) << found.error().describe();
    }
  }
  run("redis.call('DEL', key) redis.call('RPUSH', key, 'x')", "c");
  EXPECT_EQ(store_->get_by_id({.ns = {}, .id = "c", .now = now_}).error().code(), ErrorCode::kCorrupted) << "nothing is left of the record";
  const std::vector<std::string_view> others = {"key-of-a", "key-of-d", "key-of-none"};
  const auto found = store_->get({.keys = others, .now = now_});
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(found->at(1).record->id, "d");
  EXPECT_EQ(found->at(2).status, Lookup::Status::kUnknown);
}

TEST_P(RedisDamaged, a_set_over_it_names_what_redis_has_there) {
  overwrite("b");
  Command command;
  command.kind = CommandKind::kSet;
  command.id = "b";
  const std::vector<std::string> keys = {"key-of-b"};
  command.keys = KeyList(std::span<const std::string>(keys));
  command.payload = "{}";
  ApplyEntry entry{.command = command, .encoded = encode_command(command), .stamp = stamp_at(now_) + ++stamps_};
  const auto applied = store_->apply({.entries = {&entry, 1}, .now = now_});
  ASSERT_TRUE(applied) << applied.error().describe();
  ASSERT_FALSE(applied->front());
  EXPECT_EQ(applied->front().error().code(), ErrorCode::kCorrupted);
  EXPECT_NE(applied->front().error().message().find(":e:/b"), std::string_view::npos) << applied->front().error().describe();
  // What cannot be read alone is replaced.
  shorten("d");
  set("d");
  EXPECT_EQ(listed(), (Ids{"a", "c", "d", "e"}));
}

}  // namespace
