#include "validator/schema_reporter.hpp"

#include <memory>

namespace setget::inline v0::detail::schema {
namespace {

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

std::string_view part_of(const char* text, Finding::Span span) noexcept { return {text + span.at, span.end - span.at}; }

}  // namespace

json_schema::Report Reporter::run() {
  if (program_.root.fast) visit(program_.root, 1, {}, "", nullptr);
  return report();
}

json_schema::Report Reporter::report() const {
  json_schema::Report out{.valid = found_.empty() && !truncated_, .truncated = truncated_};
  if (found_.empty()) return out;
  auto texts = std::make_shared_for_overwrite<char[]>(text_.size());
  text_.copy(texts.get(), text_.size());
  out.violations.reserve(found_.size());
  for (const auto& one : found_) {
    out.violations.push_back({.instance_location = part_of(texts.get(), one.instance),
                              .keyword_location = part_of(texts.get(), one.location),
                              .absolute_keyword_location = part_of(texts.get(), one.absolute),
                              .keyword = part_of(texts.get(), one.keyword),
                              .message = part_of(texts.get(), one.message),
                              .parent = one.parent});
  }
  out.texts = std::move(texts);
  return out;
}

bool Reporter::locate(const Node& node, const Where& where, std::string_view keyword) {
  if (found_.size() >= program_.limits.max_errors) {
    truncated_ = true;
    return false;
  }
  auto& one = found_.emplace_back();
  one.parent = where.parent;
  const auto mark = [&](Finding::Span& span, auto&& write) {
    span.at = text_.size();
    write();
    span.end = text_.size();
  };
  mark(one.instance, [&] { append_path(text_, where.instance); });
  // The URI first: where it ends in the path, that is written once.
  const auto& resource = program_.resources[node.resource];
  const auto start = text_.size();
  append_base(text_, resource.uri);
  bool refers = false;
  mark(one.location, [&] {
    refers = append_path(text_, where.keyword);
    if (node.never) return;
    text_ += '/';
    append_token(text_, keyword);
  });
  one.keyword = {one.location.end - keyword.size(), one.location.end};
  one.absolute = {start, one.location.end};
  if (refers || node.resource != program_.root_resource) {
    mark(one.absolute, [&] {
      append_location(text_, program_, node);
      if (node.never) return;
      text_ += '/';
      text_ += keyword;
    });
  } else if (const auto path = std::string_view(text_).substr(one.location.at); !stands_for_itself(path)) {
    const auto shown = shown_location(resource.uri, path);
    mark(one.absolute, [&] { text_ += shown; });
  }
  if (node.never) mark(one.keyword, [&] { text_ += keyword; });
  one.message.at = text_.size();
  return true;
}

void Reporter::append(Types expected) {
  const auto start = text_.size();
  const auto also = [&](std::string_view name) {
    if (text_.size() > start) text_ += " or ";
    text_ += name;
  };
  if ((expected.types & kNull) != 0) also("null");
  if ((expected.types & kBoolean) != 0) also("boolean");
  if ((expected.types & kNumber) == kNumber) {
    also("number");
  } else if ((expected.types & kInteger) != 0) {
    also("integer");
  }
  if ((expected.types & kString) != 0) also("string");
  if ((expected.types & kArray) != 0) also("array");
  if ((expected.types & kObject) != 0) also("object");
}

bool Reporter::visit(const Edge& to, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks) {
  if (!to.fast) return true;
  return visit(*to.node, at, where, keyword, marks);
}

bool Reporter::visit(const Node& node, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks) {
  if (over()) return false;
  const auto before = found_.size();
  const auto type = type_at(tape_, at);
  if (node.never) {
    never(node, at, where, keyword);
    return false;
  }
  const bool typed = eval_.type_holds(node, type, at);
  if (over()) return false;
  if (!typed) {
    add(node, where, "type", Shown{at}, " is ", type_name(type), ", expected ", Types{node.types});
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
  return typed && found_.size() == before && !over();
}

void Reporter::never(const Node& node, std::size_t at, const Where& where, std::string_view keyword) {
  if ((keyword == "additionalProperties" || keyword == "unevaluatedProperties") && where.instance) {
    add(node, where, keyword, "the name \"", where.instance->token.substr(0, 100), "\" is not allowed, its value is ", Shown{at});
  } else {
    add(node, where, keyword, "nothing is allowed here, found ", Shown{at});
  }
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

json_schema::Report list_violations(const Eval::Program& program, Eval& eval, Findings& scratch) {
  return Reporter(program, eval, scratch).run();
}

}  // namespace setget::inline v0::detail::schema
