#include "mapping/interpreter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "mapping/lexer.hpp"
#include "mapping/parser.hpp"

namespace setget::inline v0::jmespath::detail {

namespace {

// Where a limit is shared, the one that meets it may be innocent.
Failure beyond(const Arena& arena, std::string_view verb, std::uint64_t limit, std::string_view unit) {
  return {Error(ErrorCode::kTooLarge,
                fmt::format("the evaluation{} {} more than {} {}", arena.budget ? ", with those before it," : "", verb, limit, unit))};
}

}  // namespace

void Meter::out_of_steps() const { throw beyond(*arena_, "takes", options_->max_steps, "steps"); }
void Meter::out_of_bytes() const { throw beyond(*arena_, "makes", options_->max_result_bytes, "bytes"); }

Value Interpreter::evaluate(std::uint32_t index, Value current) {
  meter_.spend(1);
  const Part& part = program_->parts[index];
  switch (part.op) {
    case Op::kCurrent:
      return current;
    case Op::kPath: {
      const Wanted* name = program_->names.data() + part.first;
      for (const Wanted* end = name + part.count; name != end; ++name) {
        const std::size_t size = Access::size(current);
        if (size > name->free_members && is_object(current)) meter_.spend(size / 16 + (name->text.size() / kTextStep) * size);
        const Value* found = find_member(current, *name);
        if (found == nullptr) return {};
        current = *found;
      }
      return current;
    }
    case Op::kThen: {
      const Value left = evaluate(part.left, current);
      return failed() ? Value() : evaluate(part.right, left);
    }
    case Op::kIndex:
      return element(current, part.index);
    case Op::kSlice:
      return slice(program_->slices[part.first], current);
    case Op::kFlatten:
      return flatten(evaluate(part.left, current));
    case Op::kProject:
      return project(part, evaluate(part.left, current), false);
    case Op::kValues:
      return project(part, evaluate(part.left, current), true);
    case Op::kFilter:
      return filter(part, evaluate(part.left, current));
    case Op::kOr: {
      const Value left = evaluate(part.left, current);
      return left.truthy() || failed() ? left : evaluate(part.right, current);
    }
    case Op::kAnd: {
      const Value left = evaluate(part.left, current);
      return left.truthy() ? evaluate(part.right, current) : left;
    }
    case Op::kNot:
      return Value::of(!evaluate(part.left, current).truthy());
    case Op::kCompare:
      return compare(part, current);
    case Op::kLiteral:
      return program_->literals[part.first];
    case Op::kList:
      return list(part, current);
    case Op::kHash:
      return hash(part, current);
    case Op::kCall:
      return call(part, current);
    case Op::kLet:
      return let(part, current);
    case Op::kVariable:
      return variables_[part.index];
  }
  return {};
}

Value Interpreter::element(Value list, std::int64_t index) const {
  if (!is_array(list)) return {};
  const auto size = static_cast<std::int64_t>(Access::size(list));
  if (index < 0) index += size;
  return index >= 0 && index < size ? elements_of(list)[index] : Value();
}

Value Interpreter::slice(const Slice& slice, Value list) {
  if (!is_array(list)) return {};
  const auto size = static_cast<std::int64_t>(list.size());
  const bool forward = slice.step > 0;
  // Ends before the first and behind the last element.
  const std::int64_t low = forward ? 0 : -1;
  const std::int64_t high = forward ? size : size - 1;
  const auto place = [&](const std::optional<std::int64_t>& bound, std::int64_t otherwise) {
    if (!bound) return otherwise;
    const std::int64_t at = *bound < 0 ? *bound + size : *bound;
    return std::clamp(at, low, high);
  };
  const std::int64_t start = place(slice.start, forward ? low : high);
  const std::int64_t stop = place(slice.stop, forward ? high : low);
  const std::int64_t distance = forward ? stop - start : start - stop;
  if (distance <= 0) return Access::of_elements(nullptr, 0);
  // Of the most negative step there is no positive form; one step of it leaves every array.
  const std::int64_t step = forward ? slice.step : -std::max(slice.step, -std::numeric_limits<std::int64_t>::max());
  const auto count = static_cast<std::size_t>((distance - 1) / step + 1);
  meter_.spend(count);
  auto* elements = make<Value>(count);
  std::int64_t at = start;
  for (std::size_t i = 0; i < count; ++i) {
    elements[i] = list.at(static_cast<std::size_t>(at));
    if (i + 1 < count) at += forward ? step : -step;
  }
  return Access::of_elements(elements, count);
}

Value Interpreter::popped(std::size_t since) {
  auto& stack = arena_->stack;
  const std::size_t count = stack.size() - since;
  auto* elements = make<Value>(count);
  std::copy(stack.begin() + static_cast<std::ptrdiff_t>(since), stack.end(), elements);
  stack.resize(since);
  return Access::of_elements(elements, count);
}

Value Interpreter::flatten(Value list) {
  if (!is_array(list)) return {};
  const std::size_t since = arena_->stack.size();
  for (std::size_t i = 0, count = list.size(); i < count; ++i) {
    const Value inner = list.at(i);
    meter_.spend(1 + inner.size());
    if (inner.type() != Type::kArray) {
      push(inner);
      continue;
    }
    for (std::size_t j = 0, size = inner.size(); j < size; ++j) push(inner.at(j));
  }
  return popped(since);
}

Value Interpreter::project(const Part& part, Value list, bool object) {
  if (!(object ? is_object(list) : is_array(list))) return {};
  const std::size_t since = arena_->stack.size();
  const std::size_t count = list.size();
  meter_.spend(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Value value = evaluate(part.right, list.at(i));
    if (failed()) return {};
    if (!is_null(value)) push(value);
  }
  return popped(since);
}

Value Interpreter::filter(const Part& part, Value list) {
  if (!is_array(list)) return {};
  const std::size_t since = arena_->stack.size();
  const std::size_t count = list.size();
  meter_.spend(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Value element = list.at(i);
    const bool wanted = evaluate(part.third, element).truthy();
    if (failed()) return {};
    if (!wanted) continue;
    const Value value = evaluate(part.right, element);
    if (failed()) return {};
    if (!is_null(value)) push(value);
  }
  return popped(since);
}

// Only numbers have an order; of all else: null.
Value Interpreter::compare(const Part& part, Value current) {
  const Value left = evaluate(part.left, current);
  if (failed()) return {};
  const Value right = evaluate(part.right, current);
  if (failed()) return {};
  if (part.comparator == Comparator::kEqual || part.comparator == Comparator::kNotEqual)
    return Value::of(equal(left, right, &meter_) == (part.comparator == Comparator::kEqual));
  const auto a = meter_.number(left);
  const auto b = meter_.number(right);
  if (!a || !b) return {};
  const auto order = detail::compare(*a, *b);
  switch (part.comparator) {
    case Comparator::kLess:
      return Value::of(std::is_lt(order));
    case Comparator::kLessOrEqual:
      return Value::of(std::is_lteq(order));
    case Comparator::kGreater:
      return Value::of(std::is_gt(order));
    default:
      return Value::of(std::is_gteq(order));
  }
}

Value Interpreter::list(const Part& part, Value current) {
  if (is_null(current)) return {};
  if (part.index != 0) return program_->literals[static_cast<std::size_t>(part.index - 1)];
  auto* elements = make<Value>(part.count);
  for (std::uint32_t i = 0; i < part.count; ++i) {
    elements[i] = evaluate(program_->children[part.first + i], current);
    if (failed()) return {};
  }
  return Access::of_elements(elements, part.count);
}

Value Interpreter::hash(const Part& part, Value current) {
  if (is_null(current)) return {};
  auto* members = make<Member>(part.count);
  for (std::uint32_t i = 0; i < part.count; ++i) {
    members[i] = {program_->names[part.names_first + i].text, evaluate(program_->children[part.first + i], current)};
    if (failed()) return {};
  }
  return Access::of_members(members, part.count);
}

Value Interpreter::let(const Part& part, Value current) {
  // Slots of this let are free while its bindings are evaluated: those see what is around it.
  auto* bound = make<Value>(part.count);
  for (std::uint32_t i = 0; i < part.count; ++i) {
    bound[i] = evaluate(program_->children[part.first + i], current);
    if (failed()) return {};
  }
  std::copy(bound, bound + part.count, variables_ + part.index);
  return evaluate(part.left, current);
}

Value Interpreter::call(const Part& part, Value current) {
  constexpr std::size_t kUsual = 4;
  std::array<Value, kUsual> usual;
  Value* arguments = part.count <= kUsual ? usual.data() : make<Value>(part.count);
  for (std::uint32_t i = 0; i < part.count; ++i) {
    const auto child = program_->children[part.first + i];
    arguments[i] = program_->parts[child].reference ? Value() : evaluate(child, current);
    if (failed()) return {};
  }
  return apply(part, {arguments, part.count});
}

namespace {

bool equal_numbers(const Value& a, const Value& b, Meter* meter) {
  const auto number = [meter](const Value& value) { return *(meter != nullptr ? meter->number(value) : number_of(value)); };
  // The same digits are the same number, also beyond what a double tells apart.
  const auto source = a.source();
  if (source && source == b.source()) {
    if (meter != nullptr) meter->spend_text(source->size());
    return true;
  }
  return std::is_eq(compare(number(a), number(b)));
}

bool equal_objects(const Value& a, const Value& b, Meter* meter) {
  for (std::size_t i = 0, count = a.size(); i < count; ++i) {
    const auto name = a.name(i);
    if (meter != nullptr) meter->spend_text(name.size());
    // Mostly both have the same order.
    if (b.name(i) == name) {
      if (!equal(a.at(i), b.at(i), meter)) return false;
      continue;
    }
    if (meter != nullptr) meter->spend(count / 4 + (name.size() / kTextStep) * count);
    const Value* other = find_member(b, Wanted(name));
    if (other == nullptr || !equal(a.at(i), *other, meter)) return false;
  }
  return true;
}

}  // namespace

bool equal(const Value& a, const Value& b, Meter* meter) {
  if (meter != nullptr) meter->spend(1);
  const Type type = a.type();
  if (type != b.type()) return false;
  switch (type) {
    case Type::kNull:
      return true;
    case Type::kBoolean:
      return *a.boolean() == *b.boolean();
    case Type::kNumber:
      return equal_numbers(a, b, meter);
    case Type::kString: {
      const auto text = *a.string();
      const auto other = *b.string();
      if (text.size() != other.size()) return false;
      if (meter != nullptr) meter->spend_text(text.size());
      return text == other;
    }
    case Type::kArray:
      if (a.size() != b.size()) return false;
      for (std::size_t i = 0, count = a.size(); i < count; ++i)
        if (!equal(a.at(i), b.at(i), meter)) return false;
      return true;
    case Type::kObject:
      break;
  }
  return a.size() == b.size() && equal_objects(a, b, meter);
}

}  // namespace setget::inline v0::jmespath::detail
