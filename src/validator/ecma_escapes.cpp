// What begins with a backslash.
#include <algorithm>
#include <utility>

#include "validator/ecma_translator.hpp"

namespace setget::inline v0::detail::schema {

bool Translator::back_reference(Atom& atom, std::uint64_t which) {
  if (which > groups_) return fail("a reference to a group that is not there");
  out_.needs_backtracking = true;
  out_.is_plain = false;
  has_references_ = true;
  atom.extent.can_be_empty = true;
  const auto& group = captures_[which];
  references_.push_back(
      {.group = which, .at = at_, .is_early = !group.is_closed, .is_sure = group.is_closed && is_within(here_, group.home)});
  atom.text = fmt::format("\\g{{{}}}", which);
  if (engine_ == Engine::kPcre2) atom.text = fmt::format("(?:(?C\"{}{}\"){})", flags_.ignore_case ? 'R' : 'r', which, atom.text);
  return true;
}

// Of groups of one name only one has matched; the others stand for nothing, which always matches.
bool Translator::named_reference(Atom& atom, const std::string& name) {
  const auto known = numbers_.find(name);
  if (known == numbers_.end()) return fail("a reference to a group that is not there");
  if (engine_ == Engine::kNone) return true;
  if (known->second.size() > 64) return fail("a reference to more than 64 groups of one name");
  std::string all;
  for (const auto number : known->second) {
    if (!back_reference(atom, number)) return false;
    all += atom.text;
  }
  atom.text = engine_ == Engine::kPcre2 ? "(?:" + all + ")" : all;
  return true;
}

bool Translator::atom_escape(Atom& atom) {
  const char c = peek(1);
  if (at_ + 1 >= in_.size()) return fail("\\ at the end of the pattern");
  if (c == 'b' || c == 'B') {
    at_ += 2;
    out_.is_plain = false;
    atom.can_repeat = false;
    // RE2's is ASCII, as ECMA's is; PCRE2's too, without the option for Unicode properties. RE2 finds one that is
    // none between the bytes of a character.
    if (c == 'B') out_.needs_backtracking = true;
    atom.text = c == 'b' ? "\\b" : "\\B";
    return true;
  }
  if (c >= '1' && c <= '9') {
    ++at_;
    std::uint64_t which = 0;
    number(which);
    return back_reference(atom, which);
  }
  if (c == 'k') {
    at_ += 2;
    std::string name;
    if (!take("<") || !group_name(name)) return fail("\\k without <name>");
    return named_reference(atom, name);
  }
  CharSet set;
  std::string properties;
  if (!class_escape(set, properties, false)) return false;
  if (properties.empty()) {
    set_atom(atom, set);
  } else {
    out_.is_plain = false;
    atom.text = "[" + properties + "]";
  }
  return true;
}

bool Translator::class_escape(CharSet& set, std::string& properties, bool in_class) {
  ++at_;
  if (!more()) return fail("\\ at the end of the pattern");
  const char c = peek();
  const auto one = [&](std::uint32_t code, std::size_t size) {
    set.add(code, code);
    at_ += size;
    return true;
  };
  switch (c) {
    case 'd':
      return ++at_, set.add(digits()), true;
    case 'D':
      return ++at_, set.add(digits().complement()), true;
    case 'w':
      return ++at_, set.add(word_characters()), true;
    case 'W': {
      auto word = word_characters();
      // Without regard to case these two are an s and a k (ECMA-262, WordCharacters).
      if (flags_.ignore_case) {
        word.add(0x17F, 0x17F);
        word.add(0x212A, 0x212A);
      }
      return ++at_, set.add(word.complement()), true;
    }
    case 's':
      return ++at_, set.add(spaces()), true;
    case 'S':
      return ++at_, set.add(spaces().complement()), true;
    case 't':
      return one('\t', 1);
    case 'n':
      return one('\n', 1);
    case 'v':
      return one('\v', 1);
    case 'f':
      return one('\f', 1);
    case 'r':
      return one('\r', 1);
    case 'b':
      if (in_class) return one('\b', 1);
      break;
    case '0':
      if (peek(1) >= '0' && peek(1) <= '9') return fail("an octal escape");
      return one(0, 1);
    case 'c': {
      const char letter = peek(1);
      if ((letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z')) return one(static_cast<std::uint32_t>(letter) & 0x1F, 2);
      return fail("\\c without a letter");
    }
    case 'x': {
      std::uint32_t code = 0;
      if (!hex(1, 2, code)) return fail("\\x without two hexadecimal digits");
      return one(code, 3);
    }
    case 'u':
      return unicode_escape(set);
    case 'p':
    case 'P':
      return property(set, properties, c == 'P');
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte < 0x80 && ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
    return fail(fmt::format("\\{} is not an escape of ECMA-262", c));
  const auto code = code_point();
  set.add(code, code);
  return true;
}

bool Translator::hex(std::size_t from, std::size_t count, std::uint32_t& code) const {
  code = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const char c = peek(from + i);
    const auto lower = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9') {
      code = code * 16 + static_cast<std::uint32_t>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      code = code * 16 + static_cast<std::uint32_t>(lower - 'a') + 10;
    } else {
      return false;
    }
  }
  return true;
}

bool Translator::unicode_escape(CharSet& set) {
  std::uint32_t code = 0;
  if (peek(1) == '{') {
    const auto end = in_.find('}', at_);
    if (end == std::string_view::npos || end == at_ + 2) return fail("\\u{ without digits");
    for (auto i = at_ + 2; i < end; ++i) {
      std::uint32_t digit = 0;
      if (!hex(i - at_, 1, digit)) return fail("\\u{ without hexadecimal digits");
      code = code * 16 + digit;
      if (code > CharSet::kMax) return fail("beyond U+10FFFF");
    }
    at_ = end + 1;
  } else {
    if (!hex(1, 4, code)) return fail("\\u without four hexadecimal digits");
    at_ += 5;
    std::uint32_t low = 0;
    if (code >= 0xD800 && code <= 0xDBFF && peek() == '\\' && peek(1) == 'u' && hex(2, 4, low) && low >= 0xDC00 && low <= 0xDFFF) {
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      at_ += 6;
    }
  }
  set.add(code, code);
  return true;
}

bool Translator::property(CharSet& set, std::string& properties, bool negated) {
  ++at_;
  const auto end = in_.find('}', at_);
  if (peek() != '{' || end == std::string_view::npos) return fail("\\p without {name}");
  const auto name = in_.substr(at_ + 1, end - at_ - 1);
  const auto plain = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  const auto equals = name.find('=');
  const auto key = equals == std::string_view::npos ? std::string_view() : name.substr(0, equals);
  const auto value = equals == std::string_view::npos ? name : name.substr(equals + 1);
  if (value.empty() || equals == 0 || !std::ranges::all_of(value, plain) || !std::ranges::all_of(key, plain))
    return fail("not a property of Unicode");
  std::string written;
  if (key.empty() && (value == "Any" || value == "ASCII")) {
    CharSet all;
    all.add(0, value == "Any" ? CharSet::kMax : 0x7F);
    set.add(negated ? all.complement() : all);
    at_ = end + 1;
    return true;
  }
  if (key.empty() && value == "Assigned") {
    negated = !negated;
    written = "Cn";
  } else if (key.empty() || key == "General_Category" || key == "gc") {
    const auto found = category(value);
    if (!found && !key.empty()) return fail("not a general category of Unicode");
    if (!found && !is_binary_property(value)) return fail("not a property of Unicode");
    // A binary property: only PCRE2 knows those. For RE2 "other" does not include what is not assigned.
    if (!found || *found == "C") out_.needs_backtracking = true;
    written = found ? (*found == "LC" ? "L&" : std::string(*found)) : std::string(value);
  } else if (key == "Script" || key == "sc" || key == "Script_Extensions" || key == "scx") {
    const auto found = script(value);
    if (!found) return fail("not a script of Unicode");
    const bool extended = key == "Script_Extensions" || key == "scx";
    if (extended) out_.needs_backtracking = true;
    written = (extended ? "scx:" : (engine_ == Engine::kPcre2 ? "sc:" : "")) + std::string(*found);
  } else {
    return fail("not a property of Unicode");
  }
  properties += fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', written);
  at_ = end + 1;
  return true;
}

}  // namespace setget::inline v0::detail::schema
