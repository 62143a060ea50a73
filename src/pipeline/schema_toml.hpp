// The keys schema, schema_draft, schema_formats and schema_files of a flow or a route; docs/schemas.md has them.
// Private; header only, as toml_reader.hpp is and for the same reason. Thread rule: one thread.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <setget/payload_schema.hpp>

#include "pipeline/toml_reader.hpp"

namespace setget::inline v0::detail {

// Relative names in a configuration start from its own folder.
inline std::filesystem::path folder_of(std::string_view source) { return std::filesystem::path(source).parent_path(); }

inline void read_names(TomlReader& section, std::map<std::string, std::string>& out) {
  for (const auto& name : section.keys()) section.read(name, out[name]);
}

// schema = { by = "attribute:NAME", versions = { "1" = "a.json" }, otherwise = "1" }
inline void read_versions(TomlReader& schema, SchemaFiles& out) {
  schema.read("by", out.by);
  schema.read("otherwise", out.otherwise);
  if (auto versions = schema.section("versions")) read_names(*versions, out.versions);
  schema.refuse_unknown();
}

// What PayloadSchema::load refuses, at the key that says it.
inline void report_schema(TomlReader& section, const Error& error) {
  constexpr std::string_view kVersion = "versions.";
  const std::string_view field = error.field();
  if (field == "references") return section.problem("schema_files", error.message());
  if (!section.is_table("schema") || field == "file") return section.problem("schema", error.message());
  auto schema = *section.section("schema");
  if (!field.starts_with(kVersion)) return schema.problem(field, error.message());
  schema.section("versions")->problem(field.substr(kVersion.size()), error.message());
}

inline void read_schema(TomlReader& section, const std::filesystem::path& folder, std::optional<PayloadSchema>& out) {
  SchemaFiles files{.folder = folder};
  section.read_choice("schema_draft", files.draft,
                      {{"draft4", json_schema::Draft::kDraft4},
                       {"draft6", json_schema::Draft::kDraft6},
                       {"draft7", json_schema::Draft::kDraft7},
                       {"draft2019-09", json_schema::Draft::kDraft201909},
                       {"draft2020-12", json_schema::Draft::kDraft202012}});
  section.read("schema_formats", files.formats);
  if (auto references = section.section("schema_files")) read_names(*references, files.references);
  if (!section.has("schema")) {
    for (const auto* key : {"schema_draft", "schema_formats", "schema_files"}) {
      if (section.has(key)) section.problem(key, "needs a schema beside it");
    }
    return;
  }
  if (section.is_table("schema")) {
    auto schema = *section.section("schema");
    read_versions(schema, files);
  } else {
    section.read("schema", files.file);
    if (files.file.empty()) return section.problem("schema", R"(expected the name of a file, or { by = "…", versions = { … } })");
  }
  // Files are not opened for a configuration that is refused anyway.
  if (section.failed()) return;
  auto loaded = PayloadSchema::load(files);
  if (loaded)
    out = *std::move(loaded);
  else
    report_schema(section, loaded.error());
}

}  // namespace setget::inline v0::detail
