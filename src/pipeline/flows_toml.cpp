#include <setget/ttl.hpp>

#include "pipeline/flows_check.hpp"
#include "pipeline/schema_toml.hpp"
#include "pipeline/toml_reader.hpp"

namespace setget::inline v0 {

namespace {

using detail::TomlReader;

template <class Options>
void read_ttl(TomlReader& reader, Options& out) {
  reader.read("ttl", out.ttl);
  reader.read("min_ttl", out.min_ttl);
  reader.read("max_ttl", out.max_ttl);
}

void read_flows(TomlReader& reader, const std::filesystem::path& folder, std::map<std::string, FlowOptions, std::less<>>& out) {
  for (const auto& name : reader.keys()) {
    auto section = reader.section(name);
    if (!section) continue;
    auto& flow = out[name];
    read_ttl(*section, flow);
    section->read_choice("versions", flow.versions,
                         {{"any", VersionMode::kAny}, {"assigned", VersionMode::kAssigned}, {"caller", VersionMode::kCaller}});
    section->read("index", flow.index);
    section->read_choice("archive", flow.archive, {{"skip", ArchiveMode::kSkip}, {"always", ArchiveMode::kAlways}});
    section->read("archive_retention", flow.archive_retention);
    section->read("history", flow.history);
    section->read("history_age", flow.history_age);
    detail::read_schema(*section, folder, flow.schema);
    section->refuse_unknown();
  }
}

void read_accounts(TomlReader& reader, const std::filesystem::path& folder, std::map<std::string, AccountOptions, std::less<>>& out) {
  for (const auto& name : reader.keys()) {
    auto section = reader.section(name);
    if (!section) continue;
    auto& account = out[name];
    read_ttl(*section, account);
    if (auto flows = section->section("flows")) read_flows(*flows, folder, account.flows);
    section->refuse_unknown();
  }
}

// [ttl] says min and max, or min_ttl and max_ttl as the other sections do; not both.
void read_bound(TomlReader& reader, std::string_view short_name, std::string_view long_name, std::optional<Ttl>& out) {
  std::optional<Ttl> other;
  reader.read(short_name, out);
  reader.read(long_name, other);
  if (out && other) reader.problem(long_name, fmt::format("says the same as \"{}\"; keep one of them", short_name));
  if (other) out = other;
}

}  // namespace

Result<Flows> parse_flows(std::string_view toml, std::string_view source_name) {
  auto document = detail::parse_toml(toml, source_name);
  if (!document) return std::move(document).error();
  detail::TomlProblems problems{.source = std::string(source_name), .first = std::nullopt};
  TomlReader root(*document, "", problems);
  Flows flows;
  const auto folder = detail::folder_of(source_name);
  detail::BoundNames names;
  root.read_choice("isolation", flows.isolate_accounts, {{"none", false}, {"account", true}});
  if (auto section = root.section("ttl")) {
    section->read("default", flows.default_ttl);
    read_bound(*section, "min", "min_ttl", flows.min_ttl);
    read_bound(*section, "max", "max_ttl", flows.max_ttl);
    if (section->has("min")) names.min = "min";
    if (section->has("max")) names.max = "max";
    section->refuse_unknown();
  }
  if (auto section = root.section("accounts")) read_accounts(*section, folder, flows.accounts);
  if (auto section = root.section("flows")) read_flows(*section, folder, flows.flows);
  if (auto read = problems.result(); !read) return std::move(read).error();
  if (auto valid = detail::check_flows(flows, names); !valid) {
    const auto& error = valid.error();
    const auto line = detail::line_of(*document, error.field());
    return Error(error.code(), fmt::format("{}:{}: {}: {}", source_name, line, error.field(), error.message())).at_field(error.field());
  }
  return flows;
}

Result<Flows> load_flows(const std::string& path) {
  auto text = detail::read_text_file(path);
  if (!text) return std::move(text).error();
  return parse_flows(*text, path);
}

}  // namespace setget::inline v0
