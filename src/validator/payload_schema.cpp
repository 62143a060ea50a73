#include <setget/payload_schema.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/cut_text.hpp"
#include "validator/document_impl.hpp"
#include "validator/uri_reference.hpp"

namespace setget::inline v0 {

struct PayloadSchema::State {
  std::map<std::string, json_schema::Validator, std::less<>> schemas;
  Source source = Source::kNone;
  std::string names;
  std::string otherwise;
  std::size_t max_depth = 0;  // of the schema that takes the deepest documents
};

namespace {

using json_schema::Document;
using json_schema::Validator;

Error refuse(const char* field, std::string what) { return Error(ErrorCode::kInvalidArgument, std::move(what)).at_field(field); }

Reason failure(const Error& error, std::string_view prefix) {
  const bool syntax = error.code() == ErrorCode::kInvalidArgument;
  return {.code = syntax ? "json_syntax" : "schema_limit", .message = error.message(), .pointer = std::string(prefix)};
}

// `on`: bytes or a document. Looked at twice only where it is refused.
template <class On>
std::vector<Reason> violations(const Validator& schema, const On& on, std::size_t most, std::string_view prefix) {
  const auto valid = schema.is_valid(on);
  if (!valid) return {failure(valid.error(), prefix)};
  if (*valid) return {};
  auto report = schema.validate(on);
  if (!report) return {failure(report.error(), prefix)};
  auto reasons = report->reasons(prefix, true);
  if (reasons.size() > most) reasons.resize(most);
  return reasons;
}

// The value that a JSON Pointer finds; 0 where it finds none.
std::size_t find(const detail::schema::Tape& tape, std::string_view pointer) {
  using namespace detail::schema;  // NOLINT(google-build-using-namespace): this room's own names
  std::size_t at = 1;
  while (!pointer.empty() && at != 0) {
    pointer.remove_prefix(1);
    const auto end = std::min(pointer.find('/'), pointer.size());
    std::string token;
    for (std::size_t i = 0; i < end; ++i) {
      const bool escape = pointer[i] == '~' && i + 1 < end && (pointer[i + 1] == '0' || pointer[i + 1] == '1');
      token += escape ? (pointer[++i] == '0' ? '~' : '/') : pointer[i];
    }
    pointer.remove_prefix(end);
    if (tag_of(tape.words[at]) == '[') {
      std::size_t index = 0;
      std::size_t found = 0;
      each_element(tape, at, [&](std::size_t element) {
        if (std::to_string(index++) == token) found = element;
      });
      at = found;
    } else {
      at = member(tape, at, token);
    }
  }
  return at;
}

// What a value names: a string, or an integer as it is written; nothing where it is null or not there; an error text otherwise.
struct Named {
  std::optional<std::string> version{};
  bool is_other = false;
};

Named version_in(const Document& document, std::string_view pointer) {
  using namespace detail::schema;  // NOLINT(google-build-using-namespace): this room's own names
  const Tape tape{document.view().tape, document.view().strings};
  const auto at = find(tape, pointer);
  if (at == 0) return {};
  const auto word = tape.words[at];
  switch (tag_of(word)) {
    case 'n':
      return {};
    case '"':
      return {.version = std::string(text_of(tape, word))};
    case 'l':
      return {.version = fmt::format("{}", static_cast<std::int64_t>(tape.words[at + 1]))};
    case 'u':
      return {.version = fmt::format("{}", tape.words[at + 1])};
    default:
      return {.is_other = true};
  }
}

std::string listed(const std::map<std::string, Validator, std::less<>>& schemas) {
  constexpr std::size_t kMost = 20;
  std::string out;
  std::size_t count = 0;
  for (const auto& [version, schema] : schemas) {
    if (count++ == kMost) return out + ", …";
    out += fmt::format("{}\"{}\"", out.empty() ? "" : ", ", version);
  }
  return out;
}

// Names come from outside: what is long is cut, not in the middle of a character.
std::string cut(std::string_view text) {
  const auto shown = detail::cut_text(text, 64);
  return std::string(shown) + (shown.size() < text.size() ? "…" : "");
}

Document& kept() {
  thread_local Document own;
  return own;
}
constexpr std::size_t kKeptBytes = detail::schema::FastParser::kKeptBytes;

}  // namespace

PayloadSchema::PayloadSchema(std::shared_ptr<const State> state) : state_(std::move(state)) {}

PayloadSchema PayloadSchema::of(json_schema::Validator validator) {
  auto state = std::make_shared<State>();
  state->max_depth = validator.limits().max_depth;
  state->schemas.emplace("", std::move(validator));
  return PayloadSchema(std::move(state));
}

Result<PayloadSchema> PayloadSchema::of(SchemaVersions versions) {
  if (versions.schemas.empty()) return refuse("schemas", "at least one version is needed");
  auto state = std::make_shared<State>();
  const std::string_view by = versions.by;
  for (const auto& [word, source] : {std::pair{std::string_view("attribute:"), Source::kAttribute},
                                     {std::string_view("header:"), Source::kHeader},
                                     {std::string_view("field:"), Source::kField}}) {
    if (!by.starts_with(word)) continue;
    state->source = source;
    state->names = by.substr(word.size());
  }
  if (state->source == Source::kNone)
    return refuse("by", fmt::format(R"("{}" is none of "attribute:NAME", "header:NAME" and "field:/JSON/POINTER")", by));
  if (state->names.empty()) return refuse("by", fmt::format("\"{}\" names nothing", by));
  if (state->source == Source::kField && state->names.front() != '/')
    return refuse("by", fmt::format("\"{}\": a JSON Pointer starts with '/'", by));
  if (!versions.otherwise.empty() && !versions.schemas.contains(versions.otherwise))
    return refuse("otherwise", fmt::format("\"{}\" is none of the versions {}", versions.otherwise, listed(versions.schemas)));
  for (const auto& [version, schema] : versions.schemas) {
    if (version.empty()) return refuse("schemas", "a version has a name");
    state->max_depth = std::max(state->max_depth, schema.limits().max_depth);
  }
  state->schemas = std::move(versions.schemas);
  state->otherwise = std::move(versions.otherwise);
  return PayloadSchema(std::move(state));
}

PayloadSchema::Source PayloadSchema::source() const noexcept { return state_->source; }
const std::string& PayloadSchema::names() const noexcept { return state_->names; }
const std::map<std::string, json_schema::Validator, std::less<>>& PayloadSchema::schemas() const noexcept { return state_->schemas; }

std::vector<Reason> PayloadSchema::check(std::string_view json, std::optional<std::string_view> named, std::size_t most,
                                         std::string_view prefix) const {
  const State& own = *state_;
  if (own.source == Source::kNone) return violations(own.schemas.begin()->second, json, most, prefix);

  const auto reason = [&](const char* code, std::string message) -> std::vector<Reason> {
    const auto where = own.source == Source::kField ? prefix : own.source == Source::kAttribute ? "/attributes/" : "/headers/";
    return {{.code = code,
             .message = std::move(message),
             .pointer = std::string(where) + (own.source == Source::kField ? own.names : detail::schema::pointer_token(own.names))}};
  };
  const bool in_payload = own.source == Source::kField;
  // A giant document does not stay with the thread.
  std::optional<Document> large;
  Document& document = json.size() > kKeptBytes ? large.emplace() : kept();
  Named found;
  if (in_payload) {
    if (auto parsed = document.parse(json, own.max_depth); !parsed) return {failure(parsed.error(), prefix)};
    found = version_in(document, own.names);
  } else if (named) {
    found.version = *named;
  }
  if (!found.version && !found.is_other && !own.otherwise.empty()) found.version = own.otherwise;
  if (!found.version && !found.is_other)
    return reason("schema_version_missing", fmt::format("the version of the schema is missing; known: {}", listed(own.schemas)));
  const auto schema = found.version ? own.schemas.find(*found.version) : own.schemas.end();
  if (schema == own.schemas.end()) {
    const auto said = found.version ? fmt::format("\"{}\"", cut(*found.version)) : std::string("neither text nor an integer, so it");
    return reason("schema_version_unknown", fmt::format("{} is no version of the schema; known: {}", said, listed(own.schemas)));
  }
  return in_payload ? violations(schema->second, document, most, prefix) : violations(schema->second, json, most, prefix);
}

}  // namespace setget::inline v0
