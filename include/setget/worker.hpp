// Worker: takes messages off the queue, validates them, resolves their TTL, applies them to the key store and settles them.
// Thread rule: any thread; run_once may be called from several host threads at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/key_store.hpp>
#include <setget/observe.hpp>
#include <setget/queue.hpp>
#include <setget/record.hpp>
#include <setget/ttl.hpp>
#include <setget/validator.hpp>

namespace setget::inline v0 {

// Exponential backoff with full jitter: a uniformly random wait in [0, min(cap, base * 2^attempt)]
// (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Worker and Pipeline take 0 to 10 years for each of them.
struct Backoff {
  Milliseconds base{200};
  Milliseconds cap{60'000};
  // Instead of `cap` where the store or the queue as a whole cannot be reached, so that work goes on soon after the end of a long outage.
  Milliseconds outage_cap{5'000};
  SETGET_API Milliseconds wait(std::uint32_t attempt, Random& random) const;  // attempt counts from 0
  SETGET_API Backoff in_outage() const;                                       // with the shorter of both caps
};

// Changes a command before it is validated and stored. Must be pure: a message may be delivered more than once. May change everything but
// kind, ns, id and version. An error that is retryable() leads to a retry that counts, kCancelled (the host stops) to one that does not,
// any other straight to the dead letters; an exception is caught and counts as not retryable.
using Transform = std::function<Result<Command>(Command command, const Message& message)>;

struct WorkerOptions {
  Queue queue{};                                 // required
  KeyStore key_store{};                          // required
  std::shared_ptr<TtlPolicy> policy{};           // required
  std::shared_ptr<const Validator> validator{};  // empty: envelope_validator()
  Transform transform{};                         // empty: none
  std::shared_ptr<const Clock> clock{};
  std::shared_ptr<Random> random{};
  std::shared_ptr<Logger> logger{};
  std::shared_ptr<Metrics> metrics{};
  std::size_t threads = 1;                           // started by start(); in [1, 1024]
  std::size_t batch_messages = 256;                  // taken at a time; > 0
  std::size_t batch_bytes = 8u << 20;                // of bodies; at least one message is always taken
  std::size_t prefetch_batches = 1;                  // received ahead of what is being applied; 0 = none
  Milliseconds linger{2};                            // how long a batch waits for more that is less than 7/8 full; 0 = not at all
  std::optional<Milliseconds> visibility_timeout{};  // in (0, 10 years]; empty: the queue's
  Backoff backoff{};
  bool require_durable_store = true;  // refuse a store weaker than the queue at start
  MetricAllowList metric_labels{};    // accounts and flows that metrics may name
  std::size_t max_reasons = 32;       // that a dead letter keeps of what a flow's schema finds; > 0
  // Where readers fall back to an archive, an erase by key means what they would find there too. Asked before each one for the archived
  // record that the key leads to and the store does not know: it is brought back, so that the erase meets it, and its tombstone reaches the
  // archive. An error has the erase tried again. Empty: erases mean what the store has. Pipeline: Reader::only_archived().
  std::function<Result<std::optional<Record>>(std::string_view key, std::string_view ns, Deadline deadline)> only_archived{};
  std::function<void(const Command&)> on_set_applied{};  // empty: none; must neither block nor throw
  SETGET_API Result<void> validate() const;
};

struct WorkerStats {
  std::uint64_t received = 0;
  std::uint64_t applied = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t stale = 0;
  std::uint64_t expired = 0;
  std::uint64_t dead_lettered = 0;
  std::uint64_t retried = 0;     // released for another try
  std::uint64_t lease_lost = 0;  // settled by somebody else meanwhile
};

class SETGET_API Worker {
 public:
  static Result<std::unique_ptr<Worker>> create(WorkerOptions options);
  ~Worker();  // stop(immediate)

  // Starts the threads. Idempotent.
  Result<void> start();
  // For hosts that own the threads: one round (receive, apply, settle); waits for messages at most until `wait`. Returns how many
  // messages were received. Errors are of the queue itself; what fails per message is settled.
  Result<std::size_t> run_once(Deadline wait = Deadline::immediate());
  // Blocks until the queue holds nothing that could be worked on now (delayed and leased elsewhere excluded). kDeadlineExceeded otherwise.
  Result<void> flush(Deadline deadline);
  // Takes no more, finishes or releases what is in flight, joins. Returns how many messages it had to leave leased. Idempotent.
  Result<std::size_t> stop(Deadline deadline);
  WorkerStats stats() const;

 private:
  struct State;
  explicit Worker(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0
