#include "validator/schema_report.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "validator/schema_compiler.hpp"

namespace setget::inline v0::detail::schema {
namespace {

using json_schema::Report;
using json_schema::Violation;
constexpr auto kNoParent = Violation::kNoParent;

// A step of a path; the paths of instance and keyword are lists of them on the stack.
struct Step {
  const Step* outer = nullptr;
  std::string_view token{};
  std::size_t index = 0;
  bool is_index = false;
};

void append_path(std::string& out, const Step* step) {
  if (!step) return;
  append_path(out, step->outer);
  out += '/';
  if (step->is_index) {
    out += std::to_string(step->index);
  } else {
    out += pointer_token(step->token);
  }
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

class Reporter {
 public:
  Reporter(const Eval::Program& program, Eval& eval) : program_(program), eval_(eval), tape_(eval.tape()) {}

  Report run() {
    Where where;
    if (program_.root.fast) visit(program_.root, 1, where, "", nullptr);
    report_.valid = report_.violations.empty() && !report_.truncated;
    return std::move(report_);
  }

 private:
  struct Where {
    const Step* instance = nullptr;
    const Step* keyword = nullptr;
    std::size_t parent = kNoParent;
  };

  bool over() const noexcept { return report_.truncated || eval_.halted(); }

  std::size_t add(const Node& node, const Where& where, std::string_view keyword, std::string message) {
    if (report_.violations.size() >= program_.limits.max_errors) {
      report_.truncated = true;
      return kNoParent;
    }
    Violation one;
    append_path(one.instance_location, where.instance);
    append_path(one.keyword_location, where.keyword);
    one.absolute_keyword_location = location_of(program_, node);
    if (!node.never) {
      one.keyword_location += '/' + pointer_token(keyword);
      one.absolute_keyword_location += '/' + as_fragment(pointer_token(keyword));
    }
    one.keyword = keyword;
    one.message = std::move(message);
    one.parent = where.parent;
    report_.violations.push_back(std::move(one));
    return report_.violations.size() - 1;
  }
  std::string shown(std::size_t at) const { return shown_value(tape_, at); }

  // True if the value is valid. `keyword` is the one that led here.
  bool visit(const Edge& to, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks) {
    if (!to.fast) return true;
    return visit(*to.node, at, where, keyword, marks);
  }

  bool visit(const Node& node, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks) {
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
      add(node, where, "type", fmt::format("{} is {}, expected {}", shown(at), type_name(type), expected_types(node.types)));
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

  std::string never_message(std::size_t at, const Where& where, std::string_view keyword) const {
    if ((keyword == "additionalProperties" || keyword == "unevaluatedProperties") && where.instance)
      return fmt::format("the name \"{}\" is not allowed, its value is {}", where.instance->token.substr(0, 100), shown(at));
    return fmt::format("nothing is allowed here, found {}", shown(at));
  }

  void keywords(const Node& node, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks) {
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

  void values(const Node& node, const ValueSet& set, std::size_t at, const Where& where) {
    if (eval_.halted()) return;
    if (set.is_const) {
      add(node, where, "const", fmt::format("{} is not {}", shown(at), shown_value(set.tape, set.all.front())));
      return;
    }
    std::string all;
    for (const auto one : set.all) {
      if (all.size() > 200) {
        all += ", …";
        break;
      }
      all += (all.empty() ? "" : ", ") + shown_value(set.tape, one, 60);
    }
    add(node, where, "enum", fmt::format("{} is none of {}", shown(at), all));
  }

  void string(const Node& node, std::size_t at, const Where& where) {
    const auto& part = *node.string;
    const auto text = text_at(tape_, at);
    if (!eval_.length_holds(part, text)) {
      const auto length = code_points(text);
      if (length < part.min) {
        add(node, where, "minLength", fmt::format("{} has {} characters, at least {} are needed", shown(at), length, part.min));
      } else {
        add(node, where, "maxLength", fmt::format("{} has {} characters, at most {} are allowed", shown(at), length, part.max));
      }
    }
    if (part.format && !part.format(text)) add(node, where, "format", fmt::format("{} is no {}", shown(at), part.format_name));
    if (part.pattern && !eval_.pattern(*part.pattern, text) && !eval_.halted())
      add(node, where, "pattern", fmt::format("{} does not match \"{}\"", shown(at), part.pattern_source.substr(0, 200)));
    if ((!part.content_encoding.empty() || !part.content_media_type.empty()) && !eval_.content_holds(part, text)) {
      const bool encoding = part.content_encoding == "base64" && !is_base64(text, nullptr);
      add(node, where, encoding ? "contentEncoding" : "contentMediaType",
          fmt::format("{} is no {}", shown(at), encoding ? part.content_encoding : part.content_media_type));
    }
  }

  void number(const Node& node, std::size_t at, const Where& where) {
    const auto& part = *node.number;
    const auto number = number_at(tape_, at);
    if (number.kind == 'd' && !eval_.is_exact()) return;
    const auto check = [&](const Bound& bound, int sign, std::string_view what) {
      if (bound.is_set && !eval_.bound_holds(bound, number, sign))
        add(node, where, bound.keyword, fmt::format("{} is {} {}", shown(at), what, bound.shown));
    };
    check(part.minimum, 1, part.minimum.exclusive ? "not above" : "below");
    check(part.exclusive_minimum, 1, "not above");
    check(part.maximum, -1, part.maximum.exclusive ? "not below" : "above");
    check(part.exclusive_maximum, -1, "not below");
    if (part.multiple_of.is_set && !eval_.multiple_holds(part.multiple_of, number) && !eval_.halted())
      add(node, where, "multipleOf", fmt::format("{} is no multiple of {}", shown(at), part.multiple_of.shown));
  }

  void object(const Node& node, std::size_t at, const Where& where, const Marks* marks) {
    const auto& part = *node.object;
    const auto count = count_of(tape_, at);
    if (count < part.min) add(node, where, "minProperties", fmt::format("{} names, at least {} are needed", count, part.min));
    if (count > part.max) add(node, where, "maxProperties", fmt::format("{} names, at most {} are allowed", count, part.max));
    const auto words = (part.tracked + 63) / 64;
    const auto seen = eval_.bits().take(words);
    const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
    std::size_t ordinal = 0;
    for (auto key = at + 1; key < end && !over(); key = next_of(tape_.words, key + 1), ++ordinal) {
      const auto name = text_at(tape_, key);
      const auto number = part.names.find(name);
      if (number != NameMap::kNone && part.entries[number].tracked != NameMap::kNone) eval_.bits().set(seen, part.entries[number].tracked);
      if (member(node, number, key, name, where) && marks) eval_.bits().set(marks->offset, ordinal);
    }
    for (std::size_t i = 0; i < part.required.size() && !over(); ++i) {
      if (!eval_.bits().test(seen, i))
        add(node, where, "required", fmt::format("the name \"{}\" is missing", part.names.name(part.required[i]).substr(0, 100)));
    }
    for (const auto& dependent : part.dependents) {
      if (over() || !eval_.bits().test(seen, dependent.trigger)) continue;
      for (std::size_t i = 0; i < dependent.required.size(); ++i) {
        if (!eval_.bits().test(seen, dependent.required[i]))
          add(node, where, dependent.keyword,
              fmt::format("the name \"{}\" is missing, which \"{}\" needs", part.names.name(dependent.names[i]).substr(0, 100),
                          dependent.name.substr(0, 100)));
      }
      if (!dependent.has_schema) continue;
      const Step keyword{where.keyword, dependent.keyword};
      const Step name{&keyword, dependent.name};
      visit(dependent.schema, at, {where.instance, &name, where.parent}, dependent.keyword, marks);
    }
    eval_.bits().release(seen);
  }

  // True if a keyword applied to it.
  bool member(const Node& node, std::uint32_t number, std::size_t key, std::string_view name, const Where& where) {
    const auto& part = *node.object;
    const Step instance{where.instance, name};
    bool matched = false;
    const auto into = [&](const Edge& to, std::string_view keyword, std::string_view token) {
      const Step first{where.keyword, keyword};
      const Step second{&first, token};
      matched = true;
      visit(to, key + 1, {&instance, &second, where.parent}, keyword, nullptr);
    };
    if (part.has_names) {
      const Step step{where.keyword, "propertyNames"};
      visit(part.property_names, key, {&instance, &step, where.parent}, "propertyNames", nullptr);
    }
    if (number != NameMap::kNone) {
      const auto& entry = part.entries[number];
      if (entry.declared) into(entry.child, "properties", name);
      for (const auto which : entry.patterns) into(part.patterns[which].child, "patternProperties", part.patterns[which].source);
    } else {
      for (const auto& one : part.patterns) {
        if (eval_.pattern(*one.regex, name)) into(one.child, "patternProperties", one.source);
        if (over()) return false;
      }
    }
    if (!matched && part.has_additional) {
      matched = true;
      const Step step{where.keyword, "additionalProperties"};
      visit(part.additional, key + 1, {&instance, &step, where.parent}, "additionalProperties", nullptr);
    }
    return matched;
  }

  void array(const Node& node, std::size_t at, const Where& where, const Marks* marks) {
    const auto& part = *node.array;
    const auto count = count_of(tape_, at);
    if (count < part.min) add(node, where, "minItems", fmt::format("{} items, at least {} are needed", count, part.min));
    if (count > part.max) add(node, where, "maxItems", fmt::format("{} items, at most {} are allowed", count, part.max));
    std::size_t ordinal = 0;
    std::uint64_t found = 0;
    const Step prefix{where.keyword, part.prefix_keyword};
    const Step items{where.keyword, part.items_keyword};
    each_element(tape_, at, [&](std::size_t item) {
      if (over()) return;
      const Step instance{where.instance, {}, ordinal, true};
      bool evaluated = true;
      if (ordinal < part.prefix.size()) {
        const Step index{&prefix, {}, ordinal, true};
        visit(part.prefix[ordinal], item, {&instance, &index, where.parent}, part.prefix_keyword, nullptr);
      } else if (part.has_items) {
        visit(part.items, item, {&instance, &items, where.parent}, part.items_keyword, nullptr);
      } else {
        evaluated = false;
      }
      if (part.has_contains && eval_.edge(part.contains, item)) {
        ++found;
        evaluated = evaluated || part.contains_evaluates;
      }
      if (marks && evaluated) eval_.bits().set(marks->offset, ordinal);
      ++ordinal;
    });
    if (over()) return;
    if (part.has_contains && found < part.min_contains) {
      add(node, where, part.has_min_contains ? "minContains" : "contains",
          fmt::format("{} of {} items match \"contains\", at least {} must", found, count, part.min_contains));
    }
    if (part.has_contains && found > part.max_contains)
      add(node, where, "maxContains", fmt::format("{} of {} items match \"contains\", at most {} may", found, count, part.max_contains));
    std::size_t first = 0;
    std::size_t second = 0;
    if (part.unique && !eval_.unique(at, &first, &second) && !eval_.halted()) {
      std::size_t index = 0;
      std::size_t a = 0;
      std::size_t b = 0;
      each_element(tape_, at, [&](std::size_t item) {
        if (item == first) a = index;
        if (item == second) b = index;
        ++index;
      });
      add(node, where, "uniqueItems", fmt::format("the items {} and {} are the same: {}", a, b, shown(first)));
    }
  }

  void rest(const Node& node, std::size_t at, std::uint8_t type, const Where& where, const Marks& marks) {
    const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
    const bool is_object = type == kObject;
    const std::string_view keyword = is_object ? "unevaluatedProperties" : "unevaluatedItems";
    const auto& to = is_object ? node.unevaluated_properties : node.unevaluated_items;
    const Step step{where.keyword, keyword};
    std::size_t ordinal = 0;
    for (auto item = at + 1; item < end && !over(); ++ordinal) {
      std::string_view name;
      if (is_object) name = text_at(tape_, item++);
      if (!eval_.bits().test(marks.offset, ordinal)) {
        const Step instance{where.instance, name, ordinal, !is_object};
        visit(to, item, {&instance, &step, where.parent}, keyword, nullptr);
      }
      item = next_of(tape_.words, item);
    }
  }

  bool attempt(const Edge& to, std::size_t at, const Marks* marks) {
    return marks ? eval_.tracked_edge(to, at, *marks) : eval_.edge(to, at);
  }

  void op(const Node& node, const Op& op, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks) {
    const Step step{where.keyword, op.keyword};
    const Where within{where.instance, &step, where.parent};
    switch (op.kind) {
      case OpKind::kRef:
        visit(op.edge, at, within, op.keyword, marks);
        return;
      case OpKind::kDynamicRef:
        visit(*eval_.dynamic_target(op, false), at, within, op.keyword, marks);
        return;
      case OpKind::kAllOf:
        for (std::size_t i = 0; i < op.branches.size(); ++i) {
          const Step index{&step, {}, i, true};
          visit(op.branches[i], at, {where.instance, &index, where.parent}, op.keyword, marks);
        }
        return;
      case OpKind::kAnyOf:
      case OpKind::kOneOf:
        alternatives(node, op, at, type, where, marks);
        return;
      case OpKind::kNot:
        if (eval_.edge(op.edge, at) && !eval_.halted())
          add(node, where, "not", fmt::format("{} is valid against the schema under \"not\"", shown(at)));
        return;
      case OpKind::kIf: {
        const bool holds = attempt(op.edge, at, marks);
        if (over()) return;
        const Step branch{where.keyword, holds ? "then" : "else"};
        if (holds ? op.has_then : op.has_else)
          visit(holds ? op.then_edge : op.else_edge, at, {where.instance, &branch, where.parent}, branch.token, marks);
        return;
      }
    }
  }

  // How much of what is known of each branch a value breaks: names, and above all constants and types.
  void weigh(const Filter& filter, std::size_t at, std::vector<unsigned>& weights, unsigned scale) {
    const auto type = type_at(tape_, at);
    const auto add_where_excluded = [&](const Mask& mask, unsigned weight) {
      for (std::size_t i = 0; i < weights.size(); ++i) {
        if (((mask[i / 64] >> (i % 64)) & 1) == 0) weights[i] += weight;
      }
    };
    add_where_excluded(filter.by_type[static_cast<std::size_t>(std::countr_zero(type))], scale);
    if (type == kString && filter.has_strings) {
      const auto number = filter.strings.find(text_at(tape_, at));
      add_where_excluded(number == NameMap::kNone ? filter.other_string : filter.by_string[number], scale * 8);
    }
    if (type != kObject || !filter.has_names) return;
    std::vector<bool> seen(filter.names.size());
    const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
    for (auto key = at + 1; key < end; key = next_of(tape_.words, key + 1)) {
      const auto number = filter.names.find(text_at(tape_, key));
      add_where_excluded(number == NameMap::kNone ? filter.other_name : filter.by_name[number].present, scale);
      if (number == NameMap::kNone) continue;
      seen[number] = true;
      if (filter.by_name[number].value) weigh(*filter.by_name[number].value, key + 1, weights, 1);
    }
    for (const auto number : filter.required) {
      if (!seen[number]) add_where_excluded(filter.by_name[number].absent, scale);
    }
  }

  // The branches that come closest where none is possible; none of them where too many do.
  std::vector<std::size_t> closest(const Op& op, std::size_t at) {
    if (!eval_.spend(op.branches.size())) return {};
    std::vector<unsigned> weights(op.branches.size());
    weigh(*op.filter, at, weights, 2);
    const auto least = *std::ranges::min_element(weights);
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == least) out.push_back(i);
    }
    if (out.size() > 3) out.clear();
    return out;
  }

  void alternatives(const Node& node, const Op& op, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks) {
    std::vector<std::size_t> possible;
    if (op.filter) {
      const auto offset = eval_.candidates(*op.filter, at, type);
      for (std::size_t i = 0; i < op.branches.size(); ++i) {
        if (eval_.bits().test(offset, i)) possible.push_back(i);
      }
      eval_.bits().release(offset);
    } else {
      for (std::size_t i = 0; i < op.branches.size(); ++i) possible.push_back(i);
    }
    std::vector<std::size_t> matching;
    for (const auto branch : possible) {
      if (attempt(op.branches[branch], at, marks)) matching.push_back(branch);
      if (over()) return;
    }
    const bool one = op.kind == OpKind::kOneOf;
    if (matching.size() == 1 || (!one && !matching.empty())) return;
    if (!matching.empty()) {
      add(node, where, "oneOf",
          fmt::format("{} is valid against {} of {} schemas, the first two of them {} and {}; it must be against exactly one", shown(at),
                      matching.size(), op.branches.size(), matching[0], matching[1]));
      return;
    }
    const auto own = add(node, where, op.keyword, fmt::format("{} is valid against none of {} schemas", shown(at), op.branches.size()));
    if (possible.empty() && op.filter) possible = closest(op, at);
    if (own == kNoParent) return;
    const Step step{where.keyword, op.keyword};
    for (const auto branch : possible) {
      const Step index{&step, {}, branch, true};
      visit(op.branches[branch], at, {where.instance, &index, own}, op.keyword, nullptr);
    }
  }

  const Eval::Program& program_;
  Eval& eval_;
  Tape tape_;
  Report report_;
};

}  // namespace

Report list_violations(const Eval::Program& program, Eval& eval) { return Reporter(program, eval).run(); }

}  // namespace setget::inline v0::detail::schema
