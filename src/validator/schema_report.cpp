#include "validator/schema_reporter.hpp"

#include <algorithm>

namespace setget::inline v0::detail::schema {
namespace {

using json_schema::Violation;

// Whether it leads through a reference: then the keywords passed do not tell where the last one stands. Names that look like one count too.
bool append_path(std::string& out, const Step* step) {
  if (!step) return false;
  bool refers = append_path(out, step->outer);
  out += '/';
  if (step->is_index) {
    append_number(out, step->index);
  } else {
    append_token(out, step->token);
    refers = refers || step->token.starts_with('$');
  }
  return refers;
}

std::string_view type_name(std::uint8_t type) {
  switch (type) {
    case kNull:
      return "null";
    case kBoolean:
      return "a boolean";
    case kInteger:
    case kFraction:
      return "a number";
    case kString:
      return "a string";
    case kArray:
      return "an array";
    default:
      return "an object";
  }
}

std::string expected_types(std::uint8_t types) {
  std::string out;
  const auto also = [&](std::string_view name) { out += (out.empty() ? "" : " or ") + std::string(name); };
  if ((types & kNull) != 0) also("null");
  if ((types & kBoolean) != 0) also("boolean");
  if ((types & kNumber) == kNumber) {
    also("number");
  } else if ((types & kInteger) != 0) {
    also("integer");
  }
  if ((types & kString) != 0) also("string");
  if ((types & kArray) != 0) also("array");
  if ((types & kObject) != 0) also("object");
  return out;
}

}  // namespace

json_schema::Report Reporter::run() {
  Where where;
  if (program_.root.fast) visit(program_.root, 1, where, "", nullptr);
  report_.valid = report_.violations.empty() && !report_.truncated;
  return std::move(report_);
}

std::size_t Reporter::add(const Node& node, const Where& where, std::string_view keyword, std::string message) {
  if (report_.violations.size() >= program_.limits.max_errors) {
    report_.truncated = true;
    return kNoParent;
  }
  if (report_.violations.empty()) report_.violations.reserve(4);
  auto& one = report_.violations.emplace_back();
  append_path(one.instance_location, where.instance);
  one.keyword_location.reserve(64);
  const bool refers = append_path(one.keyword_location, where.keyword);
  if (!node.never) {
    one.keyword_location += '/';
    append_token(one.keyword_location, keyword);
  }
  const auto& resource = program_.resources[node.resource];
  if (!refers && node.resource == program_.root_resource) {
    one.absolute_keyword_location = shown_location(resource.uri, one.keyword_location);
  } else {
    one.absolute_keyword_location = location_of(program_, node);
    if (!node.never) one.absolute_keyword_location += '/' + as_fragment(pointer_token(keyword));
  }
  one.keyword = keyword;
  one.message = std::move(message);
  one.parent = where.parent;
  return report_.violations.size() - 1;
}

bool Reporter::visit(const Edge& to, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks) {
  if (!to.fast) return true;
  return visit(*to.node, at, where, keyword, marks);
}

bool Reporter::visit(const Node& node, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks) {
  if (over()) return false;
  const auto before = report_.violations.size();
  const auto type = type_at(tape_, at);
  if (node.never) {
    add(node, where, keyword, never_message(at, where, keyword));
    return false;
  }
  const bool typed = eval_.type_holds(node, type, at);
  if (over()) return false;
  if (!typed) {
    add(node, where, "type", said(Shown{at}, " is ", type_name(type), ", expected ", expected_types(node.types)));
  }
  // Where the type is wrong the keywords for the right one have nothing to say.
  if ((node.deep & type) == 0) return typed;
  if (!eval_.spend(1)) return false;
  if (eval_.nesting() == 0) return eval_.halt(Stop::kNesting), false;
  --eval_.nesting();
  const auto* outer = eval_.scope();
  const Scope scope{node.resource, outer};
  if (program_.dynamic && outer->resource != node.resource) eval_.set_scope(&scope);
  const bool unevaluated = type == kObject ? node.has_unevaluated_properties : (type == kArray && node.has_unevaluated_items);
  if (unevaluated) {
    const auto count = count_of(tape_, at);
    const Marks own{eval_.bits().take((count + 63) / 64), count};
    keywords(node, at, type, where, &own);
    rest(node, at, type, where, own);
    eval_.bits().release(own.offset);
    if (marks) {
      for (std::size_t i = 0; i < marks->count; ++i) eval_.bits().set(marks->offset, i);
    }
  } else {
    keywords(node, at, type, where, marks);
  }
  eval_.set_scope(outer);
  ++eval_.nesting();
  return typed && report_.violations.size() == before && !over();
}

std::string Reporter::never_message(std::size_t at, const Where& where, std::string_view keyword) const {
  if ((keyword == "additionalProperties" || keyword == "unevaluatedProperties") && where.instance)
    return said("the name \"", where.instance->token.substr(0, 100), "\" is not allowed, its value is ", Shown{at});
  return said("nothing is allowed here, found ", Shown{at});
}

void Reporter::keywords(const Node& node, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks) {
  for (const auto* set : node.values) {
    if (!eval_.in_set(*set, at, type)) values(node, *set, at, where);
  }
  if (type == kString && node.string) string(node, at, where);
  if ((type & kNumber) != 0 && node.number) number(node, at, where);
  if (type == kObject && node.object) object(node, at, where, marks);
  if (type == kArray && node.array) array(node, at, where, marks);
  for (const auto& op : node.ops) {
    if (over()) return;
    this->op(node, op, at, type, where, marks);
  }
}

json_schema::Report list_violations(const Eval::Program& program, Eval& eval) { return Reporter(program, eval).run(); }

}  // namespace setget::inline v0::detail::schema
