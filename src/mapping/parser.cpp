#include "mapping/parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "mapping/json_string.hpp"
#include "mapping/lexer.hpp"
#include "mapping/node.hpp"

namespace setget::inline v0::jmespath::detail {
namespace {

constexpr std::array kSignatures = {
    Signature{"abs", Function::kAbs, 1, 1, 0},
    Signature{"avg", Function::kAvg, 1, 1, 0},
    Signature{"ceil", Function::kCeil, 1, 1, 0},
    Signature{"contains", Function::kContains, 2, 2, 0},
    Signature{"ends_with", Function::kEndsWith, 2, 2, 0},
    Signature{"floor", Function::kFloor, 1, 1, 0},
    Signature{"join", Function::kJoin, 2, 2, 0},
    Signature{"keys", Function::kKeys, 1, 1, 0},
    Signature{"length", Function::kLength, 1, 1, 0},
    Signature{"map", Function::kMap, 2, 2, 1},
    Signature{"max", Function::kMax, 1, 1, 0},
    Signature{"max_by", Function::kMaxBy, 2, 2, 2},
    Signature{"merge", Function::kMerge, 1, kAnyNumber, 0},
    Signature{"min", Function::kMin, 1, 1, 0},
    Signature{"min_by", Function::kMinBy, 2, 2, 2},
    Signature{"not_null", Function::kNotNull, 1, kAnyNumber, 0},
    Signature{"reverse", Function::kReverse, 1, 1, 0},
    Signature{"sort", Function::kSort, 1, 1, 0},
    Signature{"sort_by", Function::kSortBy, 2, 2, 2},
    Signature{"starts_with", Function::kStartsWith, 2, 2, 0},
    Signature{"sum", Function::kSum, 1, 1, 0},
    Signature{"to_array", Function::kToArray, 1, 1, 0},
    Signature{"to_number", Function::kToNumber, 1, 1, 0},
    Signature{"to_string", Function::kToString, 1, 1, 0},
    Signature{"type", Function::kType, 1, 1, 0},
    Signature{"values", Function::kValues, 1, 1, 0},
};

// How strongly operators hold what is left of them.
enum Power : int {
  kNothing = 0,
  kPipePower = 1,
  kOrPower = 2,
  kAndPower = 3,
  kComparePower = 5,
  kFlattenPower = 9,
  kProjectionStops = 10,  // what is weaker ends a projection
  kStarPower = 20,
  kFilterPower = 21,
  kDotPower = 40,
  kNotPower = 45,
  kBracePower = 50,
  kBracketPower = 55,
  kParenPower = 60,
};

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

class Parser {
 public:
  Parser(std::vector<Token> tokens, Program& program) : tokens_(std::move(tokens)), program_(&program) {}

  void run() {
    program_->root = expression(kNothing);
    if (peek().kind != TokenKind::kEnd) fail(peek(), fmt::format("did not expect {} here", shown(peek())));
  }

 private:
  struct Variable {
    std::string_view name;
    std::uint32_t slot = 0;
  };

  [[noreturn]] static void fail(const Token& at, std::string message, std::string_view code = "syntax") {
    throw Failure{mistake(code, at.position, std::move(message))};
  }
  const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool accept(TokenKind kind) {
    if (peek().kind != kind) return false;
    take();
    return true;
  }
  void expect(TokenKind kind, std::string_view what) {
    if (!accept(kind)) fail(peek(), fmt::format("expected {}, not {}", what, shown(peek())));
  }

  std::uint32_t add(Part part) {
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
  [[noreturn]] void too_deep(std::uint32_t position) const {
    Error error(ErrorCode::kTooLarge, fmt::format("the expression is nested deeper than {}", program_->options.max_expression_depth));
    throw Failure{std::move(error).at_position(position)};
  }
  std::uint32_t current(std::uint32_t position) { return add({.op = Op::kCurrent, .position = position}); }
  std::uint32_t two(Op op, std::uint32_t position, std::uint32_t left, std::uint32_t right) {
    return add({.op = op, .position = position, .left = left, .right = right});
  }

  std::uint32_t expression(int least) {
    if (++depth_ > program_->options.max_expression_depth) too_deep(peek().position);
    std::uint32_t left = prefix(take());
    while (least < power_of(peek().kind)) left = infix(take(), left);
    --depth_;
    return left;
  }

  std::uint32_t prefix(const Token& token) {
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

  std::uint32_t infix(const Token& token, std::uint32_t left) {
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

  std::uint32_t comparison(const Token& token, Comparator comparator, std::uint32_t left) {
    return add(
        {.op = Op::kCompare, .comparator = comparator, .position = token.position, .left = left, .right = expression(kComparePower)});
  }

  // What a projection does with each of its values.
  std::uint32_t projected(int power) {
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

  std::uint32_t after_dot(int power) {
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
  std::uint32_t expression_after_dot(int power) {
    if (peek().kind == TokenKind::kName && peek().text == "let" && peek(1).kind == TokenKind::kVariable)
      fail(peek(1), "let starts an expression; it cannot follow '.'");
    return expression(power);
  }

  // Member after member is one part.
  std::uint32_t then(const Token& token, std::uint32_t left, std::uint32_t right) {
    const Part& first = program_->parts[left];
    const Part& second = program_->parts[right];
    // Their names lie side by side, unless parentheses came in between.
    if (first.op != Op::kPath || second.op != Op::kPath || first.first + first.count != second.first)
      return two(Op::kThen, token.position, left, right);
    Part joined = first;
    joined.count += second.count;
    return add(joined);
  }

  std::uint32_t name(const Token& token) {
    const auto first = static_cast<std::uint32_t>(program_->names.size());
    program_->names.push_back(named(token.text));
    return add({.op = Op::kPath, .position = token.position, .first = first, .count = 1});
  }
  Wanted named(const std::string& text) { return Wanted(program_->strings.emplace_back(text)); }

  std::uint32_t literal(const Token& token, Value value) {
    program_->literals.push_back(value);
    return add({.op = Op::kLiteral, .position = token.position, .first = static_cast<std::uint32_t>(program_->literals.size() - 1)});
  }
  std::uint32_t json_literal(const Token& token) {
    auto document =
        Document::parse(Payload::copy(token.text), {.max_bytes = token.text.size(), .max_depth = program_->options.max_expression_depth});
    if (!document) {
      if (document.error().code() == ErrorCode::kTooLarge) too_deep(token.position);
      fail(token, fmt::format("the literal is {}", document.error().message()));
    }
    return literal(token, program_->documents.emplace_back(*std::move(document)).root());
  }

  std::uint32_t flatten(const Token& token, std::uint32_t left) {
    const auto flat = add({.op = Op::kFlatten, .position = token.position, .left = left});
    return two(Op::kProject, token.position, flat, projected(kFlattenPower));
  }
  std::uint32_t filter(const Token& token, std::uint32_t left) {
    const auto condition = expression(kNothing);
    expect(TokenKind::kCloseBracket, "']'");
    const auto right = peek().kind == TokenKind::kFlatten ? current(peek().position) : projected(kFilterPower);
    return add({.op = Op::kFilter, .position = token.position, .left = left, .right = right, .third = condition});
  }
  // Behind '[': "*]".
  std::uint32_t all(const Token& token, std::uint32_t left) {
    take();
    take();
    return two(Op::kProject, token.position, left, projected(kStarPower));
  }

  std::int64_t integer(const Token& token) const {
    std::int64_t out = 0;
    const auto read = std::from_chars(token.text.data(), token.text.data() + token.text.size(), out);
    if (read.ec == std::errc()) return out;
    fail(token, "an index is an integer of at most 64 bits");
  }

  // Behind '[': an index, or a slice.
  std::uint32_t index(const Token& token, std::uint32_t left) {
    if (peek().kind == TokenKind::kNumber && peek(1).kind != TokenKind::kColon) {
      const auto at = integer(take());
      expect(TokenKind::kCloseBracket, "']'");
      return applied(token, left, add({.op = Op::kIndex, .position = token.position, .index = at}));
    }
    const auto cut = applied(token, left, slice(token));
    return two(Op::kProject, token.position, cut, projected(kStarPower));
  }
  std::uint32_t applied(const Token& token, std::uint32_t left, std::uint32_t right) {
    return program_->parts[left].op == Op::kCurrent ? right : two(Op::kThen, token.position, left, right);
  }
  std::uint32_t slice(const Token& token) {
    Slice out;
    if (peek().kind == TokenKind::kNumber) out.start = integer(take());
    expect(TokenKind::kColon, "':'");
    if (peek().kind == TokenKind::kNumber) out.stop = integer(take());
    const Token* step = nullptr;
    if (accept(TokenKind::kColon) && peek().kind == TokenKind::kNumber) out.step = integer(*(step = &take()));
    expect(TokenKind::kCloseBracket, "']'");
    if (out.step == 0) fail(*step, "the step of a slice cannot be 0", "invalid-value");
    program_->slices.push_back(out);
    return add({.op = Op::kSlice, .position = token.position, .first = static_cast<std::uint32_t>(program_->slices.size() - 1)});
  }

  std::uint32_t with_children(Part part, const std::vector<std::uint32_t>& children) {
    part.first = static_cast<std::uint32_t>(program_->children.size());
    part.count = static_cast<std::uint32_t>(children.size());
    program_->children.insert(program_->children.end(), children.begin(), children.end());
    return add(part);
  }

  std::uint32_t list(const Token& token) {
    std::vector<std::uint32_t> children;
    do children.push_back(expression(kNothing));
    while (accept(TokenKind::kComma));
    expect(TokenKind::kCloseBracket, "',' or ']'");
    return with_children({.op = Op::kList, .position = token.position, .index = constant(children)}, children);
  }

  // The place of a list of literals among the literals, from 1; 0: it has to be evaluated.
  std::int64_t constant(const std::vector<std::uint32_t>& children) {
    const auto is_literal = [&](std::uint32_t child) { return program_->parts[child].op == Op::kLiteral; };
    if (!std::all_of(children.begin(), children.end(), is_literal)) return 0;
    auto& values = program_->lists.emplace_back();
    for (const auto child : children) values.push_back(program_->literals[program_->parts[child].first]);
    program_->literals.push_back(Access::of_elements(values.data(), values.size()));
    return static_cast<std::int64_t>(program_->literals.size());
  }

  // Of a name that is given twice the last counts, in the place of the first.
  std::uint32_t hash(const Token& token) {
    std::vector<std::uint32_t> children;
    std::vector<std::string_view> seen;
    std::vector<Wanted> names;
    do {
      const Token& key = take();
      if (key.kind != TokenKind::kName && key.kind != TokenKind::kQuotedName)
        fail(key, fmt::format("expected the name of a member, not {}", shown(key)));
      expect(TokenKind::kColon, "':'");
      const auto child = expression(kNothing);
      const auto before = std::find(seen.begin(), seen.end(), key.text);
      if (before != seen.end()) {
        children[static_cast<std::size_t>(before - seen.begin())] = child;
        continue;
      }
      seen.push_back(key.text);
      names.push_back(named(key.text));
      children.push_back(child);
    } while (accept(TokenKind::kComma));
    expect(TokenKind::kCloseBrace, "',' or '}'");
    const auto names_first = static_cast<std::uint32_t>(program_->names.size());
    program_->names.insert(program_->names.end(), names.begin(), names.end());
    return with_children({.op = Op::kHash, .position = token.position, .names_first = names_first}, children);
  }

  std::uint32_t call(const Token& token) {
    const Signature* signature = find_function(token.text);
    take();
    std::vector<std::uint32_t> arguments;
    while (peek().kind != TokenKind::kCloseParen) {
      if (!arguments.empty()) expect(TokenKind::kComma, "',' or ')'");
      arguments.push_back(argument());
    }
    take();
    if (signature == nullptr) fail(token, fmt::format("there is no function {}()", token.text), "unknown-function");
    check_call(token, *signature, arguments);
    return with_children({.op = Op::kCall, .function = signature->function, .position = token.position}, arguments);
  }
  std::uint32_t argument() {
    if (!accept(TokenKind::kReference)) return expression(kNothing);
    // A part of its own, so that the mark concerns nothing else.
    const auto inner = expression(kNothing);
    Part marked = program_->parts[inner];
    marked.reference = true;
    program_->parts.push_back(marked);
    return static_cast<std::uint32_t>(program_->parts.size() - 1);
  }
  void check_call(const Token& token, const Signature& signature, const std::vector<std::uint32_t>& arguments) const {
    const std::size_t given = arguments.size();
    if (given < signature.least || (signature.most != kAnyNumber && given > signature.most)) {
      const bool fixed = signature.most != kAnyNumber;
      const std::string wanted = fmt::format("{}{} argument{}", fixed ? "" : "at least ", signature.least, signature.least == 1 ? "" : "s");
      fail(token, fmt::format("{}() takes {}, not {}", signature.name, wanted, given), "invalid-arity");
    }
    for (std::size_t i = 0; i < given; ++i) {
      const Part& part = program_->parts[arguments[i]];
      const bool wanted = signature.reference == i + 1;
      // A value where a reference belongs is a wrong type, as any other value would be.
      if (part.reference == wanted) continue;
      Token at = token;
      at.position = part.position;
      fail(at, fmt::format("argument {} of {}() must {}be an expression reference (&…)", i + 1, signature.name, wanted ? "" : "not "),
           "invalid-type");
    }
  }

  // Bindings see what is around the let, not each other; the body sees them all.
  std::uint32_t let(const Token& token) {
    std::vector<Variable> bound;
    std::vector<std::uint32_t> children;
    do {
      const Token& variable = take();
      if (variable.kind != TokenKind::kVariable) fail(variable, fmt::format("expected a variable, not {}", shown(variable)));
      expect(TokenKind::kAssign, "'='");
      children.push_back(expression(kNothing));
      bound.push_back({variable.text, 0});
    } while (accept(TokenKind::kComma));
    if (peek().kind != TokenKind::kName || peek().text != "in") fail(peek(), fmt::format("expected ',' or \"in\", not {}", shown(peek())));
    take();
    const auto first_slot = alive_;
    for (Variable& one : bound) {
      one.slot = alive_++;
      scope_.push_back(one);
    }
    program_->variables = std::max(program_->variables, alive_);
    const auto body = expression(kNothing);
    scope_.resize(scope_.size() - bound.size());
    alive_ = first_slot;
    return with_children({.op = Op::kLet, .position = token.position, .left = body, .index = first_slot}, children);
  }

  std::uint32_t variable(const Token& token) {
    const auto found = std::find_if(scope_.rbegin(), scope_.rend(), [&](const Variable& one) { return one.name == token.text; });
    if (found == scope_.rend()) fail(token, fmt::format("the variable ${} is not defined here", token.text), "undefined-variable");
    return add({.op = Op::kVariable, .position = token.position, .index = found->slot});
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  Program* program_;
  std::vector<Variable> scope_;
  std::uint32_t alive_ = 0;
};

}  // namespace

const Signature* find_function(std::string_view name) noexcept {
  const auto found = std::find_if(kSignatures.begin(), kSignatures.end(), [&](const Signature& one) { return one.name == name; });
  return found == kSignatures.end() ? nullptr : &*found;
}

std::string_view name_of(Function function) noexcept {
  const auto found = std::find_if(kSignatures.begin(), kSignatures.end(), [&](const Signature& one) { return one.function == function; });
  return found->name;
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
