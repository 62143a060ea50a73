// The router of redis+cluster://: keeps the slot map, mends it where MOVED says so, and reads it again when a node is lost, does not serve
// a slot, or the map turned out to be old. Nodes that are masters no longer are let go.
#include <algorithm>

#include "redis/errors.hpp"
#include "redis/router.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr auto kPause = Milliseconds(100);  // between two readings of the map

class ClusterRouter final : public Router {
 public:
  explicit ClusterRouter(std::shared_ptr<const Common> common) : common_(std::move(common)) {}
  ~ClusterRouter() override { ClusterRouter::stop(); }

  Result<std::shared_ptr<Pool>> route(std::optional<std::uint32_t> slot, Deadline deadline) override {
    if (auto pool = known(slot)) return pool;
    flight_.run(deadline, [&] { read_map(deadline); });
    const std::scoped_lock lock(mutex_);
    if (stopped_) return connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the Redis client is closing");
    // Doubted or not, it is the best that is known.
    if (auto pool = find(slot)) return pool;
    if (map_.masters().empty())
      return connection_error(ErrorCode::kUnavailable, Trouble::kDown, "no node of the Redis cluster can be reached", why_);
    return server_error("CLUSTERDOWN no master serves the slot");
  }
  std::shared_ptr<Pool> known(std::optional<std::uint32_t> slot) override {
    const std::scoped_lock lock(mutex_);
    if (stopped_ || doubted_) return nullptr;
    // What has no key can wait, and is how all servers are asked for.
    if (!slot && !suspects_.empty()) return nullptr;
    auto pool = find(slot);
    return pool == nullptr || suspected(pool->endpoint()) ? nullptr : pool;
  }
  Result<std::shared_ptr<Pool>> asked(const Redirect& redirect, const Pool& from) override {
    const std::scoped_lock lock(mutex_);
    if (stopped_) return connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the Redis client is closing");
    return pool_of(resolved(redirect, from));
  }
  void learn(const Error& error, const std::shared_ptr<Pool>& from) override {
    const std::scoped_lock lock(mutex_);
    switch (trouble_of(error)) {
      case Trouble::kMoved:
        if (const auto redirect = redirect_of(error)) {
          map_.move(redirect->slot, resolved(*redirect, *from));
          doubted_ = true;  // one slot seldom moves alone
        }
        break;
      case Trouble::kDown:
      case Trouble::kNotSent:
      case Trouble::kMaybeExecuted:
      case Trouble::kReadOnly:
      case Trouble::kMasterDown:
        // The others must not wait for what has become of this one.
        if (!suspected(from->endpoint())) suspects_.push_back(from->endpoint());
        break;
      case Trouble::kClusterDown:
        doubted_ = true;
        break;
      default:
        break;
    }
  }
  Result<void> look_again(Deadline deadline) override {
    flight_.run(deadline, [&] { read_map(deadline); });
    const std::scoped_lock lock(mutex_);
    if (stopped_) return connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the Redis client is closing");
    if (read_) return {};
    return connection_error(ErrorCode::kUnavailable, Trouble::kDown, "no node of the Redis cluster can be reached", why_);
  }
  bool routed() const noexcept override { return true; }
  std::vector<std::shared_ptr<Pool>> servers() override {
    const std::scoped_lock lock(mutex_);
    std::vector<std::shared_ptr<Pool>> all;
    for (const auto& master : map_.masters()) all.push_back(pool_of(master));
    return all;
  }
  void stop() override {
    std::vector<std::shared_ptr<Pool>> all;
    {
      const std::scoped_lock lock(mutex_);
      stopped_ = true;
      for (const auto& [endpoint, pool] : pools_) all.push_back(pool);
      all.insert(all.end(), gone_.begin(), gone_.end());
    }
    for (const auto& pool : all) pool->stop();
  }

 private:
  static Endpoint resolved(const Redirect& redirect, const Pool& from) {
    auto to = redirect.to;
    if (to.host.empty()) to.host = from.endpoint().host;
    return to;
  }
  bool suspected(const Endpoint& endpoint) const { return !suspects_.empty() && std::ranges::find(suspects_, endpoint) != suspects_.end(); }
  std::shared_ptr<Pool> find(std::optional<std::uint32_t> slot) {
    const auto masters = map_.masters();
    if (masters.empty()) return nullptr;
    const auto* master = slot ? map_.master_of(*slot) : &masters[turn_++ % masters.size()];
    return master == nullptr ? nullptr : pool_of(*master);
  }
  std::shared_ptr<Pool> pool_of(const Endpoint& endpoint) {
    auto& pool = pools_[endpoint];
    if (pool == nullptr) {
      pool = std::make_shared<Pool>(endpoint, common_);
      if (stopped_) pool->stop();
    }
    return pool;
  }

  // The nodes that are known, then those of the URI, until one answers.
  void read_map(Deadline deadline) {
    std::vector<std::shared_ptr<Pool>> order;
    {
      const std::scoped_lock lock(mutex_);
      for (const auto& [endpoint, pool] : pools_) {
        if (!pool->down()) order.push_back(pool);
      }
      for (const auto& endpoint : common_->settings.endpoints) {
        auto pool = pool_of(endpoint);
        if (std::ranges::find(order, pool) == order.end()) order.push_back(std::move(pool));
      }
      if (!order.empty()) std::rotate(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(turn_++ % order.size()), order.end());
      std::stable_partition(order.begin(), order.end(), [](const auto& pool) { return !pool->down(); });
    }
    std::string why;
    bool read = false;
    ask_in_turn(order, common_->settings.connect_timeout, deadline, [&](const std::shared_ptr<Pool>& pool, Milliseconds patience) {
      auto map = ask(*pool, within(patience, deadline));
      if (!map) {
        why = map.error().describe();
        return false;
      }
      use(*std::move(map));
      return read = true;
    });
    const std::scoped_lock lock(mutex_);
    read_ = read;
    why_ = std::move(why);
  }

  static Result<SlotMap> ask(Pool& pool, Deadline deadline) {
    auto connection = pool.connection(deadline);
    if (!connection) return std::move(connection).error();
    auto replies = (*connection)->call(RedisCommand("CLUSTER").arg("SLOTS").wire(), 1, deadline);
    if (!replies) return std::move(replies).error();
    if (replies->front().is_error()) return server_error(replies->front().text());
    auto map = SlotMap::from_slots(replies->front(), pool.endpoint());
    if (map && map->masters().empty()) return server_error("CLUSTERDOWN the node knows no slots");
    return map;
  }

  void use(SlotMap map) {
    std::vector<std::shared_ptr<Pool>> idle;
    {
      const std::scoped_lock lock(mutex_);
      map_ = std::move(map);
      doubted_ = false;
      suspects_.clear();
      const auto masters = map_.masters();
      for (auto at = pools_.begin(); at != pools_.end();) {
        if (std::ranges::find(masters, at->first) != masters.end()) {
          ++at;
          continue;
        }
        // Others may be in the middle of a call: the pool goes when they let go of it.
        gone_.push_back(std::move(at->second));
        at = pools_.erase(at);
      }
      std::erase_if(gone_, [&](auto& pool) {
        if (pool.use_count() > 1) return false;
        idle.push_back(std::move(pool));
        return true;
      });
    }
    for (const auto& pool : idle) pool->stop();
  }

  const std::shared_ptr<const Common> common_;
  SingleFlight flight_{kPause};
  std::mutex mutex_;
  SlotMap map_;
  std::map<Endpoint, std::shared_ptr<Pool>> pools_;
  std::vector<std::shared_ptr<Pool>> gone_;  // of nodes that are no masters, until nobody uses them
  std::size_t turn_ = 0;
  bool doubted_ = false;            // the map is read again before it is used
  std::vector<Endpoint> suspects_;  // or only where it leads to one of these
  bool stopped_ = false;
  bool read_ = false;  // the last reading found a node that knew it
  std::string why_;    // no node could be asked
};

}  // namespace

std::unique_ptr<Router> make_cluster_router(std::shared_ptr<const Common> common) {
  return std::make_unique<ClusterRouter>(std::move(common));
}

}  // namespace setget::inline v0::redis
