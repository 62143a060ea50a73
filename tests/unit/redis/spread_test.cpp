// A store on a cluster uses all of its masters alike. Prints what a record costs the servers, from which docs/scaling.md reckons.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "redis/place.hpp"
#include "redis/store.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/commands.hpp>

namespace {

using namespace setget;

struct Load {
  std::vector<std::uint64_t> commands;  // by master
  std::uint64_t in = 0;
  std::uint64_t out = 0;
};

// What the servers have done so far; commands inside of scripts are counted.
Load load_of(redis_test::ClusterGroup& cluster) {
  Load load;
  for (auto* node : cluster.masters()) {
    load.commands.push_back(node->info("total_commands_processed"));
    load.in += node->info("total_net_input_bytes");
    load.out += node->info("total_net_output_bytes");
  }
  return load;
}

TEST(RedisSpread, AllMastersOfAClusterDoTheSameWork) {
  SETGET_REQUIRE_REDIS();
  constexpr std::uint64_t kRecords = 4000;
  redis_test::ClusterGroup cluster(6, 0);
  redis::Options options;
  options.uri = cluster.uri();
  const auto store = redis::make_key_store(redis::Place::open(options).value());
  const auto now = system_clock()->now();
  for (const std::size_t keys : {1U, 4U}) {
    std::vector<ApplyEntry> entries;
    for (std::uint64_t n = 0; n < kRecords; ++n) {
      ApplyEntry entry;
      auto& c = entry.command;
      c.id = "record-" + std::to_string(keys) + "-" + std::to_string(n);
      std::vector<std::string> names;
      for (std::size_t k = 0; k < keys; ++k) names.push_back("key/" + c.id + "/" + std::to_string(k));
      c.keys = KeyList(std::span<const std::string>(names));
      c.payload = Payload(std::string(1024, 'x'));
      entry.encoded = encode_command(c);
      entry.stamp = stamp_at(now) + n;
      entry.expires_at = now + Milliseconds(3'600'000);
      entries.push_back(std::move(entry));
    }
    const auto measure = [&](const char* what, std::uint64_t count, const auto& work) {
      const auto before = load_of(cluster);
      work();
      const auto after = load_of(cluster);
      std::uint64_t total = 0;
      for (std::size_t i = 0; i < after.commands.size(); ++i) total += after.commands[i] - before.commands[i];
      const auto mean = static_cast<double>(total) / static_cast<double>(after.commands.size());
      for (std::size_t i = 0; i < after.commands.size(); ++i) {
        const auto done = static_cast<double>(after.commands[i] - before.commands[i]);
        EXPECT_NEAR(done, mean, 0.2 * mean) << what << ", master " << i;
      }
      const auto each = [&](std::uint64_t a, std::uint64_t b) { return static_cast<double>(a - b) / static_cast<double>(count); };
      std::printf("%s, %zu keys: %.1f commands, %.0f bytes in, %.0f bytes out each\n", what, keys,
                  static_cast<double>(total) / static_cast<double>(count), each(after.in, before.in), each(after.out, before.out));
    };
    ASSERT_EQ(load_of(cluster).commands.size(), 6u);
    measure("apply", kRecords, [&] {
      for (std::size_t at = 0; at < entries.size(); at += 500) {
        const auto results = store->apply({.entries = std::span(entries).subspan(at, 500), .now = now}).value();
        for (const auto& result : results) ASSERT_EQ(result.value().outcome, Outcome::kApplied);
      }
    });
    measure("get", kRecords, [&] {
      for (const auto& entry : entries) {
        const auto key = entry.command.keys.front();
        const auto found = store->get({.keys = {&key, 1}, .now = now}).value();
        ASSERT_EQ(found.front().status, Lookup::Status::kFound);
      }
    });
  }
}

}  // namespace
