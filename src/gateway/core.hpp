// The gateway's insides: one method per route, shared helpers, and the bounded state that lives as long as the gateway.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <setget/gateway.hpp>

#include "gateway/conditional.hpp"
#include "gateway/envelope.hpp"
#include "gateway/uri.hpp"

namespace setget::inline v0::detail {

// One request on its way through a route.
struct Call {
  const GatewayRequest& request;
  Target target;
  Query query;
  std::string_view rest;        // of the path, behind a route that ends with "/"; still percent-encoded
  std::size_t rest_offset = 0;  // where it starts in the target
};

// A request in the completion form, kept until it is answered.
class Later {
 public:
  explicit Later(GatewayRequest&& asked) noexcept : request(std::move(asked)) {}
  void whom(Gateway::Done&& done) noexcept { done_ = std::move(done); }
  // The first answer counts: what throws after it has answered must not answer again.
  void answer(GatewayResponse&& response) {
    if (!answered_.test_and_set()) done_(std::move(response));
  }
  const GatewayRequest request;

 private:
  Gateway::Done done_;
  std::atomic_flag answered_;
};

// What a request with an Idempotency-Key came to.
struct Attempt {
  // NOLINTNEXTLINE(google-explicit-constructor): nearly every answer says by its status whether it holds
  Attempt(GatewayResponse of) : response(std::move(of)), holds(response.status < 300) {}
  GatewayResponse response;
  bool holds;  // whoever comes again is given it; else it is tried again
};

// One try at it.
struct Try {
  std::string_view dedup{};  // under which the queue deduplicates; empty without a key
  // One before may have been accepted: what that has done must not be taken for a condition that does not hold.
  bool repeats = false;
};

class GatewayCore {
 public:
  explicit GatewayCore(GatewayOptions options);
  GatewayResponse handle(const GatewayRequest& request);
  // The completion form: the answer, or nothing where `later` gets it from now on.
  std::optional<GatewayResponse> handle(const std::shared_ptr<Later>& later);
  bool answers_later() const noexcept { return options_.public_routes && pipeline().reader().async_gets(); }
  bool answers_later(const GatewayRequest& request) const noexcept;
  // Whether a get may be answered later than its call returns: by the store, or by the archive that is asked after it.
  bool has_completion_form() const noexcept {
    return options_.public_routes && (pipeline().reader().async_gets() || pipeline().reader().reads_through());
  }
  bool has_at_hand() const noexcept { return options_.public_routes && pipeline().reader().has_at_hand(); }
  using Repeat = Gateway::Repeat;
  std::optional<GatewayResponse> answer_at_hand(const GatewayRequest& request, std::optional<Repeat>* repeat);
  bool answers_the_same(const Repeat& repeat) const;
  Result<void> set_hooks(std::vector<HookRoute> hooks);
  void set_draining() noexcept { draining_.store(true, std::memory_order_release); }

 private:
  struct Route;
  static std::span<const Route> routes();
  // `later`: nullptr, or who may be answered later by a route that has a completion form.
  std::optional<GatewayResponse> dispatch(const GatewayRequest& request, const std::shared_ptr<Later>& later);

  // routes_set.cpp
  GatewayResponse set_record(const Call& call);
  GatewayResponse set_batch(const Call& call);
  GatewayResponse set_payload(const Call& call);
  GatewayResponse set_envelope(const Call& call, ParsedEnvelope parsed, const Try& attempt);
  Attempt set_envelopes(const Call& call, std::vector<Element> elements, std::string_view dedup);
  GatewayResponse set_raw(const Call& call, const Try& attempt);
  GatewayResponse send(const Call& call, SetRequest request, std::size_t plain_keys, const Payload& json, const Try& attempt);
  std::optional<GatewayResponse> apply_preconditions(const Call& call, SetRequest& request, const Try& attempt);
  std::vector<Reason> all_reasons(ParsedEnvelope& parsed) const;

  // routes_hooks.cpp
  using Hooks = std::vector<HookRoute>;
  std::shared_ptr<const Hooks> hooks() const;
  static const HookRoute* find_hook(const Hooks& hooks, std::string_view path) noexcept;
  GatewayResponse run_hook(const Call& call, const HookRoute& hook);
  GatewayResponse map_and_set(const Call& call, const HookRoute& hook, std::string_view dedup);

  // routes_get.cpp
  struct RecordQuestion {
    std::string key{};
    std::string ns{};
    Representation representation = Representation::kPayload;
  };
  Result<RecordQuestion> record_question(const Call& call) const;
  GatewayResponse get_record(const Call& call);
  std::optional<GatewayResponse> get_record_later(const Call& call, const std::shared_ptr<Later>& later);
  std::optional<GatewayResponse> get_record_at_hand(const Call& call, std::optional<Repeat>* repeat);
  std::vector<Reason> reasons_against(const KeyQuery& query) const;
  GatewayResponse get_records(const Call& call);
  GatewayResponse read_records(const std::vector<std::string>& keys, std::string_view ns) const;
  GatewayResponse erase_record(const Call& call);
  GatewayResponse get_message(const Call& call);
  Result<std::string> key_of(const Call& call, std::initializer_list<std::string_view> parameters) const;
  Result<MessageStatus> wait_for(const std::string& message_id, Milliseconds wait);

  // routes_admin.cpp
  GatewayResponse queue_stats(const Call& call);
  GatewayResponse list_dead_letters(const Call& call);
  GatewayResponse show_dead_letter(const Call& call);
  GatewayResponse redrive_dead_letters(const Call& call);
  GatewayResponse purge_dead_letters(const Call& call);
  GatewayResponse health(const Call& call);
  GatewayResponse readiness(const Call& call);
  GatewayResponse metrics(const Call& call);
  GatewayResponse reload(const Call& call);
  GatewayResponse schedules(const Call& call);
  GatewayResponse explain_ttl(const Call& call);
  GatewayResponse run_archive(const Call& call);

  // idempotency.cpp: runs `once` until its answer holds, and not again for the same Idempotency-Key. `tell` is asked only where a request
  // has such a key.
  struct Meaning {
    std::string ns{};                // where it acts: a key of one namespace is unknown in another
    std::optional<Digest> record{};  // what it asks for beyond its target, body and conditions
  };
  using Tell = std::function<Meaning()>;
  using Once = std::function<Attempt(const Try& attempt)>;
  GatewayResponse idempotent(const Call& call, std::string_view route, const Tell& tell, const Once& once);

  Pipeline& pipeline() const noexcept { return *options_.pipeline; }
  QueueBackend& queue() const { return *pipeline().options().queue.backend(); }
  const std::string& queue_name() const { return pipeline().options().queue.name(); }
  const Limits& limits() const { return pipeline().options().limits; }
  TimePoint now() const noexcept { return clock_->now(); }
  Deadline deadline() const noexcept { return Deadline::in(options_.set_deadline); }
  // The namespace to read or erase in: the listener's, or the account's where the policy isolates accounts.
  Result<std::string> namespace_of(const Call& call) const;
  // The namespace that a set for this account acts in; the listener's where it will be refused.
  std::string namespace_of_set(const Call& call, std::string_view account) const;

  // Whether the API itself answers there.
  static bool is_taken(std::string_view path) noexcept;

  GatewayOptions options_;
  std::shared_ptr<const Clock> clock_;
  mutable std::mutex hooks_mutex_;
  std::shared_ptr<const Hooks> hooks_ = std::make_shared<const Hooks>();
  std::atomic<bool> has_hooks_{false};
  std::atomic<bool> draining_{false};
  std::atomic<std::size_t> waiters_{0};
  std::atomic<bool> archiving_{false};
};

// What a host's callback, a standard container or a library throws must not end the server.
template <class Make>
GatewayResponse guarded(Make&& make) noexcept {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    return {503, {{"Retry-After", "1"}}, {}};
  } catch (const std::exception& error) {
    return problem(500, Error(ErrorCode::kInternal, error.what()));
  } catch (...) {
    return problem(500, Error(ErrorCode::kInternal, "an exception that is no std::exception"));
  }
}

GatewayResponse method_not_allowed(std::string allow);
// 202 with the receipt.
GatewayResponse accepted(const Receipt& receipt);
// Refusals that several routes share; empty = fine.
std::optional<GatewayResponse> refuse_without_length(const Call& call);
std::optional<GatewayResponse> refuse_encoded(const GatewayRequest& request);
std::optional<GatewayResponse> refuse_media_type(const Call& call, std::initializer_list<std::string_view> accepted);
Result<bool> boolean_parameter(const Query& query, std::string_view name);
Result<std::optional<std::uint64_t>> integer_parameter(const Query& query, std::string_view name, std::uint64_t least, std::uint64_t most);

}  // namespace setget::inline v0::detail
