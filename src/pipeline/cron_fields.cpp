#include "pipeline/cron_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <vector>

namespace setget::inline v0::detail {

namespace {

constexpr std::array<std::string_view, 12> kMonths{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> kWeekdays{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

struct FieldRule {
  std::string_view name;
  unsigned low;
  unsigned high;
  std::span<const std::string_view> words = {};  // words[0] stands for `low`
  bool day = false;                              // may say ?
  bool month_day = false;                        // may say L
};
constexpr std::array<FieldRule, 6> kRules{{{"second", 0, 59},
                                           {"minute", 0, 59},
                                           {"hour", 0, 23},
                                           {"day of month", 1, 31, {}, true, true},
                                           {"month", 1, 12, kMonths},
                                           {"day of week", 0, 7, kWeekdays, true}}};
constexpr std::size_t kWeekday = 5;

struct Field {
  std::uint64_t bits = 0;
  bool any = false;
  bool last = false;
};

struct Token {
  std::string_view text;
  std::size_t at = 0;
};

char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
bool same_word(std::string_view text, std::string_view word) noexcept {
  return std::ranges::equal(text, word, [](char a, char b) { return upper(a) == b; });
}

Error bad(const FieldRule& rule, std::size_t at, std::string_view what) {
  return Error(ErrorCode::kInvalidArgument, fmt::format("{} (byte {}): {}", rule.name, at, what))
      .at_field(std::string(rule.name))
      .at_position(at);
}

Result<unsigned> parse_number(const FieldRule& rule, Token token) {
  for (unsigned i = 0; i < rule.words.size(); ++i) {
    if (same_word(token.text, rule.words[i])) return rule.low + i;
  }
  unsigned value = 0;
  const auto* const end = token.text.data() + token.text.size();
  const auto parsed = std::from_chars(token.text.data(), end, value);
  if (token.text.empty() || parsed.ec == std::errc::invalid_argument || parsed.ptr != end) {
    return bad(rule, token.at, fmt::format("\"{}\" is not a number{}", token.text, rule.words.empty() ? "" : " or a name"));
  }
  if (parsed.ec != std::errc() || value < rule.low || value > rule.high) {
    return bad(rule, token.at, fmt::format("{} is not in [{}, {}]", token.text, rule.low, rule.high));
  }
  return value;
}

// One part of a list: *, ?, L, n, n-m, each but ? and L with an optional /step.
Result<void> parse_part(const FieldRule& rule, Token part, Field& field) {
  if (rule.month_day && same_word(part.text, "L")) return field.last = true, Result<void>();
  if (part.text == "?") {
    if (!rule.day) return bad(rule, part.at, "? is for the two day fields only");
    part.text = "*";
  }
  const auto slash = part.text.find('/');
  const auto range = part.text.substr(0, slash);
  unsigned low = rule.low;
  unsigned high = rule.high;
  if (range == "*") {
    field.any = true;
    if (rule.name == kRules[kWeekday].name) high = 6;
  } else {
    const auto dash = range.find('-');
    auto first = parse_number(rule, {range.substr(0, dash), part.at});
    if (!first) return std::move(first).error();
    low = *first;
    if (dash != std::string_view::npos) {
      auto last = parse_number(rule, {range.substr(dash + 1), part.at + dash + 1});
      if (!last) return std::move(last).error();
      high = *last;
      if (high == 0 && low > 0 && rule.high == 7) high = 7;  // SAT-SUN
    } else if (slash == std::string_view::npos) {
      high = low;
    }
    if (low > high) return bad(rule, part.at, fmt::format("the range {} runs backwards; write it as two", range));
  }
  unsigned step = 1;
  if (slash != std::string_view::npos) {
    const auto text = part.text.substr(slash + 1);
    const auto at = part.at + slash + 1;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), step);
    if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
      return bad(rule, at, "expected a number after /");
    if (step == 0 || step > rule.high - rule.low + 1) return bad(rule, at, fmt::format("a step of {} never fits", text));
  }
  for (unsigned value = low; value <= high; value += step) field.bits |= std::uint64_t{1} << value;
  return {};
}

Result<Field> parse_field(const FieldRule& rule, Token token) {
  Field field;
  std::size_t at = 0;
  while (at <= token.text.size()) {
    const auto comma = std::min(token.text.find(',', at), token.text.size());
    const auto part = token.text.substr(at, comma - at);
    if (part.empty()) return bad(rule, token.at + at, "empty part of a list");
    if (auto parsed = parse_part(rule, {part, token.at + at}, field); !parsed) return std::move(parsed).error();
    at = comma + 1;
  }
  return field;
}

std::optional<std::string_view> expand_name(std::string_view text) {
  struct Named {
    std::string_view name;
    std::string_view fields;
  };
  static constexpr std::array<Named, 7> kNamed{{{"@YEARLY", "0 0 1 1 *"},
                                                {"@ANNUALLY", "0 0 1 1 *"},
                                                {"@MONTHLY", "0 0 1 * *"},
                                                {"@WEEKLY", "0 0 * * 0"},
                                                {"@DAILY", "0 0 * * *"},
                                                {"@MIDNIGHT", "0 0 * * *"},
                                                {"@HOURLY", "0 * * * *"}}};
  const auto it = std::ranges::find_if(kNamed, [&](const Named& named) { return same_word(text, named.name); });
  return it == kNamed.end() ? std::nullopt : std::optional(it->fields);
}

std::vector<Token> split(std::string_view text) {
  std::vector<Token> tokens;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(" \t", at)) != std::string_view::npos) {
    const auto end = std::min(text.find_first_of(" \t", at), text.size());
    tokens.push_back({text.substr(at, end - at), at});
    at = end;
  }
  return tokens;
}

}  // namespace

Result<CronFields> parse_cron_fields(std::string_view text) {
  auto tokens = split(text);
  if (tokens.size() == 1 && tokens.front().text.starts_with('@')) {
    const auto fields = expand_name(tokens.front().text);
    if (!fields) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("{} is not one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly", tokens.front().text))
          .at_field("cron")
          .at_position(tokens.front().at);
    }
    tokens = split(*fields);
  }
  if (tokens.size() != 5 && tokens.size() != 6) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{} fields; expected 5 (minute hour day-of-month month day-of-week), or 6 with seconds first", tokens.size()))
        .at_field("cron")
        .at_position(0);
  }
  std::array<Field, 6> fields;
  fields[0].bits = 1;
  const std::size_t first = 6 - tokens.size();
  for (std::size_t i = first; i < 6; ++i) {
    auto field = parse_field(kRules[i], tokens[i - first]);
    if (!field) return std::move(field).error();
    fields[i] = *field;
  }
  auto weekdays = fields[kWeekday].bits;
  if ((weekdays & 0x80U) != 0) weekdays |= 1;  // 7 is Sunday, too
  return CronFields{.seconds = fields[0].bits,
                    .minutes = fields[1].bits,
                    .hours = static_cast<std::uint32_t>(fields[2].bits),
                    .days = static_cast<std::uint32_t>(fields[3].bits),
                    .months = static_cast<std::uint16_t>(fields[4].bits),
                    .weekdays = static_cast<std::uint8_t>(weekdays & 0x7FU),
                    .last_day = fields[3].last,
                    .any_minute = fields[1].any,
                    .any_hour = fields[2].any,
                    .any_day = fields[3].any,
                    .any_weekday = fields[kWeekday].any};
}

}  // namespace setget::inline v0::detail
