// Replicas: makes sure that what was written has reached enough replicas, where that is asked for (Options::wait_replicas). One barrier for
// a whole batch, once it was answered: on a connection of its own to each master, a small write and WAIT behind it. Replication is one
// stream, so that write stands behind everything that was answered before it, whichever connection that came on; and nobody who shares a
// connection stands behind a WAIT. Who comes while a barrier is under way shares the next one with all others who do.
//
// A master that restarted, or was a replica in between, may have lost the batch and still confirm the barrier. So a barrier also asks for
// the replication id, which outlives neither, and compares it with the one that was known when the batch began. Thread rule: any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "redis/client.hpp"

#include <setget/observe.hpp>

namespace setget::inline v0::redis {

class Replicas {
 public:
  // The replication ids of masters, as they were last heard of.
  using Seen = std::shared_ptr<const std::map<Endpoint, std::string>>;

  // `wanted`: of each master, at least 1. `timeout`: for one WAIT.
  Replicas(Client& client, std::uint32_t wanted, Milliseconds timeout, std::shared_ptr<Metrics> metrics);
  ~Replicas();
  Replicas(const Replicas&) = delete;
  Replicas& operator=(const Replicas&) = delete;

  // Asks every master for its replication id. Answers how many replicas the one that has the fewest has online.
  Result<std::uint32_t> look(Deadline deadline);
  // To be kept from before the first write of a batch.
  Seen seen() const;
  // Returns once everything that was answered since `before` has reached the replicas. `heads`: how names begin, tag included, in the parts
  // that the batch went to. Errors: Trouble::kNotReplicated (written, but not confirmed in time), kOtherMaster (written, but perhaps to a
  // master that is none any more), a refusal of the server. May take the timeout longer than the deadline.
  Result<void> confirm(std::span<const std::string_view> heads, const Seen& before, Deadline deadline);

 private:
  // One barrier of one master, and what it came to.
  struct Round {
    bool done = false;
    std::optional<Error> failed{};
    std::string id{};
  };
  struct Master;
  struct Use;
  std::shared_ptr<Master> master_of(const Endpoint& endpoint);
  Result<void> once(std::span<const std::string_view> heads, const Seen& before, Deadline deadline);
  void start(Use& use);
  void finish(Use& use);
  void wait(Use& use, Deadline deadline);
  void heard(const Endpoint& endpoint, const std::string& id);
  Error unconfirmed(const Endpoint& endpoint, std::int64_t had) const;

  Client& client_;
  const std::uint32_t wanted_;
  const Milliseconds timeout_;
  const std::shared_ptr<Metrics> metrics_;
  mutable std::mutex mutex_;
  Seen seen_ = std::make_shared<const std::map<Endpoint, std::string>>();
  std::map<Endpoint, std::shared_ptr<Master>> masters_;
};

}  // namespace setget::inline v0::redis
