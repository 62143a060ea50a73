// Point in time: moving the store's outbox into the archive's histories, and reading them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "core/moment.hpp"
#include "pipeline/archive_pages.hpp"
#include "pipeline/archiver_state.hpp"

namespace setget::inline v0 {

namespace {

Error refused(std::string why) { return Error(ErrorCode::kFailedPrecondition, std::move(why)).at_field("at"); }

// Reads a moment from left to right; `ok` goes false at the first thing that does not belong.
struct MomentReader {
  std::string_view rest;
  bool ok = true;

  int number(std::size_t digits) {
    int value = 0;
    if (rest.size() < digits) return fail();
    const auto [end, problem] = std::from_chars(rest.data(), rest.data() + digits, value);
    if (problem != std::errc() || end != rest.data() + digits || rest.front() == '-') return fail();
    rest.remove_prefix(digits);
    return value;
  }
  char one_of(std::string_view allowed) {
    if (rest.empty() || allowed.find(rest.front()) == std::string_view::npos) return static_cast<char>(fail());
    const char found = rest.front();
    rest.remove_prefix(1);
    return found;
  }
  // The digits behind a point, as milliseconds.
  int fraction() {
    if (rest.empty() || rest.front() != '.') return 0;
    rest.remove_prefix(1);
    std::size_t digits = 0;
    int value = 0;
    for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; rest.remove_prefix(1), ++digits) {
      if (digits < 3) value = value * 10 + (rest.front() - '0');
    }
    if (digits == 0 || digits > 9) return fail();
    for (; digits < 3; ++digits) value *= 10;
    return value;
  }
  int fail() {
    ok = false;
    return 0;
  }
};

constexpr std::string_view kNoFlows = "-";

// Which flows keep history, as one text that changes when they do.
std::string kept_flows(const Flows& flows) {
  std::string text;
  for (const auto& [name, flow] : flows.flows) {
    if (flows.effective({}, name).history.value_or(false)) text += name + "\n";
  }
  for (const auto& [account, options] : flows.accounts) {
    for (const auto& [name, flow] : options.flows) {
      if (flow.history) text += fmt::format("{}/{} {}\n", account, name, *flow.history ? "yes" : "no");
    }
  }
  return text.empty() ? std::string(kNoFlows) : text;
}

}  // namespace

Result<TimePoint> parse_moment(std::string_view text) {
  MomentReader reader{.rest = text};
  const int year = reader.number(4);
  reader.one_of("-");
  const int month = reader.number(2);
  reader.one_of("-");
  const int day = reader.number(2);
  reader.one_of("Tt ");
  const int hour = reader.number(2);
  reader.one_of(":");
  const int minute = reader.number(2);
  reader.one_of(":");
  const int second = reader.number(2);
  const int ms = reader.fraction();
  const char zone = reader.one_of("Zz+-");
  int offset = 0;
  if (zone == '+' || zone == '-') {
    const int hours = reader.number(2);
    reader.one_of(":");
    const int minutes = reader.number(2);
    if (hours > 23 || minutes > 59) reader.fail();
    offset = (hours * 60 + minutes) * (zone == '-' ? -1 : 1);
  }
  const std::chrono::year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!reader.ok || !reader.rest.empty() || !date.ok() || hour > 23 || minute > 59 || second > 59) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not a moment like 2026-11-27T14:00:00.123Z", text));
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  return TimePoint(std::chrono::duration_cast<Milliseconds>(days) + std::chrono::hours(hour) + std::chrono::minutes(minute - offset) +
                   std::chrono::seconds(second) + Milliseconds(ms));
}

Result<void> detail::check_reach(std::optional<TimePoint> known_from, TimePoint at) {
  if (!known_from) return refused("no state of a record was kept yet: histories begin with the first set of a flow that keeps one");
  if (at >= *known_from) return {};
  return refused(
      fmt::format("{} lies before what the histories can tell: they reach back to {}", detail::rfc3339(at), detail::rfc3339(*known_from)));
}

Result<void> Archiver::State::check_moment(TimePoint at) const {
  if (!options.archive->capabilities().history) return refused("this archive keeps no history");
  if (!options.policy->flows()->keeps_history()) return refused("no flow keeps history: [flows.NAME] history = true does");
  if (const auto now = options.clock->now(); at > now) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("{} lies ahead: it is {}", detail::rfc3339(at), detail::rfc3339(now)))
        .at_field("at");
  }
  return {};
}

Result<std::uint64_t> Archiver::State::move_history(Deadline deadline, const StoreIdentity* source, const GoOn& go_on) {
  if (!store().capabilities().history || !archive().capabilities().history) return std::uint64_t{0};
  const auto turn = moving.take(deadline);
  if (!turn) return Error(ErrorCode::kDeadlineExceeded, "another move of the outbox is still under way");
  const auto flows = options.policy->flows();
  // What was under history once may still be erased or touched: a look now and then, and in every run.
  constexpr unsigned kIdle = 60;
  if (source == nullptr && flows == begun && !flows->keeps_history() && ++idle_moves % kIdle != 0) return std::uint64_t{0};
  auto waiting = store().history({.after = 0, .limit = 1, .max_bytes = 1, .deadline = detail::soon(deadline)});
  if (!waiting) return std::move(waiting).error();
  const bool nothing = waiting->states.empty();
  // Nothing to ask of the archive.
  if (flows == begun && nothing) return std::uint64_t{0};
  StoreIdentity ours;
  if (source != nullptr) {
    ours = *source;
  } else {
    auto own = own_archive(detail::soon(deadline));
    // Of another store, whose past this one is to be given, say.
    if (!own && nothing && own.error().field() == "identity") return std::uint64_t{0};
    if (!own) return std::move(own).error();
    ours = *std::move(own);
  }
  auto begun_with = begin_histories(flows, deadline, ours, go_on);
  if (!begun_with) return begun_with;
  auto moved = drain_outbox(deadline, ours, go_on);
  if (!moved) return moved;
  return *begun_with + *moved;
}

// Into the archive, then out of the outbox. A crash in between repeats a batch, whose positions the archive knows then.
Result<std::uint64_t> Archiver::State::drain_outbox(Deadline deadline, const StoreIdentity& source, const GoOn& go_on) {
  std::uint64_t moved = 0;
  const auto flows = options.policy->flows();
  while (true) {
    if (auto on = go_on(); !on) return std::move(on).error();
    auto batch =
        store().history({.after = 0, .limit = options.batch, .max_bytes = options.batch_bytes, .deadline = detail::soon(deadline)});
    if (!batch) return std::move(batch).error();
    if (batch->states.empty()) return moved;
    if (deadline.passed()) return Error(ErrorCode::kDeadlineExceeded, "the deadline passed while the outbox was moved");
    std::vector<ArchivedState> states;
    states.reserve(batch->states.size());
    for (auto& state : batch->states) {
      auto& archived = states.emplace_back();
      archived.keep = age_of(*flows, state);
      archived.state = std::move(state);
    }
    auto written = archive().write_history({.source = source,
                                            .states = states,
                                            .of = {},
                                            .since = {},
                                            .deadline = deadline,
                                            .refused = [&](const auto& state, const Error& why) { return let_go(state, why, deadline); }});
    if (!written) return std::move(written).error();
    moved += *written;
    std::vector<OutboxPlace> places;
    for (const auto& [state, keep] : states) {
      if (places.empty() || places.back().part != state.part) places.push_back({.part = state.part});
      places.back().position = state.position;
    }
    if (auto confirmed = store().confirm_history(places, detail::soon(deadline)); !confirmed) return std::move(confirmed).error();
    if (batch->at_end) return moved;
  }
}

Result<void> Archiver::State::let_go(const ArchivedState& archived, const Error& why, Deadline deadline) {
  if (options.max_quarantined == 0) return why;
  const auto& state = archived.state;
  auto there = archive().quarantined({.cursor = {}, .limit = options.max_quarantined, .deadline = detail::soon(deadline)});
  if (!there) return std::move(there).error();
  const bool known = std::ranges::any_of(
      there->entries, [&](const auto& one) { return one.ns == state.ns && one.id == state.id && one.state_at == state.at; });
  if (!known && there->entries.size() >= options.max_quarantined) {
    return Error(why.code(),
                 fmt::format("the archive refuses more than {} changes, such as one with: {}", options.max_quarantined, why.message()))
        .from(why.source(), why.native_code(), why.native_text());
  }
  options.logger->log(LogLevel::kError, "the archive refuses a state of a history; it is lost, and kept in the quarantine as such",
                      {{"id", state.id}, {"version", std::to_string(state.version)}, {"reason", why.message()}});
  return {};
}

Result<std::uint64_t> Archiver::State::begin_histories(const std::shared_ptr<const Flows>& flows, Deadline deadline,
                                                       const StoreIdentity& source, const GoOn& go_on) {
  std::uint64_t moved = 0;
  if (flows == begun) return moved;
  const auto of = kept_flows(*flows);
  auto known_of = archive().history_of_within(detail::soon(deadline));
  if (!known_of) return std::move(known_of).error();
  if (*known_of == of || (of == kNoFlows && known_of->empty())) {
    begun = flows;
    return moved;
  }
  if (beginning != flows) {
    begin_cursor.clear();
    begin_since = flows == first_flows ? first_since : options.clock->now();
    beginning = flows;
  }
  // Half of the time is for the outbox.
  const auto scanning = Deadline::in(deadline.left() / 2);
  bool more = of != kNoFlows;
  while (more) {
    if (scanning.passed()) return moved;
    if (auto on = go_on(); !on) return std::move(on).error();
    auto page = store().scan({.cursor = begin_cursor, .limit = options.batch, .deadline = deadline, .over_damaged = true});
    if (!page) return std::move(page).error();
    std::vector<BeginHistory> entries;
    for (auto& item : page->items) {
      if (item.tombstone || !flows->effective(item.account, item.flow).history.value_or(false)) continue;
      entries.push_back({.ns = std::move(item.ns), .id = std::move(item.id), .version = item.version});
    }
    if (!entries.empty()) {
      auto results = store().begin_history(entries, detail::soon(deadline));
      if (!results) return std::move(results).error();
      const auto failed = std::find_if(results->begin(), results->end(), [](const auto& one) { return !one; });
      if (failed != results->end() && failed->error().code() != ErrorCode::kResourceExhausted) return std::move(*failed).error();
      auto drained = drain_outbox(deadline, source, go_on);
      if (!drained) return drained;
      moved += *drained;
      if (failed != results->end()) continue;  // the outbox was full: this page again
    }
    begin_cursor = std::move(page->next);
    more = !begin_cursor.empty();
  }
  auto known = archive().write_history({.source = source, .states = {}, .of = of, .since = begin_since, .deadline = deadline});
  if (!known) return std::move(known).error();
  begun = flows;
  return moved;
}

// As a run: the histories of one store must not mix with those of another.
Result<StoreIdentity> Archiver::State::own_archive(Deadline deadline) {
  auto identity = store().identity(deadline);
  if (!identity) return std::move(identity).error();
  auto checkpoint = archive().load_checkpoint_within(deadline);
  if (!checkpoint) return std::move(checkpoint).error();
  if (*checkpoint && (*checkpoint)->source != *identity) {
    return Error(ErrorCode::kFailedPrecondition, detail::same_store((*checkpoint)->source, *identity)).at_field("identity");
  }
  return identity;
}

// Of a tombstone, whose flow is not known here, as long as a record of the flow that keeps it longest: what it says the end of is dropped
// by its own age.
std::optional<Milliseconds> Archiver::State::age_of(const Flows& flows, const HistoryState& state) {
  const auto account = state.record ? std::string_view(state.record->account) : std::string_view();
  const auto flow = state.record ? std::string_view(state.record->flow) : std::string_view();
  const auto age = *flows.effective(account, flow).history_age;
  return age.is_never ? std::nullopt : std::optional(age.length);
}

Result<void> Archiver::State::as_it_was(Record& record, TimePoint at, Deadline deadline) {
  if (record.lost_keys.empty()) return {};
  std::vector<std::string> lost;
  for (const auto key : record.lost_keys) {
    auto holder = archive().get_history({.ns = record.ns, .key = key, .id = {}, .at = at, .deadline = deadline});
    if (!holder) return std::move(holder).error();
    if (!holder->record || holder->record->id != record.id) lost.emplace_back(key);
  }
  if (lost.size() != record.lost_keys.size()) record.lost_keys = KeyList(std::span<const std::string>(lost));
  return {};
}

Result<SummaryPage> Archiver::State::scan_past(const ScanHistory& request) {
  auto page = archive().scan_history(request);
  if (!page) return page;
  for (auto& item : page->items) {
    if (!item.record) continue;
    auto done = as_it_was(*item.record, request.at, request.deadline);
    if (done) continue;
    if (!request.over_damaged || !detail::is_damage(done.error())) return std::move(done).error();
    page->damaged.push_back({.hash = item.hash, .ns = item.ns, .id = item.id, .name = {}, .reason = std::string(done.error().message())});
    item.record.reset();
  }
  // What it had then of its keys is not known: it is told as damaged, and not as a record.
  std::erase_if(page->items, [](const Summary& item) { return !item.record; });
  return page;
}

// Whether it has expired or not.
Result<Lookup> Archiver::State::as_it_is(const PastGet& request, Deadline deadline) {
  if (request.key.empty()) return store().get_by_id({.ns = request.ns, .id = request.id, .now = TimePoint{}, .deadline = deadline});
  const std::string_view key = request.key;
  auto lookups = store().get({.ns = request.ns, .keys = std::span(&key, 1), .now = TimePoint{}, .deadline = deadline});
  if (!lookups) return std::move(lookups).error();
  return std::move(lookups->front());
}

Result<std::uint64_t> Archiver::move_history(Deadline deadline) {
  return state_->move_history(deadline, nullptr, [] { return Result<void>(); });
}

Result<std::optional<Record>> Archiver::get_at(const PastGet& request, Deadline deadline) {
  using Answer = std::optional<Record>;
  if (auto known = state_->check_moment(request.at); !known) return std::move(known).error();
  if (auto moved = move_history(deadline); !moved) return std::move(moved).error();
  auto found =
      state_->archive().get_history({.ns = request.ns, .key = request.key, .id = request.id, .at = request.at, .deadline = deadline});
  if (!found) return std::move(found).error();
  if (found->status == HistoryLookup::Status::kFound) {
    if (auto done = state_->as_it_was(*found->record, request.at, deadline); !done) return std::move(done).error();
    return Answer(std::move(found->record));
  }
  if (found->status == HistoryLookup::Status::kNotKept) return refused("the record that was there then is of a flow without history");
  const auto nothing = [&]() -> Result<Answer> {
    if (auto reached = detail::check_reach(found->known_from, request.at); !reached) return std::move(reached).error();
    return Answer();
  };
  // What is there now, and was then, without a state of its own.
  auto current = state_->as_it_is(request, deadline);
  if (!current) return std::move(current).error();
  if (current->record) {
    // It has been there since, and its flow has kept history for a while at most. Or it has come later; what was there before is not known.
    const auto& record = *current->record;
    const bool since = record.created_at <= request.at;
    const bool kept = state_->options.policy->flows()->effective(record.account, record.flow).history.value_or(false);
    if (!kept && (since || found->status == HistoryLookup::Status::kUnknown)) {
      return refused("the record under it is of a flow without history");
    }
    if (!since) return nothing();
    if (record.expired(request.at)) return Answer();
    return Answer(std::move(current->record));
  }
  return nothing();
}

}  // namespace setget::inline v0
