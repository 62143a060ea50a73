// Writing: bulks of merges. Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "mongo/codec.hpp"
#include "mongo/place.hpp"

namespace setget::inline v0::mongo {

class Writer {
 public:
  explicit Writer(std::shared_ptr<Place> place) : place_(std::move(place)) {}

  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request);

 private:
  struct Work;
  class Bulk;
  Result<void> carry_out(std::vector<Work>& works, Deadline deadline);
  std::int64_t next_turn();
  // Before documents are written that are to be purged.
  Result<void> note_purge(mongoc_client_t* client, const std::vector<Work>& works, Deadline deadline);

  std::shared_ptr<Place> place_;
  // Whether documents have lately been new to the archive, as in a first copy: then inserting comes first.
  std::atomic<bool> mostly_new_{false};
  // Whether some document has, or had, pieces: then documents are looked at before they are raised.
  std::atomic<bool> pieces_{false};
  std::atomic<Deadline::Steady::duration> no_pieces_until_{};  // since the clock's epoch
  std::atomic<std::int64_t> last_turn_{0};
  // What this object knows of load_purge_from(): that is no later, for it never rises.
  std::atomic<TimePoint> purge_from_{TimePoint::max()};
};

}  // namespace setget::inline v0::mongo
