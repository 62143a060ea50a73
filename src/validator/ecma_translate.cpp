#include "validator/ecma_translate.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace setget::inline v0::detail::schema {

CharSet digits() {
  CharSet set;
  set.add('0', '9');
  return set;
}
CharSet word_characters() {
  auto set = digits();
  set.add('A', 'Z');
  set.add('a', 'z');
  set.add('_', '_');
  return set;
}
CharSet line_ends() {
  CharSet set;
  set.add('\n', '\n');
  set.add('\r', '\r');
  set.add(0x2028, 0x2029);
  return set;
}
// WhiteSpace and LineTerminator of ECMA-262, sections 12.2 and 12.3.
CharSet spaces() {
  auto set = line_ends();
  for (const std::uint32_t code : {0x09U, 0x0BU, 0x0CU, 0x20U, 0xA0U, 0x1680U, 0x202FU, 0x205FU, 0x3000U, 0xFEFFU}) set.add(code, code);
  set.add(0x2000, 0x200A);
  return set;
}

namespace {

// Names of general categories (Unicode, PropertyValueAliases.txt).
constexpr std::array<std::pair<std::string_view, std::string_view>, 45> kCategories = {{
    {"Cased_Letter", "LC"},
    {"Close_Punctuation", "Pe"},
    {"Connector_Punctuation", "Pc"},
    {"Control", "Cc"},
    {"cntrl", "Cc"},
    {"Currency_Symbol", "Sc"},
    {"Dash_Punctuation", "Pd"},
    {"Decimal_Number", "Nd"},
    {"digit", "Nd"},
    {"Enclosing_Mark", "Me"},
    {"Final_Punctuation", "Pf"},
    {"Format", "Cf"},
    {"Initial_Punctuation", "Pi"},
    {"Letter", "L"},
    {"Letter_Number", "Nl"},
    {"Line_Separator", "Zl"},
    {"Lowercase_Letter", "Ll"},
    {"Mark", "M"},
    {"Combining_Mark", "M"},
    {"Math_Symbol", "Sm"},
    {"Modifier_Letter", "Lm"},
    {"Modifier_Symbol", "Sk"},
    {"Nonspacing_Mark", "Mn"},
    {"Number", "N"},
    {"Open_Punctuation", "Ps"},
    {"Other", "C"},
    {"Other_Letter", "Lo"},
    {"Other_Number", "No"},
    {"Other_Punctuation", "Po"},
    {"Other_Symbol", "So"},
    {"Paragraph_Separator", "Zp"},
    {"Private_Use", "Co"},
    {"Punctuation", "P"},
    {"punct", "P"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Spacing_Mark", "Mc"},
    {"Surrogate", "Cs"},
    {"Symbol", "S"},
    {"Titlecase_Letter", "Lt"},
    {"Unassigned", "Cn"},
    {"Uppercase_Letter", "Lu"},
    {"L", "L"},
    {"LC", "LC"},
    {"N", "N"},
}};
constexpr std::array<std::string_view, 36> kShortCategories = {"C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu",
                                                               "M",  "Mc", "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe",
                                                               "Pf", "Pi", "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zs"};

std::optional<std::string_view> category(std::string_view name) {
  if (name == "Zp") return name;
  if (std::ranges::find(kShortCategories, name) != kShortCategories.end()) return name;
  const auto* found = std::ranges::find_if(kCategories, [&](const auto& entry) { return entry.first == name; });
  if (found == kCategories.end()) return std::nullopt;
  return found->second;
}

// One atom: a set, or sets and properties of Unicode that the engine knows, or something else (a group, an assertion).
struct Atom {
  std::string text{};
  CharSet set{};
  bool is_set = false;  // `set` says all
  bool can_repeat = true;
};

class Translator {
 public:
  Translator(std::string_view pattern, Engine engine) : in_(pattern), engine_(engine) {}

  Result<Translated> run() {
    out_.is_plain = true;
    count_groups();
    std::string text;
    if (!disjunction(text, 0)) return error();
    if (at_ < in_.size()) return fail("unmatched ')'"), error();
    out_.pattern = std::move(text);
    return std::move(out_);
  }

 private:
  struct Flags {
    bool ignore_case = false;
    bool multiline = false;
    bool dot_all = false;
  };

  Error error() const {
    return Error(ErrorCode::kInvalidArgument, fmt::format("regular expression: byte {}: {}", at_, problem_)).at_position(at_);
  }
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

  // Capturing groups and their names, for references to those that come later.
  void count_groups() {
    bool in_class = false;
    for (std::size_t i = 0; i < in_.size(); ++i) {
      if (in_[i] == '\\') {
        ++i;
      } else if (in_[i] == '[') {
        in_class = true;
      } else if (in_[i] == ']') {
        in_class = false;
      } else if (in_[i] == '(' && !in_class) {
        if (i + 1 < in_.size() && in_[i + 1] != '?') {
          names_.emplace_back();
        } else if (in_.substr(i, 3) == "(?<" && i + 3 < in_.size() && in_[i + 3] != '=' && in_[i + 3] != '!') {
          const auto end = in_.find('>', i);
          names_.emplace_back(in_.substr(i + 3, end == std::string_view::npos ? 0 : end - i - 3));
        } else if (i + 1 == in_.size()) {
          names_.emplace_back();
        }
      }
    }
  }

  bool disjunction(std::string& text, std::size_t depth) {
    if (depth > 200) return fail("groups nested deeper than 200");
    while (true) {
      if (!alternative(text, depth)) return false;
      if (peek() != '|' || !more()) return true;
      ++at_;
      text += '|';
      out_.is_plain = false;
    }
  }

  bool alternative(std::string& text, std::size_t depth) {
    while (more() && peek() != '|' && peek() != ')') {
      Atom atom;
      if (!term(atom, depth)) return false;
      PlainItem item;
      if (!quantifier(atom, item)) return false;
      text += atom.text;
      if (out_.is_plain && atom.is_set) {
        item.set = atom.set;
        if (out_.at_end) out_.is_plain = false;
        out_.items.push_back(std::move(item));
      } else if (!atom.is_set && atom.text != "\\A" && atom.text != "\\z") {
        out_.is_plain = false;
      }
    }
    return true;
  }

  bool term(Atom& atom, std::size_t depth) {
    const char c = peek();
    switch (c) {
      case '^':
        ++at_;
        atom.can_repeat = false;
        if (flags_.multiline) return line_edge(atom, "(?<!");
        if (!out_.items.empty() || out_.at_start || depth > 0) out_.is_plain = false;
        out_.at_start = true;
        atom.text = "\\A";
        return true;
      case '$':
        ++at_;
        atom.can_repeat = false;
        if (flags_.multiline) return line_edge(atom, "(?!");
        if (out_.at_end || depth > 0) out_.is_plain = false;
        out_.at_end = true;
        atom.text = "\\z";
        return true;
      case '(':
        return group(atom, depth);
      case '.': {
        ++at_;
        CharSet any;
        any.add(0, CharSet::kMax);
        set_atom(atom, flags_.dot_all ? any : line_ends().complement());
        return true;
      }
      case '[':
        return character_class(atom);
      case '\\':
        return atom_escape(atom);
      case '*':
      case '+':
      case '?':
        return fail("nothing to repeat");
      case '{': {
        // Annex B: a brace that begins no quantifier is a character.
        std::uint64_t least = 0;
        std::uint64_t most = 0;
        const auto before = at_;
        if (braces(least, most)) {
          at_ = before;
          return fail("nothing to repeat");
        }
        at_ = before;
        break;
      }
      default:
        break;
    }
    single(atom, code_point());
    return true;
  }

  bool line_edge(Atom& atom, std::string_view opening) {
    out_.needs_backtracking = true;
    atom.text = fmt::format("{}[^\\n\\r\\x{{2028}}\\x{{2029}}])", opening);
    return true;
  }

  std::uint32_t code_point() {
    const auto lead = static_cast<unsigned char>(in_[at_]);
    const std::size_t size = lead < 0x80 ? 1 : (lead < 0xE0 ? 2 : (lead < 0xF0 ? 3 : 4));
    std::uint32_t code = size == 1 ? lead : lead & (0xFFU >> (size + 1));
    for (std::size_t i = 1; i < size && at_ + i < in_.size(); ++i) code = (code << 6) | (static_cast<unsigned char>(in_[at_ + i]) & 0x3F);
    at_ = std::min(at_ + size, in_.size());
    return code;
  }

  void single(Atom& atom, std::uint32_t code) {
    CharSet set;
    set.add(code, code);
    set_atom(atom, set);
  }
  void set_atom(Atom& atom, const CharSet& set) {
    atom.is_set = !flags_.ignore_case;
    atom.set = set;
    atom.text = shown(set, {}, false);
  }

  static std::string escaped(std::uint32_t code) {
    if ((code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z')) return {static_cast<char>(code)};
    return fmt::format("\\x{{{:X}}}", code);
  }
  std::string shown(const CharSet& set, const std::string& properties, bool negated) const {
    const auto& ranges = set.ranges();
    if (!negated && properties.empty() && ranges.size() == 1 && ranges[0].first == ranges[0].second) return escaped(ranges[0].first);
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

  bool number(std::uint64_t& value) {
    const auto start = at_;
    value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = std::min<std::uint64_t>(value * 10 + static_cast<std::uint64_t>(peek() - '0'), 1'000'000'000'000);
      ++at_;
    }
    return at_ > start;
  }
  bool braces(std::uint64_t& least, std::uint64_t& most) {
    if (!take("{") || !number(least)) return false;
    most = least;
    if (take(",")) {
      if (!number(most)) most = UINT64_MAX;
    }
    return take("}");
  }

  bool quantifier(Atom& atom, PlainItem& item) {
    const char c = more() ? peek() : '\0';
    std::uint64_t least = 1;
    std::uint64_t most = 1;
    if (c == '*' || c == '+' || c == '?') {
      ++at_;
      least = c == '+' ? 1 : 0;
      most = c == '?' ? 1 : UINT64_MAX;
    } else if (c == '{') {
      const auto before = at_;
      if (!braces(least, most)) {
        at_ = before;
        return true;
      }
      if (least > most) return fail("numbers out of order in {} quantifier");
    } else {
      return true;
    }
    if (!atom.can_repeat) return fail("nothing to repeat");
    const bool lazy = take("?");
    item.min = least;
    item.max = most;
    repeat(atom.text, least, most, lazy);
    return true;
  }

  // RE2 repeats at most 1000 times: more is written as a sequence.
  void repeat(std::string& text, std::uint64_t least, std::uint64_t most, bool lazy) {
    constexpr std::uint64_t kOnce = 1000;
    constexpr std::uint64_t kLargest = 60'000;
    const auto counted = [&](std::uint64_t from, std::uint64_t to) {
      auto quantity = to == UINT64_MAX ? fmt::format("{{{},}}", from) : fmt::format("{{{},{}}}", from, to);
      if (from == 0 && to == UINT64_MAX) quantity = "*";
      if (from == 1 && to == UINT64_MAX) quantity = "+";
      if (from == 0 && to == 1) quantity = "?";
      return (is_one(text) ? text : "(?:" + text + ")") + quantity + (lazy ? "?" : "");
    };
    const auto top = most == UINT64_MAX ? least : most;
    if (engine_ == Engine::kPcre2 || top <= kOnce || top > kLargest || text.size() * (top / kOnce) > (1U << 16)) {
      if (engine_ == Engine::kRe2 && top > kOnce) out_.needs_backtracking = true;
      text = counted(least, most);
      return;
    }
    std::string all = "(?:";
    for (auto left = least; left > 0; left -= std::min(left, kOnce)) all += counted(std::min(left, kOnce), std::min(left, kOnce));
    if (most == UINT64_MAX) {
      all += counted(0, UINT64_MAX);
    } else {
      for (auto left = most - least; left > 0; left -= std::min(left, kOnce)) all += counted(0, std::min(left, kOnce));
    }
    text = all + ")";
  }
  // Whether a quantifier after it concerns all of it.
  static bool is_one(const std::string& text) {
    if (text.size() == 1) return true;
    if (text[0] == '[') return text.find(']') == text.size() - 1;
    if (text.starts_with("\\x{")) return text.find('}') == text.size() - 1;
    return false;
  }

  bool group(Atom& atom, std::size_t depth) {
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
      opening = "(?<=", out_.needs_backtracking = true, atom.can_repeat = false;
    } else if (take("?<!")) {
      opening = "(?<!", out_.needs_backtracking = true, atom.can_repeat = false;
    } else if (take("?<")) {
      std::string name;
      if (!group_name(name)) return false;
      if (std::ranges::count(names_, name) > 1) return fail("two groups of one name");
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

  // (?i:…), (?ms-i:…): ECMA-262 of 2025.
  bool modifiers(std::string& opening) {
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

  bool group_name(std::string& name) {
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

  bool back_reference(Atom& atom, std::uint64_t which) {
    if (which > names_.size()) return fail("a reference to a group that is not there");
    out_.needs_backtracking = true;
    out_.is_plain = false;
    atom.text = fmt::format("\\g{{{}}}", which);
    if (engine_ == Engine::kPcre2) atom.text = "(?:" + atom.text + ")";
    return true;
  }

  bool atom_escape(Atom& atom) {
    const char c = peek(1);
    if (at_ + 1 >= in_.size()) return fail("\\ at the end of the pattern");
    if (c == 'b' || c == 'B') {
      at_ += 2;
      out_.is_plain = false;
      atom.can_repeat = false;
      // RE2's is ASCII, as ECMA's is; PCRE2's too, without the option for Unicode properties.
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
      const auto found = std::ranges::find(names_, name);
      if (found == names_.end()) return fail("a reference to a group that is not there");
      return back_reference(atom, static_cast<std::uint64_t>(found - names_.begin()) + 1);
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

  // An escape that stands for characters: \d, \p{…}, \n, \u0041, \-. `at_` is on the backslash.
  bool class_escape(CharSet& set, std::string& properties, bool in_class) {
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
      case 'W':
        return ++at_, set.add(word_characters().complement()), true;
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

  bool hex(std::size_t from, std::size_t count, std::uint32_t& code) const {
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

  bool unicode_escape(CharSet& set) {
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

  bool property(CharSet& set, std::string& properties, bool negated) {
    ++at_;
    const auto end = in_.find('}', at_);
    if (peek() != '{' || end == std::string_view::npos) return fail("\\p without {name}");
    const auto name = in_.substr(at_ + 1, end - at_ - 1);
    const auto plain = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    const auto equals = name.find('=');
    const auto key = equals == std::string_view::npos ? std::string_view() : name.substr(0, equals);
    const auto value = equals == std::string_view::npos ? name : name.substr(equals + 1);
    if (value.empty() || !std::ranges::all_of(value, plain) || !std::ranges::all_of(key, plain)) return fail("not a property of Unicode");
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
      if (!found) out_.needs_backtracking = true;  // a binary property: only PCRE2 knows those
      written = found ? (*found == "LC" ? "L&" : std::string(*found)) : std::string(value);
    } else if (key == "Script" || key == "sc") {
      written = (engine_ == Engine::kPcre2 ? "sc:" : "") + std::string(value);
    } else if (key == "Script_Extensions" || key == "scx") {
      out_.needs_backtracking = true;
      written = "scx:" + std::string(value);
    } else {
      return fail("not a property of Unicode");
    }
    properties += fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', written);
    at_ = end + 1;
    return true;
  }

  bool character_class(Atom& atom) {
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

  bool class_atom(CharSet& set, std::string& properties) {
    if (!more()) return fail("unterminated character class");
    if (peek() == '\\') return class_escape(set, properties, true);
    const auto code = code_point();
    set.add(code, code);
    return true;
  }

  std::string_view in_;
  Engine engine_;
  std::size_t at_ = 0;
  Translated out_;
  std::string problem_;
  Flags flags_;
  std::vector<std::string> names_;  // of capturing groups; empty for those without
};

}  // namespace

Result<Translated> translate(std::string_view pattern, Engine engine) { return Translator(pattern, engine).run(); }

}  // namespace setget::inline v0::detail::schema
