#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <new>

#include "core/json_pointer.hpp"
#include "gateway/core.hpp"
#include "gateway/media_type.hpp"
#include "gateway/problem.hpp"
#include "pipeline/isolation.hpp"

namespace setget::inline v0 {
namespace detail {

struct GatewayCore::Route {
  std::string_view method;
  std::string_view path;  // ends with "/": the rest of the path belongs to the route
  bool admin = false;
  GatewayResponse (GatewayCore::*run)(const Call&) = nullptr;
  std::optional<GatewayResponse> (GatewayCore::*run_later)(const Call&, const std::shared_ptr<Later>&) = nullptr;  // where there is one
};

std::span<const GatewayCore::Route> GatewayCore::routes() {
  // Busiest first.
  static constexpr Route kRoutes[] = {
      {"POST", "/v1/records", false, &GatewayCore::set_record},
      {"GET", "/v1/records/", false, &GatewayCore::get_record, &GatewayCore::get_record_later},
      {"GET", "/v1/records", false, &GatewayCore::get_record, &GatewayCore::get_record_later},
      {"POST", "/v1/payloads", false, &GatewayCore::set_payload},
      {"POST", "/v1/records:batch", false, &GatewayCore::set_batch},
      {"POST", "/v1/records:get", false, &GatewayCore::get_records},
      {"GET", "/v1/messages/", false, &GatewayCore::get_message},
      {"DELETE", "/v1/records/", false, &GatewayCore::erase_record},
      {"DELETE", "/v1/records", false, &GatewayCore::erase_record},
      {"GET", "/healthz", true, &GatewayCore::health},
      {"GET", "/readyz", true, &GatewayCore::readiness},
      {"GET", "/metrics", true, &GatewayCore::metrics},
      {"GET", "/v1/queue", true, &GatewayCore::queue_stats},
      {"GET", "/v1/dead-letters", true, &GatewayCore::list_dead_letters},
      {"GET", "/v1/dead-letters/", true, &GatewayCore::show_dead_letter},
      {"POST", "/v1/dead-letters:redrive", true, &GatewayCore::redrive_dead_letters},
      {"POST", "/v1/dead-letters:purge", true, &GatewayCore::purge_dead_letters},
      {"GET", "/v1/schedules", true, &GatewayCore::schedules},
      {"GET", "/v1/ttl:explain", true, &GatewayCore::explain_ttl},
      {"POST", "/v1/archive:run", true, &GatewayCore::run_archive},
      {"POST", "/v1/reload", true, &GatewayCore::reload},
  };
  return kRoutes;
}

namespace {

bool matches(std::string_view pattern, std::string_view path) {
  return pattern.back() == '/' ? path.substr(0, pattern.size()) == pattern : path == pattern;
}

Call call_of(const GatewayRequest& request, const Target& target, Query query, std::string_view pattern) {
  Call call{request, target, std::move(query), {}, 0};
  if (pattern.back() == '/' && matches(pattern, target.path)) {
    call.rest = target.path.substr(pattern.size());
    call.rest_offset = static_cast<std::size_t>(call.rest.data() - request.target.data());
  }
  return call;
}

// A web page can reach a listener on loopback through the browser of whoever reads it, and does not have to ask before it sends a simple
// request (Fetch Standard, CORS protocol). Browsers say where a request comes from; what operators use sends neither header.
bool comes_from_web_page(const GatewayRequest& request) {
  return std::ranges::any_of(request.headers, [](const auto& header) {
    const auto& [name, value] = header;
    if (equals_ignoring_case(name, "Origin")) return true;
    return equals_ignoring_case(name, "Sec-Fetch-Site") && value != "none" && value != "same-origin";
  });
}

}  // namespace

GatewayResponse method_not_allowed(std::string allow) {
  auto response = refusal(405, fmt::format("this resource allows {}", allow));
  response.headers.emplace_back("Allow", std::move(allow));
  return response;
}

bool GatewayCore::is_taken(std::string_view path) noexcept {
  return std::ranges::any_of(routes(), [&](const Route& route) { return matches(route.path, path); });
}

GatewayCore::GatewayCore(GatewayOptions options) : options_(std::move(options)), clock_(options_.pipeline->options().clock) {
  if (!clock_) clock_ = system_clock();
  if (!options_.idempotency) options_.idempotency = memory_idempotency_store();
}

bool GatewayCore::answers_later(const GatewayRequest& request) const noexcept {
  if (!answers_later() || (request.method != "GET" && request.method != "HEAD")) return false;
  const auto path = split_target(request.target).path;
  return std::ranges::any_of(routes(), [&](const Route& route) { return route.run_later != nullptr && matches(route.path, path); });
}

std::optional<GatewayResponse> GatewayCore::dispatch(const GatewayRequest& request, const std::shared_ptr<Later>& later) {
  const Target target = split_target(request.target);
  // HEAD is GET whose body the transport leaves out.
  const std::string_view method = request.method == "HEAD" ? std::string_view("GET") : std::string_view(request.method);
  std::string allow;
  for (const Route& route : routes()) {
    if (!(route.admin ? options_.admin_routes : options_.public_routes) || !matches(route.path, target.path)) continue;
    if (route.method != method) {
      allow += fmt::format("{}{}", allow.empty() ? "" : ", ", route.method == "GET" ? std::string_view("GET, HEAD") : route.method);
      continue;
    }
    if (route.admin && comes_from_web_page(request))
      return refusal(403, "the operators' resources are not for web pages: the request has an Origin, or a Sec-Fetch-Site of another site");
    auto query = Query::parse(target.query, target.query_offset);
    if (!query) return problem_of(query.error());
    const Call call = call_of(request, target, *std::move(query), route.path);
    if (later != nullptr && route.run_later != nullptr) return (this->*route.run_later)(call, later);
    return (this->*route.run)(call);
  }
  if (!allow.empty()) return method_not_allowed(std::move(allow));
  if (has_hooks_.load(std::memory_order_acquire)) {
    const auto all = hooks();
    if (const HookRoute* hook = find_hook(*all, target.path)) {
      auto query = Query::parse(target.query, target.query_offset);
      if (!query) return problem_of(query.error());
      return run_hook({request, target, *std::move(query), {}, 0}, *hook);
    }
  }
  return refusal(404, "no such resource");
}

std::optional<GatewayResponse> GatewayCore::answer_at_hand(const GatewayRequest& request, std::optional<Repeat>* repeat) {
  if (!has_at_hand() || (request.method != "GET" && request.method != "HEAD")) return std::nullopt;
  const Target target = split_target(request.target);
  if (!matches("/v1/records/", target.path) && target.path != "/v1/records") return std::nullopt;
  auto query = Query::parse(target.query, target.query_offset);
  if (!query) return std::nullopt;
  return get_record_at_hand(call_of(request, target, *std::move(query), "/v1/records/"), repeat);
}

bool GatewayCore::answers_the_same(const Repeat& repeat) const {
  if (pipeline().ttl_policy().flows() != repeat.flows.lock()) return false;
  return pipeline().reader().still_at_hand(repeat.key, repeat.ns, repeat.record);
}

GatewayResponse GatewayCore::handle(const GatewayRequest& request) { return *dispatch(request, nullptr); }

std::optional<GatewayResponse> GatewayCore::handle(const std::shared_ptr<Later>& later) { return dispatch(later->request, later); }

Result<std::string> GatewayCore::namespace_of(const Call& call) const {
  const auto flows = pipeline().ttl_policy().flows();
  const std::string* account = call.query.find("account");
  if (!flows || !flows->isolate_accounts) return call.request.ns;
  if (account == nullptr || account->empty())
    return invalid({{"account_missing", "accounts are isolated here: name one with ?account=", "/account"}});
  if (!is_name(*account)) return invalid({{"invalid_account", "a name is 1 to 64 of [A-Za-z0-9._-]", "/account"}});
  if (auto refused = account_refusal(call.request.ns, *account)) return invalid({*std::move(refused)});
  return *account;
}

std::string GatewayCore::namespace_of_set(const Call& call, std::string_view account) const {
  const auto flows = pipeline().ttl_policy().flows();
  const bool isolated = flows && flows->isolate_accounts && call.request.ns.empty() && is_name(account);
  return isolated ? std::string(account) : call.request.ns;
}

std::optional<GatewayResponse> refuse_without_length(const Call& call) {
  if (!call.request.body.empty() || !call.request.header("Content-Length").empty() || !call.request.header("Transfer-Encoding").empty())
    return std::nullopt;
  return refusal(411, "a body is needed here, with Content-Length or Transfer-Encoding: chunked");
}

std::optional<GatewayResponse> refuse_encoded(const GatewayRequest& request) {
  const std::string_view encoding = trim(request.header("Content-Encoding"));
  if (encoding.empty() || equals_ignoring_case(encoding, "identity")) return std::nullopt;
  auto response = refusal(415, "bodies with a Content-Encoding are not read; send the bytes as they are");
  response.headers.emplace_back("Accept-Encoding", "identity");
  return response;
}

std::optional<GatewayResponse> refuse_media_type(const Call& call, std::initializer_list<std::string_view> accepted) {
  if (auto refused = refuse_encoded(call.request)) return refused;
  const std::string_view type = call.request.header("Content-Type");
  if (type.empty()) return std::nullopt;
  const bool known = std::ranges::any_of(accepted, [&](std::string_view one) { return equals_ignoring_case(media_type(type), one); });
  if (known && is_utf8_charset(type)) return std::nullopt;
  return refusal(415, fmt::format("Content-Type must be {} in UTF-8", fmt::join(accepted, " or ")));
}

Result<bool> boolean_parameter(const Query& query, std::string_view name) {
  const std::string* text = query.find(name);
  if (text == nullptr || *text == "false" || *text == "0") return false;
  if (*text == "true" || *text == "1" || text->empty()) return true;
  return invalid({{"wrong_type", "expected true or false", child_pointer({}, name)}});
}

Result<std::optional<std::uint64_t>> integer_parameter(const Query& query, std::string_view name, std::uint64_t least, std::uint64_t most) {
  const std::string* text = query.find(name);
  if (text == nullptr) return std::optional<std::uint64_t>();
  std::uint64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error == std::errc() && stop == end && number >= least && number <= most) return std::optional<std::uint64_t>(number);
  return invalid({{"out_of_range", fmt::format("an integer in [{}, {}]", least, most), child_pointer({}, name)}});
}

}  // namespace detail

std::string_view GatewayRequest::header(std::string_view name) const noexcept {
  for (const auto& [field, value] : headers)
    if (detail::equals_ignoring_case(field, name)) return value;
  return {};
}

Result<void> GatewayOptions::validate() const {
  const auto refuse = [](const char* field, const char* what) { return Error(ErrorCode::kInvalidArgument, what).at_field(field); };
  if (pipeline == nullptr) return refuse("pipeline", "is required");
  if (!public_routes && !admin_routes) return refuse("public_routes", "at least one of public_routes and admin_routes must be on");
  if (max_batch == 0) return refuse("max_batch", "must be above 0");
  if (max_response == 0) return refuse("max_response", "must be above 0");
  if (max_wait < Milliseconds(0)) return refuse("max_wait", "must not be negative");
  if (set_deadline <= Milliseconds(0)) return refuse("set_deadline", "must be above 0");
  return {};
}

struct Gateway::State {
  explicit State(GatewayOptions options) : core(std::move(options)) {}
  detail::GatewayCore core;
};

Gateway::Gateway(std::unique_ptr<State> state) : state_(std::move(state)) {}
Gateway::~Gateway() = default;

Result<std::unique_ptr<Gateway>> Gateway::create(GatewayOptions options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  auto hooks = std::move(options.hooks);
  std::unique_ptr<Gateway> gateway(new Gateway(std::make_unique<State>(std::move(options))));
  if (auto set = gateway->set_hooks(std::move(hooks)); !set) return std::move(set).error();
  return gateway;
}

GatewayResponse Gateway::handle(const GatewayRequest& request) noexcept {
  return detail::guarded([&] { return state_->core.handle(request); });
}

void Gateway::handle(GatewayRequest request, Done done) noexcept {
  if (!state_->core.has_completion_form()) return done(handle(request));
  std::shared_ptr<detail::Later> later;
  try {
    later = std::make_shared<detail::Later>(std::move(request));
  } catch (const std::bad_alloc&) {
    return done(detail::guarded([]() -> GatewayResponse { throw; }));
  }
  later->whom(std::move(done));
  auto failed = detail::guarded([&] {
    if (auto answer = state_->core.handle(later)) later->answer(*std::move(answer));
    return GatewayResponse{.status = 0};
  });
  if (failed.status != 0) later->answer(std::move(failed));
}

std::optional<GatewayResponse> Gateway::answer_at_hand(const GatewayRequest& request, std::optional<Repeat>* repeat) noexcept {
  try {
    return state_->core.answer_at_hand(request, repeat);
  } catch (const std::exception&) {
    return std::nullopt;  // whoever asks again is told what is wrong
  }
}
bool Gateway::answers_the_same(const Repeat& repeat) noexcept {
  try {
    return state_->core.answers_the_same(repeat);
  } catch (const std::exception&) {
    return false;
  }
}
bool Gateway::has_at_hand() const noexcept { return state_->core.has_at_hand(); }

bool Gateway::answers_later() const noexcept { return state_->core.answers_later(); }
bool Gateway::answers_later(const GatewayRequest& request) const noexcept { return state_->core.answers_later(request); }

Result<void> Gateway::set_hooks(std::vector<HookRoute> hooks) { return state_->core.set_hooks(std::move(hooks)); }

void Gateway::set_draining() noexcept { state_->core.set_draining(); }

}  // namespace setget::inline v0
