// Telemetry: what a client tells the host's Metrics of its connections and requests (docs/metrics.md). Costs nothing where nobody listens.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "redis/errors.hpp"

#include <setget/clock.hpp>
#include <setget/observe.hpp>

namespace setget::inline v0::redis {

class Telemetry : public std::enable_shared_from_this<Telemetry> {
 public:
  using Time = Deadline::Steady::time_point;
  // nullptr and no_metrics(): nobody listens.
  explicit Telemetry(std::shared_ptr<Metrics> metrics) : metrics_(std::move(metrics)) {
    if (metrics_ == no_metrics()) metrics_ = nullptr;
  }

  // A connection was made; `again`: in place of one that was lost. It counts as open for as long as the answer lives.
  std::shared_ptr<void> connected(bool again) {
    if (metrics_ == nullptr) return nullptr;
    if (again) metrics_->add("setget_redis_reconnects_total", 1, {});
    tell_connections(1);
    return {nullptr, [self = shared_from_this()](void*) { self->tell_connections(-1); }};
  }
  // A server begins, or ceases, to count as unreachable.
  void unreachable(bool begins) noexcept {
    const auto count = unreachable_.fetch_add(begins ? 1 : -1) + (begins ? 1 : -1);
    if (metrics_ != nullptr) metrics_->set("setget_redis_unreachable_servers", static_cast<double>(count), {});
  }

  // Around a request: one call, with all its commands and whatever had to be repeated of them.
  Time begin() const noexcept { return metrics_ == nullptr ? Time() : Deadline::Steady::now(); }
  void answered(Time since, std::size_t commands) noexcept {
    if (metrics_ == nullptr || commands == 0) return;
    metrics_->observe("setget_redis_request_seconds", std::chrono::duration<double>(Deadline::Steady::now() - since).count(), {});
    metrics_->observe("setget_redis_request_commands", static_cast<double>(commands), {});
  }
  // A command for which no server's answer came: its connection was lost, the time was over, the server is away.
  void missed(const Error& error) noexcept {
    if (metrics_ != nullptr && trouble_of(error) < Trouble::kMoved) metrics_->add("setget_redis_unanswered_total", 1, {});
  }

 private:
  void tell_connections(int more) noexcept {
    metrics_->set("setget_redis_connections", static_cast<double>(connections_.fetch_add(more) + more), {});
  }
  std::shared_ptr<Metrics> metrics_;
  std::atomic<std::int64_t> connections_{0};
  std::atomic<std::int64_t> unreachable_{0};
};

}  // namespace setget::inline v0::redis
