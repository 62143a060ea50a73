#include "sqlite/sidecar.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace setget::inline v0::sqlite {

namespace {

using Word = std::atomic<std::uint32_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 4, "a futex word is 32 plain bits");

constexpr std::size_t kSidecarBytes = 4096;

}  // namespace

void futex_wait(Word& word, std::uint32_t seen, std::chrono::nanoseconds longest, bool shared) noexcept {
  if (longest <= std::chrono::nanoseconds(0)) return;
  timespec time{};
  time.tv_sec = static_cast<time_t>(longest.count() / 1'000'000'000);
  time.tv_nsec = static_cast<long>(longest.count() % 1'000'000'000);
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), shared ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, seen, &time, nullptr, 0);
}

void futex_wake(Word& word, int count, bool shared) noexcept {
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), shared ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

// Lives in the file; new words are appended only.
struct Sidecar::Shared {
  struct Line {
    Word value;
    Word waiters;
  };
  std::array<Line, kTopicCount> topics;
  Line lock;         // value rises with every unlock
  Word initialised;  // see Sidecar::initialised
};

Result<std::unique_ptr<Sidecar>> Sidecar::open(const std::string& database_path) {
  const auto path = database_path + "-lock";
  const auto failed = [&](const char* what, int native) {
    return Error(native == ENOSPC ? ErrorCode::kOutOfSpace : ErrorCode::kUnavailable, fmt::format("cannot {} {}", what, path))
        .from(ErrorSource::kSdk, native, std::strerror(native));
  };
  // Whoever may write the database must be able to lock it, and nobody else: a made one gets the database's mode, as SQLite's own
  // companions of it do, whatever the umask.
  struct stat database {};
  const mode_t mode = ::stat(database_path.c_str(), &database) == 0 ? (database.st_mode & 0666) | 0600 : 0600;
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file >= 0) {
    static_cast<void>(::fchmod(file, mode));  // where it cannot be, the doctor says so
  } else if (errno == EEXIST) {
    file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  }
  if (file < 0) return failed("open", errno);
  // Real blocks, not a hole: writing to a hole of a full disk would kill the process with SIGBUS.
  struct stat info {};
  int native = ::fstat(file, &info) != 0 ? errno : 0;
  if (native == 0 && info.st_size < static_cast<off_t>(kSidecarBytes)) native = ::posix_fallocate(file, 0, kSidecarBytes);
  if (native != 0) {
    auto error = failed("extend", native);
    ::close(file);
    return error;
  }
  void* memory = ::mmap(nullptr, kSidecarBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) {
    auto error = failed("map", errno);
    ::close(file);
    return error;
  }
  return std::unique_ptr<Sidecar>(new Sidecar(file, static_cast<Shared*>(memory)));
}

Sidecar::~Sidecar() {
  ::munmap(static_cast<void*>(shared_), kSidecarBytes);
  ::close(file_);
}

Result<bool> Sidecar::lock(Milliseconds longest) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  whole.l_len = 1;
  const auto end = Deadline::in(longest);
  for (;;) {
    const auto seen = shared_->lock.value.load(std::memory_order_acquire);
    // Locks of the open file description: they also exclude another Database of this process, and go with a killed process.
    if (::fcntl(file_, F_OFD_SETLK, &whole) == 0) return true;
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
      const int native = errno;
      return Error(ErrorCode::kUnavailable, "cannot lock the database's -lock file").from(ErrorSource::kSdk, native, std::strerror(native));
    }
    if (end.passed()) return false;
    shared_->lock.waiters.fetch_add(1, std::memory_order_acq_rel);
    // Short, because a killed holder announces nothing.
    futex_wait(shared_->lock.value, seen, std::chrono::milliseconds(2), true);
    shared_->lock.waiters.fetch_sub(1, std::memory_order_acq_rel);
  }
}

void Sidecar::unlock() noexcept {
  struct flock whole {};
  whole.l_type = F_UNLCK;
  whole.l_whence = SEEK_SET;
  whole.l_len = 1;
  ::fcntl(file_, F_OFD_SETLK, &whole);
  shared_->lock.value.fetch_add(1, std::memory_order_acq_rel);
  if (shared_->lock.waiters.load(std::memory_order_acquire) != 0) futex_wake(shared_->lock.value, 1, true);
}

std::uint32_t Sidecar::seen(Topic topic) const noexcept {
  return shared_->topics[static_cast<std::size_t>(topic)].value.load(std::memory_order_seq_cst);
}

void Sidecar::announce(Topic topic) noexcept {
  auto& line = shared_->topics[static_cast<std::size_t>(topic)];
  line.value.fetch_add(1, std::memory_order_seq_cst);
  if (line.waiters.load(std::memory_order_seq_cst) != 0) futex_wake(line.value, 0x7fffffff, true);
}

void Sidecar::wait(Topic topic, std::uint32_t seen, std::chrono::nanoseconds longest) noexcept {
  auto& line = shared_->topics[static_cast<std::size_t>(topic)];
  line.waiters.fetch_add(1, std::memory_order_seq_cst);
  if (line.value.load(std::memory_order_seq_cst) == seen) futex_wait(line.value, seen, longest, true);
  line.waiters.fetch_sub(1, std::memory_order_seq_cst);
}

bool Sidecar::initialised() const noexcept { return shared_->initialised.load(std::memory_order_acquire) != 0; }
void Sidecar::set_initialised(bool value) noexcept { shared_->initialised.store(value ? 1 : 0, std::memory_order_release); }

}  // namespace setget::inline v0::sqlite
