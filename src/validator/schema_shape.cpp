#include "validator/schema_shape.hpp"

namespace setget::inline v0::detail::schema {

const ShapePtr& anything() {
  static const ShapePtr shape = std::make_shared<Shape>();
  return shape;
}

namespace {

// Calls of(name, its shape in a or null, its shape in b or null) for each name that is in either.
template <class Of>
void for_each_member(const Members& a, const Members& b, Of&& of) {
  auto left = a.begin();
  auto right = b.begin();
  while (left != a.end() || right != b.end()) {
    if (right == b.end() || (left != a.end() && before(*left, *right))) {
      of(left->first, &left->second, nullptr);
      ++left;
    } else if (left == a.end() || before(*right, *left)) {
      of(right->first, nullptr, &right->second);
      ++right;
    } else {
      of(left->first, &left->second, &right->second);
      ++left;
      ++right;
    }
  }
}

std::optional<Names> narrowed(const std::optional<Names>& a, const std::optional<Names>& b) {
  if (!a) return b;
  return b ? common(*a, *b) : *a;
}

ShapePtr intersect(const ShapePtr& a, const ShapePtr& b) {
  if (a->says_nothing()) return b;
  if (b->says_nothing()) return a;
  auto out = std::make_shared<Shape>();
  out->types = a->types & b->types;
  out->strings = narrowed(a->strings, b->strings);
  out->allowed = narrowed(a->allowed, b->allowed);
  out->required = together(a->required, b->required);
  for_each_member(a->members, b->members, [&](NameNumber name, const ShapePtr* one, const ShapePtr* other) {
    out->members.emplace_back(name, one && other ? intersect(*one, *other) : *(one ? one : other));
  });
  return out;
}

ShapePtr unite(const ShapePtr& a, const ShapePtr& b) {
  auto out = std::make_shared<Shape>();
  out->types = a->types | b->types;
  if ((a->types & kString) == 0) {
    out->strings = b->strings;
  } else if ((b->types & kString) == 0) {
    out->strings = a->strings;
  } else if (a->strings && b->strings) {
    out->strings = together(*a->strings, *b->strings);
  }
  if ((a->types & kObject) == 0 || (b->types & kObject) == 0) {
    const auto& one = (a->types & kObject) == 0 ? b : a;
    out->allowed = one->allowed;
    out->required = one->required;
    out->members = one->members;
    return out;
  }
  out->required = common(a->required, b->required);
  if (a->allowed && b->allowed) out->allowed = together(*a->allowed, *b->allowed);
  const auto excludes = [](const Shape& shape, NameNumber name) { return shape.allowed && !shape.allowed->contains(name); };
  for_each_member(a->members, b->members, [&](NameNumber name, const ShapePtr* one, const ShapePtr* other) {
    if (one && other) {
      out->members.emplace_back(name, *one == *other ? *one : unite(*one, *other));
    } else if (excludes(one ? *b : *a, name)) {
      out->members.emplace_back(name, *(one ? one : other));
    }
  });
  return out;
}

// Whether no value can meet both: by their types, a name that one requires and the other forbids, or a required name whose values differ.
bool exclude_each_other(const Shape& a, const Shape& b) {
  const auto both = a.types & b.types;
  if (both == 0) return true;
  if (both == kString) return a.strings && b.strings && common(*a.strings, *b.strings).empty();
  if (both != kObject) return false;
  const auto forbids = [](const Shape& one, const Shape& other) {
    return other.allowed && std::ranges::any_of(one.required, [&](NameNumber name) { return !other.allowed->contains(name); });
  };
  if (forbids(a, b) || forbids(b, a)) return true;
  return std::ranges::any_of(a.members, [&](const auto& member) {
    if (!a.required.contains(member.first) && !b.required.contains(member.first)) return false;
    const auto other = std::ranges::lower_bound(b.members, member, before);
    return other != b.members.end() && other->first == member.first && member.second != other->second &&
           exclude_each_other(*member.second, *other->second);
  });
}

}  // namespace

ShapePtr Shapes::of(const Edge& edge, std::size_t depth, std::size_t within) {
  if (!edge.fast) return anything();
  const auto key = std::pair(edge.fast, depth);
  if (const auto known = known_.find(key); known != known_.end()) return known->second;
  if (within > 60 || ++work_ > 200'000) return anything();
  // Whatever leads back here is not looked at again: any shape is a necessary condition.
  known_[key] = anything();
  auto shape = make(*edge.fast, depth, within);
  known_[key] = shape;
  return shape;
}

ShapePtr Shapes::make(const Node& node, std::size_t depth, std::size_t within) {
  auto own = std::make_shared<Shape>();
  own->types = node.types;
  // A whole number may be written as a fraction.
  if ((own->types & kInteger) != 0) own->types |= kFraction;
  for (const auto* set : node.values) {
    own->types &= static_cast<std::uint8_t>((set->types & kNumber) != 0 ? set->types | kNumber : set->types);
    if ((set->types & kString) == 0) continue;
    std::vector<NameNumber> strings;
    for (std::uint32_t i = 0; i < set->strings.size(); ++i) strings.push_back(texts_.add(set->strings.name(i)));
    own->strings = narrowed(own->strings, Names(std::move(strings)));
  }
  if (node.object) object(*own, *node.object, depth, within);
  ShapePtr all = own;
  for (const auto& op : node.ops) {
    if (op.kind == OpKind::kRef) {
      all = intersect(all, of(op.edge, depth, within + 1));
    } else if (op.kind == OpKind::kAllOf) {
      for (const auto& branch : op.branches) all = intersect(all, of(branch, depth, within + 1));
    } else if ((op.kind == OpKind::kAnyOf || op.kind == OpKind::kOneOf) && !op.branches.empty()) {
      auto any = of(op.branches[0], depth, within + 1);
      for (std::size_t i = 1; i < op.branches.size() && !any->says_nothing(); ++i) any = unite(any, of(op.branches[i], depth, within + 1));
      all = intersect(all, any);
    }
  }
  return all;
}

const std::vector<NameNumber>& Shapes::numbers_of(const ObjectPart& part) {
  const auto [known, added] = numbers_.try_emplace(&part);
  auto& numbers = known->second;
  if (added) {
    numbers.reserve(part.names.size());
    for (std::uint32_t i = 0; i < part.names.size(); ++i) numbers.push_back(texts_.add(part.names.name(i)));
  }
  return numbers;
}

void Shapes::object(Shape& own, const ObjectPart& part, std::size_t depth, std::size_t within) {
  const auto& numbers = numbers_of(part);  // a map's nodes stay where they are
  std::vector<NameNumber> required;
  required.reserve(part.required.size());
  for (const auto number : part.required) required.push_back(numbers[number]);
  own.required = Names(std::move(required));
  const bool closed = part.has_additional && part.additional.fast && part.additional.fast->types == 0 && part.patterns.empty();
  std::vector<NameNumber> allowed;
  if (closed) allowed.reserve(part.entries.size());
  for (std::uint32_t i = 0; i < part.entries.size(); ++i) {
    const auto& entry = part.entries[i];
    if (!entry.declared) continue;
    if (closed) allowed.push_back(numbers[i]);
    if (depth == 0) continue;
    auto child = of(entry.child, depth - 1, within + 1);
    if (!child->says_nothing()) own.members.emplace_back(numbers[i], std::move(child));
  }
  if (closed) own.allowed.emplace(std::move(allowed));
  std::ranges::sort(own.members, before);
}

bool all_apart(const std::vector<ShapePtr>& shapes) {
  if (shapes.size() > 128) return false;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    for (std::size_t j = i + 1; j < shapes.size(); ++j) {
      if (!exclude_each_other(*shapes[i], *shapes[j])) return false;
    }
  }
  return true;
}

}  // namespace setget::inline v0::detail::schema
