#include "redis/store_lookup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "redis/errors.hpp"
#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

using State = IdentitySlot::State;

// Round trips, each of which a writer of the same keys must spoil: with several in tight loops nine of ten are, so that fifty were not
// enough. The deadline ends it earlier.
constexpr unsigned kMostRounds = 1000;
constexpr unsigned kMostLost = 3;

bool same(const std::optional<Payload>& a, const std::optional<Payload>& b) {
  if (a.has_value() != b.has_value()) return false;
  if (!a) return true;
  return has_identity(a->view()) ? a->view().substr(0, kPrefixBytes) == b->view().substr(0, kPrefixBytes) : *a == *b;
}

}  // namespace

LookupSteps::LookupSteps(BodyCoder& coder, std::string_view ns, std::span<const std::string_view> keys, TimePoint now, bool spread,
                         Deadline deadline)
    : coder_(coder), ns_(ns), keys_(keys.begin(), keys.end()), now_(now), spread_(spread), deadline_(deadline), lookups_(keys.size()) {
  if (!keys_.empty()) ask_keys(Stage::kKeys);
}

void LookupSteps::ask_keys(Stage stage) {
  stage_ = stage;
  wanted_.clear();
  for (const auto& key : keys_) wanted_.push_back(qualified(ns_, key));
}

Result<void> LookupSteps::feed(std::vector<std::optional<Payload>> values) {
  switch (stage_) {
    case Stage::kKeys:
      return take_keys(std::move(values));
    case Stage::kRecords:
      return take_records(std::move(values));
    case Stage::kAgain:
      if (std::ranges::equal(values, stored_, same)) {
        wanted_.clear();
        return {};
      }
      if (++rounds_ == kMostRounds) {
        return connection_error(ErrorCode::kUnavailable, Trouble::kNone, "others changed the same keys all the time; try again");
      }
      return take_keys(std::move(values));
  }
  return {};
}

Result<void> LookupSteps::take_keys(std::vector<std::optional<Payload>> values) {
  stored_ = std::move(values);
  entries_.assign(keys_.size(), std::nullopt);
  records_.clear();
  wanted_.clear();
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (!stored_[i]) continue;
    auto entry = decode_entry(*stored_[i], keys_[i]);
    if (!entry) return std::move(entry).error();
    entries_[i] = *std::move(entry);
  }
  // A record that shares its entry with its key has come with it.
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (entries_[i] && entries_[i]->identity) records_.emplace(keys_[i], entries_[i]);
  }
  for (const auto& entry : entries_) {
    if (!entry || !entry->key) continue;
    const auto want = [&](const std::string& id) {
      if (records_.emplace(id, std::nullopt).second) wanted_.push_back(qualified(ns_, id));
    };
    if (entry->key->slot.leads) want(entry->key->slot.claim_id);
    for (const auto& claim : entry->key->pending) want(claim.id);
  }
  stage_ = Stage::kRecords;
  if (wanted_.empty()) return take_records({});
  return {};
}

Result<void> LookupSteps::take_records(std::vector<std::optional<Payload>> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    const auto id = split_qualified(wanted_[i]).bytes;
    auto entry = decode_entry(*values[i], id);
    if (!entry) return std::move(entry).error();
    records_.find(std::string(id))->second = *std::move(entry);
  }
  wanted_.clear();
  return resolve_all();
}

Result<void> LookupSteps::feed_dictionaries(std::span<const std::optional<Payload>> values) {
  const auto asked = std::exchange(dictionaries_, {});
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (values[i]) {
      coder_.learn(asked[i], values[i]->view());
    } else if (++lost_ == kMostLost) {
      return lost_dictionary(asked[i]);
    }
  }
  if (++rounds_ == kMostRounds) {
    return connection_error(ErrorCode::kUnavailable, Trouble::kNone, "dictionaries were replaced all the time; try again");
  }
  if (lost_ == 0) return resolve_all();
  ask_keys(Stage::kKeys);
  return {};
}

Result<void> LookupSteps::resolve_all() {
  bool all_sure = true;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    bool sure = true;
    if (auto resolved = resolve(i, sure); !resolved) return std::move(resolved).error();
    all_sure = all_sure && sure;
  }
  if (!dictionaries_.empty()) return {};
  if (!all_sure || (spread_ && keys_.size() > 1)) ask_keys(Stage::kAgain);
  return {};
}

// The answer for one key from what was read. `sure`: nothing that happened between the two reads can have made it wrong.
Result<bool> LookupSteps::resolve(std::size_t number, bool& sure) {
  auto& lookup = lookups_[number];
  lookup = {};
  const auto& entry = entries_[number];
  if (!entry || !entry->key) return false;
  const auto& part = *entry->key;
  const auto& key = keys_[number];
  std::vector<Claimed> claims;
  for (const auto& claim : part.pending) {
    claims.push_back({.stamp = claim.stamp, .id = claim.id, .pending = true, .conditional = claim.conditional, .leads = true});
  }
  if (part.slot.claim_stamp != 0) {
    // A record that claims once more what it holds already lists the key now, though it did not when the slot was written.
    const bool leads =
        part.slot.leads || std::ranges::any_of(part.pending, [&](const auto& claim) { return claim.id == part.slot.claim_id; });
    claims.push_back({.stamp = part.slot.claim_stamp, .id = part.slot.claim_id, .pending = false, .conditional = false, .leads = leads});
  }
  std::ranges::sort(claims, [](const Claimed& a, const Claimed& b) { return a.stamp != b.stamp ? a.stamp > b.stamp : a.id > b.id; });
  if (part.slot.exists) lookup.status = Lookup::Status::kGone;
  for (const auto& claim : claims) {
    const auto found = records_.find(claim.id);
    const auto* identity = found != records_.end() && found->second && found->second->identity ? &*found->second->identity : nullptr;
    if (identity != nullptr && identity->slot.state == State::kAbsent) identity = nullptr;
    if (claim.pending) {
      sure = false;
      if (identity == nullptr) continue;
      if (claim.conditional ? identity->slot.stamp != claim.stamp : identity->reach < claim.stamp) continue;
    }
    lookup.status = Lookup::Status::kGone;
    if (!claim.leads) return true;
    if (identity == nullptr || identity->slot.state != State::kLive) {
      sure = false;
      return true;
    }
    const auto& slot = identity->slot;
    if (slot.stamp != claim.stamp && (keys_.size() > 1 || spread_)) sure = false;
    // A mark that is younger than the record does not count by itself: all keys of the record end together, when its tombstone comes.
    if ((slot.expires_at && *slot.expires_at <= now_) || identity->lost_keys.contains(key)) {
      // The entry of a key that is its own record's says all of it at one moment.
      if (!(found->first == key && !claim.pending)) sure = false;
      return true;
    }
    auto encoded = coder_.try_load(*identity);
    if (!encoded) return std::move(encoded).error();
    if (!*encoded) {
      if (std::ranges::find(dictionaries_, identity->dictionary) == dictionaries_.end()) dictionaries_.push_back(identity->dictionary);
      return true;
    }
    auto record = make_record(**encoded, {.version = slot.version,
                                          .revision = slot.revision,
                                          .stamp = slot.stamp,
                                          .expires_at = slot.expires_at,
                                          .ttl_rule = slot.ttl_rule,
                                          .lost_keys = identity->lost_keys});
    if (!record) return std::move(record).error();
    if (!record->keys.contains(key)) {
      sure = false;
      return true;
    }
    lookup.status = Lookup::Status::kFound;
    lookup.record = std::move(*record);
    return true;
  }
  return true;
}

}  // namespace setget::inline v0::redis
