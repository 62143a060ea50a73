// Place: the connection to where a store lives, and what is known of the store: made by whoever comes first, found by all others. Lets a
// process start, and go on, while the server is away. Thread rule: any thread.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "redis/client.hpp"
#include "redis/replicas.hpp"

#include <setget/redis.hpp>

namespace setget::inline v0::redis {

inline constexpr int kFormat = 1;  // of everything this backend stores

struct Facts {
  StoreIdentity identity{};
  std::uint32_t shards = 1;
  Durability durability = Durability::kMemory;
  std::uint32_t replicas = 0;  // online, of the master that has the fewest; counted where they are waited for
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

  // Around what must be on replicas before it counts (Options::wait_replicas; else both do nothing): began() before the first write, and
  // confirm() when all were answered; see Replicas.
  bool waits() const noexcept { return replicas_ != nullptr; }
  Replicas::Seen began() const { return waits() ? replicas_->seen() : nullptr; }
  Result<void> confirm(std::span<const std::string_view> heads, const Replicas::Seen& before, Deadline deadline) {
    return waits() ? replicas_->confirm(heads, before, deadline) : Result<void>();
  }

 private:
  Place(Options options, std::shared_ptr<Client> client);
  Result<Facts> find(const StoreIdentity* lost, bool only_missing, Deadline deadline);
  Result<Durability> ask_durability(Deadline deadline);

  const Options options_;
  const std::shared_ptr<Client> client_;
  const std::unique_ptr<Replicas> replicas_;
  mutable std::mutex mutex_;
  std::optional<Facts> facts_;
};

}  // namespace setget::inline v0::redis
