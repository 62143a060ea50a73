// PowerLossVfs: a file system layer for SQLite that can lose power. It sits between SQLite and the machine's files, knows for each file
// what has been synced and what has only been written, and makes the files what a power loss could have left: everything that was synced,
// and of the rest (writes, truncations, files made and deleted) a random part, in random order, torn between 512-byte sectors.
// kill -9 proves nothing about fsync, because the kernel keeps what was written; this does.
//
//   auto vfs = PowerLossVfs::install().value();
//   auto db = sqlite::open({.path = path, .vfs = vfs->name()}).value();
//   vfs->cut_after(137);          // the 138th operation and all later ones fail
//   ... work until something fails, then drop every object of the database ...
//   vfs->lose_power(seed);        // the files are now what the disk had; opening them again is the restart
//
// Assumed of the disk, as SQLite does: writing a range leaves the bytes beside it alone ("powersafe overwrite"); what was synced stays.
// Thread rule: any thread, but lose_power() and restart() only while no file is open. One process: a lock file's and another process's
// writes are not seen.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <setget/error.hpp>
#include <setget/export.hpp>

namespace setget::inline v0::testing {

// The syncs that SQLite makes with journal_mode=WAL and synchronous=FULL, and the one that setget adds (kWalRecovery), each for a reason of
// its own.
enum class SyncKind : std::uint8_t {
  kWalCommit,  // the log, after the frames of a commit: what was answered stays
  kWalHeader,  // the log, after its header alone: no frame of a restarted log may be on disk before the header that disowns the old ones
  kWalCheckpoint,  // the log, before a checkpoint: the file may only get what the log is sure to have (frames left by a killed process)
  kCheckpoint,     // the file, after a checkpoint: the log may only be reused once the file has what it held
  kJournal,        // the rollback journal of the transaction that makes a file, before the file is written
  kCreation,       // the file, at the end of that transaction, before its journal is deleted
  kDirectory,      // the folder, so that a new file has its name
  kWalRecovery,    // the log, outside of a checkpoint and before own writes: frames that a killed process left stay once they were seen
};
inline constexpr std::size_t kSyncKinds = 8;
SETGET_API std::string_view to_string(SyncKind kind) noexcept;

class SETGET_API PowerLossVfs {
 public:
  // Registers with SQLite under a fresh name. Errors: kInternal if SQLite refuses.
  static Result<std::unique_ptr<PowerLossVfs>> install();
  // Precondition: nothing is open through it.
  ~PowerLossVfs();
  PowerLossVfs(const PowerLossVfs&) = delete;
  PowerLossVfs& operator=(const PowerLossVfs&) = delete;

  // For sqlite::Options::vfs.
  const std::string& name() const noexcept;

  // From now on syncs of this kind answer that they have synced, and have not.
  void ignore(SyncKind kind) noexcept;
  // The power goes after that many more operations (writes, truncations, syncs, files made or deleted): the next one fails without any
  // effect, and so does everything after it, reads too. Of cut_after and cut_at whichever comes first; both end with lose_power or restart.
  void cut_after(std::uint64_t operations) noexcept;
  // The power goes instead of a sync of this kind, after `syncs` more of them: the moment at which most depends on what is there.
  void cut_at(SyncKind kind, std::uint64_t syncs = 0) noexcept;
  bool powered() const noexcept;
  std::uint64_t operations() const noexcept;            // ever
  std::uint64_t syncs(SyncKind kind) const noexcept;    // ever asked for
  std::uint64_t unsynced_writes_lost() const noexcept;  // dropped or torn by lose_power() so far

  // Makes the files what the disk may have had, chosen by `seed`, and gives power back. Also without a cut before. Errors:
  // kFailedPrecondition while a file is open, kUnavailable if a file cannot be written.
  Result<void> lose_power(std::uint64_t seed);
  // As if only the process had died: nothing is lost, and nothing more is synced. Gives power back.
  Result<void> restart();

  struct State;

 private:
  explicit PowerLossVfs(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0::testing
