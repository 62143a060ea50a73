// LookupSteps: reading by webhook key, as a machine that says which entries it needs next and is fed with them. The same for callers that
// block and for those that do not. A key's entry names who claims it; the record is the commit point, so a claim that was written ahead
// counts only where its record has come. What is found is what was there at one moment: where an answer could be a mixture of two, the
// keys' entries are read once more, and everything anew if one has changed. Thread rule: one thread at a time.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "redis/store_body.hpp"
#include "redis/store_entry.hpp"

#include <setget/key_store.hpp>

namespace setget::inline v0::redis {

class LookupSteps {
 public:
  // `spread`: entries lie on several servers, so that even one request for several reads them at different moments.
  LookupSteps(BodyCoder& coder, std::string_view ns, std::span<const std::string_view> keys, TimePoint now, bool spread, Deadline deadline);

  bool done() const noexcept { return wanted_.empty() && dictionaries_.empty(); }
  // Qualified names of the entries wanted now.
  const std::vector<std::string>& wanted() const noexcept { return wanted_; }
  // Or, where no entries are wanted, the numbers of the dictionaries without which bodies cannot be read.
  const std::vector<std::uint32_t>& dictionaries() const noexcept { return dictionaries_; }
  // What they are, in that order. Error: damaged entries; or others changed the same keys all the time (kUnavailable).
  Result<void> feed(std::vector<std::optional<Payload>> values);
  // The names that the answer for this key came from: the key, and the ids that claim it. Precondition: it is done.
  template <class Use>
  void each_source(std::size_t number, Use&& use) const {
    use(std::string_view(keys_[number]));
    const auto& entry = entries_[number];
    if (!entry || !entry->key) return;
    const auto claims = [&](const std::string& id) {
      if (id != keys_[number]) use(std::string_view(id));
    };
    if (entry->key->slot.leads) claims(entry->key->slot.claim_id);
    for (const auto& claim : entry->key->pending) claims(claim.id);
  }
  // The same for the bytes of dictionaries. One that is gone has just been replaced: everything is read anew.
  Result<void> feed_dictionaries(std::span<const std::optional<Payload>> values);
  // One for each key. Precondition: it is done.
  std::vector<Lookup> take() { return std::move(lookups_); }

 private:
  enum class Stage : std::uint8_t { kKeys, kRecords, kAgain };
  struct Claimed {
    Stamp stamp = 0;
    std::string id{};
    bool pending = false;
    bool conditional = false;
    bool leads = false;
  };
  Result<void> take_keys(std::vector<std::optional<Payload>> values);
  Result<void> take_records(std::vector<std::optional<Payload>> values);
  Result<void> resolve_all();
  Result<bool> resolve(std::size_t number, bool& sure);
  void ask_keys(Stage stage);

  BodyCoder& coder_;
  const std::string ns_;
  const std::vector<std::string> keys_;
  const TimePoint now_;
  const bool spread_;
  const Deadline deadline_;
  Stage stage_ = Stage::kKeys;
  unsigned rounds_ = 0;
  unsigned lost_ = 0;
  std::vector<std::string> wanted_;
  std::vector<std::uint32_t> dictionaries_;
  std::vector<std::optional<Payload>> stored_;
  std::vector<std::optional<Entry>> entries_;
  std::unordered_map<std::string, std::optional<Entry>> records_;  // by id
  std::vector<Lookup> lookups_;
};

}  // namespace setget::inline v0::redis
