// What is done in phases: commands, changes of single identities, evicting and forgetting.
#include <optional>
#include <utility>

#include "redis/store_names.hpp"
#include "redis/store_phases_plan.hpp"
#include "redis/store_step.hpp"

namespace setget::inline v0::redis {

namespace {

// Whose record a mark ends, as far as that was not seen to before.
Result<void> finish_erase(Overlay& overlay, std::string_view ns, std::string_view key) {
  auto listers = overlay.silent_listers(ns, key);
  if (!listers) return std::move(listers).error();
  auto slot = overlay.load_key(ns, key);
  if (!slot) return std::move(slot).error();
  if (slot->leads) listers->push_back(slot->claim_id);
  for (const auto& id : *listers) {
    if (auto held = overlay.reconcile(ns, id); !held) return held;
  }
  const auto rivals = overlay.rivals();
  for (const auto& rival : rivals) {
    const auto id = std::string(split_qualified(rival).bytes);
    auto identity = overlay.load_identity(ns, id);
    if (!identity) return std::move(identity).error();
    if (auto told = identity->state == IdentitySlot::State::kLive ? overlay.reconcile(ns, id) : overlay.touch(ns, id); !told) {
      return told;
    }
  }
  return {};
}

}  // namespace

Result<std::vector<Result<ApplyResult>>> Phases::apply(const ApplyCommands& request) {
  struct State {
    ApplyResult now{};  // of the latest decision
    std::optional<ApplyResult> final_result{};
    std::optional<ApplyResult> unsure{};
  };
  std::vector<State> states(request.entries.size());
  Plans plans;
  for (std::size_t i = 0; i < request.entries.size(); ++i) {
    const auto& entry = request.entries[i];
    const auto& c = entry.command;
    auto plan = std::make_unique<Plan>();
    auto& state = states[i];
    plan->own = qualified(c.ns, c.kind == CommandKind::kEraseKey ? c.keys.front() : std::string_view(c.id));
    // The mark must be seen by all before it is decided whose record it ends: a set that is under way looks for it last.
    plan->look_again = c.kind == CommandKind::kEraseKey;
    if (c.kind != CommandKind::kEraseKey) plan->names.push_back(plan->own);
    for (const auto key : c.keys) {
      plan->names.push_back(qualified(c.ns, key));
      if (c.kind == CommandKind::kSet) plan->claims.push_back(plan->names.back());
    }
    plan->claim = {.stamp = entry.stamp, .id = c.id, .conditional = c.expected_version.has_value()};
    auto* raw = plan.get();
    plan->work = [&entry, &request, &state, raw](Overlay& overlay, Stamp floor, bool landed) -> Result<void> {
      const auto& command = entry.command;
      if (is_erase(entry)) overlay.free_memory();
      overlay.keep_history(history_at(entry, request), !request.ignore_floor);
      auto applied = overlay.apply(entry, {.now = request.now, .floor = request.ignore_floor ? 0 : floor});
      if (!applied) return std::move(applied).error();
      state.now = *std::move(applied);
      if (landed && !state.final_result) state.final_result = state.unsure;
      const bool again = landed || state.now.outcome == Outcome::kDuplicate;
      if (command.kind == CommandKind::kEraseKey) {
        raw->own_last = again;
        if (again) return finish_erase(overlay, command.ns, command.keys.front());
        overlay.discard();
        if (state.now.outcome != Outcome::kApplied) return {};
        return overlay.mark(command.ns, command.keys.front(), entry.stamp);
      }
      if (command.kind != CommandKind::kSet) return {};
      // Where the identity has seen a younger set already, its claims would count before the record has come.
      const auto& known = overlay.rows().at(raw->own).before.identity;
      const bool early = known && known->slot.state != IdentitySlot::State::kAbsent && known->reach >= entry.stamp;
      raw->claim.conditional = (command.expected_version.has_value() || early) && state.now.outcome == Outcome::kApplied;
      if (state.now.outcome == Outcome::kStale || state.now.outcome == Outcome::kDuplicate) {
        if (auto raised = overlay.raise_reach(command.ns, command.id, entry.stamp); !raised) return raised;
      }
      // A redelivery, or an earlier attempt of this call, may have been stopped half way.
      if (again) {
        if (auto held = overlay.reconcile(command.ns, command.id); !held) return held;
      }
      const auto rivals = overlay.rivals();
      for (const auto& rival : rivals) {
        const auto [ns, id] = split_qualified(rival);
        if (auto held = overlay.reconcile(ns, id); !held) return held;
      }
      // Refused after its claims had been written ahead: they go again.
      for (const auto& name : raw->claims) {
        if (auto dropped = overlay.drop_pending(name, raw->claim); !dropped) return dropped;
      }
      return {};
    };
    plan->claims_ahead = [&state, raw] {
      if (state.now.outcome == Outcome::kDeadLettered) return false;
      const auto at = raw->overlay->rows().find(raw->own);
      if (at == raw->overlay->rows().end() || !at->second.now.identity) return false;
      const auto& identity = *at->second.now.identity;
      return identity.slot.state != IdentitySlot::State::kAbsent && identity.reach >= raw->claim.stamp;
    };
    plan->keep = [&state] {
      if (!state.final_result) state.final_result = state.now;
    };
    plan->settle = [&state] {
      if (!state.unsure) state.unsure = state.now;
    };
    plans.push_back(std::move(plan));
  }
  run(plans);
  std::vector<Result<ApplyResult>> results;
  results.reserve(plans.size());
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (plans[i]->failed) {
      results.emplace_back(*std::move(plans[i]->failed));
    } else {
      results.emplace_back(states[i].final_result.value_or(states[i].now));
    }
  }
  return results;
}

// A plan of its own for each identity; work(overlay, entry) tells whether something changed.
template <class Entry, class Work>
std::vector<Result<bool>> Phases::one_by_one(std::span<const Entry> entries, Work work) {
  std::vector<std::optional<bool>> changed(entries.size());
  Plans plans;
  // NOLINTNEXTLINE(modernize-loop-convert): clang-tidy 14 overlooks the other array in the capture
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto plan = std::make_unique<Plan>();
    plan->own = qualified(entries[i].ns, entries[i].id);
    plan->names.push_back(plan->own);
    plan->work = [&entry = entries[i], &out = changed[i], &work](Overlay& overlay, Stamp, bool landed) -> Result<void> {
      if (landed) return {};
      auto done = work(overlay, entry);
      if (!done) return std::move(done).error();
      out = *done;
      return {};
    };
    plans.push_back(std::move(plan));
  }
  run(plans);
  std::vector<Result<bool>> results;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (plans[i]->failed) {
      results.emplace_back(*std::move(plans[i]->failed));
    } else {
      results.emplace_back(changed[i].value_or(true));
    }
  }
  return results;
}

Result<std::vector<Result<bool>>> Phases::set_expiry(std::span<const SetExpiry> entries) {
  return one_by_one(entries, [now = store_.place_->now()](Overlay& overlay, const SetExpiry& entry) {
    overlay.keep_history(now, true);
    return change_expiry(overlay, entry);
  });
}

std::vector<Result<bool>> Phases::begin_history(std::span<const BeginHistory> entries) {
  return one_by_one(entries, [](Overlay& overlay, const BeginHistory& entry) {
    overlay.keep_history(TimePoint{}, true);
    return overlay.begin_history(entry);
  });
}

std::vector<Result<bool>> Phases::evict(std::span<const std::string> names, TimePoint cutoff) {
  std::vector<char> evicted(names.size(), 0);
  Plans plans;
  // NOLINTNEXTLINE(modernize-loop-convert): clang-tidy 14 overlooks the other array in the capture
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto plan = std::make_unique<Plan>();
    plan->own = names[i];
    plan->names.push_back(names[i]);
    plan->keys_first = true;
    plan->work = [&name = names[i], &out = evicted[i], cutoff](Overlay& overlay, Stamp, bool landed) -> Result<void> {
      if (landed) return {};
      overlay.free_memory();
      const auto [ns, id] = split_qualified(name);
      auto slot = overlay.load_identity(ns, id);
      if (!slot) return std::move(slot).error();
      // Set or touched since it was found expired: it stays.
      out = slot->state == IdentitySlot::State::kLive && slot->expires_at && *slot->expires_at <= cutoff ? 1 : 0;
      if (out == 0) return {};
      auto keys = overlay.current_keys(ns, id);
      if (!keys) return std::move(keys).error();
      if (auto settled = overlay.settle_pending(ns, *keys); !settled) return settled;
      return evict_expired(overlay, ns, id);
    };
    plans.push_back(std::move(plan));
  }
  run(plans);
  std::vector<Result<bool>> results;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    results.push_back(plans[i]->failed ? Result<bool>(*std::move(plans[i]->failed)) : Result<bool>(evicted[i] != 0));
  }
  return results;
}

std::vector<Result<bool>> Phases::forget(std::span<const std::string> names, std::span<const std::string> scores, Stamp floor) {
  std::vector<char> forgotten(names.size(), 0);
  Plans plans;
  // NOLINTNEXTLINE(modernize-loop-convert): clang-tidy 14 overlooks the other array in the capture
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto plan = std::make_unique<Plan>();
    plan->own = names[i];
    plan->names.push_back(names[i]);
    plan->work = [&name = names[i], &score = scores[i], &out = forgotten[i], floor](Overlay& overlay, Stamp, bool landed) -> Result<void> {
      if (landed) return {};
      overlay.free_memory();
      const auto [ns, bytes] = split_qualified(name);
      auto done = overlay.forget(ns, bytes, floor, score);
      if (!done) return std::move(done).error();
      out = *done ? 1 : 0;
      return {};
    };
    plans.push_back(std::move(plan));
  }
  run(plans);
  std::vector<Result<bool>> results;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    results.push_back(plans[i]->failed ? Result<bool>(*std::move(plans[i]->failed)) : Result<bool>(forgotten[i] != 0));
  }
  return results;
}

}  // namespace setget::inline v0::redis
