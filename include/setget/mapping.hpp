// Mapping: from any request to a record, by JMESPath expressions that are compiled once. docs/mapping.md shows how they are written.
// Thread rule: Mapping is immutable and may be used from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/ingress.hpp>
#include <setget/jmespath.hpp>
#include <setget/payload.hpp>

namespace setget::inline v0 {

// Expressions over {body, headers, query, path, method, received_at}; an empty one is not there. Where one gives null it is as if it were
// not there, but for `payload`. "Text": a string, or a number or boolean as it is written.
struct MappingOptions {
  std::string id{};                 // text; none: a fresh ULID
  std::vector<std::string> keys{};  // each gives text, or a list of it; of equal keys the first stays. 1 to 100 000 keys must result
  std::string account{};            // text
  std::string flow{};               // text
  std::string owner{};              // text
  std::string ttl{};                // "never", "90s", "7d" …, or whole seconds; none: the policy decides
  std::string payload{};            // what is stored, as JSON; none: the body's bytes, untouched
  std::map<std::string, std::string> attributes{};  // name -> text
  std::string default_account{};                    // no expressions: what holds where `account` and `flow` give nothing
  std::string default_flow{};
  // max_steps and max_result_bytes are of all expressions together, for one request; keys take steps too.
  jmespath::Options expressions{.let_expressions = true};
  jmespath::DocumentLimits document{};  // of a JSON body
};

// What expressions see of a request. Texts that are not UTF-8 are left out.
struct MappingInput {
  std::string_view method{};                                       // upper case
  std::string_view path{};                                         // without the query
  std::span<const std::pair<std::string, std::string>> query{};    // decoded; of a repeated name the first counts
  std::span<const std::pair<std::string, std::string>> headers{};  // expressions see lower-case names; repeated ones joined with ", "
  Payload
      body{};  // JSON where Content-Type says so, or where none is given and it is; else a string if it is UTF-8, else (or if empty) null
  TimePoint received_at{};  // a string: "2026-03-01T02:00:00.000Z"
};

// A request as a mapping made it. ns, dedup_id and traceparent are empty: they never come from a mapping.
struct Mapped {
  SetRequest request{};
  std::vector<std::uint32_t> key_expressions{};  // which of MappingOptions::keys gave each key
};

class SETGET_API Mapping {
 public:
  // Errors: kInvalidArgument with the option as field ("keys[1]", "attributes.event") and the position in the expression.
  static Result<Mapping> compile(MappingOptions options);

  // Errors: kInvalidArgument with one reason for each expression that gave what cannot be used (code "mapping_failed" or "mapping_value",
  // pointer "/mapping/keys/1", message with the expression, what it gave and what was wanted); with the position and no reasons where the
  // body should be JSON and is not. kTooLarge: the document's limits.
  Result<Mapped> map(const MappingInput& input) const;

  // Says in the reasons that an ingress has against `mapped` ("/keys/3", "/account", …) which expression gave what it refuses.
  void explain(std::vector<Reason>& reasons, const Mapped& mapped) const;

 private:
  struct State;
  explicit Mapping(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

}  // namespace setget::inline v0
