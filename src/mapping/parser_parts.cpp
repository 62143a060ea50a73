#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "mapping/node.hpp"
#include "mapping/parser_state.hpp"

namespace setget::inline v0::jmespath::detail {

std::uint32_t Parser::name(const Token& token) {
  const auto first = static_cast<std::uint32_t>(program_->names.size());
  program_->names.push_back(named(token.text));
  return add({.op = Op::kPath, .position = token.position, .first = first, .count = 1});
}

Wanted Parser::named(const std::string& text) { return Wanted(program_->strings.emplace_back(text)); }

std::uint32_t Parser::literal(const Token& token, Value value) {
  program_->literals.push_back(value);
  return add({.op = Op::kLiteral, .position = token.position, .first = static_cast<std::uint32_t>(program_->literals.size() - 1)});
}

std::uint32_t Parser::json_literal(const Token& token) {
  auto document =
      Document::parse(Payload::copy(token.text), {.max_bytes = token.text.size(), .max_depth = program_->options.max_expression_depth});
  if (!document) {
    if (document.error().code() == ErrorCode::kTooLarge) too_deep(token.position);
    fail(token, fmt::format("the literal is {}", document.error().message()));
  }
  return literal(token, program_->documents.emplace_back(*std::move(document)).root());
}

std::int64_t Parser::integer(const Token& token) const {
  std::int64_t out = 0;
  const auto read = std::from_chars(token.text.data(), token.text.data() + token.text.size(), out);
  if (read.ec == std::errc()) return out;
  fail(token, "an index is an integer of at most 64 bits");
}

std::uint32_t Parser::index(const Token& token, std::uint32_t left) {
  if (peek().kind == TokenKind::kNumber && peek(1).kind != TokenKind::kColon) {
    const auto at = integer(take());
    expect(TokenKind::kCloseBracket, "']'");
    return applied(token, left, add({.op = Op::kIndex, .position = token.position, .index = at}));
  }
  const auto cut = applied(token, left, slice(token));
  return two(Op::kProject, token.position, cut, projected(kStarPower));
}

std::uint32_t Parser::applied(const Token& token, std::uint32_t left, std::uint32_t right) {
  return program_->parts[left].op == Op::kCurrent ? right : two(Op::kThen, token.position, left, right);
}

std::uint32_t Parser::slice(const Token& token) {
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

std::uint32_t Parser::with_children(Part part, const std::vector<std::uint32_t>& children) {
  part.first = static_cast<std::uint32_t>(program_->children.size());
  part.count = static_cast<std::uint32_t>(children.size());
  program_->children.insert(program_->children.end(), children.begin(), children.end());
  return add(part);
}

std::uint32_t Parser::list(const Token& token) {
  std::vector<std::uint32_t> children;
  do children.push_back(expression(kNothing));
  while (accept(TokenKind::kComma));
  expect(TokenKind::kCloseBracket, "',' or ']'");
  return with_children({.op = Op::kList, .position = token.position, .index = constant(children)}, children);
}

std::int64_t Parser::constant(const std::vector<std::uint32_t>& children) {
  const auto is_literal = [&](std::uint32_t child) { return program_->parts[child].op == Op::kLiteral; };
  if (!std::all_of(children.begin(), children.end(), is_literal)) return 0;
  auto& values = program_->lists.emplace_back();
  for (const auto child : children) values.push_back(program_->literals[program_->parts[child].first]);
  program_->literals.push_back(Access::of_elements(values.data(), values.size()));
  return static_cast<std::int64_t>(program_->literals.size());
}

std::uint32_t Parser::hash(const Token& token) {
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

std::uint32_t Parser::call(const Token& token) {
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

std::uint32_t Parser::argument() {
  if (!accept(TokenKind::kReference)) return expression(kNothing);
  // A part of its own, so that the mark concerns nothing else.
  const auto inner = expression(kNothing);
  Part marked = program_->parts[inner];
  marked.reference = true;
  program_->parts.push_back(marked);
  return static_cast<std::uint32_t>(program_->parts.size() - 1);
}

void Parser::check_call(const Token& token, const Signature& signature, const std::vector<std::uint32_t>& arguments) const {
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

std::uint32_t Parser::let(const Token& token) {
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

std::uint32_t Parser::variable(const Token& token) {
  const auto found = std::find_if(scope_.rbegin(), scope_.rend(), [&](const Variable& one) { return one.name == token.text; });
  if (found == scope_.rend()) fail(token, fmt::format("the variable ${} is not defined here", token.text), "undefined-variable");
  return add({.op = Op::kVariable, .position = token.position, .index = found->slot});
}

}  // namespace setget::inline v0::jmespath::detail
