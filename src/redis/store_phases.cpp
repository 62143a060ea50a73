#include "redis/store_phases_plan.hpp"

#include <algorithm>
#include <functional>
#include <set>
#include <thread>
#include <utility>

#include "redis/errors.hpp"
#include "redis/store_names.hpp"
#include "redis/store_step.hpp"

namespace setget::inline v0::redis {

namespace {
constexpr unsigned kMostInStep = 4;  // attempts
}

void Phases::end(Plan& plan, std::optional<Error> failed) {
  plan.failed = std::move(failed);
  plan.phase = Phase::kDone;
  plan.overlay.reset();
}

// Decides anew on what is there now.
void Phases::read(Plan& plan) {
  if (deadline_.passed()) return end(plan, too_late());
  ++plan.attempts;
  plan.calls.clear();
  plan.ahead.clear();
  plan.late.clear();
  plan.overlay = std::make_unique<Overlay>(store_, *store_.coder_, *store_.shards_, true, deadline_);
  const auto part = plan.overlay->shard_of(plan.own.empty() ? plan.names.front() : plan.own);
  auto meta = store_.meta(part, deadline_);
  if (!meta) return end(plan, std::move(meta).error());
  plan.meta = *std::move(meta);
  auto names = plan.names;
  names.insert(names.end(), plan.given_up.begin(), plan.given_up.end());
  if (auto loaded = plan.overlay->preload(names); !loaded) return end(plan, std::move(loaded).error());
  // After reading: an attempt whose reply was lost, and that is carried out later still, makes this one fail.
  if (plan.unsure && !plan.landed) {
    auto left = store_.left_marker(part, plan.marker, deadline_);
    if (!left) return end(plan, std::move(left).error());
    if (*left) plan.landed = true;
  }
  if (auto worked = plan.work(*plan.overlay, plan.meta->floor, plan.landed); !worked) return end(plan, std::move(worked).error());
  // The version before is not there any more to say which keys it listed.
  for (const auto& name : plan.given_up) {
    const auto [ns, key] = split_qualified(name);
    if (auto tidied = plan.overlay->tidy(ns, key); !tidied) return end(plan, std::move(tidied).error());
  }
  if (auto told = plan.overlay->tell_displaced(); !told) return end(plan, std::move(told).error());
  plan.phase = Phase::kRead;
  if (plan.overlay->mixed()) return;  // once more
  plan.phase = Phase::kAhead;
  prepare_calls(plan);
}

namespace {

bool same_key(const Overlay::Row& row) {
  const auto bytes = [](const std::optional<KeyPart>& key) { return encode_entry({.identity = std::nullopt, .key = key}, {}, {}); };
  return bytes(row.before.key) == bytes(row.now.key);
}

}  // namespace

void Phases::prepare_calls(Plan& plan) {
  plan.calls.clear();
  plan.wrote.clear();
  plan.answered = 0;
  plan.conflict = false;
  auto& overlay = *plan.overlay;
  const bool has_own = !plan.own.empty() && !plan.own_last;
  const auto own_part = has_own ? overlay.shard_of(plan.own) : 0;
  const auto is_own = [&](std::uint32_t part) { return has_own && part == own_part; };
  std::map<std::uint32_t, CommitCall> calls;
  const auto outbox_from = stamp_at(store_.place_->now());
  const auto call_of = [&](std::uint32_t part) -> CommitCall& {
    auto& call = calls.try_emplace(part, *store_.shards_, part).first->second;
    call.outbox_from(outbox_from);
    if (overlay.frees_memory()) call.even_when_full();
    return call;
  };
  const auto stored = [&](const std::string& name, const Overlay::Row& row) {
    const auto at = plan.ahead.find(name);
    return at == plan.ahead.end() ? row.stored : std::optional(at->second);
  };
  // The same number for what is written ahead and for what follows: the one has a claim that the other has not.
  const auto mark = [&](const std::string& name, const Entry& now) {
    return next_mark(overlay.rows().at(name).before.key, now, store_.place_->random().next());
  };
  // An entry whose key is as it was, with the step's claim beside it where it makes one.
  const auto write_ahead = [&](CommitCall& call, const std::string& name, Entry entry, const std::optional<KeyPart>& key, bool claims) {
    entry.key = key;
    if (claims) {
      if (!entry.key) entry.key.emplace();
      auto& pending = entry.key->pending;
      if (std::ranges::find(pending, plan.claim) == pending.end()) pending.push_back(plan.claim);
    }
    const auto written = mark(name, entry);
    call.write_entry(name, entry, written);
    plan.ahead.insert_or_assign(name, Payload::adopt(encode_entry(entry, split_qualified(name).bytes, written)));
  };
  const bool claims_ahead = plan.claims_ahead && plan.claims_ahead();
  const auto is_claim = [&](const std::string& name) { return std::ranges::find(plan.claims, name) != plan.claims.end(); };
  using Kind = SideEffect::Kind;
  // Whose effects are written with which phase.
  const auto with_keys = [&](const SideEffect& effect) { return effect.kind == Kind::kGarbage; };

  bool only_looks = false;
  switch (plan.phase) {
    case Phase::kAhead: {
      if (plan.keys_first) {
        // Another version of the record can have come before its keys were read: then they are not to be given up. One that comes later
        // changes them first.
        const auto& row = overlay.rows().at(plan.own);
        if (!row.changed) break;
        call_of(own_part).expect_entry(plan.own, row.stored);
        only_looks = true;
        break;
      }
      // What can be forgotten later is noted first: an entry too many in that list does no harm, one too few would stay for ever.
      for (const auto& effect : overlay.effects()) {
        if (with_keys(effect) && !is_own(effect.shard)) call_of(effect.shard).add_effect(effect);
      }
      if (!claims_ahead) break;
      for (const auto& name : plan.claims) {
        const auto part = overlay.shard_of(name);
        const auto& row = overlay.rows().at(name);
        if (is_own(part) || !row.changed) continue;
        if (row.before.key && std::ranges::find(row.before.key->pending, plan.claim) != row.before.key->pending.end()) continue;
        auto& call = call_of(part);
        call.expect_entry(name, row.stored);
        write_ahead(call, name, row.before, row.before.key, true);
      }
      break;
    }
    case Phase::kRecord: {
      if (!has_own) break;
      auto& call = call_of(own_part);
      call.expect_meta(plan.meta->text);
      // Later it must come to an end.
      if (overlay.bounded() && !plan.landed) call.limit_outbox(store_.outbox_limit());
      const bool others_lose = std::ranges::any_of(
          overlay.rows(), [&](const auto& row) { return row.second.identity_changed && overlay.shard_of(row.first) != own_part; });
      Counts counts;
      for (const auto& [name, row] : overlay.rows()) {
        if (overlay.shard_of(name) != own_part) continue;
        call.expect_entry(name, row.stored);
        if (!row.changed) continue;
        const auto change = overlay.counts(row);
        counts.add_records(change);
        // What takes something from a record elsewhere becomes final only when that record knows: nothing else would tell it.
        if (others_lose && !plan.keys_first && !same_key(row)) {
          plan.late.insert(name);
          const bool claims = claims_ahead && is_claim(name);
          if (claims || row.identity_changed) write_ahead(call, name, row.now, row.before.key, claims);
          continue;
        }
        call.write_entry(name, row.now, mark(name, row.now));
        counts.keys += change.keys;
      }
      for (const auto& effect : overlay.effects()) {
        if (effect.shard == own_part) call.add_effect(effect);
      }
      if (call.empty()) {
        calls.clear();
        break;
      }
      call.add_counts(counts);
      if (plan.marker.empty()) plan.marker = store_.new_marker();
      call.leave_marker(plan.marker);
      break;
    }
    case Phase::kOthers:
    case Phase::kKeys: {
      const bool identities = plan.phase == Phase::kOthers;
      for (const auto& [name, row] : overlay.rows()) {
        const auto part = overlay.shard_of(name);
        const bool left_over = !identities && plan.late.contains(name);
        if (!left_over && (is_own(part) || !row.changed || row.identity_changed != identities)) continue;
        auto& call = call_of(part);
        call.expect_entry(name, stored(name, row));
        auto change = overlay.counts(row);
        if (identities && !same_key(row)) {
          plan.late.insert(name);
          write_ahead(call, name, row.now, row.before.key, claims_ahead && is_claim(name));
          change.keys = 0;
        } else {
          call.write_entry(name, row.now, mark(name, row.now));
        }
        // Once more: who looked at it meanwhile found that it cannot be forgotten yet, and took it out of that list.
        for (const auto& effect : overlay.effects()) {
          if (with_keys(effect) && effect.member == name) call.add_effect(effect);
        }
        if (left_over) change = Counts{.keys = change.keys};
        call.add_counts(change);
      }
      if (!identities) break;
      for (const auto& effect : overlay.effects()) {
        if (!is_own(effect.shard) && (!with_keys(effect) || plan.keys_first)) call_of(effect.shard).add_effect(effect);
      }
      break;
    }
    case Phase::kRead:
    case Phase::kDone:
      break;
  }
  for (auto& [part, call] : calls) {
    if (only_looks || !call.empty()) plan.calls.push_back(std::move(call));
  }
}

// To the next phase that has something to write; false when there is none.
bool Phases::advance(Plan& plan) {
  const auto next = [&] {
    switch (plan.phase) {
      case Phase::kAhead:
        return plan.keys_first ? Phase::kOthers : Phase::kRecord;
      case Phase::kRecord:
        return plan.keys_first ? Phase::kDone : Phase::kOthers;
      case Phase::kOthers:
        return Phase::kKeys;
      case Phase::kKeys:
        return plan.keys_first ? Phase::kRecord : Phase::kDone;
      default:
        return Phase::kDone;
    }
  };
  while (plan.open() && plan.calls.empty()) {
    if (plan.phase == Phase::kRecord && !plan.landed) {
      plan.landed = true;
      for (const auto& [name, row] : plan.overlay->rows()) {
        if (row.changed && row.now.key) plan.given_up.push_back(name);
      }
      if (plan.keep) plan.keep();
      if (plan.look_again) {
        plan.phase = Phase::kRead;
        return true;
      }
    }
    plan.phase = next();
    if (plan.phase == Phase::kDone) {
      end(plan, std::nullopt);
      return false;
    }
    prepare_calls(plan);
  }
  return plan.open();
}

// Whatever became of the writes: this process is not to hear of them later than its caller.
void Phases::forget_answers(const Plan& plan) {
  if (plan.overlay == nullptr) return;
  for (const auto& [name, row] : plan.overlay->rows()) {
    if (row.changed) store_.forget_answers({&name, 1});
  }
}

void Phases::take_reply(Plan& plan, std::size_t number, Result<Reply> reply) {
  auto& call = plan.calls[number];
  ++plan.answered;
  if (!reply) {
    if (!maybe_executed(reply.error())) {
      plan.failed = std::move(reply).error();
    } else {
      plan.conflict = true;
      if (plan.phase == Phase::kRecord && !plan.landed) {
        plan.unsure = true;
        if (plan.settle) plan.settle();
      }
    }
  } else if (reply->integer() == CommitCall::kOutboxFull) {
    plan.failed = outbox_full();
  } else if (reply->integer() != 0) {
    plan.conflict = true;
    if (call.is_meta(reply->integer())) store_.forget_meta(call.shard());
  }
  if (plan.answered < plan.calls.size()) return;
  if (plan.failed) {
    auto failed = std::exchange(plan.failed, std::nullopt);
    return end(plan, std::move(failed));
  }
  if (plan.conflict) {
    plan.phase = Phase::kRead;
    return;
  }
  plan.calls.clear();
  (void)advance(plan);
}

void Phases::run(Plans& plans) {
  std::size_t next = 0;
  std::vector<Plan*> active;
  while (true) {
    std::erase_if(active, [](const Plan* plan) { return !plan->open(); });
    // In order: a plan waits for those before it that concern the same entries.
    std::set<std::string_view> busy;
    for (const auto* plan : active) busy.insert(plan->names.begin(), plan->names.end());
    for (; next < plans.size() && active.size() < 256; ++next) {
      auto& plan = *plans[next];
      if (std::ranges::any_of(plan.names, [&](const auto& name) { return busy.contains(name); })) break;
      busy.insert(plan.names.begin(), plan.names.end());
      active.push_back(&plan);
    }
    if (active.empty()) return;
    // Two that disturb each other would do so for ever, in step: then the first goes alone, and not in step with other processes.
    auto turn = std::span(active);
    if (std::ranges::any_of(active, [](const Plan* plan) { return plan->attempts > kMostInStep; })) {
      turn = turn.subspan(0, 1);
      const auto attempts = turn.front()->attempts;
      if (turn.front()->phase == Phase::kRead && attempts > kMostInStep) {
        const auto most = std::min<std::uint64_t>(attempts, 32) * 1000;
        std::this_thread::sleep_for(std::chrono::microseconds(store_.place_->random().next() % most));
      }
    }
    for (auto* plan : turn) {
      if (plan->phase != Phase::kRead) continue;
      read(*plan);
      if (plan->open() && plan->phase != Phase::kRead) (void)advance(*plan);
    }
    std::vector<Script::Call> calls;
    std::vector<std::pair<Plan*, std::size_t>> whose;
    for (auto* plan : turn) {
      if (!plan->open()) continue;
      for (std::size_t i = 0; i < plan->calls.size(); ++i) {
        calls.push_back(plan->calls[i].call());
        whose.emplace_back(plan, i);
      }
    }
    if (calls.empty()) continue;
    auto replies = run_scripts(store_.place_->client(), calls, deadline_);
    for (const auto* plan : turn) {
      if (!plan->calls.empty()) forget_answers(*plan);
    }
    for (std::size_t i = 0; i < replies.size(); ++i) take_reply(*whose[i].first, whose[i].second, std::move(replies[i]));
  }
}

}  // namespace setget::inline v0::redis
