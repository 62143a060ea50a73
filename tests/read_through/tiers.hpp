// A pipeline whose reader falls back to an archive: any store with any archive, with faults in front of both.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <setget/config.hpp>
#include <setget/testing/clock.hpp>
#include <setget/testing/faults.hpp>

#include "support/mongo_server.hpp"
#include "support/redis_server.hpp"

namespace read_through_test {

using namespace setget;
using setget::testing::Fault;
using setget::testing::FaultKind;
using setget::testing::FaultPlan;
using setget::testing::Gate;

struct Tiers {
  std::string store;    // memory, sqlite, redis
  std::string archive;  // memory, sqlite, mongo
  std::optional<mongo_test::Kind> server{};
};
inline std::string name_of(const Tiers& tiers) {
  return tiers.store + "_over_" + (tiers.server ? mongo_test::name_of(*tiers.server) : tiers.archive);
}
inline void PrintTo(const Tiers& tiers, std::ostream* out) { *out << name_of(tiers); }

inline std::vector<Tiers> all_tiers() {
  std::vector<Tiers> all;
  for (const char* store : {"memory", "sqlite", "redis"}) {
    for (const char* archive : {"memory", "sqlite"}) all.push_back({store, archive});
    for (const auto kind : mongo_test::kinds()) all.push_back({store, "mongo", kind});
  }
  return all;
}

inline redis_test::RedisServer& redis_server() {
  static redis_test::RedisServer server;
  return server;
}

// Far longer than anything takes here.
inline Deadline patience() { return Deadline::in(std::chrono::seconds(60)); }

class TiersTest : public ::testing::TestWithParam<Tiers> {
 protected:
  void SetUp() override {
    if (GetParam().store == "redis") SETGET_REQUIRE_REDIS();
    if (GetParam().server) SETGET_REQUIRE_MONGO(*GetParam().server);
    open();
  }
  void TearDown() override { pipeline_.reset(); }

  Config config() {
    static int stores = 0;
    const auto& tiers = GetParam();
    Config config;
    config.archive_schedule = "";
    config.pipeline.linger = Milliseconds(0);
    config.pipeline.durability = Durability::kMemory;
    config.pipeline.through.timeout = timeout_;
    config.read_through = true;
    config.store = "memory:";
    if (tiers.store == "sqlite") config.store = "sqlite:" + folder_.path("store.db");
    if (tiers.store == "redis") {
      config.store = redis_server().uri();
      config.redis.prefix = "tiers-" + std::to_string(++stores);
    }
    config.queue = tiers.store == "redis" ? "memory:" : config.store;
    config.archive = tiers.archive == "memory" ? "memory:" : "sqlite:" + folder_.path("archive.db");
    if (tiers.server) {
      const auto options = mongo_test::shared_server(*tiers.server).options();
      config.archive = options.uri;
      config.mongo.collection = options.collection;
      config.mongo.batch = options.batch;
      // Longer than a get may take whose archive hangs, also on a busy machine.
      config.mongo.connect_timeout = Milliseconds(30'000);
    }
    return config;
  }
  void open() {
    const auto named = config();
    stores_ = open_stores(named, clock_).value();
    auto options = pipeline_options(named, stores_);
    options.key_store = KeyStore(std::make_shared<setget::testing::FaultyKeyStore>(stores_.key_store.backend(), store_faults_));
    options.archive = std::make_shared<setget::testing::FaultyArchive>(stores_.archive, archive_faults_);
    options.clock = clock_;
    pipeline_ = Pipeline::create(std::move(options)).value();
  }

  // Into the archive only, as if the store had lost it.
  void archive(const std::string& id, std::vector<std::string> keys, std::optional<TimePoint> expires_at = {}) {
    ArchiveEntry entry;
    entry.id = id;
    entry.version = 5;
    entry.record.id = id;
    entry.record.keys = KeyList(std::span<const std::string>(keys));
    entry.record.account = "acme";
    entry.record.flow = "orders";
    entry.record.payload = "{}";
    entry.record.content_type = "application/json";
    entry.record.version = 5;
    entry.record.stamp = 5;
    entry.record.expires_at = expires_at;
    const std::vector<ArchiveEntry> entries{entry};
    ASSERT_TRUE(stores_.archive->write({.entries = entries}).value().front());
  }
  void set(const std::string& id, std::vector<std::string> keys) {
    SetRequest request;
    request.id = id;
    request.keys = KeyList(std::span<const std::string>(keys));
    request.account = "acme";
    request.flow = "orders";
    request.payload = R"({"set":true})";
    ASSERT_TRUE(pipeline_->set(std::move(request)));
    work();
  }
  void erase_key(const std::string& key) {
    ASSERT_TRUE(pipeline_->erase({.key = key}));
    work();
  }
  void erase_id(const std::string& id) {
    ASSERT_TRUE(pipeline_->erase({.id = id}));
    work();
  }
  void work() {
    while (pipeline_->run_once().value() > 0) {
    }
  }

  // "x from archive", "none", or an error.
  static std::string shown(const Result<Found>& found) {
    if (!found) return found.error().describe();
    if (!found->record) return "none";
    return found->record->id + " from " + std::string(to_string(found->tier));
  }
  std::string by_key(std::string_view key) { return shown(pipeline_->reader().find(key, {}, patience())); }
  std::string by_id(std::string_view id) { return shown(pipeline_->reader().find_by_id(id, {}, patience())); }
  std::future<std::string> ask(std::string_view key) {
    auto promise = std::make_shared<std::promise<std::string>>();
    auto answer = promise->get_future();
    pipeline_->reader().find_async(key, {}, patience(), [promise](const Result<Found>& found) { promise->set_value(shown(found)); });
    return answer;
  }

  Milliseconds timeout_{60'000};  // of a question to the archive
  redis_test::TemporaryFolder folder_;
  std::shared_ptr<setget::testing::SimulatedClock> clock_ = std::make_shared<setget::testing::SimulatedClock>();
  std::shared_ptr<FaultPlan> store_faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<FaultPlan> archive_faults_ = std::make_shared<FaultPlan>();
  Stores stores_;
  std::unique_ptr<Pipeline> pipeline_;
};

}  // namespace read_through_test
