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

using ShapeList = std::vector<const Shape*>;

class FilterMaker {
 public:
  FilterMaker(StableList<Filter>& filters, const Shapes& shapes) : filters_(filters), shapes_(shapes) {}

  // Null where it would tell nothing apart.
  const Filter* make(const ShapeList& shapes) {
    if (std::ranges::all_of(shapes, [&](const Shape* shape) { return shape == shapes[0]; })) return nullptr;
    Filter filter;
    filter.words = (shapes.size() + 63) / 64;
    const auto all = set_of(filter, shapes, [](const Shape&) { return true; });
    bool useful = false;
    for (std::uint8_t bit = 0; bit < 7; ++bit) {
      const auto of_type = set_of(filter, shapes, [&](const Shape& shape) { return ((shape.types >> bit) & 1) != 0; });
      useful = useful || of_type != all;
      filter.word_by_type[bit] = of_type[0];
      append(filter, of_type);
    }
    append(filter, set_of(filter, shapes, [](const Shape& shape) { return !shape.allowed; }));
    append(filter, set_of(filter, shapes, [](const Shape& shape) { return !shape.strings; }));
    useful = names(filter, shapes, all) || useful;
    useful = strings(filter, shapes) || useful;
    return useful ? &filters_.emplace_back(std::move(filter)) : nullptr;
  }

 private:
  using Set = std::vector<std::uint64_t>;
  template <class Holds>
  static Set set_of(const Filter& filter, const ShapeList& shapes, Holds&& holds) {
    Set out(filter.words);
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      if (holds(*shapes[i])) out[i / 64] |= std::uint64_t{1} << (i % 64);
    }
    return out;
  }
  static void append(Filter& filter, const Set& set) { filter.sets.insert(filter.sets.end(), set.begin(), set.end()); }

  // Each name or string once, in the order of their first appearance; local_ then has their places.
  struct Gathered {
    FilterMaker& maker;
    std::vector<NameNumber> names{};
    explicit Gathered(FilterMaker& of) : maker(of) {
      maker.stamp_.resize(maker.shapes_.name_count());
      maker.local_.resize(maker.shapes_.name_count());
      ++maker.round_;
    }
    void add(NameNumber name) {
      if (maker.stamp_[name] == maker.round_) return;
      maker.stamp_[name] = maker.round_;
      maker.local_[name] = static_cast<std::uint32_t>(names.size());
      names.push_back(name);
    }
  };

  bool strings(Filter& filter, const ShapeList& shapes) {
    Gathered every(*this);
    for (const auto* shape : shapes) {
      if (!shape->strings) continue;
      for (const auto text : *shape->strings) every.add(text);
    }
    if (every.names.empty() || !take(every.names.size() * shapes.size())) return false;
    filter.has_strings = true;
    for (const auto text : every.names) {
      filter.strings.add_new(shapes_.text(text));
      append(filter, set_of(filter, shapes, [&](const Shape& shape) { return !shape.strings || shape.strings->contains(text); }));
    }
    filter.strings.build();
    return true;
  }

  bool names(Filter& filter, const ShapeList& shapes, const Set& all) {
    Gathered every(*this);
    for (const auto* shape : shapes) {
      for (const auto name : shape->required) every.add(name);
      if (shape->allowed) {
        for (const auto name : *shape->allowed) every.add(name);
      }
      for (const auto& member : shape->members) every.add(member.first);
    }
    const auto count = every.names.size();
    if (count == 0 || !take(count * shapes.size())) return false;
    const Set others(filter.other_name(), filter.other_name() + filter.words);
    bool useful = others != all;
    const auto first = filter.sets.size();
    for (const auto name : every.names) {
      filter.names.add_new(shapes_.text(name));
      append(filter, others);
      append(filter, all);
    }
    filter.names.build();
    const auto set = [&](std::uint32_t name, std::size_t which) {
      return &filter.sets[first + (std::size_t{2} * name + which) * filter.words];
    };
    std::vector<ShapeList> members(count);  // of each name that has any, one for each shape
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const auto bit = std::uint64_t{1} << (i % 64);
      for (const auto& [name, shape] : shapes[i]->members) {
        auto& of_name = members[local_[name]];
        if (of_name.empty()) of_name.assign(shapes.size(), anything().get());
        of_name[i] = shape.get();
      }
      if (shapes[i]->allowed) {
        for (const auto name : *shapes[i]->allowed) set(local_[name], 0)[i / 64] |= bit;
      }
      for (const auto name : shapes[i]->required) set(local_[name], 1)[i / 64] &= ~bit;
    }
    filter.by_name.resize(count);
    for (std::uint32_t number = 0; number < count; ++number) {
      auto& one = filter.by_name[number];
      one.present = *set(number, 0);
      one.absent = *set(number, 1);
      one.required = !std::equal(all.begin(), all.end(), set(number, 1));
      useful = useful || one.required || !std::equal(all.begin(), all.end(), set(number, 0));
      if (one.required) filter.required.push_back(number);
      if (!members[number].empty()) one.value = make(members[number]);  // local_ is another's after that
      useful = useful || one.value;
    }
    filter.has_names = useful;
    return useful;
  }

  bool take(std::size_t bits) {
    if (bits > left_) return false;
    left_ -= bits;
    return true;
  }

  StableList<Filter>& filters_;
  const Shapes& shapes_;
  std::vector<std::uint32_t> stamp_;  // by name: the round in which it was gathered last,
  std::vector<std::uint32_t> local_;  // and its place there
  std::uint32_t round_ = 0;
  std::size_t left_ = std::size_t{64} << 20;  // bits of sets in a program
};

}  // namespace

void make_filters(json_schema::Validator::Program& program) {
  Shapes shapes;
  FilterMaker maker(program.filters, shapes);
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
      ShapeList list;
      for (const auto& shape : of) list.push_back(shape.get());
      op.filter = maker.make(list);
    }
  }
}

std::size_t Eval::candidates(const Filter& filter, std::size_t at, std::uint8_t type) {
  const auto offset = bits().take(filter.words);
  if (filter.words == 1) {
    *bits().at(offset) = filter_one(filter, at, type, ~std::uint64_t{0});
  } else if (spend(filter.words)) {
    for (std::size_t i = 0; i < filter.words; ++i) bits().at(offset)[i] = ~std::uint64_t{0};
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
    return mask & (number == NameMap::kNone ? *filter.other_string() : *filter.by_string(number));
  }
  if (type != kObject || !filter.has_names) return mask;
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  if (!spend((end - at) / 2)) return 0;
  auto& scratch = bits();
  const auto seen = scratch.take((filter.names.size() + 63) / 64);
  bool has_parts = false;
  for (auto key = at + 1; key < end && mask != 0; key = next_of(tape_.words, key + 1)) {
    const auto number = filter.names.find(text_at(tape_, key));
    if (number == NameMap::kNone) {
      mask &= *filter.other_name();
      continue;
    }
    const auto& name = filter.by_name[number];
    mask &= name.present;
    scratch.set(seen, number);
    if (!name.value) continue;
    const auto child = type_at(tape_, key + 1);
    if (child == kObject) {
      has_parts = true;
    } else {
      mask = filter_one(*name.value, key + 1, child, mask);
    }
  }
  for (std::size_t i = 0; i < filter.required.size() && mask != 0; ++i) {
    if (!scratch.test(seen, filter.required[i])) mask &= filter.by_name[filter.required[i]].absent;
  }
  scratch.release(seen);
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
  auto& scratch = bits();
  const auto cut = [&](const std::uint64_t* with) {
    for (std::size_t i = 0; i < filter.words; ++i) scratch.at(mask)[i] &= with[i];
  };
  cut(filter.by_type(static_cast<std::size_t>(std::countr_zero(type))));
  if (type == kString && filter.has_strings) {
    const auto number = filter.strings.find(text_at(tape_, at));
    cut(number == NameMap::kNone ? filter.other_string() : filter.by_string(number));
    return;
  }
  if (type != kObject || !filter.has_names) return;
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  if (!spend((end - at) / 2 * (1 + filter.words / 4))) return;
  const auto seen = scratch.take((filter.names.size() + 63) / 64);
  for (auto key = at + 1; key < end; key = next_of(tape_.words, key + 1)) {
    const auto number = filter.names.find(text_at(tape_, key));
    if (number == NameMap::kNone) {
      cut(filter.other_name());
      continue;
    }
    cut(filter.present(number));
    scratch.set(seen, number);
    if (filter.by_name[number].value) filter_many(*filter.by_name[number].value, key + 1, type_at(tape_, key + 1), mask);
  }
  for (const auto number : filter.required) {
    if (!scratch.test(seen, number)) cut(filter.absent(number));
  }
  scratch.release(seen);
}

}  // namespace setget::inline v0::detail::schema
