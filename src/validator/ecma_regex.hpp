// Regex: patterns as ECMA-262 has them (with the flag u, and what Annex B leaves open allowed where it means one thing), matched in time
// linear in the text where the pattern has no look-around and no back-references, and within a number of steps where it has. Private to the
// validator. Thread rule: const access from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <setget/error.hpp>

namespace setget::inline v0::detail::schema {

struct RegexLimits {
  std::size_t max_bytes = 65'536;     // of the pattern
  std::size_t max_memory = 8u << 20;  // of its automaton
  std::uint32_t max_steps = 1'000'000;
};

enum class RegexMatch : std::uint8_t { kNo, kYes, kOverBudget };

class Regex {
 public:
  virtual ~Regex() = default;
  // Anywhere in the text, which is UTF-8.
  virtual RegexMatch search(std::string_view text) const = 0;
  // What a search takes of the budget of an evaluation.
  std::uint64_t steps(std::size_t size) const noexcept { return 1 + size * weight_ / 16; }

  // Errors: kInvalidArgument (position in the pattern), kTooLarge, kUnsupported (a property of Unicode that no engine knows).
  static Result<std::unique_ptr<const Regex>> compile(std::string_view pattern, const RegexLimits& limits);

 protected:
  void set_weight(std::uint64_t per_16_bytes) noexcept { weight_ = per_16_bytes; }

 private:
  std::uint64_t weight_ = 1;
};

// Whether it is a pattern of ECMA-262 with the flag u; what the format "regex" asks.
bool is_ecma_regex(std::string_view pattern);

}  // namespace setget::inline v0::detail::schema
