#include "mapping/lexer.hpp"

#include <fmt/format.h>

#include "mapping/json_string.hpp"

namespace setget::inline v0::jmespath::detail {
namespace {

bool name_start(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool digit(char c) noexcept { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(std::string_view text, bool variables) : text_(text), variables_(variables) {}

  Result<std::vector<Token>> run() {
    for (;;) {
      while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
      start_ = at_;
      if (at_ == text_.size()) break;
      if (auto read = one(); !read) return read.error();
    }
    add(TokenKind::kEnd);
    return std::move(tokens_);
  }

 private:
  void add(TokenKind kind, std::string text = {}) { tokens_.push_back({kind, static_cast<std::uint32_t>(start_), std::move(text)}); }
  Error syntax(std::string message) const { return mistake("syntax", start_, std::move(message)); }
  bool follows(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Result<void> one() {
    const char c = text_[at_];
    if (name_start(c)) return add(TokenKind::kName, name()), Result<void>();
    if (digit(c) || c == '-') return number();
    if (c == '"') return quoted_name();
    if (c == '\'') return raw_string();
    if (c == '`') return literal();
    if (c == '$' && variables_) return variable();
    ++at_;
    return mark(c);
  }

  std::string name() {
    const std::size_t from = at_;
    while (at_ < text_.size() && (name_start(text_[at_]) || digit(text_[at_]))) ++at_;
    return std::string(text_.substr(from, at_ - from));
  }

  Result<void> variable() {
    ++at_;
    if (at_ == text_.size() || !name_start(text_[at_])) return syntax("expected the name of a variable after '$'");
    add(TokenKind::kVariable, name());
    return {};
  }

  Result<void> number() {
    ++at_;
    while (at_ < text_.size() && digit(text_[at_])) ++at_;
    const auto digits = text_.substr(start_, at_ - start_);
    if (digits == "-") return syntax("expected a digit after '-'");
    add(TokenKind::kNumber, std::string(digits));
    return {};
  }

  // Up to the closing mark; a backslash takes the next character with it. What is between the marks.
  Result<std::string_view> delimited(char mark, std::string_view what) {
    const std::size_t from = ++at_;
    while (at_ < text_.size() && text_[at_] != mark) at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return syntax(fmt::format("{} has no end", what));
    return text_.substr(from, at_++ - from);
  }

  Result<void> quoted_name() {
    auto inner = delimited('"', "a quoted name");
    if (!inner) return inner.error();
    for (const char c : *inner)
      if (static_cast<unsigned char>(c) < 0x20) return syntax("a control character in a quoted name must be escaped");
    std::string decoded(inner->size(), '\0');
    const auto done = decode_string(*inner, decoded.data());
    if (!done.problem.empty()) return mistake("syntax", start_ + 1 + done.size, std::string(done.problem));
    decoded.resize(done.size);
    add(TokenKind::kQuotedName, std::move(decoded));
    return {};
  }

  // Only the quote can be escaped; any other backslash stands for itself.
  Result<void> raw_string() {
    auto inner = delimited('\'', "a string");
    if (!inner) return inner.error();
    add(TokenKind::kRawString, without_escapes(*inner, '\''));
    return {};
  }

  Result<void> literal() {
    auto inner = delimited('`', "a literal");
    if (!inner) return inner.error();
    add(TokenKind::kLiteral, without_escapes(*inner, '`'));
    return {};
  }

  static std::string without_escapes(std::string_view text, char mark) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size()) {
        // The pair is one: of "\\'" the first backslash does not escape the second, but keeps it from escaping the quote.
        if (text[i + 1] != mark) out.push_back('\\');
        out.push_back(text[++i]);
      } else {
        out.push_back(text[i]);
      }
    }
    return out;
  }

  Result<void> mark(char c) {
    switch (c) {
      case '.':
        add(TokenKind::kDot);
        return {};
      case '*':
        add(TokenKind::kStar);
        return {};
      case ',':
        add(TokenKind::kComma);
        return {};
      case ':':
        add(TokenKind::kColon);
        return {};
      case '@':
        add(TokenKind::kCurrent);
        return {};
      case '(':
        add(TokenKind::kOpenParen);
        return {};
      case ')':
        add(TokenKind::kCloseParen);
        return {};
      case ']':
        add(TokenKind::kCloseBracket);
        return {};
      case '{':
        add(TokenKind::kOpenBrace);
        return {};
      case '}':
        add(TokenKind::kCloseBrace);
        return {};
      case '[':
        add(follows(']') ? TokenKind::kFlatten : follows('?') ? TokenKind::kFilter : TokenKind::kOpenBracket);
        return {};
      case '|':
        add(follows('|') ? TokenKind::kOr : TokenKind::kPipe);
        return {};
      case '&':
        add(follows('&') ? TokenKind::kAnd : TokenKind::kReference);
        return {};
      case '!':
        add(follows('=') ? TokenKind::kNotEqual : TokenKind::kNot);
        return {};
      case '<':
        add(follows('=') ? TokenKind::kLessOrEqual : TokenKind::kLess);
        return {};
      case '>':
        add(follows('=') ? TokenKind::kGreaterOrEqual : TokenKind::kGreater);
        return {};
      case '=':
        if (follows('=')) return add(TokenKind::kEqual), Result<void>();
        if (variables_) return add(TokenKind::kAssign), Result<void>();
        return syntax("'=' is no operator; equality is '=='");
      case '$':
        return syntax("'$' is for variables, which need let expressions to be switched on");
      default:
        break;
    }
    if (c > 0x20 && c < 0x7F) return syntax(fmt::format("'{}' means nothing here", c));
    return syntax(fmt::format("byte 0x{:02x} means nothing here", static_cast<unsigned char>(c)));
  }

  std::string_view text_;
  bool variables_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

Error mistake(std::string_view code, std::size_t position, std::string message) {
  std::vector<Reason> reasons(1);
  reasons.front().code = code;
  reasons.front().message = message;
  Error error(ErrorCode::kInvalidArgument, std::move(message));
  error.at_position(position).because(std::move(reasons));
  return error;
}

std::string shown(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end";
    case TokenKind::kName:
      return fmt::format("\"{}\"", token.text);
    case TokenKind::kQuotedName:
      return "a quoted name";
    case TokenKind::kVariable:
      return fmt::format("${}", token.text);
    case TokenKind::kRawString:
      return "a string";
    case TokenKind::kLiteral:
      return "a literal";
    case TokenKind::kNumber:
      return token.text;
    case TokenKind::kDot:
      return "'.'";
    case TokenKind::kStar:
      return "'*'";
    case TokenKind::kComma:
      return "','";
    case TokenKind::kColon:
      return "':'";
    case TokenKind::kPipe:
      return "'|'";
    case TokenKind::kOr:
      return "'||'";
    case TokenKind::kAnd:
      return "'&&'";
    case TokenKind::kNot:
      return "'!'";
    case TokenKind::kReference:
      return "'&'";
    case TokenKind::kCurrent:
      return "'@'";
    case TokenKind::kAssign:
      return "'='";
    case TokenKind::kEqual:
      return "'=='";
    case TokenKind::kNotEqual:
      return "'!='";
    case TokenKind::kLess:
      return "'<'";
    case TokenKind::kLessOrEqual:
      return "'<='";
    case TokenKind::kGreater:
      return "'>'";
    case TokenKind::kGreaterOrEqual:
      return "'>='";
    case TokenKind::kOpenParen:
      return "'('";
    case TokenKind::kCloseParen:
      return "')'";
    case TokenKind::kOpenBracket:
      return "'['";
    case TokenKind::kCloseBracket:
      return "']'";
    case TokenKind::kOpenBrace:
      return "'{'";
    case TokenKind::kCloseBrace:
      return "'}'";
    case TokenKind::kFlatten:
      return "'[]'";
    case TokenKind::kFilter:
      return "'[?'";
  }
  return {};
}

Result<std::vector<Token>> tokenize(std::string_view text, bool variables) { return Lexer(text, variables).run(); }

}  // namespace setget::inline v0::jmespath::detail
