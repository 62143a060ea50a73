#include <fmt/format.h>

#include <array>

#include <setget/queue.hpp>

#include "core/check_length.hpp"

namespace setget::inline v0 {

QueueBackend::~QueueBackend() = default;

std::string_view to_string(Durability durability) noexcept {
  switch (durability) {
    case Durability::kMemory:
      return "memory";
    case Durability::kReplica:
      return "replica";
    case Durability::kDisk:
      return "disk";
  }
  return "unknown";
}

std::string_view to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::kPending:
      return "pending";
    case Outcome::kApplied:
      return "applied";
    case Outcome::kDuplicate:
      return "duplicate";
    case Outcome::kStale:
      return "stale";
    case Outcome::kExpired:
      return "expired";
    case Outcome::kDeadLettered:
      return "dead-lettered";
    case Outcome::kPurged:
      return "purged";
  }
  return "unknown";
}

Result<void> QueueOptions::validate() const {
  const auto bad = [](std::string_view field, std::string_view rule) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("queue option {} must be {}", field, rule)).at_field(std::string(field));
  };
  constexpr auto kLongest = detail::kLongestLength;
  if (visibility_timeout <= Milliseconds(0) || visibility_timeout > kLongest) return bad("visibility_timeout", "in (0, 10 years]");
  if (delay < Milliseconds(0) || delay > kLongest) return bad("delay", "in [0, 10 years]");
  if (retention <= Milliseconds(0) || retention > kLongest) return bad("retention", "in (0, 10 years]");
  if (dedup_window < Milliseconds(0) || dedup_window > kLongest) return bad("dedup_window", "in [0, 10 years]");
  if (outcome_retention < Milliseconds(0) || outcome_retention > kLongest) return bad("outcome_retention", "in [0, 10 years]");
  if (max_in_flight == 0) return bad("max_in_flight", "> 0");
  if (max_message_bytes == 0) return bad("max_message_bytes", "> 0");
  return {};
}

Result<Queue> Queue::open(std::shared_ptr<QueueBackend> backend, std::string name, const QueueOptions& options, Deadline deadline) {
  auto made = backend->create({.name = name, .options = options, .deadline = deadline});
  if (!made) return std::move(made).error();
  return Queue(std::move(backend), std::move(name));
}

Result<std::vector<Result<SentMessage>>> Queue::send(std::span<const OutgoingMessage> messages, Deadline deadline) {
  return backend_->send({.queue = name_, .messages = messages, .deadline = deadline});
}

Result<SentMessage> Queue::send(const OutgoingMessage& message, Deadline deadline) {
  auto sent = send(std::span(&message, 1), deadline);
  if (!sent) return std::move(sent).error();
  return std::move(sent->front());
}

Result<std::vector<Message>> Queue::receive(std::size_t max_messages, Deadline wait, std::optional<Deadline> deadline) {
  return backend_->receive({.queue = name_, .max_messages = max_messages, .visibility_timeout = {}, .wait = wait, .deadline = deadline});
}

Result<void> Queue::settle_one(Settlement settlement, Deadline deadline) {
  auto settled = backend_->settle({.queue = name_, .settlements = std::span(&settlement, 1), .deadline = deadline});
  if (!settled) return std::move(settled).error();
  return std::move(settled->front());
}

Result<void> Queue::ack(const Message& message, Outcome outcome, Deadline deadline) {
  return settle_one({.receipt = message.receipt, .action = SettleAction::kAck, .outcome = outcome, .reasons = {}}, deadline);
}

Result<void> Queue::release(const Message& message, Milliseconds delay, std::vector<Reason> reasons, Deadline deadline) {
  return settle_one({.receipt = message.receipt, .action = SettleAction::kRelease, .delay = delay, .reasons = std::move(reasons)},
                    deadline);
}

Result<void> Queue::extend(const Message& message, Milliseconds visibility_timeout, Deadline deadline) {
  return settle_one({.receipt = message.receipt, .action = SettleAction::kExtend, .delay = visibility_timeout, .reasons = {}}, deadline);
}

Result<void> Queue::dead_letter(const Message& message, std::vector<Reason> reasons, Deadline deadline) {
  return settle_one({.receipt = message.receipt, .action = SettleAction::kDeadLetter, .reasons = std::move(reasons)}, deadline);
}

Result<QueueStats> Queue::stats(Deadline deadline) { return backend_->stats(name_, deadline); }

}  // namespace setget::inline v0
