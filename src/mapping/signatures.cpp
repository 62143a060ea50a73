// What each function of JMESPath takes.
#include <algorithm>
#include <array>

#include "mapping/parser.hpp"

namespace setget::inline v0::jmespath::detail {
namespace {

constexpr std::array kSignatures = {
    Signature{"abs", Function::kAbs, 1, 1, 0},
    Signature{"avg", Function::kAvg, 1, 1, 0},
    Signature{"ceil", Function::kCeil, 1, 1, 0},
    Signature{"contains", Function::kContains, 2, 2, 0},
    Signature{"ends_with", Function::kEndsWith, 2, 2, 0},
    Signature{"floor", Function::kFloor, 1, 1, 0},
    Signature{"join", Function::kJoin, 2, 2, 0},
    Signature{"keys", Function::kKeys, 1, 1, 0},
    Signature{"length", Function::kLength, 1, 1, 0},
    Signature{"map", Function::kMap, 2, 2, 1},
    Signature{"max", Function::kMax, 1, 1, 0},
    Signature{"max_by", Function::kMaxBy, 2, 2, 2},
    Signature{"merge", Function::kMerge, 1, kAnyNumber, 0},
    Signature{"min", Function::kMin, 1, 1, 0},
    Signature{"min_by", Function::kMinBy, 2, 2, 2},
    Signature{"not_null", Function::kNotNull, 1, kAnyNumber, 0},
    Signature{"reverse", Function::kReverse, 1, 1, 0},
    Signature{"sort", Function::kSort, 1, 1, 0},
    Signature{"sort_by", Function::kSortBy, 2, 2, 2},
    Signature{"starts_with", Function::kStartsWith, 2, 2, 0},
    Signature{"sum", Function::kSum, 1, 1, 0},
    Signature{"to_array", Function::kToArray, 1, 1, 0},
    Signature{"to_number", Function::kToNumber, 1, 1, 0},
    Signature{"to_string", Function::kToString, 1, 1, 0},
    Signature{"type", Function::kType, 1, 1, 0},
    Signature{"values", Function::kValues, 1, 1, 0},
};

}  // namespace

const Signature* find_function(std::string_view name) noexcept {
  const auto found = std::find_if(kSignatures.begin(), kSignatures.end(), [&](const Signature& one) { return one.name == name; });
  return found == kSignatures.end() ? nullptr : &*found;
}

std::string_view name_of(Function function) noexcept {
  const auto found = std::find_if(kSignatures.begin(), kSignatures.end(), [&](const Signature& one) { return one.function == function; });
  return found->name;
}

}  // namespace setget::inline v0::jmespath::detail
