// What tests of two processes at the same entries share: one server, and sets at a fixed time.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "redis/opened_store.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/commands.hpp>

namespace redis_test {

inline const setget::TimePoint kRacesNow(setget::Milliseconds(1'700'000'000'000));

inline RedisServer& races_server() {
  static RedisServer one;
  return one;
}

inline setget::ApplyEntry set_at(const std::string& id, std::vector<std::string> keys, setget::Stamp number) {
  setget::testing::SetSpec spec;
  spec.id = id;
  spec.keys = std::move(keys);
  spec.stamp = setget::stamp_at(kRacesNow) + number;
  spec.payload = id + std::to_string(number);
  return setget::testing::set_entry(spec);
}

inline void apply_one(setget::KeyStoreBackend& store, const setget::ApplyEntry& entry) {
  EXPECT_TRUE(store.apply({.entries = std::span(&entry, 1), .now = kRacesNow}).value().at(0));
}

}  // namespace redis_test
