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

#include "validator/schema_compiler.hpp"

namespace setget::inline v0::detail::schema {

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
    names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
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

inline bool before(const Members::value_type& a, const Members::value_type& b) noexcept { return Shorter()(a.first, b.first); }

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

 private:
  ShapePtr make(const Node& node, std::size_t depth, std::size_t within);
  void object(Shape& own, const ObjectPart& part, std::size_t depth, std::size_t within);

  struct Hash {
    std::size_t operator()(const std::pair<const Node*, std::size_t>& key) const noexcept {
      return std::hash<const Node*>()(key.first) ^ (key.second * 0x9E3779B97F4A7C15ULL);
    }
  };
  std::unordered_map<std::pair<const Node*, std::size_t>, ShapePtr, Hash> known_;
  std::size_t work_ = 0;
};

}  // namespace setget::inline v0::detail::schema
