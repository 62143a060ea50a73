#include "validator/exact_number.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

namespace setget::inline v0::detail::schema {
namespace {

// digits * 10^exponent, the digits in two pieces (before and after a point), without zeros at either end.
struct Decimal {
  bool negative = false;
  std::string_view head{};
  std::string_view tail{};
  std::int64_t exponent = 0;
  std::array<char, 40> buffer{};

  Decimal() = default;
  Decimal(const Decimal&) = delete;
  Decimal& operator=(const Decimal&) = delete;

  std::size_t size() const noexcept { return head.size() + tail.size(); }
  char digit(std::size_t at) const noexcept { return at < head.size() ? head[at] : tail[at - head.size()]; }
  // Where the first digit stands: 1 = the ones.
  std::int64_t magnitude() const noexcept { return static_cast<std::int64_t>(size()) + exponent; }
};

void parse(std::string_view text, Decimal& out) noexcept {
  if (!text.empty() && text[0] == '-') {
    out.negative = true;
    text.remove_prefix(1);
  }
  if (const auto e = text.find_first_of("eE"); e != std::string_view::npos) {
    auto digits = text.substr(e + 1);
    if (!digits.empty() && digits[0] == '+') digits.remove_prefix(1);
    std::from_chars(digits.data(), digits.data() + digits.size(), out.exponent);
    text = text.substr(0, e);
  }
  const auto point = text.find('.');
  out.head = text.substr(0, point);
  if (point != std::string_view::npos) out.tail = text.substr(point + 1);
  out.exponent -= static_cast<std::int64_t>(out.tail.size());
  while (!out.head.empty() && out.head[0] == '0') out.head.remove_prefix(1);
  if (out.head.empty()) {
    while (!out.tail.empty() && out.tail[0] == '0') out.tail.remove_prefix(1);
  }
  while (!out.tail.empty() && out.tail.back() == '0') out.tail.remove_suffix(1), ++out.exponent;
  if (out.tail.empty()) {
    while (!out.head.empty() && out.head.back() == '0') out.head.remove_suffix(1), ++out.exponent;
  }
  if (out.size() == 0) {
    out.negative = false;
    out.exponent = 0;
  }
}

void decimal_of(const Number& number, Decimal& out) noexcept {
  auto* const begin = out.buffer.data();
  auto* const end = begin + out.buffer.size();
  std::to_chars_result written{begin, {}};
  switch (number.kind) {
    case 'l':
      written = std::to_chars(begin, end, number.integer);
      break;
    case 'u':
      written = std::to_chars(begin, end, number.large);
      break;
    case 'd':
      // The shortest text that gives this double: what was written, where that has at most 15 digits.
      written = std::to_chars(begin, end, number.real);
      break;
    default:
      return parse(number.text, out);
  }
  parse({begin, static_cast<std::size_t>(written.ptr - begin)}, out);
}

int compare_magnitudes(const Decimal& a, const Decimal& b) noexcept {
  if (a.size() == 0 || b.size() == 0) return (a.size() > 0 ? 1 : 0) - (b.size() > 0 ? 1 : 0);
  if (a.magnitude() != b.magnitude()) return a.magnitude() < b.magnitude() ? -1 : 1;
  const auto common = a.size() < b.size() ? a.size() : b.size();
  for (std::size_t i = 0; i < common; ++i) {
    if (a.digit(i) != b.digit(i)) return a.digit(i) < b.digit(i) ? -1 : 1;
  }
  return a.size() < b.size() ? -1 : (a.size() > b.size() ? 1 : 0);
}

__extension__ using Wide = unsigned __int128;

std::uint64_t multiply(std::uint64_t a, std::uint64_t b, std::uint64_t modulus) noexcept {
  return static_cast<std::uint64_t>(static_cast<Wide>(a) * b % modulus);
}

// Divisors of up to 19 digits.
bool divides(std::uint64_t divisor, const Decimal& value, std::int64_t power) noexcept {
  if (divisor == 0) return false;
  std::uint64_t rest = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    rest = static_cast<std::uint64_t>((static_cast<Wide>(rest) * 10 + static_cast<Wide>(value.digit(i) - '0')) % divisor);
  }
  std::uint64_t factor = 10 % divisor;
  for (auto left = power; left > 0 && rest != 0; left >>= 1) {
    if ((left & 1) != 0) rest = multiply(rest, factor, divisor);
    factor = multiply(factor, factor, divisor);
  }
  return rest == 0;
}

// Whole numbers in base 10^9, the lowest first.
using Limbs = std::vector<std::uint32_t>;
constexpr std::uint32_t kBase = 1'000'000'000;

Limbs limbs_of(const Decimal& decimal) {
  Limbs limbs;
  for (auto left = decimal.size(); left > 0;) {
    const auto from = left > 9 ? left - 9 : 0;
    std::uint32_t limb = 0;
    for (auto i = from; i < left; ++i) limb = limb * 10 + static_cast<std::uint32_t>(decimal.digit(i) - '0');
    limbs.push_back(limb);
    left = from;
  }
  return limbs;
}

bool is_zero(const Limbs& limbs) noexcept {
  for (const auto limb : limbs) {
    if (limb != 0) return false;
  }
  return true;
}

bool below(const Limbs& a, const Limbs& b) noexcept {
  for (auto i = a.size(); i-- > 0;) {
    const auto other = i < b.size() ? b[i] : 0;
    if (a[i] != other) return a[i] < other;
  }
  return false;
}

// rest = (rest * 10 + digit) mod divisor; rest has one limb more than divisor.
void shift_in(Limbs& rest, std::uint32_t digit, const Limbs& divisor) {
  std::uint64_t carry = digit;
  for (auto& limb : rest) {
    carry += std::uint64_t{limb} * 10;
    limb = static_cast<std::uint32_t>(carry % kBase);
    carry /= kBase;
  }
  while (!below(rest, divisor)) {
    std::int64_t borrow = 0;
    for (std::size_t i = 0; i < rest.size(); ++i) {
      auto value = static_cast<std::int64_t>(rest[i]) - borrow - (i < divisor.size() ? std::int64_t{divisor[i]} : 0);
      borrow = value < 0 ? 1 : 0;
      if (value < 0) value += kBase;
      rest[i] = static_cast<std::uint32_t>(value);
    }
  }
}

// Of the powers of ten only as many matter as the divisor has factors 2 and 5: 2^k or 5^k divides a number of d digits only for k <= 3.33
// d.
std::size_t powers_that_matter(const Decimal& divisor, std::int64_t power) noexcept {
  return static_cast<std::size_t>(std::min(power, static_cast<std::int64_t>(divisor.size()) * 4));
}

// Divisors of any length: digits first, then the powers of ten.
bool divides_long(const Decimal& divisor, const Decimal& value, std::int64_t power) {
  const auto limbs = limbs_of(divisor);
  Limbs rest(limbs.size() + 1);
  for (std::size_t i = 0; i < value.size(); ++i) shift_in(rest, static_cast<std::uint32_t>(value.digit(i) - '0'), limbs);
  const auto most = powers_that_matter(divisor, power);
  for (std::size_t i = 0; i < most && !is_zero(rest); ++i) shift_in(rest, 0, limbs);
  return is_zero(rest);
}

bool take(std::uint64_t& steps, std::uint64_t some) noexcept {
  if (some >= steps) return false;
  steps -= some;
  return true;
}

}  // namespace

int compare_exactly(const Number& a, const Number& b) noexcept {
  constexpr std::int64_t kExact = std::int64_t{1} << 53;
  if (a.kind == 'l' && b.kind == 'd' && a.integer > -kExact && a.integer < kExact) {
    const auto real = static_cast<double>(a.integer);
    return real < b.real ? -1 : (real > b.real ? 1 : 0);
  }
  if (a.kind == 'd' && b.kind == 'l') return -compare_exactly(b, a);
  if (a.kind == 'u' && b.kind == 'u') return a.large < b.large ? -1 : (a.large > b.large ? 1 : 0);
  Decimal left;
  Decimal right;
  decimal_of(a, left);
  decimal_of(b, right);
  if (left.negative != right.negative) return left.negative ? -1 : 1;
  const auto order = compare_magnitudes(left, right);
  return left.negative ? -order : order;
}

bool is_whole_exactly(const Number& number) noexcept {
  Decimal decimal;
  decimal_of(number, decimal);
  return decimal.exponent >= 0;
}

namespace {

// real * power where that is what the decimal that the double stands for gives, else 0. Up to 15 digits: such a whole number, divided by a
// power of ten, is the double that its decimal is read as, and no other decimal of as many digits is read as the same.
std::int64_t whole(double real, double power) noexcept {
  const auto scaled = std::nearbyint(real * power);
  return std::abs(scaled) < 1e15 && scaled / power == real ? static_cast<std::int64_t>(scaled) : 0;
}

}  // namespace

Multiple is_multiple(const Number& value, const Number& divisor, std::uint64_t& steps) {
  const auto answer = [](bool holds) { return holds ? Multiple::kYes : Multiple::kNo; };
  if (value.kind == 'l' && divisor.kind == 'l') return answer(value.integer % divisor.integer == 0);
  if ((value.kind == 'd' || value.kind == 'l') && (divisor.kind == 'd' || divisor.kind == 'l')) {
    // Most have few places behind the point.
    const auto real = value.kind == 'd' ? value.real : static_cast<double>(value.integer);
    const auto by = divisor.kind == 'd' ? divisor.real : static_cast<double>(divisor.integer);
    if (real == 0) return Multiple::kYes;
    for (const double power : {1.0, 1e2, 1e4}) {
      const auto parts = whole(by, power);
      const auto of = parts == 0 ? 0 : whole(real, power);
      if (of != 0) return answer(of % parts == 0);
    }
  }
  Decimal number;
  Decimal by;
  decimal_of(value, number);
  decimal_of(divisor, by);
  if (number.size() == 0) return Multiple::kYes;
  // Without zeros at its end, a number is no multiple of ten, and so of nothing that is ten times something.
  if (number.exponent < by.exponent) return Multiple::kNo;
  const auto power = number.exponent - by.exponent;
  if (by.size() <= 19) {
    if (!take(steps, number.size() / 8)) return Multiple::kOverBudget;
    std::uint64_t small = 0;
    for (std::size_t i = 0; i < by.size(); ++i) small = small * 10 + static_cast<std::uint64_t>(by.digit(i) - '0');
    return answer(divides(small, number, power));
  }
  if (compare_magnitudes(number, by) < 0) return Multiple::kNo;
  // Nine digits of the divisor for each digit of the number.
  const auto each = by.size() / 9 + 2;
  if (!take(steps, (number.size() + powers_that_matter(by, power)) * each * 5 / 2)) return Multiple::kOverBudget;
  return answer(divides_long(by, number, power));
}

std::uint64_t hash_of(const Number& number) noexcept {
  std::uint64_t hash = 0x9E3779B97F4A7C15ULL;
  const auto mix = [&](std::uint64_t value) { hash = (hash ^ value) * 0xD6E8FEB86659FD93ULL, hash ^= hash >> 32; };
  if (number.kind == 'l') return mix(static_cast<std::uint64_t>(number.integer)), hash;
  Decimal decimal;
  decimal_of(number, decimal);
  // Whole numbers of 64 bits hash as the tape's own integers do.
  if (decimal.exponent >= 0 && decimal.magnitude() <= 19) {
    std::uint64_t whole = 0;
    for (std::size_t i = 0; i < decimal.size(); ++i) whole = whole * 10 + static_cast<std::uint64_t>(decimal.digit(i) - '0');
    for (std::int64_t i = 0; i < decimal.exponent; ++i) whole *= 10;
    return mix(decimal.negative ? ~whole + 1 : whole), hash;
  }
  mix(decimal.negative ? 1 : 2);
  mix(static_cast<std::uint64_t>(decimal.exponent));
  for (std::size_t i = 0; i < decimal.size(); ++i) mix(static_cast<std::uint64_t>(decimal.digit(i)));
  return hash;
}

}  // namespace setget::inline v0::detail::schema
