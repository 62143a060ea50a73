#include "validator/schema_reporter.hpp"

namespace setget::inline v0::detail::schema {

template <Sink kSink>
void Reporter<kSink>::run_sole(std::uint8_t type) {
  const auto& node = *program_.root.node;
  const auto& of = program_.of_root;
  constexpr std::size_t kRoot = 1;
  // No limit is so low that it does not allow the root.
  eval_.spend(1);
  --eval_.nesting();
  switch (program_.sole) {
    case Sole::kSet:
      if (!eval_.in_set(*of.set, kRoot, type)) values(node, *of.set, kRoot, {});
      break;
    case Sole::kString:
      string(node, kRoot, {});
      break;
    case Sole::kNumber:
      number(node, kRoot, {});
      break;
    case Sole::kRecord:
    case Sole::kObject:
      object(node, kRoot, {}, nullptr);
      break;
    case Sole::kArray:
      array(node, kRoot, {}, nullptr);
      break;
    default:
      op(node, *of.op, kRoot, type, {}, nullptr);
  }
}

template <Sink kSink>
std::size_t Reporter<kSink>::save(const Step& step) {
  const auto outer = keep(step.outer);
  Ledger& ledger = *to_;
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
  if (type == kObject) {
    if (node.object) object(node, at, where, marks);
  } else if (type == kArray) {
    if (node.array) array(node, at, where, marks);
  } else if (type == kString) {
    if (node.string) string(node, at, where);
  } else if ((type & kNumber) != 0) {
    if (node.number) number(node, at, where);
  }
  for (const auto& op : node.ops) {
    if (over()) return;
    this->op(node, op, at, type, where, marks);
  }
}

template <Sink kSink>
void Reporter<kSink>::mistyped(const Node& node, std::size_t at, std::uint8_t type, Where where) {
  if (node.never) return never(node, at, where);
  if (eval_.type_holds(node, type, at) || over()) return;
  add(node, where, "type", Shown{at}, " is ", TypeName{type}, ", expected ", Types{node.types});
}

template <Sink kSink>
void Reporter<kSink>::inside(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks* marks) {
  if (!eval_.spend(1)) return;
  if (eval_.nesting() == 0) return eval_.halt(Stop::kNesting);
  --eval_.nesting();
  if (program_.dynamic || node.has_unevaluated_properties || node.has_unevaluated_items) {
    within_scope(node, at, type, where, marks);
  } else {
    keywords(node, at, type, where, marks);
  }
  ++eval_.nesting();
}

template <Sink kSink>
void Reporter<kSink>::within_scope(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks* marks) {
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

template void Reporter<Sink::kCount>::mistyped(const Node& node, std::size_t at, std::uint8_t type, Where where);
template void Reporter<Sink::kLedger>::mistyped(const Node& node, std::size_t at, std::uint8_t type, Where where);
template void Reporter<Sink::kTexts>::mistyped(const Node& node, std::size_t at, std::uint8_t type, Where where);
template void Reporter<Sink::kCount>::inside(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks* marks);
template void Reporter<Sink::kLedger>::inside(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks* marks);
template void Reporter<Sink::kTexts>::inside(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks* marks);

Found list_violations(const Eval::Program& program, Eval& eval, Ledger& ledger, std::size_t at) {
  ledger.clear();
  Reporter<Sink::kLedger> reporter(program, eval, &ledger);
  reporter.run(at);
  return reporter.found();
}

std::size_t write_violations(const Eval::Program& program, Eval& eval, Ledger& to) {
  auto& texts = Texts::of_thread();
  Reporter<Sink::kTexts>(program, eval, &texts).run(type_at(eval.tape(), 1));
  const auto count = texts.list.size();
  texts.finish(to);
  return count;
}

Counted count_violations(const Eval::Program& program, Tape tape, std::uint8_t type) {
  Eval eval(program, tape, nullptr, program.counted_steps, program.counted_nesting);
  Reporter<Sink::kCount> reporter(program, eval, nullptr);
  reporter.run(type);
  eval.end();
  return reporter.counted();
}

}  // namespace setget::inline v0::detail::schema
