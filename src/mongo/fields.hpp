// Fields of a document, each of the type that it must have: `false` where it has another one. What all codecs of this folder read with.
#pragma once

#include "mongo/mongoc.hpp"

#include <string>
#include <type_traits>
#include <vector>

#include "core/varint.hpp"

#include <setget/record.hpp>

namespace setget::inline v0::mongo {

inline bool take_text(const Value& field, std::string& into) {
  const auto bytes = field.bytes();
  if (bytes) into = *bytes;
  return bytes.has_value();
}

// A number, or an enumerator by its number.
template <class Number>
bool take_number(const Value& field, Number& into) {
  const auto value = field.integer();
  if (value) into = static_cast<Number>(*value);
  return value.has_value();
}

inline bool take_moment(const Value& field, TimePoint& into) {
  const auto time = field.time();
  if (time) into = *time;
  return time.has_value();
}

inline bool take_keys(const Value& field, std::vector<std::string>& into) {
  return field.each([&](const Value& key) {
    const auto bytes = key.bytes();
    if (bytes) into.emplace_back(*bytes);
    return bytes.has_value();
  });
}

// As KeyList::packed() gives it.
inline bool take_packed_keys(const Value& field, KeyList& into) {
  const auto packed = field.bytes();
  if (!packed) return false;
  detail::ByteReader reader(*packed);
  std::size_t count = 0;
  for (; reader.left() > 0; ++count) {
    if (!reader.sized_bytes()) return false;
  }
  into = KeyList::from_packed(Payload::copy(*packed), count);
  return true;
}

// Calls take(field) for each until it says false, and then names that field. Empty: all were taken. No value: it is not BSON.
template <class Take>
std::optional<std::string> first_wrong_field(const bson_t* document, Take take) {
  bson_iter_t at;
  if (!bson_iter_init(&at, document)) return std::nullopt;
  while (bson_iter_next(&at)) {
    const Value field(at);
    if (!take(field)) return std::string(field.name());
  }
  return std::string();
}

}  // namespace setget::inline v0::mongo
