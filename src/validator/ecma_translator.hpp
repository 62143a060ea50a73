// Translator: reads a pattern of ECMA-262 by descent and writes it in an engine's words. ecma_translate.cpp has the terms and quantifiers,
// ecma_groups.cpp the groups, ecma_classes.cpp the character classes, ecma_escapes.cpp what begins with a backslash,
// ecma_properties.cpp the names of Unicode's properties. Private to the
// validator. One object per pattern.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "validator/ecma_translate.hpp"

namespace setget::inline v0::detail::schema {

// The short name of a general category of Unicode, whichever name it is called by.
std::optional<std::string_view> category(std::string_view name);
// The long name of a script, whichever name it is called by.
std::optional<std::string_view> script(std::string_view name);
bool is_binary_property(std::string_view name);

// How much of it there is once repetitions with a number are written out.
struct Extent {
  std::uint64_t repeats = 1;    // the most numbers of repetitions within each other, multiplied
  std::uint64_t positions = 0;  // sets and other single steps
  bool can_be_empty = false;
};

// One atom: a set, or sets and properties of Unicode that the engine knows, or something else (a group, an assertion).
struct Atom {
  std::string text{};
  CharSet set{};
  bool is_set = false;  // `set` says all
  bool can_repeat = true;
  Extent extent{.positions = 1};
  std::uint64_t reads = 1;  // at most, that no callout says
  bool is_paid = false;     // a callout stands before it, for all that was read before
};

class Translator {
 public:
  Translator(std::string_view pattern, Engine engine, bool behind_apart) : in_(pattern), engine_(engine), behind_apart_(behind_apart) {}
  Result<Translated> run();

 private:
  struct Flags {
    bool ignore_case = false;
    bool multiline = false;
    bool dot_all = false;
  };

  Error error() const { return Error(code_, fmt::format("regular expression: byte {}: {}", at_, problem_)).at_position(at_); }
  bool fail(std::string_view what) {
    if (problem_.empty()) problem_ = what;
    return false;
  }
  bool more() const noexcept { return at_ < in_.size(); }
  char peek(std::size_t ahead = 0) const noexcept { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  bool take(std::string_view text) {
    if (in_.substr(at_, text.size()) != text) return false;
    at_ += text.size();
    return true;
  }
  // Capturing groups by number and name, for references to those that come later.
  void count_groups();
  bool disjunction(std::string& text, std::size_t depth);
  bool alternative(std::string& text, std::size_t depth);
  bool term(Atom& atom, std::size_t depth);
  bool line_edge(Atom& atom, std::string_view opening);
  std::uint32_t code_point();
  void single(Atom& atom, std::uint32_t code);
  void set_atom(Atom& atom, const CharSet& set);
  static std::string escaped(std::uint32_t code);
  std::string shown(const CharSet& set, const std::string& properties, bool negated);
  bool number(std::uint64_t& value);
  bool braces(std::uint64_t& least, std::uint64_t& most);
  bool quantifier(Atom& atom, PlainItem& item);
  // RE2 repeats at most 1000 times, repetitions within each other multiplied: more is written as a sequence.
  void repeat(Atom& atom, std::uint64_t least, std::uint64_t most, bool lazy);
  // Whether a quantifier after it concerns all of it.
  static bool is_one(const std::string& text);
  static std::string counted(const std::string& text, std::uint64_t from, std::uint64_t to, bool lazy);
  // PCRE2 counts no step for what must be there: a callout says how much has been read, wherever that may be more than kFew.
  void repeat_in_steps(Atom& atom, std::uint64_t least, std::uint64_t most, bool lazy);
  // A callout for so many characters.
  std::string pay(std::uint64_t reads);
  bool group(Atom& atom, std::size_t depth);
  // A look-behind whose opening has been read, as a callout.
  bool look_behind_apart(Atom& atom, bool negative, std::size_t depth);
  // (?i:…), (?ms-i:…): ECMA-262 of 2025.
  bool modifiers(std::string& opening);
  bool group_name(std::string& name);
  // Whether a group of this name may stand here: not where another of that name can match too (ECMA-262 of 2025).
  bool may_name(const std::string& name);
  bool are_apart(std::size_t one, std::size_t other) const;
  bool is_within(std::size_t alternative, std::size_t outer) const;
  // What a quantifier does to the groups and references of its atom, which are those from there on: see Capture.
  void repeat_captures(std::size_t groups, std::size_t references, const Atom& atom, const PlainItem& times);
  // False, and an error, for a reference that PCRE2 would take for something else.
  bool references_hold();
  bool named_reference(Atom& atom, const std::string& name);
  bool back_reference(Atom& atom, std::uint64_t which);
  bool atom_escape(Atom& atom);
  // An escape that stands for characters: \d, \p{…}, \n, \u0041, \-. `at_` is on the backslash.
  bool class_escape(CharSet& set, std::string& properties, bool in_class);
  bool hex(std::size_t from, std::size_t count, std::uint32_t& code) const;
  bool unicode_escape(CharSet& set);
  bool property(CharSet& set, std::string& properties, bool negated);
  bool character_class(Atom& atom);
  bool class_atom(CharSet& set, std::string& properties);

  std::string_view in_;
  Engine engine_;
  bool behind_apart_;
  std::size_t expanded_ = 0;                 // bytes that repetitions were written out as
  Extent extent_{};                          // of the innermost disjunction so far
  std::size_t choices_ = 0;                  // how often something is repeated, which alternative is taken
  bool is_endless_ = false;                  // something is repeated without end
  bool is_anchored_ = false;                 // whichever way is taken, it begins with ^
  static constexpr std::uint64_t kFew = 64;  // characters that a step may read without a callout
  std::uint64_t unpaid_ = 0;                 // the most that may have been read since there was one
  std::size_t payments_ = 0;
  std::size_t most_ranges_ = 0;  // of a class
  std::size_t runs_ = 0;         // repetitions that read on to their end in one step, and pay as they give back
  bool has_references_ = false;
  bool has_groups_apart_ = false;
  std::size_t at_ = 0;
  Translated out_;
  std::string problem_;
  ErrorCode code_ = ErrorCode::kInvalidArgument;
  Flags flags_;
  std::size_t groups_ = 0;                                             // that capture
  std::unordered_map<std::string, std::vector<std::size_t>> numbers_;  // of those with a name
  // What stands between the bars of a disjunction.
  struct Alternative {
    std::size_t outer = 0;  // the one that the disjunction is a part of
    std::size_t disjunction = 0;
    std::size_t depth = 0;
  };
  std::vector<Alternative> alternatives_;
  std::size_t here_ = 0;  // the innermost of them
  std::size_t disjunctions_ = 0;
  std::unordered_map<std::string, std::size_t> named_;  // where the last group of a name stands
  // ECMA-262 forgets what the groups of a repeated part have matched whenever it begins anew, PCRE2 does not. So a reference is understood
  // only where that makes no difference: where its group has surely matched since.
  struct Capture {
    std::size_t home = kNowhere;  // the outermost alternative of which each way leads through the group
    bool is_closed = false;
    bool may_be_old = false;  // a part that is repeated can be passed without it
  };
  struct Reference {
    std::size_t group = 0;
    std::size_t at = 0;
    bool is_early = false;  // before the end of its group
    bool is_sure = false;   // wherever it stands, its group has been passed
  };
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  std::vector<Capture> captures_;  // by number, from 1
  std::vector<Reference> references_;
  std::size_t opened_ = 0;  // groups so far
};

}  // namespace setget::inline v0::detail::schema
