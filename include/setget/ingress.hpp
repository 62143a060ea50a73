// Ingress: the producer's door. Checks a request, gives it an identity, and puts it into the queue.
// Thread rule: any thread. Blocking rule: until the queue has the message at its durability, at most until the deadline.
#pragma once

#include <atomic>
#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/observe.hpp>
#include <setget/queue.hpp>
#include <setget/record.hpp>
#include <setget/ttl.hpp>
#include <setget/validator.hpp>

namespace setget::inline v0 {

// What a producer says. Fields as in Command; designated initializers read well.
struct SetRequest {
  std::string ns{};  // from the listener or the credential, never from a body
  std::string id{};  // empty: a fresh ULID
  KeyList keys{};
  std::string account{};
  std::string flow{};
  std::string owner{};
  Payload payload{};
  std::string content_type = "application/json";
  Attributes attributes{};
  std::optional<Ttl> ttl{};
  std::optional<Version> version{};           // empty: assigned
  std::optional<Version> expected_version{};  // 0 = must not exist
  std::string dedup_id{};                     // empty: never deduplicated
  std::string traceparent{};                  // W3C Trace Context; an invalid one is replaced by a fresh one, empty stays empty
};
struct EraseRequest {  // exactly one of id and key
  std::string ns{};
  std::string id{};
  std::string key{};
  std::optional<Version> version{};  // erase by id only
  std::string dedup_id{};
  std::string traceparent{};
};
struct TouchRequest {
  std::string ns{};
  std::string id{};
  std::string account{};  // for clamping by policy
  std::string flow{};
  std::optional<Ttl> ttl{};  // empty: what the policy says for the flow, counted from now
  std::string traceparent{};
};

// Proof of acceptance: the message is in the queue at its durability.
struct Receipt {
  std::string message_id{};
  std::string id{};     // of the record; empty for an erase by key, or where deduplicated and the earlier message is gone
  Version version = 0;  // 0 for an erase by key or a touch
  bool deduplicated = false;
};

struct IngressOptions {
  Queue queue{};                                 // required
  std::shared_ptr<TtlPolicy> policy{};           // required
  std::shared_ptr<const Validator> validator{};  // empty: envelope_validator(limits)
  Limits limits{};
  std::shared_ptr<const Clock> clock{};        // empty: system_clock()
  std::shared_ptr<Random> random{};            // empty: system_random()
  std::shared_ptr<Logger> logger{};            // empty: none
  std::shared_ptr<Metrics> metrics{};          // empty: none
  std::size_t max_waiting = 4096;              // requests inside set() at a time; > 0
  std::size_t max_waiting_bytes = 256u << 20;  // their payloads; at least one is always admitted
  bool block_when_full = true;                 // wait until the deadline; else kResourceExhausted at once
  MetricAllowList metric_labels{};             // accounts and flows that metrics may name
  SETGET_API Result<void> validate() const;
};

class SETGET_API Ingress {
 public:
  static Result<std::unique_ptr<Ingress>> create(IngressOptions options);
  ~Ingress();

  // Durable once it returns. kInvalidArgument with reasons() for every violation. Idempotent only with a caller's id and version, or a
  // dedup_id.
  Result<Receipt> set(SetRequest request, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  // One result per request, in order; not atomic. One fsync for all.
  template <std::same_as<std::vector<SetRequest>> Requests>  // a template, so that braces always mean one request
  Result<std::vector<Result<Receipt>>> set(Requests requests, Deadline deadline = Deadline::in(Milliseconds(30'000))) {
    return set_all(std::move(requests), deadline);
  }
  Result<Receipt> erase(EraseRequest request, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  Result<Receipt> touch(TouchRequest request, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  // Everything that set() would refuse, without queueing.
  std::vector<Reason> check(const SetRequest& request) const;
  // Refuses everything from now on with kCancelled; waiting calls return. Idempotent.
  void close() noexcept;

 private:
  struct State;
  explicit Ingress(std::unique_ptr<State> state);
  Result<std::vector<Result<Receipt>>> set_all(std::vector<SetRequest> requests, Deadline deadline);
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0
