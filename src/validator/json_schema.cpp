#include <setget/json_schema.hpp>

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "validator/document_impl.hpp"
#include "validator/json_reader.hpp"
#include "validator/json_tiny.hpp"
#include "validator/schema_compiler.hpp"
#include "validator/schema_eval.hpp"
#include "validator/schema_report.hpp"

namespace setget::inline v0::json_schema {
namespace {

using detail::schema::Compiler;
using detail::schema::Eval;
using detail::schema::Exactness;
using detail::schema::Registry;
using detail::schema::Resource;
using detail::schema::SmallDocument;
using detail::schema::Sole;
using detail::schema::Stop;
using detail::schema::Tape;
using Program = Validator::Program;

// What a thread keeps between documents.
struct Kept {
  detail::schema::Ledger found{};
  detail::schema::Parsed document{};
  detail::schema::TapeWriter exact{};
};
Kept& kept() {
  thread_local Kept own;
  return own;
}
constexpr std::size_t kKeptBytes = detail::schema::FastParser::kKeptBytes;

Error stopped(Stop why, const SchemaLimits& limits) {
  switch (why) {
    case Stop::kNesting:
      return Error(
          ErrorCode::kTooLarge,
          fmt::format("schema: more than {} subschemas within each other (max_nesting), as in a loop of references", limits.max_nesting));
    case Stop::kPattern:
      return Error(ErrorCode::kTooLarge,
                   fmt::format("schema: a pattern took more than {} steps on a text (max_pattern_steps)", limits.max_pattern_steps));
    default:
      return Error(ErrorCode::kTooLarge, fmt::format("schema: the document takes more than {} steps (max_steps)", limits.max_steps));
  }
}

Error thrown(const std::exception& what) {
  detail::schema::scratch_of_thread().reset();
  return Error(ErrorCode::kInternal, fmt::format("schema: {}", what.what()));
}

template <class T, class Run>
Result<T> guarded(Run&& run) {
  try {
    return run();
  } catch (const std::exception& what) {
    return thrown(what);
  }
}

// Where an evaluation depends on numbers that the parser may have rounded, it runs again on exact ones.
template <class T, class Once>
[[gnu::noinline, gnu::cold]] Result<T> after_stop(Stop stop, const Program& program, const Exactness* exactness, Once&& once) {
  if (stop != Stop::kInexact || exactness == nullptr) return stopped(stop, program.limits);
  auto& own = kept();
  stop = Stop::kNone;
  if (auto read = detail::schema::read_json(exactness->text(), 4096, own.exact); !read) return read.error();
  auto answer = once(own.exact.tape(), nullptr, stop);
  if (own.exact.bytes() > kKeptBytes) own.exact.shrink();
  if (stop != Stop::kNone) return stopped(stop, program.limits);
  return answer;
}

template <class T, class Once>
Result<T> evaluate(const Program& program, const Tape& tape, const Exactness* exactness, Once&& once) {
  auto stop = Stop::kNone;
  auto answer = once(tape, exactness, stop);
  if (stop != Stop::kNone) [[unlikely]]
    return after_stop<T>(stop, program, exactness, once);
  return answer;
}

// `at`: the place of what is looked into; `type`: its type; `sole`: Eval::run_sole() does.
Result<bool> looked_into(const Program& program, Tape tape, const Exactness* exactness, std::uint8_t type, std::size_t at,
                         bool sole = false) try {
  Eval eval(program, tape, exactness);
  const bool valid = sole ? eval.run_sole(at, type) : eval.run(at, type);
  eval.end();
  if (eval.stop() != Stop::kNone) [[unlikely]]
    return after_stop<bool>(eval.stop(), program, exactness, [&](const Tape& on, const Exactness* of, Stop& stop) {
      Eval exact(program, on, of);
      const bool answer = exact.run(at, detail::schema::type_at(on, at));
      stop = exact.stop();
      exact.end();
      return answer;
    });
  return valid;
} catch (const std::exception& what) {
  return thrown(what);
}

// `type`: of the document.
Result<bool> verdict(const Program& program, std::uint8_t type, Tape tape, const Exactness* exactness) {
  // Often the type says it all.
  const bool fits = (program.root_types & type) != 0;
  if (fits ? (program.root_deep & type) == 0 : type != detail::schema::kFraction) return fits;
  return looked_into(program, tape, exactness, type, 1, fits && program.sole != Sole::kNone);
}
Result<bool> verdict(const Program& program, const Tape& tape, const Exactness* exactness) {
  return verdict(program, detail::schema::type_at(tape, 1), tape, exactness);
}

using SharedProgram = std::shared_ptr<const Program>;

// A report begins at the root's own node: it comes while the program's first line does.
void expect_root(const Program& program) noexcept {
  const auto* const node = reinterpret_cast<const char*>(&program.nodes);
  __builtin_prefetch(node);
  __builtin_prefetch(node + 64);
}

// Of a small document the violations are only counted, and the report keeps the document to list them when the first of them is looked at.
// What takes more than a bounded time, or stack, is listed at once. True if that was enough.
bool counted_into(Report& into, const SharedProgram& shared, const SmallDocument& document) {
  const auto& program = *shared;
  expect_root(program);
  ReportWriter::clear(into);
  const auto tape = document.tape();
  const auto type = detail::schema::type_at(tape, 1);
  const bool fits = (program.root_types & type) != 0;
  const bool own = program.root.fast == program.root.node;
  detail::schema::Counted found;
  if (own && (program.root_deep & type) == 0 && (fits || type != detail::schema::kFraction)) {
    found.count = fits ? 0 : 1;
  } else {
    found = detail::schema::count_violations(program, tape, type);
    if (found.stop != Stop::kNone) [[unlikely]]
      return false;
  }
  ReportWriter::end(into, found, shared, document);
  return true;
}

Result<Report> report(const SharedProgram& program, const Tape& tape, const Exactness* exactness, std::size_t at = 1) {
  return guarded<Report>([&] {
    return evaluate<Report>(*program, tape, exactness, [&](const Tape& on, const Exactness* of, Stop& stop) {
      Eval eval(*program, on, of);
      auto& ledger = kept().found;
      const auto found = detail::schema::list_violations(*program, eval, ledger, at);
      stop = eval.stop();
      eval.end();
      auto answer = ReportWriter::copy(found, program, ledger);
      if (ledger.bytes() > kKeptBytes) ledger = {};
      return answer;
    });
  });
}

Result<bool> report_into(Report& into, const SharedProgram& program, Tape tape, const Exactness* exactness) try {
  expect_root(*program);
  Eval eval(*program, tape, exactness);
  const auto found = detail::schema::list_violations(*program, eval, ReportWriter::begin(into));
  eval.end();
  if (eval.stop() != Stop::kNone) [[unlikely]]
    return after_stop<bool>(eval.stop(), *program, exactness, [&](const Tape& on, const Exactness* of, Stop& stop) {
      Eval exact(*program, on, of);
      const auto again = detail::schema::list_violations(*program, exact, ReportWriter::begin(into));
      stop = exact.stop();
      exact.end();
      if (stop == Stop::kNone) ReportWriter::end(into, again, program);
      return into.valid;
    });
  ReportWriter::end(into, found, program);
  return into.valid;
} catch (const std::exception& what) {
  return thrown(what);
}

bool tiny(detail::schema::TinyReader& reader, const Program& program, std::string_view bytes) noexcept {
  return bytes.size() <= program.limits.max_document_bytes && reader.parse(bytes, program.limits.max_depth);
}

template <class T, class With>
Result<T> with_parsed(const Program& program, std::string_view bytes, With&& with) {
  if (bytes.size() > program.limits.max_document_bytes)
    return Error(ErrorCode::kTooLarge, fmt::format("JSON: {} bytes, limit {}", bytes.size(), program.limits.max_document_bytes));
  return guarded<T>([&]() -> Result<T> {
    auto& own = kept();
    if (auto parsed = own.document.parse(bytes, program.limits.max_depth); !parsed) return parsed.error();
    auto answer = with(own.document.tape(), &own.document.exactness);
    own.document.fast.shrink();
    if (own.document.exact.bytes() > kKeptBytes) own.document.exact.shrink();
    return answer;
  });
}

const Exactness* exactness_of(const Document& document) noexcept { return document.impl() ? &document.impl()->exactness : nullptr; }
Tape tape_of(const DocumentView& view) noexcept { return {view.tape, view.strings}; }

// `within`: the JSON Pointer to what was checked.
Error refused(const Violation& first, std::vector<Reason> reasons, std::string_view uri, std::string within) {
  const auto where = "#" + detail::schema::as_fragment(within.append(first.instance_location));
  return Error(ErrorCode::kInvalidArgument, fmt::format("schema: {}{}: {}", uri == "json-schema:///" ? "" : uri, where, first.message))
      .at_field(where)
      .because(std::move(reasons));
}

Result<std::shared_ptr<const Program>> compile_builtin(Draft draft) {
  Options options{.default_draft = draft, .base_uri = std::string(detail::schema::metaschema_uri(draft)), .check_schema = false};
  Registry registry(options);
  auto root = registry.add_root(detail::schema::builtin_schema(options.base_uri));
  if (!root) return root.error();
  return Compiler(registry, options).run(**root);
}

// Each compiled once per process.
Result<std::shared_ptr<const Program>> metaschema(Draft draft) {
  static const auto d4 = compile_builtin(Draft::kDraft4);
  static const auto d6 = compile_builtin(Draft::kDraft6);
  static const auto d7 = compile_builtin(Draft::kDraft7);
  static const auto d2019 = compile_builtin(Draft::kDraft201909);
  static const auto d2020 = compile_builtin(Draft::kDraft202012);
  switch (draft) {
    case Draft::kDraft4:
      return d4;
    case Draft::kDraft6:
      return d6;
    case Draft::kDraft7:
      return d7;
    case Draft::kDraft201909:
      return d2019;
    case Draft::kDraft202012:
      break;
  }
  return d2020;
}

using Programs = std::unordered_map<const Resource*, SharedProgram>;

Result<SharedProgram> metaschema_of(const Resource& resource, Registry& registry, const Options& options, Programs& compiled) {
  if (!resource.metaschema) return metaschema(resource.dialect.draft);
  auto& known = compiled[resource.metaschema];
  if (!known) {
    auto program = Compiler(registry, options).run(*resource.metaschema);
    if (!program) return program.error();
    known = std::move(*program);
  }
  return known;
}

// What is said of a resource by its metaschema, but not of what lies in resources within it that have another.
Result<void> check_resource(const Resource& resource, const SharedProgram& program, const Registry& registry) {
  const auto tape = registry.tape(resource.document);
  const auto valid = looked_into(*program, tape, nullptr, detail::schema::type_at(tape, resource.root), resource.root);
  if (!valid) return valid.error();
  if (*valid) return {};
  const auto found = report(program, tape, nullptr, resource.root);
  if (!found) return found.error();
  std::vector<std::string> others;
  const auto end = detail::schema::next_of(tape.words, resource.root);
  for (const auto& other : registry.resources()) {
    if (other.document == resource.document && other.begins_dialect && other.root > resource.root && other.root < end)
      others.push_back(detail::schema::pointer_to(tape, resource.root, other.root));
  }
  const auto own = [&](const Violation& one) {
    const std::string_view place = one.instance_location;
    const auto within = [&](const std::string& other) {
      return place.starts_with(other) && (place.size() == other.size() || place[other.size()] == '/');
    };
    return std::ranges::none_of(others, within);
  };
  const auto first = std::ranges::find_if(found->violations, own);
  if (first == found->violations.end()) return {};
  const auto place = registry.pointer_in_document(resource);
  return refused(*first, detail::schema::reasons_of(found->violations, place, false, own),
                 registry.document_root(resource.document)->uri_text, place);
}

// Every document, and every resource in one that names another metaschema, against the metaschema it names. From the resource with the
// number `next` on, which is moved behind the last: the rest comes in by references while the schema is compiled.
Result<void> check_resources(Registry& registry, const Options& options, std::size_t& next) {
  Programs compiled;
  for (; next < registry.resources().size(); ++next) {
    const auto& resource = registry.resources()[next];
    if (!resource.begins_dialect || !detail::schema::builtin_schema(registry.documents()[resource.document]->uri).empty()) continue;
    const auto program = metaschema_of(resource, registry, options, compiled);
    if (!program) return program.error();
    if (auto checked = check_resource(resource, *program, registry); !checked) return checked;
  }
  return {};
}

}  // namespace

Result<Draft> parse_draft(std::string_view name) {
  for (const auto draft : {Draft::kDraft4, Draft::kDraft6, Draft::kDraft7, Draft::kDraft201909, Draft::kDraft202012}) {
    if (to_string(draft) == name) return draft;
  }
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("\"{}\" is none of draft4, draft6, draft7, draft2019-09 and draft2020-12", name.substr(0, 64)));
}

std::string_view to_string(Draft draft) noexcept {
  switch (draft) {
    case Draft::kDraft4:
      return "draft4";
    case Draft::kDraft6:
      return "draft6";
    case Draft::kDraft7:
      return "draft7";
    case Draft::kDraft201909:
      return "draft2019-09";
    case Draft::kDraft202012:
      break;
  }
  return "draft2020-12";
}

Result<void> SchemaLimits::validate() const {
  const auto refuse = [](const char* field, std::string_view what) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, fmt::format("limits.{} {}", field, what)).at_field(fmt::format("limits.{}", field));
  };
  if (max_schema_bytes == 0 || max_schema_bytes > (std::size_t{1} << 30)) return refuse("max_schema_bytes", "is in [1, 2^30]");
  if (max_schema_documents == 0) return refuse("max_schema_documents", "must be above 0");
  if (max_schema_nodes == 0) return refuse("max_schema_nodes", "must be above 0");
  if (max_schema_depth == 0 || max_schema_depth > 4096) return refuse("max_schema_depth", "is in [1, 4096]");
  if (max_document_bytes == 0 || max_document_bytes > (std::size_t{1} << 30)) return refuse("max_document_bytes", "is in [1, 2^30]");
  if (max_depth == 0 || max_depth > 4096) return refuse("max_depth", "is in [1, 4096]");
  if (max_nesting == 0 || max_nesting > 4096) return refuse("max_nesting", "is in [1, 4096]");
  if (max_steps < 2) return refuse("max_steps", "must be above 1");
  if (max_errors == 0) return refuse("max_errors", "must be above 0");
  if (max_pattern_bytes == 0) return refuse("max_pattern_bytes", "must be above 0");
  if (max_pattern_memory < 65'536) return refuse("max_pattern_memory", "must be at least 65536");
  if (max_pattern_steps == 0 || max_pattern_steps > (1U << 30)) return refuse("max_pattern_steps", "is in [1, 2^30]");
  return {};
}

Validator::Validator(std::shared_ptr<const Program> program) : program_(std::move(program)) {}

Result<Validator> Validator::compile(std::string_view schema_json, const Options& options) {
  if (auto checked = options.limits.validate(); !checked) return checked.error();
  return guarded<Validator>([&]() -> Result<Validator> {
    Registry registry(options);
    auto root = registry.add_root(schema_json);
    if (!root) return root.error();
    // First what is there already, so that a broken schema is told by its metaschema; then what references have brought in.
    std::size_t checked_so_far = 0;
    if (options.check_schema) {
      if (auto checked = check_resources(registry, options, checked_so_far); !checked) return checked.error();
    }
    auto program = Compiler(registry, options).run(**root);
    if (!program) return program.error();
    if (options.check_schema) {
      if (auto checked = check_resources(registry, options, checked_so_far); !checked) return checked.error();
    }
    return Validator(std::move(*program));
  });
}

Result<bool> Validator::is_valid(std::string_view json_bytes) const {
  if (detail::schema::TinyReader reader; tiny(reader, *program_, json_bytes)) return verdict(*program_, reader.tape(), nullptr);
  return with_parsed<bool>(*program_, json_bytes,
                           [&](const Tape& tape, const Exactness* exactness) { return verdict(*program_, tape, exactness); });
}
Result<bool> Validator::is_valid(const Document& document) const {
  const auto type = detail::schema::kTypes.of[static_cast<std::uint8_t>(document.root_tag())];
  return verdict(*program_, type, tape_of(document.view()), exactness_of(document));
}
Result<bool> Validator::is_valid(const DocumentView& view) const { return verdict(*program_, tape_of(view), nullptr); }

Result<Report> Validator::validate(std::string_view json_bytes) const {
  if (detail::schema::TinyReader reader; tiny(reader, *program_, json_bytes)) return report(program_, reader.tape(), nullptr);
  return with_parsed<Report>(*program_, json_bytes,
                             [&](const Tape& tape, const Exactness* exactness) { return report(program_, tape, exactness); });
}
Result<Report> Validator::validate(const Document& document) const {
  if (const auto small = detail::schema::small_of(document); small.words) {
    Report counted;
    try {
      if (counted_into(counted, program_, small)) return counted;
    } catch (const std::exception& what) {
      return thrown(what);
    }
  }
  return report(program_, tape_of(document.view()), exactness_of(document));
}
Result<Report> Validator::validate(const DocumentView& view) const { return report(program_, tape_of(view), nullptr); }

Result<bool> Validator::validate(std::string_view json_bytes, Report& into) const {
  if (detail::schema::TinyReader reader; tiny(reader, *program_, json_bytes)) return report_into(into, program_, reader.tape(), nullptr);
  auto looked = with_parsed<bool>(
      *program_, json_bytes, [&](const Tape& tape, const Exactness* exactness) { return report_into(into, program_, tape, exactness); });
  if (!looked) ReportWriter::begin(into);
  return looked;
}
Result<bool> Validator::validate(const Document& document, Report& into) const try {
  if (const auto small = detail::schema::small_of(document); small.words && counted_into(into, program_, small)) return into.valid;
  return report_into(into, program_, tape_of(document.view()), exactness_of(document));
} catch (const std::exception& what) {
  return thrown(what);
}
Result<bool> Validator::validate(const DocumentView& view, Report& into) const {
  return report_into(into, program_, tape_of(view), nullptr);
}

Draft Validator::draft() const noexcept { return program_->draft; }
std::size_t Validator::node_count() const noexcept { return program_->nodes.size(); }
const SchemaLimits& Validator::limits() const noexcept { return program_->limits; }

}  // namespace setget::inline v0::json_schema
