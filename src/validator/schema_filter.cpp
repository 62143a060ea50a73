// Which branches of anyOf and oneOf can match: necessary conditions of each branch, turned around into sets of branches for each fact that
// a look at the value gives. What they exclude is proven not to match; what is left is evaluated. docs/adr/0018-json-schema.md.
#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "validator/schema_compiler.hpp"
#include "validator/schema_eval.hpp"
#include "validator/schema_shape.hpp"

namespace setget::inline v0::detail::schema {
namespace {

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
