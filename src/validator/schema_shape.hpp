// Necessary conditions of schemas: what a value must be like to match, as far as a quick look can tell. Private to the validator.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "validator/name_map.hpp"
#include "validator/schema_compiler.hpp"

namespace setget::inline v0::detail::schema {

struct Shape;
using ShapePtr = std::shared_ptr<const Shape>;
// Names and constants by their numbers in Shapes::text(): to compare them takes no look at the letters.
using NameNumber = std::uint32_t;

// A set of names, in order of their numbers.
class Names {
 public:
  Names() = default;
  explicit Names(std::vector<NameNumber> names) : names_(std::move(names)) {
    std::ranges::sort(names_);
    names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  }
  bool empty() const noexcept { return names_.empty(); }
  std::size_t size() const noexcept { return names_.size(); }
  auto begin() const noexcept { return names_.begin(); }
  auto end() const noexcept { return names_.end(); }
  bool contains(NameNumber name) const noexcept { return std::ranges::binary_search(names_, name); }

  friend Names common(const Names& a, const Names& b) {
    Names out;
    std::ranges::set_intersection(a, b, std::back_inserter(out.names_));
    return out;
  }
  friend Names together(const Names& a, const Names& b) {
    Names out;
    out.names_.reserve(a.size() + b.size());
    std::ranges::set_union(a, b, std::back_inserter(out.names_));
    return out;
  }

 private:
  std::vector<NameNumber> names_;
};

// Shapes of the values under names, in the order of the names.
using Members = std::vector<std::pair<NameNumber, ShapePtr>>;

inline bool before(const Members::value_type& a, const Members::value_type& b) noexcept { return a.first < b.first; }

// Necessary conditions of a schema.
struct Shape {
  std::uint8_t types = kAnyType;
  std::optional<Names> strings{};  // a string is one of these
  std::optional<Names> allowed{};  // an object has no other names
  Names required{};
  Members members{};

  bool says_nothing() const { return types == kAnyType && !strings && !allowed && required.empty() && members.empty(); }
};

// The condition that every value meets.
const ShapePtr& anything();

// Whether no value meets two of them.
bool all_apart(const std::vector<ShapePtr>& shapes);

class Shapes {
 public:
  // Of the values under names only `depth` levels.
  ShapePtr of(const Edge& edge, std::size_t depth, std::size_t within = 0);
  std::size_t name_count() const noexcept { return texts_.size(); }
  // Valid until the next call of of().
  std::string_view text(NameNumber number) const noexcept { return texts_.name(number); }

 private:
  ShapePtr make(const Node& node, std::size_t depth, std::size_t within);
  void object(Shape& own, const ObjectPart& part, std::size_t depth, std::size_t within);
  const std::vector<NameNumber>& numbers_of(const ObjectPart& part);

  struct Hash {
    std::size_t operator()(const std::pair<const Node*, std::size_t>& key) const noexcept {
      return std::hash<const Node*>()(key.first) ^ (key.second * 0x9E3779B97F4A7C15ULL);
    }
  };
  std::unordered_map<std::pair<const Node*, std::size_t>, ShapePtr, Hash> known_;
  NameMap texts_;
  std::unordered_map<const ObjectPart*, std::vector<NameNumber>> numbers_;
  std::size_t work_ = 0;
};

}  // namespace setget::inline v0::detail::schema
