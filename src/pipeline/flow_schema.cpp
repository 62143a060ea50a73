#include "pipeline/flow_schema.hpp"

#include <setget/ttl.hpp>

#include "validator/media_type.hpp"

namespace setget::inline v0::detail {

std::vector<Reason> schema_violations(const PayloadSchema* schema, const Command& command, std::size_t most) {
  if (schema == nullptr || command.kind != CommandKind::kSet) return {};
  // What is not JSON would pass unseen: nobody leaves a schema by calling a payload something else.
  if (!is_json_content(command.content_type))
    return {{.code = "schema_content_type", .message = "this flow has a schema: its payloads are JSON", .pointer = "/content_type"}};
  std::optional<std::string_view> named;
  if (schema->source() == PayloadSchema::Source::kAttribute) {
    if (const auto found = command.attributes.find(schema->names()); found != command.attributes.end()) named = found->second;
  }
  return schema->check(command.payload.view(), named, most);
}

}  // namespace setget::inline v0::detail

namespace setget::inline v0 {

std::vector<Reason> Flows::violations(const Command& command, std::size_t most) const {
  return detail::schema_violations(schema_of(command.account, command.flow), command, most);
}

}  // namespace setget::inline v0
