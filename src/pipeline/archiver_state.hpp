// What run, verify and restore of one Archiver share: the options, and the turn that each of them takes.
// Thread rule: any thread; one turn at a time.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

#include <setget/archiver.hpp>

#include "pipeline/archive_rules.hpp"

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
    if (!found && found.error().code() == ErrorCode::kCorrupted) return Lookup{.status = Lookup::Status::kGone, .record = {}};
    return found;
  }

  // Whether the histories can tell what was at `at`: see Archiver::get_at().
  Result<void> check_moment(TimePoint at) const;
  // `source`: the store's identity where the caller has settled that the archive is this store's; else it is looked at here.
  Result<std::uint64_t> move_history(Deadline deadline, const StoreIdentity* source);
  // Both with `moving` held. The outbox, batch by batch.
  Result<std::uint64_t> drain_outbox(Deadline deadline, const StoreIdentity& source);
  // Where these flows keep other histories than those before: puts what is there under history, and then says so in the archive. Goes on
  // where the deadline stopped it.
  Result<std::uint64_t> begin_histories(const std::shared_ptr<const Flows>& flows, Deadline deadline, const StoreIdentity& source);
  // What the store has now under a key or an identity, expired or not.
  Result<Lookup> as_it_is(const PastGet& request, Deadline deadline);
  // The store's identity; kFailedPrecondition where the archive is another store's.
  Result<StoreIdentity> own_archive();
  // How long a state is kept once it has ended; empty = for ever.
  static std::optional<Milliseconds> age_of(const Flows& flows, const HistoryState& state);

  ArchiverOptions options;
  std::timed_mutex busy;
  std::timed_mutex moving;
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

// One run, verify or restore under way: its deadline, its cancellation and its pace.
class ArchiveTurn {
 public:
  template <class State>
  static Result<std::unique_ptr<ArchiveTurn>> begin(State& state, Deadline deadline) {
    std::unique_lock lock(state.mutex);
    const auto cancels = state.cancels;
    lock.unlock();
    std::unique_lock<std::timed_mutex> busy(state.busy, std::defer_lock);
    if (!busy.try_lock() && (deadline.passed() || !busy.try_lock_until(deadline.time()))) {
      return Error(ErrorCode::kDeadlineExceeded, "another run, verify or restore of this archiver is still under way");
    }
    return std::unique_ptr<ArchiveTurn>(new ArchiveTurn(std::move(busy), state.mutex, state.cancelled, state.cancels, cancels, deadline,
                                                        state.options.max_records_per_second));
  }

  // Asked before each batch.
  Result<void> go_on() {
    const std::lock_guard lock(mutex_);
    if (cancels_ != cancels_before_) return Error(ErrorCode::kCancelled, "the archiver was cancelled");
    if (deadline_.passed()) return Error(ErrorCode::kDeadlineExceeded, "the archiver's deadline passed; the next run goes on from here");
    return {};
  }

  // Holds the pace after `records` more; wakes for a cancel.
  void pace(std::size_t records) {
    if (rate_ <= 0) return;
    paced_ += static_cast<double>(records);
    const auto due = started_ + std::chrono::duration_cast<Deadline::Steady::duration>(std::chrono::duration<double>(paced_ / rate_));
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, std::min(due, deadline_.time()), [this] { return cancels_ != cancels_before_; });
  }

  // Waits; wakes for a cancel.
  void rest(Milliseconds length) {
    std::unique_lock lock(mutex_);
    const auto until = std::min(Deadline::Steady::now() + length, deadline_.time());
    wake_.wait_until(lock, until, [this] { return cancels_ != cancels_before_; });
  }

  Deadline deadline() const noexcept { return deadline_; }

 private:
  ArchiveTurn(std::unique_lock<std::timed_mutex> busy, std::mutex& mutex, std::condition_variable& wake, const std::uint64_t& cancels,
              std::uint64_t cancels_before, Deadline deadline, double rate)
      : busy_(std::move(busy)),
        mutex_(mutex),
        wake_(wake),
        cancels_(cancels),
        cancels_before_(cancels_before),
        deadline_(deadline),
        rate_(rate) {}

  std::unique_lock<std::timed_mutex> busy_;
  std::mutex& mutex_;
  std::condition_variable& wake_;
  const std::uint64_t& cancels_;
  std::uint64_t cancels_before_;
  Deadline deadline_;
  double rate_;
  double paced_ = 0;
  Deadline::Steady::time_point started_ = Deadline::Steady::now();
};

// How many records a page of a scan may hold so that it stays near a number of bytes: pages are bounded by count only.
class PageSize {
 public:
  PageSize(std::size_t max_records, std::size_t max_bytes) : max_records_(max_records), max_bytes_(max_bytes) {}
  std::size_t limit() const noexcept { return limit_; }
  void saw(std::size_t records, std::size_t bytes) noexcept {
    if (bytes > max_bytes_) {
      limit_ = std::max<std::size_t>(limit_ / 2, 1);
    } else if (records == limit_ && bytes < max_bytes_ / 4) {
      limit_ = std::min(limit_ * 2, max_records_);
    }
  }

 private:
  std::size_t max_records_;
  std::size_t max_bytes_;
  std::size_t limit_ = std::min<std::size_t>(16, max_records_);
};

// An error where the histories do not reach back to `at`.
Result<void> check_reach(const ArchiveStats& stats, TimePoint at);

inline std::string same_store(const StoreIdentity& archived, const StoreIdentity& found) {
  return fmt::format("the archive belongs to store {} epoch {}, this is store {} epoch {}", archived.uuid, archived.epoch, found.uuid,
                     found.epoch);
}

}  // namespace detail

}  // namespace setget::inline v0
