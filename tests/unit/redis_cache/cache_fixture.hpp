// Stores with and without the cache, for its tests.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "redis/store.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/commands.hpp>

namespace redis_test {

using Steady = std::chrono::steady_clock;

inline setget::redis::CacheOptions cache_on(setget::Milliseconds max_silence = setget::Milliseconds(1000)) {
  setget::redis::CacheOptions options;
  options.enabled = true;
  options.max_silence = max_silence;
  return options;
}

class OpenStore {
 public:
  explicit OpenStore(const std::string& uri, setget::redis::CacheOptions cache = {}, std::shared_ptr<setget::Metrics> metrics = nullptr,
                     std::uint32_t shards = 0) {
    setget::redis::Options options;
    options.uri = uri;
    options.cache = cache;
    options.metrics = std::move(metrics);
    options.shards = shards;
    place_ = setget::redis::Place::open(std::move(options)).value();
    store_ = std::dynamic_pointer_cast<setget::redis::RedisStore>(setget::redis::make_key_store(place_));
  }

  setget::redis::RedisStore& store() { return *store_; }
  setget::redis::Place& place() { return *place_; }
  static setget::TimePoint now() { return setget::system_clock()->now(); }

  void set(const std::string& id, const std::vector<std::string>& keys, std::uint64_t version, const std::string& payload,
           std::optional<setget::TimePoint> expires_at = {}) {
    const auto applied = try_set(id, keys, version, payload, expires_at);
    ASSERT_TRUE(applied) << applied.error().describe();
  }
  setget::Result<void> try_set(const std::string& id, const std::vector<std::string>& keys, std::uint64_t version,
                               const std::string& payload, std::optional<setget::TimePoint> expires_at = {}) {
    const auto entry =
        setget::testing::set_entry({.id = id, .keys = keys, .stamp = version << 20, .payload = payload, .expires_at = expires_at});
    auto applied = store_->apply({.entries = {&entry, 1}, .now = now(), .deadline = setget::Deadline::in(std::chrono::seconds(10))});
    if (!applied) return std::move(applied).error();
    if (!applied->front()) return std::move(applied->front()).error();
    return {};
  }
  setget::Result<setget::Lookup> look(const std::string& key, setget::Milliseconds within = setget::Milliseconds(10'000)) {
    const std::string_view view = key;
    auto found = store_->get({.keys = {&view, 1}, .now = now(), .deadline = setget::Deadline::in(within)});
    if (!found) return std::move(found).error();
    return std::move(found->front());
  }
  // Its payload; "" where there is none.
  std::string payload(const std::string& key) {
    auto found = look(key);
    if (!found) {
      ADD_FAILURE() << found.error().describe();
      return {};
    }
    return found->record ? found->record->payload.str() : std::string();
  }
  setget::redis::AnswerCache::Counts counts() { return store_->cache_counts().value(); }
  // True once a get is answered by the cache.
  bool warm(const std::string& key) {
    return eventually([&] {
      const auto before = store_->cache_counts();
      (void)look(key, setget::Milliseconds(1000));
      return before && counts().hits > before->hits;
    });
  }

 private:
  std::shared_ptr<setget::redis::Place> place_;
  std::shared_ptr<setget::redis::RedisStore> store_;
};

}  // namespace redis_test
