// What the tables of a file must say of each other. SQLite's integrity check sees that its trees are in order, not that a bit in a name or
// a number has made a record unreachable; this does.
#pragma once

#include <string>
#include <vector>

#include "sqlite/sqlite3.hpp"

namespace setget::inline v0::sqlite {

struct CrossCheck {
  std::uint64_t records = 0;
  std::uint64_t messages = 0;           // unfinished ones and dead letters
  std::vector<std::string> problems{};  // the first of them
  std::uint64_t problem_count = 0;
};

// Reads every body and every row of the key store and of the queues once, in one read transaction. Throws SqlError where a row cannot
// be read at all.
CrossCheck cross_check(Connection& db);

}  // namespace setget::inline v0::sqlite
