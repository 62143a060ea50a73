// From tokens to a Program: a Pratt parser. Thread rule: one thread.
#pragma once

#include <memory>

#include <setget/error.hpp>

#include "mapping/program.hpp"

namespace setget::inline v0::jmespath::detail {

// How compiling and evaluating leave their recursion; never leaves this room.
struct Failure {
  Error error;
};

Result<std::shared_ptr<const Program>> compile_program(std::string_view text, const Options& options);

// What a function takes, for the check of calls at compile time.
struct Signature {
  std::string_view name;
  Function function;
  std::uint8_t least;
  std::uint8_t most;       // kAnyNumber: no bound
  std::uint8_t reference;  // which argument is an expression reference (1 = the first); 0: none
};
constexpr std::uint8_t kAnyNumber = 255;
const Signature* find_function(std::string_view name) noexcept;
std::string_view name_of(Function function) noexcept;

}  // namespace setget::inline v0::jmespath::detail
