#include "pipeline/read_through.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/whole_archive.hpp"
#include "pipeline/archive_pages.hpp"
#include "pipeline/metric_names.hpp"
#include "pipeline/read_through_parts.hpp"

namespace setget::inline v0::detail {

namespace {

constexpr std::size_t kKeysPerQuestion = 64;  // so that one large get does not take all of a question's time

// Of a flight and of what is remembered as missing. A namespace has no line break.
std::string full_name(bool by_id, std::string_view ns, std::string_view name) {
  std::string out;
  out.reserve(ns.size() + name.size() + 2);
  out += by_id ? 'i' : 'k';
  out.append(ns) += '\n';
  return out.append(name);
}

Error too_late(Milliseconds timeout) {
  return Error(ErrorCode::kUnavailable, fmt::format("the archive did not answer within {} ms", timeout.count()));
}

}  // namespace

ReadThrough::ReadThrough(const ReaderOptions& options)
    : limits_(options.through),
      archive_(options.archive),
      store_(options.key_store.backend()),
      clock_(options.clock),
      metrics_(options.metrics),
      missing_(limits_.negative_entries, limits_.negative_age),
      breaker_(limits_.failures, limits_.pause) {}

ReadThrough::~ReadThrough() = default;

// An archive all of which is of a later version is none that can be asked, and no damage to one of its documents.
bool ReadThrough::is_away(const Error& error) noexcept { return !detail::is_damage(error) || error.field() == detail::kWholeArchive; }

Error ReadThrough::could_not_ask(const Error& error) {
  if (error.retryable() || !is_away(error)) return error;
  // Whatever is wrong there (a password, a version): nothing is wrong with the question.
  return Error(ErrorCode::kUnavailable, fmt::format("the archive could not be asked: {}", error.message()))
      .from(error.source(), error.native_code(), error.native_text());
}

Result<Found> ReadThrough::away(const Error& error) const {
  if (limits_.miss_when_away && is_away(error)) return Found{};
  return could_not_ask(error);
}

Error ReadThrough::left_alone() const {
  return Error(ErrorCode::kUnavailable, fmt::format("the archive is left alone for {} ms because it failed: {}", limits_.pause.count(),
                                                    last_failure_ ? last_failure_->message() : "it was late"));
}

void ReadThrough::tell_refused(std::string_view reason) const { metrics_->add(metric::kThroughRefused, 1, {{"reason", reason}}); }

// --- asking ---------------------------------------------------------------------------------------------------------------------

void ReadThrough::ask(Misses&& misses, Deadline deadline, Done done) {
  const auto call = std::make_shared<Call>();
  call->found = std::move(misses.found);
  call->done = std::move(done);
  Tally tally;
  Batch ended;
  std::unique_lock lock(mutex_);
  auto refused = take(std::move(misses), call, tally);
  if (refused) {
    end(call, std::move(*refused), ended);
  } else if (call->open == 0) {
    end(call, std::move(call->found), ended);
  } else if (deadline.time() < Deadline::in(limits_.timeout).time()) {
    call->timer = timers_.emplace(deadline.time(), Timer{.call = call, .job = nullptr});
    timers_changed_.notify_all();
  }
  lock.unlock();
  if (tally.shared > 0) metrics_->add(metric::kThroughShared, static_cast<double>(tally.shared), {});
  if (tally.remembered > 0) metrics_->add(metric::kThroughNegative, static_cast<double>(tally.remembered), {});
  if (!tally.refused.empty()) tell_refused(tally.refused);
  deliver(std::move(ended));
}

// Lets the call wait for every name that is not remembered as missing; an error where it cannot be answered at all.
std::optional<Error> ReadThrough::take(Misses&& misses, const std::shared_ptr<Call>& call, Tally& tally) {
  if (stopping_) return Error(ErrorCode::kCancelled, "the reader is closing");
  const auto now = clock_->now();
  struct Wanted {
    std::string full;
    std::string* name;
    std::size_t place;
  };
  std::vector<Wanted> wanted;
  bool fresh = false;  // something that nobody asks for yet
  for (std::size_t i = 0; i < misses.names.size(); ++i) {
    auto full = full_name(misses.by_id, misses.ns, misses.names[i]);
    if (missing_.has(full, now)) {
      ++tally.remembered;
      continue;
    }
    fresh = fresh || !flights_.contains(full);
    wanted.push_back({std::move(full), &misses.names[i], misses.places[i]});
  }
  if (wanted.empty()) return std::nullopt;
  std::optional<Error> refused;
  if (waiting_ >= limits_.max_waiting) {
    refused = Error(ErrorCode::kResourceExhausted, fmt::format("{} keys wait for the archive already", waiting_));
    tally.refused = "full";
  } else if (fresh) {
    refused = start();
    if (!refused && !breaker_.admit(now)) {
      refused = left_alone();
      tally.refused = "paused";
    }
  }
  if (refused) {
    if (!limits_.miss_when_away) return refused;
    return std::nullopt;
  }
  interested_.store(true, std::memory_order_relaxed);
  std::shared_ptr<Job> job;
  for (auto& [full, name, place] : wanted) {
    if (const auto there = flights_.find(full); there != flights_.end()) {
      attach(call, place, there->second);
      ++tally.shared;
      continue;
    }
    if (!job || misses.by_id || job->flights.size() == kKeysPerQuestion) {
      job = std::make_shared<Job>();
      job->by_id = misses.by_id;
      job->ns = misses.ns;
      job->limit = Deadline::in(limits_.timeout).time();
      job->timer = timers_.emplace(job->limit, Timer{.call = nullptr, .job = job});
      jobs_.push_back(job);
      work_there_.notify_one();
      timers_changed_.notify_all();
    }
    const auto flight = std::make_shared<Flight>(Flight{.full = full, .name = std::move(*name)});
    flights_.emplace(std::move(full), flight);
    job->flights.push_back(flight);
    attach(call, place, flight);
  }
  return std::nullopt;
}

void ReadThrough::attach(const std::shared_ptr<Call>& call, std::size_t place, const std::shared_ptr<Flight>& flight) {
  flight->waiters.emplace_back(call, place);
  ++call->open;
  ++waiting_;
}

void ReadThrough::forget_missing(std::string_view ns, std::string_view id, const KeyList& keys) {
  if (!interested_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  const auto forget = [this](const std::string& full) {
    missing_.erase(full);
    if (const auto flight = flights_.find(full); flight != flights_.end()) flight->second->set_meanwhile = true;
  };
  if (!id.empty()) forget(full_name(true, ns, id));
  for (const auto key : keys) forget(full_name(false, ns, key));
}

Result<std::optional<Record>> ReadThrough::only_archived(std::string_view key, std::string_view ns, Deadline deadline) {
  {
    const std::lock_guard lock(mutex_);
    if (!breaker_.admit(clock_->now())) return left_alone();
  }
  const auto limit = std::min(deadline.time(), Deadline::in(limits_.timeout).time());
  const Job job{.ns = std::string(ns), .limit = limit};
  auto found = look_up(job, std::string(key));
  {
    const std::lock_guard lock(mutex_);
    if (!found && is_away(found.error())) {
      last_failure_ = found.error();
      failed();
    } else {
      breaker_.succeeded();
    }
  }
  publish_breaker();
  if (!found) return could_not_ask(found.error());
  if (!found->record) return std::optional<Record>();
  auto known = store_->get_by_id({.ns = ns, .id = found->record->id, .now = clock_->now(), .deadline = deadline});
  if (!known) return std::move(known).error();
  if (known->status != Lookup::Status::kUnknown) return std::optional<Record>();
  return std::move(found->record);
}

// --- time and threads -----------------------------------------------------------------------------------------------------------

void ReadThrough::keep_time() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (timers_.empty()) {
      timers_changed_.wait(lock);
      continue;
    }
    const auto first = timers_.begin();
    if (first->first > Deadline::Steady::now()) {
      const auto until = first->first;
      timers_changed_.wait_until(lock, until);
      continue;
    }
    const auto [call, job] = first->second;
    Batch ended;
    if (call) {
      end(call, Error(ErrorCode::kDeadlineExceeded, "the archive had not answered at the deadline"), ended);
    } else {
      timers_.erase(first);
      job->over = true;
      std::erase(jobs_, job);  // if no thread ever came for it
      const auto late = too_late(limits_.timeout);
      if (!job->answered) {
        last_failure_ = late;
        failed();
      }
      for (const auto& flight : job->flights) {
        seal(*flight);
        answer(*flight, away(late), ended);
      }
    }
    lock.unlock();
    if (job) tell_refused("late");
    publish_breaker();
    deliver(std::move(ended));
    lock.lock();
  }
}

std::optional<Error> ReadThrough::start() {
  const auto self = shared_from_this();
  try {
    if (threads_.empty()) threads_.emplace_back([self] { self->keep_time(); });
    while (threads_.size() <= limits_.threads) threads_.emplace_back([self] { self->work(); });
  } catch (const std::system_error& thrown) {
    // One that keeps the time and one that asks are enough.
    if (threads_.size() < 2)
      return Error(ErrorCode::kResourceExhausted, fmt::format("no thread to ask the archive could be started: {}", thrown.what()));
  }
  return std::nullopt;
}

void ReadThrough::stop() {
  Batch ended;
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
    std::vector<std::shared_ptr<Job>> open;
    for (const auto& [when, timer] : timers_) {
      if (timer.job) open.push_back(timer.job);
    }
    for (const auto& job : open) {
      job->over = true;
      timers_.erase(*job->timer);
      for (const auto& flight : job->flights) {
        seal(*flight);
        answer(*flight, Error(ErrorCode::kCancelled, "the reader is closing"), ended);
      }
    }
  }
  work_there_.notify_all();
  timers_changed_.notify_all();
  deliver(std::move(ended));
  for (auto& thread : threads) {
    // A callback may be what closes the reader.
    if (thread.get_id() == std::this_thread::get_id())
      thread.detach();
    else
      thread.join();
  }
}

}  // namespace setget::inline v0::detail
