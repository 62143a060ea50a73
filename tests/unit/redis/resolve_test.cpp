#include "redis/resolve.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <atomic>
#include <thread>

#include <setget/testing/faults.hpp>

namespace {

using namespace setget;
using namespace setget::redis;
using setget::testing::Gate;

Deadline soon(int ms = 20'000) { return Deadline::in(Milliseconds(ms)); }

TEST(Resolve, takes_numeric_hosts_without_asking_anybody) {
  const LookupFunction only_numeric = [](const std::string& host, std::uint16_t port, bool numeric) {
    EXPECT_TRUE(numeric);
    return system_lookup(host, port, numeric);
  };
  const auto v4 = resolve("127.0.0.1", 6379, soon(), only_numeric);
  ASSERT_EQ(v4.addresses.size(), 1U);
  EXPECT_EQ(v4.addresses[0].family(), AF_INET);
  EXPECT_EQ(ntohs(reinterpret_cast<const sockaddr_in*>(v4.addresses[0].get())->sin_port), 6379);
  EXPECT_EQ(resolve("::1", 6379, soon(), only_numeric).addresses.at(0).family(), AF_INET6);
}

TEST(Resolve, asks_for_names_and_says_what_failed) {
  EXPECT_FALSE(resolve("localhost", 6379, soon()).addresses.empty());
  const LookupFunction unknown = [](const std::string&, std::uint16_t, bool) { return HostLookup{.why = "nobody knows it"}; };
  const auto none = resolve("no-such-host.invalid", 6379, soon(), unknown);
  EXPECT_TRUE(none.addresses.empty());
  EXPECT_EQ(none.why, "nobody knows it");
  EXPECT_FALSE(none.late);
}

// For a lookup that hangs; a function pointer captures nothing.
Gate hanging;
std::atomic<int> lookups{0};
HostLookup hang(const std::string&, std::uint16_t, bool numeric) {
  if (numeric) return {};
  ++lookups;
  hanging.pass();
  return system_lookup("127.0.0.1", 1, true);
}

TEST(Resolve, leaves_a_lookup_that_hangs_and_shares_it) {
  const auto late = resolve("slow.example", 1, soon(20), &hang);
  EXPECT_TRUE(late.late);
  EXPECT_TRUE(late.addresses.empty());
  std::atomic<int> found{0};
  {
    std::vector<std::jthread> askers;
    for (int i = 0; i < 4; ++i) {
      askers.emplace_back([&] {
        if (resolve("slow.example", 1, soon(), &hang).addresses.size() == 1) ++found;
      });
    }
    EXPECT_TRUE(resolve("slow.example", 1, soon(20), &hang).late);
    EXPECT_TRUE(hanging.wait_for_callers(1, soon()));
    EXPECT_EQ(lookups, 1);
    hanging.open();
  }
  EXPECT_EQ(found, 4);
}

}  // namespace
