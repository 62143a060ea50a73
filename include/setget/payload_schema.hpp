// PayloadSchema: the JSON Schema that the payloads of a flow, or the bodies of a route, must satisfy. One, or several versions side by
// side, of which each payload names its own. docs/schemas.md shows how files configure it; hosts without a file make it from validators.
//
//   flows.flows["orders"].schema = setget::PayloadSchema::of(validator);
//
// Thread rule: immutable; used from any number of threads. Copies share what is compiled.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/json_schema.hpp>

namespace setget::inline v0 {

// Where a payload says which version of a schema it is written for.
struct SchemaVersions {
  std::map<std::string, json_schema::Validator, std::less<>> schemas{};  // by version; at least one
  // "attribute:NAME": an attribute of the record. "header:NAME": a header of the request (routes only; any case). "field:/a/b": what the
  // JSON Pointer finds in the payload, a string or an integer.
  std::string by{};
  std::string otherwise{};  // the version of payloads that name none; empty: these are refused
};

// The same as files.
struct SchemaFiles {
  std::string file{};                             // the only schema; empty: versions
  std::map<std::string, std::string> versions{};  // version -> file
  std::string by{};                               // as SchemaVersions
  std::string otherwise{};
  // What references may lead to besides the schema itself: URI -> file, and "http://host/folder/" -> folder (both end in '/'). A URI
  // without a scheme is relative to the schema's own. Nothing else is read, and nothing is fetched.
  std::map<std::string, std::string> references{};
  json_schema::Draft draft = json_schema::Draft::kDraft202012;  // where a schema names none by $schema
  bool formats = false;                                         // "format" is an assertion
  std::filesystem::path folder{};                               // what relative names of files start from; empty: the working folder
};

class SETGET_API PayloadSchema {
 public:
  static PayloadSchema of(json_schema::Validator validator);
  // Errors: kInvalidArgument with "schemas", "by" or "otherwise" as field.
  static Result<PayloadSchema> of(SchemaVersions versions);
  // Reads and compiles. Errors: those of the files and of Validator::compile, with the option as field ("file", "versions.2",
  // "references", …); the message names the file and the place in it.
  static Result<PayloadSchema> load(const SchemaFiles& files);

  // Every violation, at most `most`: "schema_…" as Report::reasons says, with where the keyword stands in the message; pointers start with
  // `prefix`. "schema_version_missing" and "schema_version_unknown" where the version is not known; "json_syntax" where it is no JSON,
  // "schema_limit" where a limit ended the check. `named`: the attribute or header that names() asks for, if there is one.
  std::vector<Reason> check(std::string_view json, std::optional<std::string_view> named, std::size_t most = 32,
                            std::string_view prefix = "/payload") const;

  enum class Source : std::uint8_t { kNone, kAttribute, kHeader, kField };
  Source source() const noexcept;             // kNone: there is only one schema
  const std::string& names() const noexcept;  // of the attribute, header or field; empty with kNone
  // The schemas by version; the only one under "".
  const std::map<std::string, json_schema::Validator, std::less<>>& schemas() const noexcept;
  friend bool operator==(const PayloadSchema& a, const PayloadSchema& b) noexcept { return a.state_ == b.state_; }

 private:
  struct State;
  explicit PayloadSchema(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

namespace json_schema {

// A loader that knows files and nothing else: URI -> file, and URIs that end in '/' -> folder, for what lies below. Names with "..", and
// what leads out of the folder by them, are not found.
SETGET_API Loader file_loader(std::map<std::string, std::filesystem::path> places);

}  // namespace json_schema

}  // namespace setget::inline v0
