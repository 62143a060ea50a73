// Request targets (RFC 3986): path, percent-encoding and query parameters.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>

namespace setget::inline v0::detail {

enum class Plus : bool { kLiteral, kSpace };

// Any bytes may come out. Error: kInvalidArgument with position = `offset` + the place of the bad "%".
Result<std::string> percent_decode(std::string_view text, Plus plus, std::size_t offset = 0);
// Visible ASCII without "%" stays as it is; all else becomes %XX. For header values and Location.
std::string percent_encode(std::string_view bytes);
// Only unreserved characters (RFC 3986 section 2.3) stay: for one path segment.
std::string percent_encode_segment(std::string_view bytes);

struct Parameter {
  std::string name;
  std::string value;
};
class Query {
 public:
  // "+" is a space here, as in every library that builds queries (application/x-www-form-urlencoded).
  static Result<Query> parse(std::string_view text, std::size_t offset);
  // The first of that name; nullptr if there is none.
  const std::string* find(std::string_view name) const noexcept;
  const std::vector<Parameter>& all() const noexcept { return parameters_; }
  // Reasons for every parameter that is not in `known`, and for every repeated one that is not `repeatable`.
  std::vector<Reason> check(std::span<const std::string_view> known, std::string_view repeatable = {}) const;
  std::vector<Reason> check(std::initializer_list<std::string_view> known, std::string_view repeatable = {}) const {
    return check(std::span(known.begin(), known.size()), repeatable);
  }

 private:
  std::vector<Parameter> parameters_;
};

struct Target {
  std::string_view path;
  std::string_view query;
  std::size_t query_offset = 0;
};
// Cuts an origin-form or absolute-form target; a fragment is not part of a request and stays in the path or query.
Target split_target(std::string_view target) noexcept;

}  // namespace setget::inline v0::detail
