// The key store's tables: identities, keys, and the indexes that follow from them. Whoever changes a row replaces it as a whole
// (put); the tables then bring every index into line. That makes undoing a step trivial: put the rows back as they were.
//
//   identities   every identity that is known, in the order of scans
//   keys         every webhook key that is known, and the record it leads to
//   log          the change log: identities by the position of their latest change. A position is a column of the identity, so an
//                identity has one entry at most, and a reader of the log always sees the latest state
//   expiry       live records that expire, by when
//   listing      live records of listed flows, once for every combination of account, flow and owner that a caller may ask for
//   gone         rows that hold nothing but the memory of what is gone: forgotten once every cursor has passed them and the floor too
//
// Thread rule: the caller holds the lock of the database.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <setget/key_store.hpp>
#include <setget/model.hpp>

namespace setget::inline v0::memory::detail {

// An identity as scans order it: (hash, namespace, id).
struct IdentityView {
  std::uint64_t hash = 0;
  std::string_view ns;
  std::string_view id;
  IdentityView(std::string_view space, std::string_view name) noexcept : hash(identity_hash(space, name)), ns(space), id(name) {}
  IdentityView(std::uint64_t known_hash, std::string_view space, std::string_view name) noexcept : hash(known_hash), ns(space), id(name) {}
  friend bool operator==(const IdentityView&, const IdentityView&) = default;
};
struct IdentityName {
  std::uint64_t hash = 0;
  std::string ns;
  std::string id;
  explicit IdentityName(const IdentityView& view) : hash(view.hash), ns(view.ns), id(view.id) {}
  operator IdentityView() const noexcept { return {hash, ns, id}; }  // NOLINT(google-explicit-constructor): a name is seen as a view
};
struct IdentityLess {
  using is_transparent = void;
  bool operator()(const IdentityView& a, const IdentityView& b) const noexcept {
    if (a.hash != b.hash) return a.hash < b.hash;
    if (const auto order = a.ns.compare(b.ns); order != 0) return order < 0;
    return a.id < b.id;
  }
};

// A webhook key within its namespace.
struct KeyView {
  std::string_view ns;
  std::string_view key;
  friend bool operator==(const KeyView&, const KeyView&) = default;
};
struct KeyName {
  std::string ns;
  std::string key;
  explicit KeyName(const KeyView& view) : ns(view.ns), key(view.key) {}
  operator KeyView() const noexcept { return {ns, key}; }  // NOLINT(google-explicit-constructor): a name is seen as a view
};
struct KeyHash {
  using is_transparent = void;
  std::size_t operator()(const KeyView& view) const noexcept { return key_hash(view.ns, view.key); }
};
struct KeyEqual {
  using is_transparent = void;
  bool operator()(const KeyView& a, const KeyView& b) const noexcept { return a == b; }
};

// What a listed record is found by.
struct ListedAs {
  std::string account;
  std::string flow;
  std::string owner;
};

struct IdentityRow {
  IdentitySlot slot;
  Payload encoded;                         // live: the command, payload included; stored once however many keys lead here
  std::optional<Digest> content;           // live: content_digest() of it, once somebody asked for it; put() forgets that of other bytes
  KeyList lost_keys;                       // live
  std::shared_ptr<const ListedAs> listed;  // live, and its flow is listed
  bool history = false;                    // its states go to the outbox; a tombstone keeps it
  Position position = 0;                   // in the change log; 0 = trimmed or never there

  bool live() const noexcept { return slot.state == IdentitySlot::State::kLive; }
  StoredMeta meta() const;
  // Gone: what remains is the memory of it, for messages accepted up to `remembered_for`.
  bool gone() const noexcept { return !live(); }
  Stamp remembered_for() const noexcept { return std::max(slot.stamp, slot.touch_stamp); }
};

struct KeyRow {
  KeySlot slot;
  Position position = 0;           // the end of the log when the row last changed
  std::size_t silent_listers = 0;  // kept by the tables: how many there are

  bool gone() const noexcept { return !slot.leads && silent_listers == 0; }
  Stamp remembered_for() const noexcept { return std::max({slot.claim_stamp, slot.other_stamp, slot.mark}); }
};

using Identities = std::map<IdentityName, IdentityRow, IdentityLess>;
using Keys = std::unordered_map<KeyName, KeyRow, KeyHash, KeyEqual>;

class Tables {
 public:
  const Identities& identities() const noexcept { return identities_; }
  // nullptr if unknown.
  const IdentityRow* find(const IdentityView& name) const;
  const KeyRow* find(const KeyView& name) const;
  // The record that a key leads to; nullptr if it leads nowhere.
  const IdentityRow* holder(const KeyView& name, const KeyRow& row) const;

  void put(const IdentityView& name, IdentityRow row);
  void put(const KeyView& name, KeyRow row);
  // That this is the digest of these bytes. No change: rows that have other ones by now stay as they are.
  void know_content(const IdentityView& name, const Payload& encoded, const Digest& content);
  // Who lists a key without being led to by it. Not part of the row, because a popular key may have very many of them.
  std::vector<std::string> silent_listers(const KeyView& name) const;
  // False if that is how it was.
  bool set_silent_lister(const KeyView& name, std::string_view id, bool listed);
  // To be called for every key that a step has put, once the step is over: whoever wants to know what the step did to the key must
  // have read the log up to here.
  void seal(const KeyView& name);

  // The change log: positions rise by one with every change, and an entry goes when its identity changes again.
  using Log = std::map<Position, const Identities::value_type*>;
  const Log& log() const noexcept { return log_; }
  Position last_position() const noexcept { return last_position_; }
  Position next_position() noexcept { return ++last_position_; }

  // Records that are listed under this account, flow and owner (empty = any), in the order of scans, after `after` if it is given.
  std::vector<const Identities::value_type*> list(const ListRecords& request, const std::optional<IdentityView>& after) const;

  // Housekeeping, one row at a time. The live record that expires first; nullptr if none does.
  const Identities::value_type* first_expiring() const;
  // Drops the first log entry if every cursor has passed it. False if there is none.
  bool trim_one(Position passed);
  // One step towards forgetting what every cursor has passed and lies below the floor. Counts what is forgotten. False if nothing is left
  // to do now.
  bool collect_one(Position passed, Stamp floor, std::size_t& forgotten);

  std::uint64_t live_count() const noexcept { return live_; }
  std::uint64_t tombstone_count() const noexcept { return tombstones_; }
  std::uint64_t key_count() const noexcept { return keys_.size(); }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  // Rows that hold nothing but the memory of what is gone: in `for_cursors` until every cursor has passed them, then in `for_floor` until
  // the floor has. A row is in at most one of the two (`queued`), and is looked at again when its turn comes: it may have changed since.
  template <class Row>
  struct Gone {
    template <class Due>
    using Heap = std::priority_queue<std::pair<Due, Row*>, std::vector<std::pair<Due, Row*>>, std::greater<>>;
    Heap<Position> for_cursors;
    Heap<Stamp> for_floor;
    std::unordered_set<Row*> queued;
  };
  template <class Row>
  void watch(Gone<Row>& gone, Row& row);
  template <class Row>
  bool collect(Gone<Row>& gone, Position passed, Stamp floor, std::size_t& forgotten);
  void erase(Identities::value_type& row);
  void erase(Keys::value_type& row);

  void index(const Identities::value_type& row);
  void unindex(const Identities::value_type& row);

  // What a list may ask for; an empty field stands for any.
  struct Scope {
    std::string ns;
    std::string account;
    std::string flow;
    std::string owner;
    friend auto operator<=>(const Scope&, const Scope&) = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 sees the 0 inside
  };
  using Listing = std::map<IdentityView, const Identities::value_type*, IdentityLess>;
  static std::vector<Scope> scopes_of(const Identities::value_type& row);

  Identities identities_;
  Keys keys_;
  std::unordered_map<KeyName, std::set<std::string, std::less<>>, KeyHash, KeyEqual> silent_listers_;
  Log log_;
  Position last_position_ = 0;
  std::set<std::pair<TimePoint, const Identities::value_type*>> expiry_;
  std::map<Scope, Listing> listings_;
  Gone<Identities::value_type> gone_identities_;
  Gone<Keys::value_type> gone_keys_;
  std::uint64_t live_ = 0;
  std::uint64_t tombstones_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace setget::inline v0::memory::detail
