// Exact arithmetic on JSON numbers: comparison and divisibility of values as they were written, whatever their size. Small ones in a few
// instructions, none with an allocation but divisors of more than 19 digits. Private to the validator. Thread rule: pure functions.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "validator/tape.hpp"

namespace setget::inline v0::detail::schema {

// The number at a place of a tape.
struct Number {
  char kind = 'l';  // 'l', 'u', 'd', 'N' as on the tape
  std::int64_t integer = 0;
  std::uint64_t large = 0;
  double real = 0;
  std::string_view text{};  // 'N'
};

inline Number number_at(const Tape& tape, std::size_t at) noexcept {
  Number number;
  number.kind = static_cast<char>(tag_of(tape.words[at]));
  switch (number.kind) {
    case 'l':
      number.integer = static_cast<std::int64_t>(tape.words[at + 1]);
      break;
    case 'u':
      number.large = tape.words[at + 1];
      break;
    case 'd':
      number.real = std::bit_cast<double>(tape.words[at + 1]);
      break;
    default:
      number.text = text_at(tape, at);
  }
  return number;
}

// Below it a whole double is the one integer that it stands for.
inline constexpr double kWholeDoubles = 9e15;

// Below 0, 0 or above 0.
int compare_exactly(const Number& a, const Number& b) noexcept;
inline int compare(const Number& a, const Number& b) noexcept {
  if (a.kind == 'l' && b.kind == 'l') return a.integer < b.integer ? -1 : (a.integer > b.integer ? 1 : 0);
  if (a.kind == 'd' && b.kind == 'd') return a.real < b.real ? -1 : (a.real > b.real ? 1 : 0);
  return compare_exactly(a, b);
}

// A whole number, as drafts after 4 have it: 1.0 is one.
bool is_whole_exactly(const Number& number) noexcept;
inline bool is_whole(const Number& number) noexcept {
  if (number.kind == 'd') return std::trunc(number.real) == number.real;
  return number.kind != 'N' || is_whole_exactly(number);
}

enum class Multiple : std::uint8_t { kNo, kYes, kOverBudget };
// Whether value = divisor * some whole number. `divisor` is above 0. What it takes is taken from `steps` before; where that is all that is
// left or more, nothing is done.
Multiple is_multiple(const Number& value, const Number& divisor, std::uint64_t& steps);

// Equal for equal numbers.
std::uint64_t hash_of(const Number& number) noexcept;

}  // namespace setget::inline v0::detail::schema
