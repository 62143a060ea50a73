// The functions of numbers.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "mapping/interpreter.hpp"
#include "mapping/parser.hpp"

namespace setget::inline v0::jmespath::detail {
namespace {

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

Value Interpreter::aggregate(const Part& part, Value list) {
  if (!is_array(list)) return wrong_type(part, 0, "an array of numbers", list);
  Total total;
  const std::size_t count = list.size();
  meter_.spend(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = meter_.number(list.at(i));
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
  const auto number = meter_.number(argument);
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
  const auto number = meter_.number(argument);
  if (!number) return wrong_type(part, 0, "a number", argument);
  if (number->kind != Number::Kind::kDouble) return argument;
  const double rounded = part.function == Function::kCeil ? std::ceil(number->real) : std::floor(number->real);
  // Already an integer: its digits may be more than a double has.
  return rounded == number->real ? argument : Value::of(rounded);
}

}  // namespace setget::inline v0::jmespath::detail
