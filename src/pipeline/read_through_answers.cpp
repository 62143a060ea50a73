// The half of ReadThrough that runs on its threads: questions, and what becomes of their answers.
#include <fmt/format.h>

#include <utility>

#include "pipeline/archive_answer.hpp"
#include "pipeline/metric_names.hpp"
#include "pipeline/read_through_parts.hpp"

namespace setget::inline v0::detail {

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
}

Result<Lookup> ReadThrough::look_up(const Job& job, const std::string& name) {
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
  publish_breaker();  // before the callers hear of it
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

}  // namespace setget::inline v0::detail
