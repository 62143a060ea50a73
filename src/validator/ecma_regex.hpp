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

// kOverBudget: more than RegexLimits::max_steps; kOutOfSteps: more than the caller had left.
enum class RegexMatch : std::uint8_t { kNo, kYes, kOverBudget, kOutOfSteps };

class Regex {
 public:
  virtual ~Regex() = default;
  // Anywhere in the text, which is UTF-8. What it takes is taken from `left` before.
  RegexMatch search(std::string_view text, std::uint64_t& left) const {
    const auto take = [&](std::uint64_t steps) {
      if (steps >= left) return false;
      left -= steps;
      return true;
    };
    if (!take(1 + text.size() * weight_ / 16)) return RegexMatch::kOutOfSteps;
    const auto found = look(text, false);
    if (found != RegexMatch::kOverBudget) return found;
    return take(most_steps_) ? look(text, true) : RegexMatch::kOutOfSteps;
  }

  // Errors: kInvalidArgument (position in the pattern), kTooLarge, kUnsupported (a property of Unicode that no engine knows).
  static Result<std::unique_ptr<const Regex>> compile(std::string_view pattern, const RegexLimits& limits);

 protected:
  // `most`: what a search takes that few steps are not enough for.
  explicit Regex(std::uint64_t most = 0) noexcept : most_steps_(most) {}
  void set_weight(std::uint64_t per_16_bytes) noexcept { weight_ = per_16_bytes; }
  // Within few steps, which are enough for nearly every text, or with all that a search may take.
  virtual RegexMatch look(std::string_view text, bool with_all) const = 0;

 private:
  std::uint64_t weight_ = 1;
  std::uint64_t most_steps_ = 0;
};

// Whether it is a pattern of ECMA-262 with the flag u; what the format "regex" asks.
bool is_ecma_regex(std::string_view pattern);

}  // namespace setget::inline v0::detail::schema
