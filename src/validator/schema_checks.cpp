// Eval on what has no parts: types, values, strings, numbers; and equality.
#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "validator/json_reader.hpp"
#include "validator/schema_eval.hpp"

namespace setget::inline v0::detail::schema {

bool Eval::type_holds(const Node& node, std::uint8_t type, std::size_t at) {
  if ((node.types & type) != 0) return true;
  if (type != kFraction || (node.types & kInteger) == 0) return false;
  const auto number = number_at(tape_, at);
  if (!spend(number.text.size() / 16)) return false;
  if (node.whole_only_by_text) return number.kind == 'N' && number.text.find_first_of(".eE") == std::string_view::npos;
  return is_exact() && is_whole(number);
}

std::size_t code_points(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

bool Eval::counted_length_holds(const StringPart& part, std::string_view text) noexcept {
  if (!spend(text.size() / 64)) return false;
  const auto length = code_points(text);
  return length >= part.min && length <= part.max;
}

bool Eval::pattern(const Regex& regex, std::string_view text) {
  switch (regex.search(text, steps_)) {
    case RegexMatch::kYes:
      return true;
    case RegexMatch::kNo:
      return false;
    case RegexMatch::kOverBudget:
      halt(Stop::kPattern);
      break;
    case RegexMatch::kOutOfSteps:
      halt(Stop::kSteps);
  }
  return false;
}

bool Eval::text(const StringPart& part, std::string_view text) {
  if (part.format && !format_holds(part, text)) return false;
  if (part.pattern && !pattern(*part.pattern, text)) return false;
  return !part.has_content || content_holds(part, text);
}

// Draft 7 only, on request: base64 (RFC 4648 section 4) and application/json.
bool Eval::content_holds(const StringPart& part, std::string_view text) {
  if (!spend(text.size() / 2)) return false;
  std::string decoded;
  if (part.content_encoding == "base64") {
    if (!is_base64(text, &decoded)) return false;
    text = decoded;
  } else if (!part.content_encoding.empty()) {
    return true;  // an encoding that is not known hides the content
  }
  if (part.content_media_type != "application/json") return true;
  TapeWriter writer;
  return read_json(text, program_.limits.max_depth, writer).has_value();
}

bool is_base64(std::string_view text, std::string* decoded) {
  if (text.size() % 4 != 0) return false;
  const auto value = [](char c) -> int {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : (c == '/' ? 63 : -1);
  };
  auto padding = std::size_t{0};
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  unsigned bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int six = i < text.size() - padding ? value(text[i]) : 0;
    if (six < 0) return false;
    bits = (bits << 6) | static_cast<unsigned>(six);
    if (i % 4 != 3) continue;
    const auto bytes = i + 1 == text.size() ? 3 - padding : 3;
    for (std::size_t b = 0; b < bytes && decoded; ++b) *decoded += static_cast<char>((bits >> (16 - 8 * b)) & 0xFF);
    bits = 0;
  }
  return true;
}

bool Eval::bound_holds(const Bound& bound, const Number& number, int sign) {
  const auto order = compare(number, bound.number) * sign;
  return bound.exclusive ? order > 0 : order >= 0;
}

bool Eval::multiple_holds(const Bound& bound, const Number& number) {
  const auto answer = is_multiple(number, bound.number, steps_);
  if (answer == Multiple::kOverBudget) halt(Stop::kSteps);
  return answer == Multiple::kYes;
}

bool Eval::any_number(const NumberPart& part, std::size_t at) {
  const auto number = number_at(tape_, at);
  if (number.kind == 'd' && !is_exact()) return false;
  if (number.kind == 'N' && !spend(number.text.size() / 4)) return false;
  const auto holds = [&](const Bound& bound, int sign) { return !bound.is_set || bound_holds(bound, number, sign); };
  if (part.has_minimum && !(holds(part.minimum, 1) && holds(part.exclusive_minimum, 1))) return false;
  if (part.has_maximum && !(holds(part.maximum, -1) && holds(part.exclusive_maximum, -1))) return false;
  return !part.has_multiple || multiple_holds(part.multiple_of, number);
}

bool Eval::in_set(const ValueSet& set, std::size_t at, std::uint8_t type) {
  switch (type) {
    case kString:
      return (set.types & kString) != 0 && set.strings.find_likely(text_at(tape_, at)) != NameMap::kNone;
    case kNull:
      return (set.types & kNull) != 0;
    case kBoolean:
      return tag_of(tape_.words[at]) == 't' ? set.has_true : set.has_false;
    case kInteger:
    case kFraction:
      return (set.types & kNumber) != 0 && in_numbers(set, number_at(tape_, at));
    default:
      break;
  }
  if ((set.types & type) == 0) return false;
  // With one alone a hash tells nothing sooner; but it tells whether numbers matter that a parser may have rounded.
  if (set.containers.size() == 1 && !exactness_) {
    std::uint64_t steps = 0;
    const bool same = equal_values(tape_, at, set.tape, set.containers.front().second, steps);
    return spend(steps) && same;
  }
  Hashed hashed;
  const auto hash = hash_value(tape_, at, hashed);
  if ((hashed.fractions && !is_exact()) || !spend(next_of(tape_.words, at) - at + hashed.bytes / 16)) return false;
  for (auto one = std::ranges::lower_bound(set.containers, std::pair(hash, std::size_t{0})); one != set.containers.end(); ++one) {
    if (one->first != hash) return false;
    std::uint64_t steps = 0;
    const bool same = equal_values(tape_, at, set.tape, one->second, steps);
    if (!spend(steps)) return false;
    if (same) return true;
  }
  return false;
}

bool Eval::in_numbers(const ValueSet& set, const Number& number) {
  if (number.kind == 'l') return std::ranges::binary_search(set.integers, number.integer);
  if (number.kind == 'd' && !is_exact()) return false;
  if (number.kind == 'd' && is_whole(number) && std::abs(number.real) < kWholeDoubles)
    return std::ranges::binary_search(set.integers, static_cast<std::int64_t>(number.real));
  const auto same = [&](const Number& one) { return compare(number, one) == 0; };
  // One that stands as text is compared with all, each time from its first digit.
  const auto all = set.numbers.size() + (number.kind == 'N' ? set.integers.size() : 0);
  if (!spend(all * (1 + number.text.size() / 16) / 4)) return false;
  if (number.kind == 'd' && !is_whole(number)) return std::ranges::any_of(set.numbers, same);
  return std::ranges::any_of(set.numbers, same) ||
         std::ranges::any_of(set.integers, [&](std::int64_t one) { return same(Number{.integer = one}); });
}

bool equal_values(const Tape& a, std::size_t i, const Tape& b, std::size_t j, std::uint64_t& steps) {
  ++steps;
  const auto first = a.words[i];
  const auto second = b.words[j];
  const auto type = kTypes.of[tag_of(first)];
  const auto other = kTypes.of[tag_of(second)];
  if ((type & kNumber) != 0) {
    if ((other & kNumber) == 0) return false;
    const auto number = number_at(a, i);
    const auto its = number_at(b, j);
    steps += (number.text.size() + its.text.size()) / 4;
    return compare(number, its) == 0;
  }
  if (tag_of(first) != tag_of(second)) return false;
  if (type == kString) {
    const auto text = text_of(a, first);
    steps += text.size() / 16;
    return text == text_of(b, second);
  }
  if (type != kArray && type != kObject) return true;
  if (count_of(a, i) != count_of(b, j)) return false;
  const auto end = static_cast<std::uint32_t>(first) - 1;
  const auto other_end = static_cast<std::uint32_t>(second) - 1;
  auto x = i + 1;
  auto y = j + 1;
  if (type == kArray) {
    for (; x < end && y < other_end; x = next_of(a.words, x), y = next_of(b.words, y)) {
      if (!equal_values(a, x, b, y, steps)) return false;
    }
    return true;
  }
  // By name, of an object that is too large to be looked through for each.
  std::vector<std::pair<std::string_view, std::size_t>> sorted;
  const auto other_member = [&](std::string_view name) -> std::size_t {
    constexpr std::size_t kFew = 32;
    if (count_of(b, j) <= kFew) {
      steps += kFew / 4;
      return member(b, j, name);
    }
    if (sorted.empty()) {
      each_member(b, j, [&](std::string_view its, std::size_t value) { sorted.emplace_back(its, value); });
      std::ranges::stable_sort(sorted, {}, &std::pair<std::string_view, std::size_t>::first);
      steps += 4 * sorted.size();
    }
    steps += 4;
    const auto at = std::ranges::lower_bound(sorted, name, {}, &std::pair<std::string_view, std::size_t>::first);
    return at != sorted.end() && at->first == name ? at->second : 0;
  };
  // Often in the same order: look there first.
  for (; x < end; x = next_of(a.words, x + 1)) {
    const auto name = text_at(a, x);
    auto found = y < other_end && text_at(b, y) == name ? y + 1 : 0;
    if (found == 0) {
      found = other_member(name);
      if (found == 0) return false;
    }
    if (!equal_values(a, x + 1, b, found, steps)) return false;
    y = next_of(b.words, found);
  }
  return true;
}

std::uint64_t hash_value(const Tape& tape, std::size_t at, Hashed& what) {
  const auto mix = [](std::uint64_t hash, std::uint64_t value) {
    hash = (hash ^ value) * 0xD6E8FEB86659FD93ULL;
    return hash ^ (hash >> 32);
  };
  const auto hash_text = [&](std::string_view text) {
    std::uint64_t hash = text.size();
    what.bytes += text.size();
    std::size_t i = 0;
    for (; i + 8 <= text.size(); i += 8) hash = mix(hash, load64(text.data() + i));
    std::uint64_t rest = 0;
    std::memcpy(&rest, text.data() + i, text.size() - i);
    return mix(hash, rest);
  };
  const auto word = tape.words[at];
  switch (kTypes.of[tag_of(word)]) {
    case kString:
      return mix(3, hash_text(text_of(tape, word)));
    case kFraction:
      what.fractions = true;
      [[fallthrough]];
    case kInteger: {
      // One that stands as text is read digit by digit.
      const auto number = number_at(tape, at);
      what.bytes += 4 * number.text.size();
      return mix(5, hash_of(number));
    }
    case kArray: {
      std::uint64_t hash = 7;
      each_element(tape, at, [&](std::size_t item) { hash = mix(hash, hash_value(tape, item, what)); });
      return hash;
    }
    case kObject: {
      std::uint64_t hash = 11;
      // Commutative: the order of names does not count.
      each_member(tape, at, [&](std::string_view name, std::size_t item) { hash += mix(hash_text(name), hash_value(tape, item, what)); });
      return mix(hash, 13);
    }
    default:
      return mix(tag_of(word), 17);
  }
}

bool Eval::unique(std::size_t array, std::size_t* first, std::size_t* second) {
  const auto count = count_of(tape_, array);
  if (count < 2) return true;
  const auto end = static_cast<std::uint32_t>(tape_.words[array]) - 1;
  if (!spend((end - array) / 4)) return false;
  // Sorted by hash: equal ones are neighbours.
  auto& pairs = bits().places();
  pairs.clear();
  Hashed hashed;
  // Of few, what has no parts is told apart as soon without a hash, where no number may have been rounded.
  const bool few = count <= 4 && !exactness_;
  each_element(tape_, array, [&](std::size_t item) {
    const bool is_part = few && (type_at(tape_, item) & (kArray | kObject)) == 0;
    pairs.emplace_back(is_part ? 0 : hash_value(tape_, item, hashed), item);
  });
  if ((hashed.fractions && !is_exact()) || !spend(hashed.bytes / 16)) return false;
  std::uint64_t steps = 0;
  bool valid = true;
  // Short arrays need no order.
  if (count > 16) std::ranges::sort(pairs);
  std::size_t best_first = 0;
  std::size_t best_second = 0;
  for (std::size_t i = 0; i + 1 < count && (valid || second); ++i) {
    for (std::size_t j = i + 1; j < count; ++j) {
      if (pairs[i].first != pairs[j].first) {
        if (count > 16) break;
        continue;
      }
      const bool same = equal_values(tape_, pairs[i].second, tape_, pairs[j].second, steps);
      if (!spend(1 + steps)) break;
      steps = 0;
      if (!same) continue;
      // The pair that ends first, so that the message does not depend on hashes.
      if (valid || pairs[j].second < best_second) {
        best_first = pairs[i].second;
        best_second = pairs[j].second;
      }
      valid = false;
      break;
    }
    if (halted()) break;
  }
  if (halted()) return false;
  if (first) *first = best_first;
  if (second) *second = best_second;
  return valid;
}

}  // namespace setget::inline v0::detail::schema
