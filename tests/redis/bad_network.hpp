// Servers behind TCP proxies, and what a bad network does to them. All that a client sends or gets goes through a proxy: nodes of a cluster
// announce the ports of theirs, sentinels name the master's and the replica's and are reached through their own. What servers of a cluster
// and sentinels tell each other goes directly, except that replicas follow their master through its proxy, as they know no other way.
// Nobody takes over from a master that is disturbed (a replica's content after garbage in its stream is nobody's concern): nothing may be
// lost. Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "redis/layouts.hpp"

#include <setget/testing/clock.hpp>
#include <setget/testing/tcp_proxy.hpp>

namespace redis_test {

class BadNetwork {
 public:
  explicit BadNetwork(Servers servers);

  // Through the proxies.
  const std::string& uri() const noexcept { return uri_; }
  // Past them; for a cluster there is no such way.
  const std::string& near_uri() const noexcept { return near_uri_; }
  // Waits for a moment of traffic, has one to all of the proxies do something bad for some milliseconds, and lets them be good again.
  // Appends to `story` what that was.
  void disturb(setget::testing::SeededRandom& dice, std::string& story);
  std::size_t accepted() const;

 private:
  // Returns the proxy's port.
  std::uint16_t stand_before(const RedisServer& server);
  void before_sentinels(SentinelGroup& group);
  void before_cluster(ClusterGroup& group);

  Group group_;
  std::vector<std::unique_ptr<setget::testing::TcpProxy>> proxies_;
  std::size_t masters_ = 1;  // so many of them, the first, are before masters
  std::string uri_;
  std::string near_uri_;
};

}  // namespace redis_test
