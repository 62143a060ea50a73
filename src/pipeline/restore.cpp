#include "pipeline/archive_pages.hpp"
#include "pipeline/archiver_state.hpp"
#include "pipeline/caught.hpp"
#include "pipeline/pages_ahead.hpp"
#include "pipeline/recalled_entry.hpp"

namespace setget::inline v0 {

namespace {

// Puts archived records back. Two ways (docs/adr/0008-restore.md): what the store does not know comes back as it was, with version,
// revision, stamp and lost keys; with `overwrite` everything selected becomes a fresh version with a fresh stamp, like a set accepted now.
template <class State>
class Restoration {
 public:
  Restoration(State& state, detail::ArchiveTurn& turn, const RestoreOptions& options)
      : state_(state), turn_(turn), options_(options), flows_(state.options.policy->flows()), now_(state.options.clock->now()) {
    progress_.started_at = now_;
    if (options.resume) progress_ = *options.resume;
  }

  Result<RestoreReport> go() {
    if (auto ready = look_at_history(); !ready) return std::move(ready).error();
    if (auto ready = look_at_store(); !ready) return std::move(ready).error();
    auto& cursor = progress_.cursor;
    // Before anything is done: what the store was like must not be forgotten.
    if (auto told = tell(); !told) return std::move(told).error();
    detail::PagesAhead pages([this](const std::string& from, std::size_t limit) { return read(from, limit); }, cursor,
                             detail::PageSize(state_.options.batch, state_.options.batch_bytes), state_.options.batch_bytes);
    do {
      if (auto on = turn_.go_on(); !on) return std::move(on).error();
      auto page = pages.next();
      if (!page) return std::move(page).error();
      if (auto done = restore(*page); !done) return std::move(done).error();
      turn_.pace(page->items.size());
      cursor = std::move(page->next);
      // The end is told by returning: progress with a cursor that has come to the end would be one that begins again.
      if (cursor.empty()) break;
      if (auto told = tell(); !told) return std::move(told).error();
    } while (true);
    return report_;
  }

 private:
  Result<SummaryPage> read(const std::string& cursor, std::size_t limit) {
    if (options_.at) {
      return state_.scan_past({.cursor = cursor, .limit = limit, .at = *options_.at, .over_damaged = true, .deadline = turn_.deadline()});
    }
    return detail::scan_over_damage(
        state_.archive(), {.cursor = cursor, .limit = limit, .with_records = true, .records_later = true, .deadline = turn_.deadline()});
  }

  // Makes what the archive left to be made; a record that cannot be is damaged, as if the scan had found it.
  static Result<void> finish(SummaryPage& page) {
    bool damaged = false;
    for (auto& item : page.items) {
      if (!item.record_later) continue;
      auto record = item.record_later();
      if (record) {
        item.record = *std::move(record);
        continue;
      }
      if (!detail::is_damage(record.error())) return std::move(record).error();
      damaged = true;
      page.damaged.push_back(
          {.hash = item.hash, .ns = item.ns, .id = item.id, .name = {}, .reason = std::string(record.error().message())});
    }
    if (damaged) std::erase_if(page.items, [](const Summary& item) { return item.record_later && !item.record; });
    return {};
  }

  // What the store knows of a page's records is asked at once, and what is to be put back goes to it at once.
  Result<void> restore(SummaryPage& page) {
    if (auto finished = finish(page); !finished) return finished;
    std::vector<Summary*> wanted;
    wanted.reserve(page.items.size());
    for (auto& item : page.items) {
      if (item.record && selected(*item.record)) wanted.push_back(&item);
    }
    auto known = known_in_store(wanted);
    if (!known) return std::move(known).error();
    std::size_t next = 0;
    for (auto& item : page.items) {
      if (!item.record) {
        if (auto done = consider_tombstone(std::move(item)); !done) return done;
      } else if (next < wanted.size() && wanted[next] == &item) {
        if (auto done = consider(item, known->empty() ? Lookup{} : std::move((*known)[next])); !done) return done;
        ++next;
      }
    }
    if (auto done = apply_kept(); !done) return done;
    if (auto done = apply_fresh(); !done) return done;
    for (auto& item : page.damaged) pass_over(std::move(item));
    return {};
  }

  // Empty, and nothing is asked: a store that was empty knows what came since the beginning, or what this brought back before it was
  // stopped. The model decides of both.
  Result<std::vector<Lookup>> known_in_store(std::span<const Summary* const> wanted) {
    if (wanted.empty() || (report_.into_empty_store && !options_.dry_run)) return std::vector<Lookup>();
    std::vector<IdentityName> names;
    names.reserve(wanted.size());
    for (const auto* item : wanted) names.push_back({.ns = item->record->ns, .id = item->record->id});
    auto found = state_.store().get_by_ids({.names = names, .now = now_, .deadline = turn_.deadline()});
    if (found || !detail::is_damage(found.error())) return found;
    std::vector<Lookup> known;
    for (const auto& name : names) {
      auto one = in_store(name);
      if (!one) return std::move(one).error();
      known.push_back(*std::move(one));
    }
    return known;
  }

  // A record that is damaged there is there: without `overwrite` it stays, and with it the archive's copy takes its place.
  Result<Lookup> in_store(const IdentityName& name) {
    auto found = state_.store().get_by_id({.ns = name.ns, .id = name.id, .now = now_, .deadline = turn_.deadline()});
    if (found || !detail::is_damage(found.error())) return found;
    return Lookup{.status = Lookup::Status::kGone, .record = {}};
  }

  // The healthy ones are needed most where the store is lost.
  void pass_over(DamagedItem&& item) {
    if (options_.ns && !item.id.empty() && *options_.ns != item.ns) return;
    ++report_.damaged;
    state_.options.logger->log(LogLevel::kError, "a restore passes over an archived document that cannot be read",
                               {{"id", item.id.empty() ? item.name : item.id}, {"reason", item.reason}});
    if (report_.damaged_list.size() < options_.max_damaged) report_.damaged_list.push_back(std::move(item));
  }

  Result<void> look_at_history() {
    if (!options_.at) return {};
    if (auto known = state_.check_moment(*options_.at); !known) return known;
    if (auto moved = state_.move_history(turn_.deadline(), nullptr, [this] { return turn_.go_on(); }); !moved)
      return std::move(moved).error();
    auto stats = state_.archive().stats_within(turn_.soon());
    if (!stats) return std::move(stats).error();
    return detail::check_reach(stats->history_from, *options_.at);
  }

  Result<void> look_at_store() {
    auto page = state_.store().scan({.cursor = {}, .limit = 1, .deadline = turn_.deadline(), .over_damaged = true});
    if (!page) return std::move(page).error();
    if (!options_.resume) report_.into_empty_store = page->items.empty() && page->damaged.empty();
    auto stats = state_.store().stats(turn_.soon());
    if (!stats) return std::move(stats).error();
    // Not below the floor, where the store knows nothing any more; and no stamp before those of another run that this goes on from.
    first_stamp_ = std::max<Stamp>(stats->floor, stamp_at(progress_.started_at + Milliseconds(1)));
    last_stamp_ = first_stamp_ + report_.considered;
    auto identity = state_.store().identity(turn_.soon());
    if (!identity) return std::move(identity).error();
    if (!options_.resume) progress_.store = *identity;
    if (progress_.store != *identity) {
      return Error(ErrorCode::kFailedPrecondition, "the progress is of a restore into another store").at_field("resume");
    }
    return look_at_archive();
  }

  // Places in one archive are none in another. One that no run had given an id may have got it since.
  Result<void> look_at_archive() {
    auto checkpoint = state_.archive().load_checkpoint_within(turn_.soon());
    if (!checkpoint) return std::move(checkpoint).error();
    auto id = *checkpoint ? std::move((*checkpoint)->archive_id) : std::string();
    if (!options_.resume || progress_.archive.empty()) progress_.archive = id;
    if (progress_.archive != id) {
      return Error(ErrorCode::kFailedPrecondition, "the progress is of a restore out of another archive").at_field("resume");
    }
    return {};
  }

  Result<void> tell() {
    if (!options_.on_progress || options_.dry_run) return {};
    try {
      options_.on_progress(progress_);
      return {};
    } catch (const std::exception& thrown) {
      return Error(ErrorCode::kInternal, fmt::format("on_progress threw: {}", thrown.what())).from(ErrorSource::kHost, 0, thrown.what());
    } catch (...) {
      return Error(ErrorCode::kInternal, "on_progress threw something that is not a std::exception").from(ErrorSource::kHost, 0, "");
    }
  }

  bool selected(const Record& record) const {
    if (options_.ns && record.ns != *options_.ns) return false;
    if (options_.account && record.account != *options_.account) return false;
    if (options_.flow && record.flow != *options_.flow) return false;
    if (options_.owner && record.owner != *options_.owner) return false;
    return !options_.key || (record.keys.contains(*options_.key) && !record.lost_keys.contains(*options_.key));
  }

  // Takes the item's record.
  Result<void> consider(Summary& item, Lookup&& known) {
    auto& record = *item.record;
    ++report_.considered;
    if (record.expired(now_)) {
      if (!options_.include_expired) {
        ++report_.skipped_expired;
        return {};
      }
      const auto life = state_.options.policy->resolve(record.account, record.flow, options_.ttl);
      record.expires_at = TtlPolicy::expires_at(now_, life.ttl);
      record.ttl_rule = life.rule;
      ++record.revision;  // so that the archive takes the new expiry
    }
    if (options_.overwrite && !report_.into_empty_store) return overwrite(std::move(record), std::move(known.record));
    if (known.status != Lookup::Status::kUnknown) {
      ++report_.skipped_present;
      return {};
    }
    if (options_.dry_run) {
      ++report_.restored;
      return {};
    }
    kept_.push_back(detail::recalled_entry(std::move(record), *flows_, std::move(item.encoded)));
    return {};
  }

  // A queue that outlived the store may still deliver sets from before an erase: its tombstone keeps them stale. It is forgotten like any
  // other once the floor has passed the moment of the restore.
  Result<void> consider_tombstone(Summary&& item) {
    const bool everything =
        !options_.account && !options_.flow && !options_.owner && !options_.key && (!options_.ns || *options_.ns == item.ns);
    if (!report_.into_empty_store || options_.dry_run || !everything || item.version == 0) return {};
    ApplyEntry entry;
    entry.command.kind = CommandKind::kErase;
    entry.command.ns = std::move(item.ns);
    entry.command.id = std::move(item.id);
    entry.command.version = item.version;
    entry.encoded = encode_command(entry.command);
    entry.revision = item.revision;
    entry.stamp = fresh_stamp();
    kept_.push_back(std::move(entry));
    return {};
  }

  bool keeps_history(const Record& record) const { return flows_->effective(record.account, record.flow).history.value_or(false); }
  bool listed(const Record& record) const { return flows_->effective(record.account, record.flow).index.value_or(false); }

  Result<void> apply_kept() {
    if (kept_.empty()) return {};
    auto applied = apply_now(kept_);
    if (!applied) return std::move(applied).error();
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      auto& result = (*applied)[i];
      if (!result) return std::move(result).error();
      if (kept_[i].command.kind != CommandKind::kSet) continue;
      if (result->outcome == Outcome::kApplied) {
        ++report_.restored;
      } else if (result->outcome == Outcome::kExpired) {
        ++report_.skipped_expired;
      } else {
        ++report_.skipped_present;  // a set came in between
      }
    }
    kept_.clear();
    return {};
  }

  // Within one millisecond: of different identities equal stamps will do, and a later one would win over what was set meanwhile.
  Stamp fresh_stamp() {
    constexpr Stamp kCounters = Stamp{1} << kStampCounterBits;
    last_stamp_ = std::min(last_stamp_ + 1, first_stamp_ + kCounters - 1);
    return last_stamp_;
  }

  // What was set after the restore had begun is later than what it brings back, and stays.
  bool is_later(Stamp accepted) const { return accepted >= stamp_at(progress_.started_at + Milliseconds(1)); }
  bool is_later(const std::optional<Record>& current) const { return current && is_later(current->stamp); }

  // Where versions are assigned the stamp is the version, as for any set; a caller's numbering goes on by one, so that his next is not
  // stale. All stamps are of the millisecond after the restore began: what was set, erased or moved since wins by the model.
  Result<void> overwrite(Record&& record, std::optional<Record> current) {
    std::vector<std::string_view> held;
    for (const auto key : record.keys) {
      if (!record.lost_keys.contains(key)) held.push_back(key);
    }
    // Or others have all of its keys.
    if (is_later(current) || held.empty()) {
      ++report_.skipped_present;
      return {};
    }
    if (options_.dry_run) {
      count_fresh(current);
      return {};
    }
    ApplyEntry entry;
    entry.stamp = fresh_stamp();
    entry.expires_at = record.expires_at;
    entry.ttl_rule = record.ttl_rule;
    entry.listed = listed(record);
    entry.history = keeps_history(record);
    const bool assigned = record.version == record.stamp;
    const auto known_version = std::max(record.version, current ? current->version : 0);
    const KeyList keys{std::span<const std::string_view>(held)};
    record.attributes.insert_or_assign(std::string(kRestoredFrom), fmt::format("version {}, revision {}", record.version, record.revision));
    entry.command = detail::command_of(std::move(record));
    entry.command.keys = keys;
    if (!assigned) entry.command.version = known_version + 1;
    entry.encoded = encode_command(entry.command);
    fresh_.push_back(std::move(entry));
    replaced_.push_back({.assigned = assigned, .current = std::move(current)});
    return {};
  }

  // The floor may have passed the beginning; what the archiver has not copied since then the store still knows.
  auto apply_now(std::span<const ApplyEntry> entries) {
    return state_.store().apply(
        {.entries = entries, .now = state_.options.clock->now(), .deadline = turn_.deadline(), .ignore_floor = true});
  }

  Result<void> apply_fresh() {
    if (fresh_.empty()) return {};
    auto applied = apply_now(fresh_);
    if (!applied) return std::move(applied).error();
    for (std::size_t i = 0; i < fresh_.size(); ++i) {
      if (auto done = settle(std::move(fresh_[i]), std::move(replaced_[i]), std::move((*applied)[i])); !done) return done;
    }
    fresh_.clear();
    replaced_.clear();
    return {};
  }

  struct Replaced {
    bool assigned = false;  // the stamp is the version
    std::optional<Record> current{};
  };

  // After the first try.
  Result<void> settle(ApplyEntry entry, Replaced replaced, Result<ApplyResult> result) {
    constexpr int kTries = 5;
    for (int i = 0; i < kTries; ++i) {
      if (i > 0) {
        entry.encoded = encode_command(entry.command);
        auto applied = apply_now(std::span(&entry, 1));
        if (!applied) return std::move(applied).error();
        result = std::move(applied->front());
      }
      if (!result && result.error().code() == ErrorCode::kResourceExhausted && i + 1 < kTries) {
        // The outbox for histories is full.
        if (auto moved = state_.move_history(turn_.deadline(), nullptr, [this] { return turn_.go_on(); }); !moved)
          return std::move(moved).error();
        continue;
      }
      if (!result) return std::move(result).error();
      // A duplicate: this restore did it before it was interrupted.
      if (result->outcome == Outcome::kApplied || result->outcome == Outcome::kDuplicate) {
        count_fresh(replaced.current);
        return {};
      }
      if (result->outcome == Outcome::kExpired) {
        ++report_.skipped_expired;
        return {};
      }
      auto known = in_store({.ns = entry.command.ns, .id = entry.command.id});
      if (!known) return std::move(known).error();
      replaced.current = std::move(known->record);
      // What stays may be a tombstone: an erase that came since the beginning wins as a set does.
      if (is_later(result->accepted) || is_later(replaced.current) || (replaced.assigned && !replaced.current)) {
        ++report_.skipped_present;
        return {};
      }
      // A caller's number, and the store is further than the archive knew.
      entry.command.version = result->version + 1;
    }
    return Error(ErrorCode::kConflict, fmt::format("record \"{}\" changes faster than it can be overwritten", entry.command.id))
        .at_field("id");
  }

  void count_fresh(const std::optional<Record>& replaced) {
    ++report_.restored;
    if (replaced) ++report_.overwritten;
  }

  State& state_;
  detail::ArchiveTurn& turn_;
  const RestoreOptions& options_;
  std::shared_ptr<const Flows> flows_;
  const TimePoint now_;
  Stamp first_stamp_ = 0;
  Stamp last_stamp_ = 0;
  std::vector<ApplyEntry> kept_;
  std::vector<ApplyEntry> fresh_;
  std::vector<Replaced> replaced_;  // one for each
  RestoreProgress progress_;
  RestoreReport& report_ = progress_.report;
};

}  // namespace

Result<RestoreReport> Archiver::restore(const RestoreOptions& options, Deadline deadline) {
  if (options.ttl && !options.include_expired) {
    return Error(ErrorCode::kInvalidArgument, "a TTL is the life of expired records, which are not included").at_field("ttl");
  }
  auto turn = detail::ArchiveTurn::begin(*state_, deadline);
  if (!turn) return std::move(turn).error();
  return detail::caught("restore", [&] { return Restoration<State>(*state_, **turn, options).go(); });
}

}  // namespace setget::inline v0
