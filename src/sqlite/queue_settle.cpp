#include <algorithm>

#include "core/check_length.hpp"
#include "sqlite/queue.hpp"

namespace setget::inline v0::sqlite {

namespace {

Error lease_lost() { return Error(ErrorCode::kLeaseLost, "the receipt no longer holds its message"); }

Result<void> check_settlement(const Settlement& settlement) {
  if (settlement.action == SettleAction::kAck) {
    const auto outcome = settlement.outcome;
    if (outcome == Outcome::kPending || outcome == Outcome::kDeadLettered || outcome == Outcome::kPurged ||
        static_cast<std::size_t>(outcome) >= kOutcomeCount) {
      return Error(ErrorCode::kInvalidArgument, "an ack's outcome must be applied, duplicate, stale or expired").at_field("outcome");
    }
  }
  const bool timed = settlement.action == SettleAction::kRelease || settlement.action == SettleAction::kExtend;
  return timed ? detail::check_length("delay", settlement.delay, Milliseconds(0)) : Result<void>();
}

}  // namespace

// --- leases ---------------------------------------------------------------------------------------------------------------------

Leases::Lease& Leases::load(std::uint64_t token) {
  const auto [at, fresh] = leases_.try_emplace(token);
  auto& lease = at->second;
  if (!fresh) return lease;
  auto row = txn_.db().query("SELECT until, members FROM lease WHERE token=?1 AND queue=?2");
  if (row.with(token, queue_).step()) {
    lease.known = true;
    lease.until = row.integer(0);
    lease.members = decode_members(row.blob(1), lease.until);
    tell_groups_apart(lease.members);
  }
  return lease;
}

// Of a lease that an older version gave: its groups by their names instead of hashes.
void Leases::tell_groups_apart(std::vector<LeaseMember>& members) {
  std::map<std::string, Stamp> firsts;
  for (auto& member : members) {
    if (member.exact_group) continue;
    const auto group = find_group(txn_.db(), member.stamp);
    member.group = group ? firsts.try_emplace(*group, member.stamp).first->second : member.stamp;
    member.exact_group = true;
  }
}

LeaseMember* Leases::find(const Receipt& receipt) {
  if (receipt.queue != queue_) return nullptr;
  auto& members = load(receipt.token).members;
  const auto at = std::lower_bound(members.begin(), members.end(), receipt.stamp,
                                   [](const LeaseMember& member, Stamp stamp) { return member.stamp < stamp; });
  return at != members.end() && at->stamp == receipt.stamp ? &*at : nullptr;
}

std::optional<LeaseMember> Leases::take_ended(const Receipt& receipt) {
  const auto* found = find(receipt);
  if (found == nullptr) return std::nullopt;
  const auto member = *found;
  auto& lease = load(receipt.token);
  lease.members.erase(lease.members.begin() + (found - lease.members.data()));
  lease.edited = true;
  return member;
}

// A lease ends by the clock, not when somebody notices; and the end of an earlier message's lease ends those of its group's later ones, or
// they could be finished before it.
bool Leases::holds(const Receipt& receipt) {
  const auto* found = find(receipt);
  const auto now = txn_.now().time_since_epoch().count();
  if (found == nullptr || found->until <= now) return false;
  if (found->group == 0) return true;
  const auto& members = load(receipt.token).members;
  return std::none_of(members.begin(), members.end(), [&](const LeaseMember& member) {
    return member.group == found->group && member.stamp < found->stamp && member.until <= now;
  });
}

std::optional<LeaseMember> Leases::take(const Receipt& receipt) { return holds(receipt) ? take_ended(receipt) : std::nullopt; }

bool Leases::extend(const Receipt& receipt, std::int64_t until) {
  if (!holds(receipt)) return false;
  find(receipt)->until = until;
  load(receipt.token).edited = true;
  return true;
}

std::vector<LeaseMember> Leases::take_later(const Receipt& receipt, std::uint64_t group) {
  std::vector<LeaseMember> later;
  auto& lease = load(receipt.token);
  std::erase_if(lease.members, [&](const LeaseMember& member) {
    if (member.group != group || member.stamp < receipt.stamp) return false;
    later.push_back(member);
    return true;
  });
  lease.edited = lease.edited || !later.empty();
  return later;
}

bool Leases::holds_group(const Receipt& receipt, std::uint64_t group) {
  const auto& members = load(receipt.token).members;
  return std::any_of(members.begin(), members.end(), [&](const LeaseMember& member) { return member.group == group; });
}

void Leases::write() {
  for (auto& [token, lease] : leases_) {
    if (!lease.edited) continue;
    lease.edited = false;
    if (lease.members.empty()) {
      txn_.db().run("DELETE FROM lease WHERE token=?1", token);
      continue;
    }
    std::int64_t until = lease.members.front().until;
    for (const auto& member : lease.members) until = std::min(until, member.until);
    const auto bytes = encode_members(lease.members, until);
    txn_.db().run("UPDATE lease SET until=?2, low=?3, members=?4 WHERE token=?1", token, until, lease.members.front().stamp, bytes);
  }
}

// --- one message ----------------------------------------------------------------------------------------------------------------

namespace {

// The message ends. The group is free with the last of its messages in the lease; where the row with its name is lost, maintain() frees it.
void leave_group(WriteTxn& txn, std::int64_t queue, Leases& leases, const Receipt& receipt, const LeaseMember& member) {
  if (member.group == 0 || leases.holds_group(receipt, member.group)) return;
  if (const auto group = find_group(txn.db(), member.stamp)) group_is_free(txn, queue, *group);
}

}  // namespace

void finish_message(WriteTxn& txn, std::int64_t queue, Leases& leases, const Receipt& receipt, const LeaseMember& member, Outcome outcome,
                    const std::vector<Reason>& reasons, bool keep_row) {
  auto& db = txn.db();
  leave_group(txn, queue, leases, receipt, member);
  if (!keep_row) db.run("DELETE FROM log WHERE stamp=?1", member.stamp);
  if ((member.flags & kHasHistory) != 0) db.run("DELETE FROM history WHERE stamp=?1", member.stamp);
  --txn.book().counters(db, queue).in_flight;
  txn.book().add_outcome(db, queue,
                         {.stamp = member.stamp, .outcome = outcome, .receive_count = member.receives, .reasons = encode_reasons(reasons)});
  txn.announce(Topic::kOutcomes);
}

void dead_letter_message(WriteTxn& txn, std::int64_t queue, Leases& leases, const Receipt& receipt, const LeaseMember& member,
                         const std::vector<Reason>& reasons) {
  leave_group(txn, queue, leases, receipt, member);
  --txn.book().counters(txn.db(), queue).in_flight;
  bury_message(txn, queue, member.stamp, member.receives, reasons);
}

void release_message(WriteTxn& txn, std::int64_t queue, Leases& leases, const Receipt& receipt, const LeaseMember& member,
                     Milliseconds delay, const std::vector<Reason>& reasons, bool uncounted) {
  auto& db = txn.db();
  const auto group = member.group != 0 ? find_group(db, member.stamp) : std::nullopt;
  // Nobody could receive it, nor tell behind whom it waits.
  if (member.group != 0 && !group) return dead_letter_message(txn, queue, leases, receipt, member, {damaged_reason()});
  const auto remember = [&](const LeaseMember& message, const std::vector<Reason>& why, bool counts) {
    auto history = (message.flags & kHasHistory) != 0 ? load_history(db, message.stamp) : MessageHistory{};
    history.receives = message.receives - (counts ? 0 : 1);
    history.reasons.insert(history.reasons.end(), why.begin(), why.end());
    store_history(db, message.stamp, history);
    --txn.book().counters(db, queue).in_flight;
  };
  const auto due = (txn.now() + delay).time_since_epoch().count();
  const auto flags = member.flags | kHasHistory;
  remember(member, reasons, !uncounted);
  if (member.group == 0) {
    if (delay > Milliseconds(0)) {
      make_delayed(txn, queue, member.stamp, flags, due);
    } else {
      make_ready(txn, queue, member.stamp, flags);
    }
    return;
  }
  for (const auto& later : leases.take_later(receipt, member.group)) {
    remember(later, {}, true);
    make_waiting(txn, queue, *group, later.stamp, later.flags | kHasHistory, std::nullopt);
  }
  make_waiting(txn, queue, *group, member.stamp, flags, delay > Milliseconds(0) ? std::optional(due) : std::nullopt);
  if (!leases.holds_group(receipt, member.group)) group_is_free(txn, queue, *group);
}

Result<void> settle_one(WriteTxn& txn, const QueueRow& queue, Leases& leases, const Settlement& settlement) {
  if (auto valid = check_settlement(settlement); !valid) return valid;
  const auto receipt = parse_receipt(settlement.receipt);
  if (!receipt || receipt->queue != queue.id) return lease_lost();
  if (settlement.action == SettleAction::kExtend) {
    const auto until = (txn.now() + settlement.delay).time_since_epoch().count();
    return leases.extend(*receipt, until) ? Result<void>() : lease_lost();
  }
  const auto member = leases.take(*receipt);
  if (!member) return lease_lost();
  switch (settlement.action) {
    case SettleAction::kAck:
      finish_message(txn, queue.id, leases, *receipt, *member, settlement.outcome, settlement.reasons, false);
      break;
    case SettleAction::kRelease:
      release_message(txn, queue.id, leases, *receipt, *member, settlement.delay, settlement.reasons, settlement.uncounted);
      break;
    case SettleAction::kDeadLetter:
      dead_letter_message(txn, queue.id, leases, *receipt, *member, settlement.reasons);
      break;
    case SettleAction::kExtend:
      break;
  }
  return {};
}

Result<std::vector<Result<void>>> SqliteQueues::settle(const SettleMessages& request) {
  using Results = std::vector<Result<void>>;
  return engine_->write(
      [&](WriteTxn& txn) -> Result<Results> {
        const auto* queue = txn.book().queue(txn.db(), request.queue);
        if (queue == nullptr) return no_such_queue(request.queue);
        Results results;
        results.reserve(request.settlements.size());
        Leases leases(txn, queue->id);
        for (const auto& settlement : request.settlements) results.push_back(settle_one(txn, *queue, leases, settlement));
        leases.write();
        return results;
      },
      request.deadline);
}

}  // namespace setget::inline v0::sqlite
