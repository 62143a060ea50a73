// Keywords that apply schemas to the same value.
#include <fmt/format.h>

#include "validator/schema_compiler.hpp"

namespace setget::inline v0::detail::schema {

Result<void> Compiler::branches(Node& node, std::size_t at, OpKind kind, const char* keyword) {
  if (tag(at) != '[') return error(keyword, "an array of schemas is expected");
  Op op{.kind = kind, .keyword = keyword};
  Result<void> result;
  each_element(tape_, at, [&](std::size_t item) {
    if (result) result = edge(op.branches.emplace_back(), item, keyword);
  });
  node.ops.push_back(std::move(op));
  return result;
}

Result<void> Compiler::combinations(Node& node, const Keywords& has) {
  for (const auto& [key, kind, keyword] :
       {std::tuple(Key::kAllOf, OpKind::kAllOf, "allOf"), std::tuple(Key::kAnyOf, OpKind::kAnyOf, "anyOf"),
        std::tuple(Key::kOneOf, OpKind::kOneOf, "oneOf")}) {
    if (const auto at = value(has, key)) {
      if (auto done = branches(node, at, kind, keyword); !done) return done;
    }
  }
  if (const auto at = value(has, Key::kNot)) {
    Op op{.kind = OpKind::kNot, .keyword = "not"};
    if (auto done = edge(op.edge, at, "not"); !done) return done;
    node.ops.push_back(std::move(op));
  }
  const auto condition = value(has, Key::kIf);
  if (condition == 0) return {};
  Op op{.kind = OpKind::kIf, .keyword = "if"};
  if (auto done = edge(op.edge, condition, "if"); !done) return done;
  if (const auto at = value(has, Key::kThen)) {
    op.has_then = true;
    if (auto done = edge(op.then_edge, at, "then"); !done) return done;
  }
  if (const auto at = value(has, Key::kElse)) {
    op.has_else = true;
    if (auto done = edge(op.else_edge, at, "else"); !done) return done;
  }
  node.ops.push_back(std::move(op));
  return {};
}

Result<void> Compiler::unevaluated(Node& node, const Keywords& has) {
  if (const auto at = value(has, Key::kUnevaluatedProperties)) {
    node.has_unevaluated_properties = true;
    if (auto done = edge(node.unevaluated_properties, at, "unevaluatedProperties"); !done) return done;
  }
  if (const auto at = value(has, Key::kUnevaluatedItems)) {
    node.has_unevaluated_items = true;
    return edge(node.unevaluated_items, at, "unevaluatedItems");
  }
  return {};
}

}  // namespace setget::inline v0::detail::schema
