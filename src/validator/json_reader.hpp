// JsonReader: JSON text to a tape, every number exact, errors with their position. For schemas, for documents whose numbers simdjson would
// refuse or round, and to say what is wrong with what simdjson refused. Private to the validator.
#pragma once

#include <cstddef>
#include <string_view>

#include <setget/error.hpp>

#include "validator/tape_writer.hpp"

namespace setget::inline v0::detail::schema {

// Errors: kInvalidArgument (position), kTooLarge (nesting; exponents of more than 17 digits).
Result<void> read_json(std::string_view text, std::size_t max_depth, TapeWriter& out);

// True if simdjson may have rounded a number of this text: more than 15 digits in a row, or an exponent of three digits.
bool may_round(std::string_view text) noexcept;

// A JSON number as the shortest exact word: 'l', 'u', 'd' where 15 digits say all, else 'N'. False: not a number, or an exponent too long.
bool write_number(std::string_view text, TapeWriter& out);

}  // namespace setget::inline v0::detail::schema
