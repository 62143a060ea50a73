#include "memory/queue_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "memory/checks.hpp"

namespace setget::inline v0::memory::detail {

namespace {

// Releases that a message remembers; the oldest go first.
constexpr std::size_t kMaxHistory = 32;

Error lease_lost() { return Error(ErrorCode::kLeaseLost, "the receipt no longer holds its message"); }

std::string make_receipt(const std::string& message_id, std::uint64_t token) { return fmt::format("{}~{}", message_id, token); }

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<void> check_settlement(const Settlement& settlement) {
  if (settlement.action == SettleAction::kAck) {
    switch (settlement.outcome) {
      case Outcome::kApplied:
      case Outcome::kDuplicate:
      case Outcome::kStale:
      case Outcome::kExpired:
        return {};
      default:
        return Error(ErrorCode::kInvalidArgument, fmt::format("an ack cannot have the outcome {}", to_string(settlement.outcome)))
            .at_field("outcome");
    }
  }
  const bool timed = settlement.action == SettleAction::kRelease || settlement.action == SettleAction::kExtend;
  return timed ? check_length("delay", settlement.delay, Milliseconds(0)) : Result<void>();
}

}  // namespace

std::optional<ParsedMessageId> parse_message_id(std::string_view message_id) {
  const auto split = message_id.find('~');
  if (split == std::string_view::npos) return std::nullopt;
  const auto number = parse_number(message_id.substr(split + 1));
  if (!number) return std::nullopt;
  return ParsedMessageId{message_id.substr(0, split), *number};
}

std::size_t QueuedMessage::bytes() const noexcept {
  std::size_t total = body.size();
  for (const auto& [name, value] : attributes) total += name.size() + value.data.size();
  return total;
}

QueueState::~QueueState() {
  for (const auto& [number, message] : messages_) budget_->used -= message.bytes();
}

std::string QueueState::message_id(MessageNumber number) const { return fmt::format("{}~{}", info_.name, number); }

// --- states of an unfinished message --------------------------------------------------------------------------------------------

void QueueState::enter(QueuedMessage& message, TimePoint visible_at, TimePoint now) {
  if (!message.group_name.empty() && info_.options.kind == QueueKind::kFifo) message.group = &groups_[message.group_name];
  unfinished_.emplace(message.stamp, &message);
  release(message, visible_at, now);
}

// Into the queue without a lease: waiting, or delayed first.
void QueueState::release(QueuedMessage& message, TimePoint visible_at, TimePoint now) {
  retained_.emplace(message.retained_since, message.stamp, &message);
  if (message.group != nullptr) message.group->waiting.emplace(message.stamp, &message);
  message.visible_at = visible_at;
  if (visible_at <= now) return make_waiting(message);
  message.state = State::kDelayed;
  timed_.emplace(visible_at, message.stamp, &message);
  ++delayed_;
  if (message.group != nullptr) offer_head(*message.group);
}

void QueueState::make_waiting(QueuedMessage& message) {
  message.state = State::kWaiting;
  if (message.group != nullptr) {
    offer_head(*message.group);
  } else {
    offered_.emplace(message.stamp, &message);
  }
}

void QueueState::withdraw(Group& group) {
  if (group.offered == nullptr) return;
  offered_.erase(group.offered->stamp);
  group.offered = nullptr;
}

void QueueState::offer_head(Group& group) {
  withdraw(group);
  if (group.leased.empty()) offer_next(group);
}

void QueueState::offer_next(Group& group) {
  if (group.waiting.empty()) return;
  auto* next = group.waiting.begin()->second;
  if (next->state != State::kWaiting) return;
  group.offered = next;
  offered_.emplace(next->stamp, next);
}

void QueueState::lease(QueuedMessage& message, TimePoint until, std::uint64_t token) {
  retained_.erase({message.retained_since, message.stamp, &message});
  message.state = State::kLeased;
  message.visible_at = until;
  message.token = token;
  ++message.receives;
  ++in_flight_;
  timed_.emplace(until, message.stamp, &message);
  if (message.group == nullptr) {
    offered_.erase(message.stamp);
  } else {
    withdraw(*message.group);
    message.group->waiting.erase(message.stamp);
    message.group->leased.emplace(message.stamp, &message);
  }
}

void QueueState::end_lease(QueuedMessage& message) {
  timed_.erase({message.visible_at, message.stamp, &message});
  --in_flight_;
  if (message.group != nullptr) message.group->leased.erase(message.stamp);
}

void QueueState::give_back(QueuedMessage& message, TimePoint visible_at, TimePoint now) {
  end_lease(message);
  std::vector<QueuedMessage*> later;
  if (message.group != nullptr) {
    for (auto at = message.group->leased.upper_bound(message.stamp); at != message.group->leased.end(); ++at) later.push_back(at->second);
  }
  for (auto* other : later) end_lease(*other);
  for (auto* other : later) release(*other, now, now);
  release(message, visible_at, now);
}

void QueueState::reschedule(QueuedMessage& message, TimePoint visible_at) {
  timed_.erase({message.visible_at, message.stamp, &message});
  message.visible_at = visible_at;
  timed_.emplace(visible_at, message.stamp, &message);
}

// Out of everything that unfinished messages are in.
void QueueState::leave(QueuedMessage& message) {
  if (message.state == State::kLeased) {
    end_lease(message);
  } else {
    retained_.erase({message.retained_since, message.stamp, &message});
    if (message.state == State::kDelayed) {
      timed_.erase({message.visible_at, message.stamp, &message});
      --delayed_;
    }
    if (message.group == nullptr) {
      offered_.erase(message.stamp);
    } else {
      withdraw(*message.group);
      message.group->waiting.erase(message.stamp);
    }
  }
  unfinished_.erase(message.stamp);
  if (auto* group = std::exchange(message.group, nullptr)) {
    offer_head(*group);
    if (group->empty()) groups_.erase(message.group_name);
  }
}

void QueueState::finish(QueuedMessage& message, Outcome outcome, std::vector<Reason> reasons, TimePoint now) {
  leave(message);
  const auto number = message.number;
  record_outcome(number, {message.stamp, outcome, message.receives, now, std::move(reasons)});
  budget_->used -= message.bytes();
  messages_.erase(number);
}

void QueueState::record_outcome(MessageNumber number, FinishedMessage finished) {
  ++outcomes_[static_cast<std::size_t>(finished.outcome)];
  forgettable_.emplace(finished.finished_at, number);
  finished_.insert_or_assign(number, std::move(finished));
  notify_watchers(number);
}

void QueueState::notify_watchers(MessageNumber number) {
  const auto [first, last] = watchers.equal_range(number);
  for (auto watcher = first; watcher != last; ++watcher) watcher->second->notify_all();
}

void QueueState::close() {
  closed_ = true;
  arrivals.notify_all();
  for (const auto& [number, watcher] : watchers) watcher->notify_all();
}

void QueueState::advance(TimePoint now) {
  while (!timed_.empty() && std::get<TimePoint>(*timed_.begin()) <= now) {
    auto& message = *std::get<QueuedMessage*>(*timed_.begin());
    if (message.state == State::kLeased) {
      give_back(message, now, now);
    } else {
      timed_.erase(timed_.begin());
      --delayed_;
      make_waiting(message);
    }
  }
}

std::optional<TimePoint> QueueState::next_event() const {
  if (timed_.empty()) return std::nullopt;
  return std::get<TimePoint>(*timed_.begin());
}

// --- sending --------------------------------------------------------------------------------------------------------------------

std::optional<SentMessage> QueueState::find_duplicate(std::string_view dedup_id, TimePoint now) const {
  if (dedup_id.empty() || info_.options.dedup_window == Milliseconds(0)) return std::nullopt;
  const auto found = dedup_.find(dedup_id);
  if (found == dedup_.end() || found->second.until <= now) return std::nullopt;
  return SentMessage{.message_id = message_id(found->second.number), .stamp = found->second.stamp, .deduplicated = true};
}

SentMessage QueueState::accept(const OutgoingMessage& message, Stamp stamp, TimePoint now) {
  auto& accepted = messages_[stamp];
  accepted.number = stamp;
  accepted.stamp = stamp;
  accepted.body = message.body;
  accepted.attributes = message.attributes;
  accepted.group_name = message.group;
  accepted.sent_at = now;
  accepted.retained_since = now;
  budget_->used += accepted.bytes();
  ++accepted_;
  enter(accepted, now + message.delay.value_or(info_.options.delay), now);
  if (!message.dedup_id.empty() && info_.options.dedup_window > Milliseconds(0)) {
    const auto until = now + info_.options.dedup_window;
    dedup_.insert_or_assign(message.dedup_id, Remembered{stamp, stamp, until});
    dedup_ends_.emplace(until, message.dedup_id);
  }
  return {.message_id = message_id(stamp), .stamp = stamp, .deduplicated = false};
}

// --- receiving and settling -----------------------------------------------------------------------------------------------------

bool QueueState::bury_if_hopeless(QueuedMessage& message, TimePoint now) {
  const auto& options = info_.options;
  if (message.retained_since + options.retention <= now) {
    bury(message, {{.code = "retention", .message = fmt::format("not finished within {} ms", options.retention.count()), .pointer = {}}},
         now);
    return true;
  }
  if (options.max_receives != 0 && message.receives >= options.max_receives) {
    bury(message,
         {{.code = "max_receives", .message = fmt::format("received {} times and never finished", message.receives), .pointer = {}}}, now);
    return true;
  }
  return false;
}

std::vector<Message> QueueState::take(const ReceiveMessages& request, TimePoint now, std::uint64_t& next_token) {
  std::vector<Message> taken;
  std::vector<Group*> opened;
  std::size_t bytes = 0;
  const auto until = now + request.visibility_timeout.value_or(info_.options.visibility_timeout);
  while (taken.size() < request.max_messages && in_flight_ < info_.options.max_in_flight && !offered_.empty()) {
    auto& message = *offered_.begin()->second;
    // Offered although the group has leased messages: they are of this batch.
    auto* opened_group = message.group != nullptr && !message.group->leased.empty() ? message.group : nullptr;
    if (bury_if_hopeless(message, now)) {
      if (opened_group != nullptr) offer_next(*opened_group);
      continue;
    }
    bytes += message.body.size();
    if (bytes > request.max_bytes && !taken.empty()) break;
    lease(message, until, next_token++);
    taken.push_back(show(message));
    taken.back().receipt = make_receipt(taken.back().message_id, message.token);
    if (message.group == nullptr) continue;
    // The rest of the group may join this batch, and only this one: its next message is offered until the batch is closed.
    opened.push_back(message.group);
    offer_next(*message.group);
  }
  for (auto* group : opened) withdraw(*group);
  return taken;
}

QueuedMessage* QueueState::held_by(std::string_view receipt) {
  const auto split = receipt.rfind('~');
  if (split == std::string_view::npos) return nullptr;
  const auto token = parse_number(receipt.substr(split + 1));
  const auto id = parse_message_id(receipt.substr(0, split));
  if (!token || !id || id->queue != info_.name) return nullptr;
  const auto found = messages_.find(id->number);
  if (found == messages_.end() || found->second.state != State::kLeased || found->second.token != *token) return nullptr;
  return &found->second;
}

Result<void> QueueState::settle(const Settlement& settlement, TimePoint now) {
  if (auto valid = check_settlement(settlement); !valid) return valid;
  auto* message = held_by(settlement.receipt);
  if (message == nullptr) return lease_lost();
  switch (settlement.action) {
    case SettleAction::kAck:
      finish(*message, settlement.outcome, settlement.reasons, now);
      return {};
    case SettleAction::kDeadLetter:
      bury(*message, settlement.reasons, now);
      return {};
    case SettleAction::kExtend:
      reschedule(*message, now + settlement.delay);
      return {};
    case SettleAction::kRelease:
      break;
  }
  if (settlement.uncounted && message->receives > 0) --message->receives;
  auto& history = message->history;
  history.insert(history.end(), settlement.reasons.begin(), settlement.reasons.end());
  if (history.size() > kMaxHistory) history.erase(history.begin(), history.end() - static_cast<std::ptrdiff_t>(kMaxHistory));
  give_back(*message, now + settlement.delay, now);
  return {};
}

// --- looking --------------------------------------------------------------------------------------------------------------------

Message QueueState::show(const QueuedMessage& message) const {
  return {.message_id = message_id(message.number),
          .receipt = {},
          .body = message.body,
          .attributes = message.attributes,
          .group = message.group_name,
          .stamp = message.stamp,
          .sent_at = message.sent_at,
          .receive_count = message.receives,
          .visible_at = message.visible_at};
}

std::vector<Message> QueueState::peek(std::size_t limit) const {
  std::vector<Message> shown;
  for (auto at = unfinished_.begin(); at != unfinished_.end() && shown.size() < limit; ++at) shown.push_back(show(*at->second));
  return shown;
}

std::optional<MessageStatus> QueueState::find(MessageNumber number) const {
  if (const auto kept = messages_.find(number); kept != messages_.end()) {
    const auto& message = kept->second;
    const bool dead = message.state == State::kDead;
    return MessageStatus{.message_id = message_id(number),
                         .stamp = message.stamp,
                         .outcome = dead ? Outcome::kDeadLettered : Outcome::kPending,
                         .reasons = message.reasons,
                         .receive_count = message.receives,
                         .body = message.body};
  }
  if (const auto finished = finished_.find(number); finished != finished_.end()) {
    const auto& [stamp, outcome, receives, at, reasons] = finished->second;
    return MessageStatus{
        .message_id = message_id(number), .stamp = stamp, .outcome = outcome, .reasons = reasons, .receive_count = receives, .body = {}};
  }
  return std::nullopt;
}

std::optional<Stamp> QueueState::oldest_unfinished() const {
  if (unfinished_.empty()) return std::nullopt;
  return unfinished_.begin()->first;
}

QueueStats QueueState::stats(TimePoint now) const {
  QueueStats stats;
  stats.depth = unfinished_.size() - in_flight_ - delayed_;
  stats.in_flight = in_flight_;
  stats.delayed = delayed_;
  stats.dead_letters = dead_.size();
  if (!unfinished_.empty()) {
    stats.oldest_age = std::max(now - unfinished_.begin()->second->sent_at, Milliseconds(0));
  }
  stats.accepted = accepted_;
  std::copy(std::begin(outcomes_), std::end(outcomes_), std::begin(stats.outcomes));
  return stats;
}

// --- housekeeping ---------------------------------------------------------------------------------------------------------------

std::size_t QueueState::maintain(std::size_t max_steps, TimePoint now) {
  std::size_t steps = 0;
  while (steps < max_steps && !retained_.empty() && std::get<TimePoint>(*retained_.begin()) + info_.options.retention <= now) {
    bury_if_hopeless(*std::get<QueuedMessage*>(*retained_.begin()), now);
    ++steps;
  }
  while (steps < max_steps && forget_one(now)) ++steps;
  return steps;
}

bool QueueState::forget_one(TimePoint now) {
  if (!forgettable_.empty() && forgettable_.begin()->first + info_.options.outcome_retention <= now) {
    finished_.erase(forgettable_.begin()->second);
    forgettable_.erase(forgettable_.begin());
    return true;
  }
  if (!dedup_ends_.empty() && dedup_ends_.begin()->first <= now) {
    // The id may have been remembered anew since.
    const auto found = dedup_.find(dedup_ends_.begin()->second);
    if (found != dedup_.end() && found->second.until == dedup_ends_.begin()->first) dedup_.erase(found);
    dedup_ends_.erase(dedup_ends_.begin());
    return true;
  }
  return false;
}

}  // namespace setget::inline v0::memory::detail
