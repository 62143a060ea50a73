// Character classes, and sets of characters as text.
#include <algorithm>
#include <utility>

#include "validator/ecma_translator.hpp"

namespace setget::inline v0::detail::schema {

void Translator::single(Atom& atom, std::uint32_t code) {
  CharSet set;
  set.add(code, code);
  set_atom(atom, set);
}

void Translator::set_atom(Atom& atom, const CharSet& set) {
  atom.is_set = !flags_.ignore_case;
  atom.set = set;
  atom.text = shown(set, {}, false);
}

std::string Translator::escaped(std::uint32_t code) {
  if ((code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z')) return {static_cast<char>(code)};
  return fmt::format("\\x{{{:X}}}", code);
}

std::string Translator::shown(const CharSet& set, const std::string& properties, bool negated) {
  if (engine_ == Engine::kNone) return {};
  const auto& ranges = set.ranges();
  const auto named = static_cast<std::size_t>(std::ranges::count(properties, '\\'));
  most_ranges_ = std::max(most_ranges_, ranges.size() + named);
  const bool is_one = ranges.size() == 1 && ranges[0].first == ranges[0].second;
  if (!negated && properties.empty() && is_one && (ranges[0].first < 0xD800 || ranges[0].first > 0xDFFF)) return escaped(ranges[0].first);
  if (ranges.empty() && properties.empty()) {
    if (negated) return "[\\x{0}-\\x{10FFFF}]";
    return engine_ == Engine::kRe2 ? "[^\\x{0}-\\x{10FFFF}]" : "(?!)";
  }
  std::string text = negated ? "[^" : "[";
  for (const auto& [first, last] : ranges) {
    // Surrogates are no characters: PCRE2 does not take them, and text in UTF-8 has none.
    const auto from = first >= 0xD800 && first <= 0xDFFF ? 0xE000U : first;
    const auto to = last >= 0xD800 && last <= 0xDFFF ? 0xD7FFU : last;
    if (from > to) continue;
    text += escaped(from);
    if (to > from) text += '-' + escaped(to);
  }
  if (text.back() == '[' || (negated && text == "[^")) {
    if (properties.empty()) return negated ? "[\\x{0}-\\x{10FFFF}]" : (engine_ == Engine::kRe2 ? "[^\\x{0}-\\x{10FFFF}]" : "(?!)");
  }
  return text + properties + ']';
}

bool Translator::character_class(Atom& atom) {
  ++at_;
  const bool negated = take("^");
  CharSet set;
  std::string properties;
  while (true) {
    if (!more()) return fail("unterminated character class");
    if (peek() == ']') break;
    CharSet first;
    const auto before = properties.size();
    if (!class_atom(first, properties)) return false;
    const bool is_one = properties.size() == before && first.ranges().size() == 1 && first.ranges()[0].first == first.ranges()[0].second;
    if (peek() == '-' && more() && peek(1) != ']' && at_ + 1 < in_.size()) {
      ++at_;
      CharSet last;
      const auto middle = properties.size();
      if (!class_atom(last, properties)) return false;
      const bool last_one = properties.size() == middle && last.ranges().size() == 1 && last.ranges()[0].first == last.ranges()[0].second;
      if (is_one && last_one) {
        if (first.ranges()[0].first > last.ranges()[0].first) return fail("range out of order in character class");
        set.add(first.ranges()[0].first, last.ranges()[0].first);
        continue;
      }
      // Annex B: a class at either end makes the dash a character.
      set.add('-', '-');
      set.add(last);
    }
    set.add(first);
  }
  ++at_;
  if (properties.empty()) {
    if (flags_.ignore_case) {
      // The engine folds case before it negates.
      atom.text = shown(set, {}, negated);
      return true;
    }
    set_atom(atom, negated ? set.complement() : set);
    return true;
  }
  out_.is_plain = false;
  atom.text = shown(set, properties, negated);
  return true;
}

bool Translator::class_atom(CharSet& set, std::string& properties) {
  if (!more()) return fail("unterminated character class");
  if (peek() == '\\') return class_escape(set, properties, true);
  const auto code = code_point();
  set.add(code, code);
  return true;
}

}  // namespace setget::inline v0::detail::schema
