// A file that is put back from a backup is an older copy of itself, with positions that an archive elsewhere has heard of already.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <optional>
#include <string>

#include <setget/archiver.hpp>
#include <setget/model.hpp>
#include <setget/sqlite.hpp>
#include <setget/testing/clock.hpp>
#include <setget/testing/commands.hpp>
#include <setget/ttl.hpp>

#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using setget::testing::SimulatedClock;
using sqlite_test::TemporaryFolder;

class SqliteBackup : public ::testing::Test {
 protected:
  SqliteBackup() { open(true); }

  void open(bool durable) {
    db_.emplace(sqlite::open({.path = folder_.path(), .durable = durable, .clock = clock_}).value());
    ArchiverOptions options;
    options.key_store = db_->key_store();
    options.archive = archive_;
    options.policy = policy_;
    options.clock = clock_;
    archiver_ = Archiver::create(std::move(options)).value();
  }
  void close() {
    archiver_.reset();
    db_.reset();
  }
  void back_up() {
    close();
    std::filesystem::copy_file(folder_.path(), folder_.path("backup"));
    open(true);
  }
  void put_back(bool durable = true) {
    close();
    std::filesystem::copy_file(folder_.path("backup"), folder_.path(), std::filesystem::copy_options::overwrite_existing);
    open(durable);
  }
  // The first is history by then.
  void put_new() {
    for (std::size_t i = 0; i < first_.size(); ++i) {
      put("new" + std::to_string(i), "1");
      first_[i] = clock_->now();
      put("new" + std::to_string(i), "2");
    }
  }
  void expect_new() {
    for (std::size_t i = 0; i < first_.size(); ++i) {
      const auto id = "new" + std::to_string(i);
      EXPECT_EQ(archived(id), "2");
      const auto before = archiver_->get_at({.ns = {}, .id = id, .at = first_[i]}).value();
      ASSERT_TRUE(before) << id;
      EXPECT_EQ(before->payload.view(), "1");
    }
  }
  // A second later than the one before.
  void put(const std::string& id, const std::string& payload) {
    clock_->advance(Milliseconds(1000));
    setget::testing::SetSpec spec{.id = id, .keys = {"k/" + id}, .stamp = stamp_at(clock_->now()), .payload = payload};
    spec.account = "a";
    spec.flow = "kept";
    auto entry = setget::testing::set_entry(spec);
    entry.history = true;
    ASSERT_EQ(db_->key_store().apply(entry, clock_->now()).value().outcome, Outcome::kApplied);
  }
  std::string archived(const std::string& id) {
    const auto found = archive_->get_by_id({.ns = {}, .id = id, .now = clock_->now()}).value();
    return found.record ? std::string(found.record->payload.view()) : "nothing";
  }

  TemporaryFolder folder_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>(TimePoint(Milliseconds(1'700'000'000'000)));
  std::shared_ptr<ArchiveBackend> archive_ = sqlite::open({.path = folder_.path("archive"), .clock = clock_}).value().archive();
  std::shared_ptr<TtlPolicy> policy_ = std::make_shared<TtlPolicy>(parse_flows("[flows.kept]\nhistory = true\n").value());
  std::optional<sqlite::Database> db_;
  std::unique_ptr<Archiver> archiver_;
  std::array<TimePoint, 6> first_{};
};

TEST_F(SqliteBackup, that_is_put_back_stops_the_archive_until_it_is_adopted) {
  put("old", "1");
  archiver_->run().value();
  back_up();
  put("old", "2");
  put("lost", "1");
  archiver_->run().value();
  put_back();
  put_new();  // past where the log had been
  for (int i = 0; i < 2; ++i) {
    const auto refused = archiver_->run();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
    EXPECT_EQ(refused.error().field(), "identity");
    EXPECT_EQ(archived("new0"), "nothing");
  }
  archiver_->run(Deadline::in(Milliseconds(60'000)), true).value();
  archiver_->run().value();
  EXPECT_EQ(archived("old"), "2") << "what the archive has newer";
  EXPECT_EQ(archived("lost"), "1") << "absence is no erase";
  expect_new();
  EXPECT_EQ(archiver_->verify().value().differences.size(), 2u);
}

TEST_F(SqliteBackup, of_a_file_that_is_not_synced_is_read_again_from_its_cursor) {
  put("old", "1");
  archiver_->run().value();
  back_up();
  put("lost", "1");
  put("lost", "2");
  archiver_->run().value();
  put_back(false);
  put_new();
  archiver_->run().value();
  expect_new();
}

}  // namespace
