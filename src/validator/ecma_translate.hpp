// A pattern of ECMA-262 in the words of RE2 or of PCRE2, and as a plain list of sets where it is no more than that. Private to the
// validator.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>

#include "validator/char_set.hpp"

namespace setget::inline v0::detail::schema {

// kNone: nothing is written, only read: whether it is a pattern, in time linear in its length.
enum class Engine : std::uint8_t { kNone, kRe2, kPcre2 };

struct PlainItem {
  CharSet set{};
  std::uint64_t min = 1;
  std::uint64_t max = 1;
};

// Callouts of a pattern for PCRE2, by number. From 1 on: look-behinds that stand apart. PCRE2 counts a step where it makes a choice, so a
// callout says what is read without one: kReads + n of them up to 2^n characters, since a step or a callout; kEnd all from kBegin to there.
// Those with a text: "rN" that group N is compared with what comes, "RN" without regard to case, "bN,M" that N characters before are looked
// at in all, from one place M times.
struct Callout {
  static constexpr std::uint32_t kMostBehind = 200;
  static constexpr std::uint32_t kReads = 201;
  static constexpr std::uint32_t kBegin = 254;
  static constexpr std::uint32_t kEnd = 255;
};

// A look-behind that stands in the pattern as the callout (?Cn) only, n from 1.
struct LookBehind {
  std::string pattern{};  // in the words of RE2
  bool negative = false;
};

struct Translated {
  std::string pattern{};
  bool needs_backtracking = false;  // look-around, back-references, or what RE2 does not know
  bool is_plain = false;            // ^?, items, $?
  bool is_long = false;             // too long to be written out for RE2, which repeats no more than 1000 times
  bool is_one_way = false;          // begins at the start and has but one choice to make: how often one of its parts is repeated
  std::uint64_t positions = 0;      // places in it that a match may have reached at once; 0 where they pass as the text does
  bool at_start = false;
  bool at_end = false;
  std::vector<PlainItem> items{};
  std::vector<LookBehind> behind{};
  bool reads_much = false;  // for PCRE2: in one step, be the text as short as it may
  // For PCRE2: how many times as long as usual a step, or a character that is read, may take. It goes through all ranges of a class, and
  // keeps all groups at each choice.
  std::uint32_t weight = 1;
  bool can_be_apart = true;  // every look-behind can stand apart: RE2 takes it, and no reference counts its groups
};

// Errors: kInvalidArgument with the position of what is not of ECMA-262; kUnsupported with that of a reference to what the engine keeps and
// ECMA-262 forgets. `behind_apart`: look-behinds are put into Translated::behind; for
// kPcre2, which knows none of varying length.
Result<Translated> translate(std::string_view pattern, Engine engine, bool behind_apart = false);

}  // namespace setget::inline v0::detail::schema
