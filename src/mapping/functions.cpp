#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "mapping/interpreter.hpp"
#include "mapping/json_string.hpp"
#include "mapping/lexer.hpp"
#include "mapping/parser.hpp"

namespace setget::inline v0::jmespath::detail {
namespace {

constexpr std::size_t kTextStep = 64;  // bytes of text that count as one step

// A total in integers for as long as it fits, then in doubles.
struct Total {
  // A little more than 64 bits: so many 64-bit numbers as fit into memory cannot leave it.
  __extension__ using Wide = __int128;
  Wide whole = 0;
  double real = 0;
  bool exact = true;

  void add(const Number& number) {
    if (number.kind == Number::Kind::kDouble) {
      exact = false;
      real += number.real;
      return;
    }
    whole += number.kind == Number::Kind::kInteger ? Wide{number.integer} : Wide{number.natural};
  }
  Number number() const {
    Number out;
    if (exact && whole >= std::numeric_limits<std::int64_t>::min() && whole <= std::numeric_limits<std::int64_t>::max()) {
      out.integer = static_cast<std::int64_t>(whole);
    } else if (exact && whole > 0 && whole <= std::numeric_limits<std::uint64_t>::max()) {
      out.kind = Number::Kind::kUnsigned;
      out.natural = static_cast<std::uint64_t>(whole);
    } else {
      out.kind = Number::Kind::kDouble;
      out.real = static_cast<double>(whole) + real;
    }
    return out;
  }
};

}  // namespace

Value Interpreter::fail(const Part& part, std::string_view code, std::string message) {
  if (!failure_) failure_.emplace(mistake(code, part.position, std::move(message)));
  return {};
}

Value Interpreter::wrong_type(const Part& part, std::size_t argument, std::string_view wanted, Value given) {
  // Common in mappings, hence without fmt.
  const auto function = name_of(part.function);
  std::string message;
  message.reserve(96);
  message.append("argument ").append(std::to_string(argument + 1)).append(" of ").append(function).append("() must be ");
  message.append(wanted).append(", not ").append(to_string(given.type()));
  return fail(part, "invalid-type", std::move(message));
}

Value Interpreter::apply(const Part& part, Arguments arguments) {
  const Value& first = arguments[0];
  switch (part.function) {
    case Function::kAbs:
      return absolute(part, first);
    case Function::kAvg:
    case Function::kSum:
      return aggregate(part, first);
    case Function::kCeil:
    case Function::kFloor:
      return round(part, first);
    case Function::kContains:
      return contains(part, arguments);
    case Function::kEndsWith:
    case Function::kStartsWith:
      return ends(part, arguments);
    case Function::kJoin:
      return join(part, arguments);
    case Function::kKeys:
      return keys(part, first);
    case Function::kValues:
      return values(part, first);
    case Function::kLength:
      return length(part, first);
    case Function::kMap:
      return map(part, arguments[1]);
    case Function::kMax:
    case Function::kMin:
      return extreme(part, first, part.function == Function::kMax, false);
    case Function::kMaxBy:
    case Function::kMinBy:
      return extreme(part, first, part.function == Function::kMaxBy, true);
    case Function::kMerge:
      return merge(part, arguments);
    case Function::kNotNull: {
      const auto found = std::find_if(arguments.begin(), arguments.end(), [](const Value& one) { return !one.is_null(); });
      return found == arguments.end() ? Value() : *found;
    }
    case Function::kReverse:
      return reverse(part, first);
    case Function::kSort:
      return sort(part, first, false);
    case Function::kSortBy:
      return sort(part, first, true);
    case Function::kToArray: {
      if (is_array(first)) return first;
      auto* one = make<Value>(1);
      *one = first;
      return Access::of_elements(one, 1);
    }
    case Function::kToNumber:
      return to_number(first);
    case Function::kToString:
      return to_text(first);
    case Function::kType:
      return Value::of(to_string(first.type()));
  }
  return {};
}

Value Interpreter::aggregate(const Part& part, Value list) {
  if (!is_array(list)) return wrong_type(part, 0, "an array of numbers", list);
  Total total;
  const std::size_t count = list.size();
  meter_.spend(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = number_of(list.at(i));
    if (!number)
      return fail(part, "invalid-type",
                  fmt::format("argument 1 of {}() must be an array of numbers; element {} is {}", name_of(part.function), i,
                              to_string(list.at(i).type())));
    total.add(*number);
  }
  Number sum = total.number();
  if (part.function == Function::kAvg) {
    if (count == 0) return {};
    const bool even = total.exact && total.whole % static_cast<Total::Wide>(count) == 0;
    if (even) {
      total.whole /= static_cast<Total::Wide>(count);
      sum = total.number();
    } else {
      sum.real = to_double(sum) / static_cast<double>(count);
      sum.kind = Number::Kind::kDouble;
    }
  }
  if (sum.kind == Number::Kind::kDouble && !std::isfinite(sum.real))
    return fail(part, "invalid-value", fmt::format("{}() is beyond the range of numbers", name_of(part.function)));
  return value_of(sum);
}

Value Interpreter::absolute(const Part& part, Value argument) {
  const auto number = number_of(argument);
  if (!number) return wrong_type(part, 0, "a number", argument);
  switch (number->kind) {
    case Number::Kind::kInteger:
      if (number->integer >= 0) return argument;
      return value_of([&] {
        Number out;
        out.kind = Number::Kind::kUnsigned;
        out.natural = 0 - static_cast<std::uint64_t>(number->integer);
        return out;
      }());
    case Number::Kind::kUnsigned:
      return argument;
    case Number::Kind::kDouble:
      break;
  }
  if (!std::signbit(number->real)) return argument;
  if (!std::isfinite(number->real)) return fail(part, "invalid-value", "abs() of what is beyond the range of numbers");
  return Value::of(-number->real);
}

Value Interpreter::round(const Part& part, Value argument) {
  const auto number = number_of(argument);
  if (!number) return wrong_type(part, 0, "a number", argument);
  if (number->kind != Number::Kind::kDouble) return argument;
  const double rounded = part.function == Function::kCeil ? std::ceil(number->real) : std::floor(number->real);
  // Already an integer: its digits may be more than a double has.
  return rounded == number->real ? argument : Value::of(rounded);
}

Value Interpreter::ends(const Part& part, Arguments arguments) {
  const auto text = arguments[0].string();
  if (!text) return wrong_type(part, 0, "a string", arguments[0]);
  const auto end = arguments[1].string();
  if (!end) return wrong_type(part, 1, "a string", arguments[1]);
  return Value::of(part.function == Function::kStartsWith ? text->starts_with(*end) : text->ends_with(*end));
}

Value Interpreter::contains(const Part& part, Arguments arguments) {
  const Value& where = arguments[0];
  if (const auto text = where.string()) {
    const auto what = arguments[1].string();
    meter_.spend(text->size() / kTextStep);
    // memmem and not find(): linear also where the text repeats what the word begins with.
    return Value::of(what && (what->empty() || memmem(text->data(), text->size(), what->data(), what->size()) != nullptr));
  }
  if (!is_array(where)) return wrong_type(part, 0, "an array or a string", where);
  const Value* elements = elements_of(where);
  const std::size_t count = Access::size(where);
  const auto wanted = arguments[1].string();
  meter_.spend(wanted ? count : 0);
  for (std::size_t i = 0; i < count; ++i) {
    // A word in a list of words is what mappings ask.
    const bool found =
        wanted ? Access::size(elements[i]) == wanted->size() && elements[i].string() == wanted : equal(elements[i], arguments[1], &meter_);
    if (found) return Value::of(true);
  }
  return Value::of(false);
}

Value Interpreter::join(const Part& part, Arguments arguments) {
  if (!arguments[0].string()) return wrong_type(part, 0, "a string", arguments[0]);
  const auto glue = *arguments[0].string();
  Value list = arguments[1];
  if (!is_array(list)) return wrong_type(part, 1, "an array of strings", list);
  const std::size_t count = list.size();
  meter_.spend(count);
  std::size_t size = count > 1 ? glue.size() * (count - 1) : 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto text = list.at(i).string();
    if (!text)
      return fail(part, "invalid-type",
                  fmt::format("argument 2 of join() must be an array of strings; element {} is {}", i, to_string(list.at(i).type())));
    size += text->size();
  }
  meter_.spend(size / kTextStep);
  auto* out = make<char>(size);
  char* at = out;
  const auto append = [&](std::string_view text) { at = std::copy(text.begin(), text.end(), at); };
  for (std::size_t i = 0; i < count; ++i) {
    if (i != 0) append(glue);
    append(*list.at(i).string());
  }
  return Value::of(std::string_view(out, size));
}

Value Interpreter::keys(const Part& part, Value argument) {
  if (argument.type() != Type::kObject) return wrong_type(part, 0, "an object", argument);
  const std::size_t count = argument.size();
  meter_.spend(count);
  auto* names = make<Value>(count);
  for (std::size_t i = 0; i < count; ++i) names[i] = Value::of(argument.name(i));
  return Access::of_elements(names, count);
}

Value Interpreter::values(const Part& part, Value argument) {
  if (argument.type() != Type::kObject) return wrong_type(part, 0, "an object", argument);
  const std::size_t count = argument.size();
  meter_.spend(count);
  auto* values = make<Value>(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = argument.at(i);
  return Access::of_elements(values, count);
}

Value Interpreter::length(const Part& part, Value argument) {
  if (const auto text = argument.string()) {
    meter_.spend(text->size() / kTextStep);
    return Value::of(static_cast<std::int64_t>(count_characters(*text)));
  }
  if (argument.type() != Type::kArray && argument.type() != Type::kObject)
    return wrong_type(part, 0, "a string, an array or an object", argument);
  return Value::of(static_cast<std::int64_t>(argument.size()));
}

Value Interpreter::map(const Part& part, Value list) {
  if (!is_array(list)) return wrong_type(part, 1, "an array", list);
  const std::size_t count = list.size();
  auto* out = make<Value>(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = evaluate(reference_of(part, 0), list.at(i));
    if (failed()) return {};
  }
  return Access::of_elements(out, count);
}

// Of a name that several objects have the last value counts, in the place of the first.
Value Interpreter::merge(const Part& part, Arguments arguments) {
  std::size_t all = 0;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].type() != Type::kObject) return wrong_type(part, i, "an object", arguments[i]);
    all += arguments[i].size();
  }
  if (arguments.size() == 1) return arguments[0];
  meter_.spend(all * static_cast<std::uint64_t>(std::bit_width(all)));
  auto* members = make<Member>(all);
  auto* order = make<std::uint32_t>(all);
  std::size_t at = 0;
  for (const Value& object : arguments)
    for (std::size_t i = 0, count = object.size(); i < count; ++i, ++at) members[at] = {object.name(i), object.at(i)};
  std::iota(order, order + all, 0u);
  std::sort(order, order + all, [&](std::uint32_t a, std::uint32_t b) {
    const int names = members[a].name.compare(members[b].name);
    return names != 0 ? names < 0 : a < b;
  });
  auto* last = make<std::uint32_t>(all);  // of the name that is first here: where its last value is; else nowhere
  constexpr auto kNowhere = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t i = 0; i < all;) {
    std::size_t end = i + 1;
    while (end < all && members[order[end]].name == members[order[i]].name) last[order[end++]] = kNowhere;
    last[order[i]] = order[end - 1];
    i = end;
  }
  auto* kept = make<Member>(all);
  std::size_t count = 0;
  for (std::size_t i = 0; i < all; ++i)
    if (last[i] != kNowhere) kept[count++] = {members[i].name, members[last[i]].value};
  return Access::of_members(kept, count);
}

Value Interpreter::reverse(const Part& part, Value argument) {
  if (const auto text = argument.string()) {
    meter_.spend(text->size() / kTextStep);
    auto* out = make<char>(text->size());
    char* end = out + text->size();
    for (std::size_t at = 0; at < text->size();) {
      const auto character = text->substr(at, character_size((*text)[at]));
      end -= character.size();
      std::copy(character.begin(), character.end(), end);
      at += character.size();
    }
    return Value::of(std::string_view(out, text->size()));
  }
  if (!is_array(argument)) return wrong_type(part, 0, "an array or a string", argument);
  const std::size_t count = argument.size();
  meter_.spend(count);
  auto* out = make<Value>(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = argument.at(count - 1 - i);
  return Access::of_elements(out, count);
}

Value Interpreter::to_number(Value argument) {
  if (argument.type() == Type::kNumber) return argument;
  const auto text = argument.string();
  if (!text || !is_number(*text)) return {};
  // As a number of the document would be: its digits stay.
  return Access::of_text(Access::Kind::kReadNumber, *text);
}

Value Interpreter::to_text(Value argument) {
  if (argument.type() == Type::kString) return argument;
  // A value that an expression repeats is small to hold and long to write.
  std::string text;
  if (!append_json(argument, meter_.bytes_left(), text)) meter_.make(meter_.bytes_left() + 1);
  meter_.spend(text.size() / kTextStep);
  auto* out = make<char>(text.size());
  std::copy(text.begin(), text.end(), out);
  return Value::of(std::string_view(out, text.size()));
}

bool Interpreter::less(const Key& a, const Key& b) {
  if (a.text) {
    const int order = a.string.compare(b.string);
    return order != 0 ? order < 0 : a.order < b.order;
  }
  const auto order = detail::compare(a.number, b.number);
  return order != 0 ? order < 0 : a.order < b.order;
}

Interpreter::Key Interpreter::key_of(const Part& part, Value element, bool by) {
  const Value value = by ? evaluate(reference_of(part, 1), element) : element;
  Key key;
  key.value = element;
  if (const auto text = value.string()) {
    key.text = true;
    key.string = *text;
  } else if (const auto number = number_of(value)) {
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
    if (greatest ? less(best, key) : less(key, best)) best = key;
  }
  return best.value;
}

}  // namespace setget::inline v0::jmespath::detail
