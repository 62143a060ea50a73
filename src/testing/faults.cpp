#include <type_traits>
#include <utility>

#include <setget/testing/faults.hpp>

namespace setget::inline v0::testing {

// --- forwarding -----------------------------------------------------------------------------------------------------------------

ForwardingQueue::~ForwardingQueue() = default;
ForwardingKeyStore::~ForwardingKeyStore() = default;
ForwardingArchive::~ForwardingArchive() = default;

FusedStore* ForwardingKeyStore::fused_with(QueueBackend& queue) {
  auto* bare = &queue;
  while (auto* forwarding = dynamic_cast<ForwardingQueue*>(bare)) {
    auto* inner = forwarding->inner().get();
    if (inner == nullptr) return nullptr;
    bare = inner;
  }
  return inner_->fused_with(*bare);
}

// --- gate and plan --------------------------------------------------------------------------------------------------------------

void Gate::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

void Gate::pass() {
  std::unique_lock lock(mutex_);
  ++callers_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return open_; });
}

bool Gate::wait_for_callers(std::size_t callers, Deadline deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline.time(), [&] { return callers_ >= callers; });
}

void FaultPlan::add(Fault fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back({.fault = std::move(fault)});
}

void FaultPlan::clear() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
}

std::size_t FaultPlan::calls(std::string_view verb) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(verb);
  return found == calls_.end() ? 0 : found->second;
}

std::size_t FaultPlan::hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}

std::optional<Fault> FaultPlan::next(std::string_view verb) {
  const std::lock_guard lock(mutex_);
  ++calls_[std::string(verb)];
  std::optional<Fault> met;
  for (auto& planned : faults_) {
    const auto& fault = planned.fault;
    if (fault.verb != verb) continue;
    const auto nth = planned.seen++;
    if (!met && nth >= fault.after && (fault.times == 0 || nth < fault.after + fault.times)) met = fault;
  }
  if (met) ++hits_;
  return met;
}

namespace {

Error error_of(const Fault& fault) { return {fault.code, "fault injected into " + fault.verb}; }

// Carries out `call` as the plan says.
template <class Call>
std::invoke_result_t<Call&> with_faults(FaultPlan& plan, std::string_view verb, Call&& call) {
  const auto fault = plan.next(verb);
  if (!fault) return call();
  switch (fault->kind) {
    case FaultKind::kFail:
      return error_of(*fault);
    case FaultKind::kLoseReply: {
      const auto unseen = call();
      return error_of(*fault);
    }
    case FaultKind::kStall:
      fault->gate->pass();
      return call();
    case FaultKind::kStallReply: {
      auto reply = call();
      fault->gate->pass();
      return reply;
    }
    case FaultKind::kTwice: {
      const auto unseen = call();
      return call();
    }
  }
  return call();
}

class FaultyFused final : public FusedStore {
 public:
  FaultyFused(FusedStore& inner, std::shared_ptr<FaultPlan> plan) : inner_(inner), plan_(std::move(plan)) {}
  Result<Results> apply_and_settle(std::string_view queue, std::span<const FusedEntry> entries, std::span<const Settlement> others,
                                   TimePoint now, Deadline deadline) override {
    return with_faults(*plan_, "apply_and_settle", [&] { return inner_.apply_and_settle(queue, entries, others, now, deadline); });
  }

 private:
  FusedStore& inner_;
  std::shared_ptr<FaultPlan> plan_;
};

}  // namespace

// --- queue ----------------------------------------------------------------------------------------------------------------------

FaultyQueue::FaultyQueue(std::shared_ptr<QueueBackend> inner, std::shared_ptr<FaultPlan> plan)
    : ForwardingQueue(std::move(inner)), plan_(std::move(plan)) {}
FaultyQueue::~FaultyQueue() = default;

Result<std::vector<Result<SentMessage>>> FaultyQueue::send(const SendMessages& request) {
  return with_faults(*plan_, "send", [&] { return inner()->send(request); });
}

Result<std::vector<Message>> FaultyQueue::receive(const ReceiveMessages& request) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = again_.find(request.queue); found != again_.end()) {
      auto messages = std::move(found->second);
      again_.erase(found);
      return messages;
    }
  }
  const auto fault = plan_->next("receive");
  if (!fault) return inner()->receive(request);
  if (fault->kind == FaultKind::kFail) return error_of(*fault);
  if (fault->kind == FaultKind::kStall) fault->gate->pass();
  auto received = inner()->receive(request);
  if (fault->kind == FaultKind::kStallReply) fault->gate->pass();
  if (fault->kind == FaultKind::kLoseReply) return error_of(*fault);
  if (fault->kind == FaultKind::kTwice && received && !received->empty()) {
    const std::lock_guard lock(mutex_);
    again_[std::string(request.queue)] = *received;
  }
  return received;
}

Result<std::vector<Result<void>>> FaultyQueue::settle(const SettleMessages& request) {
  return with_faults(*plan_, "settle", [&] { return inner()->settle(request); });
}
Result<MessageStatus> FaultyQueue::find(const FindMessage& request) {
  return with_faults(*plan_, "find", [&] { return inner()->find(request); });
}
Result<QueueStats> FaultyQueue::stats(std::string_view queue, Deadline deadline) {
  return with_faults(*plan_, "stats", [&] { return inner()->stats(queue, deadline); });
}
Result<Stamp> FaultyQueue::oldest_unfinished(Deadline deadline) {
  return with_faults(*plan_, "oldest_unfinished", [&] { return inner()->oldest_unfinished(deadline); });
}
Result<std::size_t> FaultyQueue::maintain(const MaintainQueue& request) {
  return with_faults(*plan_, "maintain", [&] { return inner()->maintain(request); });
}

// --- key store ------------------------------------------------------------------------------------------------------------------

FaultyKeyStore::FaultyKeyStore(std::shared_ptr<KeyStoreBackend> inner, std::shared_ptr<FaultPlan> plan)
    : ForwardingKeyStore(std::move(inner)), plan_(std::move(plan)) {}
FaultyKeyStore::~FaultyKeyStore() = default;

Result<std::vector<Result<ApplyResult>>> FaultyKeyStore::apply(const ApplyCommands& request) {
  return with_faults(*plan_, "apply", [&] { return inner()->apply(request); });
}

FusedStore* FaultyKeyStore::fused_with(QueueBackend& queue) {
  auto* inner_fused = ForwardingKeyStore::fused_with(queue);
  if (inner_fused == nullptr) return nullptr;
  const std::lock_guard lock(mutex_);
  auto& faulty = fused_[inner_fused];
  if (!faulty) faulty = std::make_unique<FaultyFused>(*inner_fused, plan_);
  return faulty.get();
}

Result<std::vector<Lookup>> FaultyKeyStore::get(const GetRecords& request) {
  return with_faults(*plan_, "get", [&] { return inner()->get(request); });
}
void FaultyKeyStore::get_async(const GetRecords& request, GetDone done) {
  const auto fault = plan_->next("get_async");
  if (!fault) return inner()->get_async(request, std::move(done));
  switch (fault->kind) {
    case FaultKind::kFail:
      return done(error_of(*fault));
    case FaultKind::kLoseReply:
      return inner()->get_async(request, [done, error = error_of(*fault)](const auto&) { done(error); });
    case FaultKind::kStall:
      fault->gate->pass();
      return inner()->get_async(request, std::move(done));
    case FaultKind::kStallReply:
      return inner()->get_async(request, [done, gate = fault->gate](auto answer) {
        gate->pass();
        done(std::move(answer));
      });
    case FaultKind::kTwice:
      // Reading twice in a row: the first answer is dropped when the second one is on its way.
      inner()->get_async(request, [](const auto&) {});
      return inner()->get_async(request, std::move(done));
  }
}
Result<Lookup> FaultyKeyStore::get_by_id(const GetById& request) {
  return with_faults(*plan_, "get_by_id", [&] { return inner()->get_by_id(request); });
}
Result<SummaryPage> FaultyKeyStore::scan(const ScanRecords& request) {
  return with_faults(*plan_, "scan", [&] { return inner()->scan(request); });
}
Result<ChangeBatch> FaultyKeyStore::changes(const ReadChanges& request) {
  return with_faults(*plan_, "changes", [&] { return inner()->changes(request); });
}
Result<void> FaultyKeyStore::commit_cursor(std::string_view name, Position position, Deadline deadline) {
  return with_faults(*plan_, "commit_cursor", [&] { return inner()->commit_cursor(name, position, deadline); });
}
Result<std::vector<Result<bool>>> FaultyKeyStore::set_expiry(std::span<const SetExpiry> entries, Deadline deadline) {
  return with_faults(*plan_, "set_expiry", [&] { return inner()->set_expiry(entries, deadline); });
}
Result<Reclaimed> FaultyKeyStore::reclaim(const Reclaim& request) {
  return with_faults(*plan_, "reclaim", [&] { return inner()->reclaim(request); });
}
Result<std::vector<RangeDigest>> FaultyKeyStore::digest(const DigestRecords& request) {
  return with_faults(*plan_, "digest", [&] { return inner()->digest(request); });
}

Result<std::vector<Lookup>> FaultyKeyStore::get_by_ids(const GetByIds& request) {
  return with_faults(*plan_, "get_by_ids", [&] { return inner()->get_by_ids(request); });
}

// --- archive --------------------------------------------------------------------------------------------------------------------

FaultyArchive::FaultyArchive(std::shared_ptr<ArchiveBackend> inner, std::shared_ptr<FaultPlan> plan)
    : ForwardingArchive(std::move(inner)), plan_(std::move(plan)) {}
FaultyArchive::~FaultyArchive() = default;

Result<std::vector<Result<ArchiveWrite>>> FaultyArchive::write(const WriteArchive& request) {
  return with_faults(*plan_, "write", [&] { return inner()->write(request); });
}
Result<std::vector<Lookup>> FaultyArchive::get(const GetRecords& request) {
  return with_faults(*plan_, "get", [&] { return inner()->get(request); });
}
Result<Lookup> FaultyArchive::get_by_id(const GetById& request) {
  return with_faults(*plan_, "get_by_id", [&] { return inner()->get_by_id(request); });
}
Result<SummaryPage> FaultyArchive::scan(const ScanArchive& request) {
  return with_faults(*plan_, "scan", [&] { return inner()->scan(request); });
}
Result<std::vector<RangeDigest>> FaultyArchive::digest(const DigestArchive& request) {
  return with_faults(*plan_, "digest", [&] { return inner()->digest(request); });
}
Result<std::optional<ArchiveCheckpoint>> FaultyArchive::load_checkpoint() {
  return with_faults(*plan_, "load_checkpoint", [&] { return inner()->load_checkpoint(); });
}
Result<void> FaultyArchive::save_checkpoint(const ArchiveCheckpoint& checkpoint) {
  return with_faults(*plan_, "save_checkpoint", [&] { return inner()->save_checkpoint(checkpoint); });
}

}  // namespace setget::inline v0::testing
