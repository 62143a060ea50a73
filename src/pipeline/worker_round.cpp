#include "pipeline/worker_round.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string_view>

#include "pipeline/metric_names.hpp"
#include "pipeline/recalled_entry.hpp"

namespace setget::inline v0::detail {

namespace {

// Of one call into store or queue. Their own retries (a busy file) end well before it.
constexpr Milliseconds kCallDeadline{30'000};
// Of the question whether a store is there that did not end a call in time.
constexpr Milliseconds kAskDeadline{5'000};

std::string_view traceparent_of(const Message& message) {
  const auto found = message.attributes.find(kTraceparentAttribute);
  return found == message.attributes.end() ? std::string_view() : std::string_view(found->second.data);
}

}  // namespace

struct WorkerRound::Work {
  Work(HeldBatch& held, bool is_fifo, TimePoint moment) : batch(held), fifo(is_fifo), now(moment) {}
  HeldBatch& batch;
  bool fifo;  // of the queue: groups keep their order
  TimePoint now;
  std::vector<FusedEntry> entries;      // for the store
  std::vector<std::size_t> places;      // of the entries in the batch
  std::vector<Settlement> settlements;  // of messages that the store does not settle
  struct Aside {
    std::size_t place;   // of the message in the batch
    bool quiet = false;  // a lost lease is expected, do not count it
  };
  std::vector<Aside> asides;  // per settlement
  struct Failed {
    std::string_view group;
    std::size_t place;
  };
  std::vector<Failed> failed;  // of groups whose order counts
  std::array<std::size_t, kOutcomeCount> outcomes{};
  std::vector<std::uint32_t> series;  // per message; empty where nothing is labelled
  FlowTally tally;
  std::size_t retried = 0;
  std::size_t lease_lost = 0;
  bool away = false;  // the store did not answer when it was asked whether it is there

  bool ordered(std::size_t place) const { return fifo && !batch.messages[place].group.empty(); }
  void fail(std::size_t place) {
    if (ordered(place)) failed.push_back({.group = batch.messages[place].group, .place = place});
  }
  // In order or not at all: whether an earlier message of its group has failed.
  bool follows_failed(std::size_t place) const {
    return ordered(place) && std::ranges::any_of(failed, [&](const Failed& other) {
             return other.place < place && other.group == batch.messages[place].group;
           });
  }
  void add(std::size_t place, Settlement&& settlement) {
    settlements.push_back(std::move(settlement));
    asides.push_back({.place = place});
  }
  // What follows a failed message of its group.
  void give_back(std::size_t place) {
    Settlement release;
    release.receipt = batch.messages[place].receipt;
    release.action = SettleAction::kRelease;
    release.uncounted = true;
    settlements.push_back(std::move(release));
    asides.push_back({.place = place, .quiet = true});
    ++retried;
  }
  // Releasing a message of a FIFO group releases those behind it, and that release counts as a receive. So what is finished goes first, and
  // what is released goes the latest first.
  void put_in_order() {
    std::vector<std::size_t> order(settlements.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto released = [this](std::size_t i) { return settlements[i].action == SettleAction::kRelease; };
    std::ranges::sort(order, [&](std::size_t one, std::size_t other) {
      if (released(one) != released(other)) return released(other);
      return released(one) ? asides[one].place > asides[other].place : asides[one].place < asides[other].place;
    });
    std::vector<Settlement> sorted;
    std::vector<Aside> theirs;
    sorted.reserve(order.size());
    theirs.reserve(order.size());
    for (const auto i : order) {
      sorted.push_back(std::move(settlements[i]));
      theirs.push_back(asides[i]);
    }
    settlements = std::move(sorted);
    asides = std::move(theirs);
  }
};

WorkerRound::WorkerRound(const WorkerOptions& options, MessageKeeper& keeper)
    : options_(options),
      keeper_(keeper),
      fused_(options.key_store.backend()->fused_with(*options.queue.backend())),
      labels_(options.metric_labels) {}

bool WorkerRound::work(HeldBatch& batch, bool fifo, bool extend) {
  Work work(batch, fifo, options_.clock->now());
  decide_all(work, extend);
  if (options_.only_archived) recall(work);
  const auto started = Deadline::Steady::now();
  auto applied = apply(work, false);
  const bool done = applied || after_failed_call(work, applied.error(), extend);
  settle(work);
  if (done) {
    failures_.store(0, std::memory_order_relaxed);
  } else {
    failures_.fetch_add(1, std::memory_order_relaxed);
  }
  options_.metrics->observe(metric::kApplySeconds, std::chrono::duration<double>(Deadline::Steady::now() - started).count(), {});
  publish(work);
  return done;
}

void WorkerRound::decide_all(Work& work, bool extend) {
  const DecisionContext context{*options_.policy, *options_.validator, options_.transform, work.now, options_.max_reasons};
  FlowMemory memory(*options_.policy);
  const auto& messages = work.batch.messages;
  work.entries.reserve(messages.size());
  work.places.reserve(messages.size());
  if (!labels_.empty()) work.series.resize(messages.size());
  for (std::size_t place = 0; place < messages.size(); ++place) {
    if (extend) keeper_.extend_if_due(work.batch);
    const auto& message = messages[place];
    if (work.batch.lost[place].load(std::memory_order_relaxed)) {
      ++work.lease_lost;
      work.fail(place);
      continue;
    }
    if (work.follows_failed(place)) {
      work.give_back(place);
      continue;
    }
    auto decision = decide(message, context, memory);
    switch (decision.verdict) {
      case Verdict::kApply: {
        auto& entry = work.entries.emplace_back();
        entry.receipt = message.receipt;
        entry.entry = std::move(decision.entry);
        work.places.push_back(place);
        if (!work.series.empty()) work.series[place] = labels_.series_of(entry.entry.command.account, entry.entry.command.flow);
        break;
      }
      case Verdict::kRetry:
        retry(work, place, std::move(decision));
        break;
      case Verdict::kDeadLetter: {
        Settlement settlement;
        settlement.receipt = message.receipt;
        settlement.action = SettleAction::kDeadLetter;
        settlement.reasons = std::move(decision.reasons);
        options_.logger->log(
            LogLevel::kWarning, "message is a dead letter",
            {{"message_id", message.message_id},
             {"reason", settlement.reasons.empty() ? std::string_view() : std::string_view(settlement.reasons.front().code)},
             {"traceparent", traceparent_of(message)}});
        work.add(place, std::move(settlement));
        if (!work.series.empty()) work.series[place] = series_of(message);
        break;
      }
    }
  }
}

Result<void> WorkerRound::recall(const Command& erase, TimePoint now) const {
  const auto deadline = Deadline::in(kCallDeadline);
  const auto ask = [&]() -> Result<std::optional<Record>> {
    try {
      return options_.only_archived(erase.keys.front(), erase.ns, deadline);
    } catch (const std::exception& thrown) {
      return Error(ErrorCode::kInternal, fmt::format("only_archived threw: {}", thrown.what())).from(ErrorSource::kHost, 0, thrown.what());
    } catch (...) {
      return Error(ErrorCode::kInternal, "only_archived threw").from(ErrorSource::kHost, 0, "unknown exception");
    }
  };
  auto archived = ask();
  if (!archived) return std::move(archived).error();
  if (!*archived) return {};
  const std::vector<ApplyEntry> entries{recalled_entry(std::move(**archived), *options_.policy->flows())};
  auto applied = options_.key_store.backend()->apply({.entries = entries, .now = now, .deadline = deadline, .ignore_floor = true});
  if (!applied) return std::move(applied).error();
  if (!applied->front()) return std::move(applied->front()).error();
  return {};
}

void WorkerRound::recall(Work& work) {
  for (std::size_t i = 0; i < work.entries.size(); ++i) {
    const auto& command = work.entries[i].entry.command;
    if (command.kind != CommandKind::kEraseKey || command.keys.empty()) continue;
    auto recalled = recall(command, work.now);
    if (recalled) continue;
    const auto place = work.places[i];
    const auto& message = work.batch.messages[place];
    options_.logger->log(LogLevel::kWarning, "an erase by key is tried again: the archive could not be asked what it is about",
                         {{"message_id", message.message_id}, {"error", recalled.error().describe()}});
    const auto code = recalled.error().code();
    const bool to_blame = code == ErrorCode::kCorrupted || code == ErrorCode::kInternal;
    retry(work, place,
          {.verdict = Verdict::kRetry, .entry = {}, .reasons = {reason_of(recalled.error(), to_string(code))}, .to_blame = to_blame});
    const auto drop = [&](std::size_t at) {
      work.entries.erase(work.entries.begin() + static_cast<std::ptrdiff_t>(at));
      work.places.erase(work.places.begin() + static_cast<std::ptrdiff_t>(at));
    };
    drop(i);
    for (std::size_t later = i; later < work.entries.size();) {
      if (!work.follows_failed(work.places[later])) {
        ++later;
        continue;
      }
      work.give_back(work.places[later]);
      drop(later);
    }
    --i;
  }
}

void WorkerRound::tell(const ApplyEntry& applied) const {
  if (options_.on_set_applied && applied.command.kind == CommandKind::kSet) options_.on_set_applied(applied.command);
}

Result<void> WorkerRound::apply(Work& work, bool alone) {
  if (fused_ != nullptr) return apply_fused(work, alone);
  return work.entries.empty() ? Result<void>() : apply_first(work);
}

Result<void> WorkerRound::apply_fused(Work& work, bool alone) {
  if (work.entries.empty() && work.settlements.empty()) return {};
  if (!alone) work.put_in_order();
  const auto others = alone ? std::span<const Settlement>() : std::span<const Settlement>(work.settlements);
  auto done = fused_->apply_and_settle(options_.queue.name(), work.entries, others, work.now, Deadline::in(kCallDeadline));
  if (!done) return std::move(done).error();
  for (std::size_t i = 0; i < others.size(); ++i) {
    const auto& aside = work.asides[i];
    if (done->settled[i]) {
      if (others[i].action == SettleAction::kDeadLetter) finish(work, aside.place, Outcome::kDeadLettered);
    } else if (!aside.quiet) {
      ++work.lease_lost;
    }
  }
  if (!alone) {
    work.settlements.clear();
    work.asides.clear();
  }
  for (std::size_t i = 0; i < work.entries.size(); ++i) {
    if (auto& applied = done->applied[i]) {
      tell(work.entries[i].entry);
      finish(work, work.places[i], applied->outcome);
    } else {
      after_error(work, i, applied.error());
    }
  }
  return {};
}

Result<void> WorkerRound::apply_first(Work& work) {
  std::vector<ApplyEntry> entries;
  entries.reserve(work.entries.size());
  for (auto& entry : work.entries) entries.push_back(std::move(entry.entry));
  auto applied = options_.key_store.backend()->apply({.entries = entries, .now = work.now, .deadline = Deadline::in(kCallDeadline)});
  for (std::size_t i = 0; i < entries.size(); ++i) work.entries[i].entry = std::move(entries[i]);
  if (!applied) return std::move(applied).error();
  for (std::size_t i = 0; i < work.entries.size(); ++i) {
    const auto place = work.places[i];
    auto& result = (*applied)[i];
    if (result) tell(work.entries[i].entry);
    if (!result) {
      after_error(work, i, result.error());
    } else if (work.follows_failed(place)) {
      // It was applied, and will be a duplicate; its ack must not overtake the failed one.
      work.give_back(place);
    } else {
      work.add(place, settlement_of(std::move(work.entries[i].receipt), std::move(*result)));
    }
  }
  return {};
}

void WorkerRound::after_error(Work& work, std::size_t entry, const Error& error) {
  const auto place = work.places[entry];
  const auto& message = work.batch.messages[place];
  if (error.code() == ErrorCode::kLeaseLost) {
    ++work.lease_lost;
    return;
  }
  if (work.follows_failed(place)) {
    work.give_back(place);
    return;
  }
  auto decision = judge(error);
  if (error.code() == ErrorCode::kDeadlineExceeded) decision.to_blame = store_is_there(work, work.entries[entry].entry.command);
  if (decision.verdict == Verdict::kDeadLetter) {
    Settlement settlement;
    settlement.receipt = message.receipt;
    settlement.action = SettleAction::kDeadLetter;
    settlement.reasons = std::move(decision.reasons);
    work.add(place, std::move(settlement));
    return;
  }
  options_.logger->log(LogLevel::kWarning, "message could not be applied and is tried again",
                       {{"message_id", message.message_id}, {"error", error.describe()}, {"traceparent", traceparent_of(message)}});
  retry(work, place, std::move(decision));
}

void WorkerRound::retry(Work& work, std::size_t place, Decision&& decision) {
  const auto& message = work.batch.messages[place];
  Settlement release;
  release.receipt = message.receipt;
  release.action = SettleAction::kRelease;
  // Receives that do not count leave no trace in the message: there the worker's own memory of failures makes the waits grow.
  const auto attempt = std::max(message.receive_count > 0 ? message.receive_count - 1 : 0, decision.to_blame ? 0 : failures());
  const auto backoff = decision.to_blame ? options_.backoff : options_.backoff.in_outage();
  release.delay = backoff.wait(attempt, *options_.random);
  release.reasons = std::move(decision.reasons);
  release.uncounted = !decision.to_blame;
  work.add(place, std::move(release));
  work.fail(place);
  ++work.retried;
}

// Goes the way of a write of this identity, because a store may still answer readers that takes no writes; and changes nothing, because no
// record has version 0.
bool WorkerRound::store_is_there(Work& work, const Command& command) const {
  if (work.away) return false;
  SetExpiry question;
  question.ns = command.ns;
  question.id = command.id.empty() && !command.keys.empty() ? std::string(command.keys.front()) : command.id;
  question.now = work.now;
  auto answers = options_.key_store.backend()->set_expiry({&question, 1}, Deadline::in(kAskDeadline));
  const auto away = [](const Error& error) { return error.code() == ErrorCode::kDeadlineExceeded || !judge(error).to_blame; };
  work.away = answers ? !answers->empty() && !answers->front() && away(answers->front().error()) : away(answers.error());
  return !work.away;
}

bool WorkerRound::may_be_its_doing(Work& work, const Error& error) const {
  if (work.entries.empty() || !judge(error).to_blame) return false;
  return error.code() != ErrorCode::kDeadlineExceeded || store_is_there(work, work.entries.front().entry.command);
}

bool WorkerRound::after_failed_call(Work& work, const Error& error, bool extend) {
  options_.logger->log(LogLevel::kError, "a batch could not be applied and is tried again", {{"error", error.describe()}});
  const bool to_blame = may_be_its_doing(work, error);
  if (to_blame && work.entries.size() > 1) return apply_one_by_one(work, extend);
  release_everything(work, error, to_blame);
  return false;
}

bool WorkerRound::apply_one_by_one(Work& work, bool extend) {
  auto entries = std::exchange(work.entries, {});
  const auto places = std::exchange(work.places, {});
  bool failed = false;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto place = places[i];
    if (extend) keeper_.extend_if_due(work.batch);
    if (work.batch.lost[place].load(std::memory_order_relaxed)) {
      ++work.lease_lost;
      work.fail(place);
      continue;
    }
    if (failed || work.follows_failed(place)) {
      work.give_back(place);
      continue;
    }
    work.places = {place};
    work.entries.clear();
    work.entries.push_back(std::move(entries[i]));
    auto applied = apply(work, true);
    if (applied) continue;
    failed = true;
    release_everything(work, applied.error(), may_be_its_doing(work, applied.error()));
  }
  return !failed;
}

void WorkerRound::release_everything(Work& work, const Error& error, bool to_blame) {
  for (const auto place : work.places) {
    if (work.follows_failed(place)) {
      work.give_back(place);
      continue;
    }
    retry(work, place,
          {.verdict = Verdict::kRetry, .entry = {}, .reasons = {reason_of(error, to_string(error.code()))}, .to_blame = to_blame});
  }
}

void WorkerRound::settle(Work& work) {
  if (work.settlements.empty()) return;
  work.put_in_order();
  auto settled = options_.queue.backend()->settle(
      {.queue = options_.queue.name(), .settlements = work.settlements, .deadline = Deadline::in(kCallDeadline)});
  if (!settled) {
    // The leases end by themselves; what was applied is a duplicate then.
    options_.logger->log(LogLevel::kError, "messages could not be settled; they come back when their leases end",
                         {{"error", settled.error().describe()}});
    return;
  }
  for (std::size_t i = 0; i < work.settlements.size(); ++i) {
    const auto& settlement = work.settlements[i];
    if (auto& result = (*settled)[i]; !result) {
      if (!work.asides[i].quiet) ++work.lease_lost;
    } else if (settlement.action == SettleAction::kAck) {
      finish(work, work.asides[i].place, settlement.outcome);
    } else if (settlement.action == SettleAction::kDeadLetter) {
      finish(work, work.asides[i].place, Outcome::kDeadLettered);
    }
  }
  work.settlements.clear();
  work.asides.clear();
}

std::size_t WorkerRound::give_back(HeldBatch& batch, Deadline deadline) {
  std::vector<Settlement> releases;
  // The latest first: releasing a message of a FIFO group releases those behind it.
  for (auto place = batch.messages.size(); place-- > 0;) {
    if (batch.lost[place].load(std::memory_order_relaxed)) continue;
    Settlement release;
    release.receipt = batch.messages[place].receipt;
    release.action = SettleAction::kRelease;
    release.uncounted = true;
    releases.push_back(std::move(release));
  }
  if (releases.empty()) return 0;
  auto settled = options_.queue.backend()->settle({.queue = options_.queue.name(), .settlements = releases, .deadline = deadline});
  if (!settled) return releases.size();
  const auto stayed = [](const Result<void>& one) { return !one && one.error().code() != ErrorCode::kLeaseLost; };
  return static_cast<std::size_t>(std::count_if(settled->begin(), settled->end(), stayed));
}

void WorkerRound::count_received(std::size_t messages) {
  received_.fetch_add(messages, std::memory_order_relaxed);
  options_.metrics->add(metric::kReceived, static_cast<double>(messages), {});
  options_.metrics->observe(metric::kBatchMessages, static_cast<double>(messages), {});
}

void WorkerRound::finish(Work& work, std::size_t place, Outcome outcome) {
  ++work.outcomes[static_cast<std::size_t>(outcome)];
  if (!work.series.empty()) work.tally.hit(work.series[place], static_cast<std::size_t>(outcome));
}

std::uint32_t WorkerRound::series_of(const Message& message) const {
  const auto command = decode_command(message.body);
  return command ? labels_.series_of(command->account, command->flow) : labels_.series_of({}, {});
}

void WorkerRound::publish(Work& work) {
  const auto text = [](std::size_t outcome) { return to_string(static_cast<Outcome>(outcome)); };
  for (std::size_t i = 0; i < kOutcomeCount; ++i) {
    if (work.outcomes[i] == 0) continue;
    outcomes_[i].fetch_add(work.outcomes[i], std::memory_order_relaxed);
    if (labels_.empty()) options_.metrics->add(metric::kOutcomes, static_cast<double>(work.outcomes[i]), {{"outcome", text(i)}});
  }
  work.tally.publish(labels_, *options_.metrics, metric::kOutcomes, "outcome", text);
  if (work.retried > 0) {
    retried_.fetch_add(work.retried, std::memory_order_relaxed);
    options_.metrics->add(metric::kRetried, static_cast<double>(work.retried), {});
  }
  if (work.lease_lost > 0) {
    lease_lost_.fetch_add(work.lease_lost, std::memory_order_relaxed);
    options_.metrics->add(metric::kLeaseLost, static_cast<double>(work.lease_lost), {});
  }
  if (!work.batch.messages.empty()) {
    const auto age = std::max(work.now - work.batch.messages.front().sent_at, Milliseconds(0));
    options_.metrics->set(metric::kLagSeconds, std::chrono::duration<double>(age).count(), {});
  }
}

WorkerStats WorkerRound::stats() const {
  const auto of = [this](Outcome outcome) { return outcomes_[static_cast<std::size_t>(outcome)].load(std::memory_order_relaxed); };
  return {.received = received_.load(std::memory_order_relaxed),
          .applied = of(Outcome::kApplied),
          .duplicate = of(Outcome::kDuplicate),
          .stale = of(Outcome::kStale),
          .expired = of(Outcome::kExpired),
          .dead_lettered = of(Outcome::kDeadLettered),
          .retried = retried_.load(std::memory_order_relaxed),
          .lease_lost = lease_lost_.load(std::memory_order_relaxed)};
}

}  // namespace setget::inline v0::detail
