// Short ways to write commands and messages in the tests of the memory backend.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <setget/memory.hpp>
#include <setget/testing/clock.hpp>

namespace setget_test {

using namespace setget;
using setget::testing::SeededRandom;
using setget::testing::SimulatedClock;

// Far longer than anything takes here: a test that waits so long has failed.
constexpr auto kPatience = std::chrono::seconds(60);

inline OutgoingMessage message(std::string body, std::string group = {}) {
  return {.body = Payload(std::move(body)), .attributes = {}, .group = std::move(group), .dedup_id = {}, .delay = {}};
}

inline Command set_command(std::string id, std::vector<std::string> keys, std::string payload = "payload") {
  Command command;
  command.id = std::move(id);
  command.keys = KeyList(std::span<const std::string>(keys));
  command.payload = Payload(std::move(payload));
  return command;
}

inline ApplyEntry entry_of(Command command, Stamp stamp, std::optional<TimePoint> expires_at = {}) {
  ApplyEntry entry;
  entry.encoded = encode_command(command);
  entry.command = std::move(command);
  entry.stamp = stamp;
  entry.expires_at = expires_at;
  return entry;
}

inline void expect_ledger_adds_up(QueueBackend& queues, std::string_view name) {
  const auto stats = queues.stats(name).value();
  std::uint64_t finished = 0;
  for (const auto count : stats.outcomes) finished += count;
  EXPECT_EQ(stats.accepted, finished + stats.depth + stats.in_flight + stats.delayed);
}

}  // namespace setget_test
