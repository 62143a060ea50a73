// The functions that order: sort, max, min and their forms by an expression.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "mapping/interpreter.hpp"
#include "mapping/parser.hpp"

namespace setget::inline v0::jmespath::detail {

bool Interpreter::less(const Key& a, const Key& b) {
  if (a.text) {
    const int order = a.string.compare(b.string);
    return order != 0 ? order < 0 : a.order < b.order;
  }
  const auto order = detail::compare(a.number, b.number);
  return std::is_neq(order) ? std::is_lt(order) : a.order < b.order;
}

Interpreter::Key Interpreter::key_of(const Part& part, Value element, bool by) {
  const Value value = by ? evaluate(reference_of(part, 1), element) : element;
  Key key;
  key.value = element;
  if (const auto text = value.string()) {
    key.text = true;
    key.string = *text;
  } else if (const auto number = meter_.number(value)) {
    key.number = *number;
  } else if (!failed()) {
    fail(part, "invalid-type",
         fmt::format("{}() orders by numbers or strings, not by {}", name_of(part.function), to_string(value.type())));
  }
  return key;
}

bool Interpreter::check_key(const Part& part, const Key& key, const Key& first, std::uint32_t index) {
  if (failed()) return false;
  if (key.text == first.text) return true;
  fail(part, "invalid-type",
       fmt::format("{}() orders by numbers or by strings, not by both; element {} differs from the first", name_of(part.function), index));
  return false;
}

Value Interpreter::sort(const Part& part, Value list, bool by) {
  if (!is_array(list)) return wrong_type(part, 0, "an array", list);
  const std::uint32_t count = Access::size(list);
  auto* keys = make<Key>(count);
  std::size_t text = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    keys[i] = key_of(part, elements_of(list)[i], by);
    keys[i].order = i;  // makes the order of equals theirs in the list
    if (!check_key(part, keys[i], keys[0], i)) return {};
    text += keys[i].string.size();
  }
  const auto rounds = static_cast<std::uint64_t>(std::bit_width(count));
  meter_.spend((count + text / kTextStep) * rounds);
  std::sort(keys, keys + count, less);
  auto* out = make<Value>(count);
  for (std::uint32_t i = 0; i < count; ++i) out[i] = keys[i].value;
  return Access::of_elements(out, count);
}

// Of equals the first; `by`: of what the reference gives.
Value Interpreter::extreme(const Part& part, Value list, bool greatest, bool by) {
  if (!is_array(list)) return wrong_type(part, 0, "an array", list);
  const std::uint32_t count = Access::size(list);
  if (count == 0) return {};
  meter_.spend(count);
  const Key first = key_of(part, elements_of(list)[0], by);
  if (failed()) return {};
  Key best = first;
  for (std::uint32_t i = 1; i < count; ++i) {
    const Key key = key_of(part, elements_of(list)[i], by);
    if (!check_key(part, key, first, i)) return {};
    meter_.spend_text(shared_text(best, key));
    if (greatest ? less(best, key) : less(key, best)) best = key;
  }
  return best.value;
}

}  // namespace setget::inline v0::jmespath::detail
