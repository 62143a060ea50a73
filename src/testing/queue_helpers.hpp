// What the queue suites share.
#pragma once

#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "testing/trial.hpp"

namespace setget::inline v0::testing::detail {

inline OutgoingMessage outgoing(std::string body, std::string group = {}) {
  OutgoingMessage message;
  message.body = Payload(std::move(body));
  message.group = std::move(group);
  return message;
}

inline SentMessage send(Queue& queue, std::string body, std::string group = {}) {
  return queue.send(outgoing(std::move(body), std::move(group))).value();
}

inline std::vector<std::string> bodies(const std::vector<Message>& messages) {
  std::vector<std::string> out;
  for (const auto& message : messages) out.push_back(message.body.str());
  return out;
}

inline std::vector<Message> receive(Queue& queue, std::size_t max_messages = 10) { return queue.receive(max_messages).value(); }
inline std::vector<std::string> receive_bodies(Queue& queue, std::size_t max_messages = 10) { return bodies(receive(queue, max_messages)); }

using Bodies = std::vector<std::string>;

// Settles one message and gives the code of the refusal; empty where it was accepted.
inline std::optional<ErrorCode> refusal(const Result<void>& result) {
  if (result) return std::nullopt;
  return result.error().code();
}

inline std::uint64_t count(const QueueStats& stats, Outcome outcome) { return stats.outcomes[static_cast<std::size_t>(outcome)]; }

inline MessageStatus find(Trial& t, std::string_view message_id) { return t.queues().find({.message_id = message_id}).value(); }

// What follows expects nothing of what the queue does not keep.

// The ledger: whatever was accepted is finished, ready, leased or waiting.
inline void expect_ledger_adds_up(Queue& queue) {
  const auto can = queue.backend()->capabilities();
  if (!can.ledger) return;
  const auto stats = queue.stats().value();
  std::uint64_t finished = 0;
  for (std::size_t i = 0; i < kOutcomeCount; ++i) {
    if (static_cast<Outcome>(i) != Outcome::kPending) finished += stats.outcomes[i];
  }
  EXPECT_EQ(stats.accepted, finished + stats.depth + stats.in_flight + stats.delayed)
      << "finished " << finished << ", depth " << stats.depth << ", in flight " << stats.in_flight << ", delayed " << stats.delayed;
  if (can.dead_letters) {
    EXPECT_EQ(stats.dead_letters, count(stats, Outcome::kDeadLettered));
  }
}

inline void expect_accepted(Queue& queue, std::uint64_t messages) {
  if (queue.backend()->capabilities().ledger) {
    EXPECT_EQ(queue.stats().value().accepted, messages);
  }
}

inline void expect_count(Queue& queue, Outcome outcome, std::uint64_t messages) {
  if (queue.backend()->capabilities().ledger) {
    EXPECT_EQ(count(queue.stats().value(), outcome), messages) << to_string(outcome);
  }
}

inline void expect_outcome(Trial& t, std::string_view message_id, Outcome outcome) {
  if (t.has(&Deviations::ledger)) {
    EXPECT_EQ(find(t, message_id).outcome, outcome);
  }
}

inline void expect_dead_letters(Queue& queue, std::uint64_t letters) {
  if (queue.backend()->capabilities().dead_letters) {
    EXPECT_EQ(queue.stats().value().dead_letters, letters);
  }
}

}  // namespace setget::inline v0::testing::detail
