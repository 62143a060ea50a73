// Rules of the command line that hold for every subcommand, and the numbers that its options take. What breaks one is wrong usage.
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <limits>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace cli {

// Parses, once all subcommands are there. An empty value is an unset variable of a shell far more often than it is meant, and must not
// count as an option that was not given: it is refused, but where an empty one means something. Throws CLI::ParseError.
void parse(CLI::App& app, int argc, char** argv);

// Whole numbers in decimal digits, and rates. Messages name the limits.
CLI::Validator whole_number(std::uint64_t least, std::uint64_t most = std::numeric_limits<std::uint64_t>::max());
CLI::Validator number_above_zero();
CLI::Validator number_from_zero();
// Lengths of time such as 90, 90s, 15m, 7d. `lasting`: "never" as well.
CLI::Validator length_of_time(bool lasting = false);

}  // namespace cli
