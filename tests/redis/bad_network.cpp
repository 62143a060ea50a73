#include "redis/bad_network.hpp"

#include <algorithm>
#include <map>

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

BadNetwork::BadNetwork(Servers servers) : group_(servers) {
  if (auto* sentinel = group_.sentinel()) {
    before_sentinels(*sentinel);
  } else if (auto* cluster = group_.cluster()) {
    before_cluster(*cluster);
  } else {
    near_uri_ = group_.uri();
    uri_ = "redis://127.0.0.1:" + std::to_string(stand_before(*group_.masters().front()));
  }
}

std::uint16_t BadNetwork::stand_before(const RedisServer& server) {
  proxies_.push_back(TcpProxy::start("127.0.0.1", server.port()).value());
  return proxies_.back()->port();
}

void BadNetwork::before_sentinels(SentinelGroup& group) {
  near_uri_ = group.master().uri();
  const auto master = stand_before(group.master());
  const auto replica = stand_before(group.replica());
  // Longer than any fault, so that it is not called down.
  group.announce(master, replica, Milliseconds(60'000));
  for (const auto& one : group.sentinels())
    uri_ += (uri_.empty() ? "redis+sentinel://127.0.0.1:" : ",127.0.0.1:") + std::to_string(stand_before(*one));
  uri_ += "/main";
}

void BadNetwork::before_cluster(ClusterGroup& group) {
  auto nodes = group.masters();
  masters_ = nodes.size();
  for (const auto& node : group.nodes()) {
    if (std::ranges::find(nodes, node.get()) == nodes.end()) nodes.push_back(node.get());
  }
  std::map<const RedisServer*, std::uint16_t> announced;
  for (auto* node : nodes) {
    node->cli({"CONFIG", "SET", "cluster-replica-no-failover", "yes"});
    // Longer than a busy machine keeps one waiting. From the beginning it would keep the cluster from coming up as long.
    node->cli({"CONFIG", "SET", "cluster-node-timeout", "15000"});
    announced[node] = stand_before(*node);
    uri_ += (uri_.empty() ? "redis+cluster://127.0.0.1:" : ",127.0.0.1:") + std::to_string(announced[node]);
  }
  std::vector<std::uint16_t> ports;
  for (const auto& node : group.nodes()) ports.push_back(announced.at(node.get()));
  group.announce(ports);
}

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
