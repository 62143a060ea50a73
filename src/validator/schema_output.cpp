// Reports as text: the output formats of JSON Schema, reasons of the API, and values in messages.
#include <array>
#include <charconv>

#include <fmt/format.h>

#include <setget/json_schema.hpp>

#include "validator/schema_compiler.hpp"
#include "validator/schema_report.hpp"

namespace setget::inline v0 {
namespace detail::schema {
namespace {

constexpr auto kEscaped = [] {
  std::array<bool, 256> escaped{};
  for (std::size_t byte = 0; byte < 0x20; ++byte) escaped[byte] = true;
  escaped['"'] = escaped['\\'] = true;
  return escaped;
}();

void append_quoted(Text& out, std::string_view text) {
  out += '"';
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (!kEscaped[byte]) continue;
    out += text.substr(done, at - done);
    done = at + 1;
    switch (byte) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
    }
  }
  out += text.substr(done);
  out += '"';
}

void append_integer(Text& out, std::int64_t number) {
  if (number < 0) out += '-';
  const auto size = static_cast<std::uint64_t>(number);
  append_number(out, number < 0 ? 0 - size : size);
}

// At most `most` bytes and a little, from `start` on.
void append_value(Text& out, const Tape& tape, std::size_t at, std::size_t start, std::size_t most) {
  if (out.size() > start + most) return;
  const auto word = tape.words[at];
  switch (tag_of(word)) {
    case 'n':
      out += "null";
      return;
    case 't':
      out += "true";
      return;
    case 'f':
      out += "false";
      return;
    case '"':
      append_quoted(out, text_of(tape, word).substr(0, most + 4));
      return;
    case 'N':
      out += text_of(tape, word).substr(0, most + 4);
      return;
    case 'l':
      append_integer(out, static_cast<std::int64_t>(tape.words[at + 1]));
      return;
    case 'u':
      append_number(out, tape.words[at + 1]);
      return;
    case 'd': {
      std::array<char, 40> text{};
      const auto real = number_at(tape, at).real;
      const auto end = std::to_chars(text.data(), text.data() + text.size(), real).ptr;
      std::string_view shown(text.data(), static_cast<std::size_t>(end - text.data()));
      out += shown;
      if (shown.find_first_of(".e") == std::string_view::npos) out += ".0";
      return;
    }
    default:
      break;
  }
  const bool is_object = tag_of(word) == '{';
  out += is_object ? '{' : '[';
  bool first = true;
  const auto end = static_cast<std::uint32_t>(word) - 1;
  for (auto item = at + 1; item < end && out.size() <= start + most; item = next_of(tape.words, item)) {
    if (!first) out += ',';
    first = false;
    if (is_object) {
      append_quoted(out, text_at(tape, item).substr(0, most));
      out += ':';
      ++item;
    }
    append_value(out, tape, item, start, most);
  }
  out += is_object ? '}' : ']';
}

}  // namespace

void append_shown(Text& out, const Tape& tape, std::size_t at, std::size_t most) {
  const auto start = out.size();
  append_value(out, tape, at, start, most);
  if (out.size() - start <= most) return;
  // Not in the middle of a character.
  while (most > 0 && (static_cast<unsigned char>(out[start + most]) & 0xC0) == 0x80) --most;
  out.cut(start + most);
  out += "…";
}

std::string shown_value(const Tape& tape, std::size_t at, std::size_t most) {
  Text out;
  append_shown(out, tape, at, most);
  return out.str();
}

}  // namespace detail::schema

namespace json_schema {
namespace {

using detail::schema::append_quoted;
using detail::schema::Text;

void append_unit(Text& out, const Violation& one) {
  out += R"({"valid":false,"keywordLocation":)";
  append_quoted(out, one.keyword_location);
  out += ",\"absoluteKeywordLocation\":";
  append_quoted(out, one.absolute_keyword_location);
  out += ",\"instanceLocation\":";
  append_quoted(out, one.instance_location);
  out += ",\"error\":";
  append_quoted(out, one.message);
}

std::string reason_code(std::string_view keyword) {
  std::string out = "schema_";
  if (keyword.empty()) return out + "false";
  for (const char c : keyword) {
    if (c >= 'A' && c <= 'Z') {
      out += '_';
      out += static_cast<char>(c + 32);
    } else if (c != '$') {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string Report::basic() const {
  if (valid) return "{\"valid\":true}";
  Text out;
  out += R"({"valid":false,"errors":[)";
  for (std::size_t i = 0; i < violations.size(); ++i) {
    if (i > 0) out += ',';
    append_unit(out, violations[i]);
    out += '}';
  }
  out += "]}";
  return out.str();
}

std::string Report::detailed() const {
  if (valid) return "{\"valid\":true}";
  Text out;
  out += R"({"valid":false,"keywordLocation":"","instanceLocation":"","errors":[)";
  // Parents come first, and their parts right after them: closing what is open is enough.
  std::vector<std::size_t> open;
  std::vector<bool> has_parts = {false};
  for (std::size_t i = 0; i < violations.size(); ++i) {
    const auto& one = violations[i];
    while (!open.empty() && open.back() != one.parent) {
      out += has_parts.back() ? std::string_view("]}") : std::string_view("}");
      has_parts.pop_back();
      open.pop_back();
    }
    if (has_parts.back()) {
      out += ',';
    } else if (!open.empty()) {
      out += ",\"errors\":[";
    }
    has_parts.back() = true;
    append_unit(out, one);
    open.push_back(i);
    has_parts.push_back(false);
  }
  while (!open.empty()) {
    out += has_parts.back() ? std::string_view("]}") : std::string_view("}");
    has_parts.pop_back();
    open.pop_back();
  }
  out += "]}";
  return out.str();
}

std::vector<Reason> Report::reasons(std::string_view prefix, bool with_keywords) const {
  return detail::schema::reasons_of(violations, prefix, with_keywords);
}

}  // namespace json_schema

std::vector<Reason> detail::schema::reasons_of(const json_schema::Violations& violations, std::string_view prefix, bool with_keywords,
                                               const std::function<bool(const json_schema::Violation&)>& wanted) {
  std::vector<bool> has_parts(violations.size());
  for (const auto& one : violations) {
    if (one.parent != json_schema::Violation::kNoParent && (!wanted || wanted(one))) has_parts[one.parent] = true;
  }
  std::vector<Reason> out;
  for (std::size_t i = 0; i < violations.size(); ++i) {
    const auto& one = violations[i];
    if (has_parts[i] || (wanted && !wanted(one))) continue;
    out.push_back({.code = json_schema::reason_code(one.keyword),
                   .message = std::string(one.message),
                   .pointer = std::string(prefix).append(one.instance_location)});
    if (with_keywords) out.back().message.append(" (schema: ").append(one.keyword_location).append(")");
  }
  return out;
}

}  // namespace setget::inline v0
