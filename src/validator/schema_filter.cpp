// Which branches of anyOf and oneOf can match: necessary conditions of each branch, turned around into sets of branches for each fact that
// a look at the value gives. What they exclude is proven not to match; what is left is evaluated. docs/adr/0018-json-schema.md.
#include <algorithm>
#include <bit>
#include <iterator>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "validator/schema_compiler.hpp"
#include "validator/schema_eval.hpp"

namespace setget::inline v0::detail::schema {
namespace {

struct Shape;
using ShapePtr = std::shared_ptr<const Shape>;
// By length first: most comparisons need no look at the letters.
struct Shorter {
  bool operator()(std::string_view a, std::string_view b) const noexcept {
    return a.size() != b.size() ? a.size() < b.size() : a.compare(b) < 0;
  }
};

// A set of names, in order. They are known when it is made: nodes of a tree would cost more than all else here.
class Names {
 public:
  Names() = default;
  explicit Names(std::vector<std::string_view> names) : names_(std::move(names)) {
    std::ranges::sort(names_, Shorter());
    names_.erase(std::ranges::unique(names_).begin(), names_.end());
  }
  bool empty() const noexcept { return names_.empty(); }
  std::size_t size() const noexcept { return names_.size(); }
  auto begin() const noexcept { return names_.begin(); }
  auto end() const noexcept { return names_.end(); }
  bool contains(std::string_view name) const noexcept { return std::ranges::binary_search(names_, name, Shorter()); }

  friend Names common(const Names& a, const Names& b) {
    Names out;
    std::ranges::set_intersection(a, b, std::back_inserter(out.names_), Shorter());
    return out;
  }
  friend Names together(const Names& a, const Names& b) {
    Names out;
    out.names_.reserve(a.size() + b.size());
    std::ranges::set_union(a, b, std::back_inserter(out.names_), Shorter());
    return out;
  }

 private:
  std::vector<std::string_view> names_;
};

// Shapes of the values under names, in the order of the names.
using Members = std::vector<std::pair<std::string_view, ShapePtr>>;

bool before(const Members::value_type& a, const Members::value_type& b) noexcept { return Shorter()(a.first, b.first); }

// Necessary conditions of a schema.
struct Shape {
  std::uint8_t types = kAnyType;
  std::optional<Names> strings{};  // a string is one of these
  std::optional<Names> allowed{};  // an object has no other names
  Names required{};
  Members members{};

  bool says_nothing() const { return types == kAnyType && !strings && !allowed && required.empty() && members.empty(); }
};

const ShapePtr& anything() {
  static const ShapePtr shape = std::make_shared<Shape>();
  return shape;
}

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
  for_each_member(a->members, b->members, [&](std::string_view name, const ShapePtr* one, const ShapePtr* other) {
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
  const auto excludes = [](const Shape& shape, std::string_view name) { return shape.allowed && !shape.allowed->contains(name); };
  for_each_member(a->members, b->members, [&](std::string_view name, const ShapePtr* one, const ShapePtr* other) {
    if (one && other) {
      out->members.emplace_back(name, *one == *other ? *one : unite(*one, *other));
    } else if (excludes(one ? *b : *a, name)) {
      out->members.emplace_back(name, *(one ? one : other));
    }
  });
  return out;
}

class Shapes {
 public:
  // Of the values under names only `depth` levels.
  ShapePtr of(const Edge& edge, std::size_t depth, std::size_t within = 0) {
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

 private:
  ShapePtr make(const Node& node, std::size_t depth, std::size_t within) {
    auto own = std::make_shared<Shape>();
    own->types = node.types;
    // A whole number may be written as a fraction.
    if ((own->types & kInteger) != 0) own->types |= kFraction;
    for (const auto* set : node.values) {
      own->types &= static_cast<std::uint8_t>((set->types & kNumber) != 0 ? set->types | kNumber : set->types);
      if ((set->types & kString) == 0) continue;
      std::vector<std::string_view> strings;
      for (std::uint32_t i = 0; i < set->strings.size(); ++i) strings.push_back(set->strings.name(i));
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
        for (std::size_t i = 1; i < op.branches.size() && !any->says_nothing(); ++i)
          any = unite(any, of(op.branches[i], depth, within + 1));
        all = intersect(all, any);
      }
    }
    return all;
  }

  void object(Shape& own, const ObjectPart& part, std::size_t depth, std::size_t within) {
    std::vector<std::string_view> required;
    for (const auto number : part.required) required.push_back(part.names.name(number));
    own.required = Names(std::move(required));
    const bool closed = part.has_additional && part.additional.fast && part.additional.fast->types == 0 && part.patterns.empty();
    std::vector<std::string_view> allowed;
    for (std::uint32_t i = 0; i < part.entries.size(); ++i) {
      const auto& entry = part.entries[i];
      if (!entry.declared) continue;
      if (closed) allowed.push_back(part.names.name(i));
      if (depth == 0) continue;
      auto child = of(entry.child, depth - 1, within + 1);
      if (!child->says_nothing()) own.members.emplace_back(part.names.name(i), std::move(child));
    }
    if (closed) own.allowed.emplace(std::move(allowed));
    std::ranges::sort(own.members, before);
  }

  struct Hash {
    std::size_t operator()(const std::pair<const Node*, std::size_t>& key) const noexcept {
      return std::hash<const Node*>()(key.first) ^ (key.second * 0x9E3779B97F4A7C15ULL);
    }
  };
  std::unordered_map<std::pair<const Node*, std::size_t>, ShapePtr, Hash> known_;
  std::size_t work_ = 0;
};

// Whether no value can meet both: by their types, a name that one requires and the other forbids, or a required name whose values differ.
bool exclude_each_other(const Shape& a, const Shape& b) {
  const auto both = a.types & b.types;
  if (both == 0) return true;
  if (both == kString) return a.strings && b.strings && common(*a.strings, *b.strings).empty();
  if (both != kObject) return false;
  const auto forbids = [](const Shape& one, const Shape& other) {
    return other.allowed && std::ranges::any_of(one.required, [&](std::string_view name) { return !other.allowed->contains(name); });
  };
  if (forbids(a, b) || forbids(b, a)) return true;
  return std::ranges::any_of(a.members, [&](const auto& member) {
    if (!a.required.contains(member.first) && !b.required.contains(member.first)) return false;
    const auto other = std::ranges::lower_bound(b.members, member, before);
    return other != b.members.end() && other->first == member.first && member.second != other->second &&
           exclude_each_other(*member.second, *other->second);
  });
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

class FilterMaker {
 public:
  explicit FilterMaker(std::deque<Filter>& filters) : filters_(filters) {}

  // Null where it would tell nothing apart.
  const Filter* make(const std::vector<ShapePtr>& shapes) {
    if (std::ranges::all_of(shapes, [&](const ShapePtr& shape) { return shape == shapes[0]; })) return nullptr;
    Filter filter;
    filter.words = (shapes.size() + 63) / 64;
    const auto mask = [&](auto&& holds) {
      Mask out(filter.words);
      for (std::size_t i = 0; i < shapes.size(); ++i) {
        if (holds(*shapes[i])) out[i / 64] |= std::uint64_t{1} << (i % 64);
      }
      return out;
    };
    const auto all = mask([](const Shape&) { return true; });
    bool useful = false;
    for (std::uint8_t bit = 0; bit < 7; ++bit) {
      filter.by_type.push_back(mask([&](const Shape& shape) { return ((shape.types >> bit) & 1) != 0; }));
      useful = useful || filter.by_type.back() != all;
    }
    std::vector<std::string_view> texts;
    for (const auto& shape : shapes) {
      if (shape->strings) texts.insert(texts.end(), shape->strings->begin(), shape->strings->end());
    }
    const Names strings(std::move(texts));
    if (!strings.empty() && take(strings.size() * shapes.size())) {
      filter.has_strings = useful = true;
      for (const auto text : strings) {
        filter.strings.add(text);
        filter.by_string.push_back(mask([&](const Shape& shape) { return !shape.strings || shape.strings->contains(text); }));
      }
      filter.strings.build();
      filter.other_string = mask([](const Shape& shape) { return !shape.strings; });
    }
    useful = names(filter, shapes, mask, all) || useful;
    if (!useful) return nullptr;
    for (std::size_t bit = 0; filter.words == 1 && bit < 7; ++bit) filter.word_by_type[bit] = filter.by_type[bit][0];
    return &filters_.emplace_back(std::move(filter));
  }

 private:
  template <class MakeMask>
  bool names(Filter& filter, const std::vector<ShapePtr>& shapes, MakeMask&& mask, const Mask& all) {
    std::vector<std::string_view> named;
    for (const auto& shape : shapes) {
      named.insert(named.end(), shape->required.begin(), shape->required.end());
      if (shape->allowed) named.insert(named.end(), shape->allowed->begin(), shape->allowed->end());
      for (const auto& [name, member] : shape->members) named.push_back(name);
    }
    const Names every(std::move(named));
    if (every.empty() || !take(every.size() * shapes.size())) return false;
    filter.other_name = mask([](const Shape& shape) { return !shape.allowed; });
    bool useful = filter.other_name != all;
    for (const auto name : every) {
      filter.names.add(name);
      filter.by_name.push_back({.present = filter.other_name, .absent = all});
    }
    std::vector<std::vector<ShapePtr>> members(every.size());  // of each name that has any, one for each shape
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const auto bit = std::uint64_t{1} << (i % 64);
      for (const auto& [name, shape] : shapes[i]->members) {
        auto& of_name = members[filter.names.add(name)];
        if (of_name.empty()) of_name.assign(shapes.size(), anything());
        of_name[i] = shape;
      }
      if (shapes[i]->allowed) {
        for (const auto name : *shapes[i]->allowed) filter.by_name[filter.names.add(name)].present[i / 64] |= bit;
      }
      for (const auto name : shapes[i]->required) filter.by_name[filter.names.add(name)].absent[i / 64] &= ~bit;
    }
    for (std::uint32_t number = 0; number < every.size(); ++number) {
      auto& one = filter.by_name[number];
      one.required = one.absent != all;
      if (!members[number].empty()) one.value = make(members[number]);
      useful = useful || one.required || one.value || one.present != all;
      if (one.required) filter.required.push_back(number);
    }
    filter.names.build();
    filter.has_names = useful;
    return useful;
  }

  bool take(std::size_t bits) {
    if (bits > left_) return false;
    left_ -= bits;
    return true;
  }

  std::deque<Filter>& filters_;
  std::size_t left_ = std::size_t{64} << 20;  // bits of masks in a program
};

}  // namespace

void make_filters(json_schema::Validator::Program& program) {
  Shapes shapes;
  FilterMaker maker(program.filters);
  for (auto& node : program.nodes) {
    for (auto& op : node.ops) {
      if ((op.kind != OpKind::kAnyOf && op.kind != OpKind::kOneOf) || op.branches.size() < 2) continue;
      std::vector<ShapePtr> of;
      for (const auto& branch : op.branches) of.push_back(shapes.of(branch, 1));
      // Deeper only where a look at the value and its members does not decide.
      if (!all_apart(of)) {
        of.clear();
        for (const auto& branch : op.branches) of.push_back(shapes.of(branch, 2));
      }
      op.filter = maker.make(of);
    }
  }
}

std::size_t Eval::candidates(const Filter& filter, std::size_t at, std::uint8_t type) {
  const auto offset = bits_.take(filter.words);
  if (filter.words == 1) {
    *bits_.at(offset) = filter_one(filter, at, type, ~std::uint64_t{0});
  } else {
    for (std::size_t i = 0; i < filter.words; ++i) bits_.at(offset)[i] = ~std::uint64_t{0};
    filter_many(filter, at, type, offset);
  }
  return offset;
}

// Up to 64 branches: sets are words. `mask` is what is left of them.
std::uint64_t Eval::filter_one(const Filter& filter, std::size_t at, std::uint8_t type, std::uint64_t mask) {
  mask &= filter.word_by_type[static_cast<std::size_t>(std::countr_zero(type))];
  if (std::popcount(mask) < 2) return mask;
  if (type == kString && filter.has_strings) {
    const auto number = filter.strings.find(text_at(tape_, at));
    return mask & (number == NameMap::kNone ? filter.other_string[0] : filter.by_string[number][0]);
  }
  if (type != kObject || !filter.has_names) return mask;
  const auto seen = bits_.take((filter.names.size() + 63) / 64);
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  bool has_parts = false;
  for (auto key = at + 1; key < end && mask != 0; key = next_of(tape_.words, key + 1)) {
    const auto number = filter.names.find(text_at(tape_, key));
    if (number == NameMap::kNone) {
      mask &= filter.other_name[0];
      continue;
    }
    const auto& name = filter.by_name[number];
    mask &= name.present[0];
    bits_.set(seen, number);
    if (!name.value) continue;
    const auto child = type_at(tape_, key + 1);
    if (child == kObject) {
      has_parts = true;
    } else {
      mask = filter_one(*name.value, key + 1, child, mask);
    }
  }
  for (std::size_t i = 0; i < filter.required.size() && mask != 0; ++i) {
    if (!bits_.test(seen, filter.required[i])) mask &= filter.by_name[filter.required[i]].absent[0];
  }
  bits_.release(seen);
  // Into the parts only where more than one branch is left.
  for (auto key = at + 1; has_parts && key < end && std::popcount(mask) > 1; key = next_of(tape_.words, key + 1)) {
    if (type_at(tape_, key + 1) != kObject) continue;
    const auto number = filter.names.find(text_at(tape_, key));
    if (number != NameMap::kNone && filter.by_name[number].value) mask = filter_one(*filter.by_name[number].value, key + 1, kObject, mask);
  }
  return mask;
}

// The same for any number of branches; `mask` is on the scratch stack.
void Eval::filter_many(const Filter& filter, std::size_t at, std::uint8_t type, std::size_t mask) {
  const auto cut = [&](const Mask& with) {
    for (std::size_t i = 0; i < with.size(); ++i) bits_.at(mask)[i] &= with[i];
  };
  cut(filter.by_type[static_cast<std::size_t>(std::countr_zero(type))]);
  if (type == kString && filter.has_strings) {
    const auto number = filter.strings.find(text_at(tape_, at));
    cut(number == NameMap::kNone ? filter.other_string : filter.by_string[number]);
    return;
  }
  if (type != kObject || !filter.has_names) return;
  const auto seen = bits_.take((filter.names.size() + 63) / 64);
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  for (auto key = at + 1; key < end; key = next_of(tape_.words, key + 1)) {
    const auto number = filter.names.find(text_at(tape_, key));
    if (number == NameMap::kNone) {
      cut(filter.other_name);
      continue;
    }
    cut(filter.by_name[number].present);
    bits_.set(seen, number);
    if (filter.by_name[number].value) filter_many(*filter.by_name[number].value, key + 1, type_at(tape_, key + 1), mask);
  }
  for (const auto number : filter.required) {
    if (!bits_.test(seen, number)) cut(filter.by_name[number].absent);
  }
  bits_.release(seen);
}

}  // namespace setget::inline v0::detail::schema
