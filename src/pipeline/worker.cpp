#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <set>
#include <thread>

#include <setget/worker.hpp>

#include "core/check_length.hpp"
#include "core/thread_limit.hpp"
#include "pipeline/message_keeper.hpp"
#include "pipeline/worker_round.hpp"

namespace setget::inline v0 {

namespace {

// A long poll cannot be woken from outside: this bounds how long stop() waits for one.
constexpr Milliseconds kPollSlice{200};
constexpr Milliseconds kDefaultLease{30'000};

}  // namespace

Result<void> WorkerOptions::validate() const {
  const auto bad = [](const char* field, const char* rule) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, fmt::format("worker option {} {}", field, rule)).at_field(field);
  };
  if (!queue) return bad("queue", "is required");
  if (!key_store) return bad("key_store", "is required");
  if (!policy) return bad("policy", "is required");
  if (threads == 0 || threads > detail::kMostThreads) return bad("threads", "must be in [1, 1024]");
  if (batch_messages == 0) return bad("batch_messages", "must be > 0");
  if (batch_bytes == 0) return bad("batch_bytes", "must be > 0");
  if (linger < Milliseconds(0)) return bad("linger", "must not be negative");
  const auto too_long = [](Milliseconds length) { return length > detail::kLongestLength; };
  if (visibility_timeout && (*visibility_timeout <= Milliseconds(0) || too_long(*visibility_timeout)))
    return bad("visibility_timeout", "must be in (0, 10 years]");
  const std::initializer_list<std::pair<const char*, Milliseconds>> waits{
      {"backoff.base", backoff.base}, {"backoff.cap", backoff.cap}, {"backoff.outage_cap", backoff.outage_cap}};
  for (const auto& [field, wait] : waits) {
    if (wait < Milliseconds(0) || too_long(wait)) return bad(field, "must be in [0, 10 years]");
  }
  if (max_reasons == 0) return Error(ErrorCode::kInvalidArgument, "worker option max_reasons must be > 0").at_field("max_reasons");
  if (auto valid = metric_labels.validate(); !valid) return valid;
  return {};
}

struct Worker::State {
  using Held = detail::MessageKeeper::Held;

  explicit State(WorkerOptions given)
      : options(std::move(given)), keeper(options.queue, options.clock, options.logger, options.metrics), round(options, keeper) {}

  ~State() {
    for (auto& thread : threads) thread.join();
  }

  // --- receiving

  // Kind and lease of the queue, asked once it is needed and then remembered.
  struct QueueFacts {
    bool fifo = true;  // where nobody can say, groups are taken seriously
    Milliseconds lease = kDefaultLease;
  };
  QueueFacts queue_facts() {
    const std::lock_guard lock(facts_mutex);
    if (facts) return *facts;
    QueueFacts found;
    if (auto queues = options.queue.backend()->list()) {
      const auto mine = std::ranges::find(*queues, options.queue.name(), &QueueInfo::name);
      if (mine != queues->end()) {
        found = {.fifo = mine->options.kind == QueueKind::kFifo, .lease = mine->options.visibility_timeout};
        facts = found;
      }
    }
    return found;
  }
  Milliseconds lease() { return options.visibility_timeout ? *options.visibility_timeout : queue_facts().lease; }

  // Takes a batch; where it is not full, lingers for more. Whatever it returns is already held by the keeper. Null where there is nothing.
  Result<Held> receive(Deadline wait) {
    const auto length = lease();
    auto batch = std::make_shared<detail::HeldBatch>();
    batch->lease = length;
    batch->since = options.clock->now();
    batch->steady_since = Deadline::Steady::now();
    std::set<std::uint64_t>::iterator call;
    {
      const std::lock_guard lock(mutex);
      call = receiving.insert(++receive_count).first;
    }
    auto failure = fill(*batch, length, wait);
    const auto count = batch->messages.size();
    if (count > 0) {
      batch->lost = std::make_unique<std::atomic<bool>[]>(count);
      keeper.hold(batch);
      round.count_received(count);
    }
    {
      const std::lock_guard lock(mutex);
      receiving.erase(call);
    }
    changed.notify_all();
    if (failure) return std::move(*failure);
    return count > 0 ? std::move(batch) : nullptr;
  }

  std::optional<Error> fill(detail::HeldBatch& batch, Milliseconds length, Deadline wait) {
    auto first = take(options.batch_messages, options.batch_bytes, length, wait);
    if (!first) return std::move(first).error();
    // Leases began at some moment of the wait: counting from its end would promise too much, from its start too little only by the wait.
    batch.since = options.clock->now();
    batch.steady_since = Deadline::Steady::now();
    batch.messages = std::move(*first);
    // A queue may give a little less than it has, where that is cheaper for it.
    if (batch.messages.empty() || batch.messages.size() >= options.batch_messages - options.batch_messages / 8) return std::nullopt;
    std::size_t bytes = 0;
    for (const auto& message : batch.messages) bytes += message.body.size();
    if (bytes >= options.batch_bytes || !linger(wait)) return std::nullopt;
    auto more = take(options.batch_messages - batch.messages.size(), options.batch_bytes - bytes, length, Deadline::immediate());
    if (more) std::ranges::move(*more, std::back_inserter(batch.messages));
    return std::nullopt;
  }

  Result<std::vector<Message>> take(std::size_t messages, std::size_t bytes, Milliseconds length, Deadline wait) {
    return options.queue.backend()->receive(
        {.queue = options.queue.name(), .max_messages = messages, .max_bytes = bytes, .visibility_timeout = length, .wait = wait});
  }

  // False where there is no time to wait for more.
  bool linger(Deadline wait) {
    const auto until = std::min(Deadline::in(options.linger).time(), wait.time());
    if (options.linger <= Milliseconds(0) || until <= Deadline::Steady::now()) return false;
    std::unique_lock lock(mutex);
    return !changed.wait_until(lock, until, [this] { return stopping; });
  }

  // --- working

  void work(const Held& batch) {
    {
      const std::lock_guard lock(mutex);
      ++working;
    }
    round.work(*batch, queue_facts().fifo, !keeper_runs.load());
    finished(batch);
    {
      const std::lock_guard lock(mutex);
      --working;
    }
    changed.notify_all();
  }

  void finished(const Held& batch) {
    keeper.drop(batch);
    changed.notify_all();
  }

  void give_back(const Held& batch, Deadline deadline) {
    const auto left = round.give_back(*batch, deadline);
    left_leased += left;
    finished(batch);
  }

  // After a failure as a whole: waits before trying the store or the queue again.
  void pause(std::uint32_t attempt) {
    const auto until = Deadline::in(std::max(options.backoff.in_outage().wait(attempt, *options.random), Milliseconds(1))).time();
    std::unique_lock lock(mutex);
    changed.wait_until(lock, until, [this] { return stopping; });
  }

  bool is_stopping() {
    const std::lock_guard lock(mutex);
    return stopping;
  }

  // --- threads

  void fetch_loop() {
    const auto capacity = options.prefetch_batches * options.threads;
    std::uint32_t failures = 0;
    while (true) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stopping || buffer.size() < capacity; });
        if (stopping) return;
      }
      auto batch = receive(Deadline::in(kPollSlice));
      if (!batch) {
        note_failure(batch.error(), failures++);
        continue;
      }
      failures = 0;
      if (!*batch) continue;
      std::unique_lock lock(mutex);
      if (stopping) {
        lock.unlock();
        give_back(*batch, Deadline::in(kPollSlice));
        return;
      }
      buffer.push_back(std::move(*batch));
      lock.unlock();
      changed.notify_all();
    }
  }

  void apply_loop() {
    while (true) {
      Held batch;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return stopping || !buffer.empty(); });
        if (stopping) return;
        batch = std::move(buffer.front());
        buffer.pop_front();
      }
      changed.notify_all();
      work(batch);
      if (round.failures() > 0) pause(round.failures() - 1);
    }
  }

  // Without prefetching each thread receives for itself.
  void receive_and_apply_loop() {
    std::uint32_t failures = 0;
    while (!is_stopping()) {
      auto batch = receive(Deadline::in(kPollSlice));
      if (!batch) {
        note_failure(batch.error(), failures++);
        continue;
      }
      failures = 0;
      if (!*batch) continue;
      if (is_stopping()) return give_back(*batch, Deadline::in(kPollSlice));
      work(*batch);
      if (round.failures() > 0) pause(round.failures() - 1);
    }
  }

  void note_failure(const Error& error, std::uint32_t attempt) {
    options.logger->log(LogLevel::kError, "the queue could not be read and is tried again",
                        {{"queue", options.queue.name()}, {"error", error.describe()}});
    pause(attempt);
  }

  // Looks four times in a lease's length, so that an extension at half of it comes with a quarter to spare.
  void keeper_loop() {
    const auto step = std::clamp(lease() / 4, Milliseconds(5), Milliseconds(10'000));
    std::unique_lock lock(mutex);
    while (!(stopping && running == 1)) {
      changed.wait_for(lock, step, [this] { return stopping && running == 1; });
      lock.unlock();
      keeper.extend_due();
      lock.lock();
    }
  }

  template <class Loop>
  void spawn(Loop loop) {
    ++running;
    threads.emplace_back([this, loop] {
      loop();
      {
        const std::lock_guard lock(mutex);
        --running;
      }
      changed.notify_all();
    });
  }

  WorkerOptions options;
  detail::MessageKeeper keeper;
  detail::WorkerRound round;

  std::mutex stop_mutex;
  std::mutex facts_mutex;
  std::optional<QueueFacts> facts;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Held> buffer;            // prefetched
  std::set<std::uint64_t> receiving;  // calls of receive() under way, by their number
  std::uint64_t receive_count = 0;
  std::size_t working = 0;  // rounds under way
  std::size_t running = 0;  // threads
  bool started = false;
  bool stopping = false;
  std::atomic<bool> keeper_runs{false};
  std::atomic<std::size_t> left_leased{0};
  std::vector<std::thread> threads;
};

Worker::Worker(std::unique_ptr<State> state) : state_(std::move(state)) {}

Worker::~Worker() { (void)stop(Deadline::immediate()); }

Result<std::unique_ptr<Worker>> Worker::create(WorkerOptions options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  const auto queue = options.queue.backend()->capabilities().durability;
  const auto store = options.key_store.backend()->capabilities().durability;
  if (options.require_durable_store && store < queue) {
    return Error(ErrorCode::kFailedPrecondition,
                 fmt::format(R"(the key store's durability is "{}", weaker than the queue's "{}": an acknowledged record could be lost)",
                             to_string(store), to_string(queue)))
        .at_field("key_store");
  }
  if (!options.validator) options.validator = envelope_validator();
  if (!options.clock) options.clock = system_clock();
  if (!options.random) options.random = system_random();
  if (!options.logger) options.logger = no_logger();
  if (!options.metrics) options.metrics = no_metrics();
  return std::unique_ptr<Worker>(new Worker(std::make_unique<State>(std::move(options))));
}

Result<void> Worker::start() {
  auto& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.stopping) return Error(ErrorCode::kCancelled, "the worker was stopped");
  if (std::exchange(state.started, true)) return {};
  try {
    state.keeper_runs = true;
    state.spawn([&state] { state.keeper_loop(); });
    if (state.options.prefetch_batches > 0) state.spawn([&state] { state.fetch_loop(); });
    for (std::size_t i = 0; i < state.options.threads; ++i) {
      if (state.options.prefetch_batches > 0) {
        state.spawn([&state] { state.apply_loop(); });
      } else {
        state.spawn([&state] { state.receive_and_apply_loop(); });
      }
    }
  } catch (const std::system_error& thrown) {
    state.running = state.threads.size();
    state.stopping = true;
    state.changed.notify_all();
    return Error(ErrorCode::kResourceExhausted, fmt::format("a worker thread could not be started: {}", thrown.what()));
  }
  return {};
}

Result<std::size_t> Worker::run_once(Deadline wait) {
  auto& state = *state_;
  if (state.is_stopping()) return Error(ErrorCode::kCancelled, "the worker was stopped");
  auto batch = state.receive(wait);
  if (!batch) return std::move(batch).error();
  if (!*batch) return 0;
  const auto count = (*batch)->messages.size();
  if (state.is_stopping()) {
    state.give_back(*batch, Deadline::in(kPollSlice));
  } else {
    state.work(*batch);
  }
  return count;
}

Result<void> Worker::flush(Deadline deadline) {
  auto& state = *state_;
  const auto late = [] { return Error(ErrorCode::kDeadlineExceeded, "the queue still held work at the deadline"); };
  while (true) {
    // The caller's thread helps, which also is the only sure way to learn that nothing is left.
    auto worked = run_once(Deadline::immediate());
    if (!worked) {
      if (!worked.error().retryable() || deadline.passed()) return std::move(worked).error();
      state.pause(0);
      continue;
    }
    if (*worked > 0) {
      if (deadline.passed()) return late();
      continue;
    }
    std::unique_lock lock(state.mutex);
    // A receive that was under way may have taken the last messages without holding them yet.
    const auto before = state.receive_count;
    const auto in_flight = [&] {
      lock.unlock();
      auto stats = state.options.queue.stats(deadline.then(Milliseconds(50)));
      lock.lock();
      return !stats || stats->in_flight > 0;
    };
    if (state.keeper.held() == 0 && in_flight()) {
      const auto settled = [&] { return state.receiving.empty() || *state.receiving.begin() > before || state.stopping; };
      if (!state.changed.wait_until(lock, deadline.time(), settled)) return late();
    }
    if (state.keeper.held() == 0) return {};
    const auto idle = [&] { return state.keeper.held() == 0 || state.stopping; };
    if (!state.changed.wait_until(lock, deadline.time(), idle)) return late();
  }
}

Result<std::size_t> Worker::stop(Deadline deadline) {
  auto& state = *state_;
  const std::lock_guard one_at_a_time(state.stop_mutex);
  std::deque<State::Held> untried;
  {
    const std::lock_guard lock(state.mutex);
    state.stopping = true;
    untried.swap(state.buffer);
  }
  state.changed.notify_all();
  // One after the other from the latest: what is behind in a group goes back first.
  const auto latest = Deadline::at(std::max(deadline.time(), Deadline::in(kPollSlice).time()));
  // NOLINTNEXTLINE(modernize-loop-convert): clang 14 cannot compile the views of libstdc++ 12
  for (auto batch = untried.rbegin(); batch != untried.rend(); ++batch) state.give_back(*batch, latest);
  std::unique_lock lock(state.mutex);
  const bool quiet = state.changed.wait_until(lock, deadline.time(),
                                              [&state] { return state.running == 0 && state.working == 0 && state.receiving.empty(); });
  if (!quiet) return state.left_leased.load() + state.keeper.held();
  lock.unlock();
  // Threads that have left their loops.
  for (auto& thread : state.threads) thread.join();
  state.threads.clear();
  return state.left_leased.load();
}

WorkerStats Worker::stats() const { return state_->round.stats(); }

}  // namespace setget::inline v0
