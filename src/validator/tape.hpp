// Reading of tapes: simdjson's format, and one word more for numbers that a double does not hold exactly ('N': an offset into the strings,
// where the number stands as JSON text). Private to the validator. Thread rule: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace setget::inline v0::detail::schema {

struct Tape {
  const std::uint64_t* words = nullptr;
  const std::uint8_t* strings = nullptr;
};

// Types of JSON Schema as bits. An integer is also a number: a schema's "number" has both bits.
enum Type : std::uint8_t {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kFraction = 8,  // a number that is not an integer
  kString = 16,
  kArray = 32,
  kObject = 64,
  kNumber = kInteger | kFraction,
  kAnyType = 127
};

constexpr std::uint8_t tag_of(std::uint64_t word) noexcept { return static_cast<std::uint8_t>(word >> 56); }
constexpr std::uint64_t payload_of(std::uint64_t word) noexcept { return word & 0x00FFFFFFFFFFFFFFULL; }
constexpr std::uint64_t make_word(char tag, std::uint64_t payload) noexcept {
  return (static_cast<std::uint64_t>(static_cast<std::uint8_t>(tag)) << 56) | payload;
}

// The type of a word, but that doubles and long numbers are called fractions: whether they are whole takes a look at the value.
struct TypeTable {
  std::array<std::uint8_t, 256> of{};
  std::array<std::uint8_t, 256> width{};  // words of what is no container
  constexpr TypeTable() {
    for (auto& one : width) one = 1;
    width['l'] = width['u'] = width['d'] = 2;
    of['n'] = kNull;
    of['t'] = kBoolean;
    of['f'] = kBoolean;
    of['l'] = kInteger;
    of['u'] = kInteger;
    of['d'] = kFraction;
    of['N'] = kFraction;
    of['"'] = kString;
    of['['] = kArray;
    of['{'] = kObject;
  }
};
inline constexpr TypeTable kTypes;

// Where the value after this one begins, whose word and type are at hand.
inline std::size_t after(std::uint64_t word, std::uint8_t type, std::size_t at) noexcept {
  return (type & (kArray | kObject)) != 0 ? static_cast<std::uint32_t>(word) : at + kTypes.width[tag_of(word)];
}
inline std::size_t next_of(const std::uint64_t* tape, std::size_t at) noexcept {
  const auto word = tape[at];
  return after(word, kTypes.of[tag_of(word)], at);
}

inline std::uint32_t load32(const void* from) noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline std::uint64_t load64(const void* from) noexcept {
  std::uint64_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Of a '"' or 'N' word.
inline std::string_view text_of(const Tape& tape, std::uint64_t word) noexcept {
  const auto* at = tape.strings + payload_of(word);
  return {reinterpret_cast<const char*>(at + 4), load32(at)};
}
inline std::string_view text_at(const Tape& tape, std::size_t at) noexcept { return text_of(tape, tape.words[at]); }
inline std::uint8_t type_at(const Tape& tape, std::size_t at) noexcept { return kTypes.of[tag_of(tape.words[at])]; }

// The first value under `name`, or 0 (which is the root word, never a value).
inline std::size_t member(const Tape& tape, std::size_t object, std::string_view name) noexcept {
  if (tag_of(tape.words[object]) != '{') return 0;
  const auto end = static_cast<std::uint32_t>(tape.words[object]) - 1;
  for (auto at = object + 1; at < end; at = next_of(tape.words, at + 1)) {
    if (text_at(tape, at) == name) return at + 1;
  }
  return 0;
}

// f(name, index of the value) for each member.
template <class F>
void each_member(const Tape& tape, std::size_t object, F&& f) {
  const auto end = static_cast<std::uint32_t>(tape.words[object]) - 1;
  for (auto at = object + 1; at < end; at = next_of(tape.words, at + 1)) f(text_at(tape, at), at + 1);
}
// f(index of the element) for each element.
template <class F>
void each_element(const Tape& tape, std::size_t array, F&& f) {
  const auto end = static_cast<std::uint32_t>(tape.words[array]) - 1;
  for (auto at = array + 1; at < end; at = next_of(tape.words, at)) f(at);
}
// Names or elements.
inline std::size_t count_of(const Tape& tape, std::size_t container) noexcept {
  const auto word = tape.words[container];
  const auto count = static_cast<std::size_t>((word >> 32) & 0xFFFFFF);
  if (count < 0xFFFFFF) return count;
  std::size_t exact = 0;
  if (tag_of(word) == '{') {
    each_member(tape, container, [&](std::string_view, std::size_t) { ++exact; });
  } else {
    each_element(tape, container, [&](std::size_t) { ++exact; });
  }
  return exact;
}

}  // namespace setget::inline v0::detail::schema
