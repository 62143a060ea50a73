// What a key store must hold, computed the slow way: every accepted command is kept, and each question is answered by looking at all of
// them again. Written from DESIGN section 2 without a look at src/core/model.cpp, which it checks.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <setget/key_store.hpp>

namespace setget_tests {

using setget::ApplyEntry;
using setget::Outcome;
using setget::Stamp;
using setget::TimePoint;
using setget::Version;

struct ReferenceResult {
  Outcome outcome = Outcome::kApplied;
  std::string code;  // of the reason, for dead letters and what came below the floor
};

// What a lookup sees of a live record.
struct ReferenceRecord {
  std::string id;
  Version version = 0;
  Stamp stamp = 0;
  std::string payload;
  std::vector<std::string> keys;
  std::set<std::string> lost_keys;
  std::optional<TimePoint> expires_at;
  bool operator==(const ReferenceRecord&) const = default;
};

class KeyStoreReference {
 public:
  explicit KeyStoreReference(Stamp floor = 0) : floor_(floor) {}
  ReferenceResult apply(const ApplyEntry& entry, TimePoint now);
  // Of a record that is live.
  void set_expiry(const std::string& id, std::optional<TimePoint> expires_at);
  // Evicts what has expired, and forgets all that is gone, as a store without cursors does when `floor` is above every stamp so far.
  void reclaim(TimePoint now, Stamp floor);

  std::optional<ReferenceRecord> by_key(const std::string& key, TimePoint now) const;
  std::optional<ReferenceRecord> by_id(const std::string& id, TimePoint now) const;
  // Identities that are live or tombstones.
  std::set<std::string> known() const;

 private:
  using Claim = std::pair<Stamp, std::string>;

  struct Seen {
    Version version = 0;
    Stamp stamp = 0;
    bool erase = false;
    std::string encoded;
    std::vector<std::string> keys;
    std::string payload;
  };
  struct Identity {
    std::vector<Seen> seen;               // every set and erase that was not refused
    std::set<Version> ended;              // versions that had expired when they were applied or evicted
    std::optional<TimePoint> expires_at;  // of the current version
    Stamp touch_stamp = 0;
    std::optional<TimePoint> touch_expires_at;
  };
  struct Current {
    const Seen* seen = nullptr;
    Stamp stamp = 0;  // the earliest of its duplicates
    bool live = false;
  };

  ReferenceResult apply_version(const ApplyEntry& entry, TimePoint now);
  ReferenceResult apply_touch(const ApplyEntry& entry, TimePoint now);
  Current current(const std::string& id) const;
  bool leads(const std::string& key, const std::string& id) const;

  std::map<std::string, Identity> identities_;
  std::map<std::string, std::set<Claim>> claims_;
  std::map<std::string, std::set<Stamp>> marks_;
  Stamp floor_;
};

}  // namespace setget_tests
