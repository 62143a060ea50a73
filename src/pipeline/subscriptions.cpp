#include "pipeline/subscriptions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include <setget/archiver.hpp>

#include "pipeline/maintenance.hpp"
#include "pipeline/metric_names.hpp"

namespace setget::inline v0::detail {

namespace {

// A wait for changes cannot be woken from outside: this bounds how long stop() waits for one.
constexpr Milliseconds kWaitSlice{200};

}  // namespace

Subscriptions::Subscriptions(KeyStore store, Backoff backoff, std::shared_ptr<const Clock> clock, std::shared_ptr<Random> random,
                             std::shared_ptr<Logger> logger, std::shared_ptr<Metrics> metrics)
    : store_(std::move(store)),
      backoff_(backoff),
      clock_(std::move(clock)),
      random_(std::move(random)),
      logger_(std::move(logger)),
      metrics_(std::move(metrics)) {}

Subscriptions::~Subscriptions() {
  stop(Deadline::immediate());
  for (auto& thread : threads_) thread.join();
}

Result<void> Subscriptions::add(std::string cursor, OnChanges on_changes, std::uint64_t max_lag) {
  if (!on_changes) return Error(ErrorCode::kInvalidArgument, "a subscription needs a callback").at_field("on_changes");
  if (cursor == ArchiverOptions{}.cursor || cursor == detail::kStandInCursor)
    return Error(ErrorCode::kAlreadyExists, fmt::format("cursor \"{}\" is the archiver's own", cursor)).at_field("cursor");
  // Asked once more when the cursor is open: others subscribe and stop meanwhile.
  const auto check = [&]() -> Result<void> {
    if (stopping_) return Error(ErrorCode::kCancelled, "the pipeline is stopping");
    if (std::ranges::any_of(all_, [&](const auto& one) { return one->cursor == cursor && !one->dropped; }))
      return Error(ErrorCode::kAlreadyExists, fmt::format("cursor \"{}\" is subscribed already", cursor)).at_field("cursor");
    return {};
  };
  {
    const std::lock_guard lock(mutex_);
    if (auto may = check(); !may) return may;
  }
  auto opened = store_.backend()->open_cursor({.name = cursor, .from_now = false, .max_lag = max_lag});
  if (!opened) return std::move(opened).error();
  auto one = std::make_shared<One>();
  one->cursor = cursor;
  one->on_changes = std::move(on_changes);
  one->position = opened->position;
  const std::lock_guard lock(mutex_);
  if (auto may = check(); !may) return may;
  if (started_) {
    if (auto spawned = spawn(one); !spawned) return spawned;
  }
  std::erase_if(all_, [&](const auto& other) { return other->cursor == one->cursor; });
  all_.push_back(std::move(one));
  return {};
}

Result<void> Subscriptions::start() {
  const std::lock_guard lock(mutex_);
  if (stopping_) return Error(ErrorCode::kCancelled, "the pipeline was stopped");
  if (std::exchange(started_, true)) return {};
  for (const auto& one : all_) {
    auto spawned = spawn(one);
    if (spawned) continue;
    // As with the worker: those that run end, and a later start does not say that all of them do.
    stopping_ = true;
    changed_.notify_all();
    return spawned;
  }
  return {};
}

Result<void> Subscriptions::spawn(std::shared_ptr<One> one) {
  try {
    threads_.emplace_back([this, one = std::move(one)] {
      loop(*one);
      left();
    });
  } catch (const std::system_error& thrown) {
    return Error(ErrorCode::kResourceExhausted, fmt::format("the thread of a subscription could not be started: {}", thrown.what()));
  }
  ++running_;  // before it can end: the caller holds the mutex
  return {};
}

bool Subscriptions::is_stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void Subscriptions::left() {
  {
    const std::lock_guard lock(mutex_);
    --running_;
  }
  changed_.notify_all();
}

void Subscriptions::loop(One& one) {
  while (true) {
    Milliseconds pause{0};
    Position after = 0;
    {
      const std::lock_guard busy(one.busy);
      if (one.dropped || is_stopping()) return;
      const auto now = step(one);
      if (now == Step::kDropped) return;
      if (now == Step::kFailed)
        pause = std::clamp(one.not_before - clock_->now(), Milliseconds(1), std::max(backoff_.cap, Milliseconds(1)));
      after = one.position;
    }
    if (pause == Milliseconds(0)) {
      auto waiting = store_.backend()->wait_for_changes(after, Deadline::in(kWaitSlice));
      if (waiting) continue;
      const std::lock_guard busy(one.busy);
      pause = failed(one, waiting.error());
    }
    std::unique_lock lock(mutex_);
    // Real time: a callback's other side recovers in it, whatever the clock says.
    if (changed_.wait_for(lock, pause, [this] { return stopping_; })) return;
  }
}

std::size_t Subscriptions::run_once() {
  std::vector<std::shared_ptr<One>> all;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || started_) return 0;  // threads deliver
    all = all_;
    ++running_;
  }
  std::size_t delivered = 0;
  for (const auto& one : all) {
    const std::unique_lock busy(one->busy, std::try_to_lock);
    if (!busy || one->dropped || clock_->now() < one->not_before) continue;
    if (is_stopping()) break;
    if (step(*one) == Step::kDelivered) ++delivered;
  }
  left();
  return delivered;
}

Subscriptions::Step Subscriptions::step(One& one) {
  auto batch = store_.backend()->changes({.cursor = one.cursor, .after = one.position});
  if (!batch) {
    const auto code = batch.error().code();
    if (code == ErrorCode::kFailedPrecondition || code == ErrorCode::kNotFound) {
      one.dropped = true;
      metrics_->add(metric::kSubscriptionErrors, 1, {{"cursor", one.cursor}});
      logger_->log(LogLevel::kError,
                   "a subscription has ended: its cursor was dropped, and changes are lost to it until it subscribes again",
                   {{"cursor", one.cursor}, {"error", batch.error().describe()}});
      return Step::kDropped;
    }
    one.not_before = clock_->now() + failed(one, batch.error());
    return Step::kFailed;
  }
  if (batch->next <= one.position && batch->changes.empty()) {
    one.position = batch->next;  // it may lie before: see KeyStoreBackend::changes()
    return Step::kNothing;
  }
  // Entries may all have been replaced by later ones: then there is nothing to say, and the cursor moves.
  if (!batch->changes.empty()) {
    if (auto done = deliver(one, *batch); !done) {
      one.not_before = clock_->now() + failed(one, done.error());
      return Step::kFailed;
    }
  }
  if (auto moved = store_.backend()->commit_cursor(one.cursor, batch->next); !moved) {
    one.not_before = clock_->now() + failed(one, moved.error());
    return Step::kFailed;
  }
  one.position = batch->next;
  one.failures = 0;
  return batch->changes.empty() ? Step::kNothing : Step::kDelivered;
}

Result<void> Subscriptions::deliver(One& one, const ChangeBatch& batch) {
  try {
    return one.on_changes(batch);
  } catch (const std::exception& thrown) {
    return Error(ErrorCode::kInternal, fmt::format("the callback threw: {}", thrown.what())).from(ErrorSource::kHost, 0, thrown.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, "the callback threw").from(ErrorSource::kHost, 0, "unknown exception");
  }
}

Milliseconds Subscriptions::failed(One& one, const Error& error) {
  metrics_->add(metric::kSubscriptionErrors, 1, {{"cursor", one.cursor}});
  logger_->log(LogLevel::kWarning, "changes could not be delivered and come again", {{"cursor", one.cursor}, {"error", error.describe()}});
  // A callback that fails without a wait would keep a core busy.
  return std::max(backoff_.wait(one.failures++, *random_), Milliseconds(1));
}

bool Subscriptions::stop(Deadline deadline) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
  return changed_.wait_until(lock, deadline.time(), [this] { return running_ == 0; });
}

}  // namespace setget::inline v0::detail
