// What run, verify and restore of one Archiver share: the options, and the turn that each of them takes.
// Thread rule: any thread; one turn at a time.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

#include <setget/archiver.hpp>

#include "core/turns.hpp"
#include "pipeline/archive_pages.hpp"
#include "pipeline/archive_rules.hpp"
#include "pipeline/archive_runner.hpp"
#include "pipeline/read_ahead.hpp"

namespace setget::inline v0 {

struct Archiver::State {
  explicit State(ArchiverOptions given) : options(std::move(given)) {
    first_flows = options.policy->flows();
    first_since = options.clock->now();
  }
  KeyStoreBackend& store() { return *options.key_store.backend(); }
  ArchiveBackend& archive() { return *options.archive; }
  detail::ArchiveRules rules() const { return {*options.policy, options.next_run_in}; }

  // What the archive holds of an identity, expired or not. kGone is a tombstone then, or a document that is damaged: it does not stop a
  // run, verification reports it.
  Result<Lookup> archived(std::string_view ns, std::string_view id, Deadline deadline) {
    auto found = archive().get_by_id({.ns = ns, .id = id, .now = TimePoint{}, .deadline = deadline});
    if (!found && detail::is_damage(found.error())) return Lookup{.status = Lookup::Status::kGone, .record = {}};
    return found;
  }

  // Whether the histories can tell what was at `at`: see Archiver::get_at().
  Result<void> check_moment(TimePoint at) const;
  // As the archive's scan_history(), and each record with the keys that it had at that moment.
  Result<SummaryPage> scan_past(const ScanHistory& request);
  // Takes off `lost_keys` what a claim took that came later than `at`: a state says what it had lost when it was applied.
  Result<void> as_it_was(Record& record, TimePoint at, Deadline deadline);
  // `source`: the store's identity where the caller has settled that the archive is this store's; else it is looked at here. `go_on`:
  // asked before each batch.
  using GoOn = std::function<Result<void>()>;
  Result<std::uint64_t> move_history(Deadline deadline, const StoreIdentity* source, const GoOn& go_on);
  // Both with `moving` held. The outbox, batch by batch.
  Result<std::uint64_t> drain_outbox(Deadline deadline, const StoreIdentity& source, const GoOn& go_on);
  // Of a state that the archive cannot take: whether it may go into quarantine, and the outbox go on. An error where that is full.
  Result<void> let_go(const ArchivedState& state, const Error& why, Deadline deadline);
  // Where these flows keep other histories than those before: puts what is there under history, and then says so in the archive. Goes on
  // where the deadline stopped it.
  Result<std::uint64_t> begin_histories(const std::shared_ptr<const Flows>& flows, Deadline deadline, const StoreIdentity& source,
                                        const GoOn& go_on);
  // What the store has now under a key or an identity, expired or not.
  Result<Lookup> as_it_is(const PastGet& request, Deadline deadline);
  // The store's identity; kFailedPrecondition where the archive is another store's.
  Result<StoreIdentity> own_archive(Deadline deadline);
  // How long a state is kept once it has ended; empty = for ever.
  static std::optional<Milliseconds> age_of(const Flows& flows, const HistoryState& state);

  ArchiverOptions options;
  detail::RunnerName runner;
  detail::Turns busy;                      // of a run, a verify or a restore
  detail::WritePace pace;                  // guarded by busy: of the writes of the last run that wrote enough to tell
  detail::Turns moving;                    // of a move of the outbox
  std::shared_ptr<const Flows> begun;      // guarded by moving: whose histories the archive knows of
  std::shared_ptr<const Flows> beginning;  // guarded by moving: and those that begin_histories() is at, and where
  std::string begin_cursor;                // guarded by moving
  unsigned idle_moves = 0;                 // guarded by moving: of an outbox that no flow writes to any more
  // Since when this process has had the flows that it was made with: before its first worker.
  std::shared_ptr<const Flows> first_flows;
  TimePoint first_since{};
  TimePoint begin_since{};  // guarded by moving
  std::mutex mutex;
  std::condition_variable cancelled;
  std::uint64_t cancels = 0;  // guarded by mutex
};

namespace detail {

// Of one call among the many of a run, which may take hours: none may hold it for so long.
inline Deadline soon(Deadline deadline) { return Deadline::at(std::min(deadline.time(), Deadline::in(Milliseconds(30'000)).time())); }
// For the last word of a run whose deadline may have ended it.
inline Deadline farewell(Deadline deadline) { return soon(deadline.then(Milliseconds(1'000))); }

// What a budget allows: how long after its beginning work may go on that has read `records` and was busy for `worked`. Pure.
struct ArchiveBudget {
  double records_per_second = 0;  // 0 = unlimited
  double share = 1;               // of the time; 1 or more = unlimited
  std::chrono::duration<double> due(double records, std::chrono::duration<double> worked) const noexcept {
    const double by_rate = records_per_second > 0 ? records / records_per_second : 0;
    const double by_share = share < 1 ? worked.count() / share : 0;
    return std::chrono::duration<double>(std::max(by_rate, by_share));
  }
};

// One run, verify or restore under way: its deadline, its cancellation and its pace.
class ArchiveTurn {
 public:
  template <class State>
  static Result<std::unique_ptr<ArchiveTurn>> begin(State& state, Deadline deadline) {
    std::unique_lock lock(state.mutex);
    const auto cancels = state.cancels;
    lock.unlock();
    auto busy = state.busy.take(deadline);
    if (!busy) return Error(ErrorCode::kDeadlineExceeded, "another run, verify or restore of this archiver is still under way");
    return std::unique_ptr<ArchiveTurn>(
        new ArchiveTurn(*std::move(busy), state.mutex, state.cancelled, state.cancels, cancels, deadline,
                        {.records_per_second = state.options.max_records_per_second, .share = state.options.max_share}));
  }

  // Asked before each batch.
  Result<void> go_on() {
    const std::lock_guard lock(mutex_);
    if (cancels_ != cancels_before_) return Error(ErrorCode::kCancelled, "the archiver was cancelled");
    if (deadline_.passed()) return Error(ErrorCode::kDeadlineExceeded, "the archiver's deadline passed; the next run goes on from here");
    return {};
  }

  // Another budget than the archiver's, from here on.
  void allow(const ArchiveBudget& budget) noexcept { budget_ = budget; }
  const ArchiveBudget& budget() const noexcept { return budget_; }

  // Calls `work`, whose time counts as worked. Any thread.
  template <class Work>
  auto busy_with(Work work) {
    struct Timing {
      ArchiveTurn& turn;
      Deadline::Steady::time_point began = Deadline::Steady::now();
      ~Timing() { turn.worked_ += (Deadline::Steady::now() - began).count(); }
    };
    const Timing timing{*this};
    return work();
  }
  Deadline::Steady::duration worked() const noexcept { return Deadline::Steady::duration(worked_.load()); }
  Deadline::Steady::duration took() const noexcept { return Deadline::Steady::now() - started_; }

  // Counts `records` more, and holds the pace: waits until the budget lets it go on.
  void pace(std::size_t records) {
    count(records);
    while (!may_go_on(Milliseconds(60'000))) {
    }
  }
  void count(std::size_t records) noexcept { paced_ += static_cast<double>(records); }
  // Waits for the budget, at most so long; wakes for a cancel and at the deadline. True: there is nothing to wait for any more.
  bool may_go_on(Milliseconds at_most) {
    const auto due = started_ + std::chrono::duration_cast<Deadline::Steady::duration>(budget_.due(paced_, worked()));
    const auto until = std::min({due, deadline_.time(), Deadline::Steady::now() + at_most});
    std::unique_lock lock(mutex_);
    const bool cancelled = wake_.wait_until(lock, until, [this] { return cancels_ != cancels_before_; });
    return cancelled || until == due || deadline_.passed();
  }

  // Waits; wakes for a cancel.
  void rest(Milliseconds length) {
    std::unique_lock lock(mutex_);
    const auto until = std::min(Deadline::Steady::now() + length, deadline_.time());
    wake_.wait_until(lock, until, [this] { return cancels_ != cancels_before_; });
  }

  // go_on() for work that asks between its pages and cannot be timed from outside: all since it was asked last, or since it began, counts
  // as worked. One for each thread that works.
  class Pages {
   public:
    explicit Pages(ArchiveTurn& turn) : turn_(turn) {}
    Result<void> go_on() {
      turn_.worked_ += (Deadline::Steady::now() - began_).count();
      while (!turn_.may_go_on(Milliseconds(60'000))) {
      }
      began_ = Deadline::Steady::now();
      return turn_.go_on();
    }

   private:
    ArchiveTurn& turn_;
    Deadline::Steady::time_point began_ = Deadline::Steady::now();
  };

  Deadline deadline() const noexcept { return deadline_; }
  // See detail::soon().
  Deadline soon() const { return detail::soon(deadline_); }

 private:
  ArchiveTurn(Turns::Turn busy, std::mutex& mutex, std::condition_variable& wake, const std::uint64_t& cancels,
              std::uint64_t cancels_before, Deadline deadline, const ArchiveBudget& budget)
      : busy_(std::move(busy)),
        mutex_(mutex),
        wake_(wake),
        cancels_(cancels),
        cancels_before_(cancels_before),
        deadline_(deadline),
        budget_(budget) {}

  Turns::Turn busy_;
  std::mutex& mutex_;
  std::condition_variable& wake_;
  const std::uint64_t& cancels_;
  std::uint64_t cancels_before_;
  Deadline deadline_;
  ArchiveBudget budget_;
  double paced_ = 0;
  std::atomic<Deadline::Steady::rep> worked_ = 0;
  Deadline::Steady::time_point started_ = Deadline::Steady::now();
};

// An error where the histories do not reach back to `at`.
Result<void> check_reach(std::optional<TimePoint> known_from, TimePoint at);

inline std::string same_store(const StoreIdentity& archived, const StoreIdentity& found) {
  return fmt::format("the archive belongs to store {} epoch {}, this is store {} epoch {}", archived.uuid, archived.epoch, found.uuid,
                     found.epoch);
}

}  // namespace detail

}  // namespace setget::inline v0
