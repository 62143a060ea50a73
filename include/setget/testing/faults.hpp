// Fault decorators: backends that fail on request. A test adds faults to a FaultPlan, which any number of decorators share. Verbs carry the
// names of the seams' functions: "send", "receive", "settle", "apply", "apply_and_settle", "get", "write", …; a verb that only one seam has
// is unambiguous, the others can be told apart by giving each decorator a plan of its own. Tests wait on gates, never on sleeps. Thread
// rule: any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/testing/forwarding.hpp>

namespace setget::inline v0::testing {

// Holds callers until it is opened.
class SETGET_API Gate {
 public:
  // Lets everybody pass, now and later. Idempotent.
  void open();
  // Blocks until the gate is open.
  void pass();
  // Blocks until `callers` have come to the gate, or the deadline passes; false in that case.
  bool wait_for_callers(std::size_t callers, Deadline deadline);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  std::size_t callers_ = 0;
};

enum class FaultKind : std::uint8_t {
  kFail,        // the call has no effect and answers the fault's error
  kLoseReply,   // the call has its effect, but answers the fault's error
  kStall,       // the call waits at the fault's gate before it takes effect
  kStallReply,  // the call takes effect, then waits at the gate before it answers
  kTwice,  // the call is carried out twice and answers what the second one said; a receive gives its messages once more at the next receive
};

struct Fault {
  std::string verb{};
  FaultKind kind = FaultKind::kFail;
  std::size_t after = 0;  // this many calls of the verb pass first
  std::size_t times = 1;  // then this many meet the fault; 0 = all
  ErrorCode code = ErrorCode::kUnavailable;
  std::shared_ptr<Gate> gate{};  // kStall and kStallReply only
};

class SETGET_API FaultPlan {
 public:
  // Faults of one verb are looked at in the order in which they were added; a call meets at most one.
  void add(Fault fault);
  void clear();
  // Calls of the verb so far, those that met a fault included.
  std::size_t calls(std::string_view verb) const;
  // Calls that met a fault.
  std::size_t hits() const;

  // For decorators: counts a call and says which fault it meets.
  std::optional<Fault> next(std::string_view verb);

 private:
  struct Planned {
    Fault fault;
    std::size_t seen = 0;
  };
  mutable std::mutex mutex_;
  std::vector<Planned> faults_;
  std::map<std::string, std::size_t, std::less<>> calls_;
  std::size_t hits_ = 0;
};

class SETGET_API FaultyQueue final : public ForwardingQueue {
 public:
  FaultyQueue(std::shared_ptr<QueueBackend> inner, std::shared_ptr<FaultPlan> plan);
  ~FaultyQueue() override;
  Result<std::vector<Result<SentMessage>>> send(const SendMessages& request) override;
  Result<std::vector<Message>> receive(const ReceiveMessages& request) override;
  Result<std::vector<Result<void>>> settle(const SettleMessages& request) override;
  Result<MessageStatus> find(const FindMessage& request) override;
  Result<QueueStats> stats(std::string_view queue, Deadline deadline = Deadline::in(Milliseconds(30'000))) override;
  Result<Stamp> oldest_unfinished(Deadline deadline = Deadline::in(Milliseconds(30'000))) override;
  Result<std::size_t> maintain(const MaintainQueue& request) override;

 private:
  std::shared_ptr<FaultPlan> plan_;
  std::mutex mutex_;
  std::map<std::string, std::vector<Message>, std::less<>> again_;  // by queue: to be delivered once more
};

class SETGET_API FaultyKeyStore final : public ForwardingKeyStore {
 public:
  FaultyKeyStore(std::shared_ptr<KeyStoreBackend> inner, std::shared_ptr<FaultPlan> plan);
  ~FaultyKeyStore() override;
  Result<std::vector<Result<ApplyResult>>> apply(const ApplyCommands& request) override;
  FusedStore* fused_with(QueueBackend& queue) override;
  Result<std::vector<Lookup>> get(const GetRecords& request) override;
  // The verb "get_async". kStall holds the caller, kStallReply whoever brings the answer.
  void get_async(const GetRecords& request, GetDone done) override;
  Result<Lookup> get_by_id(const GetById& request) override;
  Result<SummaryPage> scan(const ScanRecords& request) override;
  Result<ChangeBatch> changes(const ReadChanges& request) override;
  Result<void> commit_cursor(std::string_view name, Position position, Deadline deadline = Deadline::in(Milliseconds(30'000))) override;
  Result<std::vector<Result<bool>>> set_expiry(std::span<const SetExpiry> entries,
                                               Deadline deadline = Deadline::in(Milliseconds(30'000))) override;
  Result<Reclaimed> reclaim(const Reclaim& request) override;
  Result<std::vector<RangeDigest>> digest(const DigestRecords& request) override;
  Result<std::vector<Lookup>> get_by_ids(const GetByIds& request) override;

 private:
  std::shared_ptr<FaultPlan> plan_;
  std::mutex mutex_;
  std::map<FusedStore*, std::unique_ptr<FusedStore>> fused_;
};

class SETGET_API FaultyArchive final : public ForwardingArchive {
 public:
  FaultyArchive(std::shared_ptr<ArchiveBackend> inner, std::shared_ptr<FaultPlan> plan);
  ~FaultyArchive() override;
  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override;
  Result<std::vector<Lookup>> get(const GetRecords& request) override;
  Result<Lookup> get_by_id(const GetById& request) override;
  Result<SummaryPage> scan(const ScanArchive& request) override;
  Result<std::optional<ArchiveCheckpoint>> load_checkpoint() override;
  Result<void> save_checkpoint(const ArchiveCheckpoint& checkpoint) override;
  Result<std::vector<RangeDigest>> digest(const DigestArchive& request) override;

 private:
  std::shared_ptr<FaultPlan> plan_;
};

}  // namespace setget::inline v0::testing
