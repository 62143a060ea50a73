// The queue backend over an engine. Messages are rows of `log`; where each of them stands is kept in narrow rows that mostly speak for
// whole batches (runs of ready messages, leases, outcomes), so that a message costs one row on its way in and none on its way out.
// Thread rule: any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/decided_options.hpp"
#include "sqlite/book.hpp"
#include "sqlite/codec.hpp"
#include "sqlite/engine.hpp"

namespace setget::inline v0::sqlite {

class SqliteQueues final : public QueueBackend, public setget::detail::DecidesOptions {
 public:
  explicit SqliteQueues(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  QueueCapabilities capabilities() const override;
  Result<QueueInfo> create(const CreateQueue& request) override;
  Result<QueueInfo> create_by(std::string_view name, const Decide& decide, Deadline deadline) override;
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

  // Whether the queue is there.
  Result<bool> find_queue(std::string_view name);
  const std::shared_ptr<Engine>& engine() const noexcept { return engine_; }

 private:
  Result<bool> clear_gone_queues(std::size_t max_steps, std::size_t& steps, Deadline deadline);
  // Behind this name of a moved message the next maintain() of the queue looks on.
  std::int64_t moved_place(const std::string& queue) const {
    const std::lock_guard lock(moved_mutex_);
    const auto at = moved_places_.find(queue);
    return at == moved_places_.end() ? 0 : at->second;
  }
  void set_moved_place(const std::string& queue, std::int64_t place) {
    const std::lock_guard lock(moved_mutex_);
    moved_places_[queue] = place;
  }

  std::shared_ptr<Engine> engine_;
  mutable std::mutex moved_mutex_;
  std::map<std::string, std::int64_t> moved_places_;
};

Error no_such_queue(std::string_view name);

// "<queue>-<stamp>", both in hexadecimal.
std::string message_id_of(std::int64_t queue, Stamp stamp);
struct MessageName {
  std::int64_t queue = 0;
  Stamp stamp = 0;
};
std::optional<MessageName> parse_message_id(std::string_view text);

// Proof of a receive: the message and the lease. Also what `Settlement::receipt` spells as text.
struct Receipt {
  std::int64_t queue = 0;
  Stamp stamp = 0;
  std::uint64_t token = 0;
};
std::string receipt_of(const Receipt& receipt);
std::optional<Receipt> parse_receipt(std::string_view text);

// --- steps within a write transaction, shared by the verbs and by the fused store ----------------------------------------------------

struct MessageHistory {
  std::uint32_t receives = 0;
  std::optional<std::int64_t> since;  // ms: retention counts from here instead of from the stamp
  std::optional<Stamp> origin;        // the stamp that its message id names, where it was given another
  std::vector<Reason> reasons;
};
MessageHistory load_history(Connection& db, Stamp stamp);
void store_history(Connection& db, Stamp stamp, const MessageHistory& history);

// Where the message goes on: to the ready ones, or to wait until `due`.
void make_ready(WriteTxn& txn, std::int64_t queue, Stamp stamp, std::uint32_t flags);
void make_delayed(WriteTxn& txn, std::int64_t queue, Stamp stamp, std::uint32_t flags, std::int64_t due);
// A member of a busy FIFO group joins those who wait.
void make_waiting(WriteTxn& txn, std::int64_t queue, std::string_view group, Stamp stamp, std::uint32_t flags,
                  std::optional<std::int64_t> due);
// A message joins its FIFO group with the stamp it has: it waits behind older ones, and later ones that nobody has taken yet behind it.
void join_group(WriteTxn& txn, std::int64_t queue, std::string_view group, Stamp stamp, std::uint32_t flags,
                std::optional<std::int64_t> due);
// Nobody of the group is ready, delayed or leased any more: the oldest who waits is next.
void group_is_free(WriteTxn& txn, std::int64_t queue, std::string_view group);
std::string group_of(Connection& db, Stamp stamp);
// The same; empty where the message's row is lost.
std::optional<std::string> find_group(Connection& db, Stamp stamp);
// Why a message ends whose stored bytes are not what was sent.
Reason damaged_reason();
// The same as a mark where such a message is shown: once.
void mark_damaged(std::vector<Reason>& reasons);
struct MessageContent {
  Payload body{};
  MessageAttributes attributes{};
  std::string group{};
  bool damaged = false;  // and so the rest is empty
};
// For those who look at messages; empty where there is none.
std::optional<MessageContent> read_content(Connection& db, Stamp stamp);
// Frees groups that count as busy and of which nobody is ready, delayed or leased; looks at those whose messages have waited longest, and
// frees `most` at most. Their number.
std::size_t free_forsaken_groups(WriteTxn& txn, const QueueRow& queue, std::size_t most);
// From here on a dead letter. The caller has taken it out of wherever it was and its counters.
void bury_message(WriteTxn& txn, std::int64_t queue, Stamp stamp, std::uint32_t receives, const std::vector<Reason>& reasons);
// Leases that have ended give their messages back; delays that are over make theirs ready.
void wake_up(WriteTxn& txn, const QueueRow& queue);

// The lowest stamp of an unfinished message of the queue.
std::optional<Stamp> oldest_unfinished_of(Connection& db, std::int64_t queue);

// The leases that settlements of one transaction touch, each read and written once.
class Leases {
 public:
  Leases(WriteTxn& txn, std::int64_t queue) : txn_(txn), queue_(queue) {}
  // Takes the message out of its lease; empty if the receipt does not hold it (any more).
  std::optional<LeaseMember> take(const Receipt& receipt);
  // The same for a lease whose time is over.
  std::optional<LeaseMember> take_ended(const Receipt& receipt);
  // Whether take() would give it.
  bool holds(const Receipt& receipt);
  // False if the receipt does not hold its message.
  bool extend(const Receipt& receipt, std::int64_t until);
  // Takes out later members of the group that are leased by the same receive (all that are in flight are).
  std::vector<LeaseMember> take_later(const Receipt& receipt, std::uint64_t group);
  // True while the lease still has members of the group.
  bool holds_group(const Receipt& receipt, std::uint64_t group);
  void write();

 private:
  struct Lease {
    std::int64_t until = 0;
    std::vector<LeaseMember> members;
    bool known = false;
    bool edited = false;
  };
  Lease& load(std::uint64_t token);
  void tell_groups_apart(std::vector<LeaseMember>& members);
  LeaseMember* find(const Receipt& receipt);
  WriteTxn& txn_;
  std::int64_t queue_;
  std::map<std::uint64_t, Lease> leases_;
};

// Gives a message that was taken out of its lease back, and the later ones of its FIFO group with it.
void release_message(WriteTxn& txn, std::int64_t queue, Leases& leases, const Receipt& receipt, const LeaseMember& member,
                     Milliseconds delay, const std::vector<Reason>& reasons, bool uncounted);
// Carries out one settlement. kLeaseLost leaves everything as it was.
Result<void> settle_one(WriteTxn& txn, const QueueRow& queue, Leases& leases, const Settlement& settlement);
// Ends a message that was taken out of its lease with an outcome. `keep_row`: the body's row belongs to a record from now on.
void finish_message(WriteTxn& txn, std::int64_t queue, Leases& leases, const Receipt& receipt, const LeaseMember& member, Outcome outcome,
                    const std::vector<Reason>& reasons, bool keep_row);
// Buries a message that was taken out of its lease.
void dead_letter_message(WriteTxn& txn, std::int64_t queue, Leases& leases, const Receipt& receipt, const LeaseMember& member,
                         const std::vector<Reason>& reasons);

}  // namespace setget::inline v0::sqlite
