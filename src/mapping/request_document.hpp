// A request as the document that the expressions of a mapping see. Thread rule: one thread.
#pragma once

#include <optional>

#include <setget/mapping.hpp>

namespace setget::inline v0::detail {

class RequestDocument {
 public:
  // Errors: see Mapping::map. `input` must outlive this.
  static Result<RequestDocument> make(const MappingInput& input, const jmespath::DocumentLimits& limits);
  jmespath::Value root() const noexcept { return root_; }
  jmespath::Workspace& workspace() noexcept { return workspace_; }
  // The body was read as JSON.
  bool json() const noexcept { return body_.has_value(); }

 private:
  Result<jmespath::Value> read_body(const MappingInput& input, const jmespath::DocumentLimits& limits);
  jmespath::Value read_headers(const MappingInput& input);
  jmespath::Value read_query(const MappingInput& input);

  jmespath::Workspace workspace_;
  std::optional<jmespath::Document> body_;
  jmespath::Value root_;
};

// The value of the first header of that (lower-case) name; empty if there is none.
std::string_view header_of(const MappingInput& input, std::string_view name) noexcept;

}  // namespace setget::inline v0::detail
