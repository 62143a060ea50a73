// JSON Schema, compiled: drafts 4, 6, 7, 2019-09 and 2020-12. docs/json-schema.md says what is supported and with which figures.
//
//   auto validator = setget::json_schema::Validator::compile(schema).value();
//   auto valid = validator.is_valid(bytes);            // Result<bool>: an error is malformed JSON or a limit, not "invalid"
//   auto report = validator.validate(bytes);           // every violation, up to a limit
//
// Thread rule: a Validator is immutable and is used from any number of threads; copies share one program. A Document is written by one
// thread at a time and, once parsed, read by any number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/json_document.hpp>

namespace setget::inline v0 {
class Validator;  // validator.hpp
}

namespace setget::inline v0::json_schema {

enum class Draft : std::uint8_t { kDraft4 = 4, kDraft6 = 6, kDraft7 = 7, kDraft201909 = 8, kDraft202012 = 9 };
// "draft4", "draft6", "draft7", "draft2019-09", "draft2020-12", and back. Error: kInvalidArgument.
SETGET_API Result<Draft> parse_draft(std::string_view name);
SETGET_API std::string_view to_string(Draft draft) noexcept;

// Bounds against hostile schemas and hostile input. What is over one is an error (kTooLarge), never a verdict, a hang or a crash.
struct SchemaLimits {
  std::size_t max_schema_bytes = 32u << 20;     // of one schema document, loaded ones too
  std::size_t max_schema_documents = 1024;      // loaded through references
  std::size_t max_schema_nodes = 1'000'000;     // subschemas in the compiled program
  std::size_t max_schema_depth = 256;           // nesting of a schema document
  std::size_t max_document_bytes = 256u << 20;  // of a document given as bytes; at most 1 GiB
  std::size_t max_depth = 256;                  // nesting of a document; at most 4096
  std::size_t max_nesting =
      1024;  // subschemas applied within each other: depth times references; at most 4096. Each takes up to 2 KiB of stack
  std::size_t max_steps = 200'000'000;          // subschemas applied, values and members looked at, text by its length; per document
  std::size_t max_errors = 100;                 // violations reported; the report says where there were more
  std::size_t max_pattern_bytes = 65'536;       // of one regular expression
  std::size_t max_pattern_memory = 8u << 20;    // bytes of one compiled regular expression and its automaton
  std::uint32_t max_pattern_steps = 1'000'000;  // for one match of a pattern with look-around or back-references
  SETGET_API Result<void> validate() const;
};

// Gives the text of the schema at an absolute URI without a fragment. Called during compile() only, and for no URI twice. An error or an
// exception refuses the schema.
using Loader = std::function<Result<std::string>(std::string_view uri)>;

struct Options {
  Draft default_draft = Draft::kDraft202012;  // where the schema names none by $schema
  std::string base_uri{};                     // of the schema, for relative references; empty: "json-schema:///"
  bool assert_formats = false;                // true: "format" is an assertion; false: only where the schema's vocabulary says so
  bool assert_content = false;                // true: contentEncoding and contentMediaType of draft 7 are assertions
  bool check_schema = true;                   // against its metaschema
  Loader loader{};                            // empty: only the schema itself and the metaschemas are known
  SchemaLimits limits{};
};

// One broken keyword. Its texts are those of the report that it is of: they live until that is filled again, assigned to or destroyed.
struct Violation {
  std::string_view instance_location{};          // JSON Pointer (RFC 6901) into the document
  std::string_view keyword_location{};           // JSON Pointer from the root schema along the references taken: "/properties/a/$ref/type"
  std::string_view absolute_keyword_location{};  // URI of the keyword
  std::string_view keyword{};                    // "type"; where the schema is `false`, the one that led to it, and empty at the root
  std::string_view message{};                    // a sentence with the values involved, long ones cut
  // Index of the violation this one is a part of (a branch of anyOf, oneOf, …) or kNoParent. Parents come before their parts.
  std::size_t parent = kNoParent;
  static constexpr std::size_t kNoParent = static_cast<std::size_t>(-1);
};

// The violations of a report. How many there are is known at once; their texts are written all together when the first of them is looked
// at. Until then what they need is kept here: bytes of the document, up to a hundred or so of each value, or all of a small one, and a
// share in the compiled schema. So neither the document nor the validator has to live on. Thread rule: const access from any number of
// threads.
class SETGET_API Violations {
 public:
  using value_type = Violation;
  using const_iterator = const Violation*;

  Violations() noexcept;
  ~Violations();
  // A copy has texts of its own. What was moved from is empty; views of a moved report's texts stay good.
  Violations(const Violations& other);
  Violations& operator=(const Violations& other);
  Violations(Violations&& other) noexcept;
  Violations& operator=(Violations&& other) noexcept;

  std::size_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  const Violation* begin() const { return written(); }
  const Violation* end() const { return begin() + count_; }
  const Violation& operator[](std::size_t index) const { return begin()[index]; }
  const Violation& at(std::size_t index) const;  // std::out_of_range, as std::vector's
  const Violation& front() const { return *begin(); }
  const Violation& back() const { return begin()[count_ - 1]; }

  struct State;  // private

 private:
  friend struct ReportWriter;
  const Violation* written() const;

  std::unique_ptr<State> state_;
  std::size_t count_ = 0;
};

// In the order of evaluation, which is the same for the same schema and document on every machine.
struct Report {
  bool valid = true;
  bool truncated = false;  // there were more than max_errors
  Violations violations{};

  // Output of the JSON Schema specification, section "Output Formatting".
  SETGET_API std::string basic() const;
  SETGET_API std::string detailed() const;
  // Code "schema_" and the keyword in snake case ("schema_min_length"; "schema_false" for the schema `false`), the message, and the
  // instance location after `prefix`. Parts of a violation stand for it where it has any. `with_keywords`: the message ends with the
  // keyword location: "… (schema: /properties/total/minimum)".
  SETGET_API std::vector<Reason> reasons(std::string_view prefix = "", bool with_keywords = false) const;
};

class SETGET_API Validator {
 public:
  // Errors: kInvalidArgument with the place (field() is the JSON Pointer or URI; reasons() list what the metaschema refuses), kTooLarge for
  // limits, kNotFound for references that lead nowhere, kUnsupported for drafts and required vocabularies that are not known.
  static Result<Validator> compile(std::string_view schema_json, const Options& options = {});

  // Whether the document is valid. Errors: kInvalidArgument with position() where the bytes are not JSON; kTooLarge where a limit ended
  // the evaluation. No allocation once a thread has seen documents of such a size. A name that an object has twice is checked at each
  // occurrence.
  Result<bool> is_valid(std::string_view json_bytes) const;
  Result<bool> is_valid(const Document& document) const;
  Result<bool> is_valid(const DocumentView& view) const;

  // All violations, up to max_errors. Errors as above.
  Result<Report> validate(std::string_view json_bytes) const;
  Result<Report> validate(const Document& document) const;
  Result<Report> validate(const DocumentView& view) const;

  // The same into a report that is there already; the verdict. What it held is gone and its memory is used again: no allocation once it has
  // held as much. After an error it is not valid and lists nothing.
  Result<bool> validate(std::string_view json_bytes, Report& into) const;
  Result<bool> validate(const Document& document, Report& into) const;
  Result<bool> validate(const DocumentView& view, Report& into) const;

  Draft draft() const noexcept;             // of the root schema
  std::size_t node_count() const noexcept;  // subschemas in the program
  const SchemaLimits& limits() const noexcept;

  struct Program;  // private
  explicit Validator(std::shared_ptr<const Program> program);

 private:
  std::shared_ptr<const Program> program_;
};

// The seam of the pipeline: checks the payload of every set whose content type is JSON (application/json or +json). Reasons stand under
// /payload; malformed JSON is "json_syntax", a limit "schema_limit". Error codes of violations: see Report::reasons.
SETGET_API std::shared_ptr<const setget::Validator> schema_validator(Validator validator);

}  // namespace setget::inline v0::json_schema
