// Whether a run writes two batches at a time, and what comes of them where one fails.
#include "pipeline/write_behind.hpp"

#include <condition_variable>
#include <mutex>

#include "archive_support.hpp"

namespace {

using namespace setget_test;
using namespace std::chrono_literals;

// A server that takes its time: for the first write of a run, which learns from it that the archive waits; then until `together` writes
// have come, or none has for a while.
class Slow final : public setget::testing::ForwardingArchive {
 public:
  Slow(std::shared_ptr<ArchiveBackend> inner, int together, std::chrono::milliseconds patience)
      : ForwardingArchive(std::move(inner)), together_(together), patience_(patience) {}

  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    std::unique_lock lock(mutex_);
    const int number = ++writes_;
    most = std::max(most, ++at_once_);
    for (const auto& entry : request.entries) twice = !names_.insert(entry.id).second || twice;
    const int came = at_once_ >= together_ ? ++meetings_ : meetings_;
    changed_.notify_all();
    if (number == 1 && !informed) {
      changed_.wait_for(lock, 50ms, [] { return false; });
    } else if (at_once_ < together_) {
      changed_.wait_for(lock, patience_, [&] { return meetings_ != came || failed_; });
    }
    const bool fails = std::ranges::any_of(request.entries, [&](const ArchiveEntry& entry) { return entry.id == refused; });
    failed_ = failed_ || fails;
    changed_.notify_all();
    lock.unlock();
    auto written = fails ? Result<std::vector<Result<ArchiveWrite>>>(Error(ErrorCode::kUnavailable, "the archive is away"))
                         : ForwardingArchive::write(request);
    lock.lock();
    --at_once_;
    for (const auto& entry : request.entries) names_.erase(entry.id);
    return written;
  }
  Result<Lookup> get_by_id(const GetById& request) override {
    {
      // What was begun may only be about to come.
      std::unique_lock lock(mutex_);
      looked_beside = changed_.wait_for(lock, 30ms, [&] { return at_once_ > 0; }) || looked_beside;
    }
    return ForwardingArchive::get_by_id(request);
  }
  Result<void> save_checkpoint(const ArchiveCheckpoint& checkpoint) override {
    positions.push_back(checkpoint.position);
    return ForwardingArchive::save_checkpoint(checkpoint);
  }
  // `refused`: id of one that is in the batch that fails.
  void expect_run(const std::string& refused_id = {}, int together = 2) {
    together_ = together;
    writes_ = 0;
    refused = refused_id;
    failed_ = false;
    positions.clear();
  }

  std::string refused{};
  bool informed = false;       // the run knows from the one before that the archive waits
  int most = 0;                // of writes at once
  bool twice = false;          // one identity in two of them
  bool looked_beside = false;  // a look at a document while something was being written
  std::vector<Position> positions{};

 private:
  int together_;
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> names_;
  int writes_ = 0;
  int at_once_ = 0;
  int meetings_ = 0;
  bool failed_ = false;
};

struct SlowWorld : ArchiveWorld {
  std::shared_ptr<Slow> slow;
  explicit SlowWorld(std::chrono::milliseconds patience = 2'000ms, int together = 2) : ArchiveWorld({}, 10) {
    slow = std::make_shared<Slow>(archive, together, patience);
    archive = slow;
    archiver = make_archiver(10);
  }
};

TEST(WriteBehind, has_two_batches_under_way_where_the_archive_waits) {
  SlowWorld world;
  world.set_many(70);
  EXPECT_EQ(world.archiver->run().value().written, 70u);
  EXPECT_EQ(world.slow->most, 2);
  // The same of the log.
  world.slow->expect_run();
  world.slow->most = 0;
  world.set_many(70);
  const auto report = world.archiver->run().value();
  EXPECT_EQ(report.written, 70u);
  EXPECT_FALSE(report.first_run);
  EXPECT_EQ(world.slow->most, 2);
  EXPECT_TRUE(std::ranges::is_sorted(world.slow->positions)) << "confirmed in their order";
  EXPECT_TRUE(world.archiver->verify().value().equal());
}

TEST(WriteBehind, has_no_third_one_under_way) {
  SlowWorld world(30ms, 3);
  world.set_many(70);
  EXPECT_EQ(world.archiver->run().value().written, 70u);
  EXPECT_EQ(world.slow->most, 2);
}

TEST(WriteBehind, has_two_under_way_from_the_beginning_where_the_archive_waited_in_the_run_before) {
  SlowWorld world;
  world.set_many(20);
  world.archiver->run().value();
  EXPECT_EQ(world.slow->most, 1) << "the first write tells that it waits, and there was one more";
  world.set_many(20, "s");
  world.slow->expect_run();
  world.slow->informed = true;
  EXPECT_EQ(world.archiver->run().value().written, 20u);
  EXPECT_EQ(world.slow->most, 2);
}

struct Host {
  ArchiverOptions options{};
  setget::detail::Turns busy{};
  std::mutex mutex{};
  std::condition_variable cancelled{};
  std::uint64_t cancels = 0;
};

// Of an archive that is known to wait.
struct Waited {
  Waited() { ahead.wrote(50ms, 0ms); }
  ArchiveWorld world{};
  Host host{};
  std::unique_ptr<setget::detail::ArchiveTurn> turn = setget::detail::ArchiveTurn::begin(host, Deadline::in(Milliseconds(10'000))).value();
  setget::detail::ReadAhead ahead{};
  setget::detail::WriteBehind behind{*world.archive, *turn, ahead, 1'000};
};

setget::detail::ArchiveBatch batch_of(std::initializer_list<const char*> ids) {
  setget::detail::ArchiveBatch batch;
  for (const auto* id : ids) {
    ArchiveEntry entry;
    entry.id = entry.record.id = id;
    entry.version = 1;
    batch.entries.push_back(std::move(entry));
  }
  return batch;
}

TEST(WriteBehind, takes_no_batch_beside_one_that_has_an_identity_of_it) {
  Waited waited;
  auto& behind = waited.behind;
  EXPECT_TRUE(behind.goes_with_others(batch_of({"a", "b"})));
  behind.begin(batch_of({"a", "b"}));
  EXPECT_FALSE(behind.full());
  EXPECT_TRUE(behind.goes_with_others(batch_of({"c", "d"})));
  EXPECT_FALSE(behind.goes_with_others(batch_of({"c", "b"})));
  EXPECT_EQ(behind.take_first().written.value().value().size(), 2u);
  EXPECT_TRUE(behind.goes_with_others(batch_of({"c", "b"})));
}

TEST(WriteBehind, takes_no_batch_beside_one_where_both_are_larger_than_one_may_be) {
  Waited waited;
  auto& behind = waited.behind;
  const auto of_bytes = [](const char* id, std::size_t bytes) {
    auto batch = batch_of({id});
    batch.entries.front().record.payload = Payload(std::string(bytes, 'x'));
    return batch;
  };
  EXPECT_TRUE(behind.goes_with_others(of_bytes("a", 2'000))) << "alone";
  behind.begin(of_bytes("a", 600));
  EXPECT_TRUE(behind.goes_with_others(of_bytes("b", 400)));
  EXPECT_FALSE(behind.goes_with_others(of_bytes("b", 401)));
}

// What was begun behind it may be written and is not confirmed: the next run begins with the one that failed.
TEST(WriteBehind, confirms_nothing_that_comes_after_a_batch_that_failed) {
  for (const int fails_at : {2, 3, 4}) {
    SlowWorld world(300ms);
    world.set_many(10);
    world.archiver->run().value();
    world.set_many(70, "s");
    world.slow->expect_run("s" + std::to_string(10 * (fails_at - 1)));
    const auto before = world.archiver->checkpoint().value()->position;
    const auto failed = world.archiver->run();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code(), ErrorCode::kUnavailable);
    const auto confirmed = before + static_cast<Position>(10 * (fails_at - 1));
    EXPECT_EQ(world.archiver->checkpoint().value()->position, confirmed);
    EXPECT_EQ(world.key_store.backend()->cursors().value().at(0).position, confirmed);
    world.slow->expect_run();
    EXPECT_EQ(world.archiver->run().value().read, static_cast<std::uint64_t>(70 - 10 * (fails_at - 1)));
    EXPECT_TRUE(world.archiver->verify().value().equal());
  }
}

// Neither after each batch, which would be two waits for servers, nor at the end alone, which a crash would lose.
TEST(WriteBehind, confirms_now_and_then) {
  ArchiveWorld world({}, 10);
  world.set_many(10);
  world.archiver->run().value();
  const auto slow = std::make_shared<Slow>(world.archive, 2, 30ms);
  world.archive = slow;
  world.archiver = world.make_archiver(10);
  const auto saves_of = [&](int count, int together) {
    world.set_many(count, "s");
    slow->expect_run({}, together);
    world.archiver->run().value();
    const std::set<Position> different(slow->positions.begin(), slow->positions.end());
    return different.size() - 1;  // the one that it began with
  };
  EXPECT_LT(saves_of(40, 1), 4u) << "four batches at once";
  EXPECT_EQ(saves_of(10, 1), 1u);
  EXPECT_EQ(slow->positions.size(), 3u) << "that it runs, how far it came, and its end, once the store's cursor is there";
  EXPECT_EQ(world.key_store.backend()->cursors().value().at(0).position, slow->positions.back());
  const auto many = saves_of(200, 20);
  EXPECT_GE(many, 3u) << "ten waits of 30 ms at least";
  EXPECT_LT(many, 20u);
}

// Fails once so many reads of its log were answered.
class Failing final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  Result<ChangeBatch> changes(const ReadChanges& request) override {
    if (left == 0) return Error(ErrorCode::kUnavailable, "the store is away");
    --left;
    return ForwardingKeyStore::changes(request);
  }
  int left = 1'000;
};

TEST(WriteBehind, confirms_what_was_read_before_the_store_failed) {
  SlowWorld world(30ms);
  const auto store = std::make_shared<Failing>(world.key_store.backend());
  world.set_many(10);
  world.key_store = KeyStore(store);
  const auto archiver = world.make_archiver(10);
  archiver->run().value();
  world.set_many(70, "s");
  const auto before = archiver->checkpoint().value()->position;
  store->left = 4;
  world.slow->expect_run();
  EXPECT_EQ(archiver->run().error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(world.slow->most, 2);
  EXPECT_EQ(archiver->checkpoint().value()->position, before + 40u);
}

// A store that loses the end of its log after two reads, and gives what it has instead: what `lost` changes later stood there.
class Loses final : public setget::testing::ForwardingKeyStore {
 public:
  Loses(std::shared_ptr<KeyStoreBackend> inner, Position cursor_at, Position lost)
      : ForwardingKeyStore(std::move(inner)), cursor_at_(cursor_at), lost_(lost) {}
  Result<ChangeBatch> changes(const ReadChanges& request) override {
    auto shifted = request;
    if (++reads_ > 2) shifted.after = (reads_ == 3 ? cursor_at_ : request.after) + lost_;
    auto batch = ForwardingKeyStore::changes(shifted);
    if (!batch || reads_ <= 2) return batch;
    batch->next -= lost_;
    for (auto& change : batch->changes) change.position -= lost_;
    return batch;
  }
  Result<void> commit_cursor(std::string_view, Position position, Deadline) override {
    committed.push_back(position);
    return {};
  }
  std::vector<Position> committed{};

 private:
  int reads_ = 0;
  const Position cursor_at_;
  const Position lost_;
};

TEST(WriteBehind, confirms_no_position_of_a_log_that_was_lost) {
  for (const bool fails : {true, false}) {
    SlowWorld world(300ms);
    world.set_many(10);
    world.archiver->run().value();
    const auto before = world.archiver->checkpoint().value()->position;
    // The first two batches, and the log that is there instead.
    world.set_many(20, "a");
    world.set_many(40, "c");
    const auto store = std::make_shared<Loses>(world.key_store.backend(), before, 20);
    world.key_store = KeyStore(store);
    world.slow->expect_run(fails ? "c5" : "");
    const auto run = world.make_archiver(10)->run();
    const auto after = world.archiver->checkpoint().value()->position;
    if (fails) {
      EXPECT_EQ(run.error().code(), ErrorCode::kUnavailable);
      EXPECT_EQ(after, before) << "nothing of the log that is there now was written";
      EXPECT_TRUE(std::ranges::all_of(store->committed, [&](Position position) { return position <= before; }));
    } else {
      EXPECT_EQ(run.value().written, 60u);
      EXPECT_EQ(after, before + 40);
      EXPECT_EQ(store->committed.back(), before + 40);
    }
  }
}

// A tombstone asks the archive what it knows of the record: what has just been sent counts.
TEST(WriteBehind, is_waited_for_before_a_look_at_what_the_archive_has) {
  SlowWorld world(30ms, 3);
  world.set_many(10);
  world.archiver->run().value();
  world.set_many(30, "s");
  world.erase("r5");
  world.slow->expect_run({}, 3);
  EXPECT_EQ(world.archiver->run().value().tombstones, 1u);
  EXPECT_FALSE(world.slow->looked_beside);
  EXPECT_EQ(world.archived("r5").status, Lookup::Status::kGone);
}

}  // namespace
