// The dead letters of one queue: how messages get there, are looked at, and leave again.
#include <algorithm>
#include <charconv>

#include "memory/queue_state.hpp"

namespace setget::inline v0::memory::detail {

namespace {

bool matches(const DeadLetterFilter& filter, const QueuedMessage& letter) {
  if (filter.dead_before && letter.dead_at >= *filter.dead_before) return false;
  if (filter.dead_after && letter.dead_at <= *filter.dead_after) return false;
  const auto has_code = [&](const Reason& reason) { return reason.code == filter.reason_code; };
  return filter.reason_code.empty() || std::any_of(letter.reasons.begin(), letter.reasons.end(), has_code);
}

}  // namespace

void QueueState::bury(QueuedMessage& message, std::vector<Reason> reasons, TimePoint now) {
  leave(message);
  message.state = State::kDead;
  message.reasons = std::move(reasons);
  message.dead_at = now;
  dead_.emplace(message.stamp, &message);
  ++outcomes_[static_cast<std::size_t>(Outcome::kDeadLettered)];
  notify_watchers(message.number);
}

void QueueState::revive(QueuedMessage& letter, Stamp stamp, TimePoint now) {
  dead_.erase(letter.stamp);
  --outcomes_[static_cast<std::size_t>(Outcome::kDeadLettered)];
  if (stamp != letter.stamp) letter.sent_at = now;  // a fresh stamp is a fresh acceptance
  letter.stamp = stamp;
  letter.receives = 0;
  letter.retained_since = now;  // else retention would bury it again at once
  letter.history.clear();
  letter.reasons.clear();
  enter(letter, now, now);
}

std::vector<QueuedMessage*> QueueState::choose_dead(const DeadLetterFilter& filter, std::size_t limit) const {
  std::vector<QueuedMessage*> chosen;
  if (filter.message_ids.empty()) {
    for (auto at = dead_.begin(); at != dead_.end() && chosen.size() < limit; ++at) {
      if (matches(filter, *at->second)) chosen.push_back(at->second);
    }
    return chosen;
  }
  std::map<Stamp, QueuedMessage*> named;
  for (const auto& id : filter.message_ids) {
    const auto parsed = parse_message_id(id);
    if (!parsed || parsed->queue != info_.name) continue;
    const auto found = messages_.find(parsed->number);
    if (found == messages_.end() || found->second.state != State::kDead || !matches(filter, found->second)) continue;
    named.emplace(found->second.stamp, dead_.at(found->second.stamp));
  }
  for (auto at = named.begin(); at != named.end() && chosen.size() < limit; ++at) chosen.push_back(at->second);
  return chosen;
}

std::size_t QueueState::purge(const PurgeDeadLetters& request, TimePoint now) {
  const auto chosen = choose_dead(request.filter, request.limit);
  for (auto* letter : chosen) {
    dead_.erase(letter->stamp);
    --outcomes_[static_cast<std::size_t>(Outcome::kDeadLettered)];
    const auto number = letter->number;
    record_outcome(number, {letter->stamp, Outcome::kPurged, letter->receives, now, std::move(letter->reasons)});
    budget_->used -= letter->bytes();
    messages_.erase(number);
  }
  return chosen.size();
}

Result<DeadLetterPage> QueueState::dead_letters(const ListDeadLetters& request) const {
  // The cursor is the stamp of the last letter of the page before, in decimal.
  Stamp after = 0;
  if (!request.cursor.empty()) {
    const auto* end = request.cursor.data() + request.cursor.size();
    const auto [stop, problem] = std::from_chars(request.cursor.data(), end, after);
    if (problem != std::errc() || stop != end) return Error(ErrorCode::kInvalidArgument, "not a cursor of dead letters").at_field("cursor");
  }
  const auto named = [&](const QueuedMessage& letter) {
    const auto& ids = request.filter.message_ids;
    return ids.empty() || std::find(ids.begin(), ids.end(), message_id(letter.number)) != ids.end();
  };
  DeadLetterPage page;
  for (auto at = dead_.upper_bound(after); at != dead_.end(); ++at) {
    const auto& letter = *at->second;
    if (!matches(request.filter, letter) || !named(letter)) continue;
    if (page.letters.size() == request.limit) {
      page.next = std::to_string(page.letters.back().stamp);
      break;
    }
    page.letters.push_back({.message_id = message_id(letter.number),
                            .stamp = letter.stamp,
                            .body = letter.body,
                            .attributes = letter.attributes,
                            .group = letter.group_name,
                            .reasons = letter.reasons,
                            .history = letter.history,
                            .receive_count = letter.receives,
                            .sent_at = letter.sent_at,
                            .dead_at = letter.dead_at});
  }
  return page;
}

}  // namespace setget::inline v0::memory::detail
