// The queue backend on Redis. A queue has one or more parts, each in a slot of its own, and each verb is one script per part that it
// touches (queue_scripts.cpp). This class decides which parts those are, puts their answers together, and deals with answers that did not
// come and with queues that are not there any more. docs/adr/0014-redis-queue.md. Thread rule: any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "redis/errors.hpp"
#include "redis/place.hpp"
#include "redis/queue_codec.hpp"
#include "redis/script.hpp"
#include "redis/shards.hpp"
#include "redis/turns.hpp"

#include <setget/queue.hpp>

namespace setget::inline v0::redis {

// Wakes those of this process who wait for a queue. Others notice by themselves within 20 ms.
class Bell {
 public:
  std::uint64_t count() const;
  void ring();
  // Returns once it has rung more often than `seen`, or at `until`.
  void wait(std::uint64_t seen, Deadline::Steady::time_point until);

 private:
  mutable std::mutex mutex_;
  std::condition_variable rung_;
  std::uint64_t count_ = 0;
};

// What this process knows of a queue; immutable but for the counters.
struct KnownQueue {
  QueueInfo info{};
  std::string id{};    // tells queues apart that had this name one after the other
  std::string tag{};   // id and options: what a part must hold, or this process knows an old one
  std::string word{};  // of the registry in which it was found
  std::shared_ptr<const Shards> shards{};
  std::shared_ptr<Bell> bell{};
  mutable std::atomic<std::uint32_t> next_send{0};
  mutable std::atomic<std::uint32_t> next_receive{0};

  std::uint32_t parts() const noexcept { return shards->count(); }
  const std::string& name() const noexcept { return info.name; }
  bool fifo() const noexcept { return info.options.kind == QueueKind::kFifo; }
};
using QueuePtr = std::shared_ptr<const KnownQueue>;

class RedisQueues final : public QueueBackend {
 public:
  explicit RedisQueues(std::shared_ptr<Place> place) : place_(std::move(place)) {}

  QueueCapabilities capabilities() const override;
  Result<QueueInfo> create(const CreateQueue& request) override;
  Result<std::vector<QueueInfo>> list(Deadline deadline) override;
  Result<void> remove(std::string_view name, Deadline deadline) override;
  Result<std::vector<Result<SentMessage>>> send(const SendMessages& request) override;
  Result<std::vector<Message>> receive(const ReceiveMessages& request) override;
  Result<std::vector<Result<void>>> settle(const SettleMessages& request) override;
  Result<MessageStatus> find(const FindMessage& request) override;
  Result<QueueStats> stats(std::string_view queue, Deadline deadline) override;
  Result<std::vector<Message>> peek(const PeekMessages& request) override;
  Result<DeadLetterPage> dead_letters(const ListDeadLetters& request) override;
  Result<std::size_t> redrive(const RedriveDeadLetters& request) override;
  Result<std::size_t> purge(const PurgeDeadLetters& request) override;
  Result<Stamp> oldest_unfinished(Deadline deadline) override;
  Result<std::size_t> maintain(const MaintainQueue& request) override;
  // See floor_below_queues().
  Result<Stamp> floor_below(Stamp floor, Deadline deadline);

 private:
  friend class RedisSender;
  friend class RedisReceiver;
  using Replies = std::vector<Result<Reply>>;

  // A name under which one call at a time leaves its answer with a part, so that it can be asked for again.
  struct Lane {
    std::string id{};
    std::uint64_t number = 0;
  };
  class LaneUse {
   public:
    explicit LaneUse(RedisQueues& queues);
    ~LaneUse();
    LaneUse(const LaneUse&) = delete;
    LaneUse& operator=(const LaneUse&) = delete;
    Lane* operator->() noexcept { return &lane_; }
    const Lane& view() const noexcept { return lane_; }

   private:
    RedisQueues& queues_;
    Lane lane_;
  };

  // The registry (queue_registry.cpp).
  struct Registered {
    std::uint32_t parts = 0;  // 0: there is no registry
    std::string text{};       // empty: no such queue
    std::string leaving{};    // the id of one that is being removed
    std::string word{};       // what this registry was given when it was made
  };
  std::string registry_key() const;
  std::string registry_word_key() const;
  Result<Registered> look_up(std::string_view name, Deadline deadline);
  Result<QueuePtr> enter(std::string_view name, const QueueOptions& options, std::string_view id, std::uint32_t parts, Deadline deadline);
  Result<QueuePtr> remember(std::string_view name, const Registered& found);
  Result<void> install(const KnownQueue& queue, Deadline deadline);
  Result<void> drop(const KnownQueue& queue, Deadline deadline);
  // From memory, or from the registry.
  Result<QueuePtr> known(std::string_view name, Deadline deadline);
  // A part said that it does not know the queue; `missing`: that it knows none. Afterwards all parts know what is given back, or there is
  // no such queue.
  Result<QueuePtr> heal(const QueuePtr& queue, bool missing, Deadline deadline);
  // Gives the bell of those who wait for it.
  std::shared_ptr<Bell> forget(std::string_view name);
  // For scripts of which twice is as good as once: again where answers are lost.
  Result<std::vector<Reply>> run_steadily(std::span<const Script::Call> calls, Deadline deadline);
  // What `step` answers for the queue; where that was changed or made anew since this process looked, for what it is now.
  template <typename Step>
  auto with_queue(std::string_view name, Deadline deadline, const Step& step) -> decltype(step(QueuePtr()));

  // Runs one script per call on parts of the queue. `make`(i, again): call i; `again` if it may have been carried out before. Repeats what
  // got no answer, and what the script has asked to repeat. One answer for each.
  Replies run(const QueuePtr& queue, std::size_t calls, const std::function<Script::Call(std::size_t, bool)>& make, Deadline deadline);
  // The same for what must be on replicas before it counts; where the master changed on the way, all is repeated.
  Replies run_surely(const QueuePtr& queue, std::size_t calls, const std::function<Script::Call(std::size_t, bool)>& make,
                     Deadline deadline);
  // What was written since `before` is on as many replicas as are asked for, in all parts of the queue and in the registry.
  Result<void> confirm(const KnownQueue& queue, const Replicas::Seen& before, Deadline deadline);
  // The same script on every part; the first error ends it.
  Result<std::vector<Reply>> on_all_parts(const QueuePtr& queue, const std::function<Script::Call(std::uint32_t)>& make, Deadline deadline);
  // A call on one part: KEYS[1] and KEYS[2] (queue_scripts.hpp).
  static Script::Call on_part(const Script& script, const KnownQueue& queue, std::uint32_t part);
  // And KEYS[3], the stamp that was given last.
  static Script::Call on_part_with_stamps(const Script& script, const KnownQueue& queue, std::uint32_t part);
  std::int64_t now() const { return place_->now().time_since_epoch().count(); }

  // What is unfinished in all parts, by rising stamp.
  struct Peeked {
    std::uint32_t part = 0;
    std::uint64_t number = 0;
    std::uint64_t frame = 0;  // the first of the frame it is in, 0: none
    Message message{};        // without what its record holds
  };
  Result<std::vector<Peeked>> unfinished(const QueuePtr& queue, std::size_t limit, Deadline deadline);
  Result<std::vector<Message>> with_records(const KnownQueue& queue, std::vector<Peeked> found, Deadline deadline);

  // Dead letters of all parts, by rising stamp.
  struct Letter {
    std::uint32_t part = 0;
    std::uint64_t number = 0;
    DeadLetter content{};
  };
  // Without what their records hold.
  Result<std::vector<Letter>> letters(const QueuePtr& queue, Stamp after, std::size_t limit, Deadline deadline);
  Result<std::vector<DeadLetter>> with_records(const KnownQueue& queue, std::vector<Letter> letters, Deadline deadline);
  // Up to `limit` letters that pass the filter, oldest first, given to `step` in portions of one part each.
  Result<std::size_t> for_each_letter(std::string_view name, const DeadLetterFilter& filter, std::size_t limit, Deadline deadline,
                                      const std::function<Result<std::size_t>(const QueuePtr&, std::span<const Letter>)>& step);

  Result<std::vector<QueuePtr>> all_queues(Deadline deadline);
  // The oldest that is unfinished, at most the stamp after `last`. Where the parts are told that stamp first (`raises`), none of them gives
  // it or an older one from then on.
  Result<Stamp> oldest_above(std::span<const QueuePtr> queues, Stamp last, bool raises, Deadline deadline);

  void saw(Stamp stamp) noexcept;
  void pause(std::size_t attempt, Deadline deadline);

  const std::shared_ptr<Place> place_;
  std::mutex mutex_;
  std::map<std::string, QueuePtr, std::less<>> queues_;
  std::map<std::string, QueueOptions, std::less<>> ours_;  // made by this process
  std::vector<Lane> lanes_;                                // not in use
  setget::detail::Turns healing_;
  std::atomic<Stamp> last_stamp_{0};  // the highest that this process has seen
};

Error no_such_queue(std::string_view name);
// Nothing was done.
Error other_queue(std::string_view name);

template <typename Step>
auto RedisQueues::with_queue(std::string_view name, Deadline deadline, const Step& step) -> decltype(step(QueuePtr())) {
  constexpr int kMostChanges = 8;
  for (int changes = 0;; ++changes) {
    auto queue = known(name, deadline);
    if (!queue) return std::move(queue).error();
    auto answer = step(*queue);
    if (answer || trouble_of(answer.error()) != Trouble::kOtherQueue || changes == kMostChanges || deadline.passed()) return answer;
  }
}

}  // namespace setget::inline v0::redis
