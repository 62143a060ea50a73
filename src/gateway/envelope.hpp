// Envelopes of the HTTP API: from bytes to requests and from records to bytes. The public functions are in setget/gateway.hpp.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/gateway.hpp>

namespace setget::inline v0::detail {

enum class PayloadCheck : bool {
  kLater,  // the pipeline's validator reads the payload anyway: parse once
  kNow,
};

struct ParsedEnvelope {
  SetRequest request;           // as far as it could be understood; those of keys before those of keys_base64
  std::size_t plain_keys = 0;   // how many of request.keys stood in "keys"
  bool json_payload = false;    // given as "payload", not as "payload_base64"
  std::vector<Reason> reasons;  // broken rules: 422
  std::optional<Error> syntax;  // not JSON at all: 400, with the position
};

// `offset` is where `json` starts in the body, for positions.
ParsedEnvelope parse_envelope_parts(const Payload& json, const Limits& limits, PayloadCheck check, std::size_t offset = 0);

// The validator counts keys of both lists on; pointers name the list that the client wrote.
void point_at_key_lists(std::vector<Reason>& reasons, std::size_t plain_keys);

// The first syntax error of a JSON text with its byte offset; empty if the text is JSON. Slow and exact: only for what was refused.
std::optional<Error> find_syntax_error(std::string_view json, std::size_t offset = 0);

// The elements of a JSON array, or the lines of an NDJSON body, as slices of the body with their offsets.
struct Element {
  Payload json;
  std::size_t offset = 0;
};
struct Elements {
  std::vector<Element> items;
  bool too_many = false;
};
Result<Elements> split_array(const Payload& body, std::size_t max_items);
Elements split_lines(const Payload& body, std::size_t max_items);

// {"keys":[…],"keys_base64":[…]} of a multi-get. Read only as far as the first key too many or the last reason that is reported.
struct KeyQuery {
  std::vector<std::string> keys;  // those of "keys" before those of "keys_base64"
  std::size_t plain_keys = 0;     // how many stood in "keys"
  std::vector<Reason> reasons;
};
Result<KeyQuery> parse_key_query(const Payload& body, std::size_t max_keys, std::size_t max_reasons);

// `tier`: which one answered; empty: it is not said.
void append_envelope(std::string& out, const Record& record, std::optional<Tier> tier);
// "keys" and, for those that are not UTF-8, "keys_base64".
void append_keys(class JsonObject& object, std::string_view name, const KeyList& keys);
// `name` or, where the text is not UTF-8, `name`_base64.
void append_bytes(JsonObject& object, std::string_view name, std::string_view bytes);

}  // namespace setget::inline v0::detail
