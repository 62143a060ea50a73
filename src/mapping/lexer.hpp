// An expression as tokens. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>

namespace setget::inline v0::jmespath::detail {

enum class TokenKind : std::uint8_t {
  kEnd,
  kName,
  kQuotedName,
  kVariable,
  kRawString,
  kLiteral,
  kNumber,
  kDot,
  kStar,
  kComma,
  kColon,
  kPipe,
  kOr,
  kAnd,
  kNot,
  kReference,
  kCurrent,
  kAssign,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kOpenParen,
  kCloseParen,
  kOpenBracket,
  kCloseBracket,
  kOpenBrace,
  kCloseBrace,
  kFlatten,  // []
  kFilter,   // [?
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::uint32_t position = 0;
  std::string text{};  // decoded: of names, variables (without $) and strings; the JSON text of literals; the digits of numbers
};

// An error of compilation: its code as the one reason.
Error mistake(std::string_view code, std::size_t position, std::string message);
// A token as a message shows it.
std::string shown(const Token& token);

// Always ends with kEnd.
Result<std::vector<Token>> tokenize(std::string_view text, bool variables);

}  // namespace setget::inline v0::jmespath::detail
