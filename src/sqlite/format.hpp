// What marks a file as ours, and how its tables are brought to the present version.
#pragma once

#include <cstdint>

#include "sqlite/engine.hpp"

namespace setget::inline v0::sqlite {

inline constexpr std::int64_t kApplicationId = 0x53744774;  // "StGt", in the file's header
inline constexpr std::int64_t kFileFormat = 1;              // min_reader and min_writer of files made by this version

// Runs the migrations of `room` that the file lacks, within the caller's transaction. Throws SqlError(kUnsupported) if the file is ahead.
void migrate(Connection& db, const Room& room);

}  // namespace setget::inline v0::sqlite
