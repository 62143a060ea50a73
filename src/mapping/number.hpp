// Numbers of JSON: integers exact within 64 bits, all else the nearest double. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <setget/jmespath.hpp>

namespace setget::inline v0::jmespath::detail {

struct Number {
  enum class Kind : std::uint8_t { kInteger, kUnsigned, kDouble };  // kUnsigned: beyond int64
  Kind kind = Kind::kInteger;
  union {
    std::int64_t integer;
    std::uint64_t natural;
    double real;
  };
  Number() noexcept : integer(0) {}
};

// The grammar of RFC 8259 section 6, the whole text.
bool is_number(std::string_view text) noexcept;
// Precondition: is_number(text).
Number read_number(std::string_view text) noexcept;
// Nothing if the value is no number.
std::optional<Number> number_of(const Value& value) noexcept;
Value value_of(const Number& number) noexcept;
double to_double(const Number& number) noexcept;
// By exact value, also between integers and doubles; never unordered, because no number is NaN.
std::weak_ordering compare(const Number& a, const Number& b) noexcept;
// The shortest text that reads back as the same number.
void append_number(const Number& number, std::string& out);

}  // namespace setget::inline v0::jmespath::detail
