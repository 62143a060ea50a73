// What a file must be to be opened, and what it keeps.
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <setget/sqlite.hpp>
#include <setget/testing/clock.hpp>

#include "support/after_look.hpp"
#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using sqlite_test::overwrite;
using sqlite_test::run_sql;
using sqlite_test::TemporaryFolder;

ErrorCode code_of_opening(const std::string& path) {
  const auto opened = sqlite::open({.path = path});
  return opened ? ErrorCode::kInternal : opened.error().code();
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void fill(const std::string& path, int messages) {
  auto db = sqlite::open({.path = path}).value();
  auto queue = db.queue("records");
  for (int i = 0; i < messages; ++i) queue.send({.body = std::string(3000, 'x')}).value();
}

TEST(SqliteFile, that_is_missing_is_made_only_where_that_is_wanted) {
  const TemporaryFolder folder;
  const auto refused = sqlite::open({.path = folder.path(), .create = false});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder.path()));
  EXPECT_TRUE(sqlite::open({.path = folder.path()}));
}

// The pipeline's queue may be elsewhere, and with it the floor that is asked for. What was accepted into this file counts all the same.
TEST(SqliteFile, keeps_its_floor_below_what_waits_in_its_own_queues) {
  const TemporaryFolder folder;
  const auto clock = std::make_shared<setget::testing::SimulatedClock>();
  auto database = sqlite::open({.path = folder.path(), .clock = clock}).value();
  auto store = database.key_store();
  auto first = database.queue("first");
  auto second = database.queue("second");
  ASSERT_TRUE(first.stats());
  ApplyEntry entry;
  entry.command.id = "a";
  entry.command.keys = KeyList({"k"});
  entry.encoded = encode_command(entry.command);
  entry.stamp = second.send({.body = entry.encoded}).value().stamp;
  const auto elsewhere = stamp_at(clock->now() + std::chrono::hours(1));
  const auto floor = [&] {
    EXPECT_TRUE(store.backend()->reclaim({.now = clock->now(), .floor = elsewhere}));
    return store.backend()->stats().value().floor;
  };
  EXPECT_EQ(floor(), entry.stamp);
  const auto held = second.receive(1).value();
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(floor(), entry.stamp);
  EXPECT_EQ(store.apply(entry, clock->now()).value().outcome, Outcome::kApplied);
  ASSERT_TRUE(second.ack(held.front()));
  EXPECT_EQ(floor(), elsewhere);
}

using std::filesystem::perms;
constexpr auto kOwner = perms::owner_read | perms::owner_write;

perms perms_of(const std::string& path) { return std::filesystem::status(path).permissions(); }

// As a host does who has changed nothing: what others may do is then up to this file alone.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

// As a full disk does, but this one can be had everywhere: no file may grow.
TEST(SqliteFile, that_has_no_room_for_its_companion_says_why) {
  const TemporaryFolder folder;
  fill(folder.path(), 1);
  std::filesystem::remove(folder.path() + "-lock");
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  const auto refused = sqlite::open({.path = folder.path()});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::signal(SIGXFSZ, before);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("-lock"), std::string::npos) << refused.error().describe();
  EXPECT_EQ(refused.error().native_code(), EFBIG) << refused.error().describe();
}

TEST(SqliteFile, that_is_made_is_its_owners_alone) {
  const TemporaryFolder folder;
  const Umask usual(022);
  auto database = sqlite::open({.path = folder.path()}).value();
  database.queue("records").send({.body = "m"}).value();
  for (const auto* suffix : {"", "-wal", "-shm", "-lock"}) EXPECT_EQ(perms_of(folder.path() + suffix), kOwner) << suffix;
}

TEST(SqliteFile, that_a_group_shares_keeps_its_mode_and_gives_it_to_its_companions) {
  const TemporaryFolder folder;
  fill(folder.path(), 1);
  constexpr auto kShared = kOwner | perms::group_read | perms::group_write;
  std::filesystem::permissions(folder.path(), kShared);
  for (const auto* suffix : {"-wal", "-shm", "-lock"}) std::filesystem::remove(folder.path() + suffix);
  const Umask usual(022);
  auto database = sqlite::open({.path = folder.path()}).value();
  database.queue("records").send({.body = "m"}).value();
  for (const auto* suffix : {"", "-wal", "-shm", "-lock"}) EXPECT_EQ(perms_of(folder.path() + suffix), kShared) << suffix;
}

TEST(SqliteFile, of_another_program_is_refused_and_left_as_it_is) {
  const TemporaryFolder folder;
  run_sql(folder.path(), "CREATE TABLE theirs(x)");
  const auto before = bytes_of(folder.path());
  EXPECT_EQ(code_of_opening(folder.path()), ErrorCode::kUnsupported);
  EXPECT_EQ(bytes_of(folder.path()), before);
}

TEST(SqliteFile, that_is_no_database_is_refused_and_left_as_it_is) {
  const TemporaryFolder folder;
  std::ofstream(folder.path()) << "not a database, whatever its name says";
  const auto before = bytes_of(folder.path());
  EXPECT_EQ(code_of_opening(folder.path()), ErrorCode::kCorrupted);
  EXPECT_EQ(bytes_of(folder.path()), before);
}

TEST(SqliteFile, of_a_newer_version_is_refused_clearly) {
  const TemporaryFolder folder;
  fill(folder.path(), 1);
  run_sql(folder.path(), "UPDATE meta SET value=2 WHERE name='min_reader'");
  EXPECT_EQ(code_of_opening(folder.path()), ErrorCode::kUnsupported);
  run_sql(folder.path(), "UPDATE meta SET value=1 WHERE name='min_reader'; UPDATE room SET version=version+1 WHERE name='core'");
  EXPECT_EQ(code_of_opening(folder.path()), ErrorCode::kUnsupported);
}

TEST(SqliteFile, that_was_cut_to_nothing_is_not_taken_for_a_new_one) {
  const TemporaryFolder folder;
  fill(folder.path(), 1);
  std::filesystem::resize_file(folder.path(), 0);
  EXPECT_EQ(code_of_opening(folder.path()), ErrorCode::kCorrupted);
}

TEST(SqliteFile, that_lost_its_end_is_refused_at_once) {
  const TemporaryFolder folder;
  fill(folder.path(), 200);
  const auto size = std::filesystem::file_size(folder.path());
  std::filesystem::resize_file(folder.path(), size - size / 3);
  EXPECT_EQ(code_of_opening(folder.path()), ErrorCode::kCorrupted);
}

TEST(SqliteFile, whose_stored_body_was_damaged_never_gives_a_wrong_one) {
  const TemporaryFolder folder;
  const std::string body(900, 'b');
  {
    auto db = sqlite::open({.path = folder.path()}).value();
    db.queue("records").send({.body = body}).value();
  }
  const auto at = bytes_of(folder.path()).find(body);
  ASSERT_NE(at, std::string::npos);
  overwrite(folder.path(), static_cast<std::streamoff>(at) + 450, "X");
  auto db = sqlite::open({.path = folder.path()}).value();
  EXPECT_TRUE(db.queue("records").receive().value().empty());
  EXPECT_EQ(db.queue("records").stats().value().dead_letters, 1U);
}

class SqliteDigest : public ::testing::Test {
 protected:
  void set(sqlite::Database& db, const std::string& id, const std::string& payload, std::optional<Version> version = {}) {
    ApplyEntry entry;
    entry.command = {.id = id, .keys = KeyList({id}), .account = "acme", .flow = "orders", .payload = Payload(payload), .version = version};
    entry.encoded = encode_command(entry.command);
    entry.stamp = stamp_at(now_) + ++sets_;
    ASSERT_TRUE(db.key_store().backend()->apply({.entries = std::span(&entry, 1), .now = now_}).value().at(0));
  }
  RangeDigest digest(sqlite::Database& db, std::uint64_t deep = 0) const {
    return db.key_store().backend()->digest({.now = now_, .deep = {.of = deep}}).value().at(0);
  }
  void damage(const std::string& body) const {
    const auto at = bytes_of(folder_.path()).find(body.substr(0, 1'000));
    ASSERT_NE(at, std::string::npos);
    overwrite(folder_.path(), static_cast<std::streamoff>(at) + 450, "X");
  }

  const TemporaryFolder folder_;
  const TimePoint now_ = system_clock()->now();
  Stamp sets_ = 0;
};

// Whatever was done to a record since it was set.
TEST_F(SqliteDigest, needs_no_body) {
  auto db = sqlite::open({.path = folder_.path()}).value();
  set(db, "plain", "a");
  set(db, "versioned", "b", 7);
  set(db, "touched", "c");
  set(db, "remembered", "d");
  const auto later = now_ + Milliseconds(60'000);
  const SetExpiry expiry{.id = "touched", .version = db.key_store().get_by_id("touched", now_).value()->version, .expires_at = later};
  ASSERT_TRUE(db.key_store().backend()->set_expiry(std::span(&expiry, 1)).value().at(0).value());
  const BeginHistory begin{.id = "remembered", .version = db.key_store().get_by_id("remembered", now_).value()->version};
  ASSERT_TRUE(db.key_store().backend()->begin_history(std::span(&begin, 1)).value().at(0).value());
  const auto before = digest(db);
  EXPECT_EQ(before.count, 4U);
  EXPECT_EQ(digest(db, 1), before) << "what the bodies say is what was written beside the identities";
  run_sql(folder_.path(), "UPDATE log SET sum = sum + 1");
  EXPECT_EQ(digest(db), before);
  EXPECT_NE(digest(db, 1), before) << "gets refuse them";
  run_sql(folder_.path(), "DELETE FROM log");
  EXPECT_EQ(digest(db), before);
  EXPECT_NE(digest(db, 1), before);
}

TEST_F(SqliteDigest, of_records_of_older_versions_is_made_of_their_bodies) {
  auto db = sqlite::open({.path = folder_.path()}).value();
  set(db, "a", std::string(9'000, 'a'));
  const auto before = digest(db);
  // The flags of version, stamp and digest become those of the first two, and the digest goes.
  run_sql(folder_.path(),
          "UPDATE ident SET more = CAST(x'0114' || substr(more, 4, length(more) - 19) AS BLOB) WHERE substr(more, 1, 3) = x'019420'");
  EXPECT_EQ(digest(db), before);
  run_sql(folder_.path(), "UPDATE log SET body = zeroblob(length(body))");
  EXPECT_NE(digest(db), before);
}

// Its range is like no other; the others are what they were.
TEST_F(SqliteDigest, of_a_damaged_body_is_like_no_other_where_it_is_looked_at) {
  const std::string payload(9'000, 'p');
  RangeDigest before;
  {
    auto db = sqlite::open({.path = folder_.path()}).value();
    set(db, "a", payload);
    set(db, "b", std::string(9'000, 'q'));
    before = digest(db);
  }
  damage(payload);
  auto db = sqlite::open({.path = folder_.path()}).value();
  EXPECT_EQ(digest(db), before);
  const auto deep = digest(db, 1);
  EXPECT_EQ(deep.count, 2U);
  EXPECT_NE(deep, before);
}

TEST(SqliteFile, keeps_its_identity_and_queues_over_a_restart) {
  const TemporaryFolder folder;
  StoreIdentity identity;
  {
    auto db = sqlite::open({.path = folder.path()}).value();
    identity = db.key_store().backend()->identity().value();
    db.queue("orders", {.kind = QueueKind::kStandard, .max_receives = 9}).value();
  }
  auto db = sqlite::open({.path = folder.path()}).value();
  EXPECT_EQ(db.key_store().backend()->identity().value(), identity);
  const auto queues = db.queues()->list().value();
  ASSERT_EQ(queues.size(), 1U);
  EXPECT_EQ(queues[0].options.max_receives, 9U);
  EXPECT_EQ(queues[0].options.kind, QueueKind::kStandard);
}

TEST(SqliteFile, a_queue_that_another_made_in_the_meantime_is_left_as_it_is) {
  const TemporaryFolder folder;
  auto mine = sqlite::open({.path = folder.path()}).value();
  auto others = sqlite::open({.path = folder.path()}).value();
  for (const auto kind : {QueueKind::kFifo, QueueKind::kStandard}) {
    const std::string name = kind == QueueKind::kFifo ? "groups" : "plain";
    const QueueOptions options{.kind = kind, .visibility_timeout = Milliseconds(7'000), .max_receives = 9};
    const setget_test::AfterLook other([&] { others.queues()->create({.name = name, .options = options}).value(); });
    auto queue = mine.queue(name);
    ASSERT_TRUE(other.came());
    ASSERT_TRUE(queue.send({.body = "x"}));
    const auto known = mine.queues()->list().value();
    const auto stored = std::ranges::find(known, name, &QueueInfo::name);
    ASSERT_NE(stored, known.end());
    EXPECT_EQ(stored->options, options) << name;
  }
}

TEST(SqliteFile, is_whole_by_itself_after_a_clean_close) {
  const TemporaryFolder folder;
  fill(folder.path(), 20);
  std::filesystem::remove(folder.path() + "-wal");
  std::filesystem::remove(folder.path() + "-shm");
  std::filesystem::remove(folder.path() + "-lock");
  EXPECT_EQ(sqlite::open({.path = folder.path()}).value().queue("records").stats().value().depth, 20U);
}

TEST(SqliteFile, with_secure_delete_holds_nothing_of_what_was_deleted) {
  for (const bool secure : {false, true}) {
    const TemporaryFolder folder;
    const std::string secret(500, 's');
    {
      auto db = sqlite::open({.path = folder.path(), .secure_delete = secure}).value();
      auto queue = db.queue("records");
      queue.send({.body = secret}).value();
      queue.send({.body = "stays, so that the page does"}).value();
      db.checkpoint().value();
      queue.ack(queue.receive(1).value().at(0)).value();
    }
    EXPECT_EQ(bytes_of(folder.path()).find(secret) == std::string::npos, secure);
  }
}

TEST(SqliteFile, has_the_page_size_that_was_asked_for) {
  const TemporaryFolder folder;
  sqlite::open({.path = folder.path(), .page_size = 16384}).value();
  const auto header = bytes_of(folder.path()).substr(16, 2);
  EXPECT_EQ(header, std::string("\x40\x00", 2));
}

}  // namespace
