// map: what the mapping of a route makes of files, without a store.
#include <algorithm>
#include <cstdio>
#include <vector>

#include <setget/config.hpp>
#include <setget/gateway.hpp>
#include <setget/validator.hpp>

#include "cli.hpp"
#include "files.hpp"
#include "output.hpp"

namespace cli {

namespace {

using setget::Error;
using setget::ErrorCode;
using setget::Reason;
using setget::Result;
using Pairs = std::vector<std::pair<std::string, std::string>>;

struct MapOptions {
  std::string route;
  std::string method = "POST";
  std::vector<std::string> headers;
  std::vector<std::string> query;
  std::vector<std::string> files;
};

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

// "NAME: VALUE" and "NAME=VALUE".
Result<Pairs> read_pairs(const std::vector<std::string>& texts, char mark, const char* flag) {
  Pairs out;
  for (const auto& text : texts) {
    const auto at = text.find(mark);
    if (at == std::string::npos || at == 0)
      return Error(ErrorCode::kInvalidArgument, text + ": expected NAME" + mark + "VALUE").at_field(flag);
    out.emplace_back(trimmed(std::string_view(text).substr(0, at)), trimmed(std::string_view(text).substr(at + 1)));
  }
  return out;
}

struct Answer {
  std::optional<setget::Mapped> mapped;
  std::vector<Reason> reasons;  // why it is refused
};

// What the server would answer as a whole: the code and the text of its problem.
Reason as_reason(const setget::GatewayResponse& refusal) {
  const auto problem = Json::parse(refusal.body.view());
  return {problem.at("code").get<std::string>(), problem.at("detail").get<std::string>(), ""};
}

Reason as_reason(const Error& error) {
  std::string message = error.message();
  if (error.position()) message += " (at byte " + std::to_string(*error.position()) + ")";
  return {std::string(to_string(error.code())), std::move(message), "/body"};
}

// What the server would say to it, but for what only a store knows.
Answer answer(const setget::HookRoute& route, const setget::MappingInput& input, const setget::Config& config) {
  Answer out;
  const setget::Limits& limits = config.limits;
  const std::size_t most = route.max_body != 0 ? route.max_body : limits.max_payload;
  if (input.body.size() > most) {
    out.reasons = {
        {"payload_too_large", std::to_string(input.body.size()) + " bytes, limit of the route " + std::to_string(most), "/body"}};
    return out;
  }
  const setget::GatewayRequest asked{
      .method = std::string(input.method), .headers = {input.headers.begin(), input.headers.end()}, .body = input.body};
  if (const auto refusal = route.refusal(asked)) {
    out.reasons = {as_reason(*refusal)};
    return out;
  }
  out.reasons = route.violations(asked, limits.max_reasons);
  if (!out.reasons.empty()) return out;
  auto mapped = route.mapping->map(input);
  if (!mapped) {
    out.reasons = mapped.error().reasons();
    if (out.reasons.empty()) out.reasons = {as_reason(mapped.error())};
    return out;
  }
  const auto& request = mapped->request;
  const setget::Command command{.id = request.id.empty() ? "fresh" : request.id,
                                .keys = request.keys,
                                .account = request.account,
                                .flow = request.flow,
                                .owner = request.owner,
                                .payload = request.payload,
                                .content_type = request.content_type,
                                .attributes = request.attributes,
                                .ttl = request.ttl};
  out.reasons = setget::envelope_validator(limits)->validate(command);
  if (out.reasons.empty()) out.reasons = config.flows.violations(command, limits.max_reasons);
  // A mapping gives no version.
  if (config.flows.effective(request.account, request.flow).versions == setget::VersionMode::kCaller)
    out.reasons.insert(out.reasons.begin(), {"version_missing", "this flow's versions are the caller's", "/version"});
  route.mapping->explain(out.reasons, *mapped);
  if (out.reasons.empty()) out.mapped = *std::move(mapped);
  return out;
}

// application/json or any +json type: only these are known to be JSON, and no deeper than the limits allow.
bool is_json(std::string_view content_type) {
  std::string type = trimmed(content_type.substr(0, content_type.find(';')));
  std::ranges::transform(type, type.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return type == "application/json" || type.ends_with("+json");
}

Json record_json(const setget::SetRequest& request) {
  Json record = Json::object();
  if (!request.id.empty()) put_bytes(record, "id", request.id);
  record["keys"] = Json::array();
  for (const auto key : request.keys) record["keys"].push_back(std::string(key));
  record["account"] = request.account;
  record["flow"] = request.flow;
  if (!request.owner.empty()) record["owner"] = request.owner;
  if (request.ttl) record["ttl"] = to_string(*request.ttl);
  record["content_type"] = request.content_type;
  record["attributes"] = Json::object();
  for (const auto& [name, value] : request.attributes) record["attributes"][name] = value;
  auto payload = is_json(request.content_type) ? Json::parse(request.payload.view(), nullptr, false) : Json(Json::value_t::discarded);
  if (payload.is_discarded())
    record["payload_base64"] = base64(request.payload.view());
  else
    record["payload"] = std::move(payload);
  return record;
}

void print_line(const Json& line) { std::printf("%s\n", line.dump(-1, ' ', false, Json::error_handler_t::replace).c_str()); }

void print_text(const std::string& file, const Answer& answer) {
  std::printf("%s\n", shown(file).c_str());
  if (!answer.mapped) {
    for (const Reason& reason : answer.reasons)
      std::printf("  refused       %s %s: %s\n", reason.pointer.c_str(), reason.code.c_str(), shown(reason.message).c_str());
    return;
  }
  const auto& request = answer.mapped->request;
  const auto line = [](const char* name, std::string_view value) { std::printf("  %-13s %s\n", name, shown(value).c_str()); };
  line("id", request.id.empty() ? std::string_view("(a fresh one)") : std::string_view(request.id));
  for (const auto key : request.keys) line("key", key);
  line("account", request.account);
  line("flow", request.flow);
  if (!request.owner.empty()) line("owner", request.owner);
  line("ttl", request.ttl ? to_string(*request.ttl) : std::string("(by the policy)"));
  for (const auto& [name, value] : request.attributes) line("attribute", name + "=" + value);
  line("content type", request.content_type);
  line("payload", std::to_string(request.payload.size()) + " bytes");
}

Result<setget::HookRoute> find_route(const setget::Config& config, const std::string& name) {
  auto routes = setget::hook_routes(config);
  if (!routes) return std::move(routes).error();
  std::string known;
  for (auto& route : *routes) {
    if (route.name == name) return std::move(route);
    known += (known.empty() ? "" : ", ") + route.name;
  }
  return Error(ErrorCode::kNotFound, "there is no [routes." + name + "]; known: " + (known.empty() ? "none (--config FILE?)" : known))
      .at_field("route");
}

int map_files(const Common& common, const MapOptions& options) {
  auto config = resolve_config(common);
  if (!config) return failed(common, config.error());
  auto route = find_route(*config, options.route);
  if (!route) return failed(common, route.error());
  const auto headers = read_pairs(options.headers, ':', "header");
  if (!headers) return failed(common, headers.error()), kUsage;
  const auto query = read_pairs(options.query, '=', "query");
  if (!query) return failed(common, query.error()), kUsage;
  const auto path = route->path.empty() ? "/v1/hooks/" + route->name : route->path;
  int code = kOk;
  for (const auto& file : options.files) {
    auto text = read_whole(file);
    if (!text) {
      const Error error = Error(text.error().code(), file + ": " + text.error().message()).at_field("FILE");
      code = failed(common, error);
      const Reason reason{std::string(to_string(error.code())), text.error().message(), ""};
      if (common.json) print_line({{"file", file}, {"valid", nullptr}, {"errors", reasons_json({reason})}});
      continue;
    }
    const setget::MappingInput input{.method = options.method,
                                     .path = path,
                                     .query = *query,
                                     .headers = *headers,
                                     .body = setget::Payload::adopt(*std::move(text)),
                                     .received_at = setget::system_clock()->now()};
    const auto found = answer(*route, input, *config);
    if (!found.mapped && code == kOk) code = kNo;
    if (!common.json) {
      print_text(file, found);
      continue;
    }
    Json line{{"file", file}, {"valid", found.mapped.has_value()}};
    if (found.mapped)
      line["record"] = record_json(found.mapped->request);
    else
      line["errors"] = reasons_json(found.reasons);
    print_line(line);
  }
  return code;
}

}  // namespace

void add_map(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("map", "show what the mapping of a route makes of files; exit 2: one of them is refused");
  auto options = std::make_shared<MapOptions>();
  command->add_option("--route", options->route, "NAME of [routes.NAME] in --config")->required();
  command->add_option("--header", options->headers, "'NAME: VALUE' of the request; repeatable")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--query", options->query, "NAME=VALUE of the request; repeatable")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--method", options->method, "POST, PUT or PATCH")
      ->check(CLI::IsMember({"POST", "PUT", "PATCH"}))
      ->capture_default_str();
  command->add_option("FILE", options->files, "bodies; - is stdin")->required();
  command->callback([&context, options] { context.chosen = [&context, options] { return map_files(context.common, *options); }; });
}

}  // namespace cli
