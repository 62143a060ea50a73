// On what a store lies in the fault tests: one server, a Sentinel group, or a cluster of six. Thread rule: one thread at a time.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "support/redis_server.hpp"

namespace redis_test {

enum class Servers : std::uint8_t { kOne, kSentinel, kCluster };

struct Layout {
  const char* name;
  Servers servers;
  std::uint32_t parts;
  friend void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }
};
inline auto all_layouts() {
  return ::testing::Values(Layout{"one_server", Servers::kOne, 1}, Layout{"one_server_16_parts", Servers::kOne, 16},
                           Layout{"sentinel", Servers::kSentinel, 1}, Layout{"cluster_of_six", Servers::kCluster, 16});
}
inline std::string name_of(const ::testing::TestParamInfo<Layout>& layout) { return layout.param.name; }

// The servers themselves, fresh.
class Group {
 public:
  explicit Group(Servers servers) {
    if (servers == Servers::kOne) one_ = std::make_unique<RedisServer>();
    if (servers == Servers::kSentinel) sentinel_ = std::make_unique<SentinelGroup>();
    if (servers == Servers::kCluster) cluster_ = std::make_unique<ClusterGroup>();
  }
  std::string uri() const { return one_ ? one_->uri() : sentinel_ ? sentinel_->uri() : cluster_->uri(); }
  std::vector<RedisServer*> masters() {
    if (cluster_) return cluster_->masters();
    return {one_ ? one_.get() : &sentinel_->master()};
  }
  // Those that it is not are nullptr.
  SentinelGroup* sentinel() noexcept { return sentinel_.get(); }
  ClusterGroup* cluster() noexcept { return cluster_.get(); }

 private:
  std::unique_ptr<RedisServer> one_;
  std::unique_ptr<SentinelGroup> sentinel_;
  std::unique_ptr<ClusterGroup> cluster_;
};

}  // namespace redis_test
