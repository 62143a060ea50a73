// What the flows say about archiving: which records are too short-lived for it, and how long the archive keeps what is gone.
// Thread rule: any thread.
#pragma once

#include <optional>
#include <string_view>

#include <setget/archive.hpp>
#include <setget/ttl.hpp>

namespace setget::inline v0::detail {

class ArchiveRules {
 public:
  ArchiveRules(const TtlPolicy& policy, Milliseconds next_run_in) : flows_(policy.flows()), next_run_in_(next_run_in) {}

  // True if a run at `now` leaves the record out: it ends before the next run and its flow says archive = "skip".
  bool short_lived(std::string_view account, std::string_view flow, const std::optional<TimePoint>& expires_at, TimePoint now) const;
  // Its expiry and the flow's retention; empty = kept for ever.
  ArchiveEntry record_entry(Record&& record) const;
  // Of what the archive holds of a record that is over in the store: the same, over now at the latest.
  ArchiveEntry ended_entry(Record&& record, Revision revision, TimePoint now) const;
  // Of an erased or superseded record; `known` is what the archive holds of it, for its flow's retention.
  ArchiveEntry tombstone_entry(std::string ns, std::string id, Version version, Revision revision, TombstoneReason reason,
                               const Record* known, TimePoint now) const;

 private:
  Ttl retention(std::string_view account, std::string_view flow) const;
  std::shared_ptr<const Flows> flows_;
  Milliseconds next_run_in_;
};

}  // namespace setget::inline v0::detail
