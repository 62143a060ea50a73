#include <fmt/format.h>

#include <future>

#include <setget/reader.hpp>

#include "pipeline/archive_answer.hpp"
#include "pipeline/metric_names.hpp"
#include "pipeline/read_through.hpp"

namespace setget::inline v0 {

using detail::Misses;

namespace {

constexpr std::string_view kMissing = "missing";

// Missing, found here or found there: what kReads counts.
void count(Metrics& metrics, std::string_view result) { metrics.add(detail::metric::kReads, 1, {{"result", result}}); }
void count(Metrics& metrics, const Found& found) { count(metrics, !found.record ? kMissing : to_string(found.tier)); }

Result<std::vector<Found>> counted(Metrics& metrics, Result<std::vector<Found>>&& found) {
  if (found) {
    for (const auto& one : *found) count(metrics, one);
  }
  return std::move(found);
}

// What the store says, and with `through` what it does not know.
Misses sort_out(std::vector<Lookup>&& looked, TimePoint now, bool through) {
  Misses misses;
  misses.found.resize(looked.size());
  for (std::size_t i = 0; i < looked.size(); ++i) {
    misses.found[i].record = detail::live(looked[i], now);
    if (through && looked[i].status == Lookup::Status::kUnknown) misses.places.push_back(i);
  }
  return misses;
}

// Asks for the missing ones, where there are any, and waits.
Result<std::vector<Found>> complete(detail::ReadThrough* through, Misses&& misses, Deadline deadline) {
  if (misses.places.empty()) return std::move(misses.found);
  const auto promise = std::make_shared<std::promise<Result<std::vector<Found>>>>();
  through->ask(std::move(misses), deadline, [promise](Result<std::vector<Found>> found) { promise->set_value(std::move(found)); });
  return promise->get_future().get();
}

Result<Found> first_of(Result<std::vector<Found>>&& found) {
  if (!found) return std::move(found).error();
  return std::move(found->front());
}

Result<std::optional<Record>> record_of(Result<Found>&& found) {
  if (!found) return std::move(found).error();
  return std::move(found->record);
}

}  // namespace

std::string_view to_string(Tier tier) noexcept { return tier == Tier::kArchive ? "archive" : "store"; }

Result<void> ReadThroughOptions::validate() const {
  const auto bad = [](const char* field, const char* rule) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, fmt::format("read-through option {} {}", field, rule)).at_field(field);
  };
  if (timeout <= Milliseconds(0)) return bad("timeout", "must be > 0");
  if (threads == 0 || threads > 64) return bad("threads", "must be 1 to 64");
  if (max_waiting == 0) return bad("max_waiting", "must be > 0");
  if (negative_age < Milliseconds(0)) return bad("negative_age", "must not be negative");
  if (failures == 0) return bad("failures", "must be > 0");
  if (pause <= Milliseconds(0)) return bad("pause", "must be > 0");
  return {};
}

Result<void> ReaderOptions::validate() const {
  if (!key_store) return Error(ErrorCode::kInvalidArgument, "reader option key_store is required").at_field("key_store");
  if (read_through && (!archive || !archive->capabilities().read_by_key)) {
    return Error(ErrorCode::kInvalidArgument, "reader option read_through needs an archive that can be read by key")
        .at_field("read_through");
  }
  return through.validate();
}

Reader::Reader(ReaderOptions options) : options_(std::move(options)) {
  const auto capabilities = options_.key_store.backend()->capabilities();
  async_gets_ = capabilities.async_gets;
  at_hand_ = capabilities.at_hand;
  if (options_.read_through) through_ = std::make_shared<detail::ReadThrough>(options_);
}

Reader::~Reader() {
  if (through_) through_->stop();
}

Result<std::unique_ptr<Reader>> Reader::create(ReaderOptions options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  if (!options.clock) options.clock = system_clock();
  if (!options.metrics) options.metrics = no_metrics();
  return std::unique_ptr<Reader>(new Reader(std::move(options)));
}

Result<Found> Reader::find(std::string_view key, std::string_view ns, Deadline deadline) const {
  return first_of(get(std::span(&key, 1), ns, deadline));
}

Result<std::optional<Record>> Reader::get(std::string_view key, std::string_view ns, Deadline deadline) const {
  return record_of(find(key, ns, deadline));
}

Result<std::vector<Found>> Reader::get(std::span<const std::string_view> keys, std::string_view ns, Deadline deadline) const {
  const auto now = options_.clock->now();
  auto looked = options_.key_store.backend()->get({.ns = ns, .keys = keys, .now = now, .deadline = deadline});
  if (!looked) return std::move(looked).error();
  auto misses = sort_out(*std::move(looked), now, reads_through());
  if (!misses.places.empty()) misses.ns = ns;
  for (const auto place : misses.places) misses.names.emplace_back(keys[place]);
  return counted(*options_.metrics, complete(through_.get(), std::move(misses), deadline));
}

namespace {

// One key of a store that answers later, and of nothing else: what the hot path of a server is made of.
template <class Finish>
void ask_store_only(const ReaderOptions& options, std::string_view key, std::string_view ns, Deadline deadline, Finish finish) {
  const auto now = options.clock->now();
  options.key_store.backend()->get_async(
      {.ns = ns, .keys = std::span(&key, 1), .now = now, .deadline = deadline},
      [now, metrics = options.metrics, finish = std::move(finish)](Result<std::vector<Lookup>> looked) mutable {
        if (!looked) return finish(std::move(looked).error());
        // Where it is sent from: a record has many texts to move.
        Result<Found> found{Found{}};
        if (auto& lookup = looked->front(); detail::is_live(lookup, now)) found->record = std::move(lookup.record);
        count(*metrics, *found);
        finish(std::move(found));
      });
}

}  // namespace

void Reader::find_async(std::string_view key, std::string_view ns, Deadline deadline, FindDone done) const {
  if (async_gets_ && !through_) return ask_store_only(options_, key, ns, deadline, std::move(done));
  get_async(std::span(&key, 1), ns, deadline,
            [done = std::move(done)](Result<std::vector<Found>> found) { done(first_of(std::move(found))); });
}

std::optional<Found> Reader::find_at_hand(std::string_view key, std::string_view ns) const {
  const auto now = options_.clock->now();
  auto lookup = options_.key_store.backend()->get_at_hand(ns, key, now);
  if (!lookup || (through_ && lookup->status == Lookup::Status::kUnknown)) return std::nullopt;
  std::optional<Found> found{std::in_place};
  if (detail::is_live(*lookup, now)) found->record = std::move(lookup->record);
  count(*options_.metrics, *found);
  return found;
}

std::optional<std::shared_ptr<const Record>> Reader::shared_record(std::string_view key, std::string_view ns) const {
  const auto now = options_.clock->now();
  auto lookup = options_.key_store.backend()->share_at_hand(ns, key, now);
  if (lookup == nullptr || (through_ && lookup->status == Lookup::Status::kUnknown)) return std::nullopt;
  if (!detail::is_live(*lookup, now)) return nullptr;
  const Record* record = &*lookup->record;
  return std::shared_ptr<const Record>(std::move(lookup), record);
}

std::optional<std::shared_ptr<const Record>> Reader::record_at_hand(std::string_view key, std::string_view ns) const {
  auto record = shared_record(key, ns);
  if (record) count(*options_.metrics, *record != nullptr ? to_string(Tier::kStore) : kMissing);
  return record;
}

bool Reader::still_at_hand(std::string_view key, std::string_view ns, const std::weak_ptr<const Record>& record) const {
  const auto now = shared_record(key, ns);
  if (!now || *now == nullptr || record.lock() != *now) return false;
  count(*options_.metrics, to_string(Tier::kStore));
  return true;
}

void Reader::get_async(std::string_view key, std::string_view ns, Deadline deadline, GetDone done) const {
  auto finish = [done = std::move(done)](Result<Found> found) { done(record_of(std::move(found))); };
  if (async_gets_ && !through_) return ask_store_only(options_, key, ns, deadline, std::move(finish));
  find_async(key, ns, deadline, std::move(finish));
}

void Reader::get_async(std::span<const std::string_view> keys, std::string_view ns, Deadline deadline, GetAllDone done) const {
  const auto now = options_.clock->now();
  // The views do not last until the store has answered; without an archive nobody needs the names again.
  std::vector<std::string> names;
  std::string space;
  if (through_) {
    names.assign(keys.begin(), keys.end());
    space = ns;
  }
  auto answer = [now, deadline, names = std::move(names), space = std::move(space), metrics = options_.metrics, through = through_,
                 done = std::move(done)](Result<std::vector<Lookup>> looked) mutable {
    if (!looked) return done(std::move(looked).error());
    auto misses = sort_out(*std::move(looked), now, through != nullptr);
    if (misses.places.empty()) return done(counted(*metrics, std::move(misses.found)));
    misses.ns = std::move(space);
    for (const auto place : misses.places) misses.names.push_back(std::move(names[place]));
    through->ask(std::move(misses), deadline, [metrics = std::move(metrics), done = std::move(done)](Result<std::vector<Found>> found) {
      done(counted(*metrics, std::move(found)));
    });
  };
  auto& store = *options_.key_store.backend();
  const GetRecords request{.ns = ns, .keys = keys, .now = now, .deadline = deadline};
  if (async_gets_) return store.get_async(request, std::move(answer));
  answer(store.get(request));
}

Result<Found> Reader::find_by_id(std::string_view id, std::string_view ns, Deadline deadline) const {
  const auto now = options_.clock->now();
  auto looked = options_.key_store.backend()->get_by_id({.ns = ns, .id = id, .now = now, .deadline = deadline});
  if (!looked) return std::move(looked).error();
  std::vector<Lookup> lookups;
  lookups.push_back(*std::move(looked));
  auto misses = sort_out(std::move(lookups), now, reads_through());
  if (!misses.places.empty()) {
    misses.by_id = true;
    misses.ns = ns;
    misses.names.emplace_back(id);
  }
  return first_of(counted(*options_.metrics, complete(through_.get(), std::move(misses), deadline)));
}

Result<std::optional<Record>> Reader::get_by_id(std::string_view id, std::string_view ns, Deadline deadline) const {
  return record_of(find_by_id(id, ns, deadline));
}

void Reader::forget_missing(std::string_view ns, std::string_view id, const KeyList& keys) const {
  if (through_) through_->forget_missing(ns, id, keys);
}

Result<std::optional<Record>> Reader::only_archived(std::string_view key, std::string_view ns, Deadline deadline) const {
  if (!through_) return std::optional<Record>();
  return through_->only_archived(key, ns, deadline);
}

}  // namespace setget::inline v0
