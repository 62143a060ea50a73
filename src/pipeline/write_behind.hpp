// WriteBehind: the batches of a run that are being written. Two at most, so that one is encoded and sent while the server works on the
// other; where the archive waits less than a third of its time, a second thread would only take a processor from others, and there is one.
// Private to the archiver. Thread rule: one thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "pipeline/archiver_state.hpp"
#include "pipeline/hand.hpp"
#include "pipeline/read_ahead.hpp"

namespace setget::inline v0::detail {

struct ArchiveBatch {
  std::size_t read = 0;                     // of the store
  std::optional<std::string> scanned_to{};  // where it leaves the copy of everything
  std::optional<Position> logged_to{};      // or the log
  std::vector<ArchiveEntry> entries{};
  std::size_t skipped = 0;  // of what was read: short-lived, and not among the entries
};

class WriteBehind {
 public:
  using Written = Result<std::vector<Result<ArchiveWrite>>>;
  using Timed = ReadAhead::Timed<Written>;

  // `most_bytes`: of the payloads of all that are under way, unless there is but one.
  WriteBehind(ArchiveBackend& archive, ArchiveTurn& turn, ReadAhead& ahead, std::size_t most_bytes)
      : archive_(archive), turn_(turn), ahead_(ahead), most_bytes_(most_bytes) {}

  // Whether this one may be written while the others are: servers may look and write in two steps, so none of them has an identity of it.
  bool goes_with_others(const ArchiveBatch& batch) const;
  void begin(ArchiveBatch batch);

  bool empty() const noexcept { return under_way_.empty(); }
  // Whether the first is to be taken before another one begins.
  bool full() const noexcept;

  struct Done {
    ArchiveBatch batch;
    std::optional<Written> written;  // empty where there was nothing to write
  };
  // The first, once it is written. Precondition: not empty().
  Done take_first();
  // They are written, and leave the run where it is: it reads again what they are about.
  void forget_places();
  // Whatever becomes of them; waits until they are done.
  void forget() { under_way_.clear(); }

 private:
  static constexpr std::size_t kMost = 2;

  struct Writing {
    ArchiveBatch batch{};
    // Where another may begin beside it: bytes of its payloads, and identity_hash() of each entry.
    std::size_t bytes = 0;
    std::unordered_set<std::uint64_t> names{};
    int at_once = 1;        // how many there were when it began, with it
    Next<Timed> written{};  // none where there is nothing to write
  };

  ArchiveBackend& archive_;
  ArchiveTurn& turn_;
  ReadAhead& ahead_;
  std::size_t most_bytes_;
  std::array<Hand, kMost> hands_;
  std::size_t next_hand_ = 0;
  std::deque<Writing> under_way_;  // the last one: its end waits for the hands
};

}  // namespace setget::inline v0::detail
