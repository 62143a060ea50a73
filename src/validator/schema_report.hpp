// The violations of a document, one by one. Private to the validator.
#pragma once

#include <string>
#include <vector>

#include "validator/schema_eval.hpp"

namespace setget::inline v0::detail::schema {

// A violation while its report is made: places in a text that still grows.
struct Finding {
  struct Span {
    std::size_t at = 0;
    std::size_t end = 0;
  };
  Span instance{};
  Span location{};
  Span absolute{};
  Span keyword{};
  Span message{};
  std::size_t parent = json_schema::Violation::kNoParent;
};

// What a thread keeps between reports, so that each takes no more memory from outside than it shows in the end.
struct Findings {
  std::string text{};
  std::vector<Finding> list{};
};

// Meaningless if eval.stop() says so.
json_schema::Report list_violations(const json_schema::Validator::Program& program, Eval& eval, Findings& scratch);

}  // namespace setget::inline v0::detail::schema
