// Who keeps a lock or an old state of the file makes others wait only as long as they asked to.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>

#include <setget/sqlite.hpp>

#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using sqlite_test::TemporaryFolder;
using Steady = std::chrono::steady_clock;

constexpr Milliseconds kBusy{20'000};
constexpr Milliseconds kSoon{15'000};  // less than that, and much on a busy machine

// Another program's connection with an open transaction.
class Other {
 public:
  Other(const std::string& path, const char* begin) {
    EXPECT_EQ(sqlite3_open(path.c_str(), &db_), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db_, begin, nullptr, nullptr, nullptr), SQLITE_OK);
  }
  ~Other() {
    sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    sqlite3_close(db_);
  }
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;

 private:
  sqlite3* db_ = nullptr;
};

// Another process's turn to write.
class LockHolder {
 public:
  explicit LockHolder(const std::string& path) : file_(::open((path + "-lock").c_str(), O_RDWR | O_CLOEXEC)) { EXPECT_GE(file_, 0); }
  ~LockHolder() { ::close(file_); }
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;
  bool lock() noexcept {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    whole.l_len = 1;
    return ::fcntl(file_, F_OFD_SETLK, &whole) == 0;
  }

 private:
  int file_;
};

class ReaderComplaints final : public Logger {
 public:
  bool enabled(LogLevel level) const noexcept override { return level >= LogLevel::kWarning; }
  void log(LogLevel, std::string_view message, std::initializer_list<LogField>) noexcept override {
    if (message.find("reader keeps") != std::string_view::npos) ++count;
  }
  std::atomic<int> count{0};
};

TEST(SqliteWaits, a_reader_that_stays_does_not_stop_writers) {
  const TemporaryFolder folder;
  const auto logger = std::make_shared<ReaderComplaints>();
  auto db = sqlite::open({.path = folder.path(), .checkpoint_pages = 4, .busy_timeout = kBusy, .logger = logger}).value();
  auto queue = db.queue("records");
  queue.send({.body = "first"}).value();
  {
    const Other reader(folder.path(), "BEGIN; SELECT count(*) FROM log");
    const auto start = Steady::now();
    for (int i = 0; i < 60 && Steady::now() - start < kSoon; ++i) queue.send({.body = std::string(4000, 'x')}).value();
    EXPECT_LT(Steady::now() - start, kSoon);
    ASSERT_GT(std::filesystem::file_size(folder.path() + "-wal"), 8u * 4u * 8192u) << "else nothing is shown";
    EXPECT_EQ(logger->count, 1) << "it is said, and once";
  }
  EXPECT_TRUE(db.checkpoint().value());
}

TEST(SqliteWaits, whoever_leads_a_commit_waits_for_another_process_no_longer_than_he_asked) {
  const TemporaryFolder folder;
  auto db = sqlite::open({.path = folder.path(), .busy_timeout = kBusy}).value();
  auto queue = db.queue("records");
  queue.send({.body = "first"}).value();
  LockHolder other(folder.path());
  ASSERT_TRUE(other.lock());
  const auto start = Steady::now();
  const auto late = queue.send({.body = "second"}, Deadline::in(Milliseconds(50)));
  EXPECT_LT(Steady::now() - start, kSoon);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), ErrorCode::kDeadlineExceeded);
}

TEST(SqliteWaits, whoever_leads_a_commit_waits_for_another_program_no_longer_than_he_asked) {
  const TemporaryFolder folder;
  auto db = sqlite::open({.path = folder.path(), .busy_timeout = kBusy}).value();
  auto queue = db.queue("records");
  queue.send({.body = "first"}).value();
  {
    const Other writer(folder.path(), "BEGIN IMMEDIATE");
    const auto start = Steady::now();
    const auto late = queue.send({.body = "second"}, Deadline::in(Milliseconds(50)));
    EXPECT_LT(Steady::now() - start, kSoon);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), ErrorCode::kDeadlineExceeded);
  }
  EXPECT_TRUE(queue.send({.body = "third"}));
  EXPECT_EQ(queue.stats().value().accepted, 2u);
}

// Takes the lock as soon as a commit is done, before its checkpoint.
class LockAfterCommit final : public Metrics {
 public:
  void add(std::string_view, double, MetricLabels) noexcept override {}
  void set(std::string_view, double, MetricLabels) noexcept override {}
  void observe(std::string_view name, double, MetricLabels) noexcept override {
    if (name == "setget_sqlite_commit_seconds" && holder != nullptr && !locked) locked = holder->lock();
  }
  LockHolder* holder = nullptr;
  bool locked = false;
};

TEST(SqliteWaits, nobody_waits_long_for_a_checkpoint_whose_turn_does_not_come) {
  const TemporaryFolder folder;
  const auto metrics = std::make_shared<LockAfterCommit>();
  auto db = sqlite::open({.path = folder.path(), .checkpoint_pages = 1, .busy_timeout = kBusy, .metrics = metrics}).value();
  auto queue = db.queue("records");
  queue.send({.body = "first"}).value();
  LockHolder other(folder.path());
  metrics->holder = &other;
  const auto start = Steady::now();
  EXPECT_TRUE(queue.send({.body = "second"}));
  EXPECT_LT(Steady::now() - start, kSoon);
  EXPECT_TRUE(metrics->locked);
  metrics->holder = nullptr;
}

}  // namespace
