// A store on Redis as one process has it: a client, connections and knowledge of its own.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "redis/place.hpp"
#include "redis/store.hpp"

#include <setget/key_store.hpp>

namespace redis_test {

inline std::string new_prefix() {
  static std::atomic<int> count{0};
  return "p" + std::to_string(++count);
}

inline std::shared_ptr<setget::KeyStoreBackend> open_store(const std::string& uri, const std::string& prefix, std::uint32_t shards,
                                                           std::shared_ptr<const setget::Clock> clock = {}) {
  return setget::redis::make_key_store(
      setget::redis::Place::open({.uri = uri, .prefix = prefix, .shards = shards, .clock = std::move(clock)}).value());
}

}  // namespace redis_test
