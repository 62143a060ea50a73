// [routes.NAME] of setget.toml. Thread rule: one thread.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <setget/config.hpp>

#include "pipeline/toml_reader.hpp"

namespace setget::inline v0::detail {

// Reads and checks all routes; what is wrong becomes a problem of the reader. `folder`: where files are named from.
void read_routes(TomlReader& section, const std::filesystem::path& folder, std::map<std::string, RouteConfig>& out);

}  // namespace setget::inline v0::detail
