#include <setget/pipeline.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "pipeline/archive_job.hpp"
#include "pipeline/archiver_state.hpp"
#include "pipeline/maintenance.hpp"
#include "pipeline/metric_names.hpp"
#include "pipeline/page_size.hpp"
#include "pipeline/subscriptions.hpp"

namespace setget::inline v0 {

namespace {

constexpr Milliseconds kAnswer{50};  // so long behind the end of a wait the queue may take to say where a message stands

// The longest time between runs that the schedule will show soon: what ends within it may never meet a run.
Milliseconds longest_gap(const Cron& cron, TimePoint now) {
  constexpr int kLook = 16;
  Milliseconds longest{0};
  auto at = cron.next(now);
  for (int i = 0; at && i < kLook; ++i) {
    const auto next = cron.next(*at);
    if (!next) break;
    longest = std::max(longest, *next - *at);
    at = next;
  }
  return longest > Milliseconds(0) ? longest : ArchiverOptions{}.next_run_in;
}

}  // namespace

struct Pipeline::State {
  PipelineOptions options;
  std::shared_ptr<TtlPolicy> policy;
  std::unique_ptr<Archiver> archiver;
  std::unique_ptr<detail::Maintenance> maintenance;
  std::unique_ptr<detail::Subscriptions> subscriptions;
  std::unique_ptr<Reader> reader;  // which the worker asks
  std::unique_ptr<Worker> worker;
  std::unique_ptr<Ingress> ingress;
  std::unique_ptr<Scheduler> scheduler;

  std::mutex starting;  // one start at a time. Taken before `mutex`
  std::mutex mutex;
  std::condition_variable changed;
  bool started = false;  // all of it
  bool stopping = false;
  bool maintaining = false;
  std::thread maintainer;

  ~State() {
    if (maintainer.joinable()) maintainer.join();
  }

  Result<void> assemble() {
    policy = std::make_shared<TtlPolicy>(options.flows);
    auto validator = chain_validators({envelope_validator(options.limits), options.validator});
    if (auto made = make_ingress(validator); !made) return made;
    auto made_reader = Reader::create({.key_store = options.key_store,
                                       .archive = options.archive,
                                       .read_through = options.read_through,
                                       .through = options.through,
                                       .clock = options.clock,
                                       .metrics = options.metrics});
    if (!made_reader) return std::move(made_reader).error();
    reader = std::move(*made_reader);
    if (auto made = make_worker(validator); !made) return made;
    maintenance = std::make_unique<detail::Maintenance>(detail::MaintenanceParts{.queue = options.queue,
                                                                                 .key_store = options.key_store,
                                                                                 .archive = options.archive,
                                                                                 .archive_cursor = ArchiverOptions{}.cursor,
                                                                                 .move_history = [this] { return move_history(); },
                                                                                 .history_bytes = options.history_bytes,
                                                                                 .clock = options.clock,
                                                                                 .logger = options.logger,
                                                                                 .metrics = options.metrics,
                                                                                 .interval = options.maintenance_interval,
                                                                                 .grace = options.expiry_grace,
                                                                                 .reads_through = options.read_through});
    subscriptions = std::make_unique<detail::Subscriptions>(options.key_store, options.backoff, options.clock, options.random,
                                                            options.logger, options.metrics);
    return make_archiver();
  }

  Result<void> make_ingress(const std::shared_ptr<const Validator>& validator) {
    auto made = Ingress::create({.queue = options.queue,
                                 .policy = policy,
                                 .validator = validator,
                                 .limits = options.limits,
                                 .clock = options.clock,
                                 .random = options.random,
                                 .logger = options.logger,
                                 .metrics = options.metrics,
                                 .max_waiting = options.max_waiting,
                                 .max_waiting_bytes = options.max_waiting_bytes,
                                 .block_when_full = options.block_when_full,
                                 .metric_labels = options.metric_labels});
    if (!made) return std::move(made).error();
    ingress = std::move(*made);
    return {};
  }

  Result<void> make_worker(const std::shared_ptr<const Validator>& validator) {
    WorkerOptions working{.queue = options.queue,
                          .key_store = options.key_store,
                          .policy = policy,
                          .validator = validator,
                          .transform = options.transform,
                          .clock = options.clock,
                          .random = options.random,
                          .logger = options.logger,
                          .metrics = options.metrics,
                          .threads = options.worker_threads,
                          .batch_messages = options.worker_batch,
                          .batch_bytes = options.worker_batch_bytes,
                          .prefetch_batches = options.prefetch_batches,
                          .linger = options.linger,
                          .visibility_timeout = {},
                          .backoff = options.backoff,
                          // The pipeline has its own, stated requirement.
                          .require_durable_store = false,
                          .metric_labels = options.metric_labels,
                          .max_reasons = options.limits.max_reasons};
    if (reader->reads_through()) {
      working.only_archived = [this](std::string_view key, std::string_view ns, Deadline deadline) {
        return reader->only_archived(key, ns, deadline);
      };
      working.on_set_applied = [this](const Command& set) { reader->forget_missing(set.ns, set.id, set.keys); };
    }
    auto made = Worker::create(std::move(working));
    if (!made) return std::move(made).error();
    worker = std::move(*made);
    return {};
  }

  Result<void> make_archiver() {
    auto made = Scheduler::create({.store = options.schedule_store,
                                   .clock = options.clock,
                                   .random = options.random,
                                   .logger = options.logger,
                                   .metrics = options.metrics,
                                   .runner = {}});
    if (!made) return std::move(made).error();
    scheduler = std::move(*made);
    if (!options.archive) return {};

    ArchiverOptions archiving;
    archiving.key_store = options.key_store;
    archiving.archive = options.archive;
    archiving.policy = policy;
    archiving.history_bytes = options.history_bytes;
    archiving.clock = options.clock;
    archiving.logger = options.logger;
    archiving.metrics = options.metrics;
    archiving.max_records_per_second = options.archive_max_records_per_second;
    archiving.max_share = options.archive_max_share;
    std::optional<Cron> cron;
    if (!options.archive_schedule.empty()) {
      auto parsed = Cron::parse(options.archive_schedule, options.time_zone);
      if (!parsed) return std::move(parsed).error();
      cron = std::move(*parsed);
      archiving.next_run_in = longest_gap(*cron, options.clock->now());
    }
    auto made_archiver = Archiver::create(std::move(archiving));
    if (!made_archiver) return std::move(made_archiver).error();
    archiver = std::move(*made_archiver);
    if (!cron) return {};
    return scheduler->add(detail::archive_job(*archiver, *cron, options));
  }

  // Full outboxes hold workers up, so it does not wait for the night.
  Result<void> move_history() {
    if (!archiver || !options.key_store.backend()->capabilities().history) return {};
    auto moved = archiver->move_history(Deadline::in(Milliseconds(10'000)));
    if (!moved) return std::move(moved).error();
    return {};
  }

  // Nothing to do where it runs: a start that failed further on goes on from there. The caller holds `mutex`.
  Result<void> start_maintainer() {
    if (maintainer.joinable()) return {};
    try {
      maintainer = std::thread([this] { maintain(); });
    } catch (const std::system_error& thrown) {
      return Error(ErrorCode::kResourceExhausted, fmt::format("the maintenance thread could not be started: {}", thrown.what()));
    }
    maintaining = true;
    return {};
  }

  void maintain() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      lock.unlock();
      maintenance->tick();
      lock.lock();
      // Real time: housekeeping follows the work that is done, not the time that records live by.
      changed.wait_until(lock, Deadline::in(options.maintenance_interval).time(), [this] { return stopping; });
    }
    maintaining = false;
    lock.unlock();
    changed.notify_all();
  }
};

Pipeline::Pipeline(std::unique_ptr<State> state) : state_(std::move(state)) {}

Pipeline::~Pipeline() { (void)stop(Deadline::immediate()); }

Result<std::unique_ptr<Pipeline>> Pipeline::create(PipelineOptions options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  if (!options.clock) options.clock = system_clock();
  if (!options.random) options.random = system_random();
  if (!options.logger) options.logger = no_logger();
  if (!options.metrics) options.metrics = no_metrics();
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  if (auto made = state->assemble(); !made) return std::move(made).error();
  return std::unique_ptr<Pipeline>(new Pipeline(std::move(state)));
}

Result<void> Pipeline::start() {
  auto& state = *state_;
  const std::lock_guard one(state.starting);
  {
    const std::lock_guard lock(state.mutex);
    if (state.stopping) return Error(ErrorCode::kCancelled, "the pipeline was stopped");
    if (state.started) return {};
    if (auto started = state.start_maintainer(); !started) return started;
  }
  if (auto started = state.subscriptions->start(); !started) return started;
  if (auto started = state.worker->start(); !started) return started;
  if (auto started = state.scheduler->start(); !started) return started;
  const std::lock_guard lock(state.mutex);
  state.started = true;
  return {};
}

Result<std::size_t> Pipeline::run_once(Deadline wait) {
  auto& state = *state_;
  bool threads = false;
  {
    const std::lock_guard lock(state.mutex);
    if (state.stopping) return Error(ErrorCode::kCancelled, "the pipeline was stopped");
    threads = state.started;
  }
  auto worked = state.worker->run_once(wait);
  if (!worked || threads) return worked;
  if (auto ran = state.scheduler->run_once(); !ran) return std::move(ran).error();
  state.subscriptions->run_once();
  state.maintenance->tick_if_due();
  return worked;
}

Result<void> Pipeline::flush(Deadline deadline) { return state_->worker->flush(deadline); }

Result<StopReport> Pipeline::stop(Deadline deadline) {
  auto& state = *state_;
  // No job begins from here on: one that did between its cancel and the worker's end would not be cancelled.
  (void)state.scheduler->stop(Deadline::immediate());
  state.ingress->close();
  {
    const std::lock_guard lock(state.mutex);
    state.stopping = true;
  }
  state.changed.notify_all();
  if (state.archiver) state.archiver->cancel();
  auto left = state.worker->stop(deadline);
  if (state.archiver) state.archiver->cancel();  // of a run that was about to begin
  const auto scheduled = state.scheduler->stop(deadline);
  const bool subscribed = state.subscriptions->stop(deadline);
  std::unique_lock lock(state.mutex);
  const bool maintained = state.changed.wait_until(lock, deadline.time(), [&state] { return !state.maintaining; });
  lock.unlock();
  if (!left) return std::move(left).error();
  if (!scheduled) return scheduled.error();
  if (!subscribed || !maintained) {
    return Error(ErrorCode::kDeadlineExceeded, subscribed ? "maintenance was still running at the deadline"
                                                          : "a subscription's callback was still running at the deadline");
  }
  return StopReport{.left_leased = *left};
}

Result<Receipt> Pipeline::set(SetRequest request, Deadline deadline) {
  if (state_->reader->reads_through()) state_->reader->forget_missing(request.ns, request.id, request.keys);
  return state_->ingress->set(std::move(request), deadline);
}

Result<std::vector<Result<Receipt>>> Pipeline::set_all(std::vector<SetRequest> requests, Deadline deadline) {
  if (state_->reader->reads_through()) {
    for (const auto& request : requests) state_->reader->forget_missing(request.ns, request.id, request.keys);
  }
  return state_->ingress->set(std::move(requests), deadline);
}

Result<Receipt> Pipeline::erase(EraseRequest request, Deadline deadline) { return state_->ingress->erase(std::move(request), deadline); }

Result<Receipt> Pipeline::touch(TouchRequest request, Deadline deadline) { return state_->ingress->touch(std::move(request), deadline); }

Result<MessageStatus> Pipeline::wait(const Receipt& receipt, Deadline deadline) {
  return state_->options.queue.backend()->find({.message_id = receipt.message_id, .wait = deadline, .deadline = deadline.then(kAnswer)});
}

Result<MessageStatus> Pipeline::message(std::string_view message_id, Deadline wait) {
  return state_->options.queue.backend()->find({.message_id = message_id, .wait = wait});
}

Result<std::optional<Record>> Pipeline::get(std::string_view key, std::string_view ns, Deadline deadline) {
  return state_->reader->get(key, ns, deadline);
}

Result<void> Pipeline::subscribe(std::string cursor, std::function<Result<void>(const ChangeBatch&)> on_changes, std::uint64_t max_lag) {
  return state_->subscriptions->add(std::move(cursor), std::move(on_changes), max_lag);
}

Result<void> Pipeline::reload(Flows flows) { return reload(Result<Flows>(std::move(flows))); }

Result<void> Pipeline::reload(Result<Flows> flows) {
  auto& options = state_->options;
  Result<void> reloaded;
  if (!flows) {
    reloaded = std::move(flows).error();
  } else if (reloaded = options.check_history(*flows); reloaded) {
    reloaded = state_->policy->reload(*std::move(flows));
  }
  options.metrics->add(detail::metric::kReloads, 1, {{"result", reloaded ? "ok" : "refused"}});
  if (reloaded)
    options.logger->log(LogLevel::kInfo, "flows were reloaded", {});
  else
    options.logger->log(LogLevel::kError, "the old flows stay: the new ones are refused", {{"error", reloaded.error().describe()}});
  return reloaded;
}

Result<ReapplyReport> Pipeline::reapply_ttl(Deadline deadline) {
  auto& state = *state_;
  auto& store = *state.options.key_store.backend();
  ReapplyReport report;
  detail::PageSize size(500, 8u << 20);
  std::string cursor;
  do {
    if (deadline.passed()) return Error(ErrorCode::kDeadlineExceeded, "not every record was looked at; the policy can be applied again");
    {
      const std::lock_guard lock(state.mutex);
      if (state.stopping) return Error(ErrorCode::kCancelled, "the pipeline is stopping");
    }
    auto page = store.scan({.cursor = cursor, .limit = size.limit(), .with_records = true, .deadline = deadline, .over_damaged = true});
    if (!page) return std::move(page).error();
    report.damaged += page->damaged.size();
    std::vector<SetExpiry> changes;
    std::size_t bytes = 0;
    for (const auto& item : page->items) {
      if (!item.record) continue;
      const auto& record = *item.record;
      bytes += record.payload.size();
      // What a message or a touch said stays; what is over stays over.
      if (record.ttl_rule == TtlRule::kMessage || record.expired(state.options.clock->now())) continue;
      ++report.considered;
      const auto life = state.policy->resolve(record.account, record.flow, std::nullopt);
      const auto expires_at = TtlPolicy::expires_at(record.created_at, life.ttl);
      if (expires_at == record.expires_at && life.rule == record.ttl_rule) continue;
      changes.push_back({.ns = record.ns,
                         .id = record.id,
                         .version = record.version,
                         .revision = record.revision,
                         .expires_at = expires_at,
                         .ttl_rule = life.rule});
    }
    size.saw(page->items.size(), bytes);
    if (!changes.empty()) {
      // It may have ended since the page was read.
      for (auto& change : changes) change.now = state.options.clock->now();
      auto done = store.set_expiry(changes, deadline);
      if (!done) return std::move(done).error();
      for (auto& one : *done) {
        if (!one) return std::move(one).error();
        if (*one) ++report.changed;
      }
    }
    cursor = std::move(page->next);
  } while (!cursor.empty());
  return report;
}

Ingress& Pipeline::ingress() { return *state_->ingress; }
Worker& Pipeline::worker() { return *state_->worker; }
Reader& Pipeline::reader() { return *state_->reader; }
Scheduler& Pipeline::scheduler() { return *state_->scheduler; }
Archiver* Pipeline::archiver() { return state_->archiver.get(); }
TtlPolicy& Pipeline::ttl_policy() { return *state_->policy; }
const PipelineOptions& Pipeline::options() const { return state_->options; }
Result<Stamp> Pipeline::floor() { return state_->maintenance->floor(); }

}  // namespace setget::inline v0
