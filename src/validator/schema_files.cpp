// Schemas as files: reading, compiling, and references that lead to other files.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include <setget/payload_schema.hpp>

#include "validator/uri_reference.hpp"

namespace setget::inline v0 {
namespace {

namespace fs = std::filesystem;

Result<std::string> read_whole(const fs::path& path, std::size_t most) {
  std::error_code failed;
  const auto status = fs::status(path, failed);
  if (fs::is_directory(status)) return Error(ErrorCode::kInvalidArgument, fmt::format("{}: is a folder", path.string()));
  // A pipe would hold up who reloads until somebody writes into it, and a device may never end.
  if (fs::exists(status) && !fs::is_regular_file(status))
    return Error(ErrorCode::kInvalidArgument, fmt::format("{}: is no regular file", path.string()));
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(ErrorCode::kNotFound, fmt::format("{}: cannot be opened", path.string()));
  const auto size = fs::file_size(path, failed);
  if (!failed && size > most) return Error(ErrorCode::kTooLarge, fmt::format("{}: {} bytes, limit {}", path.string(), size, most));
  // It may grow while it is read.
  std::string text;
  char part[65'536];
  while (text.size() <= most && (file.read(part, sizeof part), file.gcount() > 0))
    text.append(part, static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return Error(ErrorCode::kUnavailable, fmt::format("{}: cannot be read", path.string()));
  if (text.size() > most) return Error(ErrorCode::kTooLarge, fmt::format("{}: more than {} bytes, the limit", path.string(), most));
  return text;
}

// A path below a folder, as a URI says it: nothing that climbs, nothing that is absolute.
bool is_below(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string_view::npos || path.find('\\') != std::string_view::npos)
    return false;
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    if (path.substr(at, end - at) == "..") return false;
    at = end + 1;
  }
  return true;
}

// "line 3, column 9" of a byte.
std::string line_and_column(std::string_view text, std::size_t at) {
  const auto before = text.substr(0, std::min(at, text.size()));
  const auto line = std::ranges::count(before, '\n') + 1;
  const auto start = before.rfind('\n');
  return fmt::format("line {}, column {}", line, before.size() - (start == std::string_view::npos ? 0 : start + 1) + 1);
}

// What compile() says, with the file and the place in front of it.
Error of_file(const Error& error, const std::string& file, std::string_view text) {
  std::string_view message = error.message();
  if (message.starts_with("schema: ")) message.remove_prefix(8);
  std::string said = fmt::format("{}: {}", file, message);
  // A place in a document that a reference brought in is not one of this file.
  if (error.position()) said += fmt::format(" ({})", line_and_column(text, *error.position()));
  if (!error.field().empty() && message.find(error.field()) == std::string_view::npos) said += fmt::format(" (at {})", error.field());
  return Error(error.code(), std::move(said)).because(error.reasons());
}

Result<json_schema::Validator> compile_file(const SchemaFiles& files, const std::string& name, const json_schema::Options& options) {
  auto text = read_whole(files.folder / name, options.limits.max_schema_bytes);
  if (!text) return std::move(text).error();
  auto compiled = json_schema::Validator::compile(*text, options);
  if (!compiled) return of_file(compiled.error(), (files.folder / name).string(), *text);
  return compiled;
}

json_schema::Options options_of(const SchemaFiles& files) {
  json_schema::Options options;
  options.default_draft = files.draft;
  options.assert_formats = files.formats;
  // How deep payloads may be is the business of Limits::max_depth.
  options.limits.max_depth = 4096;
  std::map<std::string, fs::path> places;
  const auto base = detail::schema::UriReference::parse("json-schema:///");
  for (const auto& [uri, file] : files.references) {
    const auto reference = detail::schema::UriReference::parse(uri);
    places.emplace(reference.scheme ? uri : detail::schema::resolve(base, reference).to_string(), files.folder / file);
  }
  if (!places.empty()) options.loader = json_schema::file_loader(std::move(places));
  return options;
}

// A folder has no other meaning than "what lies in it", and a file cannot have anything in it.
Result<void> check_references(const SchemaFiles& files) {
  for (const auto& [uri, file] : files.references) {
    const auto refuse = [&, name = &uri](std::string_view what) -> Result<void> {
      return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\": {}", *name, what)).at_field("references");
    };
    if (uri.empty() || file.empty()) return refuse("a reference has a URI and a file");
    if (uri.find('#') != std::string::npos) return refuse("the URI of a document has no fragment");
    std::error_code failed;
    const auto path = files.folder / file;
    if (uri.back() == '/' && !fs::is_directory(path, failed)) return refuse(fmt::format("{} is no folder", path.string()));
    if (uri.back() != '/' && !fs::is_regular_file(path, failed)) return refuse(fmt::format("{} is no file", path.string()));
  }
  return {};
}

}  // namespace

Result<PayloadSchema> PayloadSchema::load(const SchemaFiles& files) {
  if (auto checked = check_references(files); !checked) return std::move(checked).error();
  const auto options = options_of(files);
  if (!files.file.empty()) {
    if (!files.versions.empty()) return Error(ErrorCode::kInvalidArgument, "either one file or several versions").at_field("versions");
    auto one = compile_file(files, files.file, options);
    if (!one) return std::move(one).error().at_field("file");
    return PayloadSchema::of(*std::move(one));
  }
  SchemaVersions all{.by = files.by, .otherwise = files.otherwise};
  for (const auto& [version, file] : files.versions) {
    auto one = compile_file(files, file, options);
    if (!one) return std::move(one).error().at_field("versions." + version);
    all.schemas.emplace(version, *std::move(one));
  }
  auto made = PayloadSchema::of(std::move(all));
  if (!made && made.error().field() == "schemas") return Error(made.error()).at_field("versions");
  return made;
}

json_schema::Loader json_schema::file_loader(std::map<std::string, std::filesystem::path> places) {
  return [places = std::move(places)](std::string_view uri) -> Result<std::string> {
    constexpr std::size_t kMost = std::size_t{1} << 30;
    const auto not_found = [&](std::string_view why) {
      return Error(ErrorCode::kNotFound, fmt::format("{}: {}", uri, why)).at_field(std::string(uri));
    };
    if (const auto exact = places.find(std::string(uri)); exact != places.end() && !uri.ends_with('/'))
      return read_whole(exact->second, kMost);
    // The longest folder that it lies in.
    const std::pair<const std::string, fs::path>* best = nullptr;
    for (const auto& place : places) {
      if (place.first.ends_with('/') && uri.starts_with(place.first) && (best == nullptr || place.first.size() > best->first.size()))
        best = &place;
    }
    if (best == nullptr) return not_found("no file is named for it");
    const auto below = detail::schema::percent_decoded(uri.substr(best->first.size()));
    if (!is_below(below)) return not_found("leads out of its folder");
    std::error_code failed;
    const auto path = best->second / below;
    if (!fs::is_regular_file(path, failed)) return not_found(fmt::format("{} is no file", path.string()));
    return read_whole(path, kMost);
  };
}

}  // namespace setget::inline v0
