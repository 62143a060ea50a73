// Validator: the seam for checking a command before it is queued and again before it is applied, and the built-in check of the envelope.
// Thread rule: validate() is called from many threads at once. It must be pure and must not block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/record.hpp>
#include <setget/ttl.hpp>

namespace setget::inline v0 {

// Every limit is inclusive.
struct Limits {
  std::size_t max_payload = 8u << 20;  // bytes
  std::size_t max_keys = 1024;
  std::size_t max_key_bytes = 512;  // at most 512: stores rely on it
  std::size_t max_id_bytes = 512;   // at most 512
  std::size_t max_owner_bytes = 256;
  std::size_t max_content_type_bytes = 256;
  std::size_t max_attributes = 64;
  std::size_t max_attribute_bytes = 16'384;  // names and values together
  std::size_t max_depth = 128;               // of JSON payloads
  std::size_t max_reasons = 32;              // reported at most
  bool reject_duplicate_names = true;        // in JSON payloads (RFC 8259 section 4: "SHOULD be unique")
  bool reject_inexact_integers = false;      // JSON integers beyond +-(2^53-1) (RFC 7493 section 2.2)
  SETGET_API Result<void> validate() const;
};

class SETGET_API Validator {
 public:
  virtual ~Validator();
  // Every violation found (bounded by the implementation); empty = valid. Pointers are into the envelope: "/keys/3", "/payload/a/b".
  virtual std::vector<Reason> validate(const Command& command) const = 0;
};

// namespace, account and flow names; ids and keys; sizes; UTF-8 of texts; and where content_type is JSON (application/json or +json):
// well-formed UTF-8 JSON, depth, duplicate names, number range. Reason codes are listed in docs/public-api.md.
SETGET_API std::shared_ptr<const Validator> envelope_validator(Limits limits = {});
// All of them in order; stops at the first that finds something.
SETGET_API std::shared_ptr<const Validator> chain_validators(std::vector<std::shared_ptr<const Validator>> validators);

// JSON text against the limits; pointers start with `prefix`. What envelope_validator uses on payloads.
SETGET_API std::vector<Reason> check_json(std::string_view text, const Limits& limits, std::string_view prefix = "/payload");
// [A-Za-z0-9._-]{1,64}: names of queues, cursors, accounts, flows; namespaces too, which may also be empty.
SETGET_API bool is_name(std::string_view text) noexcept;
SETGET_API bool is_utf8(std::string_view text) noexcept;

}  // namespace setget::inline v0
