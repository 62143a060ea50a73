// The SQLite side of PowerLossVfs: every call goes on to the machine's own VFS, so that the real files are what the running process sees;
// what changes a file is also told to PowerLossDisk, which knows what of it would survive.
#include <setget/testing/power_loss_vfs.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sqlite/sqlite3.hpp"
#include "testing/power_loss_disk.hpp"

namespace setget::inline v0::testing {

using detail::PowerLossDisk;

std::string_view to_string(SyncKind kind) noexcept {
  switch (kind) {
    case SyncKind::kWalCommit:
      return "wal_commit";
    case SyncKind::kWalHeader:
      return "wal_header";
    case SyncKind::kWalCheckpoint:
      return "wal_checkpoint";
    case SyncKind::kCheckpoint:
      return "checkpoint";
    case SyncKind::kJournal:
      return "journal";
    case SyncKind::kCreation:
      return "creation";
    case SyncKind::kDirectory:
      return "directory";
    case SyncKind::kWalRecovery:
      return "wal_recovery";
  }
  return "unknown";
}

struct PowerLossVfs::State {
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  sqlite3_vfs* real = nullptr;
  sqlite3_vfs vfs{};
  std::string name;

  std::mutex mutex;  // of everything below
  PowerLossDisk disk;
  std::set<std::string> open_journals;
  std::set<std::string> checkpoints;  // databases of which one is running
  std::size_t open_files = 0;
  std::array<bool, kSyncKinds> ignored{};
  std::array<std::uint64_t, kSyncKinds> sync_count{};
  std::uint64_t operation_count = 0;
  std::uint64_t until_cut = kNever;
  std::optional<SyncKind> cut_kind;
  std::uint64_t until_cut_sync = 0;
  std::atomic<bool> off{false};

  // Counts one operation; false: the power is off (or went off with it).
  bool operation() {
    if (off.load()) return false;
    if (until_cut == 0) {
      off.store(true);
      return false;
    }
    if (until_cut != kNever) --until_cut;
    ++operation_count;
    return true;
  }
  // The same for one that is a sync of this kind.
  bool sync_operation(SyncKind kind) {
    if (cut_kind == kind && until_cut_sync-- == 0) until_cut = 0;
    return operation();
  }
  // Counts a sync; false: only pretend.
  bool counts(SyncKind kind) {
    ++sync_count[static_cast<std::size_t>(kind)];
    return !ignored[static_cast<std::size_t>(kind)];
  }
  void power_on() {
    until_cut = kNever;
    cut_kind.reset();
    checkpoints.clear();
    off.store(false);
  }
};

namespace {

using State = PowerLossVfs::State;

enum class Role : std::uint8_t { kDatabase, kWal, kJournal };

struct Handle {
  State& state;
  Role role;
  std::string path;
  PowerLossDisk::FilePtr file;
  std::vector<std::max_align_t> real_storage;
  bool name_due = false;                // its first sync also syncs the folder, as the unix VFS does for new journals and logs
  std::uint64_t writes_since_sync = 0;  // by this handle: what its next sync is for
  bool header_only = true;              // they were nothing but the log's header

  sqlite3_file* real() noexcept { return reinterpret_cast<sqlite3_file*>(real_storage.data()); }
};

// What SQLite allocates for a file of ours: its own part first, then where ours is.
struct VfsFile {
  sqlite3_file base;
  Handle* handle;
};

constexpr int kWalHeaderBytes = 32;

Handle& handle_of(sqlite3_file* file) noexcept { return *reinterpret_cast<VfsFile*>(file)->handle; }
sqlite3_file* real_of(sqlite3_file* file) noexcept { return handle_of(file).real(); }
State& state_of(sqlite3_vfs* vfs) noexcept { return *static_cast<State*>(vfs->pAppData); }

int close_file(sqlite3_file* file) noexcept {
  auto* handle = &handle_of(file);
  auto& state = handle->state;
  const int rc = handle->real()->pMethods->xClose(handle->real());
  {
    const std::lock_guard lock(state.mutex);
    if (handle->role == Role::kJournal) state.open_journals.erase(handle->path);
    --state.open_files;
  }
  delete handle;  // NOLINT(cppcoreguidelines-owning-memory): SQLite owns the memory that points to it
  file->pMethods = nullptr;
  return rc;
}

int read_file(sqlite3_file* file, void* into, int amount, sqlite3_int64 offset) noexcept {
  if (handle_of(file).state.off.load()) return SQLITE_IOERR_READ;
  return real_of(file)->pMethods->xRead(real_of(file), into, amount, offset);
}

int write_file(sqlite3_file* file, const void* from, int amount, sqlite3_int64 offset) noexcept {
  auto& handle = handle_of(file);
  const std::lock_guard lock(handle.state.mutex);
  if (!handle.state.operation()) return SQLITE_IOERR_WRITE;
  const int rc = handle.real()->pMethods->xWrite(handle.real(), from, amount, offset);
  if (rc != SQLITE_OK) return rc;
  PowerLossDisk::write(*handle.file, static_cast<std::uint64_t>(offset),
                       {static_cast<const char*>(from), static_cast<std::size_t>(amount)});
  const bool header = offset == 0 && amount == kWalHeaderBytes;
  handle.header_only = header && (handle.writes_since_sync == 0 || handle.header_only);
  ++handle.writes_since_sync;
  return SQLITE_OK;
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) noexcept {
  auto& handle = handle_of(file);
  const std::lock_guard lock(handle.state.mutex);
  if (!handle.state.operation()) return SQLITE_IOERR_TRUNCATE;
  const int rc = handle.real()->pMethods->xTruncate(handle.real(), size);
  if (rc == SQLITE_OK) PowerLossDisk::truncate(*handle.file, static_cast<std::uint64_t>(size));
  return rc;
}

SyncKind kind_of(const Handle& handle) {
  switch (handle.role) {
    case Role::kJournal:
      return SyncKind::kJournal;
    case Role::kDatabase:
      return handle.state.open_journals.contains(handle.path + "-journal") ? SyncKind::kCreation : SyncKind::kCheckpoint;
    case Role::kWal:
      break;
  }
  if (handle.writes_since_sync == 0) {
    constexpr std::size_t kSuffix = std::string_view("-wal").size();
    const bool checkpoint = handle.state.checkpoints.contains(handle.path.substr(0, handle.path.size() - kSuffix));
    return checkpoint ? SyncKind::kWalCheckpoint : SyncKind::kWalRecovery;
  }
  return handle.header_only ? SyncKind::kWalHeader : SyncKind::kWalCommit;
}

// No real fsync: the machine keeps its power, and tests have thousands of these.
int sync_file(sqlite3_file* file, int) noexcept {
  auto& handle = handle_of(file);
  auto& state = handle.state;
  const std::lock_guard lock(state.mutex);
  const auto kind = kind_of(handle);
  if (!state.sync_operation(kind)) return SQLITE_IOERR_FSYNC;
  if (state.counts(kind)) PowerLossDisk::sync(*handle.file);
  if (handle.name_due) {
    if (!state.sync_operation(SyncKind::kDirectory)) return SQLITE_IOERR_DIR_FSYNC;
    if (state.counts(SyncKind::kDirectory)) state.disk.sync_directory_of(handle.path);
  }
  handle.name_due = false;
  handle.writes_since_sync = 0;
  handle.header_only = true;
  return SQLITE_OK;
}

int size_of_file(sqlite3_file* file, sqlite3_int64* size) noexcept {
  if (handle_of(file).state.off.load()) return SQLITE_IOERR_FSTAT;
  return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

int lock_file(sqlite3_file* file, int level) noexcept { return real_of(file)->pMethods->xLock(real_of(file), level); }
int unlock_file(sqlite3_file* file, int level) noexcept { return real_of(file)->pMethods->xUnlock(real_of(file), level); }
int check_reserved(sqlite3_file* file, int* out) noexcept { return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out); }

int control(sqlite3_file* file, int op, void* argument) noexcept {
  // Hints to grow a file would change it behind the disk's back.
  if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE) return SQLITE_OK;
  return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}

int sector_size(sqlite3_file* file) noexcept { return real_of(file)->pMethods->xSectorSize(real_of(file)); }
int characteristics(sqlite3_file* file) noexcept {
  return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file)) & SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** out) noexcept {
  return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}
int shm_lock(sqlite3_file* file, int offset, int n, int flags) noexcept {
  constexpr int kCheckpointLock = 1;  // of the WAL index: sqlite.org/walformat.html
  auto& handle = handle_of(file);
  const int rc = real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
  const bool touched = offset <= kCheckpointLock && kCheckpointLock < offset + n && (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  if (rc != SQLITE_OK || !touched) return rc;
  const std::lock_guard lock(handle.state.mutex);
  if ((flags & SQLITE_SHM_LOCK) != 0) {
    handle.state.checkpoints.insert(handle.path);
  } else {
    handle.state.checkpoints.erase(handle.path);
  }
  return rc;
}
void shm_barrier(sqlite3_file* file) noexcept { real_of(file)->pMethods->xShmBarrier(real_of(file)); }
int shm_unmap(sqlite3_file* file, int remove) noexcept { return real_of(file)->pMethods->xShmUnmap(real_of(file), remove); }

int fetch(sqlite3_file* file, sqlite3_int64 offset, int amount, void** out) noexcept {
  *out = nullptr;
  if (handle_of(file).state.off.load() || real_of(file)->pMethods->iVersion < 3) return SQLITE_OK;
  return real_of(file)->pMethods->xFetch(real_of(file), offset, amount, out);
}
int unfetch(sqlite3_file* file, sqlite3_int64 offset, void* page) noexcept {
  if (real_of(file)->pMethods->iVersion < 3) return SQLITE_OK;
  return real_of(file)->pMethods->xUnfetch(real_of(file), offset, page);
}

constexpr sqlite3_io_methods kMethods{
    .iVersion = 3,
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = size_of_file,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_reserved,
    .xFileControl = control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
    .xFetch = fetch,
    .xUnfetch = unfetch,
};

std::optional<std::string> content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::optional<Role> role_of(int flags) noexcept {
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) return Role::kDatabase;
  if ((flags & SQLITE_OPEN_WAL) != 0) return Role::kWal;
  if ((flags & SQLITE_OPEN_MAIN_JOURNAL) != 0) return Role::kJournal;
  return std::nullopt;  // temporary files: nobody expects them to survive
}

int open_file(sqlite3_vfs* vfs, sqlite3_filename path, sqlite3_file* file, int flags, int* out_flags) noexcept {
  auto& state = state_of(vfs);
  const auto role = path == nullptr ? std::nullopt : role_of(flags);
  if (!role) return state.real->xOpen(state.real, path, file, flags, out_flags);

  file->pMethods = nullptr;
  const std::lock_guard lock(state.mutex);
  if (state.off.load()) return SQLITE_CANTOPEN;
  // Before the open, which may make the file.
  std::error_code ignored;
  const bool existed = std::filesystem::exists(path, ignored);
  if (!existed && !state.operation()) return SQLITE_CANTOPEN;
  std::optional<std::string> stored;
  if (existed) stored = state.disk.knows(path) ? std::string() : content_of(path);
  const auto slots = (static_cast<std::size_t>(state.real->szOsFile) + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t);
  auto handle = std::make_unique<Handle>(
      Handle{.state = state, .role = *role, .path = path, .file = nullptr, .real_storage = std::vector<std::max_align_t>(slots)});
  handle->name_due = *role != Role::kDatabase && (flags & SQLITE_OPEN_CREATE) != 0;
  const int rc = state.real->xOpen(state.real, path, handle->real(), flags, out_flags);
  if (rc != SQLITE_OK) return rc;
  handle->file = state.disk.open(path, stored);
  if (*role == Role::kJournal) state.open_journals.insert(path);
  ++state.open_files;
  reinterpret_cast<VfsFile*>(file)->handle = handle.release();
  file->pMethods = &kMethods;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs* vfs, const char* path, int sync_directory) noexcept {
  auto& state = state_of(vfs);
  const std::lock_guard lock(state.mutex);
  if (!state.operation()) return SQLITE_IOERR_DELETE;
  const int rc = state.real->xDelete(state.real, path, 0);
  if (rc != SQLITE_OK) return rc;
  state.disk.remove(path);
  if (sync_directory != 0 && state.counts(SyncKind::kDirectory)) state.disk.sync_directory_of(path);
  return SQLITE_OK;
}

int access_file(sqlite3_vfs* vfs, const char* path, int flags, int* out) noexcept {
  auto& state = state_of(vfs);
  if (state.off.load()) return SQLITE_IOERR_ACCESS;
  return state.real->xAccess(state.real, path, flags, out);
}

int full_pathname(sqlite3_vfs* vfs, const char* path, int size, char* out) noexcept {
  return state_of(vfs).real->xFullPathname(state_of(vfs).real, path, size, out);
}
int randomness(sqlite3_vfs* vfs, int size, char* out) noexcept { return state_of(vfs).real->xRandomness(state_of(vfs).real, size, out); }
int sleep_for(sqlite3_vfs* vfs, int microseconds) noexcept { return state_of(vfs).real->xSleep(state_of(vfs).real, microseconds); }
int current_time(sqlite3_vfs* vfs, double* out) noexcept { return state_of(vfs).real->xCurrentTime(state_of(vfs).real, out); }
int last_error(sqlite3_vfs* vfs, int size, char* out) noexcept { return state_of(vfs).real->xGetLastError(state_of(vfs).real, size, out); }
int current_time_int64(sqlite3_vfs* vfs, sqlite3_int64* out) noexcept {
  return state_of(vfs).real->xCurrentTimeInt64(state_of(vfs).real, out);
}

Error files_open() { return {ErrorCode::kFailedPrecondition, "a database is still open through the power-loss VFS"}; }

}  // namespace

Result<std::unique_ptr<PowerLossVfs>> PowerLossVfs::install() {
  static std::atomic<int> made{0};
  auto state = std::make_unique<State>();
  state->real = sqlite3_vfs_find(nullptr);
  if (state->real == nullptr || state->real->iVersion < 2) return Error(ErrorCode::kInternal, "SQLite has no default VFS to build on");
  state->name = "setget-power-loss-" + std::to_string(++made);
  state->vfs = sqlite3_vfs{};
  auto& vfs = state->vfs;
  vfs.iVersion = 2;
  vfs.szOsFile = std::max<int>(static_cast<int>(sizeof(VfsFile)), state->real->szOsFile);
  vfs.mxPathname = state->real->mxPathname;
  vfs.zName = state->name.c_str();
  vfs.pAppData = state.get();
  vfs.xOpen = open_file;
  vfs.xDelete = delete_file;
  vfs.xAccess = access_file;
  vfs.xFullPathname = full_pathname;
  vfs.xRandomness = randomness;
  vfs.xSleep = sleep_for;
  vfs.xCurrentTime = current_time;
  vfs.xGetLastError = last_error;
  vfs.xCurrentTimeInt64 = current_time_int64;
  if (const int rc = sqlite3_vfs_register(&vfs, 0); rc != SQLITE_OK) {
    return Error(ErrorCode::kInternal, "SQLite refused the power-loss VFS").from(ErrorSource::kSqlite, rc, sqlite3_errstr(rc));
  }
  return std::unique_ptr<PowerLossVfs>(new PowerLossVfs(std::move(state)));
}

PowerLossVfs::PowerLossVfs(std::unique_ptr<State> state) : state_(std::move(state)) {}

PowerLossVfs::~PowerLossVfs() { sqlite3_vfs_unregister(&state_->vfs); }

const std::string& PowerLossVfs::name() const noexcept { return state_->name; }

void PowerLossVfs::ignore(SyncKind kind) noexcept {
  const std::lock_guard lock(state_->mutex);
  state_->ignored[static_cast<std::size_t>(kind)] = true;
}

void PowerLossVfs::cut_after(std::uint64_t operations) noexcept {
  const std::lock_guard lock(state_->mutex);
  state_->until_cut = operations;
}

void PowerLossVfs::cut_at(SyncKind kind, std::uint64_t syncs) noexcept {
  const std::lock_guard lock(state_->mutex);
  state_->cut_kind = kind;
  state_->until_cut_sync = syncs;
}

bool PowerLossVfs::powered() const noexcept { return !state_->off.load(); }

std::uint64_t PowerLossVfs::operations() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->operation_count;
}

std::uint64_t PowerLossVfs::syncs(SyncKind kind) const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->sync_count[static_cast<std::size_t>(kind)];
}

std::uint64_t PowerLossVfs::unsynced_writes_lost() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->disk.lost();
}

Result<void> PowerLossVfs::lose_power(std::uint64_t seed) {
  const std::lock_guard lock(state_->mutex);
  if (state_->open_files != 0) return files_open();
  for (const auto& [path, content] : state_->disk.lose_power(seed)) {
    std::error_code error;
    std::filesystem::remove(path, error);
    if (!content) continue;
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(content->data(), static_cast<std::streamsize>(content->size()));
    if (!out.flush()) return Error(ErrorCode::kUnavailable, "cannot write '" + path + "'");
  }
  state_->power_on();
  return {};
}

Result<void> PowerLossVfs::restart() {
  const std::lock_guard lock(state_->mutex);
  if (state_->open_files != 0) return files_open();
  state_->power_on();
  return {};
}

}  // namespace setget::inline v0::testing
