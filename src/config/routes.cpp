#include "config/routes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <setget/validator.hpp>

#include "pipeline/schema_toml.hpp"

namespace setget::inline v0 {
namespace detail {
namespace {

void read_mapping(TomlReader& section, MappingOptions& out) {
  section.read("id", out.id);
  section.read("keys", out.keys);
  section.read("account", out.account);
  section.read("flow", out.flow);
  section.read("owner", out.owner);
  section.read("ttl", out.ttl);
  section.read("payload", out.payload);
  if (auto attributes = section.section("attributes")) {
    for (const auto& name : attributes->keys()) attributes->read(name, out.attributes[name]);
    attributes->refuse_unknown();
  }
}

// "keys[1]" and "attributes.event" are inside of "keys" and "attributes".
std::string_view key_of(std::string_view field) { return field.substr(0, field.find_first_of("[.")); }

// Whoever mistypes an expression learns of it where the file is read, not from the first request.
void check_mapping(TomlReader& route, TomlReader& mapping, const MappingOptions& options) {
  const auto compiled = Mapping::compile(options);
  if (compiled) return;
  const Error& error = compiled.error();
  const auto where = error.position() ? fmt::format(" at byte {}", *error.position()) : std::string();
  const auto key = key_of(error.field());
  const bool of_route = (key == "account" && options.account.empty()) || (key == "flow" && options.flow.empty());
  const auto inside = std::string_view(error.field()).substr(key.size());
  (of_route ? route : mapping)
      .problem(key, fmt::format("{}{}{}{}", inside.empty() ? "" : inside, inside.empty() ? "" : ": ", error.message(), where));
}

void read_route(TomlReader& section, const std::filesystem::path& folder, std::string_view name, RouteConfig& out) {
  section.read("path", out.path);
  section.read("methods", out.methods);
  section.read_bytes("max_body", out.max_body, 1);
  section.read("account", out.mapping.default_account);
  section.read("flow", out.mapping.default_flow);
  read_schema(section, folder, out.schema);
  if (out.schema && out.schema->source() == PayloadSchema::Source::kAttribute)
    section.problem("schema", "a request has no attributes yet; a route's version is said by a header or a field");
  if (!out.path.empty() && out.path.front() != '/') section.problem("path", "a path starts with '/'");
  for (const auto& method : out.methods)
    if (method != "POST" && method != "PUT" && method != "PATCH")
      section.problem("methods", fmt::format("\"{}\" is not one of POST, PUT, PATCH", method));
  if (out.methods.empty()) section.problem("methods", "at least one of POST, PUT, PATCH");
  for (const auto* key : {"account", "flow"}) {
    const auto& value = std::string_view(key) == "account" ? out.mapping.default_account : out.mapping.default_flow;
    if (!value.empty() && !is_name(value)) section.problem(key, "a name is 1 to 64 of [A-Za-z0-9._-]");
  }
  auto mapping = section.section("mapping");
  if (!mapping) return section.problem("mapping", fmt::format("a route needs [routes.{}.mapping]", name));
  read_mapping(*mapping, out.mapping);
  mapping->refuse_unknown();
  check_mapping(section, *mapping, out.mapping);
}

}  // namespace

void read_routes(TomlReader& section, const std::filesystem::path& folder, std::map<std::string, RouteConfig>& out) {
  std::map<std::string, std::string> paths;
  for (const auto& name : section.keys()) {
    auto route = section.section(name);
    if (!route) continue;
    if (!is_name(name)) section.problem(name, "a route's name is 1 to 64 of [A-Za-z0-9._-]");
    RouteConfig& made = out[name];
    read_route(*route, folder, name, made);
    route->refuse_unknown();
    const auto path = made.path.empty() ? "/v1/hooks/" + name : made.path;
    if (const auto [other, fresh] = paths.emplace(path, name); !fresh)
      route->problem("path", fmt::format("{} is the path of routes.{} too", path, other->second));
  }
}

}  // namespace detail

Result<std::vector<HookRoute>> hook_routes(const Config& config) {
  std::vector<HookRoute> out;
  for (const auto& [name, route] : config.routes) {
    auto options = route.mapping;
    options.document.max_depth = config.limits.max_depth;
    options.document.max_bytes = config.http.max_body;
    auto mapping = Mapping::compile(std::move(options));
    if (!mapping) {
      const auto field = fmt::format("routes.{}.mapping.{}", name, mapping.error().field());
      return Error(std::move(mapping).error()).at_field(field);
    }
    out.push_back({.name = name,
                   .path = route.path,
                   .methods = route.methods,
                   .max_body = route.max_body,
                   .mapping = *std::move(mapping),
                   .schema = route.schema});
  }
  return out;
}

}  // namespace setget::inline v0
