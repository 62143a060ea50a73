#include <fmt/format.h>

#include <setget/reader.hpp>

#include "pipeline/metric_names.hpp"

namespace setget::inline v0 {

namespace {

// Missing, found here or found there: what kReads counts.
void count(Metrics& metrics, const Found& found) {
  const auto result = !found.record ? "missing" : found.tier == Tier::kStore ? "store" : "archive";
  metrics.add(detail::metric::kReads, 1, {{"result", result}});
}

// What the store found, as the reader's clock sees it: a backend may evict late.
std::optional<Record> live(Lookup& lookup, TimePoint now) {
  if (lookup.status != Lookup::Status::kFound || !lookup.record || lookup.record->expired(now)) return std::nullopt;
  return std::move(lookup.record);
}

bool asks_archive(const ReaderOptions& options) { return options.read_through && options.archive != nullptr; }

// A record of the archive counts only where the store knows nothing newer of its identity: a key that the store has forgotten says nothing
// about the record that once held it.
Result<std::optional<Record>> confirmed(const ReaderOptions& options, std::optional<Record>&& record, TimePoint now, Deadline deadline) {
  if (!record || record->expired(now)) return std::optional<Record>();
  auto known = options.key_store.backend()->get_by_id({.ns = record->ns, .id = record->id, .now = now, .deadline = deadline});
  if (!known) return std::move(known).error();
  if (known->status != Lookup::Status::kUnknown) return std::optional<Record>();
  return std::move(record);
}

}  // namespace

Result<void> ReaderOptions::validate() const {
  if (!key_store) return Error(ErrorCode::kInvalidArgument, "reader option key_store is required").at_field("key_store");
  if (read_through && (!archive || !archive->capabilities().read_by_key)) {
    return Error(ErrorCode::kInvalidArgument, "reader option read_through needs an archive that can be read by key")
        .at_field("read_through");
  }
  return {};
}

Reader::Reader(ReaderOptions options)
    : options_(std::move(options)), async_gets_(options_.key_store.backend()->capabilities().async_gets && !asks_archive(options_)) {}
Reader::~Reader() = default;

Result<std::unique_ptr<Reader>> Reader::create(ReaderOptions options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  if (!options.clock) options.clock = system_clock();
  if (!options.metrics) options.metrics = no_metrics();
  return std::unique_ptr<Reader>(new Reader(std::move(options)));
}

Result<std::optional<Record>> Reader::get(std::string_view key, std::string_view ns, Deadline deadline) const {
  auto found = get(std::span(&key, 1), ns, deadline);
  if (!found) return std::move(found).error();
  return std::move(found->front().record);
}

Result<std::vector<Found>> Reader::get(std::span<const std::string_view> keys, std::string_view ns, Deadline deadline) const {
  const auto now = options_.clock->now();
  auto looked = options_.key_store.backend()->get({.ns = ns, .keys = keys, .now = now, .deadline = deadline});
  if (!looked) return std::move(looked).error();
  std::vector<Found> found(keys.size());
  std::vector<std::string_view> unknown;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto& lookup = (*looked)[i];
    found[i].record = live(lookup, now);
    if (lookup.status == Lookup::Status::kUnknown && asks_archive(options_)) {
      unknown.push_back(keys[i]);
      places.push_back(i);
    }
  }
  if (!unknown.empty()) {
    auto archived = options_.archive->get({.ns = ns, .keys = unknown, .now = now, .deadline = deadline});
    if (!archived) return std::move(archived).error();
    for (std::size_t i = 0; i < places.size(); ++i) {
      auto record = confirmed(options_, std::move((*archived)[i].record), now, deadline);
      if (!record) return std::move(record).error();
      auto& place = found[places[i]];
      place.tier = *record ? Tier::kArchive : Tier::kStore;
      place.record = std::move(*record);
    }
  }
  for (const auto& one : found) count(*options_.metrics, one);
  return found;
}

void Reader::get_async(std::string_view key, std::string_view ns, Deadline deadline, GetDone done) const {
  if (!async_gets_) return done(get(key, ns, deadline));
  const auto now = options_.clock->now();
  options_.key_store.backend()->get_async({.ns = ns, .keys = std::span(&key, 1), .now = now, .deadline = deadline},
                                          [now, metrics = options_.metrics, done = std::move(done)](Result<std::vector<Lookup>> looked) {
                                            if (!looked) return done(std::move(looked).error());
                                            Found found{.record = live(looked->front(), now)};
                                            count(*metrics, found);
                                            done(std::move(found.record));
                                          });
}

void Reader::get_async(std::span<const std::string_view> keys, std::string_view ns, Deadline deadline, GetAllDone done) const {
  if (!async_gets_) return done(get(keys, ns, deadline));
  const auto now = options_.clock->now();
  options_.key_store.backend()->get_async({.ns = ns, .keys = keys, .now = now, .deadline = deadline},
                                          [now, metrics = options_.metrics, done = std::move(done)](Result<std::vector<Lookup>> looked) {
                                            if (!looked) return done(std::move(looked).error());
                                            std::vector<Found> found(looked->size());
                                            for (std::size_t i = 0; i < found.size(); ++i) {
                                              found[i].record = live((*looked)[i], now);
                                              count(*metrics, found[i]);
                                            }
                                            done(std::move(found));
                                          });
}

Result<std::optional<Record>> Reader::get_by_id(std::string_view id, std::string_view ns, Deadline deadline) const {
  const auto now = options_.clock->now();
  auto looked = options_.key_store.backend()->get_by_id({.ns = ns, .id = id, .now = now, .deadline = deadline});
  if (!looked) return std::move(looked).error();
  Found found;
  found.record = live(*looked, now);
  if (looked->status == Lookup::Status::kUnknown && asks_archive(options_)) {
    auto archived = options_.archive->get_by_id({.ns = ns, .id = id, .now = now, .deadline = deadline});
    if (!archived) return std::move(archived).error();
    if (archived->record && !archived->record->expired(now)) {
      found.record = std::move(archived->record);
      found.tier = Tier::kArchive;
    }
  }
  count(*options_.metrics, found);
  return std::move(found.record);
}

}  // namespace setget::inline v0
