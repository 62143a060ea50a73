#include "pipeline/message_keeper.hpp"

#include "pipeline/metric_names.hpp"

namespace setget::inline v0::detail {

MessageKeeper::MessageKeeper(Queue queue, std::shared_ptr<const Clock> clock, std::shared_ptr<Logger> logger,
                             std::shared_ptr<Metrics> metrics)
    : queue_(std::move(queue)), clock_(std::move(clock)), logger_(std::move(logger)), metrics_(std::move(metrics)) {}

void MessageKeeper::hold(const Held& batch) {
  const std::lock_guard lock(mutex_);
  held_.push_back(batch);
}

void MessageKeeper::drop(const Held& batch) {
  const std::lock_guard lock(mutex_);
  held_.remove(batch);
}

std::size_t MessageKeeper::held() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& batch : held_) count += batch->messages.size();
  return count;
}

bool MessageKeeper::due(const HeldBatch& batch) const noexcept {
  return (clock_->now() - batch.since) * 2 >= batch.lease || (Deadline::Steady::now() - batch.steady_since) * 2 >= batch.lease;
}

void MessageKeeper::extend_due() {
  std::list<Held> all;
  {
    const std::lock_guard lock(mutex_);
    all = held_;
  }
  for (const auto& batch : all) extend_if_due(*batch);
}

void MessageKeeper::extend_if_due(HeldBatch& batch) {
  const std::lock_guard lock(extending_);
  if (!due(batch)) return;
  std::vector<Settlement> settlements;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < batch.messages.size(); ++i) {
    if (batch.lost[i].load(std::memory_order_relaxed)) continue;
    Settlement extension;
    extension.receipt = batch.messages[i].receipt;
    extension.action = SettleAction::kExtend;
    extension.delay = batch.lease;
    settlements.push_back(std::move(extension));
    places.push_back(i);
  }
  extend(batch, std::move(settlements), std::move(places));
}

void MessageKeeper::extend(HeldBatch& batch, std::vector<Settlement>&& settlements, std::vector<std::size_t>&& places) {
  if (settlements.empty()) return;
  const auto since = clock_->now();
  const auto steady_since = Deadline::Steady::now();
  auto settled = queue_.backend()->settle({.queue = queue_.name(), .settlements = settlements, .deadline = Deadline::in(batch.lease / 2)});
  if (!settled) {
    // Tried again at the next look; if the leases end first, versions settle what is applied twice.
    logger_->log(LogLevel::kWarning, "leases could not be extended", {{"queue", queue_.name()}, {"error", settled.error().describe()}});
    return;
  }
  std::size_t extended = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if ((*settled)[i]) {
      ++extended;
    } else if ((*settled)[i].error().code() == ErrorCode::kLeaseLost) {
      batch.lost[places[i]].store(true, std::memory_order_relaxed);
    }
  }
  batch.since = since;
  batch.steady_since = steady_since;
  metrics_->add(metric::kLeasesExtended, static_cast<double>(extended), {});
}

}  // namespace setget::inline v0::detail
