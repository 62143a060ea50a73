// Gateway: the HTTP API as a function from request to response, without a transport. http.hpp mounts it on a server; hosts mount it on
// theirs. Thread rule: any thread; handle() blocks like the pipeline's verbs do, but for what its completion form says.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/idempotency.hpp>
#include <setget/mapping.hpp>
#include <setget/observe.hpp>
#include <setget/payload.hpp>
#include <setget/payload_schema.hpp>
#include <setget/pipeline.hpp>

namespace setget::inline v0 {

struct GatewayRequest {
  std::string method{};                                        // upper case
  std::string target{};                                        // origin form: path and query, still percent-encoded
  std::vector<std::pair<std::string, std::string>> headers{};  // names in any case
  Payload body{};
  std::string ns{};  // of this listener or credential
  // Value of the first header of that name (any case); empty if there is none.
  SETGET_API std::string_view header(std::string_view name) const noexcept;
};

struct GatewayResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers{};  // Content-Length excluded: the transport's
  Payload body{};                                              // for HEAD: what GET would send; the transport sends its length only
};

// A route of the host's own: any request to `path` becomes a record by a mapping.
struct HookRoute {
  std::string name{};                        // [A-Za-z0-9._-]{1,64}
  std::string path{};                        // compared as it stands in the target; empty: /v1/hooks/NAME
  std::vector<std::string> methods{"POST"};  // of POST, PUT and PATCH
  std::size_t max_body = 0;                  // bytes; over it 413; 0: the pipeline's limit of a payload
  std::optional<Mapping> mapping{};          // required
  std::optional<PayloadSchema> schema{};     // of the body, which is JSON then; before it is mapped. Versions by header or field only
  // What is wrong with a body, before it is mapped; empty, or nothing found: it is fine. Any thread; must not block.
  std::function<std::vector<Reason>(const Payload& body)> check{};
  // What the gateway answers without a look at the body's content: 405, 413, 415. Nothing: it goes on to violations() and the mapping.
  // With a `max_body` of 0 no length is too much here.
  SETGET_API std::optional<GatewayResponse> refusal(const GatewayRequest& request) const;
  // What `schema` and `check` find, at most `most` reasons; pointers start with "/body".
  SETGET_API std::vector<Reason> violations(const GatewayRequest& request, std::size_t most) const;
};

struct GatewayOptions {
  Pipeline* pipeline = nullptr;  // required; outlives the gateway
  bool public_routes = true;     // /v1/records, /v1/payloads, /v1/messages
  bool admin_routes = false;     // /v1/queue, /v1/dead-letters, /v1/schedules, /v1/ttl:explain, /v1/archive:run, /v1/reload, /healthz, …
  std::size_t max_batch = 10'000;  // envelopes in one batch request
  Milliseconds max_wait{60'000};   // of ?wait=
  // Requests inside ?wait= at a time: each holds a thread of the transport, which should have more than so many; further ones do not wait.
  std::size_t max_waiters = 24;
  std::size_t max_response = 64u << 20;         // bytes of one multi-get's answer; over it 413
  Milliseconds set_deadline{30'000};            // of every call into the pipeline except ?wait=
  std::function<std::string()> metrics_text{};  // for /metrics; empty: 404
  std::function<Result<void>()> reload{};       // for POST /v1/reload; empty: 404
  // Remembers Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header): 24 h, scope (namespace, route).
  std::shared_ptr<IdempotencyStore> idempotency{};  // empty: in memory, bounded
  std::vector<HookRoute> hooks{};                   // public routes; see Gateway::set_hooks
  SETGET_API Result<void> validate() const;
};

class SETGET_API Gateway {
 public:
  static Result<std::unique_ptr<Gateway>> create(GatewayOptions options);
  ~Gateway();
  // Never throws, never fails: every error is a problem+json response (RFC 9457).
  GatewayResponse handle(const GatewayRequest& request) noexcept;
  // The completion form, for servers whose threads must not wait for a store: `done` is called exactly once with what handle() would
  // answer, on any thread, perhaps before this returns; it must neither block nor throw. GET of one record does not wait for an
  // archive, nor for a store where the reader's async_gets() says so; everything else blocks as handle() does. The gateway may go once
  // every `done` has been called.
  using Done = std::function<void(GatewayResponse)>;
  void handle(GatewayRequest request, Done done) noexcept;
  // True if the completion form does not wait for the answer to this request; without one, if there is any such request. Never changes.
  bool answers_later() const noexcept;
  bool answers_later(const GatewayRequest& request) const noexcept;
  // A request that was answered with a record at hand, as answers_the_same() wants to know it.
  struct Repeat {
    std::string key{};
    std::string ns{};
    std::weak_ptr<const Record> record{};
    std::weak_ptr<const Flows> flows{};  // by which the request was understood
  };
  // What handle() would answer, where the store has it at hand: a GET of one record that a cache of this process knows. Empty elsewhere,
  // and then nothing has happened. Never waits. For servers, before the completion form; pays only where has_at_hand().
  // `repeat`, where given, is filled in where the answer is a record's payload with status 200 that the store keeps for the next one; else
  // it stays as it was.
  std::optional<GatewayResponse> answer_at_hand(const GatewayRequest& request, std::optional<Repeat>* repeat = nullptr) noexcept;
  bool has_at_hand() const noexcept;
  // Whether answer_at_hand() would answer that request as it did then: status, headers and body. If so it counts as answered. Never waits.
  bool answers_the_same(const Repeat& repeat) noexcept;
  // Other hooks from the next request on; those on their way finish with theirs. Error: kInvalidArgument with the hook as field, for names
  // and paths that are taken (also by the API itself) or are none; then nothing changes. Any thread.
  Result<void> set_hooks(std::vector<HookRoute> hooks);
  // /readyz answers 503 from now on.
  void set_draining() noexcept;

 private:
  struct State;
  explicit Gateway(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// An envelope of the HTTP API to a request; all violations as reasons of kInvalidArgument. `position` of a syntax error is its byte offset.
SETGET_API Result<SetRequest> parse_envelope(const Payload& json, const Limits& limits);
// A record as an envelope: payload as JSON where it is, else payload_base64; keys that are not UTF-8 as keys_base64.
// `tier`: which one answered, where a reader said so.
SETGET_API std::string write_envelope(const Record& record, std::optional<Tier> tier = {});
// RFC 9457 body: type, title, status, detail, violations [{pointer, code, message}].
SETGET_API GatewayResponse problem(int status, const Error& error);
SETGET_API int http_status(const Error& error) noexcept;

}  // namespace setget::inline v0
