// Pipeline: all parts assembled: Ingress, Worker, Reader, Archiver, Scheduler over one queue, key store and archive.
// Thread rule: any thread. See each verb for blocking.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/archive.hpp>
#include <setget/archiver.hpp>
#include <setget/ingress.hpp>
#include <setget/key_store.hpp>
#include <setget/observe.hpp>
#include <setget/queue.hpp>
#include <setget/reader.hpp>
#include <setget/scheduler.hpp>
#include <setget/ttl.hpp>
#include <setget/validator.hpp>
#include <setget/worker.hpp>

namespace setget::inline v0 {

// Something about the nightly archive that a person should know.
struct ArchiveNotice {
  enum class Kind : std::uint8_t {
    kFailed,       // the run, or the verification behind it, failed in every attempt of its window
    kOtherStore,   // the store is not the one that was archived: nothing was written, and trying again is in vain
    kDifferences,  // the verification found archive and store to differ
  };
  Kind kind{};
  TimePoint due{};  // which night
  std::uint32_t attempts = 1;
  std::uint64_t differences = 0;
  std::string what{};
};

struct PipelineOptions {
  Queue queue{};                              // required
  KeyStore key_store{};                       // required
  std::shared_ptr<ArchiveBackend> archive{};  // empty: no archive
  Flows flows{};
  Limits limits{};
  std::shared_ptr<const Validator> validator{};  // runs after the built-in envelope check, at the door and in the worker
  Transform transform{};
  Durability durability = Durability::kDisk;  // a weaker queue or store is refused
  bool read_through = false;                  // gets ask the archive for what the store does not know; see Reader
  ReadThroughOptions through{};               // how

  // Worker; see WorkerOptions.
  std::size_t worker_threads = 1;  // in [1, 1024]
  std::size_t worker_batch = 256;
  std::size_t worker_batch_bytes = 8u << 20;
  std::size_t prefetch_batches = 1;
  Milliseconds linger{2};
  Backoff backoff{};

  // Ingress; see IngressOptions.
  std::size_t max_waiting = 4096;
  std::size_t max_waiting_bytes = 256u << 20;
  bool block_when_full = true;

  std::string archive_schedule = "0 0 2 * * *";  // cron; empty: only on request
  std::string time_zone = "UTC";
  std::uint64_t history_bytes = std::uint64_t{1} << 30;  // of all histories in the archive; 0 = no limit. See ArchiverOptions
  CatchUp archive_catch_up = CatchUp::kOnce;
  Milliseconds archive_jitter{0};
  // A run that fails is tried again after so long, then after twice as long and so on up to the cap, as long as that is within the window
  // after it began. A window of 0: it is not tried again. The first two in (0, 10 years]
  Milliseconds archive_retry_after{60'000};
  Milliseconds archive_retry_cap{900'000};
  Milliseconds archive_retry_window{14'400'000};
  std::uint64_t archive_verify_sample = 30;   // each night verifies the payloads of one record in so many; see NightlyOptions. 0 = none
  double archive_max_records_per_second = 0;  // the budget of runs; see ArchiverOptions
  double archive_max_share = 1;
  // Called on the thread that runs the job, at least once for each night that ends so. An exception is caught and logged.
  std::function<void(const ArchiveNotice& notice)> on_archive_notice{};
  std::shared_ptr<ScheduleStore> schedule_store{};  // empty: in memory
  Milliseconds maintenance_interval{1'000};         // reclaim and queue housekeeping; in (0, 10 years]
  Milliseconds expiry_grace{0};                     // payloads are evicted this long after they expired

  std::shared_ptr<const Clock> clock{};  // empty: system_clock()
  std::shared_ptr<Random> random{};      // empty: system_random()
  std::shared_ptr<Logger> logger{};
  std::shared_ptr<Metrics> metrics{};
  MetricAllowList metric_labels{};  // accounts and flows that metrics may name; empty: none
  SETGET_API Result<void> validate() const;
  // Whether store and archive can keep the histories that these flows ask for.
  SETGET_API Result<void> check_history(const Flows& wanted) const;
};

struct StopReport {
  std::size_t left_leased = 0;  // messages that come back when their leases end
};

struct ReapplyReport {
  std::uint64_t considered = 0;
  std::uint64_t changed = 0;
  std::uint64_t damaged = 0;  // cannot be read, and keep the expiry that they have
};

class SETGET_API Pipeline {
 public:
  // Checks everything that can be checked without traffic: options, durability, capabilities. Starts no thread.
  static Result<std::unique_ptr<Pipeline>> create(PipelineOptions options);
  ~Pipeline();  // stop(immediate)

  // Starts worker, maintenance and scheduler threads. Idempotent. Without it the host calls run_once().
  Result<void> start();
  // One step of everything: worker round, due jobs, maintenance. Returns the number of messages received.
  Result<std::size_t> run_once(Deadline wait = Deadline::immediate());
  // Blocks until every message accepted so far is finished or waiting for a retry. kDeadlineExceeded otherwise.
  Result<void> flush(Deadline deadline);
  Result<StopReport> stop(Deadline deadline);

  Result<Receipt> set(SetRequest request, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  // One result per request, in order; not atomic. A template, so that braces always mean one request.
  template <std::same_as<std::vector<SetRequest>> Requests>
  Result<std::vector<Result<Receipt>>> set(Requests requests, Deadline deadline = Deadline::in(Milliseconds(30'000))) {
    return set_all(std::move(requests), deadline);
  }
  Result<Receipt> erase(EraseRequest request, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  Result<Receipt> touch(TouchRequest request, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  // The outcome of an accepted message; blocks until it is finished or the deadline passes (then the outcome is kPending).
  Result<MessageStatus> wait(const Receipt& receipt, Deadline deadline);
  Result<MessageStatus> message(std::string_view message_id, Deadline wait = Deadline::immediate());
  Result<std::optional<Record>> get(std::string_view key, std::string_view ns = {}, Deadline deadline = Deadline::in(Milliseconds(30'000)));

  // Subscribes to changes with a named cursor: `on_changes` gets each batch at least once, in order; the cursor moves when it returns a
  // value, and the batch comes again after the backoff when it returns an error. Called on a thread of the pipeline, or in run_once().
  // kAlreadyExists: the cursor is subscribed, or is one of the archiver's ("archiver", "before-archiver").
  Result<void> subscribe(std::string cursor, std::function<Result<void>(const ChangeBatch&)> on_changes, std::uint64_t max_lag = 0);

  // Swaps flows (TTL, limits of versions, archive rules, schemas) for all later decisions; invalid ones are refused and the old ones stay.
  // The second form takes what load_flows() gave: its error is answered, and the old ones stay as well. Both log and count
  // (setget_reloads_total) what came of it.
  Result<void> reload(Flows flows);
  Result<void> reload(Result<Flows> flows);
  // Gives stored records the expiry that the current policy says, counted from their acceptance; message and touch TTLs stay.
  Result<ReapplyReport> reapply_ttl(Deadline deadline = Deadline::in(std::chrono::hours(1)));

  Ingress& ingress();
  Worker& worker();
  Reader& reader();
  Scheduler& scheduler();
  Archiver* archiver();  // nullptr without an archive
  TtlPolicy& ttl_policy();
  const PipelineOptions& options() const;
  // The stamp below which the store may forget: see DESIGN section 2.
  Result<Stamp> floor();

 private:
  struct State;
  explicit Pipeline(std::unique_ptr<State> state);
  Result<std::vector<Result<Receipt>>> set_all(std::vector<SetRequest> requests, Deadline deadline);
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0
