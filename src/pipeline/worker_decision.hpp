// What a worker decides, without I/O: a message becomes an entry for the store, or it is tried again, or it is a dead letter; and what the
// store answered becomes a settlement. Thread rule: pure; host callbacks (validator, transform) run inside decide() and are caught there.
#pragma once

#include <string>
#include <vector>

#include <setget/worker.hpp>

namespace setget::inline v0::detail {

enum class Verdict : std::uint8_t {
  kApply,       // `entry` goes to the store
  kRetry,       // release it with a backoff
  kDeadLetter,  // no later try can succeed
};

struct Decision {
  Verdict verdict = Verdict::kApply;
  ApplyEntry entry;
  std::vector<Reason> reasons;
  bool to_blame = true;  // kRetry: false where the message has nothing to do with the failure, so the receive should not count
};

// Messages of a batch mostly belong to few flows: what a flow says is looked up when it changes.
class FlowMemory {
 public:
  explicit FlowMemory(const TtlPolicy& policy) : flows_(policy.flows()) {}
  bool listed(const std::string& account, const std::string& flow) { return look(account, flow), listed_; }
  bool history(const std::string& account, const std::string& flow) { return look(account, flow), history_; }
  const PayloadSchema* schema(const std::string& account, const std::string& flow) { return look(account, flow), schema_; }

 private:
  void look(const std::string& account, const std::string& flow);
  std::shared_ptr<const Flows> flows_;
  bool known_ = false;
  bool listed_ = false;
  const PayloadSchema* schema_ = nullptr;
  bool history_ = false;
  std::string account_;
  std::string flow_;
};

struct DecisionContext {
  const TtlPolicy& policy;
  const Validator& validator;
  const Transform& transform;  // empty: none
  TimePoint now;
  std::size_t max_reasons = 32;  // of what a schema finds
};

// decode, transform, validate, resolve the life. The body passes through untouched unless there is a transform.
Decision decide(const Message& message, const DecisionContext& context, FlowMemory& memory);

// What follows from an error of the store for one message.
Decision judge(const Error& error);

// What follows from the store's answer: an ack with its outcome, or a dead letter with its reasons.
Settlement settlement_of(std::string receipt, ApplyResult&& result);

// An error as a reason that a dead letter or a history keeps.
Reason reason_of(const Error& error, std::string_view code);

}  // namespace setget::inline v0::detail
