// Where the memory of a store goes, by part; see MemoryReport. Thread rule: values and functions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <setget/redis.hpp>

namespace setget::inline v0::redis {

class Place;

enum class Part : std::uint8_t {
  kRecords,       // entries with a record or its tombstone
  kPointers,      // entries of webhook keys alone
  kLog,           // change log
  kExpiry,        // buckets of what expires when
  kReclaim,       // what can be forgotten, and when
  kIndexes,       // listing
  kBookkeeping,   // roots, cursors, counters
  kDictionaries,  // of the codec
  kQueue,
  kHashTables,  // the server's own, of all names
  kOther,       // names of other programs, or under other prefixes
};
inline constexpr std::size_t kParts = 11;

// Which part a name belongs to. An entry is kRecords until its value says that it is a pointer.
Part part_of(std::string_view prefix, std::string_view name);

Result<MemoryReport> measure_memory(Place& place, std::size_t max_names, Deadline deadline);

}  // namespace setget::inline v0::redis
