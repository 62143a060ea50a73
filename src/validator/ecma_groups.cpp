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
        names_.emplace_back();
      } else if (in_.substr(i, 3) == "(?<" && i + 3 < in_.size() && in_[i + 3] != '=' && in_[i + 3] != '!') {
        const auto end = in_.find('>', i);
        names_.emplace_back(in_.substr(i + 3, end == std::string_view::npos ? 0 : end - i - 3));
      }
    }
  }
}

bool Translator::group(Atom& atom, std::size_t depth) {
  out_.is_plain = false;
  const auto saved = flags_;
  std::string opening = "(?:";
  std::string closing = ")";
  ++at_;
  if (take("?:")) {
  } else if (take("?=")) {
    opening = "(?=", out_.needs_backtracking = true, atom.can_repeat = false;
  } else if (take("?!")) {
    opening = "(?!", out_.needs_backtracking = true, atom.can_repeat = false;
  } else if (take("?<=")) {
    if (behind_apart_) return look_behind_apart(atom, false, depth);
    opening = "(?<=", out_.needs_backtracking = true, atom.can_repeat = false;
  } else if (take("?<!")) {
    if (behind_apart_) return look_behind_apart(atom, true, depth);
    opening = "(?<!", out_.needs_backtracking = true, atom.can_repeat = false;
  } else if (take("?<")) {
    std::string name;
    if (!group_name(name)) return false;
    if (!may_name(name)) return fail("two groups of one name");
    if (engine_ == Engine::kPcre2) opening = "(";
  } else if (peek() == '?') {
    if (!modifiers(opening)) return false;
  } else if (engine_ == Engine::kPcre2) {
    opening = "(";
  }
  std::string inner;
  if (!disjunction(inner, depth + 1)) return false;
  if (!more() || peek() != ')') return fail("unterminated group");
  ++at_;
  flags_ = saved;
  atom.text = opening + inner + closing;
  return true;
}

bool Translator::look_behind_apart(Atom& atom, bool negative, std::size_t depth) {
  constexpr std::size_t kMostCallouts = 255;  // PCRE2's
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
  if (!translated || translated->needs_backtracking || out_.behind.size() == kMostCallouts) {
    out_.can_be_apart = false;
    return true;
  }
  has_groups_apart_ = has_groups_apart_ || !within.names_.empty();
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
  const auto apart = [&](const std::vector<Alternative>& other) {
    const auto length = std::min(way_.size(), other.size());
    for (std::size_t i = 0; i < length && way_[i].disjunction == other[i].disjunction; ++i) {
      if (way_[i].number != other[i].number) return true;
    }
    return false;
  };
  for (const auto& [known, way] : named_) {
    if (known == name && !apart(way)) return false;
  }
  named_.emplace_back(name, way_);
  return true;
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
