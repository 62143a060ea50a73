// A compiled expression: its parts as a tree in one array, children before parents. Thread rule: immutable once compiled.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/jmespath.hpp>

#include "mapping/node.hpp"

namespace setget::inline v0::jmespath::detail {

enum class Op : std::uint8_t {
  kCurrent,
  kPath,     // names[first, count): one member after the other
  kThen,     // left, and right on what it gave: sub-expressions and pipes
  kIndex,    // element `index`
  kSlice,    // slices[first]
  kFlatten,  // of left
  kProject,  // right on each element of left
  kValues,   // right on each value of the object left
  kFilter,   // right on each element of left for which `third` holds
  kOr,
  kAnd,
  kNot,
  kCompare,   // `comparator`
  kLiteral,   // literals[first]
  kList,      // children[first, count); where all of them are literals: literals[index - 1]
  kHash,      // children[first, count), names[names_first, count)
  kCall,      // functions[function], arguments children[first, count)
  kLet,       // children[first, count) into variables index…, then left
  kVariable,  // index
};

enum class Comparator : std::uint8_t { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

enum class Function : std::uint8_t {
  kAbs,
  kAvg,
  kCeil,
  kContains,
  kEndsWith,
  kFloor,
  kJoin,
  kKeys,
  kLength,
  kMap,
  kMax,
  kMaxBy,
  kMerge,
  kMin,
  kMinBy,
  kNotNull,
  kReverse,
  kSort,
  kSortBy,
  kStartsWith,
  kSum,
  kToArray,
  kToNumber,
  kToString,
  kType,
  kValues,
};

struct Slice {
  std::optional<std::int64_t> start{};
  std::optional<std::int64_t> stop{};
  std::int64_t step = 1;
};

struct Part {
  Op op = Op::kCurrent;
  Comparator comparator = Comparator::kEqual;
  Function function = Function::kAbs;
  bool reference = false;  // behind "&": not evaluated where it stands, but by the function it is given to
  std::uint32_t position = 0;
  std::uint32_t depth = 1;
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  std::uint32_t third = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t names_first = 0;
  std::int64_t index = 0;
};

struct Program {
  std::string text;
  Options options;
  std::vector<Part> parts;
  std::uint32_t root = 0;
  std::vector<std::uint32_t> children;
  std::vector<Wanted> names;
  std::vector<Slice> slices;
  std::vector<Value> literals;
  std::uint32_t variables = 0;      // how many are alive at most
  std::deque<std::string> strings;  // what names and literals refer to
  std::deque<std::vector<Value>> lists;
  std::vector<Document> documents;  // literals
};

}  // namespace setget::inline v0::jmespath::detail
