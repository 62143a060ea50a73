// Terms and their quantifiers.
#include <algorithm>
#include <bit>
#include <utility>

#include "validator/ecma_translator.hpp"

namespace setget::inline v0::detail::schema {
namespace {

constexpr std::uint64_t kMostPositions = std::uint64_t{1} << 30;

}  // namespace

Result<Translated> Translator::run() {
  out_.is_plain = engine_ == Engine::kRe2;
  count_groups();
  captures_.resize(groups_ + 1);
  std::string text;
  if (!disjunction(text, 0)) return error();
  if (at_ < in_.size()) return fail("unmatched ')'"), error();
  if (engine_ == Engine::kPcre2 && !references_hold()) return error();
  out_.can_be_apart = out_.can_be_apart && !(has_references_ && has_groups_apart_);
  out_.pattern = std::move(text);
  // So many ranges, and groups, take about as long as a step does without them.
  constexpr std::size_t kRanges = 16;
  constexpr std::size_t kGroups = 64;
  out_.weight = static_cast<std::uint32_t>(1 + most_ranges_ / kRanges + groups_ / kGroups);
  out_.is_one_way = is_anchored_ && choices_ <= 1;
  out_.positions = is_anchored_ && !is_endless_ ? 0 : extent_.positions;
  return std::move(out_);
}

bool Translator::disjunction(std::string& text, std::size_t depth) {
  if (depth > 200) return fail("groups nested deeper than 200");
  const auto outer = here_;
  const auto number = disjunctions_++;
  const auto groups = opened_;
  const auto first = alternatives_.size();
  const auto unpaid = unpaid_;
  auto most_unpaid = unpaid;
  while (true) {
    here_ = alternatives_.size();
    unpaid_ = unpaid;
    alternatives_.push_back({.outer = outer, .disjunction = number, .depth = depth});
    if (!alternative(text, depth)) return false;
    most_unpaid = std::max(most_unpaid, unpaid_);
    if (peek() != '|' || !more()) break;
    ++at_;
    ++choices_;
    text += '|';
    out_.is_plain = false;
  }
  const bool is_only = here_ == first;
  if (depth == 0) is_anchored_ = is_only && in_.starts_with('^') && !flags_.multiline;
  // Where there is no other way, what is in it is on each way through what it stands in.
  for (auto group = groups + 1; group <= opened_ && is_only; ++group) {
    if (captures_[group].home == here_) captures_[group].home = outer;
  }
  here_ = outer;
  unpaid_ = most_unpaid;
  return true;
}

bool Translator::alternative(std::string& text, std::size_t depth) {
  bool can_be_empty = true;
  while (more() && peek() != '|' && peek() != ')') {
    Atom atom;
    const auto before = choices_;
    const auto groups = opened_;
    const auto references = references_.size();
    const auto unpaid = ++unpaid_;
    const auto payments = payments_;
    if (!term(atom, depth)) return false;
    atom.reads = payments_ == payments ? unpaid_ - unpaid + 1 : unpaid_;
    const auto within = choices_ - before;
    PlainItem item;
    if (!quantifier(atom, item)) return false;
    if (item.min == 0) unpaid_ = std::max(unpaid_, atom.is_paid ? 1 : unpaid);
    // Repeated, what is chosen within it is chosen each time.
    if (item.max > 1) choices_ += within;
    repeat_captures(groups, references, atom, item);
    can_be_empty = can_be_empty && (atom.extent.can_be_empty || !atom.can_repeat || item.min == 0);
    extent_.repeats = std::max(extent_.repeats, atom.extent.repeats);
    extent_.positions = std::min(extent_.positions + atom.extent.positions, kMostPositions);
    // Without an engine nothing is gathered: each group would be copied once for each that it stands in.
    if (engine_ != Engine::kNone) text += atom.text;
    if (engine_ == Engine::kPcre2 && unpaid_ >= kFew) text += pay(std::exchange(unpaid_, 0));
    if (out_.is_plain && atom.is_set) {
      item.set = atom.set;
      if (out_.at_end) out_.is_plain = false;
      out_.items.push_back(std::move(item));
    } else if (!atom.is_set && atom.text != "\\A" && atom.text != "\\z") {
      out_.is_plain = false;
    }
  }
  extent_.can_be_empty = extent_.can_be_empty || can_be_empty;
  return true;
}

bool Translator::term(Atom& atom, std::size_t depth) {
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

bool Translator::line_edge(Atom& atom, std::string_view opening) {
  out_.needs_backtracking = true;
  atom.text = fmt::format(R"({}[^\n\r\x{{2028}}\x{{2029}}]))", opening);
  return true;
}

std::uint32_t Translator::code_point() {
  const auto lead = static_cast<unsigned char>(in_[at_]);
  const std::size_t size = lead < 0x80 ? 1 : (lead < 0xE0 ? 2 : (lead < 0xF0 ? 3 : 4));
  std::uint32_t code = size == 1 ? lead : lead & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size && at_ + i < in_.size(); ++i) code = (code << 6) | (static_cast<unsigned char>(in_[at_ + i]) & 0x3F);
  at_ = std::min(at_ + size, in_.size());
  return code;
}

bool Translator::number(std::uint64_t& value) {
  const auto start = at_;
  value = 0;
  while (peek() >= '0' && peek() <= '9') {
    value = std::min<std::uint64_t>(value * 10 + static_cast<std::uint64_t>(peek() - '0'), 1'000'000'000'000);
    ++at_;
  }
  return at_ > start;
}

bool Translator::braces(std::uint64_t& least, std::uint64_t& most) {
  if (!take("{") || !number(least)) return false;
  most = least;
  if (take(",")) {
    if (!number(most)) most = UINT64_MAX;
  }
  return take("}");
}

bool Translator::quantifier(Atom& atom, PlainItem& item) {
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
  if (least != most) ++choices_;
  is_endless_ = is_endless_ || most == UINT64_MAX;
  repeat(atom, least, most, lazy);
  return true;
}

void Translator::repeat(Atom& atom, std::uint64_t least, std::uint64_t most, bool lazy) {
  if (engine_ == Engine::kNone) return;
  auto& text = atom.text;
  auto& extent = atom.extent;
  const auto once = std::max<std::uint64_t>(1, 1000 / extent.repeats);
  constexpr std::uint64_t kLargest = 60'000;
  const auto top = most == UINT64_MAX ? least : most;
  const auto longer = top <= kLargest ? text.size() * (top / once) : 0;
  extent.positions = std::min(extent.positions * std::clamp<std::uint64_t>(top, 1, kLargest), kMostPositions);
  extent.repeats *= std::clamp<std::uint64_t>(top, 1, once);
  if (engine_ == Engine::kRe2) expanded_ += longer;
  if (engine_ == Engine::kPcre2) return repeat_in_steps(atom, least, most, lazy);
  if (top <= once || top > kLargest || longer > (1U << 16) || expanded_ > (1U << 20)) {
    out_.is_long = out_.is_long || top > once;
    text = counted(text, least, most, lazy);
    return;
  }
  std::string all = "(?:";
  for (auto left = least; left > 0; left -= std::min(left, once)) all += counted(text, std::min(left, once), std::min(left, once), lazy);
  if (most == UINT64_MAX) {
    all += counted(text, 0, UINT64_MAX, lazy);
  } else {
    for (auto left = most - least; left > 0; left -= std::min(left, once)) all += counted(text, 0, std::min(left, once), lazy);
  }
  text = all + ")";
}

std::string Translator::counted(const std::string& text, std::uint64_t from, std::uint64_t to, bool lazy) {
  auto quantity = to == UINT64_MAX ? fmt::format("{{{},}}", from) : fmt::format("{{{},{}}}", from, to);
  if (from == 0 && to == UINT64_MAX) quantity = "*";
  if (from == 1 && to == UINT64_MAX) quantity = "+";
  if (from == 0 && to == 1) quantity = "?";
  return (is_one(text) || text.starts_with("(?:") ? text : "(?:" + text + ")") + quantity + (lazy ? "?" : "");
}

void Translator::repeat_in_steps(Atom& atom, std::uint64_t least, std::uint64_t most, bool lazy) {
  constexpr std::uint64_t kLargest = 65'535;  // that PCRE2 takes
  constexpr auto kFirst = 4 * kFew;           // of one set: no more than that is read quickly
  const auto rest = most == UINT64_MAX ? most : most - least;
  auto before = unpaid_ - atom.reads;
  auto& text = atom.text;
  std::string paid;
  // What stands before what is repeated so or so often is paid there: behind it, it would be anew at each way.
  if (!is_one(text)) {
    atom.is_paid = rest > 0 && before >= kFew / 2;
    if (atom.is_paid) paid = pay(std::exchange(before, 0));
    if (least > kFew || (least > 1 && least * atom.reads > kFew)) {
      text = (text.starts_with("(?:") ? text.substr(0, text.size() - 1) : "(?:" + text) + pay(atom.reads) + ")";
      unpaid_ = before;
    } else {
      unpaid_ = before + std::max<std::uint64_t>(least, 1) * atom.reads;
    }
    text = paid + counted(text, least, most, lazy);
    return;
  }
  constexpr std::uint64_t kShortRun = 8;
  const bool is_long = rest > kShortRun;
  if (is_long) ++runs_;
  const bool in_parts = least > kFirst || (rest > 0 && before + least >= kFew / 2);
  if (in_parts && (most <= kLargest || most == UINT64_MAX)) {
    // Each part is as long as all before it: where one does not match, no more has been read for nothing than was paid for.
    atom.is_paid = least == 0;
    if (atom.is_paid) paid = pay(std::exchange(before, 0));
    for (auto left = least; left > 0;) {
      const auto part = std::min(std::max(kFirst, least - left), left);
      left -= part;
      paid += counted(text, part, part, lazy) + pay(part + std::exchange(before, 0));
    }
    least = 0, most = rest;
  }
  unpaid_ = before + 1 + least + (is_long ? 0 : rest);
  text = most > 0 ? paid + counted(text, least, most, lazy) : paid;
}

std::string Translator::pay(std::uint64_t reads) {
  out_.reads_much = true;
  ++payments_;
  const auto number = Callout::kReads + static_cast<std::uint32_t>(std::bit_width(reads - 1));
  return fmt::format("(?C{})", number);
}

bool Translator::is_one(const std::string& text) {
  if (text.size() == 1) return true;
  if (text[0] == '[') return text.find(']') == text.size() - 1;
  if (text.starts_with("\\x{")) return text.find('}') == text.size() - 1;
  return false;
}

Result<Translated> translate(std::string_view pattern, Engine engine, bool behind_apart) {
  return Translator(pattern, engine, behind_apart).run();
}

}  // namespace setget::inline v0::detail::schema
