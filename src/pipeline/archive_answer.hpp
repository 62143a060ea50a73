// What an archive found, held against what the store knows by now. Thread rule: any thread.
#pragma once

#include <string_view>

#include <setget/reader.hpp>

namespace setget::inline v0::detail {

struct AskedFor {
  bool by_id = false;  // name is an id, else a key
  std::string_view name{};
};

// The answer to a get for which the store had nothing and the archive found `record`: that record, or what the store says by now, or
// nothing where the store knows what speaks against it. Errors: the store's.
Result<Found> confirm(KeyStoreBackend& store, AskedFor asked, Record&& record, TimePoint now, Deadline deadline);

// Whether the store found something, as the reader's clock sees it: a backend may evict late.
inline bool is_live(const Lookup& lookup, TimePoint now) {
  return lookup.status == Lookup::Status::kFound && lookup.record && !lookup.record->expired(now);
}
inline std::optional<Record> live(Lookup& lookup, TimePoint now) {
  if (!is_live(lookup, now)) return std::nullopt;
  return std::move(lookup.record);
}

}  // namespace setget::inline v0::detail
