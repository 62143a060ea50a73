// What the archive suites share: documents to write, and short ways to write and read them.
#pragma once

#include "testing/key_store_helpers.hpp"

namespace setget::inline v0::testing::detail {

inline ArchiveEntry document(Trial& t, const std::string& id, Keys keys, Version version, Revision revision = 0,
                             const std::string& payload = "payload") {
  ArchiveEntry entry;
  entry.id = id;
  entry.version = version;
  entry.revision = revision;
  auto& record = entry.record;
  record.id = id;
  record.keys = KeyList(std::span<const std::string>(keys));
  record.account = "acme";
  record.flow = "orders";
  record.payload = Payload(payload);
  record.content_type = "application/json";
  record.version = version;
  record.revision = revision;
  record.stamp = t.stamp(version);
  record.created_at = time_of(record.stamp);
  return entry;
}

inline ArchiveEntry gravestone(const std::string& id, Version version, Revision revision = 0) {
  ArchiveEntry entry;
  entry.tombstone = true;
  entry.id = id;
  entry.version = version;
  entry.revision = revision;
  return entry;
}

inline ArchiveWrite write(Trial& t, const ArchiveEntry& entry) {
  return t.archive().write({.entries = std::span(&entry, 1)}).value().at(0).value();
}

inline Lookup by_id(Trial& t, std::string_view id, std::string_view ns = {}) {
  return t.archive().get_by_id({.ns = ns, .id = id, .now = t.now()}).value();
}
inline Lookup by_key(Trial& t, std::string_view key, std::string_view ns = {}) {
  return t.archive().get({.ns = ns, .keys = std::span(&key, 1), .now = t.now()}).value().at(0);
}

}  // namespace setget::inline v0::testing::detail
