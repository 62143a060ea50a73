#include "redis/bad_network.hpp"

#include <algorithm>

namespace redis_test {
namespace {

using setget::Deadline;
using setget::Milliseconds;
using setget::testing::SeededRandom;
using setget::testing::TcpProxy;

// True if the connections must not live on: TCP loses nothing in the middle of a stream and then goes on.
bool do_harm(TcpProxy& proxy, SeededRandom& dice, std::string& story) {
  const auto way = dice.next() % 2 == 0 ? TcpProxy::Way::kToServer : TcpProxy::Way::kToClient;
  const auto told = [&](const char* what) { story += std::string(what) + (way == TcpProxy::Way::kToServer ? "> " : "< "); };
  switch (dice.next() % 9) {
    case 0:
      told("refuse");
      proxy.refuse(true);
      proxy.reset_all();
      break;
    case 1:
      told("reset");
      proxy.reset_all();
      break;
    case 2:
      told("close");
      proxy.close_all();
      break;
    case 3:
      told("cut");
      proxy.cut_after(way, dice.next() % 5000);
      break;
    case 4:
      told("stall");
      proxy.stall(way, true);
      break;
    case 5:
      told("swallow");
      proxy.swallow(way, true);
      return true;
    case 6:
      told("delay");
      proxy.delay(way, Milliseconds(1 + dice.next() % 30));
      break;
    case 7:
      told("limit");
      proxy.limit(way, 20'000 + dice.next() % 100'000);
      break;
    default:
      told("garbage");
      proxy.inject(TcpProxy::Way::kToClient, "\r\n$-7\r\nnonsense\r\n");
  }
  return false;
}

}  // namespace

BadNetwork::BadNetwork(Servers servers) {
  switch (servers) {
    case Servers::kOne:
      one_ = std::make_unique<RedisServer>();
      stand_before(one_->port());
      uri_ = "redis://" + address(0);
      near_uri_ = one_->uri();
      break;
    case Servers::kSentinel: {
      sentinel_ = std::make_unique<SentinelGroup>();
      near_uri_ = sentinel_->master().uri();
      for (const auto* node : {&sentinel_->master(), &sentinel_->replica()}) stand_before(node->port());
      // Longer than any fault, so that it is not called down.
      sentinel_->announce(proxies_[0]->port(), proxies_[1]->port(), Milliseconds(60'000));
      for (const auto& one : sentinel_->sentinels()) {
        stand_before(one->port());
        uri_ += (uri_.empty() ? "redis+sentinel://" : ",") + address(proxies_.size() - 1);
      }
      uri_ += "/main";
      break;
    }
    case Servers::kCluster: {
      cluster_ = std::make_unique<ClusterGroup>(
          6, 1, std::vector<std::string>{"--cluster-replica-no-failover", "yes", "--cluster-node-timeout", "15000"});
      // Masters first.
      std::vector<RedisServer*> nodes = cluster_->masters();
      masters_ = nodes.size();
      for (const auto& node : cluster_->nodes()) {
        if (std::ranges::find(nodes, node.get()) == nodes.end()) nodes.push_back(node.get());
      }
      for (auto* node : nodes) {
        stand_before(node->port());
        uri_ += (uri_.empty() ? "redis+cluster://" : ",") + address(proxies_.size() - 1);
      }
      std::vector<std::uint16_t> ports;
      for (const auto& node : cluster_->nodes()) {
        const auto at = static_cast<std::size_t>(std::ranges::find(nodes, node.get()) - nodes.begin());
        ports.push_back(proxies_[at]->port());
      }
      cluster_->announce(ports);
    }
  }
}

void BadNetwork::stand_before(std::uint16_t port) { proxies_.push_back(TcpProxy::start("127.0.0.1", port).value()); }

std::string BadNetwork::address(std::size_t proxy) const { return "127.0.0.1:" + std::to_string(proxies_[proxy]->port()); }

void BadNetwork::disturb(SeededRandom& dice, std::string& story) {
  // One where there is traffic, and now and then others beside it, each in its own way.
  const auto first = dice.next() % masters_;
  const auto& busy = *proxies_[first];
  const auto passed = busy.passed(TcpProxy::Way::kToServer);
  (void)busy.wait_for(TcpProxy::Way::kToServer, passed + dice.next() % 20'000, Deadline::in(Milliseconds(30)));
  std::vector<TcpProxy*> broken;
  for (std::size_t i = 0; i < proxies_.size(); ++i) {
    if (i != first && dice.next() % 3 != 0) continue;
    story += std::to_string(i) + ":";
    if (do_harm(*proxies_[i], dice, story)) broken.push_back(proxies_[i].get());
  }
  // For that long, whatever passes.
  (void)busy.wait_for(TcpProxy::Way::kToServer, ~std::uint64_t{0}, Deadline::in(Milliseconds(20 + dice.next() % 60)));
  for (auto* proxy : broken) proxy->reset_all();
  for (const auto& proxy : proxies_) proxy->heal();
  story += "| ";
}

std::size_t BadNetwork::accepted() const {
  std::size_t count = 0;
  for (const auto& proxy : proxies_) count += proxy->accepted();
  return count;
}

}  // namespace redis_test
