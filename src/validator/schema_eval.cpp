#include "validator/schema_eval.hpp"

#include <bit>

namespace setget::inline v0::detail::schema {
namespace {

constexpr std::size_t kLocalWords = 4;

std::size_t words_for(std::size_t bits) noexcept { return (bits + 63) / 64; }

}  // namespace

ScratchBits& scratch_of_thread() {
  thread_local ScratchBits own;
  return own;
}

template <bool kTrack>
bool Eval::checks(const Node& node, std::size_t at, std::uint8_t type, Marks marks) {
  if (nesting_ == 0) return halt(Stop::kNesting), false;
  if (steps_ <= 1) return halt(Stop::kSteps), false;
  --steps_;
  --nesting_;
  const auto* outer = scope_;
  Scope scope;
  if (program_.dynamic && outer->resource != node.resource) {
    scope = {.resource = node.resource, .outer = outer};
    scope_ = &scope;
  }
  bool valid = false;
  const bool unevaluated = type == kObject ? node.has_unevaluated_properties : (type == kArray && node.has_unevaluated_items);
  if (unevaluated) {
    valid = with_unevaluated(node, at, type);
    if constexpr (kTrack) {
      // What was not evaluated by others was by "unevaluated…".
      for (std::size_t i = 0; valid && i < marks.count; ++i) bits().set(marks.offset, i);
    }
  } else {
    valid = body<kTrack>(node, at, type, marks);
  }
  scope_ = outer;
  ++nesting_;
  return valid;
}

bool Eval::with_unevaluated(const Node& node, std::size_t at, std::uint8_t type) {
  const auto count = count_of(tape_, at);
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  // Marks of all members, and a look at each.
  if (!spend((end - at) / 2)) return false;
  const Marks marks{bits().take(words_for(count)), count};
  bool valid = body<true>(node, at, type, marks);
  const auto& edge_to = type == kObject ? node.unevaluated_properties : node.unevaluated_items;
  if (valid && edge_to.fast) {
    std::size_t ordinal = 0;
    for (auto item = at + 1; valid && item < end; ++ordinal) {
      if (type == kObject) ++item;
      if (!bits().test(marks.offset, ordinal)) valid = value(*edge_to.fast, item);
      item = next_of(tape_.words, item);
    }
  }
  bits().release(marks.offset);
  return valid;
}

bool Eval::flat_array(const ArrayPart& part, std::size_t at) {
  const auto each = part.each;
  if (!each.node) return true;
  const auto* words = tape_.words;
  const auto end = static_cast<std::size_t>(static_cast<std::uint32_t>(words[at]) - 1);
  if (!spend((end - at) / 2)) return false;
  for (auto item = at + 1; item < end;) {
    const auto word = words[item];
    const auto type = kTypes.of[tag_of(word)];
    if ((each.types & type) == 0 && !type_holds(*each.node, type, item)) return false;
    if ((each.deep & type) != 0 && !leaf(*each.node, item, type)) return false;
    item = after(word, type, item);
  }
  return true;
}

template <bool kTrack>
bool Eval::body(const Node& node, std::size_t at, std::uint8_t type, Marks marks) {
  if (node.has_values) {
    for (const auto* set : node.values) {
      if (!in_set(*set, at, type)) return false;
    }
  }
  switch (type) {
    case kString:
      if (node.string && !string(*node.string, at)) return false;
      break;
    case kInteger:
    case kFraction:
      if (node.number && !number(*node.number, at)) return false;
      break;
    case kObject:
      if (node.object) {
        const auto& part = *node.object;
        if (!kTrack && part.simple) {
          if (part.tracked <= 64 ? !simple_object<true>(part, at) : !simple_object<false>(part, at)) return false;
        } else if (!object<kTrack>(part, at, marks)) {
          return false;
        }
      }
      break;
    case kArray:
      if (node.array && !array<kTrack>(*node.array, at, marks)) return false;
      break;
    default:
      break;
  }
  for (const auto& one : node.ops) {
    if (!op<kTrack>(one, at, type, marks)) return false;
  }
  return true;
}

namespace {

// Whether the first `required` bits are set.
bool has_all(const std::uint64_t* seen, std::size_t required) noexcept {
  for (; required >= 64; required -= 64) {
    if (~*seen++ != 0) return false;
  }
  const auto want = (std::uint64_t{1} << required) - 1;
  return required == 0 || (*seen & want) == want;
}

}  // namespace

// Properties, required and additional names, nothing else: most objects of most schemas.
template <bool kFew>
bool Eval::simple_object(const ObjectPart& part, std::size_t at) {
  const auto* words = tape_.words;
  if (part.counted) {
    const auto count = count_of(tape_, at);
    if (count < part.min || count > part.max) return false;
  }
  const auto end = static_cast<std::size_t>(static_cast<std::uint32_t>(words[at]) - 1);
  if (!spend((end - at) / 2)) return false;
  std::uint64_t few = 0;
  const auto offset = kFew ? 0 : bits().take(words_for(part.tracked));
  const auto* const first = part.slots.data();
  const auto* const other = first + (part.slots.size() - 1);
  const auto* slot = first;
  bool valid = true;
  for (auto item = at + 1; item < end;) {
    const auto* found = slot;
    if (first != other) {
      const auto name = text_of(tape_, words[item]);
      if (!part.names.is_same(slot->name, name)) {
        const auto number = part.find_after(name, NameMap::kNone);
        found = number == NameMap::kNone ? other : first + number;
      }
      // Names tend to come in one order.
      if (found != other) slot = found + 1;
    }
    ++item;
    const auto& to = found->to;
    if constexpr (kFew) {
      few |= to.bit;
    } else {
      bits().at(offset)[to.word] |= to.bit;
    }
    const auto word = words[item];
    const auto type = kTypes.of[tag_of(word)];
    if (!quick(to, item, type)) {
      valid = false;
      break;
    }
    item = after(word, type, item);
  }
  if (valid) valid = has_all(kFew ? &few : bits().at(offset), part.required.size());
  if constexpr (!kFew) bits().release(offset);
  return valid;
}

template <bool kTrack>
bool Eval::member(const ObjectPart& part, std::uint32_t number, std::size_t key, std::size_t ordinal, Marks marks) {
  const auto mark = [&] {
    if constexpr (kTrack) bits().set(marks.offset, ordinal);
  };
  if (part.has_names && !edge(part.property_names, key)) return false;
  bool matched = false;
  if (number != NameMap::kNone) {
    const auto& entry = part.entries[number];
    if (entry.declared) {
      matched = true;
      if (!edge(entry.child, key + 1)) return false;
    }
    for (const auto which : entry.patterns) {
      matched = true;
      if (!edge(part.patterns[which].child, key + 1)) return false;
    }
  } else {
    const auto name = text_at(tape_, key);
    for (const auto& one : part.patterns) {
      if (!pattern(*one.regex, name)) {
        if (halted()) return false;
        continue;
      }
      matched = true;
      if (!edge(one.child, key + 1)) return false;
    }
  }
  if (!matched && part.has_additional) {
    matched = true;
    if (!edge(part.additional, key + 1)) return false;
  }
  if (matched) mark();
  return true;
}

template <bool kTrack>
bool Eval::object(const ObjectPart& part, std::size_t at, Marks marks) {
  if (part.counted) {
    const auto count = count_of(tape_, at);
    if (count < part.min || count > part.max) return false;
  }
  if (part.plain) return true;
  std::uint64_t local[kLocalWords] = {};
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  if (!spend((end - at) / 2)) return false;
  const bool in_scratch = part.tracked > kLocalWords * 64;
  const auto offset = in_scratch ? bits().take(words_for(part.tracked)) : 0;
  bool valid = true;
  std::size_t ordinal = 0;
  std::uint32_t guess = 0;
  for (auto key = at + 1; key < end; key = next_of(tape_.words, key + 1), ++ordinal) {
    const auto number = part.find_after(text_at(tape_, key), guess);
    guess = number + 1;
    if (number != NameMap::kNone) {
      const auto& entry = part.slots[number].to;
      (in_scratch ? bits().at(offset) : local)[entry.word] |= entry.bit;
    }
    if (!member<kTrack>(part, number, key, ordinal, marks)) {
      valid = false;
      break;
    }
  }
  valid = valid && has_all(in_scratch ? bits().at(offset) : local, part.required.size());
  if (valid && !part.dependents.empty()) {
    for (std::size_t i = 0; valid && i < part.dependents.size(); ++i) {
      const auto& dependent = part.dependents[i];
      const auto seen = [&](std::uint32_t bit) { return (((in_scratch ? bits().at(offset) : local)[bit / 64] >> (bit % 64)) & 1) != 0; };
      if (!seen(dependent.trigger)) continue;
      for (const auto bit : dependent.required) valid = valid && seen(bit);
      if (valid && dependent.has_schema) valid = apply<kTrack>(dependent.schema.fast, at, marks);
    }
  }
  if (in_scratch) bits().release(offset);
  return valid;
}

template <bool kTrack>
bool Eval::array(const ArrayPart& part, std::size_t at, Marks marks) {
  if (part.counted) {
    const auto count = count_of(tape_, at);
    if (count < part.min || count > part.max) return false;
  }
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  if (!spend((end - at) / 2)) return false;
  auto item = at + 1;
  std::size_t ordinal = 0;
  for (const auto& one : part.prefix) {
    if (item >= end) break;
    if (!edge(one, item)) return false;
    if constexpr (kTrack) bits().set(marks.offset, ordinal);
    item = next_of(tape_.words, item);
    ++ordinal;
  }
  if (part.has_items && (part.items.fast || kTrack)) {
    const auto each = part.each;
    while (item < end) {
      const auto word = tape_.words[item];
      const auto item_type = kTypes.of[tag_of(word)];
      if (!quick(each, item, item_type)) return false;
      if constexpr (kTrack) bits().set(marks.offset, ordinal++);
      item = after(word, item_type, item);
    }
  }
  if (part.has_contains) {
    std::uint64_t found = 0;
    ordinal = 0;
    for (item = at + 1; item < end; item = next_of(tape_.words, item), ++ordinal) {
      if (!edge(part.contains, item)) {
        if (halted()) return false;
        continue;
      }
      ++found;
      if constexpr (kTrack) {
        if (part.contains_evaluates) bits().set(marks.offset, ordinal);
      }
      if (found > part.max_contains) return false;
      if (!kTrack && found >= part.min_contains && part.max_contains == UINT64_MAX) break;
    }
    if (found < part.min_contains) return false;
  }
  return !part.unique || unique(at, nullptr, nullptr);
}

template <bool kTrack>
bool Eval::apply(const Node* node, std::size_t at, Marks marks) {
  if (!node) return true;
  if constexpr (!kTrack) return value(*node, at);
  if (node->unfused) node = node->unfused;
  const auto type = type_at(tape_, at);
  if ((node->types & type) == 0 && !type_holds(*node, type, at)) return false;
  return (node->deep & type) == 0 || checks<kTrack>(*node, at, type, marks);
}

template <bool kTrack>
bool Eval::attempt(const Edge& to, std::size_t at, Marks marks) {
  if constexpr (!kTrack) return edge(to, at);
  if (!to.fast) return true;
  if (!spend(words_for(marks.count))) return false;
  const Marks own{bits().take(words_for(marks.count)), marks.count};
  const bool valid = apply<kTrack>(to.fast, at, own);
  if (valid) {
    for (std::size_t i = 0; i < words_for(marks.count); ++i) bits().at(marks.offset)[i] |= bits().at(own.offset)[i];
  }
  bits().release(own.offset);
  return valid;
}

bool Eval::tracked_edge(const Edge& to, std::size_t at, Marks marks) { return attempt<true>(to, at, marks); }

template <bool kTrack>
bool Eval::op(const Op& op, std::size_t at, std::uint8_t type, Marks marks) {
  switch (op.kind) {
    case OpKind::kRef:
      return apply<kTrack>(op.edge.fast, at, marks);
    case OpKind::kDynamicRef:
      return apply<kTrack>(dynamic_target(op, true), at, marks);
    case OpKind::kAllOf:
      for (const auto& branch : op.branches) {
        if (!apply<kTrack>(branch.fast, at, marks)) return false;
      }
      return true;
    case OpKind::kAnyOf:
      return any_of<kTrack>(op, at, type, marks);
    case OpKind::kOneOf:
      return one_of<kTrack>(op, at, type, marks);
    case OpKind::kNot:
      return !edge(op.edge, at);
    case OpKind::kIf:
      if (attempt<kTrack>(op.edge, at, marks)) return !op.has_then || apply<kTrack>(op.then_edge.fast, at, marks);
      return !halted() && (!op.has_else || apply<kTrack>(op.else_edge.fast, at, marks));
  }
  return false;
}

// look(branch) for each that can match, until it says that the search is over.
template <class Look>
void Eval::each_candidate(const Op& op, std::size_t at, std::uint8_t type, Look&& look) {
  if (!op.filter) {
    for (std::size_t i = 0; i < op.branches.size(); ++i) {
      if (look(i)) return;
    }
    return;
  }
  if (op.filter->words == 1) {
    for (auto left = filter_one(*op.filter, at, type, ~std::uint64_t{0}); left != 0; left &= left - 1) {
      if (look(static_cast<std::size_t>(std::countr_zero(left)))) return;
    }
    return;
  }
  const auto offset = candidates(*op.filter, at, type);
  bool over = false;
  for (std::size_t word = 0; word < op.filter->words && !over; ++word) {
    for (auto left = bits().at(offset)[word]; left != 0 && !over; left &= left - 1) {
      over = look(word * 64 + static_cast<std::size_t>(std::countr_zero(left)));
    }
  }
  bits().release(offset);
}

template <bool kTrack>
bool Eval::any_of(const Op& op, std::size_t at, std::uint8_t type, Marks marks) {
  bool found = false;
  each_candidate(op, at, type, [&](std::size_t branch) {
    found = attempt<kTrack>(op.branches[branch], at, marks) || found;
    return (found && !kTrack) || halted();
  });
  return found;
}

template <bool kTrack>
bool Eval::one_of(const Op& op, std::size_t at, std::uint8_t type, Marks marks) {
  std::size_t found = 0;
  each_candidate(op, at, type, [&](std::size_t branch) {
    found += attempt<kTrack>(op.branches[branch], at, marks) ? 1 : 0;
    return found > 1 || halted();
  });
  return found == 1;
}

bool Eval::run_sole(std::size_t at, std::uint8_t type) {
  const auto& of = program_.of_root;
  // No limit is so low that it does not allow the root.
  --steps_;
  --nesting_;
  switch (program_.sole) {
    case Sole::kSet:
      return in_set(*of.set, at, type);
    case Sole::kString:
      return string(*of.string, at);
    case Sole::kNumber:
      return number(*of.number, at);
    case Sole::kRecord:
      return simple_object<true>(*of.object, at);
    case Sole::kObject:
      // One that was fused of several has nothing but its names.
      return of.object->simple ? simple_object<false>(*of.object, at) : object<false>(*of.object, at, {});
    case Sole::kArray:
      return of.array->flat ? flat_array(*of.array, at) : array<false>(*of.array, at, {});
    case Sole::kOp:
      return op<false>(*of.op, at, type, {});
    case Sole::kNone:
      break;
  }
  return run(at, type);
}

template bool Eval::simple_object<true>(const ObjectPart& part, std::size_t at);
template bool Eval::checks<false>(const Node& node, std::size_t at, std::uint8_t type, Marks marks);

const Node* Eval::dynamic_target(const Op& op, bool fast) const noexcept {
  const Node* found = nullptr;
  for (const auto* scope = scope_; scope; scope = scope->outer) {
    for (const auto& [name, node] : program_.scopes[scope->resource].anchors) {
      if (name == op.dynamic_name) found = node;
    }
  }
  if (found) return found;
  return fast ? op.edge.fast : op.edge.node;
}

}  // namespace setget::inline v0::detail::schema
