// Power cuts: the oracle of the kill test over a disk that forgets what was not synced. With all syncs nothing acknowledged is lost at any
// cut; with any one kind of sync left out something is, so a missing sync in setget's own use of SQLite would be found.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "crash/oracle.hpp"
#include "crash/temporary_folder.hpp"

#include <setget/testing/clock.hpp>
#include <setget/testing/power_loss_vfs.hpp>

namespace {

using namespace setget;
using crash::Oracle;
using crash::TemporaryFolder;
using setget::testing::PowerLossVfs;
using setget::testing::SeededRandom;
using setget::testing::SimulatedClock;
using setget::testing::SyncKind;

// Several lives of one file. All work is done by this thread, so that a seed gives the same cut again.
class Lives {
 public:
  Lives(PowerLossVfs& vfs, std::string path, std::uint64_t seed)
      : vfs_(vfs),
        path_(std::move(path)),
        random_(seed),
        clock_(std::make_shared<SimulatedClock>()),
        chance_(std::make_shared<SeededRandom>(seed)) {}

  // Empty: nothing was lost.
  std::string run() {
    // Many files see little more than their making: that is a moment of its own.
    const int lives = random_.next() % 2 == 0 ? 1 : 4;
    for (int life = 0; life < lives; ++life) {
      plan_cut(lives == 1, life);
      live();
      // Leases of the dead come back.
      clock_->advance(Milliseconds(1000));
      if (lives > 1 && random_.next() % 3 == 0) {
        vfs_.restart().value();
        continue;
      }
      vfs_.lose_power(random_.next()).value();
      if (auto lost = examine(); !lost.empty()) return "life " + std::to_string(life) + ": " + lost;
    }
    return {};
  }

 private:
  void plan_cut(bool in_the_making, int life) {
    if (in_the_making && random_.next() % 2 == 0) {
      vfs_.cut_at(SyncKind::kCreation);
    } else if (in_the_making) {
      vfs_.cut_after(random_.next() % 40);
    } else if (random_.next() % 2 == 0) {
      vfs_.cut_at(static_cast<SyncKind>(random_.next() % setget::testing::kSyncKinds), life == 0 ? random_.next() % 2 : random_.next() % 4);
    } else {
      vfs_.cut_after(random_.next() % (life % 2 == 0 ? 60 : 400));
    }
  }

  Result<sqlite::Database> open() {
    sqlite::Options options;
    options.path = path_;
    options.vfs = vfs_.name();
    options.clock = clock_;
    options.random = chance_;
    options.page_size = 1024;
    options.checkpoint_pages = 60;
    return sqlite::open(std::move(options));
  }

  // Until something fails or enough is done. What fails may only fail because the power is off.
  void live() {
    auto database = open();
    if (!database) return expect_off(database.error());
    if (random_.next() % 2 == 0) {
      if (auto done = database->checkpoint(); !done) return expect_off(done.error());
    }
    auto pipeline = crash::make_pipeline(*database, clock_, chance_);
    if (!pipeline) return expect_off(pipeline.error());
    for (int i = 0; i < 60; ++i) {
      clock_->advance(Milliseconds(3));
      if (auto done = step(*database, **pipeline); !done) return expect_off(done.error());
    }
  }

  Result<void> step(sqlite::Database& database, Pipeline& pipeline) {
    const int identity = static_cast<int>(random_.next() % crash::kIdentities);
    switch (random_.next() % 12) {
      case 0: {
        oracle_.will_erase(identity);
        EraseRequest erase;
        erase.id = crash::id_of(identity);
        auto receipt = pipeline.erase(std::move(erase));
        if (!receipt) return std::move(receipt).error();
        oracle_.acknowledged_erase(identity, receipt->version);
        return {};
      }
      case 1:
      case 2:
      case 3: {
        auto ran = pipeline.run_once();
        return ran ? Result<void>() : Result<void>(std::move(ran).error());
      }
      case 4: {
        auto found = pipeline.get("own/" + std::to_string(identity));
        if (!found) return std::move(found).error();
        return {};
      }
      case 5: {
        if (random_.next() % 4 != 0) return {};
        auto run = pipeline.archiver()->run();
        return run ? Result<void>() : Result<void>(std::move(run).error());
      }
      case 6: {
        auto done = database.checkpoint();
        if (!done) return std::move(done).error();
        // Now the log begins anew over what it held, which is what its header's sync is for: a large transaction over small ones.
        if (random_.next() % 3 != 0) return {};
        vfs_.cut_at(SyncKind::kWalCommit);
        return set_batch(pipeline);
      }
      case 7:
        return set_batch(pipeline);
      default: {
        const auto n = ++last_n_;
        auto receipt = pipeline.set(crash::request_of(identity, n));
        if (!receipt) return std::move(receipt).error();
        oracle_.acknowledged_set(identity, n, receipt->version);
        return {};
      }
    }
  }

  // One large transaction among small ones.
  Result<void> set_batch(Pipeline& pipeline) {
    const auto n = ++last_n_;
    std::vector<SetRequest> batch;
    for (int identity = 0; identity < crash::kIdentities; ++identity) batch.push_back(crash::request_of(identity, n));
    auto receipts = pipeline.set(std::move(batch));
    if (!receipts) return std::move(receipts).error();
    for (int identity = 0; identity < crash::kIdentities; ++identity) {
      auto& receipt = (*receipts)[static_cast<std::size_t>(identity)];
      if (!receipt) return std::move(receipt).error();
      oracle_.acknowledged_set(identity, n, receipt->version);
    }
    return {};
  }

  void expect_off(const Error& error) { EXPECT_FALSE(vfs_.powered()) << "failed with the power on: " << error.message(); }

  std::string examine() {
    auto database = open();
    if (!database) return "cannot be opened: " + database.error().message();
    auto findings = database->doctor();
    if (!findings) return "doctor: " + findings.error().message();
    for (const auto& finding : *findings) {
      // The disk that the test runs on is not what is examined.
      if (finding.level == sqlite::Finding::Level::kError && !finding.what.starts_with("disk")) return finding.what;
    }
    auto pipeline = crash::make_pipeline(*database, clock_, chance_);
    if (!pipeline) return "no pipeline: " + pipeline.error().message();
    if (auto lost = oracle_.check(**pipeline); !lost.empty()) return lost;
    auto run = (*pipeline)->archiver()->run();
    if (!run) return "archive run: " + run.error().message();
    const auto verified = (*pipeline)->archiver()->verify({.deep = true});
    if (!verified) return "verify: " + verified.error().message();
    return verified->equal() ? std::string()
                             : "archive differs: " + verified->differences.at(0).id + " " + verified->differences.at(0).detail;
  }

  PowerLossVfs& vfs_;
  std::string path_;
  SeededRandom random_;
  std::shared_ptr<SimulatedClock> clock_;
  std::shared_ptr<Random> chance_;
  Oracle oracle_;
  std::uint64_t last_n_ = 0;
};

// SETGET_CRASH_SEEDS=N for the long form.
std::uint64_t seeds() {
  const char* given = std::getenv("SETGET_CRASH_SEEDS");
  return given == nullptr ? 150 : std::strtoull(given, nullptr, 10);
}

TEST(PowerLoss, nothing_acknowledged_is_lost_at_any_cut) {
  const TemporaryFolder folder;
  auto vfs = PowerLossVfs::install().value();
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    ASSERT_EQ(Lives(*vfs, folder.path(std::to_string(seed)), seed).run(), "") << "seed " << seed;
  }
  for (const auto kind :
       {SyncKind::kWalCommit, SyncKind::kWalHeader, SyncKind::kWalCheckpoint, SyncKind::kCheckpoint, SyncKind::kWalRecovery}) {
    EXPECT_GT(vfs->syncs(kind), 100u) << to_string(kind);
  }
  EXPECT_GT(vfs->unsynced_writes_lost(), 1000u);
}

class LeavingOut : public ::testing::TestWithParam<SyncKind> {};

// Each of these would pass if the disk or the oracle could not tell; they must find a loss.
TEST_P(LeavingOut, this_sync_is_found_by_a_loss) {
  const TemporaryFolder folder;
  auto vfs = PowerLossVfs::install().value();
  vfs->ignore(GetParam());
  // What a killed process left is synced when its file is opened, which leaves a checkpoint nothing to sync: either is enough for it.
  if (GetParam() == SyncKind::kWalCheckpoint) vfs->ignore(SyncKind::kWalRecovery);
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    const auto lost = Lives(*vfs, folder.path(std::to_string(seed)), seed).run();
    if (lost.empty()) continue;
    RecordProperty("seed", std::to_string(seed));
    RecordProperty("lost", lost);
    return;
  }
  FAIL() << "no cut showed what the sync is for";
}

INSTANTIATE_TEST_SUITE_P(PowerLoss, LeavingOut,
                         ::testing::Values(SyncKind::kWalCommit, SyncKind::kWalHeader, SyncKind::kWalCheckpoint, SyncKind::kCheckpoint,
                                           SyncKind::kJournal, SyncKind::kCreation, SyncKind::kDirectory),
                         [](const auto& kind) { return std::string(to_string(kind.param)); });

// A process is killed between writing a commit and syncing it. Whoever opens the file next sees that commit, and answers by it: a producer
// who asks again hears that his message is there. So it must be there after a power cut too.
class KilledBeforeItsSync {
 public:
  KilledBeforeItsSync(PowerLossVfs& vfs, std::string path, std::uint64_t seed) : vfs_(vfs), path_(std::move(path)), seed_(seed) {}

  // Empty: nothing was lost.
  std::string run() {
    {
      auto database = open().value();
      auto queue = database.queue("records", QueueOptions{}).value();
      for (std::uint64_t i = 0; i < seed_ % 4; ++i) queue.send(message("earlier")).value();
      vfs_.cut_at(SyncKind::kWalCommit);
      EXPECT_FALSE(queue.send(message("unanswered", "id")));
    }
    vfs_.restart().value();
    std::string answered;
    {
      auto database = open().value();
      auto queue = database.queue("records", QueueOptions{}).value();
      // Else the answer would be a commit of its own, whose sync takes the one before it along.
      const auto status = queue.stats().value();
      if (status.accepted == seed_ % 4) return "the kill left nothing to see";
      const auto again = queue.send(message("unanswered", "id")).value();
      if (!again.deduplicated) return "sent twice";
      answered = again.message_id;
      vfs_.cut_after(0);
    }
    vfs_.lose_power(seed_).value();
    auto database = open().value();
    const auto found = database.queues()->find({.message_id = answered});
    return found ? std::string() : "a message that was answered is lost";
  }

 private:
  static OutgoingMessage message(const char* body, std::string dedup_id = {}) {
    OutgoingMessage message;
    message.body = Payload(body);
    message.dedup_id = std::move(dedup_id);
    return message;
  }
  Result<sqlite::Database> open() {
    sqlite::Options options;
    options.path = path_;
    options.vfs = vfs_.name();
    return sqlite::open(std::move(options));
  }

  PowerLossVfs& vfs_;
  std::string path_;
  std::uint64_t seed_;
};

TEST(PowerLoss, what_the_next_process_saw_of_a_killed_one_stays) {
  const TemporaryFolder folder;
  auto vfs = PowerLossVfs::install().value();
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    ASSERT_EQ(KilledBeforeItsSync(*vfs, folder.path(std::to_string(seed)), seed).run(), "") << "seed " << seed;
  }
  EXPECT_EQ(vfs->syncs(SyncKind::kWalRecovery), 80u) << "one for each opening of a file that has a log";
}

TEST(PowerLoss, leaving_out_the_sync_at_opening_is_found_by_a_loss) {
  const TemporaryFolder folder;
  auto vfs = PowerLossVfs::install().value();
  vfs->ignore(SyncKind::kWalRecovery);
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const auto lost = KilledBeforeItsSync(*vfs, folder.path(std::to_string(seed)), seed).run();
    if (lost.empty()) continue;
    EXPECT_EQ(lost, "a message that was answered is lost");
    return;
  }
  FAIL() << "no cut showed what the sync is for";
}

}  // namespace
