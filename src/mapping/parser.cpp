#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "mapping/json_string.hpp"
#include "mapping/parser_state.hpp"

namespace setget::inline v0::jmespath::detail {
namespace {

int power_of(TokenKind kind) noexcept {
  switch (kind) {
    case TokenKind::kPipe:
      return kPipePower;
    case TokenKind::kOr:
      return kOrPower;
    case TokenKind::kAnd:
      return kAndPower;
    case TokenKind::kEqual:
    case TokenKind::kNotEqual:
    case TokenKind::kLess:
    case TokenKind::kLessOrEqual:
    case TokenKind::kGreater:
    case TokenKind::kGreaterOrEqual:
      return kComparePower;
    case TokenKind::kFlatten:
      return kFlattenPower;
    case TokenKind::kStar:
      return kStarPower;
    case TokenKind::kFilter:
      return kFilterPower;
    case TokenKind::kDot:
      return kDotPower;
    case TokenKind::kOpenBrace:
      return kBracePower;
    case TokenKind::kOpenBracket:
      return kBracketPower;
    case TokenKind::kOpenParen:
      return kParenPower;
    default:
      return kNothing;
  }
}

}  // namespace

void Parser::run() {
  program_->root = expression(kNothing);
  if (peek().kind != TokenKind::kEnd) fail(peek(), fmt::format("did not expect {} here", shown(peek())));
}

[[noreturn]] void Parser::fail(const Token& at, std::string message, std::string_view code) {
  throw Failure{mistake(code, at.position, std::move(message))};
}

const Token& Parser::peek(std::size_t ahead) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }

const Token& Parser::take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }

bool Parser::accept(TokenKind kind) {
  if (peek().kind != kind) return false;
  take();
  return true;
}

void Parser::expect(TokenKind kind, std::string_view what) {
  if (!accept(kind)) fail(peek(), fmt::format("expected {}, not {}", what, shown(peek())));
}

std::uint32_t Parser::add(Part part) {
  std::uint32_t depth = 0;
  const auto deepen = [&](std::uint32_t child) { depth = std::max(depth, program_->parts[child].depth); };
  if (part.op == Op::kThen || part.op == Op::kFlatten || part.op >= Op::kProject) {
    switch (part.op) {
      case Op::kFilter:
        deepen(part.third);
        [[fallthrough]];
      case Op::kThen:
      case Op::kProject:
      case Op::kValues:
      case Op::kOr:
      case Op::kAnd:
      case Op::kCompare:
        deepen(part.right);
        [[fallthrough]];
      case Op::kFlatten:
      case Op::kNot:
      case Op::kLet:
        deepen(part.left);
        break;
      default:
        break;
    }
    for (std::uint32_t i = 0; i < part.count && part.op != Op::kPath; ++i) deepen(program_->children[part.first + i]);
  }
  part.depth = depth + 1;
  if (part.depth > program_->options.max_expression_depth) too_deep(part.position);
  program_->parts.push_back(part);
  return static_cast<std::uint32_t>(program_->parts.size() - 1);
}

[[noreturn]] void Parser::too_deep(std::uint32_t position) const {
  Error error(ErrorCode::kTooLarge, fmt::format("the expression is nested deeper than {}", program_->options.max_expression_depth));
  throw Failure{std::move(error).at_position(position)};
}

std::uint32_t Parser::current(std::uint32_t position) { return add({.op = Op::kCurrent, .position = position}); }

std::uint32_t Parser::two(Op op, std::uint32_t position, std::uint32_t left, std::uint32_t right) {
  return add({.op = op, .position = position, .left = left, .right = right});
}

std::uint32_t Parser::expression(int least) {
  if (++depth_ > program_->options.max_expression_depth) too_deep(peek().position);
  std::uint32_t left = prefix(take());
  while (least < power_of(peek().kind)) left = infix(take(), left);
  --depth_;
  return left;
}

std::uint32_t Parser::prefix(const Token& token) {
  switch (token.kind) {
    case TokenKind::kName:
      if (token.text == "let" && peek().kind == TokenKind::kVariable) return let(token);
      if (peek().kind == TokenKind::kOpenParen) return call(token);
      return name(token);
    case TokenKind::kQuotedName:
      if (peek().kind == TokenKind::kOpenParen) fail(token, "the name of a function is not quoted");
      return name(token);
    case TokenKind::kVariable:
      return variable(token);
    case TokenKind::kRawString:
      return literal(token, Value::of(std::string_view(program_->strings.emplace_back(token.text))));
    case TokenKind::kLiteral:
      return json_literal(token);
    case TokenKind::kCurrent:
      return current(token.position);
    case TokenKind::kStar:
      return two(Op::kValues, token.position, current(token.position),
                 peek().kind == TokenKind::kCloseBracket ? current(token.position) : projected(kStarPower));
    case TokenKind::kFilter:
      return filter(token, current(token.position));
    case TokenKind::kFlatten:
      return flatten(token, current(token.position));
    case TokenKind::kNot:
      return add({.op = Op::kNot, .position = token.position, .left = expression(kNotPower)});
    case TokenKind::kOpenBrace:
      return hash(token);
    case TokenKind::kOpenParen: {
      const auto inner = expression(kNothing);
      expect(TokenKind::kCloseParen, "')'");
      return inner;
    }
    case TokenKind::kOpenBracket:
      if (peek().kind == TokenKind::kNumber || peek().kind == TokenKind::kColon) return index(token, current(token.position));
      if (peek().kind == TokenKind::kStar && peek(1).kind == TokenKind::kCloseBracket) return all(token, current(token.position));
      return list(token);
    case TokenKind::kReference:
      fail(token, "'&' is only for arguments of functions");
    default:
      fail(token, token.kind == TokenKind::kEnd ? std::string("the expression ends where a value is expected")
                                                : fmt::format("expected a value, not {}", shown(token)));
  }
}

std::uint32_t Parser::infix(const Token& token, std::uint32_t left) {
  switch (token.kind) {
    case TokenKind::kDot:
      if (peek().kind == TokenKind::kStar) {
        take();
        return two(Op::kValues, token.position, left, projected(kDotPower));
      }
      return then(token, left, after_dot(kDotPower));
    case TokenKind::kPipe:
      return two(Op::kThen, token.position, left, expression(kPipePower));
    case TokenKind::kOr:
      return two(Op::kOr, token.position, left, expression(kOrPower));
    case TokenKind::kAnd:
      return two(Op::kAnd, token.position, left, expression(kAndPower));
    case TokenKind::kEqual:
      return comparison(token, Comparator::kEqual, left);
    case TokenKind::kNotEqual:
      return comparison(token, Comparator::kNotEqual, left);
    case TokenKind::kLess:
      return comparison(token, Comparator::kLess, left);
    case TokenKind::kLessOrEqual:
      return comparison(token, Comparator::kLessOrEqual, left);
    case TokenKind::kGreater:
      return comparison(token, Comparator::kGreater, left);
    case TokenKind::kGreaterOrEqual:
      return comparison(token, Comparator::kGreaterOrEqual, left);
    case TokenKind::kFlatten:
      return flatten(token, left);
    case TokenKind::kFilter:
      return filter(token, left);
    case TokenKind::kOpenBracket:
      if (peek().kind == TokenKind::kNumber || peek().kind == TokenKind::kColon) return index(token, left);
      if (peek().kind == TokenKind::kStar && peek(1).kind == TokenKind::kCloseBracket) return all(token, left);
      fail(peek(), "expected an index, a slice or '*' in brackets; a list of expressions needs a dot before it");
    default:
      fail(token, fmt::format("did not expect {} here", shown(token)));
  }
}

std::uint32_t Parser::comparison(const Token& token, Comparator comparator, std::uint32_t left) {
  return add({.op = Op::kCompare, .comparator = comparator, .position = token.position, .left = left, .right = expression(kComparePower)});
}

std::uint32_t Parser::projected(int power) {
  const Token& token = peek();
  if (power_of(token.kind) < kProjectionStops) return current(token.position);
  if (token.kind == TokenKind::kOpenBracket || token.kind == TokenKind::kFilter) {
    // As if '@' stood here: what follows goes on with each value.
    if (++depth_ > program_->options.max_expression_depth) too_deep(token.position);
    std::uint32_t left = prefix(take());
    while (power < power_of(peek().kind)) left = infix(take(), left);
    --depth_;
    return left;
  }
  if (token.kind == TokenKind::kDot) {
    take();
    return after_dot(power);
  }
  fail(token, fmt::format("did not expect {} here", shown(token)));
}

std::uint32_t Parser::after_dot(int power) {
  const Token& token = peek();
  switch (token.kind) {
    case TokenKind::kName:
    case TokenKind::kQuotedName:
    case TokenKind::kStar:
      // `let` after a dot is a name like any other.
      return expression_after_dot(power);
    case TokenKind::kOpenBracket:
      return list(take());
    case TokenKind::kOpenBrace:
      return hash(take());
    default:
      fail(token, fmt::format("expected a name, '*', '[' or '{{' after '.', not {}", shown(token)));
  }
}

std::uint32_t Parser::expression_after_dot(int power) {
  if (peek().kind == TokenKind::kName && peek().text == "let" && peek(1).kind == TokenKind::kVariable)
    fail(peek(1), "let starts an expression; it cannot follow '.'");
  return expression(power);
}

std::uint32_t Parser::then(const Token& token, std::uint32_t left, std::uint32_t right) {
  const Part& first = program_->parts[left];
  const Part& second = program_->parts[right];
  // Their names lie side by side, unless parentheses came in between.
  if (first.op != Op::kPath || second.op != Op::kPath || first.first + first.count != second.first)
    return two(Op::kThen, token.position, left, right);
  Part joined = first;
  joined.count += second.count;
  return add(joined);
}

std::uint32_t Parser::flatten(const Token& token, std::uint32_t left) {
  const auto flat = add({.op = Op::kFlatten, .position = token.position, .left = left});
  return two(Op::kProject, token.position, flat, projected(kFlattenPower));
}

std::uint32_t Parser::filter(const Token& token, std::uint32_t left) {
  const auto condition = expression(kNothing);
  expect(TokenKind::kCloseBracket, "']'");
  const auto right = peek().kind == TokenKind::kFlatten ? current(peek().position) : projected(kFilterPower);
  return add({.op = Op::kFilter, .position = token.position, .left = left, .right = right, .third = condition});
}

std::uint32_t Parser::all(const Token& token, std::uint32_t left) {
  take();
  take();
  return two(Op::kProject, token.position, left, projected(kStarPower));
}

Result<std::shared_ptr<const Program>> compile_program(std::string_view text, const Options& options) {
  if (options.max_expression_depth == 0 || options.max_expression_depth > 512)
    return Error(ErrorCode::kInvalidArgument, "must be 1 to 512").at_field("max_expression_depth");
  if (text.size() > std::min<std::size_t>(options.max_expression_bytes, std::numeric_limits<std::int32_t>::max()))
    return Error(ErrorCode::kTooLarge, fmt::format("an expression of {} bytes, limit {}", text.size(), options.max_expression_bytes));
  if (!is_utf8(text)) return mistake("syntax", 0, "the expression is not UTF-8");
  auto tokens = tokenize(text, options.let_expressions);
  if (!tokens) return tokens.error();
  auto program = std::make_shared<Program>();
  program->text = text;
  program->options = options;
  try {
    Parser(*std::move(tokens), *program).run();
  } catch (const Failure& failure) {
    return failure.error;
  }
  return std::shared_ptr<const Program>(std::move(program));
}

}  // namespace setget::inline v0::jmespath::detail
