#include "mapping/number.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "mapping/node.hpp"

namespace setget::inline v0::jmespath::detail {
namespace {

constexpr std::size_t kMostIntegerText = 20;  // "-9223372036854775808", "18446744073709551615": what is longer is beyond 64 bits
constexpr double kTwo63 = 9223372036854775808.0;
constexpr double kTwo64 = 18446744073709551616.0;

bool digit(char c) noexcept { return c >= '0' && c <= '9'; }

std::size_t skip_digits(std::string_view text, std::size_t at) noexcept {
  while (at < text.size() && digit(text[at])) ++at;
  return at;
}

// What from_chars says is out of range: is it too large, or too small? Decided by the power of ten of its first digit.
double out_of_range(std::string_view text) noexcept {
  const bool negative = text.front() == '-';
  const auto exponent_at = std::min(text.find_first_of("eE"), text.size());
  const auto mantissa = text.substr(0, exponent_at);
  const auto point = std::min(mantissa.find('.'), mantissa.size());
  const auto first = mantissa.find_first_of("123456789");
  long long power = first < point ? static_cast<long long>(point - first) : -static_cast<long long>(first - point);
  if (exponent_at < text.size()) {
    auto digits = text.substr(exponent_at + 1);
    if (digits.front() == '+') digits.remove_prefix(1);
    long long exponent = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (read.ec != std::errc()) exponent = digits.front() == '-' ? std::numeric_limits<int>::min() : std::numeric_limits<int>::max();
    power += exponent;
  }
  const double size = power > 0 ? std::numeric_limits<double>::infinity() : 0.0;
  return negative ? -size : size;
}

std::weak_ordering order(double a, double b) noexcept {
  return a < b ? std::weak_ordering::less : a > b ? std::weak_ordering::greater : std::weak_ordering::equivalent;
}

std::weak_ordering reversed(std::weak_ordering order) noexcept {
  if (std::is_lt(order)) return std::weak_ordering::greater;
  return std::is_gt(order) ? std::weak_ordering::less : order;
}

// A double against an integer that is given as sign and size.
std::weak_ordering order(bool negative, std::uint64_t size, double other) noexcept {
  if (negative != (other < 0)) return negative ? std::weak_ordering::less : std::weak_ordering::greater;
  const double distance = std::fabs(other);
  std::weak_ordering out = std::weak_ordering::less;  // of the sizes
  if (distance < kTwo64) {
    const double whole = std::floor(distance);
    const auto integer = static_cast<std::uint64_t>(whole);
    out = size != integer ? size <=> integer : whole < distance ? std::weak_ordering::less : std::weak_ordering::equivalent;
  }
  return negative ? reversed(out) : out;
}

struct SignedSize {
  bool negative;
  std::uint64_t size;
};
SignedSize signed_size(const Number& number) noexcept {
  if (number.kind == Number::Kind::kUnsigned) return {false, number.natural};
  const auto bits = static_cast<std::uint64_t>(number.integer);
  return number.integer < 0 ? SignedSize{true, 0 - bits} : SignedSize{false, bits};
}

}  // namespace

bool is_number(std::string_view text) noexcept {
  std::size_t at = !text.empty() && text.front() == '-' ? 1 : 0;
  const std::size_t whole = at;
  at = skip_digits(text, at);
  if (at == whole || (text[whole] == '0' && at - whole > 1)) return false;
  if (at < text.size() && text[at] == '.') {
    const std::size_t fraction = at + 1;
    at = skip_digits(text, fraction);
    if (at == fraction) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t exponent = at;
    at = skip_digits(text, exponent);
    if (at == exponent) return false;
  }
  return at == text.size();
}

Number read_number(std::string_view text) noexcept {
  Number out;
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (text.size() <= kMostIntegerText) {
    const auto whole = std::from_chars(begin, end, out.integer);
    if (whole.ptr == end && whole.ec == std::errc()) return out;
    if (whole.ptr == end && text.front() != '-') {
      const auto natural = std::from_chars(begin, end, out.natural);
      if (natural.ec == std::errc()) {
        out.kind = Number::Kind::kUnsigned;
        return out;
      }
    }
  }
  out.kind = Number::Kind::kDouble;
  out.real = 0;
  if (std::from_chars(begin, end, out.real).ec != std::errc()) out.real = out_of_range(text);
  return out;
}

std::optional<Number> number_of(const Value& value) noexcept {
  Number out;
  switch (Access::kind(value)) {
    case Access::Kind::kInteger:
      out.integer = Access::integer(value);
      return out;
    case Access::Kind::kUnsigned:
      out.kind = Number::Kind::kUnsigned;
      out.natural = Access::natural(value);
      return out;
    case Access::Kind::kDouble:
      out.kind = Number::Kind::kDouble;
      out.real = Access::real(value);
      return out;
    case Access::Kind::kReadNumber:
      return read_number(Access::text(value));
    default:
      return std::nullopt;
  }
}

Value value_of(const Number& number) noexcept {
  switch (number.kind) {
    case Number::Kind::kInteger:
      return Value::of(number.integer);
    case Number::Kind::kUnsigned:
      return number.natural <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())
                 ? Value::of(static_cast<std::int64_t>(number.natural))
                 : Access::of_natural(number.natural);
    case Number::Kind::kDouble:
      break;
  }
  return Value::of(number.real);
}

double to_double(const Number& number) noexcept {
  switch (number.kind) {
    case Number::Kind::kInteger:
      return static_cast<double>(number.integer);
    case Number::Kind::kUnsigned:
      return static_cast<double>(number.natural);
    case Number::Kind::kDouble:
      break;
  }
  return number.real;
}

std::weak_ordering compare(const Number& a, const Number& b) noexcept {
  const bool real_a = a.kind == Number::Kind::kDouble;
  const bool real_b = b.kind == Number::Kind::kDouble;
  if (real_a && real_b) return order(a.real, b.real);
  if (!real_a && !real_b && a.kind == b.kind && a.kind == Number::Kind::kInteger) return a.integer <=> b.integer;
  if (real_a) {
    const auto [negative, size] = signed_size(b);
    return reversed(order(negative, size, a.real));
  }
  const auto [negative, size] = signed_size(a);
  if (real_b) return order(negative, size, b.real);
  const auto [other_negative, other_size] = signed_size(b);
  if (negative != other_negative) return negative ? std::weak_ordering::less : std::weak_ordering::greater;
  return negative ? other_size <=> size : size <=> other_size;
}

void append_number(const Number& number, std::string& out) {
  std::array<char, 32> text{};
  auto* end = text.data() + text.size();
  std::to_chars_result written{};
  switch (number.kind) {
    case Number::Kind::kInteger:
      written = std::to_chars(text.data(), end, number.integer);
      break;
    case Number::Kind::kUnsigned:
      written = std::to_chars(text.data(), end, number.natural);
      break;
    case Number::Kind::kDouble:
      // Integers that a double holds exactly are written as such, whatever is shorter.
      written = std::fabs(number.real) < kTwo63 / 1024 && number.real == std::floor(number.real)
                    ? std::to_chars(text.data(), end, static_cast<std::int64_t>(number.real))
                    : std::to_chars(text.data(), end, number.real);
      break;
  }
  out.append(text.data(), static_cast<std::size_t>(written.ptr - text.data()));
}

}  // namespace setget::inline v0::jmespath::detail
