// Names of what histories keep beside their states. Thread rule: values.
#pragma once

#include <fmt/format.h>

#include <string>

#include "mongo/mongoc.hpp"

namespace setget::inline v0::mongo {

// In the collection ….state: what the histories can tell, and how far each part of an outbox was written.
inline const std::string kKnown = "history";
inline const std::string kPositions = "history of ";  // then part_name()

// In ….history.chunks.
inline std::string piece_name(const std::string& state, std::size_t number) { return fmt::format("{} {:06}", state, number); }
inline Document pieces_of(const std::string& state) {
  Document range;
  range.add_utf8("$gte", state + " ").add_utf8("$lt", state + "!");
  Document filter;
  filter.add("_id", range);
  return filter;
}

}  // namespace setget::inline v0::mongo
