// One round of a worker over one held batch: decide, apply, settle, count. The threads around it are in worker.cpp.
// Thread rule: any thread; rounds over different batches run at the same time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include <setget/worker.hpp>

#include "pipeline/flow_labels.hpp"
#include "pipeline/message_keeper.hpp"
#include "pipeline/worker_decision.hpp"

namespace setget::inline v0::detail {

class WorkerRound {
 public:
  // `options` outlives this and has every field filled.
  WorkerRound(const WorkerOptions& options, MessageKeeper& keeper);

  // Everything of the batch is settled, or left to its lease where the queue cannot be reached. `fifo`: groups are ordered. `extend`:
  // extend leases on this thread while working, because no other thread does. False if the store or queue failed as a whole.
  bool work(HeldBatch& batch, bool fifo, bool extend);
  // Gives an untried batch back. Returns how many messages could not be given back.
  std::size_t give_back(HeldBatch& batch, Deadline deadline);
  WorkerStats stats() const;
  void count_received(std::size_t messages);
  // Consecutive failures of the whole store; 0 = the last call went through.
  std::uint32_t failures() const noexcept { return failures_.load(std::memory_order_relaxed); }

 private:
  struct Work;
  void decide_all(Work& work, bool extend);
  // Brings back from the archive what the erases by key among the entries are about; erases for which that failed are tried again.
  void recall(Work& work);
  Result<void> recall(const Command& erase, TimePoint now) const;
  void tell(const ApplyEntry& applied) const;
  // Applies the entries, and settles what the same step can settle; the rest waits in the work for settle(). `alone`: none of what waits
  // is settled along, so that the order in which messages are released stays in one hand. Error: the call failed as a whole.
  Result<void> apply(Work& work, bool alone);
  Result<void> apply_fused(Work& work, bool alone);
  Result<void> apply_first(Work& work);
  // What the store answered for an entry of the work, where it did not settle it itself.
  void after_error(Work& work, std::size_t entry, const Error& error);
  // Whether the store answers for this identity. Asked about what it did not end in time, and at most once in vain for each round.
  bool store_is_there(Work& work, const Command& command) const;
  bool may_be_its_doing(Work& work, const Error& error) const;  // of one of the entries: that the call about them failed as a whole
  // False if the store is to be left alone for a moment.
  bool after_failed_call(Work& work, const Error& error, bool extend);
  // A call that failed as a whole does not say whose doing it was. Each entry is tried alone, up to the first whose call fails again: what
  // is behind that goes back as it came, so that a round takes the time of a few slow calls and not of one for each message.
  bool apply_one_by_one(Work& work, bool extend);
  void retry(Work& work, std::size_t place, Decision&& decision);
  void release_everything(Work& work, const Error& error, bool to_blame);
  void settle(Work& work);
  void finish(Work& work, std::size_t place, Outcome outcome);
  // The series of a message that is not applied: its command is looked at again.
  std::uint32_t series_of(const Message& message) const;
  void publish(Work& work);

  const WorkerOptions& options_;
  MessageKeeper& keeper_;
  FusedStore* fused_;
  const FlowLabels labels_;
  std::atomic<std::uint32_t> failures_{0};
  std::atomic<std::uint64_t> received_{0};
  std::array<std::atomic<std::uint64_t>, kOutcomeCount> outcomes_{};
  std::atomic<std::uint64_t> retried_{0};
  std::atomic<std::uint64_t> lease_lost_{0};
};

}  // namespace setget::inline v0::detail
