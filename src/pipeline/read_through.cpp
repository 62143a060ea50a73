#include "pipeline/read_through.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "pipeline/archive_answer.hpp"
#include "pipeline/metric_names.hpp"

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

// A get that waits for answers.
struct ReadThrough::Call {
  std::vector<Found> found;
  std::size_t open = 0;  // answers that it still waits for
  Done done;
  std::optional<Timers::iterator> timer{};
  bool ended = false;
};

// A name that is being asked for, and who wants to know.
struct ReadThrough::Flight {
  std::string full;  // its name in flights_
  std::string name;
  std::vector<std::pair<std::shared_ptr<Call>, std::size_t>> waiters{};
  bool set_meanwhile = false;
};

// One question to the archive. It has a timer until it is over.
struct ReadThrough::Job {
  bool by_id = false;
  std::string ns;
  std::vector<std::shared_ptr<Flight>> flights{};
  Moment limit{};
  std::optional<Timers::iterator> timer{};
  bool answered = false;  // by the archive; what takes time now is the store
  bool over = false;
};

struct ReadThrough::Ended {
  std::shared_ptr<Call> call;
  Result<std::vector<Found>> result;
};

// What taking a call came to: metrics are told outside of the lock.
struct ReadThrough::Tally {
  std::size_t shared = 0;
  std::size_t remembered = 0;
  std::string_view refused{};
};

// The archive's answers, one for each flight of a job.
struct ReadThrough::Asked {
  std::vector<Result<Lookup>> lookups;
  std::optional<Error> away{};
};

ReadThrough::ReadThrough(const ReaderOptions& options)
    : limits_(options.through),
      archive_(options.archive),
      store_(options.key_store.backend()),
      clock_(options.clock),
      metrics_(options.metrics),
      missing_(limits_.negative_entries, limits_.negative_age),
      breaker_(limits_.failures, limits_.pause) {}

ReadThrough::~ReadThrough() = default;

bool ReadThrough::is_away(const Error& error) noexcept { return error.code() != ErrorCode::kCorrupted; }

Result<Found> ReadThrough::away(const Error& error) const {
  if (limits_.miss_when_away && is_away(error)) return Found{};
  return error;
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
  } else if (deadline.time() < Deadline::Steady::now() + limits_.timeout) {
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
      refused =
          Error(ErrorCode::kUnavailable, fmt::format("the archive is left alone for {} ms because it failed: {}", limits_.pause.count(),
                                                     last_failure_ ? last_failure_->message() : "it was late"));
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
      job->limit = Deadline::Steady::now() + limits_.timeout;
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
    if (!breaker_.admit(clock_->now())) return last_failure_.value_or(too_late(limits_.timeout));
  }
  const auto limit = std::min(deadline.time(), Deadline::Steady::now() + limits_.timeout);
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
  if (!found) return std::move(found).error();
  if (!found->record) return std::optional<Record>();
  auto known = store_->get_by_id({.ns = ns, .id = found->record->id, .now = clock_->now(), .deadline = deadline});
  if (!known) return std::move(known).error();
  if (known->status != Lookup::Status::kUnknown) return std::optional<Record>();
  return std::move(found->record);
}

// --- answering ------------------------------------------------------------------------------------------------------------------

void ReadThrough::work() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      work_there_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      if (job->over) continue;
    }
    run(job);
  }
}

void ReadThrough::run(const std::shared_ptr<Job>& job) {
  const auto started = Deadline::Steady::now();
  auto asked = ask_archive(*job);
  const std::chrono::duration<double> took = Deadline::Steady::now() - started;
  const bool good = !asked.away && Deadline::Steady::now() < job->limit;
  metrics_->add(metric::kThroughQueries, 1, {{"result", good ? "ok" : "failed"}});
  metrics_->observe(metric::kThroughSeconds, took.count(), {});
  settle(*job, std::move(asked));
  publish_breaker();
}

Result<Lookup> ReadThrough::look_up(const Job& job, const std::string& name) noexcept {
  const auto deadline = Deadline::at(job.limit);
  try {
    if (job.by_id) return archive_->get_by_id({.ns = job.ns, .id = name, .now = clock_->now(), .deadline = deadline});
    const std::string_view key = name;
    auto found = archive_->get({.ns = job.ns, .keys = std::span(&key, 1), .now = clock_->now(), .deadline = deadline});
    if (!found) return std::move(found).error();
    return std::move(found->front());
  } catch (const std::exception& thrown) {
    return Error(ErrorCode::kInternal, fmt::format("the archive threw: {}", thrown.what()));
  }
}

ReadThrough::Asked ReadThrough::ask_archive(const Job& job) {
  Asked asked;
  if (job.flights.size() > 1) {
    std::vector<std::string_view> keys;
    for (const auto& flight : job.flights) keys.emplace_back(flight->name);
    try {
      auto found = archive_->get({.ns = job.ns, .keys = keys, .now = clock_->now(), .deadline = Deadline::at(job.limit)});
      if (found) {
        for (auto& one : *found) asked.lookups.emplace_back(std::move(one));
        return asked;
      }
      // One damaged document is that key's, not everybody's.
      if (is_away(found.error())) asked.away = std::move(found).error();
    } catch (const std::exception& thrown) {
      asked.away = Error(ErrorCode::kInternal, fmt::format("the archive threw: {}", thrown.what()));
    }
  }
  for (const auto& flight : job.flights) {
    asked.lookups.push_back(asked.away ? Result<Lookup>(*asked.away) : look_up(job, flight->name));
    if (const auto& last = asked.lookups.back(); !last && is_away(last.error())) asked.away = last.error();
  }
  return asked;
}

// Nobody joins a flight once the archive has answered it: an erase that came later would be overlooked.
void ReadThrough::seal(Flight& flight) {
  const auto there = flights_.find(flight.full);
  if (there != flights_.end() && there->second.get() == &flight) flights_.erase(there);
}

void ReadThrough::settle(Job& job, Asked&& asked) {
  {
    const std::lock_guard lock(mutex_);
    if (job.over) return;
    job.answered = true;
    if (asked.away) {
      last_failure_ = *asked.away;
      failed();
    } else {
      breaker_.succeeded();
    }
    for (std::size_t i = 0; i < job.flights.size(); ++i) {
      auto& flight = *job.flights[i];
      seal(flight);
      if (asked.lookups[i] && !asked.lookups[i]->record && !flight.set_meanwhile) missing_.add(flight.full, clock_->now());
    }
  }
  std::vector<Result<Found>> found;
  for (std::size_t i = 0; i < job.flights.size(); ++i) {
    auto& lookup = asked.lookups[i];
    if (!lookup) {
      found.push_back(away(lookup.error()));
    } else if (!lookup->record) {
      found.emplace_back(Found{});
    } else {
      found.push_back(confirm(*store_, {.by_id = job.by_id, .name = job.flights[i]->name}, std::move(*lookup->record), clock_->now(),
                              Deadline::at(job.limit)));
    }
  }
  Batch ended;
  {
    const std::lock_guard lock(mutex_);
    if (job.over) return;
    job.over = true;
    timers_.erase(*job.timer);
    for (std::size_t i = 0; i < job.flights.size(); ++i) answer(*job.flights[i], found[i], ended);
  }
  deliver(std::move(ended));
}

void ReadThrough::answer(Flight& flight, const Result<Found>& found, Batch& ended) {
  for (const auto& [call, place] : std::exchange(flight.waiters, {})) {
    if (call->ended) continue;
    if (!found) {
      end(call, found.error(), ended);
      continue;
    }
    call->found[place] = *found;
    --call->open;
    --waiting_;
    if (call->open == 0) end(call, std::move(call->found), ended);
  }
}

void ReadThrough::end(const std::shared_ptr<Call>& call, Result<std::vector<Found>>&& result, Batch& ended) {
  call->ended = true;
  waiting_ -= std::exchange(call->open, 0);
  if (call->timer) timers_.erase(*std::exchange(call->timer, {}));
  ended.push_back({call, std::move(result)});
}

void ReadThrough::deliver(Batch&& ended) {
  for (auto& [call, result] : ended) call->done(std::move(result));
}

void ReadThrough::failed() { breaker_.failed(clock_->now()); }

void ReadThrough::publish_breaker() {
  bool open = false;
  {
    const std::lock_guard lock(mutex_);
    open = breaker_.open();
  }
  metrics_->set(metric::kThroughPaused, open ? 1 : 0, {});
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
