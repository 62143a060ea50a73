// Routes that the host configures: any request becomes a record by a mapping.
#include <fmt/format.h>

#include <algorithm>

#include "gateway/core.hpp"
#include "gateway/media_type.hpp"
#include "gateway/problem.hpp"

namespace setget::inline v0::detail {
namespace {

bool is_method(std::string_view method) noexcept { return method == "POST" || method == "PUT" || method == "PATCH"; }

bool is_path(std::string_view path) noexcept {
  return path.size() > 1 && path.front() == '/' && path.size() <= 1024 &&
         std::ranges::all_of(path, [](char c) { return c > 0x20 && c < 0x7F && c != '?' && c != '#'; });
}

Error refuse(const HookRoute& hook, std::string_view field, std::string what) {
  return Error(ErrorCode::kInvalidArgument, std::move(what))
      .at_field(fmt::format("routes.{}{}{}", hook.name, field.empty() ? "" : ".", field));
}

Result<Mapped> map_request(const Call& call, const HookRoute& hook, TimePoint received_at) {
  std::vector<std::pair<std::string, std::string>> query;
  for (const auto& [name, value] : call.query.all()) query.emplace_back(name, value);
  return hook.mapping->map({.method = call.request.method,
                            .path = call.target.path,
                            .query = query,
                            .headers = call.request.headers,
                            .body = call.request.body,
                            .received_at = received_at});
}

// The record that a request asks for. A mapping may read whatever a request has, but a retry does not have all of it again: not the time,
// nor what a proxy adds.
Digest digest_of_record(const Call& call, SetRequest&& request) {
  Command command;  // without the payload, which need not be copied
  command.id = std::move(request.id);
  command.keys = std::move(request.keys);
  command.account = std::move(request.account);
  command.flow = std::move(request.flow);
  command.owner = std::move(request.owner);
  command.content_type = std::move(request.content_type);
  command.attributes = std::move(request.attributes);
  command.ttl = request.ttl;
  return digest_of({call.request.method, "\n", encode_command(command).view(), request.payload.view()});
}

}  // namespace

std::shared_ptr<const GatewayCore::Hooks> GatewayCore::hooks() const {
  const std::lock_guard lock(hooks_mutex_);
  return hooks_;
}

const HookRoute* GatewayCore::find_hook(const Hooks& hooks, std::string_view path) noexcept {
  const auto found = std::ranges::find_if(hooks, [&](const HookRoute& hook) { return hook.path == path; });
  return found == hooks.end() ? nullptr : &*found;
}

Result<void> GatewayCore::set_hooks(std::vector<HookRoute> hooks) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    HookRoute& hook = hooks[i];
    if (!is_name(hook.name)) return refuse(hook, "", "a route's name is 1 to 64 of [A-Za-z0-9._-]");
    if (hook.path.empty()) hook.path = "/v1/hooks/" + hook.name;
    if (!is_path(hook.path)) return refuse(hook, "path", "a path starts with '/' and is visible ASCII without '?' and '#'");
    if (is_taken(hook.path)) return refuse(hook, "path", fmt::format("{} belongs to the API itself", hook.path));
    if (hook.methods.empty() || !std::ranges::all_of(hook.methods, is_method))
      return refuse(hook, "methods", "methods are POST, PUT and PATCH");
    if (!hook.mapping) return refuse(hook, "mapping", "is required");
    if (hook.schema && hook.schema->source() == PayloadSchema::Source::kAttribute)
      return refuse(hook, "schema", "a request has no attributes yet; its version is said by a header or a field");
    for (std::size_t before = 0; before < i; ++before) {
      if (hooks[before].name == hook.name) return refuse(hook, "", "there is another route of that name");
      if (hooks[before].path == hook.path)
        return refuse(hook, "path", fmt::format("{} is the path of routes.{} too", hook.path, hooks[before].name));
    }
    if (hook.max_body == 0) hook.max_body = limits().max_payload;
  }
  const bool any = !hooks.empty();
  auto fresh = std::make_shared<const Hooks>(std::move(hooks));
  const std::lock_guard lock(hooks_mutex_);
  hooks_ = std::move(fresh);
  has_hooks_.store(any && options_.public_routes, std::memory_order_release);
  return {};
}

GatewayResponse GatewayCore::run_hook(const Call& call, const HookRoute& hook) {
  if (auto refused = hook.refusal(call.request)) return *std::move(refused);
  const auto tell = [&]() -> Meaning {
    auto mapped = map_request(call, hook, TimePoint{});
    if (!mapped) return {.ns = call.request.ns};  // it will be refused
    auto ns = namespace_of_set(call, mapped->request.account);
    return {.ns = std::move(ns), .record = digest_of_record(call, std::move(mapped->request))};
  };
  return idempotent(call, "hooks/" + hook.name, tell, [&](const Try& attempt) { return map_and_set(call, hook, attempt.dedup); });
}

GatewayResponse GatewayCore::map_and_set(const Call& call, const HookRoute& hook, std::string_view dedup) {
  if (auto reasons = hook.violations(call.request, limits().max_reasons); !reasons.empty()) return problem_of(invalid(std::move(reasons)));
  auto mapped = map_request(call, hook, now());
  if (!mapped) return problem_of(mapped.error());
  SetRequest request = mapped->request;
  request.ns = call.request.ns;
  request.traceparent = call.request.header("traceparent");
  request.dedup_id = dedup;
  auto receipt = pipeline().set(std::move(request), deadline());
  if (receipt) return accepted(*receipt);
  auto reasons = receipt.error().reasons();
  if (reasons.empty()) return problem_of(receipt.error());
  hook.mapping->explain(reasons, *mapped);
  return problem_of(Error(receipt.error()).because(std::move(reasons)));
}

}  // namespace setget::inline v0::detail

namespace setget::inline v0 {

std::optional<GatewayResponse> HookRoute::refusal(const GatewayRequest& request) const {
  if (std::ranges::find(methods, request.method) == methods.end())
    return detail::method_not_allowed(fmt::format("{}", fmt::join(methods, ", ")));
  if (auto refused = detail::refuse_encoded(request)) return refused;
  if (!detail::is_utf8_charset(request.header("Content-Type"))) return detail::refusal(415, "texts are read in UTF-8 only");
  if (max_body != 0 && request.body.size() > max_body)
    return detail::refusal(413, fmt::format("a body of {} bytes; this route takes {}", request.body.size(), max_body));
  return std::nullopt;
}

std::vector<Reason> HookRoute::violations(const GatewayRequest& request, std::size_t most) const {
  std::vector<Reason> found;
  if (schema) {
    std::optional<std::string_view> named;
    if (schema->source() == PayloadSchema::Source::kHeader) {
      if (const auto value = request.header(schema->names()); !value.empty()) named = value;
    }
    found = schema->check(request.body.view(), named, most, "/body");
  }
  if (found.empty() && check) found = check(request.body);
  if (found.size() > most) found.resize(most);
  return found;
}

}  // namespace setget::inline v0
