// The violations of a document, one by one. Private to the validator.
#pragma once

#include "validator/schema_eval.hpp"

namespace setget::inline v0::detail::schema {

// Meaningless if eval.stop() says so.
json_schema::Report list_violations(const json_schema::Validator::Program& program, Eval& eval);

}  // namespace setget::inline v0::detail::schema
