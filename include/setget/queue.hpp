// Queue: a durable, ordered queue of messages with leases, groups, dead letters and a ledger of outcomes. `Queue` is the front that hosts
// call; `QueueBackend` is the seam that a store implements, one object for all queues of that store. The semantics are those of
// Amazon SQS (visibility timeout, FIFO groups, dead-letter queue: docs.aws.amazon.com/AWSSimpleQueueService) where not said otherwise.
// Thread rule: everything here may be called from any thread. Blocking rule: a verb blocks at most until its deadline, which is a member of
// its request or its last parameter; 30 s from the call where none is named. What a deadline ended is kDeadlineExceeded: it may have taken
// effect. A queue in this process or in a file waits for nothing but its turn, and ends a step that it has begun.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/payload.hpp>

namespace setget::inline v0 {

// What survives what, from weakest to strongest.
enum class Durability : std::uint8_t {
  kMemory,   // gone with the process
  kReplica,  // survives one machine
  kDisk,     // survives power loss
};
SETGET_API std::string_view to_string(Durability durability) noexcept;

enum class QueueKind : std::uint8_t {
  kStandard,  // oldest first; groups are ignored
  kFifo,      // messages of a group are delivered in order, one batch of a group in flight at a time
};

// How an accepted message ended. Exactly one per message. Numbers are stored; append only.
enum class Outcome : std::uint8_t {
  kPending = 0,
  kApplied = 1,
  kDuplicate = 2,
  kStale = 3,
  kExpired = 4,
  kDeadLettered = 5,
  kPurged = 6,
};
inline constexpr std::size_t kOutcomeCount = 7;
SETGET_API std::string_view to_string(Outcome outcome) noexcept;

// Typed as in SQS: the data of kNumber is decimal text, kept as given.
struct AttributeValue {
  enum class Type : std::uint8_t { kString = 1, kNumber = 2, kBinary = 3 };
  Type type = Type::kString;
  std::string data{};
  friend bool operator==(const AttributeValue&, const AttributeValue&) = default;
};
using MessageAttributes = std::map<std::string, AttributeValue, std::less<>>;

// Attribute under which the pipeline carries the W3C traceparent.
inline constexpr std::string_view kTraceparentAttribute = "traceparent";

struct QueueOptions {
  QueueKind kind = QueueKind::kFifo;
  Milliseconds visibility_timeout{30'000};     // > 0; a lease's length where the receive names none
  Milliseconds delay{0};                       // a new message is hidden this long; 0 = none
  Milliseconds retention{14LL * 86'400'000};   // older unfinished messages become dead letters ("retention"); > 0
  std::uint32_t max_receives = 5;              // a message received so often without an ack becomes a dead letter; 0 = unlimited
  Milliseconds dedup_window{300'000};          // an explicit dedup_id is remembered this long; 0 = never deduplicate
  Milliseconds outcome_retention{86'400'000};  // how long find() knows a finished message; ledger counts are kept for ever
  std::uint32_t max_in_flight = 20'000;        // leased messages at a time; receive returns nothing at the limit; > 0
  std::size_t max_message_bytes = 16u << 20;   // body and attributes; send refuses more; > 0
  SETGET_API Result<void> validate() const;
  friend bool operator==(const QueueOptions&, const QueueOptions&) = default;
};

struct QueueInfo {
  std::string name{};
  QueueOptions options{};
  TimePoint created_at{};
};

struct OutgoingMessage {
  Payload body{};
  MessageAttributes attributes{};
  std::string group{};                  // FIFO: empty = a group of its own (no order with any other)
  std::string dedup_id{};               // empty: never deduplicated. The pipeline never deduplicates by content
  std::optional<Milliseconds> delay{};  // empty: the queue's
};

struct SentMessage {
  std::string message_id{};   // opaque; names queue and message within the store
  Stamp stamp = 0;            // 0 where the backend does not stamp (capabilities)
  bool deduplicated = false;  // the id and stamp are those of the earlier message with this dedup_id
};

struct Message {
  std::string message_id{};
  std::string receipt{};  // proof of this receive; a later receive of the message makes it worthless
  Payload body{};
  MessageAttributes attributes{};
  std::string group{};
  Stamp stamp = 0;
  TimePoint sent_at{};
  std::uint32_t receive_count = 0;  // this one included
  TimePoint visible_at{};           // when the lease ends
  bool damaged = false;             // peek only: what is stored cannot be read, so body and attributes are empty
};

enum class SettleAction : std::uint8_t {
  kAck,         // finished, with `outcome`
  kRelease,     // give the lease back; visible again after `delay`; `reasons` join its history
  kExtend,      // the lease now ends `delay` from now
  kDeadLetter,  // can never succeed; kept with `reasons`
};

struct Settlement {
  std::string receipt{};
  SettleAction action = SettleAction::kAck;
  Outcome outcome = Outcome::kApplied;  // kAck only; not kPending, kDeadLettered or kPurged
  Milliseconds delay{0};
  std::vector<Reason> reasons{};
  // kRelease only: takes this receive back from receive_count, because the message was not tried or is not to blame.
  bool uncounted = false;
};

struct MessageStatus {
  std::string message_id{};
  Stamp stamp = 0;
  Outcome outcome = Outcome::kPending;
  std::vector<Reason> reasons{};
  std::uint32_t receive_count = 0;
  std::optional<Payload> body{};  // while the store still has it, and can read it
};

struct QueueStats {
  std::uint64_t depth = 0;      // visible, ready to be received (blocked ones of FIFO groups included)
  std::uint64_t in_flight = 0;  // leased
  std::uint64_t delayed = 0;    // waiting for a delay or a release delay
  std::uint64_t dead_letters = 0;
  std::optional<Milliseconds> oldest_age{};    // of the oldest unfinished message
  std::uint64_t accepted = 0;                  // ever sent and not deduplicated
  std::uint64_t outcomes[kOutcomeCount] = {};  // by Outcome. accepted == sum of finished + depth + in_flight + delayed
};

struct DeadLetter {
  std::string message_id{};
  Stamp stamp = 0;
  Payload body{};
  MessageAttributes attributes{};
  std::string group{};
  std::vector<Reason> reasons{};  // why it ended here
  std::vector<Reason> history{};  // of earlier releases, oldest first, bounded
  std::uint32_t receive_count = 0;
  TimePoint sent_at{};
  TimePoint dead_at{};
};

// All given conditions must hold. Empty = every dead letter.
struct DeadLetterFilter {
  std::vector<std::string> message_ids{};
  std::string reason_code{};  // a reason with this code
  std::optional<TimePoint> dead_before{};
  std::optional<TimePoint> dead_after{};
};

struct DeadLetterPage {
  std::vector<DeadLetter> letters{};  // oldest stamp first
  std::string next{};                 // cursor for the next page; empty at the end
};

struct QueueCapabilities {
  Durability durability = Durability::kMemory;
  bool stamps = false;  // gives the stamp in the enqueue step; else ingress uses a hybrid logical clock
  bool ledger = false;  // keeps outcomes and counts; find() works
  bool fifo = false;
  bool dedup = false;
  bool delay = false;
  bool dead_letters = false;       // list, redrive, purge
  bool oldest_unfinished = false;  // can tell; else retention bounds the floor
  bool cross_process = false;      // a send in another process wakes a waiting receive
};

// --- the seam -------------------------------------------------------------------------------------------------------------------

struct CreateQueue {
  std::string_view name{};
  QueueOptions options{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct SendMessages {
  std::string_view queue{};
  std::span<const OutgoingMessage> messages{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct ReceiveMessages {
  std::string_view queue{};
  std::size_t max_messages = 10;                     // > 0; where it is over 32, a backend may give a little less than there is
  std::size_t max_bytes = 8u << 20;                  // of bodies; at least one message is always given
  std::optional<Milliseconds> visibility_timeout{};  // empty: the queue's
  Deadline wait = Deadline::immediate();             // long poll: returns as soon as anything is there
  // A queue that answers slowly is waited for until then, and a longer wait ends there too; empty: 10 s behind the end of the wait. What it
  // had leased by then, without the answer coming, is back when its lease ends.
  std::optional<Deadline> deadline{};
  Deadline latest() const noexcept { return deadline.value_or(wait.then(Milliseconds(10'000))); }
};
struct SettleMessages {
  std::string_view queue{};
  std::span<const Settlement> settlements{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct FindMessage {
  std::string_view message_id{};
  Deadline wait = Deadline::immediate();
  std::optional<Deadline> deadline{};  // as in ReceiveMessages
  Deadline latest() const noexcept { return deadline.value_or(wait.then(Milliseconds(10'000))); }
};
struct PeekMessages {
  std::string_view queue{};
  std::size_t limit = 10;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct ListDeadLetters {
  std::string_view queue{};
  DeadLetterFilter filter{};
  std::string cursor{};
  std::size_t limit = 100;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct RedriveDeadLetters {
  std::string_view queue{};
  DeadLetterFilter filter{};
  std::size_t limit = 100;  // moved by this call, oldest first; callers loop (and so rate-limit and cancel)
  bool restamp = false;     // give fresh stamps: for messages below the store's floor. Where versions are assigned, also fresh versions
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct PurgeDeadLetters {
  std::string_view queue{};
  DeadLetterFilter filter{};
  std::size_t limit = 1000;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct MaintainQueue {
  std::string_view queue{};
  std::size_t max_steps = 1000;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};

class SETGET_API QueueBackend {
 public:
  virtual ~QueueBackend();

  virtual QueueCapabilities capabilities() const = 0;

  // Makes a queue. Names: 1..64 bytes of [A-Za-z0-9._-]. Idempotent; kAlreadyExists if it exists with another kind; other
  // options are replaced.
  virtual Result<QueueInfo> create(const CreateQueue& request) = 0;
  virtual Result<std::vector<QueueInfo>> list(Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;
  // Removes a queue and all it holds. kNotFound if there is none.
  virtual Result<void> remove(std::string_view name, Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;

  // Durable at the level of capabilities() once it returns. One result per entry, in order; one entry's failure leaves the
  // others. A whole-call error means that nothing is known to be sent (kDeadlineExceeded: it may have been). Every message of a batch gets
  // its own stamp, rising in order.
  virtual Result<std::vector<Result<SentMessage>>> send(const SendMessages& request) = 0;

  // Leases up to max_messages, oldest first. Counts the receive durably before it returns. A message whose count was already
  // at max_receives, or that is past retention, is dead-lettered instead ("max_receives", "retention"); so is one whose stored bytes are
  // damaged ("corrupted"), and the others are given. Empty when the wait is over.
  virtual Result<std::vector<Message>> receive(const ReceiveMessages& request) = 0;

  // One result per entry; kLeaseLost where the receipt no longer holds its message, which then is unchanged. Writes the outcome in the
  // same step. Not idempotent: a second ack of the same receipt is kLeaseLost. In a FIFO queue, releasing a message, or
  // letting its lease end, also releases the later messages of its group that are in flight (their receipts are lost).
  virtual Result<std::vector<Result<void>>> settle(const SettleMessages& request) = 0;

  // The status of a message; blocks until it is finished or the wait is over. kNotFound if never accepted or forgotten.
  virtual Result<MessageStatus> find(const FindMessage& request) = 0;
  virtual Result<QueueStats> stats(std::string_view queue, Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;
  // Unfinished messages, oldest first, without leasing them; receipts are empty. See Message::damaged.
  virtual Result<std::vector<Message>> peek(const PeekMessages& request) = 0;

  // A letter whose stored bytes are damaged comes without body and attributes, and with the reason "corrupted".
  virtual Result<DeadLetterPage> dead_letters(const ListDeadLetters& request) = 0;
  // Back into the queue with a receive count of 0. The outcome becomes pending again. Returns how many.
  virtual Result<std::size_t> redrive(const RedriveDeadLetters& request) = 0;
  // Removes for good; the outcome becomes purged. Returns how many.
  virtual Result<std::size_t> purge(const PurgeDeadLetters& request) = 0;

  // A stamp that no unfinished message of any queue of this store lies below, and that no later message will lie below (where all is
  // finished: the last stamp + 1). Dead letters are finished. Feeds the key store's floor.
  virtual Result<Stamp> oldest_unfinished(Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;

  // Housekeeping in bounded steps: retention, forgotten outcomes and dedup ids. Returns the steps done (less than max_steps = finished).
  virtual Result<std::size_t> maintain(const MaintainQueue& request) = 0;
};

// --- the front ------------------------------------------------------------------------------------------------------------------

// One named queue of a store. A small value that shares the backend.
class SETGET_API Queue {
 public:
  Queue() = default;
  // Binds without I/O; `create` makes the queue when it is missing.
  Queue(std::shared_ptr<QueueBackend> backend, std::string name) : backend_(std::move(backend)), name_(std::move(name)) {}
  static Result<Queue> open(std::shared_ptr<QueueBackend> backend, std::string name, const QueueOptions& options = {},
                            Deadline deadline = Deadline::in(Milliseconds(30'000)));

  explicit operator bool() const noexcept { return backend_ != nullptr; }
  const std::string& name() const noexcept { return name_; }
  const std::shared_ptr<QueueBackend>& backend() const noexcept { return backend_; }

  Result<SentMessage> send(const OutgoingMessage& message, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  Result<std::vector<Result<SentMessage>>> send(std::span<const OutgoingMessage> messages,
                                                Deadline deadline = Deadline::in(Milliseconds(30'000)));
  // `deadline`: see ReceiveMessages.
  Result<std::vector<Message>> receive(std::size_t max_messages = 10, Deadline wait = Deadline::immediate(),
                                       std::optional<Deadline> deadline = {});
  Result<void> ack(const Message& message, Outcome outcome = Outcome::kApplied, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  Result<void> release(const Message& message, Milliseconds delay = Milliseconds(0), std::vector<Reason> reasons = {},
                       Deadline deadline = Deadline::in(Milliseconds(30'000)));
  Result<void> extend(const Message& message, Milliseconds visibility_timeout, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  Result<void> dead_letter(const Message& message, std::vector<Reason> reasons, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  Result<QueueStats> stats(Deadline deadline = Deadline::in(Milliseconds(30'000)));

 private:
  Result<void> settle_one(Settlement settlement, Deadline deadline);
  std::shared_ptr<QueueBackend> backend_;
  std::string name_;
};

}  // namespace setget::inline v0
