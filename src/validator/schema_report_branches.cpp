// Violations within references, conditions and alternatives.
#include "validator/schema_reporter.hpp"

#include <algorithm>

#include <bit>

namespace setget::inline v0::detail::schema {
void Reporter::op(const Node& node, const Op& op, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks) {
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
      if (eval_.edge(op.edge, at) && !eval_.halted()) add(node, where, "not", Shown{at}, " is valid against the schema under \"not\"");
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

void Reporter::weigh(const Filter& filter, std::size_t at, std::vector<unsigned>& weights, unsigned scale) {
  const auto type = type_at(tape_, at);
  const auto add_where_excluded = [&](const std::uint64_t* mask, unsigned weight) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (((mask[i / 64] >> (i % 64)) & 1) == 0) weights[i] += weight;
    }
  };
  add_where_excluded(filter.by_type(static_cast<std::size_t>(std::countr_zero(type))), scale);
  if (type == kString && filter.has_strings) {
    const auto number = filter.strings.find(text_at(tape_, at));
    add_where_excluded(number == NameMap::kNone ? filter.other_string() : filter.by_string(number), scale * 8);
  }
  if (type != kObject || !filter.has_names) return;
  std::vector<bool> seen(filter.names.size());
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  for (auto key = at + 1; key < end; key = next_of(tape_.words, key + 1)) {
    const auto number = filter.names.find(text_at(tape_, key));
    add_where_excluded(number == NameMap::kNone ? filter.other_name() : filter.present(number), scale);
    if (number == NameMap::kNone) continue;
    seen[number] = true;
    if (filter.by_name[number].value) weigh(*filter.by_name[number].value, key + 1, weights, 1);
  }
  for (const auto number : filter.required) {
    if (!seen[number]) add_where_excluded(filter.absent(number), scale);
  }
}

std::vector<std::size_t> Reporter::closest(const Op& op, std::size_t at) {
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

void Reporter::alternatives(const Node& node, const Op& op, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks) {
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
    add(node, where, "oneOf", Shown{at}, " is valid against ", matching.size(), " of ", op.branches.size(),
        " schemas, the first two of them ", matching[0], " and ", matching[1], "; it must be against exactly one");
    return;
  }
  const auto own = add(node, where, op.keyword, Shown{at}, " is valid against none of ", op.branches.size(), " schemas");
  if (possible.empty() && op.filter) possible = closest(op, at);
  if (own == kNoParent) return;
  const Step step{where.keyword, op.keyword};
  for (const auto branch : possible) {
    const Step index{&step, {}, branch, true};
    visit(op.branches[branch], at, {where.instance, &index, own}, op.keyword, nullptr);
  }
}

}  // namespace setget::inline v0::detail::schema
