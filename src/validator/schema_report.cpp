#include "validator/schema_reporter.hpp"

namespace setget::inline v0::detail::schema {

Found Reporter::run(std::size_t at) {
  if (program_.root.fast) visit(program_.root, at, {}, nullptr);
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
  if (node.has_values) {
    for (const auto* set : node.values) {
      if (!eval_.in_set(*set, at, type)) values(node, *set, at, where);
    }
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

void Reporter::visit(const Node& node, std::size_t at, const Where& where, const Marks* marks) {
  if (over()) return;
  const auto type = type_at(tape_, at);
  if (node.never) return never(node, at, where);
  const bool typed = (node.types & type) != 0 || eval_.type_holds(node, type, at);
  if (!typed) {
    if (over()) return;
    add(node, where, "type", Shown{at}, " is ", TypeName{type}, ", expected ", Types{node.types});
  }
  // Where the type is wrong the keywords for the right one have nothing to say.
  if ((node.deep & type) == 0 || !eval_.spend(1)) return;
  if (eval_.nesting() == 0) return eval_.halt(Stop::kNesting);
  --eval_.nesting();
  const auto* const outer = eval_.scope();
  Scope scope;
  if (program_.dynamic && outer->resource != node.resource) {
    scope = {.resource = node.resource, .outer = outer};
    eval_.set_scope(&scope);
  }
  if (type == kObject ? node.has_unevaluated_properties : (type == kArray && node.has_unevaluated_items)) {
    Marks own{.count = count_of(tape_, at)};
    own.offset = eval_.bits().take((own.count + 63) / 64);
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
}

void Reporter::never(const Node& node, std::size_t at, const Where& where) {
  const auto keyword = where.keyword ? where.keyword->keyword : std::string_view();
  if ((keyword == "additionalProperties" || keyword == "unevaluatedProperties") && where.instance) {
    add(node, where, keyword, "the name \"", Name{where.instance}, "\" is not allowed, its value is ", Shown{at});
  } else {
    add(node, where, keyword, "nothing is allowed here, found ", Shown{at});
  }
}

Found list_violations(const Eval::Program& program, Eval& eval, Ledger& ledger, std::size_t at) {
  return Reporter(program, eval, ledger).run(at);
}

}  // namespace setget::inline v0::detail::schema
