// One queue of a memory database: plain data structures that know no lock and no waiting. Every operation costs O(log n) per
// message it touches, never a walk over messages that are blocked, leased or delayed:
//
//   unfinished   every message that has no outcome yet, by stamp
//   offered      those that a receive may take now, by stamp: of a FIFO group only its head, and only while none of it is leased
//   timed        leases and delays, by the moment they end
//   retained     unfinished messages by the moment their retention began
//   dead         dead letters, by stamp
//   finished     outcomes, kept for a while; `forgettable` has them by age
//
// Thread rule: the caller holds the lock of the database.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <setget/queue.hpp>

namespace setget::inline v0::memory::detail {

// Bytes that all queues of a database hold, dead letters included.
struct ByteBudget {
  std::size_t limit = 0;  // 0 = unlimited
  std::size_t used = 0;
  bool admits(std::size_t bytes) const noexcept { return limit == 0 || (used <= limit && bytes <= limit - used); }
};

// What a message is called for ever: the stamp it was accepted with. A redrive may restamp the message but not rename it.
using MessageNumber = std::uint64_t;

struct Group;

struct QueuedMessage {
  enum class State : std::uint8_t { kWaiting, kDelayed, kLeased, kDead };
  MessageNumber number = 0;
  Stamp stamp = 0;
  Payload body;
  MessageAttributes attributes;
  std::string group_name;
  Group* group = nullptr;  // null: no order with any other message
  State state = State::kWaiting;
  TimePoint sent_at{};
  TimePoint retained_since{};
  TimePoint visible_at{};   // delayed, leased: when that ends
  std::uint64_t token = 0;  // leased: what its receipt must show
  std::uint32_t receives = 0;
  std::vector<Reason> history;
  std::vector<Reason> reasons;  // dead: why
  TimePoint dead_at{};

  std::size_t bytes() const noexcept;
};

// A FIFO group: its unfinished messages, and the one that is offered.
struct Group {
  std::map<Stamp, QueuedMessage*> waiting;  // delayed ones included: they hold up what is behind them
  std::map<Stamp, QueuedMessage*> leased;
  QueuedMessage* offered = nullptr;
  bool empty() const noexcept { return waiting.empty() && leased.empty(); }
};

struct FinishedMessage {
  Stamp stamp = 0;
  Outcome outcome = Outcome::kApplied;
  std::uint32_t receives = 0;
  TimePoint finished_at{};
  std::vector<Reason> reasons;
};

class QueueState {
 public:
  QueueState(QueueInfo info, ByteBudget& budget) : info_(std::move(info)), budget_(&budget) {}
  ~QueueState();
  QueueState(const QueueState&) = delete;
  QueueState& operator=(const QueueState&) = delete;

  const QueueInfo& info() const noexcept { return info_; }
  void replace_options(const QueueOptions& options) { info_.options = options; }

  // Ends the leases and delays that are over at `now`. Every verb starts with it, so that nothing else has to think of time.
  void advance(TimePoint now);

  // The earlier message with this deduplication id, if it is still remembered.
  std::optional<SentMessage> find_duplicate(std::string_view dedup_id, TimePoint now) const;
  // Precondition: checked (see MemoryQueues::send).
  SentMessage accept(const OutgoingMessage& message, Stamp stamp, TimePoint now);

  // Leases what may be taken. `next_token` is advanced.
  std::vector<Message> take(const ReceiveMessages& request, TimePoint now, std::uint64_t& next_token);
  Result<void> settle(const Settlement& settlement, TimePoint now);
  // The message that `receipt` holds; nullptr if the lease is lost.
  QueuedMessage* held_by(std::string_view receipt);

  // Empty: never accepted or forgotten.
  std::optional<MessageStatus> find(MessageNumber number) const;
  QueueStats stats(TimePoint now) const;
  std::vector<Message> peek(std::size_t limit) const;
  std::optional<Stamp> oldest_unfinished() const;
  // When the next lease or delay ends.
  std::optional<TimePoint> next_event() const;

  Result<DeadLetterPage> dead_letters(const ListDeadLetters& request) const;
  // `take_stamp` gives fresh stamps for those that are restamped.
  template <class TakeStamp>
  std::size_t redrive(const RedriveDeadLetters& request, TimePoint now, TakeStamp take_stamp) {
    const auto chosen = choose_dead(request.filter, request.limit);
    for (auto* letter : chosen) revive(*letter, request.restamp ? take_stamp() : letter->stamp, now);
    return chosen.size();
  }
  std::size_t purge(const PurgeDeadLetters& request, TimePoint now);

  std::size_t maintain(std::size_t max_steps, TimePoint now);

  // Waiting. `arrivals` is notified when messages may have become available, watchers when their message is finished.
  std::condition_variable arrivals;
  std::unordered_multimap<MessageNumber, std::condition_variable*> watchers;
  // The queue is removed: everybody who waits comes back.
  void close();
  bool closed() const noexcept { return closed_; }

 private:
  using State = QueuedMessage::State;

  std::string message_id(MessageNumber number) const;
  Message show(const QueuedMessage& message) const;

  // The states of an unfinished message, and the moves between them.
  void enter(QueuedMessage& message, TimePoint visible_at, TimePoint now);
  void make_waiting(QueuedMessage& message);
  void lease(QueuedMessage& message, TimePoint until, std::uint64_t token);
  void end_lease(QueuedMessage& message);
  // Ends the lease and those of the later messages of its group: they must not overtake it.
  void give_back(QueuedMessage& message, TimePoint visible_at, TimePoint now);
  void release(QueuedMessage& message, TimePoint visible_at, TimePoint now);
  void reschedule(QueuedMessage& message, TimePoint visible_at);
  void leave(QueuedMessage& message);
  void finish(QueuedMessage& message, Outcome outcome, std::vector<Reason> reasons, TimePoint now);
  void bury(QueuedMessage& message, std::vector<Reason> reasons, TimePoint now);
  void revive(QueuedMessage& message, Stamp stamp, TimePoint now);
  void record_outcome(MessageNumber number, FinishedMessage finished);
  void notify_watchers(MessageNumber number);

  // Keeps `offered_` right about a group after anything in it has changed.
  void offer_head(Group& group);
  // Offers the oldest that waits, also where the group has leased messages: only take() may, for its own batch.
  void offer_next(Group& group);
  void withdraw(Group& group);

  bool bury_if_hopeless(QueuedMessage& message, TimePoint now);
  std::vector<QueuedMessage*> choose_dead(const DeadLetterFilter& filter, std::size_t limit) const;
  bool forget_one(TimePoint now);

  QueueInfo info_;
  ByteBudget* budget_;
  std::unordered_map<MessageNumber, QueuedMessage> messages_;  // unfinished and dead
  std::unordered_map<std::string, Group> groups_;              // non-empty ones
  std::map<Stamp, QueuedMessage*> unfinished_;
  std::map<Stamp, QueuedMessage*> offered_;
  std::set<std::tuple<TimePoint, Stamp, QueuedMessage*>> timed_;
  std::set<std::tuple<TimePoint, Stamp, QueuedMessage*>> retained_;
  std::map<Stamp, QueuedMessage*> dead_;
  std::unordered_map<MessageNumber, FinishedMessage> finished_;
  std::set<std::pair<TimePoint, MessageNumber>> forgettable_;
  struct Remembered {
    MessageNumber number = 0;
    Stamp stamp = 0;
    TimePoint until{};
  };
  std::map<std::string, Remembered, std::less<>> dedup_;
  std::set<std::pair<TimePoint, std::string>> dedup_ends_;

  bool closed_ = false;
  std::uint64_t in_flight_ = 0;
  std::uint64_t delayed_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t outcomes_[kOutcomeCount] = {};
};

// "name~number". Queue names cannot contain '~', and it needs no escaping in a URL.
struct ParsedMessageId {
  std::string_view queue;
  MessageNumber number = 0;
};
std::optional<ParsedMessageId> parse_message_id(std::string_view message_id);

}  // namespace setget::inline v0::memory::detail
