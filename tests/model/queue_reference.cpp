#include "model/queue_reference.hpp"

#include <algorithm>
#include <numeric>

namespace setget_tests {

using setget::QueueKind;
using setget::SettleAction;

void QueueReference::sent(const setget::SentMessage& sent, std::string body, std::string group, Milliseconds delay, TimePoint now) {
  ReferenceMessage message;
  message.message_id = sent.message_id;
  message.stamp = sent.stamp;
  message.body = std::move(body);
  message.group = std::move(group);
  message.sent_at = now;
  message.visible_at = now + delay;
  messages_.push_back(std::move(message));
}

std::vector<std::size_t> QueueReference::by_stamp() const {
  std::vector<std::size_t> order(messages_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [this](auto a, auto b) { return messages_[a].stamp < messages_[b].stamp; });
  return order;
}

void QueueReference::lapse(TimePoint now) {
  for (auto& message : messages_) {
    if (message.outcome != Outcome::kPending || !message.leased || message.visible_at > now) continue;
    message.leased = false;
    release_later(message, now);
  }
}

void QueueReference::release_later(const ReferenceMessage& message, TimePoint now) {
  if (options_.kind != QueueKind::kFifo || message.group.empty()) return;
  for (auto& later : messages_) {
    if (later.outcome != Outcome::kPending || later.group != message.group || later.stamp <= message.stamp || !later.leased) continue;
    later.leased = false;
    later.visible_at = now;
  }
}

std::vector<std::size_t> QueueReference::receive(std::size_t max_messages, TimePoint now) {
  const bool fifo = options_.kind == QueueKind::kFifo;
  std::set<std::string> blocked;
  for (const auto& message : messages_) {
    if (fifo && !message.group.empty() && message.outcome == Outcome::kPending && holds_lease(message, now)) blocked.insert(message.group);
  }
  std::vector<std::size_t> out;
  for (const auto index : by_stamp()) {
    if (out.size() == max_messages) break;
    auto& message = messages_[index];
    if (message.outcome != Outcome::kPending || (fifo && blocked.contains(message.group) && !message.group.empty())) continue;
    if (message.visible_at > now) {  // delayed or leased: those behind it in its group wait too
      if (fifo && !message.group.empty()) blocked.insert(message.group);
      continue;
    }
    message.leased = false;
    if (old(message, now) || poison(message)) {
      buried(index, now);
      continue;
    }
    out.push_back(index);
  }
  return out;
}

std::vector<std::size_t> QueueReference::doomed(TimePoint now) const {
  std::vector<std::size_t> out;
  for (const auto index : by_stamp()) {
    const auto& message = messages_[index];
    if (message.outcome == Outcome::kPending && message.visible_at <= now && (old(message, now) || poison(message))) out.push_back(index);
  }
  return out;
}

void QueueReference::buried(std::size_t index, TimePoint now) {
  auto& message = messages_[index];
  message.outcome = Outcome::kDeadLettered;
  message.code = !old(message, now) ? "max_receives" : !poison(message) ? "retention" : "max_receives or retention";
  message.dead_at = now;
}

void QueueReference::leased(std::size_t index, const std::string& receipt, TimePoint until) {
  auto& message = messages_[index];
  message.leased = true;
  message.receipt = receipt;
  message.visible_at = until;
  ++message.receives;
}

bool QueueReference::settle(const setget::Settlement& settlement, TimePoint now) {
  const auto found = std::find_if(messages_.begin(), messages_.end(), [&](const auto& message) {
    return message.outcome == Outcome::kPending && message.receipt == settlement.receipt && holds_lease(message, now);
  });
  if (found == messages_.end()) return false;
  auto& message = *found;
  switch (settlement.action) {
    case SettleAction::kExtend:
      message.visible_at = now + settlement.delay;
      return true;
    case SettleAction::kAck:
      message.outcome = settlement.outcome;
      break;
    case SettleAction::kDeadLetter:
      message.outcome = Outcome::kDeadLettered;
      message.code = settlement.reasons.empty() ? "" : settlement.reasons.front().code;
      message.dead_at = now;
      break;
    case SettleAction::kRelease:
      if (settlement.uncounted) --message.receives;
      message.visible_at = now + settlement.delay;
      release_later(message, now);
      break;
  }
  message.leased = false;
  return true;
}

std::size_t QueueReference::redrive(std::size_t limit, bool restamp, TimePoint now) {
  std::size_t moved = 0;
  for (const auto index : by_stamp()) {
    auto& message = messages_[index];
    if (message.outcome != Outcome::kDeadLettered || moved == limit) continue;
    message.outcome = Outcome::kPending;
    message.receives = 0;
    message.leased = false;
    message.visible_at = now;
    message.sent_at = now;           // its retention starts anew, or it would be dead again at once
    if (restamp) message.stamp = 0;  // until restamped() says more
    ++moved;
  }
  return moved;
}

void QueueReference::restamped(const std::map<std::string, Stamp>& stamps) {
  for (auto& message : messages_) {
    if (message.stamp == 0) message.stamp = stamps.at(message.body);
  }
}

std::size_t QueueReference::purge(std::size_t limit) {
  std::size_t purged = 0;
  for (const auto index : by_stamp()) {
    auto& message = messages_[index];
    if (message.outcome != Outcome::kDeadLettered || purged == limit) continue;
    message.outcome = Outcome::kPurged;
    ++purged;
  }
  return purged;
}

QueueReference::Counts QueueReference::counts(TimePoint now) const {
  Counts out;
  for (const auto& message : messages_) {
    if (message.outcome != Outcome::kPending) {
      ++out.outcomes[static_cast<std::size_t>(message.outcome)];
    } else if (holds_lease(message, now)) {
      ++out.in_flight;
    } else {
      ++(message.visible_at > now ? out.delayed : out.depth);
    }
  }
  return out;
}

std::vector<const ReferenceMessage*> QueueReference::unfinished() const {
  std::vector<const ReferenceMessage*> out;
  for (const auto index : by_stamp()) {
    if (messages_[index].outcome == Outcome::kPending) out.push_back(&messages_[index]);
  }
  return out;
}

std::vector<const ReferenceMessage*> QueueReference::dead() const {
  std::vector<const ReferenceMessage*> out;
  for (const auto index : by_stamp()) {
    if (messages_[index].outcome == Outcome::kDeadLettered) out.push_back(&messages_[index]);
  }
  return out;
}

std::optional<Stamp> QueueReference::oldest_unfinished() const {
  const auto all = unfinished();
  return all.empty() ? std::optional<Stamp>() : all.front()->stamp;
}

}  // namespace setget_tests
