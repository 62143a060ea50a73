#include "redis/router.hpp"

#include "redis/errors.hpp"

namespace setget::inline v0::redis {
namespace {

class SingleServer final : public Router {
 public:
  explicit SingleServer(const std::shared_ptr<const Common>& common)
      : pool_(std::make_shared<Pool>(common->settings.endpoints.front(), common)) {}
  ~SingleServer() override { pool_->stop(); }

  Result<std::shared_ptr<Pool>> route(std::optional<std::uint32_t>, Deadline) override { return pool_; }
  std::shared_ptr<Pool> known(std::optional<std::uint32_t>) override { return pool_; }
  Result<std::shared_ptr<Pool>> asked(const Redirect&, const Pool&) override {
    return connection_error(ErrorCode::kFailedPrecondition, Trouble::kRefused, "the server belongs to a cluster; use redis+cluster://");
  }
  void learn(const Error&, const std::shared_ptr<Pool>&) override {}
  Result<void> look_again(Deadline) override { return {}; }
  bool routed() const noexcept override { return false; }
  std::vector<std::shared_ptr<Pool>> servers() override { return {pool_}; }
  void stop() override { pool_->stop(); }

 private:
  std::shared_ptr<Pool> pool_;
};

}  // namespace

Router::~Router() = default;

std::unique_ptr<Router> Router::create(std::shared_ptr<const Common> common) {
  switch (common->settings.topology) {
    case Topology::kSentinel:
      return make_sentinel_router(std::move(common));
    case Topology::kCluster:
      return make_cluster_router(std::move(common));
    case Topology::kStandalone:
      break;
  }
  return std::make_unique<SingleServer>(common);
}

}  // namespace setget::inline v0::redis
