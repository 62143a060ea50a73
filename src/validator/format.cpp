// Formats that are made of digits and fixed letters, and the table of all.
#include "validator/format.hpp"

#include <array>
#include <utility>

#include "validator/ecma_regex.hpp"

namespace setget::inline v0::detail::schema {
namespace {

bool digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool hex(char c) noexcept { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// The number of `count` digits at the front, or -1.
int digits(std::string_view text, std::size_t at, std::size_t count) noexcept {
  if (text.size() < at + count) return -1;
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (!digit(text[i])) return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// One or more digits and the unit: "12H". Removes them.
bool amount(std::string_view& text, char unit) noexcept {
  std::size_t at = 0;
  while (at < text.size() && digit(text[at])) ++at;
  if (at == 0 || at >= text.size() || text[at] != unit) return false;
  text.remove_prefix(at + 1);
  return true;
}

}  // namespace

// RFC 3339 section 5.6, with the lengths of months.
bool is_date(std::string_view text) noexcept {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const int year = digits(text, 0, 4);
  const int month = digits(text, 5, 2);
  const int day = digits(text, 8, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1) return false;
  constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return day <= kDays[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

bool is_time(std::string_view text) noexcept {
  if (text.size() < 9 || text[2] != ':' || text[5] != ':') return false;
  const int hour = digits(text, 0, 2);
  const int minute = digits(text, 3, 2);
  const int second = digits(text, 6, 2);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return false;
  text.remove_prefix(8);
  if (text[0] == '.') {
    std::size_t at = 1;
    while (at < text.size() && digit(text[at])) ++at;
    if (at == 1) return false;
    text.remove_prefix(at);
  }
  int offset = 0;
  if (text.size() == 6 && (text[0] == '+' || text[0] == '-') && text[3] == ':') {
    const int hours = digits(text, 1, 2);
    const int minutes = digits(text, 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
    offset = (hours * 60 + minutes) * (text[0] == '+' ? 1 : -1);
  } else if (text != "Z" && text != "z") {
    return false;
  }
  // A leap second is the last second of a day in UTC.
  return second < 60 || ((hour * 60 + minute - offset) % 1440 + 1440) % 1440 == 1439;
}

bool is_date_time(std::string_view text) noexcept {
  return text.size() > 11 && is_date(text.substr(0, 10)) && (text[10] == 'T' || text[10] == 't') && is_time(text.substr(11));
}

// RFC 3339 appendix A: units in order, none left out between two that are there, weeks alone.
bool is_duration(std::string_view text) noexcept {
  if (text.size() < 3 || text[0] != 'P') return false;
  text.remove_prefix(1);
  if (amount(text, 'W')) return text.empty();
  const auto run = [&](std::string_view units) {
    bool begun = false;
    bool ended = false;
    for (const char unit : units) {
      if (!amount(text, unit)) {
        ended = begun;
      } else if (ended) {
        return false;
      } else {
        begun = true;
      }
    }
    return true;
  };
  if (!run("YMD")) return false;
  if (text.empty()) return true;
  if (text[0] != 'T' || text.size() == 1) return false;
  text.remove_prefix(1);
  return run("HMS") && text.empty();
}

bool is_ipv4(std::string_view text) noexcept {
  for (int part = 0; part < 4; ++part) {
    std::size_t at = 0;
    int value = 0;
    while (at < text.size() && at < 3 && digit(text[at])) value = value * 10 + (text[at++] - '0');
    if (at == 0 || value > 255 || (at > 1 && text[0] == '0')) return false;
    text.remove_prefix(at);
    if (part == 3) return text.empty();
    if (text.empty() || text[0] != '.') return false;
    text.remove_prefix(1);
  }
  return false;
}

// RFC 4291 section 2.2.
bool is_ipv6(std::string_view text) noexcept {
  int groups = 0;
  bool gap = false;
  if (text.starts_with("::")) {
    gap = true;
    text.remove_prefix(2);
    if (text.empty()) return true;
  }
  while (true) {
    std::size_t at = 0;
    while (at < text.size() && at < 5 && hex(text[at])) ++at;
    if (at < text.size() && text[at] == '.') return (gap ? groups <= 5 : groups == 6) && is_ipv4(text);
    if (at == 0 || at > 4) return false;
    ++groups;
    text.remove_prefix(at);
    if (text.empty()) break;
    if (text[0] != ':') return false;
    text.remove_prefix(1);
    if (text.starts_with(":")) {
      if (gap) return false;
      gap = true;
      text.remove_prefix(1);
      if (text.empty()) break;
    } else if (text.empty()) {
      return false;
    }
    if (groups > 8) return false;
  }
  return gap ? groups <= 7 : groups == 8;
}

bool is_uuid(std::string_view text) noexcept {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !hex(text[i])) return false;
  }
  return true;
}

// RFC 6901.
bool is_json_pointer(std::string_view text) noexcept {
  if (!text.empty() && text[0] != '/') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~' && (i + 1 >= text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) return false;
  }
  return true;
}

namespace {

// A number without leading zeros. Removes it.
bool whole_number(std::string_view& text) noexcept {
  std::size_t at = 0;
  while (at < text.size() && digit(text[at])) ++at;
  if (at == 0 || (at > 1 && text[0] == '0')) return false;
  text.remove_prefix(at);
  return true;
}

bool is_name_or_pointer(std::string_view text) noexcept { return text == "#" || is_json_pointer(text); }

}  // namespace

bool is_upward_json_pointer(std::string_view text) noexcept { return whole_number(text) && is_name_or_pointer(text); }

bool is_relative_json_pointer(std::string_view text) noexcept {
  if (!whole_number(text)) return false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    text.remove_prefix(1);
    if (!whole_number(text)) return false;
  }
  return is_name_or_pointer(text);
}

std::uint64_t format_weight(FormatCheck check) noexcept { return check == is_ecma_regex ? 256 : 4; }

FormatCheck find_format(std::string_view name, json_schema::Draft draft) noexcept {
  using json_schema::Draft;
  struct Known {
    std::string_view name;
    Draft first;
    FormatCheck check;
  };
  constexpr auto k4 = Draft::kDraft4;
  constexpr auto k6 = Draft::kDraft6;
  constexpr auto k7 = Draft::kDraft7;
  constexpr auto k2019 = Draft::kDraft201909;
  constexpr auto k2020 = Draft::kDraft202012;
  // Where a later draft asks for another form, that one first.
  static const std::array<Known, 21> kKnown = {{{"date-time", k4, is_date_time},
                                                {"email", k4, is_email},
                                                {"hostname", k7, is_hostname},
                                                {"hostname", k4, is_ldh_name},
                                                {"ipv4", k4, is_ipv4},
                                                {"ipv6", k4, is_ipv6},
                                                {"uri", k4, is_uri},
                                                {"uri-reference", k6, is_uri_reference},
                                                {"uri-template", k6, is_uri_template},
                                                {"json-pointer", k6, is_json_pointer},
                                                {"date", k7, is_date},
                                                {"time", k7, is_time},
                                                {"idn-email", k7, is_idn_email},
                                                {"idn-hostname", k7, is_idn_hostname},
                                                {"iri", k7, is_iri},
                                                {"iri-reference", k7, is_iri_reference},
                                                {"regex", k7, is_ecma_regex},
                                                {"relative-json-pointer", k2020, is_relative_json_pointer},
                                                {"relative-json-pointer", k7, is_upward_json_pointer},
                                                {"duration", k2019, is_duration},
                                                {"uuid", k2019, is_uuid}}};
  for (const auto& one : kKnown) {
    if (one.name == name && draft >= one.first) return one.check;
  }
  return nullptr;
}

}  // namespace setget::inline v0::detail::schema
