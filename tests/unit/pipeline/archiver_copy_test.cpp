// A copy of everything, and a cursor that somebody else moves while it is under way.
#include "archive_support.hpp"

#include <atomic>
#include <functional>
#include <utility>

#include <setget/memory.hpp>

namespace {

using namespace setget_test;

// Another archive that follows the same cursor.
std::unique_ptr<Archiver> rival_of(ArchiveWorld& world) {
  ArchiverOptions options;
  options.key_store = world.key_store;
  options.archive = memory::open().value().archive();
  options.policy = world.policy;
  options.clock = world.clock;
  return Archiver::create(std::move(options)).value();
}

// Of the ids that set_many() gives, one that the archive has.
std::string archived_one(ArchiveWorld& world, int count) {
  for (int i = 0; i < count; ++i) {
    auto id = "r" + std::to_string(i);
    if (world.archived(id).status == Lookup::Status::kFound) return id;
  }
  ADD_FAILURE() << "nothing was archived";
  return {};
}

std::string key_of(const std::string& id) { return "r/" + id.substr(1); }

TEST(ArchiverCopy, begins_anew_where_somebody_moved_the_cursor_while_it_was_interrupted) {
  ArchiveWorld world({}, 10);
  world.set_many(60);
  world.fragile->writes_left = 2;
  ASSERT_FALSE(world.archiver->run());
  world.fragile->writes_left = -1;
  ASSERT_TRUE(world.archiver->checkpoint().value()->full_copy);
  // A change and an erase of what the scan has passed, and their entries of the log are gone before the copy goes on.
  const auto changed = archived_one(world, 60);
  world.set(request(changed, {key_of(changed)}, R"("changed meanwhile")"));
  ASSERT_TRUE(rival_of(world)->run());
  const auto report = world.make_archiver(10)->run().value();
  EXPECT_EQ(report.read, 60u) << "all of it";
  EXPECT_EQ(world.archived(changed).record.value().payload.view(), R"("changed meanwhile")");
  EXPECT_TRUE(world.archiver->verify().value().equal());
}

TEST(ArchiverCopy, goes_on_where_a_checkpoint_of_an_earlier_version_does_not_say_from_where_by_beginning_anew) {
  ArchiveWorld world({}, 10);
  world.set_many(60);
  world.fragile->writes_left = 2;
  ASSERT_FALSE(world.archiver->run());
  world.fragile->writes_left = -1;
  auto old = world.archiver->checkpoint().value().value();
  ASSERT_TRUE(old.copy_from);
  old.copy_from.reset();
  ASSERT_TRUE(world.archive->save_checkpoint(old));
  EXPECT_EQ(world.archiver->run().value().read, 60u);
  EXPECT_FALSE(world.archiver->checkpoint().value()->copy_from);
}

// Does something in the middle of a run: before its second write.
class Overtaken final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    if (++writes == 2 && then) std::exchange(then, nullptr)();
    return ForwardingArchive::write(request);
  }
  std::function<void()> then{};
  std::atomic<int> writes{0};
};

TEST(ArchiverCopy, ends_with_an_error_where_somebody_moves_the_cursor_while_it_runs) {
  ArchiveWorld world({}, 10);
  const auto archive = std::make_shared<Overtaken>(world.archive);
  world.archive = archive;
  world.archiver = world.make_archiver(10);
  world.set_many(60);
  std::string changed;
  archive->then = [&] {
    changed = archived_one(world, 60);
    world.set(request(changed, {key_of(changed)}, R"("changed meanwhile")"));
    ASSERT_TRUE(rival_of(world)->run());
  };
  const auto overtaken = world.archiver->run();
  ASSERT_FALSE(overtaken);
  EXPECT_EQ(overtaken.error().code(), ErrorCode::kConflict);
  EXPECT_EQ(overtaken.error().field(), "cursor");
  EXPECT_EQ(world.archiver->run().value().read, 60u);
  EXPECT_EQ(world.archived(changed).record.value().payload.view(), R"("changed meanwhile")");
  EXPECT_TRUE(world.archiver->verify().value().equal());
}

}  // namespace
