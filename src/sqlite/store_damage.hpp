// Records whose bodies are damaged: what can still be told of them, so that they can be replaced, erased and evicted like any other and
// hold up nothing else. Thread rule: belongs to whoever has the connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sqlite/sqlite3.hpp"

#include <setget/record.hpp>

namespace setget::inline v0::sqlite {

bool is_damage(const Error& error) noexcept;

// The body of a record; empty where it is damaged or lost.
std::optional<Payload> readable_body(Connection& db, std::int64_t row);

// What a damaged body says of itself, where the tables confirm that it is of the record that it names. Its payload is not to be trusted,
// nor any of its keys that does not lead to it.
std::optional<Command> remains_of(Connection& db, std::int64_t row);

// The id of the record with this row within the namespace; empty: there is none. Walks over a table where the body does not say it.
std::optional<std::string> holder_of_damaged(Connection& db, std::string_view ns, std::int64_t row);

// Stands for the damaged body of a live record: with its keys, as far as the body or a walk over the table of keys can tell.
Payload remade_body(Connection& db, std::string_view ns, std::string_view id, std::int64_t row);

}  // namespace setget::inline v0::sqlite
