// Groups: capturing, named, looking around, with modifiers.
#include <algorithm>
#include <utility>

#include "validator/ecma_translator.hpp"

namespace setget::inline v0::detail::schema {

void Translator::count_groups() {
  bool in_class = false;
  for (std::size_t i = 0; i < in_.size(); ++i) {
    if (in_[i] == '\\') {
      ++i;
    } else if (in_[i] == '[') {
      in_class = true;
    } else if (in_[i] == ']') {
      in_class = false;
    } else if (in_[i] == '(' && !in_class) {
      if (i + 1 == in_.size() || in_[i + 1] != '?') {
        ++groups_;
      } else if (in_.substr(i, 3) == "(?<" && i + 3 < in_.size() && in_[i + 3] != '=' && in_[i + 3] != '!') {
        ++groups_;
        const auto from = i + 3;
        while (i + 1 < in_.size() && in_[i + 1] != '>' && in_[i + 1] != '(') ++i;  // "(" is of no name
        if (i + 1 < in_.size() && in_[i + 1] == '>') numbers_[std::string(in_.substr(from, i + 1 - from))].push_back(groups_);
      }
    }
  }
}

bool Translator::is_within(std::size_t alternative, std::size_t outer) const {
  if (outer == kNowhere) return false;
  while (alternatives_[alternative].depth > alternatives_[outer].depth) alternative = alternatives_[alternative].outer;
  return alternative == outer;
}

void Translator::repeat_captures(std::size_t groups, std::size_t references, const Atom& atom, const PlainItem& times) {
  // ECMA-262 takes no repetition of nothing beyond those that must be; PCRE2 takes one, and the groups are then empty.
  const bool ends_empty = atom.extent.can_be_empty && times.max > 1 && times.max > times.min;
  for (auto number = groups + 1; number <= opened_; ++number) {
    auto& capture = captures_[number];
    capture.may_be_old = capture.may_be_old || ends_empty || (times.max > 1 && capture.home != here_);
    if (ends_empty || times.min == 0) capture.home = kNowhere;
  }
  for (auto i = references; i < references_.size() && times.max > 1; ++i) {
    const auto& one = references_[i];
    if (one.is_early && one.group > groups && one.group <= opened_) captures_[one.group].may_be_old = true;
  }
}

bool Translator::references_hold() {
  for (const auto& one : references_) {
    if (one.is_sure || !captures_[one.group].may_be_old) continue;
    at_ = one.at;
    code_ = ErrorCode::kUnsupported;
    return fail("a reference to a group that has not matched in each repetition of what it stands in");
  }
  return true;
}

bool Translator::group(Atom& atom, std::size_t depth) {
  out_.is_plain = false;
  const auto saved = flags_;
  enum class Looks : std::uint8_t { kNot, kAhead, kBehind } looks = Looks::kNot;
  std::string opening = "(?:";
  std::string closing = ")";
  bool captures = false;
  ++at_;
  if (take("?:")) {
  } else if (take("?=")) {
    opening = "(?=", looks = Looks::kAhead, out_.needs_backtracking = true, atom.can_repeat = false;
  } else if (take("?!")) {
    opening = "(?!", looks = Looks::kAhead, out_.needs_backtracking = true, atom.can_repeat = false;
  } else if (take("?<=")) {
    if (behind_apart_) return look_behind_apart(atom, false, depth);
    opening = "(?<=", looks = Looks::kBehind, out_.needs_backtracking = true, atom.can_repeat = false;
  } else if (take("?<!")) {
    if (behind_apart_) return look_behind_apart(atom, true, depth);
    opening = "(?<!", looks = Looks::kBehind, out_.needs_backtracking = true, atom.can_repeat = false;
  } else if (take("?<")) {
    std::string name;
    if (!group_name(name)) return false;
    if (!may_name(name)) return fail("two groups of one name");
    captures = true;
  } else if (peek() == '?') {
    if (!modifiers(opening)) return false;
  } else {
    captures = true;
  }
  if (captures && engine_ == Engine::kPcre2) opening = "(";
  const auto number = captures ? ++opened_ : 0;
  std::string inner;
  const auto runs = runs_;
  const auto alternatives = alternatives_.size();
  const auto outer = std::exchange(extent_, Extent{});
  if (!disjunction(inner, depth + 1)) return false;
  if (!more() || peek() != ')') return fail("unterminated group");
  ++at_;
  flags_ = saved;
  atom.extent = std::exchange(extent_, outer);
  if (captures) captures_[number] = {.home = here_, .is_closed = true};
  // What matches within it is not tried again if what follows fails: it gives nothing back, and pays at its end.
  if (engine_ == Engine::kPcre2 && looks != Looks::kNot) {
    const auto branches = alternatives_.size() - alternatives;
    if (looks == Looks::kAhead && runs_ > runs) {
      inner = fmt::format("(?C{}){}(?C{})", Callout::kBegin, branches > 1 ? "(?:" + inner + ")" : inner, Callout::kEnd);
      // Back where it stands: another one around it reads on from there.
      closing += fmt::format("(?C{})", Callout::kBegin);
    }
    if (looks == Looks::kBehind && atom.extent.positions > kFew)
      opening = fmt::format("(?C\"b{},{}\"){}", atom.extent.positions, branches, opening);
    runs_ = runs;
  }
  atom.text = opening + inner + closing;
  return true;
}

bool Translator::look_behind_apart(Atom& atom, bool negative, std::size_t depth) {
  const auto saved = flags_;
  const auto from = at_;
  std::string inner;
  if (!disjunction(inner, depth + 1)) return false;
  if (!more() || peek() != ')') return fail("unterminated group");
  Translator within(in_.substr(from, at_ - from), Engine::kRe2, false);
  within.flags_ = saved;
  ++at_;
  flags_ = saved;
  atom.can_repeat = false;
  // What is not a pattern by itself refers to groups outside of it.
  auto translated = within.run();
  if (!translated || translated->needs_backtracking || out_.behind.size() == Callout::kMostBehind) {
    out_.can_be_apart = false;
    return true;
  }
  has_groups_apart_ = has_groups_apart_ || within.groups_ > 0;
  out_.behind.push_back({.pattern = (saved.ignore_case ? "(?i:" : "(?:") + translated->pattern + ")", .negative = negative});
  atom.text = fmt::format("(?C{})", out_.behind.size());
  return true;
}

bool Translator::modifiers(std::string& opening) {
  ++at_;
  bool on = true;
  std::string seen;
  std::size_t dashes = 0;
  for (; more() && peek() != ':'; ++at_) {
    const char c = peek();
    if (c == '-') {
      if (++dashes > 1) return fail("not a group");
      on = false;
      continue;
    }
    if (seen.find(c) != std::string::npos || (c != 'i' && c != 'm' && c != 's')) return fail("not a group");
    seen += c;
    (c == 'i' ? flags_.ignore_case : (c == 'm' ? flags_.multiline : flags_.dot_all)) = on;
  }
  if (!take(":") || seen.empty()) return fail("not a group");
  opening = flags_.ignore_case ? "(?i:" : "(?-i:";
  return true;
}

bool Translator::may_name(const std::string& name) {
  // The last one speaks for those before it: what is met by this group and not by the last contains neither, for they come in order.
  const auto [known, is_first] = named_.try_emplace(name, here_);
  if (!is_first && !are_apart(known->second, here_)) return false;
  known->second = here_;
  return true;
}

// Whether they stand in different alternatives of some disjunction.
bool Translator::are_apart(std::size_t one, std::size_t other) const {
  const auto& all = alternatives_;
  while (all[one].depth > all[other].depth) one = all[one].outer;
  while (all[other].depth > all[one].depth) other = all[other].outer;
  while (all[one].disjunction != all[other].disjunction) {
    one = all[one].outer;
    other = all[other].outer;
  }
  return one != other;
}

bool Translator::group_name(std::string& name) {
  const auto end = in_.find('>', at_);
  if (end == std::string_view::npos || end == at_) return fail("a group without a name");
  name = in_.substr(at_, end - at_);
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '$' || (c & 0x80) != 0; };
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (!letter(name[i]) && (i == 0 || name[i] < '0' || name[i] > '9')) return fail("not a name of a group");
  }
  at_ = end + 1;
  return true;
}

}  // namespace setget::inline v0::detail::schema
