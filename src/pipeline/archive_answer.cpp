#include "pipeline/archive_answer.hpp"

#include <algorithm>
#include <vector>

namespace setget::inline v0::detail {

Result<Found> confirm(KeyStoreBackend& store, AskedFor asked, Record&& record, TimePoint now, Deadline deadline) {
  if (record.expired(now)) return Found{};
  std::vector<std::string_view> held;
  for (const auto key : record.keys) {
    if (!record.lost_keys.contains(key) && (asked.by_id || key != asked.name)) held.push_back(key);
  }
  // The key that was asked for stands first: what came under it meanwhile is the answer.
  if (!asked.by_id) held.insert(held.begin(), asked.name);
  std::vector<std::string_view> lost(record.lost_keys.begin(), record.lost_keys.end());
  const auto lost_before = lost.size();
  bool gone = false;
  if (!held.empty()) {
    auto looked = store.get({.ns = record.ns, .keys = held, .now = now, .deadline = deadline});
    if (!looked) return std::move(looked).error();
    if (auto& first = looked->front(); !asked.by_id && first.status != Lookup::Status::kUnknown) return Found{.record = live(first, now)};
    for (std::size_t i = 0; i < held.size(); ++i) {
      gone = gone || (*looked)[i].status == Lookup::Status::kGone;
      if ((*looked)[i].status == Lookup::Status::kFound) lost.push_back(held[i]);
    }
  }
  // After the keys: what the store did not know of the identity by now, it did not know before.
  auto known = store.get_by_id({.ns = record.ns, .id = record.id, .now = now, .deadline = deadline});
  if (!known) return std::move(known).error();
  if (known->status != Lookup::Status::kUnknown) return Found{.record = asked.by_id ? live(*known, now) : std::nullopt};
  // One that is gone may have been erased by that key; one that lost all its keys is superseded.
  if (gone || lost.size() - lost_before == held.size()) return Found{};
  if (lost.size() != lost_before) record.lost_keys = KeyList(std::span<const std::string_view>(lost));
  return Found{.record = std::move(record), .tier = Tier::kArchive};
}

}  // namespace setget::inline v0::detail
