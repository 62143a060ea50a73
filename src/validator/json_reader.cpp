#include "validator/json_reader.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include <setget/validator.hpp>

#include "validator/utf8.hpp"

namespace setget::inline v0::detail::schema {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

struct NumberText {
  std::size_t size = 0;      // bytes; 0 = not a number
  std::size_t digits = 0;    // significant ones, without leading zeros
  std::size_t exponent = 0;  // digits of the exponent
  bool integer = true;
};

// RFC 8259 section 6.
NumberText scan_number(std::string_view text) noexcept {
  NumberText found;
  std::size_t at = 0;
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  if (peek() == '-') ++at;
  if (!is_digit(peek())) return {};
  if (peek() == '0') {
    ++at;
  } else {
    while (is_digit(peek())) ++at, ++found.digits;
  }
  if (peek() == '.') {
    ++at;
    found.integer = false;
    if (!is_digit(peek())) return {};
    for (; is_digit(peek()); ++at) {
      if (found.digits > 0 || peek() != '0') ++found.digits;
    }
  }
  if (peek() == 'e' || peek() == 'E') {
    ++at;
    found.integer = false;
    if (peek() == '+' || peek() == '-') ++at;
    if (!is_digit(peek())) return {};
    while (peek() == '0') ++at;
    while (is_digit(peek())) ++at, ++found.exponent;
  }
  found.size = at;
  return found;
}

void write_scanned(std::string_view text, const NumberText& scanned, TapeWriter& out) {
  const auto* end = text.data() + text.size();
  if (scanned.integer && scanned.digits <= 20) {
    std::int64_t value = 0;
    if (std::from_chars(text.data(), end, value).ec == std::errc()) {
      // "-0" is the integer 0.
      out.integer(value);
      return;
    }
    std::uint64_t large = 0;
    if (text[0] != '-' && std::from_chars(text.data(), end, large).ec == std::errc()) {
      out.unsigned_integer(large);
      return;
    }
  }
  if (!scanned.integer && scanned.digits <= 15 && scanned.exponent <= 3) {
    double value = 0;
    if (std::from_chars(text.data(), end, value).ec == std::errc() &&
        (scanned.digits == 0 || (std::fabs(value) > 1e-290 && std::fabs(value) < 1e300))) {
      out.number(value);
      return;
    }
  }
  out.text('N', text);
}

class Reader {
 public:
  Reader(std::string_view text, std::size_t max_depth, TapeWriter& out) : text_(text), max_depth_(max_depth), out_(out) {}

  Result<void> run() {
    if (!is_utf8(text_)) {
      at_ = detail::first_bad_utf8(text_);
      return fail("not UTF-8 (RFC 3629)");
    }
    // An explicit stack: depth costs no stack of the thread.
    std::string open;
    bool value_next = true;
    while (true) {
      skip_space();
      if (value_next) {
        if (at_ >= text_.size()) return fail("the text ends where a value is expected");
        const char c = text_[at_];
        if (c == '{' || c == '[') {
          if (open.size() >= max_depth_) return too_deep();
          ++at_;
          out_.begin(c);
          open.push_back(c);
          skip_space();
          if (at_ < text_.size() && text_[at_] == (c == '{' ? '}' : ']')) {
            value_next = false;
            continue;
          }
          out_.count();
          if (c == '{') {
            if (auto named = name(); !named) return named;
          }
          continue;
        }
        if (auto read = scalar(c); !read) return read;
        value_next = false;
        continue;
      }
      if (open.empty()) break;
      if (at_ >= text_.size()) return fail("the text ends inside an object or array");
      const char c = text_[at_];
      const char closer = open.back() == '{' ? '}' : ']';
      if (c == closer) {
        ++at_;
        out_.end(closer);
        open.pop_back();
      } else if (c == ',') {
        ++at_;
        out_.count();
        skip_space();
        if (open.back() == '{') {
          if (auto named = name(); !named) return named;
        }
        value_next = true;
      } else {
        return fail(closer == '}' ? "',' or '}' is expected" : "',' or ']' is expected");
      }
    }
    if (at_ < text_.size()) return fail("more text after the value");
    out_.finish();
    return {};
  }

 private:
  Error error(ErrorCode code, std::string_view what) const {
    return Error(code, fmt::format("JSON: byte {}: {}", at_, what)).at_position(at_);
  }
  Result<void> fail(std::string_view what) const { return error(ErrorCode::kInvalidArgument, what); }
  Result<void> too_deep() const { return error(ErrorCode::kTooLarge, fmt::format("nested deeper than {}", max_depth_)); }

  void skip_space() noexcept {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
  }

  Result<void> name() {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != '"') return fail("a name in quotes is expected");
    if (auto read = string(); !read) return read;
    skip_space();
    if (at_ >= text_.size() || text_[at_] != ':') return fail("':' is expected");
    ++at_;
    return {};
  }

  Result<void> scalar(char c) {
    if (c == '"') return string();
    if (c == '-' || is_digit(c)) {
      const auto rest = text_.substr(at_);
      const auto scanned = scan_number(rest);
      if (scanned.size == 0) return fail("not a number");
      if (scanned.exponent > 17) return error(ErrorCode::kTooLarge, "an exponent of more than 17 digits");
      write_scanned(rest.substr(0, scanned.size), scanned, out_);
      at_ += scanned.size;
      return {};
    }
    for (const std::string_view word : {"null", "true", "false"}) {
      if (text_.substr(at_, word.size()) == word) {
        out_.literal(word[0]);
        at_ += word.size();
        return {};
      }
    }
    return fail("a value is expected");
  }

  Result<void> string() {
    const auto start = ++at_;
    auto end = start;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' && static_cast<unsigned char>(text_[end]) >= 0x20) ++end;
    if (end < text_.size() && text_[end] == '"') {
      out_.text('"', text_.substr(start, end - start));
      at_ = end + 1;
      return {};
    }
    scratch_.clear();
    while (true) {
      if (at_ >= text_.size()) return fail("the text ends inside a string");
      const char c = text_[at_];
      if (c == '"') break;
      if (static_cast<unsigned char>(c) < 0x20) return fail("a control character inside a string");
      if (c != '\\') {
        scratch_ += c;
        ++at_;
        continue;
      }
      if (auto read = escape(); !read) return read;
    }
    ++at_;
    out_.text('"', scratch_);
    return {};
  }

  Result<void> escape() {
    const char c = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    if (const auto which = kNames.find(c); c != '\0' && which != std::string_view::npos) {
      scratch_ += kValues[which];
      at_ += 2;
      return {};
    }
    unsigned code = 0;
    if (c != 'u' || !hex4(at_ + 2, code)) return fail("not an escape of JSON");
    if (code >= 0xDC00 && code <= 0xDFFF) return fail("half of a surrogate pair");
    at_ += 6;
    if (code >= 0xD800 && code <= 0xDBFF) {
      unsigned low = 0;
      if (text_.substr(at_, 2) != "\\u" || !hex4(at_ + 2, low) || low < 0xDC00 || low > 0xDFFF) return fail("half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      at_ += 6;
    }
    append_utf8(scratch_, code);
    return {};
  }

  bool hex4(std::size_t from, unsigned& code) const noexcept {
    if (from + 4 > text_.size()) return false;
    const auto* begin = text_.data() + from;
    return std::from_chars(begin, begin + 4, code, 16).ptr == begin + 4;
  }

  std::string_view text_;
  std::size_t max_depth_;
  TapeWriter& out_;
  std::size_t at_ = 0;
  std::string scratch_;
};

}  // namespace

Result<void> read_json(std::string_view text, std::size_t max_depth, TapeWriter& out) {
  out.clear();
  return Reader(text, max_depth, out).run();
}

bool write_number(std::string_view text, TapeWriter& out) {
  const auto scanned = scan_number(text);
  if (scanned.size == 0 || scanned.size != text.size() || scanned.exponent > 17) return false;
  write_scanned(text, scanned, out);
  return true;
}

bool may_round(std::string_view text) noexcept {
  const auto part = [&](std::size_t at) { return is_digit(text[at]) || text[at] == '.'; };
  // Sixteen in a row cover a multiple of sixteen.
  for (std::size_t at = 0; at < text.size(); at += 16) {
    if (!part(at)) continue;
    auto first = at;
    auto last = at;
    while (first > 0 && part(first - 1)) --first;
    while (last + 1 < text.size() && part(last + 1)) ++last;
    if (last - first + 1 > 15) return true;
    at = last / 16 * 16;
  }
  // 1e300 and 1e-300 are near the ends of what a double holds. Three digits in a row cover a multiple of three.
  for (std::size_t at = 0; at < text.size(); at += 3) {
    if (!is_digit(text[at])) continue;
    auto first = at;
    auto last = at;
    while (first > 0 && is_digit(text[first - 1])) --first;
    while (last + 1 < text.size() && is_digit(text[last + 1])) ++last;
    at = last / 3 * 3;
    auto from = first;
    while (from < last && text[from] == '0') ++from;
    if (last - from < 2) continue;
    if (first > 0 && (text[first - 1] == '+' || text[first - 1] == '-')) --first;
    if (first > 1 && (text[first - 1] | 0x20) == 'e' && is_digit(text[first - 2])) return true;
  }
  return false;
}

}  // namespace setget::inline v0::detail::schema
