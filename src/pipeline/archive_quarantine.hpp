// What a run does with changes that the archive refuses: it tries them again, then keeps them in the archive's quarantine and goes on.
// Thread rule: one run's.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <setget/archiver.hpp>

#include "pipeline/archiver_state.hpp"

namespace setget::inline v0::detail {

class ArchiveQuarantine {
 public:
  ArchiveQuarantine(const ArchiverOptions& options, ArchiveTurn& turn) : options_(options), turn_(turn) {}

  // What is there from earlier runs.
  Result<void> load();
  std::vector<QuarantinedEntry> entries() const;
  std::size_t size() const noexcept { return known_.size() + states_; }

  // After a write. Refused entries are written again, twice; what is still refused is put into quarantine, and its result stays an error.
  // What was written after all leaves it. An error stops the run: nothing may be kept, there is too much, or the trouble is not an entry's.
  Result<void> settle(const std::vector<ArchiveEntry>& entries, std::vector<Result<ArchiveWrite>>& results);
  // Takes one out that has nothing left to be written.
  Result<void> release(const std::string& ns, const std::string& id);

 private:
  using Name = std::pair<std::string, std::string>;
  Result<void> try_again(const std::vector<ArchiveEntry>& entries, std::vector<Result<ArchiveWrite>>& results,
                         std::vector<std::size_t>& refused);
  Result<void> keep(const std::vector<ArchiveEntry>& entries, const std::vector<Result<ArchiveWrite>>& results,
                    const std::vector<std::size_t>& refused);
  Result<void> release(const std::vector<ArchiveId>& ids);
  // A tombstone that the archive does not take still ends what it has: the store forgets it, and whoever asked would find the record alive.
  Result<void> take_away(const ArchiveEntry& tombstone);

  const ArchiverOptions& options_;
  ArchiveTurn& turn_;
  std::map<Name, QuarantinedEntry> known_;
  std::size_t states_ = 0;  // of histories, which count and cannot be tried again
};

}  // namespace setget::inline v0::detail
