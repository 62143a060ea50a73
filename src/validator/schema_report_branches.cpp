// Violations within references, conditions and alternatives.
#include "validator/schema_reporter.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

namespace setget::inline v0::detail::schema {
namespace {

// Words of the scratch stack, for as long as this lives.
class Taken {
 public:
  Taken(ScratchBits& bits, std::size_t words) : bits_(bits), offset_(bits.take(words)) {}
  // Which are taken already.
  Taken(ScratchBits& bits, std::size_t offset, int) : bits_(bits), offset_(offset) {}
  ~Taken() { bits_.release(offset_); }
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;
  std::size_t offset() const noexcept { return offset_; }
  void set(std::size_t bit) const noexcept { bits_.set(offset_, bit); }
  bool test(std::size_t bit) const noexcept { return bits_.test(offset_, bit); }

 private:
  ScratchBits& bits_;
  std::size_t offset_;
};

}  // namespace

template <Sink kSink>
void Reporter<kSink>::op(const Node& node, const Op& op, std::size_t at, std::uint8_t type, Where where, const Marks* marks) {
  switch (op.kind) {
    case OpKind::kRef: {
      if (passes(op.edge, at)) return;
      const auto step = Step::of_keyword(where.keyword, op.keyword);
      visit(op.edge, at, {where.instance, &step, where.parent}, marks);
      return;
    }
    case OpKind::kDynamicRef: {
      const auto step = Step::of_keyword(where.keyword, op.keyword);
      visit(*eval_.dynamic_target(op, false), at, {where.instance, &step, where.parent}, marks);
      return;
    }
    case OpKind::kAllOf:
      for (std::size_t i = 0; i < op.branches.size(); ++i) {
        if (passes(op.branches[i], at)) continue;
        const auto index = Step::of_keyword(where.keyword, op.keyword, i);
        visit(op.branches[i], at, {where.instance, &index, where.parent}, marks);
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
      const auto branch = Step::of_keyword(where.keyword, holds ? "then" : "else");
      if (holds ? op.has_then : op.has_else) visit(holds ? op.then_edge : op.else_edge, at, {where.instance, &branch, where.parent}, marks);
      return;
    }
  }
}

template <Sink kSink>
void Reporter<kSink>::weigh(const Filter& filter, std::size_t at, std::size_t weights, std::size_t count, unsigned scale) {
  const auto type = type_at(tape_, at);
  const auto add_where_excluded = [&](const std::uint64_t* mask, unsigned weight) {
    auto* const to = eval_.bits().at(weights);
    for (std::size_t i = 0; i < count; ++i) {
      if (((mask[i / 64] >> (i % 64)) & 1) == 0) to[i] += weight;
    }
  };
  add_where_excluded(filter.by_type(static_cast<std::size_t>(std::countr_zero(type))), scale);
  if (type == kString && filter.has_strings) {
    const auto number = filter.strings.find(text_at(tape_, at));
    add_where_excluded(number == NameMap::kNone ? filter.other_string() : filter.by_string(number), scale * 8);
  }
  if (type != kObject || !filter.has_names) return;
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  if (!eval_.spend((end - at) / 2 * count)) return;
  const Taken seen(eval_.bits(), (filter.names.size() + 63) / 64);
  for (auto key = at + 1; key < end; key = next_of(tape_.words, key + 1)) {
    const auto number = filter.names.find(text_at(tape_, key));
    add_where_excluded(number == NameMap::kNone ? filter.other_name() : filter.present(number), scale);
    if (number == NameMap::kNone) continue;
    seen.set(number);
    if (filter.by_name[number].value) weigh(*filter.by_name[number].value, key + 1, weights, count, 1);
  }
  for (const auto number : filter.required) {
    if (!seen.test(number)) add_where_excluded(filter.absent(number), scale);
  }
}

template <Sink kSink>
void Reporter<kSink>::closest(const Op& op, std::size_t at, std::size_t bits) {
  const auto count = op.branches.size();
  if (!eval_.spend(count)) return;
  const Taken weights(eval_.bits(), count);
  weigh(*op.filter, at, weights.offset(), count, 2);
  const std::span of(eval_.bits().at(weights.offset()), count);
  const auto least = *std::ranges::min_element(of);
  if (std::ranges::count(of, least) > 3) return;
  for (std::size_t i = 0; i < count; ++i) {
    if (of[i] == least) eval_.bits().set(bits, i);
  }
}

template <Sink kSink>
void Reporter<kSink>::alternatives(const Node& node, const Op& op, std::size_t at, std::uint8_t type, Where where, const Marks* marks) {
  const auto count = op.branches.size();
  // Branches that can match, as bits.
  const auto possible = op.filter ? Taken(eval_.bits(), eval_.candidates(*op.filter, at, type), 0) : Taken(eval_.bits(), (count + 63) / 64);
  if (!op.filter) {
    for (std::size_t i = 0; i < count; ++i) possible.set(i);
  }
  std::size_t matching = 0;
  std::array<std::size_t, 2> matched{};
  bool any = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (!possible.test(i)) continue;
    any = true;
    if (attempt(op.branches[i], at, marks)) {
      if (matching < matched.size()) matched[matching] = i;
      ++matching;
    }
    if (over()) return;
  }
  const bool one = op.kind == OpKind::kOneOf;
  if (matching == 1 || (!one && matching > 0)) return;
  if (matching > 0) {
    add(node, where, "oneOf", Shown{at}, " is valid against ", matching, " of ", count, " schemas, the first two of them ", matched[0],
        " and ", matched[1], "; it must be against exactly one");
    return;
  }
  const auto own = add(node, where, op.keyword, Shown{at}, " is valid against none of ", count, " schemas");
  if (!any && op.filter) closest(op, at, possible.offset());
  if (own == kNoParent) return;
  for (std::size_t i = 0; i < count; ++i) {
    if (!possible.test(i)) continue;
    const auto index = Step::of_keyword(where.keyword, op.keyword, i);
    visit(op.branches[i], at, {where.instance, &index, own}, nullptr);
  }
}

template void Reporter<Sink::kCount>::op(const Node& node, const Op& op, std::size_t at, std::uint8_t type, Where where,
                                         const Marks* marks);
template void Reporter<Sink::kLedger>::op(const Node& node, const Op& op, std::size_t at, std::uint8_t type, Where where,
                                          const Marks* marks);
template void Reporter<Sink::kTexts>::op(const Node& node, const Op& op, std::size_t at, std::uint8_t type, Where where,
                                         const Marks* marks);

}  // namespace setget::inline v0::detail::schema
