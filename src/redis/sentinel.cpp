// The router of redis+sentinel://: asks the sentinels in turn who the master is, believes it only when that server says so itself (ROLE),
// and asks again when the master refuses writes, its connection is lost, or it did not answer in time. In the last case it stays the master
// where no sentinel names one: it may be slow, and the sentinels away.
#include <algorithm>

#include "redis/errors.hpp"
#include "redis/router.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr auto kPause = Milliseconds(50);  // between two rounds of asking

class SentinelRouter final : public Router {
 public:
  explicit SentinelRouter(std::shared_ptr<const Common> common) : common_(std::move(common)), sentinels_(common_->settings.endpoints) {}
  ~SentinelRouter() override { SentinelRouter::stop(); }

  Result<std::shared_ptr<Pool>> route(std::optional<std::uint32_t> slot, Deadline deadline) override {
    if (auto master = known(slot)) return master;
    return ask_all(deadline);
  }
  Result<void> look_again(Deadline deadline) override {
    if (auto master = ask_all(deadline); !master) return std::move(master).error();
    return {};
  }
  std::shared_ptr<Pool> known(std::optional<std::uint32_t>) override {
    const std::scoped_lock lock(mutex_);
    return doubt_ != Doubt::kNone || stopped_ ? nullptr : master_;
  }
  Result<std::shared_ptr<Pool>> asked(const Redirect&, const Pool&) override {
    return connection_error(ErrorCode::kFailedPrecondition, Trouble::kRefused, "the master belongs to a cluster; use redis+cluster://");
  }
  void learn(const Error& error, const std::shared_ptr<Pool>& from) override {
    switch (trouble_of(error)) {
      case Trouble::kReadOnly:
      case Trouble::kMasterDown:
      case Trouble::kDown:
      case Trouble::kNotSent:
      case Trouble::kMaybeExecuted: {
        const auto doubt = error.code() == ErrorCode::kDeadlineExceeded ? Doubt::kLate : Doubt::kLost;
        const std::scoped_lock lock(mutex_);
        if (from == master_) doubt_ = std::max(doubt_, doubt);
        break;
      }
      default:
        break;
    }
  }
  bool routed() const noexcept override { return true; }
  std::vector<std::shared_ptr<Pool>> servers() override {
    const std::scoped_lock lock(mutex_);
    if (master_ == nullptr) return {};
    return {master_};
  }
  void stop() override {
    std::vector<std::shared_ptr<Pool>> all;
    {
      const std::scoped_lock lock(mutex_);
      stopped_ = true;
      all = pools_;
    }
    for (const auto& pool : all) pool->stop();
  }

 private:
  // Whether the sentinels are to be asked before the master is used again, and whether one of them must name it first.
  enum class Doubt : std::uint8_t { kNone, kLate, kLost };

  Result<std::shared_ptr<Pool>> ask_all(Deadline deadline) {
    flight_.run(deadline, [&] { find_master(deadline); });
    const std::scoped_lock lock(mutex_);
    if (stopped_) return connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the Redis client is closing");
    if (master_ != nullptr && doubt_ != Doubt::kLost) return master_;
    return connection_error(ErrorCode::kUnavailable, Trouble::kDown,
                            "the sentinels name no master \"" + common_->settings.master + "\" that is one", why_);
  }

  // Every sentinel in turn, the one that answered last first.
  void find_master(Deadline deadline) {
    std::vector<Endpoint> order;
    {
      const std::scoped_lock lock(mutex_);
      order = sentinels_;
    }
    std::string why = "no sentinel answers";
    bool named_one = false;
    ask_in_turn(order, common_->settings.connect_timeout, deadline, [&](const Endpoint& sentinel, Milliseconds patience) {
      auto named = ask_sentinel(sentinel, within(patience, deadline));
      if (!named) {
        why = named.error().describe();
        return false;
      }
      named_one = true;
      auto pool = verified(*named, within(patience, deadline));
      const std::scoped_lock lock(mutex_);
      if (!pool) {
        why = pool.error().describe();
        if (master_ != nullptr && master_->endpoint() != *named) doubt_ = Doubt::kLost;
        return false;
      }
      std::rotate(sentinels_.begin(), std::ranges::find(sentinels_, sentinel), sentinels_.end());
      master_ = *std::move(pool);
      doubt_ = Doubt::kNone;
      return true;
    });
    const std::scoped_lock lock(mutex_);
    why_ = std::move(why);
    // Nobody knows better, and asking again before each call would take the time of the call.
    if (!named_one && doubt_ == Doubt::kLate) doubt_ = Doubt::kNone;
  }

  Result<Endpoint> ask_sentinel(const Endpoint& sentinel, Deadline deadline) {
    auto transport = Transport::connect(sentinel, common_->tls, deadline);
    if (!transport) return std::move(transport).error();
    const auto connection = Connection::create(*std::move(transport), sentinel.text(), {.max_reply = 1 << 20});
    Settings settings;
    settings.user = common_->settings.sentinel_user;
    settings.password = common_->settings.sentinel_password;
    settings.client_name = common_->settings.client_name;
    if (auto done = shake_hands(*connection, settings, deadline); !done) return std::move(done).error();
    const auto query = RedisCommand("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(common_->settings.master);
    auto replies = connection->call(query.wire(), 1, deadline);
    if (!replies) return std::move(replies).error();
    const auto address = replies->front().elements();
    if (replies->front().is_error()) return server_error(replies->front().text());
    if (address.size() != 2)
      return connection_error(ErrorCode::kUnavailable, Trouble::kDown, "the sentinel " + sentinel.text() + " knows no such master");
    return parse_endpoint(host_port(address), 6379);
  }
  static std::string host_port(std::span<const Reply> address) {
    const std::string host(address[0].text());
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::string(address[1].text());
  }

  // Right after a failover a sentinel may still name the old master, or the new one before it knows.
  Result<std::shared_ptr<Pool>> verified(const Endpoint& endpoint, Deadline deadline) {
    auto pool = pool_of(endpoint);
    auto connection = pool->connection(deadline);
    if (!connection) return std::move(connection).error();
    auto replies = (*connection)->call(RedisCommand("ROLE").wire(), 1, deadline);
    if (!replies) return std::move(replies).error();
    const auto role = replies->front().elements();
    // A user without the right to ask ROLE must trust the sentinel.
    const bool refused = replies->front().is_error() && trouble_of(server_error(replies->front().text())) == Trouble::kNoPermission;
    if (!refused && (role.empty() || role[0].text() != "master"))
      return connection_error(ErrorCode::kUnavailable, Trouble::kDown,
                              endpoint.text() + " is not yet the master that the sentinel calls it");
    return pool;
  }

  std::shared_ptr<Pool> pool_of(const Endpoint& endpoint) {
    const std::scoped_lock lock(mutex_);
    const auto found = std::ranges::find_if(pools_, [&](const auto& pool) { return pool->endpoint() == endpoint; });
    if (found != pools_.end()) return *found;
    pools_.push_back(std::make_shared<Pool>(endpoint, common_));
    if (stopped_) pools_.back()->stop();
    return pools_.back();
  }

  const std::shared_ptr<const Common> common_;
  SingleFlight flight_{kPause};
  std::mutex mutex_;
  std::vector<Endpoint> sentinels_;
  std::shared_ptr<Pool> master_;
  std::vector<std::shared_ptr<Pool>> pools_;  // of all servers that were ever named; few
  Doubt doubt_ = Doubt::kNone;
  bool stopped_ = false;
  std::string why_;
};

}  // namespace

std::unique_ptr<Router> make_sentinel_router(std::shared_ptr<const Common> common) {
  return std::make_unique<SentinelRouter>(std::move(common));
}

}  // namespace setget::inline v0::redis
