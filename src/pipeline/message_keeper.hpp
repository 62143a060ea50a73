// MessageKeeper: what this worker holds leases on (prefetched included), extended at half of their length. Thread rule: any thread.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include <setget/observe.hpp>
#include <setget/queue.hpp>

namespace setget::inline v0::detail {

// Messages received together. Only the thread that works on the batch touches `messages`; the keeper reads the receipts.
struct HeldBatch {
  std::vector<Message> messages;
  std::unique_ptr<std::atomic<bool>[]> lost;  // one a message: its lease is somebody else's by now
  Milliseconds lease{0};
  // When the leases began, by both clocks: stores count them by the Clock, which may be simulated or step; servers by their own.
  TimePoint since{};
  Deadline::Steady::time_point steady_since{};
};

class MessageKeeper {
 public:
  MessageKeeper(Queue queue, std::shared_ptr<const Clock> clock, std::shared_ptr<Logger> logger, std::shared_ptr<Metrics> metrics);

  using Held = std::shared_ptr<HeldBatch>;
  void hold(const Held& batch);
  void drop(const Held& batch);
  // Messages held.
  std::size_t held() const;
  // Extends every batch whose leases are half over.
  void extend_due();
  // The same for one batch; cheap while nothing is due.
  void extend_if_due(HeldBatch& batch);

 private:
  bool due(const HeldBatch& batch) const noexcept;
  void extend(HeldBatch& batch, std::vector<Settlement>&& settlements, std::vector<std::size_t>&& places);

  Queue queue_;
  std::shared_ptr<const Clock> clock_;
  std::shared_ptr<Logger> logger_;
  std::shared_ptr<Metrics> metrics_;
  mutable std::mutex mutex_;
  std::mutex extending_;  // one extension at a time, so that `since` belongs to the extension that set it
  std::list<Held> held_;
};

}  // namespace setget::inline v0::detail
