#include "validator/schema_reporter.hpp"

namespace setget::inline v0::detail::schema {

Found Reporter::run() {
  if (program_.root.fast) visit(program_.root, 1, {}, "", nullptr);
  return {.first = first_, .count = count_, .truncated = truncated_};
}

std::size_t Reporter::save(const Step& step) {
  const auto outer = keep(step.outer);
  const auto place = ledger_.take(Ledger::kWordsOf<KeptStep>);
  const bool lasting = step.kind == StepKind::kLasting;
  ledger_.make<KeptStep>(place, outer, step.keyword.data(), static_cast<std::uint32_t>(step.keyword.size()), step.kind, step.token.data(),
                         lasting ? step.token.size() : step.index);
  if (step.kind == StepKind::kName) ledger_.put_text(step.token);
  step.place = place;
  return place;
}

inline void Reporter::keywords(const Node& node, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks) {
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

bool Reporter::visit(const Node& node, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks) {
  if (over()) return false;
  const auto before = count_;
  const auto type = type_at(tape_, at);
  if (node.never) {
    never(node, at, where, keyword);
    return false;
  }
  const bool typed = (node.types & type) != 0 || eval_.type_holds(node, type, at);
  if (over()) return false;
  if (!typed) {
    add(node, where, "type", Shown{at}, " is ", TypeName{type}, ", expected ", Types{node.types});
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
  Marks own;
  if (unevaluated) {
    own.count = count_of(tape_, at);
    own.offset = eval_.bits().take((own.count + 63) / 64);
  }
  keywords(node, at, type, where, unevaluated ? &own : marks);
  if (unevaluated) {
    rest(node, at, type, where, own);
    eval_.bits().release(own.offset);
    if (marks) {
      for (std::size_t i = 0; i < marks->count; ++i) eval_.bits().set(marks->offset, i);
    }
  }
  eval_.set_scope(outer);
  ++eval_.nesting();
  return typed && count_ == before && !over();
}

void Reporter::never(const Node& node, std::size_t at, const Where& where, std::string_view keyword) {
  if ((keyword == "additionalProperties" || keyword == "unevaluatedProperties") && where.instance) {
    add(node, where, keyword, "the name \"", Name{where.instance}, "\" is not allowed, its value is ", Shown{at});
  } else {
    add(node, where, keyword, "nothing is allowed here, found ", Shown{at});
  }
}

Found list_violations(const Eval::Program& program, Eval& eval, Ledger& ledger) { return Reporter(program, eval, ledger).run(); }

}  // namespace setget::inline v0::detail::schema
