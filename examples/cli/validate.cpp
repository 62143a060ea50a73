// validate: files against a JSON Schema, without a store.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include <setget/payload_schema.hpp>

#include "arguments.hpp"
#include "cli.hpp"
#include "files.hpp"
#include "output.hpp"

namespace cli {

namespace {

using setget::Error;
using setget::ErrorCode;
using setget::Result;
using setget::json_schema::Report;
using setget::json_schema::Validator;
using setget::json_schema::Violation;

constexpr std::size_t kMostBytes = std::size_t{1} << 30;
constexpr const char* kRemotes = "http://localhost:1234/";

struct ValidateOptions {
  std::string schema;
  std::string draft = "draft2020-12";
  std::string remotes;
  bool formats = false;
  std::size_t max_errors = 100;
  std::vector<std::string> files;
};

// How far it is: on a terminal ten times a second, else a line every five seconds, so that logs of long runs say that it goes on.
class Progress {
 public:
  explicit Progress(std::size_t total) : total_(total), terminal_(isatty(STDERR_FILENO) == 1) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::size_t done, std::size_t invalid) {
    const auto now = std::chrono::steady_clock::now();
    if (now - shown_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000))) return;
    shown_ = now;
    std::fprintf(stderr, "%s%zu of %zu files, %zu not valid%s", terminal_ ? "\r" : "setget: ", done, total_, invalid,
                 terminal_ ? "\033[K" : "\n");
    std::fflush(stderr);
    drawn_ = terminal_;
  }
  // Before anything else is written, so that lines do not run into each other.
  void clear() {
    if (drawn_) std::fprintf(stderr, "\r\033[K");
    drawn_ = false;
  }

 private:
  std::size_t total_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point shown_ = std::chrono::steady_clock::now();
};

struct LineColumn {
  std::size_t line = 1;
  std::size_t column = 1;  // in bytes
};

LineColumn place_of(std::string_view text, std::size_t at) {
  const auto before = text.substr(0, std::min(at, text.size()));
  const auto start = before.rfind('\n');
  return {static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1,
          before.size() - (start == std::string_view::npos ? 0 : start + 1) + 1};
}

// Why a file could not be checked.
struct Trouble {
  std::string message;
  std::optional<std::size_t> position{};
  LineColumn place{};
};

Trouble trouble_of(const Error& error, std::string_view text) {
  Trouble out{.message = error.message(), .position = error.position()};
  if (text.starts_with("\xEF\xBB\xBF")) out.message += "; the file starts with a byte order mark, which JSON does not have";
  if (text.empty() && error.code() == ErrorCode::kInvalidArgument) out.message += "; the file is empty";
  if (out.position) out.place = place_of(text, *out.position);
  return out;
}

std::string described(const Trouble& trouble) {
  if (!trouble.position) return trouble.message;
  // Most messages of the parser name the byte themselves.
  const auto byte = trouble.message.find("byte ") == std::string::npos ? "byte " + std::to_string(*trouble.position) + ", " : std::string();
  return trouble.message + " (" + byte + "line " + std::to_string(trouble.place.line) + ", column " + std::to_string(trouble.place.column) +
         ")";
}

// One line of --json, in ASCII: what some readers take for the end of a line (U+2028) may stand in a message. "valid": true, false, or null
// where it could not be found out.
void print_line(const Json& line) { std::printf("%s\n", line.dump(-1, ' ', true, Json::error_handler_t::replace).c_str()); }

void print_json(const std::string& file, const Report& report) {
  Json line{{"file", file}, {"valid", report.valid}, {"errors", Json::array()}};
  for (const Violation& one : report.violations) {
    Json error{{"instanceLocation", one.instance_location},
               {"keywordLocation", one.keyword_location},
               {"absoluteKeywordLocation", one.absolute_keyword_location},
               {"keyword", one.keyword},
               {"error", one.message}};
    if (one.parent != Violation::kNoParent) error["parent"] = one.parent;
    line["errors"].push_back(std::move(error));
  }
  if (report.truncated) line["truncated"] = true;
  print_line(line);
}

void print_json(const std::string& file, const Trouble& trouble) {
  Json error{{"error", trouble.message}};
  if (trouble.position) {
    error["position"] = *trouble.position;
    error["line"] = trouble.place.line;
    error["column"] = trouble.place.column;
  }
  print_line(Json{{"file", file}, {"valid", nullptr}, {"errors", Json::array({std::move(error)})}});
}

void print_text(const std::string& file, const Report& report) {
  std::printf("%s: %s\n", shown(file).c_str(), report.valid ? "valid" : "not valid");
  std::vector<int> depth;
  for (const Violation& one : report.violations) {
    depth.push_back(one.parent == Violation::kNoParent ? 1 : depth[one.parent] + 1);
    std::printf("%*s%s: %s (schema: %s)\n", depth.back() * 2, "",
                one.instance_location.empty() ? "/" : shown(one.instance_location).c_str(), shown(one.message).c_str(),
                one.keyword_location.empty() ? "/" : shown(one.keyword_location).c_str());
  }
  if (report.truncated) std::printf("  … and more (--max-errors)\n");
}

Result<Validator> compile(const ValidateOptions& options) {
  auto text = read_whole(options.schema, kMostBytes);
  if (!text) return Error(text.error().code(), options.schema + ": " + text.error().message()).at_field("schema");
  auto draft = setget::json_schema::parse_draft(options.draft);
  if (!draft) return std::move(draft).error();
  setget::json_schema::Options schema{.default_draft = *draft, .assert_formats = options.formats};
  schema.limits.max_errors = options.max_errors;
  schema.limits.max_document_bytes = kMostBytes;
  if (!options.remotes.empty()) schema.loader = setget::json_schema::file_loader({{kRemotes, options.remotes}});
  auto compiled = Validator::compile(*text, schema);
  if (compiled) return compiled;
  const Error& error = compiled.error();
  auto said = described(trouble_of(error, *text));
  if (said.starts_with("schema: ")) said.erase(0, 8);
  auto message = options.schema + ": " + std::move(said);
  if (!error.field().empty() && message.find(error.field()) == std::string::npos) message += " (at " + error.field() + ")";
  // The message names the first of them.
  constexpr std::size_t kMore = 5;
  for (std::size_t i = 1; i < error.reasons().size() && i <= kMore; ++i)
    message += "; #" + error.reasons()[i].pointer + ": " + error.reasons()[i].message;
  if (error.reasons().size() > kMore + 1) message += "; and " + std::to_string(error.reasons().size() - kMore - 1) + " more";
  return Error(error.code(), std::move(message));
}

class Run {
 public:
  Run(const Validator& validator, bool json, std::size_t files) : validator_(validator), json_(json), progress_(files) {}

  void file(const std::string& file) {
    auto text = read_whole(file, kMostBytes);
    if (!text) {
      trouble(file, trouble_of(text.error(), "?"));
    } else if (auto valid = validator_.is_valid(*text); !valid) {
      trouble(file, trouble_of(valid.error(), *text));
    } else if (*valid) {
      say(file, Report{});
    } else if (auto report = validator_.validate(*text); report) {
      ++invalid_;
      say(file, *report);
    } else {
      trouble(file, trouble_of(report.error(), *text));
    }
    progress_.show(++done_, invalid_);
  }
  int code() const { return unknown_ > 0 ? kFailed : invalid_ > 0 ? kNo : kOk; }

 private:
  void say(const std::string& file, const Report& report) {
    progress_.clear();
    if (json_)
      print_json(file, report);
    else
      print_text(file, report);
  }
  void trouble(const std::string& file, const Trouble& what) {
    ++unknown_;
    progress_.clear();
    std::fflush(stdout);
    std::fprintf(stderr, "setget: %s: %s\n", shown(file).c_str(), shown(described(what)).c_str());
    if (json_) print_json(file, what);
  }

  const Validator& validator_;
  bool json_;
  Progress progress_;
  std::size_t done_ = 0;
  std::size_t invalid_ = 0;
  std::size_t unknown_ = 0;
};

int validate_files(const Common& common, const ValidateOptions& options) {
  auto validator = compile(options);
  if (!validator) return failed(common, validator.error());
  Run run(*validator, common.json, options.files.size());
  for (const auto& file : options.files) run.file(file);
  return run.code();
}

}  // namespace

void add_validate(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("validate",
                         "check files against a JSON Schema; exit 0: all are valid, 2: some are not, 1: not all could be checked "
                         "(no JSON, not there, over a limit; or the schema does not compile)");
  auto options = std::make_shared<ValidateOptions>();
  command->add_option("--schema", options->schema, "file of the schema; - is stdin")->required();
  command->add_option("--draft", options->draft, "where the schema names none by $schema")
      ->check(CLI::IsMember({"draft4", "draft6", "draft7", "draft2019-09", "draft2020-12"}))
      ->capture_default_str();
  command->add_option("--remotes", options->remotes, "folder that serves http://localhost:1234/…; nothing is ever fetched")
      ->check(CLI::ExistingDirectory);
  command->add_flag("--formats", options->formats, "\"format\" is an assertion");
  command->add_option("--max-errors", options->max_errors, "reported for each file")
      ->transform(whole_number(1, 1'000'000))
      ->capture_default_str();
  command->add_option("FILE", options->files, "documents; - is stdin")->required();
  command->callback([&context, options] { context.chosen = [&context, options] { return validate_files(context.common, *options); }; });
}

}  // namespace cli
