// Whether the store is read while the archive writes.
#include "pipeline/read_ahead.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "archive_support.hpp"

namespace {

using namespace setget_test;
using namespace std::chrono_literals;
using setget::detail::ReadAhead;
void wait_for(std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, time, [] { return false; });
}

std::thread::id reader_of(ReadAhead& ahead) {
  return ahead.next([] { return std::this_thread::get_id(); }).get();
}

TEST(ReadAhead, takes_a_second_thread_where_there_are_processors_to_spare) {
  ReadAhead ahead({}, 3);
  EXPECT_NE(reader_of(ahead), std::this_thread::get_id());
  ahead.wrote(20ms, 20ms);
  EXPECT_NE(reader_of(ahead), std::this_thread::get_id());
}

TEST(ReadAhead, leaves_the_second_of_two_processors_to_others_while_the_archive_works_on_the_first) {
  ReadAhead ahead({}, 2);
  EXPECT_EQ(reader_of(ahead), std::this_thread::get_id()) << "nothing is known of the archive yet";
  ahead.wrote(30ms, 21ms);
  EXPECT_EQ(reader_of(ahead), std::this_thread::get_id());
  ahead.wrote(30ms, 18ms);
  EXPECT_NE(reader_of(ahead), std::this_thread::get_id()) << "39 of 60 ms";
}

TEST(ReadAhead, uses_the_time_in_which_an_archive_waits_whatever_the_machine_has) {
  ReadAhead ahead({}, 1);
  const auto write = ReadAhead::timed([] {
    wait_for(50ms);
    return 7;
  });
  EXPECT_EQ(write.answer, 7);
  ahead.wrote(write.took, write.worked);
  EXPECT_TRUE(ahead.waits());
  EXPECT_NE(reader_of(ahead), std::this_thread::get_id());
}

// Tells when it is read.
class Watched final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  Result<SummaryPage> scan(const ScanRecords& request) override {
    {
      const std::scoped_lock lock(mutex_);
      ++scans_;
    }
    read_.notify_all();
    return ForwardingKeyStore::scan(request);
  }
  bool was_read(int times, std::chrono::milliseconds within) {
    std::unique_lock lock(mutex_);
    return read_.wait_for(lock, within, [&] { return scans_ >= times; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable read_;
  int scans_ = 0;
};

// Each of its writes takes until the next page has been read.
class Waiting final : public setget::testing::ForwardingArchive {
 public:
  Waiting(std::shared_ptr<ArchiveBackend> inner, std::shared_ptr<Watched> store, int pages)
      : ForwardingArchive(std::move(inner)), store_(std::move(store)), pages_(pages) {}
  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    const int number = ++writes_;
    const bool first = number == 1;  // of which nobody knows that it waits, where there are two processors
    const auto within = first ? 50ms : 10'000ms;
    const bool read = store_->was_read(std::min(number + 1, pages_), within);
    EXPECT_TRUE(first || read) << "write " << number << " waited in vain";
    return ForwardingArchive::write(request);
  }

 private:
  std::shared_ptr<Watched> store_;
  int pages_;
  std::atomic<int> writes_{0};
};

TEST(ReadAhead, of_a_run_goes_on_while_the_archive_waits) {
  ArchiveWorld world({}, 10);
  world.set_many(60);
  const auto store = std::make_shared<Watched>(world.key_store.backend());
  world.key_store = KeyStore(store);
  world.archive = std::make_shared<Waiting>(world.archive, store, 6);
  EXPECT_EQ(world.make_archiver(10)->run().value().written, 60u);
}

}  // namespace
