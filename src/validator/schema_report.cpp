#include "validator/schema_reporter.hpp"

namespace setget::inline v0::detail::schema {

template <Sink kSink>
Found Reporter<kSink>::run(std::size_t at) {
  if (program_.root.fast) visit(program_.root, at, {}, nullptr);
  return {.first = first_, .count = count_, .truncated = truncated_};
}

template <Sink kSink>
std::size_t Reporter<kSink>::save(const Step& step) {
  const auto outer = keep(step.outer);
  auto& ledger = *ledger_;
  const auto place = ledger.take(Ledger::kWordsOf<KeptStep>);
  const bool lasting = step.kind == StepKind::kLasting;
  ledger.make<KeptStep>(place, outer, step.keyword.data(), static_cast<std::uint32_t>(step.keyword.size()), step.kind, step.token.data(),
                        lasting ? step.token.size() : step.index);
  if (step.kind == StepKind::kName) ledger.put_text(step.token);
  step.place = place;
  return place;
}

template <Sink kSink>
inline void Reporter<kSink>::keywords(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks* marks) {
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

template <Sink kSink>
void Reporter<kSink>::visit(const Node& node, std::size_t at, Where where, const Marks* marks) {
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

template <Sink kSink>
void Reporter<kSink>::never(const Node& node, std::size_t at, Where where) {
  if constexpr (kCounts) {
    add(node, where, {});
  } else {
    const auto keyword = where.keyword ? where.keyword->keyword : std::string_view();
    if ((keyword == "additionalProperties" || keyword == "unevaluatedProperties") && where.instance) {
      add(node, where, keyword, "the name \"", Name{where.instance}, "\" is not allowed, its value is ", Shown{at});
    } else {
      add(node, where, keyword, "nothing is allowed here, found ", Shown{at});
    }
  }
}

template void Reporter<Sink::kCount>::visit(const Node& node, std::size_t at, Where where, const Marks* marks);
template void Reporter<Sink::kLedger>::visit(const Node& node, std::size_t at, Where where, const Marks* marks);

Found list_violations(const Eval::Program& program, Eval& eval, Ledger& ledger, std::size_t at) {
  ledger.clear();
  return Reporter<Sink::kLedger>(program, eval, &ledger).run(at);
}

Found count_violations(const Eval::Program& program, Eval& eval) {
  return Reporter<Sink::kCount>(program, eval, nullptr).run(1);
}

}  // namespace setget::inline v0::detail::schema
