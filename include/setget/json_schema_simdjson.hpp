// Opt-in: a document that simdjson's DOM has parsed, as it is and without a copy. The host has simdjson 3; setget's libraries do not show
// it.
#pragma once

#include <simdjson.h>

#include <setget/json_schema.hpp>

namespace setget::inline v0::json_schema {

// Valid as long as the document. Numbers are what simdjson made of them: fractions of more than 15 digits are rounded to doubles, and 3.0.1
// refuses integers over 64 bits when it parses; Document keeps both exact.
inline DocumentView view_of(const simdjson::dom::document& document) { return {document.tape.get(), document.string_buf.get()}; }

inline Result<bool> is_valid(const Validator& validator, const simdjson::dom::document& document) {
  return validator.is_valid(view_of(document));
}
inline Result<Report> validate(const Validator& validator, const simdjson::dom::document& document) {
  return validator.validate(view_of(document));
}

}  // namespace setget::inline v0::json_schema
