#include "validator/json_scan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include "validator/utf8.hpp"

namespace setget::inline v0::detail {

namespace {

bool digit(char c) noexcept { return c >= '0' && c <= '9'; }

std::uint64_t eight_bytes(const char* from) noexcept {
  std::uint64_t word;
  std::memcpy(&word, from, 8);
  return word;
}

// The first byte at or after `at` that ends a plain run of string characters: a quote, a backslash or a control character.
// Eight bytes at a time (the zero-byte test of "Hacker's Delight", section 6-1), because payloads are mostly string content. Of the bytes
// that the test marks the lowest one is right; those above it may be marked for the borrow.
std::size_t plain_end(std::string_view text, std::size_t at) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
  constexpr std::uint64_t kHigh = 0x8080808080808080ULL;
  for (; at + 8 <= text.size(); at += 8) {
    const std::uint64_t word = eight_bytes(text.data() + at);
    const std::uint64_t quote = word ^ (kOnes * '"');
    const std::uint64_t slash = word ^ (kOnes * '\\');
    const std::uint64_t found = (((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash) | ((word - kOnes * 0x20) & ~word)) & kHigh;
    if (found == 0) continue;
    if constexpr (std::endian::native == std::endian::little) return at + static_cast<std::size_t>(std::countr_zero(found)) / 8;
    break;
  }
  while (at < text.size() && text[at] != '"' && text[at] != '\\' && static_cast<unsigned char>(text[at]) >= 0x20) ++at;
  return at;
}

// Equal names have equal fingerprints. Others mostly do not; which of those that do are equal is for the text to say.
std::uint64_t fingerprint(std::string_view name) noexcept {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15ULL;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  if (name.size() >= 8) {
    first = eight_bytes(name.data());
    last = eight_bytes(name.data() + name.size() - 8);
  } else {
    for (const char c : name) first = first << 8 | static_cast<unsigned char>(c);
  }
  return (first ^ std::rotl(last * kOdd, 29) ^ name.size()) * kOdd;
}

unsigned hex_value(std::string_view four) noexcept {
  unsigned value = 0;
  std::from_chars(four.data(), four.data() + 4, value, 16);
  return value;
}

// Text of a name whose escapes are known to be well formed.
void unescape(std::string_view raw, std::string& out) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
      continue;
    }
    const char kind = raw[++i];
    switch (kind) {
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        unsigned code = hex_value(raw.substr(i + 1, 4));
        i += 4;
        if (code >= 0xD800 && code < 0xDC00) {
          code = 0x10000 + ((code - 0xD800) << 10) + (hex_value(raw.substr(i + 3, 4)) - 0xDC00);
          i += 6;
        }
        append_utf8(out, code);
        break;
      }
      default:
        out += kind;
    }
  }
}

// True if a number that does not fit a double is too large (and not merely too close to zero).
bool too_large(std::string_view number) noexcept {
  const auto exponent_at = number.find_first_of("eE");
  const auto mantissa = number.substr(0, exponent_at);
  const auto first = mantissa.find_first_of("123456789");
  if (first == std::string_view::npos) return false;
  if (exponent_at == std::string_view::npos) return first < mantissa.find('.');
  const bool negative = number[exponent_at + 1] == '-';
  const auto digits = number.substr(exponent_at + (digit(number[exponent_at + 1]) ? 1 : 2));
  std::int64_t exponent = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), exponent).ec != std::errc()) exponent = INT64_MAX / 2;
  const auto point = std::min(mantissa.find('.'), mantissa.size());
  const auto magnitude = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
  return (negative ? -exponent : exponent) + magnitude > 0;
}

void append_pointer(std::string& out, std::string_view token) {
  out += '/';
  for (const char c : token) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
}

}  // namespace

std::vector<Reason> JsonScan::run(std::string_view text, const Limits& limits, std::string_view prefix) {
  text_ = text;
  limits_ = &limits;
  prefix_ = prefix;
  at_ = 0;
  frames_.clear();
  names_.clear();
  decoded_.clear();
  reasons_.clear();
  if (text.starts_with("\xEF\xBB\xBF")) {
    fail("a byte order mark is not allowed");
    return std::move(reasons_);
  }
  for (Next next = Next::kValue; next != Next::kDone && next != Next::kFailed;) {
    skip_space();
    switch (next) {
      case Next::kValue:
        next = value(false);
        break;
      case Next::kFirstValue:
        next = value(true);
        break;
      case Next::kName:
        next = name(false);
        break;
      case Next::kFirstName:
        next = name(true);
        break;
      default:
        next = after_value();
        break;
    }
    if (reasons_.size() >= limits.max_reasons) break;
  }
  return std::move(reasons_);
}

void JsonScan::skip_space() noexcept {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
}

JsonScan::Next JsonScan::value(bool may_close) {
  if (at_ == text_.size()) return fail("the text ends where a value should be");
  const char c = text_[at_];
  switch (c) {
    case '{':
      return open(true);
    case '[':
      return open(false);
    case '"': {
      bool escaped = false;
      return string(escaped) ? Next::kAfterValue : Next::kFailed;
    }
    case 't':
      return literal("true") ? Next::kAfterValue : Next::kFailed;
    case 'f':
      return literal("false") ? Next::kAfterValue : Next::kFailed;
    case 'n':
      return literal("null") ? Next::kAfterValue : Next::kFailed;
    case ']':
      if (may_close) return close();
      return fail("expected a value");
    default:
      break;
  }
  if (c == '-' || digit(c)) return number() ? Next::kAfterValue : Next::kFailed;
  return fail("expected a value");
}

JsonScan::Next JsonScan::name(bool may_close) {
  if (at_ == text_.size()) return fail("the text ends inside an object");
  if (may_close && text_[at_] == '}') return close();
  if (text_[at_] != '"') return fail("expected a name in double quotes");
  const std::size_t quote = at_;
  bool escaped = false;
  if (!string(escaped)) return Next::kFailed;
  remember_name(quote, escaped);
  skip_space();
  if (at_ == text_.size() || text_[at_] != ':') return fail("expected ':' after a name");
  ++at_;
  return Next::kValue;
}

JsonScan::Next JsonScan::after_value() {
  if (frames_.empty()) return at_ == text_.size() ? Next::kDone : fail("something follows the document");
  Frame& frame = frames_.back();
  if (at_ == text_.size()) return fail(frame.object ? "the text ends inside an object" : "the text ends inside an array");
  const char c = text_[at_];
  if (c == (frame.object ? '}' : ']')) return close();
  if (c != ',') return fail(frame.object ? "expected ',' or '}'" : "expected ',' or ']'");
  ++at_;
  ++frame.index;
  return frame.object ? Next::kName : Next::kValue;
}

JsonScan::Next JsonScan::open(bool object) {
  if (frames_.size() >= limits_->max_depth) {
    add("json_too_deep", at_, fmt::format("nested deeper than the limit of {}", limits_->max_depth), pointer());
    return Next::kFailed;
  }
  frames_.push_back({.object = object, .first_name = names_.size()});
  ++at_;
  return object ? Next::kFirstName : Next::kFirstValue;
}

JsonScan::Next JsonScan::close() {
  const Frame frame = frames_.back();
  if (frame.object) {
    if (limits_->reject_duplicate_names && names_.size() - frame.first_name > 1) check_names();
    names_.resize(frame.first_name);
    if (names_.empty()) decoded_.clear();
  }
  frames_.pop_back();
  ++at_;
  return Next::kAfterValue;
}

bool JsonScan::string(bool& escaped) {
  const std::size_t start = at_++;
  for (;;) {
    at_ = plain_end(text_, at_);
    if (at_ == text_.size()) {
      at_ = start;
      return broken("a string has no end");
    }
    if (text_[at_] == '"') return ++at_, true;
    if (text_[at_] != '\\') return broken("a control character in a string must be escaped");
    escaped = true;
    if (!escape()) return false;
  }
}

bool JsonScan::escape() {
  const std::size_t start = at_;
  if (start + 1 >= text_.size()) return broken("the text ends inside an escape");
  const char kind = text_[start + 1];
  at_ += 2;
  if (kind != 'u') {
    if (std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos) return true;
    at_ = start;
    return broken("no such escape in JSON");
  }
  unsigned code = 0;
  if (!hex4(code)) return at_ = start, broken("\\u needs four hexadecimal digits");
  if (code < 0xD800 || code > 0xDFFF) return true;
  unsigned low = 0;
  const bool pair = code < 0xDC00 && text_.substr(at_, 2) == "\\u" && (at_ += 2, hex4(low)) && low >= 0xDC00 && low <= 0xDFFF;
  if (pair) return true;
  at_ = start;
  return broken("half of a surrogate pair is not a character");
}

bool JsonScan::hex4(unsigned& code) {
  if (text_.size() - at_ < 4) return false;
  const char* begin = text_.data() + at_;
  const auto parsed = std::from_chars(begin, begin + 4, code, 16);
  at_ += 4;
  return parsed.ec == std::errc() && parsed.ptr == begin + 4 && *begin != '-';
}

bool JsonScan::number() {
  const std::size_t start = at_;
  const auto digits = [this] {
    const std::size_t from = at_;
    while (at_ < text_.size() && digit(text_[at_])) ++at_;
    return at_ > from;
  };
  if (text_[at_] == '-') ++at_;
  const std::size_t whole = at_;
  if (!digits()) return broken("expected a digit");
  if (text_[whole] == '0' && at_ - whole > 1) {
    at_ = start;
    return broken("a number must not start with zeros");
  }
  bool integer = true;
  if (at_ < text_.size() && text_[at_] == '.') {
    ++at_;
    integer = false;
    if (!digits()) return broken("expected a digit after the decimal point");
  }
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    integer = false;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    if (!digits()) return broken("expected a digit in the exponent");
  }
  check_number(start, integer);
  return true;
}

void JsonScan::check_number(std::size_t start, bool integer) {
  const auto number = text_.substr(start, at_ - start);
  if (integer && limits_->reject_inexact_integers && number.size() >= 16) {
    std::int64_t value = 0;
    const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
    constexpr auto kExact = static_cast<std::int64_t>(kMaxVersion);
    if (parsed.ec != std::errc() || value > kExact || value < -kExact)
      add("json_inexact_integer", start, "beyond +-(2^53-1), which not every reader keeps exact", pointer());
  }
  // Short numbers without an exponent cannot leave the range of a double.
  if (number.size() < 300 && (integer || number.find_first_of("eE") == std::string_view::npos)) return;
  double value = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
  if (parsed.ec == std::errc::result_out_of_range && too_large(number))
    add("json_number_out_of_range", start, "beyond the range of a double, about +-1.8e308", pointer());
}

bool JsonScan::literal(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return broken("expected a value");
  at_ += word.size();
  return true;
}

void JsonScan::remember_name(std::size_t quote, bool escaped) {
  Name name{.at = quote, .begin = quote + 1, .size = at_ - quote - 2};
  if (escaped) {
    const auto raw = text_.substr(name.begin, name.size);
    name.begin = decoded_.size();
    unescape(raw, decoded_);
    name.size = decoded_.size() - name.begin;
    name.decoded = true;
  }
  name.fingerprint = fingerprint(text_of(name));
  names_.push_back(name);
}

std::string_view JsonScan::text_of(const Name& name) const noexcept {
  return (name.decoded ? std::string_view(decoded_) : text_).substr(name.begin, name.size);
}

// Whether two of the open object's names may be equal; no is certain. Objects are small, so that this costs less than to sort them.
bool JsonScan::names_may_repeat() const {
  const auto* const names = names_.data() + frames_.back().first_name;
  const auto count = names_.size() - frames_.back().first_name;
  constexpr std::size_t kPairs = 8;
  constexpr std::size_t kTable = 128;
  if (count > kTable) return true;
  if (count <= kPairs) {
    for (std::size_t i = 1; i < count; ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (names[i].fingerprint == names[k].fingerprint) return true;
      }
    }
    return false;
  }
  // Open addressing: in each place one more than the name's number.
  std::array<std::uint8_t, 2 * kTable> table{};
  for (std::size_t i = 0; i < count; ++i) {
    auto place = static_cast<std::uint8_t>(names[i].fingerprint >> 56);
    for (; table[place] != 0; ++place) {
      if (names[table[place] - 1].fingerprint == names[i].fingerprint) return true;
    }
    table[place] = static_cast<std::uint8_t>(i + 1);
  }
  return false;
}

void JsonScan::check_names() {
  if (!names_may_repeat()) return;
  const auto begin = names_.begin() + static_cast<std::ptrdiff_t>(frames_.back().first_name);
  // By fingerprint, and by text where those meet: a flood of colliding names costs no more than the sort.
  std::sort(begin, names_.end(), [this](const Name& a, const Name& b) {
    if (a.fingerprint != b.fingerprint) return a.fingerprint < b.fingerprint;
    const int order = text_of(a).compare(text_of(b));
    return order != 0 ? order < 0 : a.at < b.at;
  });
  for (auto it = begin; it + 1 != names_.end() && reasons_.size() < limits_->max_reasons; ++it) {
    const auto& second = *(it + 1);
    if (it->fingerprint != second.fingerprint || text_of(*it) != text_of(second)) continue;
    const auto message = fmt::format("the name is already at byte {}", it->at);
    const auto at = second.at;
    const auto last = std::exchange(names_.back(), second);  // pointer() ends with the name that was read last
    add("json_duplicate_name", at, message, pointer());
    names_.back() = last;
  }
}

std::string JsonScan::pointer() const {
  std::string out(prefix_);
  for (std::size_t i = 0; i < frames_.size(); ++i) {
    const Frame& frame = frames_[i];
    if (!frame.object) {
      append_pointer(out, std::to_string(frame.index));
      continue;
    }
    // The current member of an open object is the last name before those of the next open object.
    std::size_t end = names_.size();
    for (std::size_t k = i + 1; k < frames_.size(); ++k) {
      if (frames_[k].object) {
        end = frames_[k].first_name;
        break;
      }
    }
    if (end > frame.first_name) append_pointer(out, text_of(names_[end - 1]));
  }
  return out;
}

JsonScan::Next JsonScan::fail(std::string_view what) {
  broken(what);
  return Next::kFailed;
}

bool JsonScan::broken(std::string_view what) {
  add("json_syntax", at_, what, pointer());
  return false;
}

void JsonScan::add(std::string_view code, std::size_t at, std::string_view what, std::string where) {
  reasons_.push_back({.code = std::string(code), .message = fmt::format("byte {}: {}", at, what), .pointer = std::move(where)});
}

}  // namespace setget::inline v0::detail
