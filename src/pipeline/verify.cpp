#include <atomic>
#include <future>
#include <map>
#include <utility>

#include "core/range_digest.hpp"
#include "core/scan_cursor.hpp"
#include "pipeline/archive_pages.hpp"
#include "pipeline/archiver_state.hpp"
#include "pipeline/caught.hpp"
#include "pipeline/metric_names.hpp"
#include "pipeline/verify_compare.hpp"
#include "pipeline/verify_lines.hpp"

namespace setget::inline v0 {

namespace {

using detail::SideState;
using Is = SideState::Is;

// Digests and scans only nominate: while they run, both sides may change. A candidate is reported after it was read again on both sides, is
// not covered by a change that has not been archived yet, and reads the same once more after that.
template <class State>
class Verification {
 public:
  Verification(State& state, detail::ArchiveTurn& turn, const VerifyOptions& options)
      : state_(state), turn_(turn), options_(options), rules_(state.rules()), now_(state.options.clock->now()) {}

  Result<VerifyReport> go() {
    if (auto ready = check_checkpoint(); !ready) return std::move(ready).error();
    if (auto done = compare_ranges(); !done) return std::move(done).error();
    if (auto done = settle_candidates(); !done) return std::move(done).error();
    return std::move(report_);
  }

 private:
  struct Candidate {
    std::string ns;
    std::string id;
    // Of the store's line, which a lookup does not tell.
    bool tombstone = false;
    Version version = 0;
    Revision revision = 0;
    TombstoneReason reason = TombstoneReason::kErased;
    // And of the archive's.
    Version archive_version = 0;
    Revision archive_revision = 0;
    SideState store;
    SideState archive;
    std::optional<Record> record;  // of the store, as read last
    bool pending = false;
  };

  Result<void> check_checkpoint() {
    auto loaded = state_.archive().load_checkpoint_within(turn_.soon());
    if (!loaded) return std::move(loaded).error();
    if (!*loaded || (*loaded)->full_copy) {
      return Error(ErrorCode::kFailedPrecondition, "the archive does not hold a whole copy yet: run it first");
    }
    auto identity = state_.store().identity(turn_.soon());
    if (!identity) return std::move(identity).error();
    if ((*loaded)->source != *identity) {
      return Error(ErrorCode::kFailedPrecondition, detail::same_store((*loaded)->source, *identity)).at_field("identity");
    }
    // Whatever a run left out, it left out at or before this moment.
    last_run_ = std::max((*loaded)->last_started_at, (*loaded)->last_success_at);
    return {};
  }

  Result<void> compare_ranges() {
    constexpr std::uint64_t kEntries = 256;
    constexpr std::uint64_t kRanges = 65536;
    const auto stats = state_.store().stats(turn_.soon());
    if (!stats) return stats.error();
    const auto starts = detail::even_ranges(stats->records, kEntries, kRanges);
    // Both sides at once: each waits for its own server. Where one fails the other stops.
    std::atomic<bool> failed = false;
    const auto side = [&](const auto& digest) {
      detail::ArchiveTurn::Pages pages(turn_);
      const auto go_on = [&]() -> Result<void> {
        if (failed) return Error(ErrorCode::kCancelled, "the other side could not be read");
        return pages.go_on();
      };
      auto ranges = digest(go_on);
      if (!ranges) failed = true;
      return ranges;
    };
    auto other = std::async(std::launch::async | std::launch::deferred, [&] {
      return side([&](const auto& go_on) {
        return state_.archive().digest(
            {.starts = starts, .now = now_, .deep = sample(), .page = state_.options.batch, .go_on = go_on, .deadline = turn_.deadline()});
      });
    });
    const auto in_store = side([&](const auto& go_on) {
      return state_.store().digest(
          {.starts = starts, .now = now_, .deep = sample(), .page = state_.options.batch, .go_on = go_on, .deadline = turn_.deadline()});
    });
    const auto in_archive = other.get();
    // One that cannot be read says nothing of the others: all are looked at one by one.
    if ((!in_store && detail::is_damage(in_store.error())) || (!in_archive && detail::is_damage(in_archive.error()))) {
      report_.ranges = report_.ranges_differing = in_store ? in_store->size() : 1;
      return merge(0, std::nullopt);
    }
    // Of the two the one that failed by itself.
    if (!in_store && (in_archive || in_archive.error().code() == ErrorCode::kCancelled)) return in_store.error();
    if (!in_archive) return in_archive.error();
    if (in_archive->size() != in_store->size()) return Error(ErrorCode::kInternal, "the archive answered for other ranges");
    report_.ranges = in_store->size();
    for (std::size_t at = 0; at < in_store->size();) {
      if ((*in_store)[at] == (*in_archive)[at]) {
        report_.compared += (*in_store)[at++].count;
        continue;
      }
      // Neighbours that differ are one walk.
      const auto first = (*in_store)[at].first;
      while (at < in_store->size() && (*in_store)[at] != (*in_archive)[at]) ++at, ++report_.ranges_differing;
      const auto end = at < in_store->size() ? std::optional((*in_store)[at].first) : std::nullopt;
      if (auto done = merge(first, end); !done) return done;
    }
    return {};
  }

  DeepSample sample() const {
    if (!options_.deep) return {};
    const auto day = std::chrono::floor<std::chrono::days>(now_).time_since_epoch().count();
    return {.of = options_.deep_sample, .turn = options_.deep_turn.value_or(static_cast<std::uint64_t>(day))};
  }

  // Line by line from the first identity of `first` up to `end`.
  Result<void> merge(std::uint64_t first, std::optional<std::uint64_t> end) {
    const auto from = [&](const std::string& cursor) { return cursor.empty() ? detail::cursor_before(first) : cursor; };
    const auto until = [&](Result<SummaryPage> page) {
      if (page) detail::take_damaged(*page, end, [&](const DamagedItem& item) { tell_nameless(item.name, item.reason); });
      if (!page || !end) return page;
      const auto behind = std::ranges::find_if(page->items, [&](const Summary& item) { return item.hash >= *end; });
      if (behind == page->items.end()) return page;
      page->items.erase(behind, page->items.end());
      page->next.clear();
      return page;
    };
    const auto fetch_store = [&](const std::string& cursor, std::size_t limit) {
      return until(state_.store().scan(
          {.cursor = from(cursor), .limit = limit, .with_records = false, .deadline = turn_.deadline(), .over_damaged = true}));
    };
    const auto fetch_archive = [&](const std::string& cursor, std::size_t limit) {
      return until(detail::scan_over_damage(state_.archive(),
                                            {.cursor = from(cursor), .limit = limit, .with_records = false, .deadline = turn_.deadline()}));
    };
    detail::ScanStream store(fetch_store, state_.options.batch);
    detail::ScanStream archive(fetch_archive, state_.options.batch);
    std::optional<std::string> unseen;
    while (true) {
      if (auto on = turn_.go_on(); !on) return on;
      auto left = store.peek();
      if (!left && !detail::is_damage(left.error())) return std::move(left).error();
      auto right = archive.peek();
      if (!right && !(left && detail::is_damage(right.error()))) return std::move(right).error();
      if (!left || !right) {
        unseen.reset();
        const auto passed =
            left ? pass(store, *left, archive, true, right.error(), unseen) : pass(archive, *right, store, false, left.error(), unseen);
        if (!passed) return passed.error();
        if (!*passed) return {};
        continue;
      }
      if (unseen) tell_nameless({}, *std::exchange(unseen, std::nullopt));
      if (*left == nullptr && *right == nullptr) return {};
      const int which = *left == nullptr ? 1 : *right == nullptr ? -1 : detail::order(**left, **right);
      if (auto done = look(which <= 0 ? *left : nullptr, which >= 0 ? *right : nullptr); !done) return done;
      if (which <= 0) store.pop();
      if (which >= 0) archive.pop();
    }
  }

  // The next of `broken` cannot be read, and only the other side may tell which one that is: goes on behind the other's next. False: the
  // other has none any more, and nothing tells what else is there. `unseen`: an error that is none of the other's next, unless the one
  // behind has it.
  template <class Healthy, class Broken>
  Result<bool> pass(Healthy& healthy, const Summary* next, Broken& broken, bool of_archive, const Error& error,
                    std::optional<std::string>& unseen) {
    if (next == nullptr) {
      tell_nameless({}, error.message());
      return false;
    }
    ++report_.compared;
    auto candidate = of_archive ? candidate_of(next, nullptr) : candidate_of(nullptr, next);
    if (auto read = read_both(candidate); !read) return std::move(read).error();
    candidate.record.reset();
    const auto there = (of_archive ? candidate.archive : candidate.store).is;
    if (there == Is::kLive || there == Is::kGone) unseen = error.message();
    const bool wanted = !of_archive || there != Is::kUnknown || !left_out(Difference::Kind::kMissingInArchive, *next);
    if (!wanted) ++report_.skipped;
    broken.pass(*next);
    healthy.pop();
    if (auto added = wanted ? add(std::move(candidate)) : Result<void>(); !added) return std::move(added).error();
    return true;
  }

  static Candidate candidate_of(const Summary* in_store, const Summary* in_archive) {
    Candidate candidate;
    const auto& line = in_store != nullptr ? *in_store : *in_archive;
    candidate.ns = line.ns;
    candidate.id = line.id;
    if (in_store != nullptr) {
      candidate.tombstone = line.tombstone;
      candidate.version = line.version;
      candidate.revision = line.revision;
      candidate.reason = line.reason;
    }
    if (in_archive != nullptr) {
      candidate.archive_version = in_archive->version;
      candidate.archive_revision = in_archive->revision;
    }
    return candidate;
  }

  void tell_nameless(std::string_view name, std::string_view reason) {
    ++report_.difference_count;
    list({.kind = Difference::Kind::kContent,
          .ns = {},
          .id = std::string(name),
          .detail = fmt::format("it cannot be read, nor whose it is: {}", reason)});
  }

  void list(Difference&& difference) {
    if (report_.differences.size() < options_.max_differences) report_.differences.push_back(std::move(difference));
  }

  Result<void> look(const Summary* in_store, const Summary* in_archive) {
    ++report_.compared;
    const auto store = in_store != nullptr ? detail::state_of(*in_store, now_) : SideState{};
    const auto archive = in_archive != nullptr ? detail::state_of(*in_archive, now_) : SideState{};
    const auto found = detail::compare(store, archive);
    const auto& summary = in_store != nullptr ? *in_store : *in_archive;
    // Lines say what is remembered of a payload. Where its bytes made the range differ, only reading it tells.
    const bool read = !found && store.is == Is::kLive && sample().takes(summary.hash);
    if (!found && !read) return {};
    if (found && left_out(found->kind, summary)) {
      ++report_.skipped;
      return {};
    }
    return add(candidate_of(in_store, in_archive));
  }

  Result<void> add(Candidate&& candidate) {
    candidates_.push_back(std::move(candidate));
    constexpr std::size_t kChunk = 2000;
    return candidates_.size() >= kChunk ? settle_candidates() : Result<void>();
  }

  bool left_out(Difference::Kind kind, const Summary& summary) const {
    return kind == Difference::Kind::kMissingInArchive && rules_.short_lived(summary.account, summary.flow, summary.expires_at, last_run_);
  }

  Result<void> settle_candidates() {
    if (candidates_.empty()) return {};
    auto loaded = state_.archive().load_checkpoint_within(turn_.soon());
    if (!loaded) return std::move(loaded).error();
    if (!*loaded) return Error(ErrorCode::kConflict, "the archive's checkpoint went away during the verification");
    const auto confirmed = (*loaded)->position;
    std::map<std::pair<std::string_view, std::string_view>, Candidate*> open;
    for (auto& candidate : candidates_) {
      if (auto on = turn_.go_on(); !on) return on;
      if (auto read = read_both(candidate); !read) return read;
      candidate.record.reset();  // many of them would be much; it is read again before anything is done
      if (detail::compare(candidate.store, candidate.archive))
        open.emplace(std::pair<std::string_view, std::string_view>(candidate.ns, candidate.id), &candidate);
    }
    if (!open.empty()) {
      if (auto done = mark_pending(open, confirmed); !done) return done;
    }
    for (auto& [identity, candidate] : open) {
      if (candidate->pending) continue;
      const auto store = candidate->store;
      const auto archive = candidate->archive;
      if (auto read = read_both(*candidate); !read) return read;
      // On the move: a change that is not archived yet made it so.
      if (candidate->store != store || candidate->archive != archive) continue;
      if (auto done = report(*candidate); !done) return done;
    }
    candidates_.clear();
    return {};
  }

  Result<void> read_both(Candidate& candidate) {
    auto store = state_.store().get_by_id({.ns = candidate.ns, .id = candidate.id, .now = now_, .deadline = turn_.deadline()});
    if (!store && !detail::is_damage(store.error())) return std::move(store).error();
    auto archive = state_.archive().get_by_id({.ns = candidate.ns, .id = candidate.id, .now = now_, .deadline = turn_.deadline()});
    if (!archive && !detail::is_damage(archive.error())) return std::move(archive).error();
    candidate.store = store ? detail::state_of(*store, now_) : detail::damaged(store.error());
    candidate.archive = archive ? detail::state_of(*archive, now_) : detail::damaged(archive.error());
    detail::fill_in(candidate.store, candidate.version, candidate.revision);
    detail::fill_in(candidate.archive, candidate.archive_version, candidate.archive_revision);
    candidate.record = store ? std::move(store->record) : std::nullopt;
    return {};
  }

  // Changes behind the confirmed position are the next run's work.
  template <class Open>
  Result<void> mark_pending(Open& open, Position after) {
    while (true) {
      if (auto on = turn_.go_on(); !on) return on;
      auto batch = state_.store().changes({.cursor = state_.options.cursor,
                                           .after = after,
                                           .limit = state_.options.batch,
                                           .max_bytes = state_.options.batch_bytes,
                                           .deadline = turn_.soon()});
      if (!batch) return std::move(batch).error();
      for (const auto& change : batch->changes) {
        const auto found = open.find(std::pair<std::string_view, std::string_view>(change.ns, change.id));
        if (found != open.end()) found->second->pending = true;
      }
      if (batch->at_end || batch->next <= after) return {};
      after = batch->next;
    }
  }

  // It has expired while this ran, and the store has evicted it already, or even forgotten it.
  bool is_over(const Candidate& candidate) const {
    const auto& archive = candidate.archive;
    return (candidate.store.is == Is::kGone || candidate.store.is == Is::kUnknown) && archive.is == Is::kLive && archive.expires_at &&
           *archive.expires_at <= state_.options.clock->now();
  }

  Result<void> report(Candidate& candidate) {
    auto found = detail::compare(candidate.store, candidate.archive);
    if (!found || is_over(candidate)) return {};
    ++report_.difference_count;
    if (found->kind == Difference::Kind::kOnlyInArchive) ++report_.only_in_archive;
    Difference difference{.kind = found->kind, .ns = candidate.ns, .id = candidate.id, .detail = std::move(found->detail)};
    if (options_.repair) {
      auto repaired = repair(candidate, found->kind);
      // What the archive does not take is this one's trouble: the others are repaired.
      if (!repaired && concerns_all(repaired.error())) return std::move(repaired).error();
      if (!repaired) difference.unrepaired = repaired.error().describe();
      if (repaired && *repaired) ++report_.repaired;
    }
    list(std::move(difference));
    return {};
  }

  // An archive that is away, and not a document that it refuses.
  static bool concerns_all(const Error& error) {
    return error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kCancelled || error.code() == ErrorCode::kDeadlineExceeded;
  }

  Result<bool> repair(Candidate& candidate, Difference::Kind kind) {
    if (candidate.store.is == Is::kDamaged) return false;  // the archive is the better copy
    if (candidate.archive.is == Is::kDamaged && candidate.archive.later) {
      return Error(ErrorCode::kUnsupported, "a later version wrote it, and can mend it: " + candidate.archive.damage);
    }
    switch (kind) {
      case Difference::Kind::kNewerInArchive:
        return false;  // the store has lost something: the archive is the better copy
      case Difference::Kind::kOnlyInArchive:
        return options_.prune ? prune(candidate) : Result<bool>(false);
      default:
        break;
    }
    std::vector<ArchiveEntry> entries;
    if (candidate.record) {
      entries.push_back(rules_.record_entry(Record(*candidate.record)));
    } else {
      // Nothing tells what it was.
      if (candidate.store.is == Is::kUnknown && candidate.archive.is == Is::kDamaged)
        return options_.prune ? prune(candidate) : Result<bool>(false);
      if (candidate.version == 0) return false;  // gone between two readings: the next verification sees its tombstone
      auto ended = ended_entry(candidate);
      if (!ended) return std::move(ended).error();
      entries.push_back(*ended ? *std::move(*ended)
                               : rules_.tombstone_entry(candidate.ns, candidate.id, candidate.version, candidate.revision, candidate.reason,
                                                        nullptr, now_));
    }
    auto outcome = write(entries);
    const bool in_the_way = candidate.archive.is == Is::kDamaged && !outcome && !concerns_all(outcome.error());
    if (!outcome && !in_the_way) return std::move(outcome).error();
    if (outcome && *outcome == ArchiveWrite::kWritten) return true;
    // The archive has this version with other content, or what it has is damaged: nothing but its removal lets the store's copy in. Unless
    // a run has brought a newer one since it was looked at: what has another tag by then stays.
    const auto tag = tag_of(candidate);
    if (!tag) return tag.error();
    auto there = state_.archive().get_by_id({.ns = candidate.ns, .id = candidate.id, .now = now_, .deadline = turn_.deadline()});
    if (!there && !detail::is_damage(there.error())) return std::move(there).error();
    auto seen = there ? detail::state_of(*there, now_) : detail::damaged(there.error());
    detail::fill_in(seen, candidate.archive_version, candidate.archive_revision);
    const auto& entry = entries.front();
    const bool newer = std::pair(seen.version, seen.revision) > std::pair(entry.version, entry.revision);
    if (candidate.archive.is == Is::kDamaged ? newer : seen != candidate.archive) return false;
    if (auto removed = remove(candidate, *tag); !removed || !*removed) return removed;
    outcome = write(entries);
    if (!outcome) return std::move(outcome).error();
    return *outcome == ArchiveWrite::kWritten;
  }

  // What has expired in the store was not erased there: the archive keeps it, as expired. Empty: it was erased, or nobody has it.
  Result<std::optional<ArchiveEntry>> ended_entry(const Candidate& candidate) {
    if (candidate.tombstone && candidate.reason != TombstoneReason::kExpired) return std::optional<ArchiveEntry>();
    auto kept = state_.store().get_by_id({.ns = candidate.ns, .id = candidate.id, .now = TimePoint{}, .deadline = turn_.deadline()});
    if (!kept) return std::move(kept).error();
    if (kept->record && kept->record->expired(now_)) return std::optional(rules_.record_entry(*std::move(kept->record)));
    auto known = state_.archived(candidate.ns, candidate.id, turn_.deadline());
    if (!known) return std::move(known).error();
    if (!known->record || known->record->version != candidate.version) return std::optional<ArchiveEntry>();
    return std::optional(rules_.ended_entry(*std::move(known->record), candidate.revision, now_));
  }

  Result<ArchiveWrite> write(const std::vector<ArchiveEntry>& entries) {
    auto written = state_.archive().write({.entries = entries, .deadline = turn_.deadline()});
    if (!written) return std::move(written).error();
    return std::move(written->front());
  }

  Result<std::string> tag_of(const Candidate& candidate) {
    return state_.archive().tag({.ns = candidate.ns, .id = candidate.id, .now = now_, .deadline = turn_.deadline()});
  }

  // What only the archive has, if it is that still. The tag comes before the look: what anybody brings after it stays.
  Result<bool> prune(Candidate& candidate) {
    const auto tag = tag_of(candidate);
    if (!tag) return tag.error();
    const auto store = candidate.store;
    const auto archive = candidate.archive;
    if (auto read = read_both(candidate); !read) return std::move(read).error();
    if (candidate.store != store || candidate.archive != archive) return false;
    return remove(candidate, *tag);
  }

  Result<bool> remove(const Candidate& candidate, const std::string& tag) {
    const TaggedDocument document{.ns = candidate.ns, .id = candidate.id, .tag = tag};
    auto removed = state_.archive().remove_tagged({.documents = std::span(&document, 1), .deadline = turn_.deadline()});
    if (!removed) return std::move(removed).error();
    return *removed > 0;
  }

  State& state_;
  detail::ArchiveTurn& turn_;
  const VerifyOptions& options_;
  detail::ArchiveRules rules_;
  const TimePoint now_;
  TimePoint last_run_{};
  VerifyReport report_;
  std::vector<Candidate> candidates_;
};

}  // namespace

std::string_view to_string(Difference::Kind kind) noexcept {
  switch (kind) {
    case Difference::Kind::kMissingInArchive:
      return "missing_in_archive";
    case Difference::Kind::kOnlyInArchive:
      return "only_in_archive";
    case Difference::Kind::kOlderInArchive:
      return "older_in_archive";
    case Difference::Kind::kNewerInArchive:
      return "newer_in_archive";
    case Difference::Kind::kContent:
      return "content";
    case Difference::Kind::kExpiry:
      return "expiry";
  }
  return "unknown";
}

Result<VerifyReport> Archiver::verify_within(detail::ArchiveTurn& turn, const VerifyOptions& options) {
  auto report = detail::caught("verification", [&] { return Verification<State>(*state_, turn, options).go(); });
  if (report) {
    state_->options.metrics->set(detail::metric::kArchiveDifferences, static_cast<double>(report->difference_count), {});
  }
  return report;
}

}  // namespace setget::inline v0
