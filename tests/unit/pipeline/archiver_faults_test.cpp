// A run that something goes wrong in: what of it is confirmed, what the next one begins with, and who may run.
#include <exception>
#include <new>

#include "archive_support.hpp"

namespace {

using namespace setget_test;

// Its cursors cannot be asked for once, after the last page of a scan.
class AwayAtTheEnd final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  Result<SummaryPage> scan(const ScanRecords& request) override {
    auto page = ForwardingKeyStore::scan(request);
    if (page && page->next.empty() && !was_away_) away_ = true;
    return page;
  }
  Result<std::vector<CursorInfo>> cursors(Deadline deadline) override {
    if (!away_) return ForwardingKeyStore::cursors(deadline);
    away_ = false;
    was_away_ = true;
    return Error(ErrorCode::kUnavailable, "the store is away");
  }

 private:
  bool away_ = false;
  bool was_away_ = false;
};

TEST(ArchiverFaults, what_is_left_out_of_a_batch_that_comes_again_is_counted_once) {
  for (const bool from_log : {false, true}) {
    ArchiveWorld world;
    const auto metrics = std::make_shared<PrometheusMetrics>();
    ArchiverOptions options{
        .key_store = world.key_store, .archive = world.archive, .policy = world.policy, .clock = world.clock, .metrics = metrics};
    const auto archiver = Archiver::create(std::move(options)).value();
    if (from_log) {
      ASSERT_TRUE(archiver->run());
    }
    auto brief = request("brief", {"brief"});
    brief.ttl = Ttl::after(std::chrono::hours(1));
    world.set(brief);
    world.set(request("lasting", {"lasting"}));
    world.fragile->writes_left = 0;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(archiver->run().error().code(), ErrorCode::kUnavailable);
    world.fragile->writes_left = -1;
    EXPECT_EQ(archiver->run().value().skipped_short_lived, 1u);
    EXPECT_EQ(world.archive->load_checkpoint().value()->skipped_short_lived, 1u);
    EXPECT_NE(metrics->expose().find("setget_archive_skipped_short_lived_total 1\n"), std::string::npos) << metrics->expose();
  }
}

TEST(ArchiverFaults, a_copy_of_everything_that_fails_at_its_end_goes_on_there) {
  ArchiveWorld world({}, 10);
  world.set_many(70);
  world.key_store = KeyStore(std::make_shared<AwayAtTheEnd>(world.key_store.backend()));
  const auto archiver = world.make_archiver(10);
  EXPECT_EQ(archiver->run().error().code(), ErrorCode::kUnavailable);
  const auto again = archiver->run().value();
  EXPECT_LE(again.read, 10u) << "the last page";
  EXPECT_TRUE(archiver->verify().value().equal());
}

// One of its records cannot be read by identity.
class Damaged final : public setget::testing::ForwardingKeyStore {
 public:
  Damaged(std::shared_ptr<KeyStoreBackend> inner, std::string id) : ForwardingKeyStore(std::move(inner)), id_(std::move(id)) {}
  Result<Lookup> get_by_id(const GetById& request) override {
    if (request.id == id_) return Error(ErrorCode::kCorrupted, "it is damaged");
    return ForwardingKeyStore::get_by_id(request);
  }

 private:
  const std::string id_;
};

TEST(ArchiverFaults, a_record_that_was_refused_and_is_damaged_since_holds_up_no_other) {
  ArchiveWorld world;
  world.set_many(3);
  world.fragile->refused = {"r1"};
  ASSERT_EQ(world.archiver->run().value().quarantined, 1u);
  world.key_store = KeyStore(std::make_shared<Damaged>(world.key_store.backend(), "r1"));
  const auto archiver = world.make_archiver();
  world.set(request("new", {"n"}));
  const auto report = archiver->run().value();
  EXPECT_EQ(report.written, 1u);
  EXPECT_EQ(report.damaged, 1u);
  EXPECT_EQ(report.quarantined, 1u);
}

class OutOfMemory final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    if (throws) throw std::bad_alloc();
    return ForwardingArchive::write(request);
  }
  bool throws = true;
};

TEST(ArchiverFaults, an_exception_ends_a_run_as_an_error_does) {
  ArchiveWorld world;
  world.set_many(3);
  const auto archive = std::make_shared<OutOfMemory>(world.archive);
  world.archive = archive;
  const auto archiver = world.make_archiver();
  const auto failed = archiver->run();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_FALSE(archiver->checkpoint().value()->last_error.empty());
  archive->throws = false;
  EXPECT_EQ(world.make_archiver()->run().value().written, 3u) << "nobody waits for a lease";
}

// What cannot save that a run has succeeded, or the store's cursor, which follows it.
class LastWord final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  Result<void> commit_cursor(std::string_view name, Position position, Deadline deadline) override {
    if (refused-- > 0) return Error(ErrorCode::kUnavailable, "the store is away");
    return ForwardingKeyStore::commit_cursor(name, position, deadline);
  }
  int refused = 0;
};

TEST(ArchiverFaults, a_run_that_cannot_tell_the_store_at_its_end_is_no_success_and_tells_it_once_more) {
  ArchiveWorld world;
  const auto store = std::make_shared<LastWord>(world.key_store.backend());
  world.key_store = KeyStore(store);
  const auto archiver = world.make_archiver();
  world.set_many(3);
  ASSERT_TRUE(archiver->run());
  const auto first = archiver->checkpoint().value()->last_success_at;
  world.clock->advance(days(1));
  world.set_many(3, "s");
  store->refused = 1;
  EXPECT_EQ(archiver->run().error().code(), ErrorCode::kUnavailable);
  const auto checkpoint = archiver->checkpoint().value();
  EXPECT_EQ(checkpoint->last_success_at, first);
  EXPECT_FALSE(checkpoint->last_error.empty());
  EXPECT_EQ(store->cursors(Deadline::in(Milliseconds(1'000))).value().at(0).position, checkpoint->position);
}

}  // namespace
