// The parser of expressions: private to parser.cpp (how expressions hang together) and parser_parts.cpp (what they are made of).
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mapping/lexer.hpp"
#include "mapping/parser.hpp"

namespace setget::inline v0::jmespath::detail {

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

class Parser {
 public:
  Parser(std::vector<Token> tokens, Program& program) : tokens_(std::move(tokens)), program_(&program) {}

  void run();

 private:
  struct Variable {
    std::string_view name;
    std::uint32_t slot = 0;
  };

  [[noreturn]] static void fail(const Token& at, std::string message, std::string_view code = "syntax");
  const Token& peek(std::size_t ahead = 0) const;
  const Token& take();
  bool accept(TokenKind kind);
  void expect(TokenKind kind, std::string_view what);

  std::uint32_t add(Part part);
  [[noreturn]] void too_deep(std::uint32_t position) const;
  std::uint32_t current(std::uint32_t position);
  std::uint32_t two(Op op, std::uint32_t position, std::uint32_t left, std::uint32_t right);

  std::uint32_t expression(int least);

  std::uint32_t prefix(const Token& token);

  std::uint32_t infix(const Token& token, std::uint32_t left);

  std::uint32_t comparison(const Token& token, Comparator comparator, std::uint32_t left);

  // What a projection does with each of its values.
  std::uint32_t projected(int power);

  std::uint32_t after_dot(int power);
  std::uint32_t expression_after_dot(int power);

  // Member after member is one part.
  std::uint32_t then(const Token& token, std::uint32_t left, std::uint32_t right);

  std::uint32_t name(const Token& token);
  Wanted named(const std::string& text);

  std::uint32_t literal(const Token& token, Value value);
  std::uint32_t json_literal(const Token& token);

  std::uint32_t flatten(const Token& token, std::uint32_t left);
  std::uint32_t filter(const Token& token, std::uint32_t left);
  // Behind '[': "*]".
  std::uint32_t all(const Token& token, std::uint32_t left);

  std::int64_t integer(const Token& token) const;

  // Behind '[': an index, or a slice.
  std::uint32_t index(const Token& token, std::uint32_t left);
  std::uint32_t applied(const Token& token, std::uint32_t left, std::uint32_t right);
  std::uint32_t slice(const Token& token);

  std::uint32_t with_children(Part part, const std::vector<std::uint32_t>& children);

  std::uint32_t list(const Token& token);

  // The place of a list of literals among the literals, from 1; 0: it has to be evaluated.
  std::int64_t constant(const std::vector<std::uint32_t>& children);

  // Of a name that is given twice the last counts, in the place of the first.
  std::uint32_t hash(const Token& token);

  std::uint32_t call(const Token& token);
  std::uint32_t argument();
  void check_call(const Token& token, const Signature& signature, const std::vector<std::uint32_t>& arguments) const;

  // Bindings see what is around the let, not each other; the body sees them all.
  std::uint32_t let(const Token& token);

  std::uint32_t variable(const Token& token);

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  Program* program_;
  std::vector<Variable> scope_;
  std::uint32_t alive_ = 0;
};

}  // namespace setget::inline v0::jmespath::detail
