// The read cache on real servers: what it answers, and when it must not.
#include <gtest/gtest.h>

#include <sstream>

#include "redis/errors.hpp"
#include "unit/redis_cache/cache_fixture.hpp"

#include <setget/testing/tcp_proxy.hpp>

namespace setget::redis {
namespace {

using redis_test::cache_on;
using redis_test::eventually;
using redis_test::OpenStore;
using redis_test::RedisServer;
using redis_test::Steady;
using testing::TcpProxy;
using Status = Lookup::Status;

class ReadCache : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (redis_test::missing_programs().empty()) server_ = std::make_unique<RedisServer>();
  }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    server_->cli({"FLUSHALL"});
  }
  static std::string uri(const std::string& rest = {}) { return server_->uri(rest); }

  static std::unique_ptr<RedisServer> server_;
};
std::unique_ptr<RedisServer> ReadCache::server_;

TEST_F(ReadCache, a_second_get_asks_nobody) {
  OpenStore reader(uri(), cache_on(Milliseconds(60'000)));
  reader.set("id", {"key", "id"}, 1, "one");
  ASSERT_TRUE(reader.warm("key"));
  const auto hits = reader.counts().hits;
  const auto gets = [] {
    const auto stats = server_->cli({"INFO", "commandstats"});
    const auto at = stats.find("cmdstat_get:calls=");
    return at == std::string::npos ? std::string("none") : stats.substr(at, stats.find(',', at) - at);
  };
  const auto before = gets();
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(reader.payload("key"), "one");
  EXPECT_EQ(reader.counts().hits, hits + 1000);
  EXPECT_EQ(gets(), before);
  EXPECT_EQ(reader.look("key")->status, Status::kFound);
  EXPECT_EQ(reader.look("key")->record->id, "id");
}

TEST_F(ReadCache, absence_is_kept_until_somebody_sets_the_key) {
  OpenStore writer(uri());
  OpenStore reader(uri(), cache_on(Milliseconds(60'000)));
  ASSERT_TRUE(reader.warm("key"));
  EXPECT_EQ(reader.look("key")->status, Status::kUnknown);
  writer.set("id", {"key"}, 1, "one");
  EXPECT_TRUE(eventually([&] { return reader.payload("key") == "one"; }, Milliseconds(20'000)));
}

TEST_F(ReadCache, what_another_program_has_put_there_is_an_error_of_every_get_and_costs_no_other_answer) {
  OpenStore writer(uri());
  OpenStore reader(uri(), cache_on(Milliseconds(60'000)));
  writer.set("id", {"key"}, 1, "one");
  writer.set("foreign", {"foreign"}, 1, "two");
  ASSERT_TRUE(reader.warm("key"));
  const auto name = server_->cli({"KEYS", "*e:/foreign"});
  ASSERT_NE(name, "");
  server_->cli({"DEL", name});
  server_->cli({"RPUSH", name, "x"});
  const std::vector<std::string_view> one = {"foreign"};
  const std::vector<std::string_view> many = {"key", "foreign", "none"};
  for (const auto* keys : {&one, &many, &one, &many}) {
    const auto found = reader.store().get({.keys = *keys, .now = reader.now(), .deadline = Deadline::in(Milliseconds(10'000))});
    ASSERT_FALSE(found) << keys->size();
    EXPECT_EQ(trouble_of(found.error()), Trouble::kWrongType) << found.error().describe();
  }
  const auto hits = reader.counts().hits;
  EXPECT_EQ(reader.payload("key"), "one");
  EXPECT_EQ(reader.counts().hits, hits + 1) << "the other answers were thrown away";
  server_->cli({"DEL", name});
  const std::vector<std::string_view> gone = {"key", "foreign", "none"};
  const auto found = reader.store().get({.keys = gone, .now = reader.now(), .deadline = Deadline::in(Milliseconds(10'000))});
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(found->at(0).status, Status::kFound);
  EXPECT_EQ(found->at(1).status, Status::kUnknown);
}

TEST_F(ReadCache, changes_of_others_arrive_long_before_the_bound) {
  OpenStore writer(uri());
  OpenStore reader(uri(), cache_on(Milliseconds(30'000)));
  for (std::uint64_t n = 1; n <= 50; ++n) {
    const auto text = std::to_string(n);
    writer.set("id", {"k1", "k2"}, n, text);
    const auto since = Steady::now();
    while (reader.payload("k1") != text) ASSERT_LT(Steady::now() - since, std::chrono::seconds(10)) << n;
    ASSERT_TRUE(reader.warm("k1"));
  }
  EXPECT_GE(reader.counts().invalidations, 49U);
}

TEST_F(ReadCache, a_store_sees_its_own_changes_at_once) {
  for (const std::uint32_t shards : {1U, 16U}) {
    server_->cli({"FLUSHALL"});
    OpenStore store(uri(), cache_on(Milliseconds(30'000)), nullptr, shards);
    for (std::uint64_t n = 1; n <= 200; ++n) {
      store.set("id", {"key", "id"}, n, std::to_string(n));
      ASSERT_EQ(store.payload("key"), std::to_string(n));
      ASSERT_EQ(store.payload("id"), std::to_string(n));
      if (n % 20 == 0) {
        ASSERT_TRUE(store.warm("key"));
      }
    }
    const auto erase = testing::erase_entry({.id = "id", .stamp = Stamp{201} << 20});
    ASSERT_TRUE(store.store().apply({.entries = {&erase, 1}, .now = OpenStore::now()}).value().front());
    EXPECT_EQ(store.look("key")->status, Status::kGone);
  }
}

// Also what a command does not name: which other keys the record has that goes with this one.
TEST_F(ReadCache, a_store_sees_at_once_whatever_its_own_change_has_ended) {
  for (const std::uint32_t shards : {1U, 16U}) {
    server_->cli({"FLUSHALL"});
    OpenStore store(uri(), cache_on(Milliseconds(30'000)), nullptr, shards);
    for (std::uint64_t n = 1; n <= 100; ++n) {
      const auto key = "key/" + std::to_string(n);
      const auto other = "other/" + std::to_string(n);
      store.set("id/" + std::to_string(n), {key, other}, 2 * n, "v");
      ASSERT_TRUE(store.warm(other));
      const auto erase = testing::erase_key_entry(key, Stamp{2 * n + 1} << 20);
      ASSERT_TRUE(store.store().apply({.entries = {&erase, 1}, .now = OpenStore::now()}).value().front());
      ASSERT_EQ(store.look(other)->status, Status::kGone) << n << " of " << shards << " parts";
    }
  }
}

TEST_F(ReadCache, never_answers_beyond_expiry) {
  OpenStore store(uri(), cache_on());
  const auto end = OpenStore::now() + Milliseconds(2'000);
  store.set("id", {"key"}, 1, "one", end);
  ASSERT_TRUE(store.warm("key"));
  for (;;) {
    const auto before = OpenStore::now();
    const auto found = store.look("key").value();
    if (before >= end) {
      EXPECT_EQ(found.status, Status::kGone);
      break;
    }
  }
}

TEST_F(ReadCache, a_flush_empties_it) {
  OpenStore store(uri(), cache_on(Milliseconds(60'000)));
  store.set("id", {"key"}, 1, "one");
  ASSERT_TRUE(store.warm("key"));
  server_->cli({"FLUSHALL"});
  EXPECT_TRUE(eventually([&] { return store.look("key")->status == Status::kUnknown; }, Milliseconds(20'000)));
}

TEST_F(ReadCache, a_lost_connection_empties_it_and_it_works_again_on_the_next) {
  OpenStore store(uri(), cache_on(Milliseconds(60'000)));
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) {
      const auto id = "id" + std::to_string(i);
      store.set(id, {id}, static_cast<std::uint64_t>(round + 1), "x");
    }
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(store.warm("id" + std::to_string(i)));
    ASSERT_GE(store.counts().entries, 20U);
    server_->cli({"CLIENT", "KILL", "TYPE", "normal"});
    EXPECT_TRUE(eventually([&] { return store.counts().entries == 0; }, Milliseconds(20'000)));
  }
}

TEST_F(ReadCache, a_server_that_does_not_track_is_used_without_the_cache) {
  server_->cli({"ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-client|tracking"});
  OpenStore store(server_->uri({}, "plain:secret@"), cache_on());
  store.set("id", {"key"}, 1, "one");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(store.payload("key"), "one");
  EXPECT_EQ(store.counts().hits, 0U);
  EXPECT_EQ(store.counts().entries, 0U);
}

TEST_F(ReadCache, a_silent_server_is_not_answered_for_longer_than_the_bound) {
  constexpr auto kBound = Milliseconds(2'000);
  const auto proxy = TcpProxy::start("127.0.0.1", server_->port()).value();
  OpenStore writer(uri());
  OpenStore reader("redis://127.0.0.1:" + std::to_string(proxy->port()), cache_on(kBound));
  bool answered_old = false;
  for (std::uint64_t n = 1; n <= 3; ++n) {
    const auto text = std::to_string(n);
    writer.set("id", {"key"}, 2 * n, text);
    ASSERT_TRUE(eventually([&] { return reader.payload("key") == text; }));
    ASSERT_TRUE(reader.warm("key"));
    proxy->stall(TcpProxy::Way::kToClient, true);  // no invalidation comes through, and nothing closes
    writer.set("id", {"key"}, 2 * n + 1, text + "'");
    const auto changed = Steady::now();
    for (;;) {
      const auto begun = Steady::now();
      const auto found = reader.look("key", Milliseconds(50));
      if (!found) break;
      ASSERT_EQ(found->record->payload.str(), text);
      answered_old = true;
      ASSERT_LT(begun - changed, kBound) << "an old answer was given after the bound";
    }
    EXPECT_GT(Steady::now() - changed, std::chrono::milliseconds(50));
    proxy->stall(TcpProxy::Way::kToClient, false);
    EXPECT_TRUE(eventually([&] {
      const auto found = reader.look("key", Milliseconds(1000));
      return found && found->record && found->record->payload.view() == text + "'";
    }));
  }
  EXPECT_TRUE(answered_old) << "the test must meet the cache";
}

TEST_F(ReadCache, keys_of_one_request_are_of_one_moment) {
  OpenStore writer(uri());
  OpenStore reader(uri(), cache_on());
  writer.set("id", {"k1", "k2", "k3"}, 1, "1");
  std::atomic<bool> over{false};
  std::atomic<int> mixed{0};
  std::atomic<int> asked{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      const std::vector<std::string_view> keys = {"k1", "k2", "k3"};
      std::uint64_t last = 0;
      while (!over) {
        const auto found = reader.store().get({.keys = keys, .now = OpenStore::now()}).value();
        ++asked;
        const auto version = found[0].record->version;
        if (found[1].record->version != version || found[2].record->version != version || version < last) ++mixed;
        last = version;
      }
    });
  }
  // In pauses the cache fills; in between changes come thick and fast.
  for (std::uint64_t n = 2; n < 1500; ++n) {
    writer.set("id", {"k1", "k2", "k3"}, n, std::to_string(n));
    if (n % 10 == 0) {
      const auto hits = reader.counts().hits;
      ASSERT_TRUE(eventually([&] { return reader.counts().hits > hits + 30; }));
    }
  }
  over = true;
  for (auto& one : readers) one.join();
  EXPECT_EQ(mixed, 0);
  EXPECT_GT(asked, 1000);
}

TEST_F(ReadCache, stays_within_its_bounds_under_load) {
  auto options = cache_on();
  options.max_entries = 50;
  options.max_bytes = 60'000;
  OpenStore store(uri(), options);
  for (int i = 0; i < 200; ++i) store.set("id" + std::to_string(i), {"id" + std::to_string(i)}, 1, std::string(2000, 'x'));
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 200; ++i) {
      ASSERT_EQ(store.payload("id" + std::to_string(i)).size(), 2000U);
      const auto counts = store.counts();
      ASSERT_LE(counts.entries, 50U);
      ASSERT_LE(counts.bytes, 60'000U);
    }
  }
}

TEST_F(ReadCache, metrics_say_what_it_does) {
  const auto metrics = std::make_shared<PrometheusMetrics>();
  OpenStore store(uri(), cache_on(Milliseconds(30)), metrics);
  store.set("id", {"key"}, 1, "one");
  ASSERT_TRUE(store.warm("key"));
  store.set("id", {"key"}, 2, "two");
  EXPECT_TRUE(eventually([&] {
    const auto text = metrics->expose();
    const auto has = [&](const char* name) { return text.find(name) != std::string::npos; };
    return has("setget_redis_cache_hits_total") && has("setget_redis_cache_misses_total") && has("setget_redis_cache_entries 1") &&
           has("setget_redis_cache_invalidations_total") && has("setget_redis_cache_bytes");
  }));
}

// --- several servers ----------------------------------------------------------------------------------------------------------------

TEST(ReadCacheOnSentinels, a_failover_ends_what_the_old_master_said) {
  SETGET_REQUIRE_REDIS();
  redis_test::SentinelGroup group(redis_test::kNoneDies);
  ASSERT_TRUE(eventually([&] { return group.healthy(); }, Milliseconds(30'000)));
  OpenStore writer(group.uri());
  OpenStore reader(group.uri(), cache_on());
  writer.set("id", {"key"}, 1, "1");
  ASSERT_TRUE(reader.warm("key"));
  const auto* old = &group.master();
  ASSERT_TRUE(eventually([&] { return group.fail_over(); }, Milliseconds(30'000)));
  // What the old master took before it is a replica would be lost.
  ASSERT_TRUE(eventually([&] { return &group.master() != old && group.healthy(); }));
  std::uint64_t n = 1;
  ASSERT_TRUE(eventually([&] { return writer.try_set("id", {"key"}, ++n, "after").has_value(); }, Milliseconds(30'000)));
  EXPECT_TRUE(eventually([&] {
    const auto found = reader.look("key", Milliseconds(1000));
    return found && found->record && found->record->version == n << 20;
  }));
  EXPECT_TRUE(reader.warm("key"));
}

// Whoever loses a connection does so on a thread of its own (a thread sanitizer sees what they share).
TEST_F(ReadCache, closes_while_its_connections_are_lost) {
  const auto proxy = TcpProxy::start("127.0.0.1", server_->port()).value();
  for (int round = 0; round < 30; ++round) {
    OpenStore reader("redis://127.0.0.1:" + std::to_string(proxy->port()), cache_on(Milliseconds(30)));
    ASSERT_TRUE(reader.warm("absent"));
    proxy->reset_all();
  }
}

TEST(ReadCacheOnACluster, follows_slots_that_move) {
  SETGET_REQUIRE_REDIS();
  redis_test::ClusterGroup group(6, 1, {}, redis_test::kNoneDies);
  constexpr auto kBound = Milliseconds(500);
  OpenStore writer(group.uri());
  OpenStore reader(group.uri(), cache_on(kBound));
  ASSERT_TRUE(writer.place().clustered());
  const Shards shards("setget", 256, 'k');
  const auto slot = shards.slot(shards.of("", "absent"));
  const auto number = std::to_string(slot);
  ASSERT_TRUE(reader.warm("absent")) << "its absence is what nobody takes back when the slot has gone";
  std::uint64_t n = 0;
  const auto masters = group.masters();
  for (int round = 0; round < 2; ++round) {
    auto& from = group.master_of(slot);
    auto& to = *(masters[0] == &from ? masters[1] : masters[0]);
    const auto to_id = redis_test::ClusterGroup::id_of(to);
    ASSERT_EQ(to.cli({"CLUSTER", "SETSLOT", number, "IMPORTING", redis_test::ClusterGroup::id_of(from)}), "OK");
    ASSERT_EQ(from.cli({"CLUSTER", "SETSLOT", number, "MIGRATING", to_id}), "OK");
    for (;;) {
      const auto keys = from.cli({"CLUSTER", "GETKEYSINSLOT", number, "100"});
      if (keys.empty()) break;
      std::vector<std::string> migrate = {"MIGRATE", "127.0.0.1", std::to_string(to.port()), "", "0", "5000", "KEYS"};
      std::istringstream lines(keys);
      for (std::string key; std::getline(lines, key);) migrate.push_back(key);
      from.cli(migrate);
    }
    ASSERT_EQ(to.cli({"CLUSTER", "SETSLOT", number, "NODE", to_id}), "OK");
    ASSERT_EQ(from.cli({"CLUSTER", "SETSLOT", number, "NODE", to_id}), "OK");
    for (auto* other : masters) other->cli({"CLUSTER", "SETSLOT", number, "NODE", to_id});
    writer.set("absent", {"absent"}, ++n, "there");
    const auto changed = Steady::now();
    for (;;) {
      const auto begun = Steady::now();
      const auto found = reader.look("absent").value();
      if (found.record && found.record->version == n << 20) break;
      ASSERT_LT(begun - changed, kBound) << "the old master was believed for too long";
    }
    ASSERT_TRUE(reader.warm("absent"));
  }
}

// A key that nobody had is made at the new master at once, and the old one has nothing to say of it.
TEST(ReadCacheOnACluster, believes_no_master_that_is_giving_its_slot_away) {
  SETGET_REQUIRE_REDIS();
  redis_test::ClusterGroup group(3, 0, {}, redis_test::kNoneDies);
  constexpr auto kBound = Milliseconds(500);
  OpenStore writer(group.uri());
  OpenStore reader(group.uri(), cache_on(kBound));
  const Shards shards("setget", 256, 'k');
  const auto slot = shards.slot(shards.of("", "absent"));
  ASSERT_TRUE(writer.place().clustered());
  writer.set("beside", {"beside"}, 1, "so that the part is there");
  ASSERT_NE(shards.of("", "other"), shards.of("", "absent"));
  ASSERT_TRUE(reader.warm("absent"));
  const auto masters = group.masters();
  auto& to = *(masters[0] == &group.master_of(slot) ? masters[1] : masters[0]);
  bool set = false;
  group.move_slot(slot, to, [&] {
    if (std::exchange(set, true)) return;
    // What comes last of it has to wait until the slot has moved; the record is there before.
    (void)writer.try_set("other", {"absent"}, 2, "there");
    ASSERT_TRUE(eventually([&] { return writer.payload("absent") == "there"; }));
    const auto changed = Steady::now();
    for (;;) {
      const auto begun = Steady::now();
      if (reader.payload("absent") == "there") break;
      ASSERT_LT(begun - changed, kBound) << "the old master was believed for too long";
    }
  });
  EXPECT_TRUE(eventually([&] { return writer.try_set("other", {"absent"}, 3, "again").has_value(); }));
  EXPECT_TRUE(eventually([&] { return reader.payload("absent") == "again"; }));
  EXPECT_TRUE(reader.warm("absent")) << "it is kept again once the slot has moved";
}

}  // namespace
}  // namespace setget::redis
