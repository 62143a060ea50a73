// Place: the connection to where a store lives, and what is known of the store: made by whoever comes first, found by all others. Lets a
// process start, and go on, while the server is away. Thread rule: any thread.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "redis/client.hpp"

#include <setget/redis.hpp>

namespace setget::inline v0::redis {

inline constexpr int kFormat = 1;  // of everything this backend stores

struct Facts {
  StoreIdentity identity{};
  std::uint32_t shards = 1;
  Durability durability = Durability::kMemory;
};

class Place {
 public:
  static Result<std::shared_ptr<Place>> open(Options options);
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  Client& client() noexcept { return *client_; }
  const Options& options() const noexcept { return options_; }
  const std::string& prefix() const noexcept { return options_.prefix; }
  bool clustered() const noexcept { return client_->settings().topology == Topology::kCluster; }
  TimePoint now() const { return options_.clock->now(); }
  Random& random() noexcept { return *options_.random; }
  Logger& logger() noexcept { return *options_.logger; }
  Metrics& metrics() noexcept { return *options_.metrics; }

  // Finds the store, or makes it; remembered after the first success.
  Result<Facts> facts(Deadline deadline);
  // Asks again. Where the store is gone it begins a new epoch.
  Result<Facts> refresh(Deadline deadline);
  // Without asking anybody; empty before the first success.
  std::optional<Facts> known() const;
  // What was there is gone (a flush, a restart without persistence): the store begins a new epoch under its old name, for every process.
  // `lost` is the identity that the caller knew; nothing happens if another one has seen to it.
  Result<Facts> begin_epoch(const StoreIdentity& lost, Deadline deadline);

 private:
  Place(Options options, std::shared_ptr<Client> client) : options_(std::move(options)), client_(std::move(client)) {}
  Result<Facts> find(const StoreIdentity* lost, bool only_missing, Deadline deadline);
  Result<Durability> ask_durability(Deadline deadline);

  const Options options_;
  const std::shared_ptr<Client> client_;
  mutable std::mutex mutex_;
  std::optional<Facts> facts_;
};

}  // namespace setget::inline v0::redis
