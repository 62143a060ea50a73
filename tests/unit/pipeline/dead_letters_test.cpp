// What a redrive moves, and what it leaves because the store could only lose it.
#include <setget/dead_letters.hpp>
#include <setget/testing/commands.hpp>

#include "support.hpp"

namespace {

using namespace setget_test;

class Redrive : public ::testing::Test {
 protected:
  // A set that could not be applied, as a schema that was wrong refuses it.
  std::string dead(const std::string& id, CommandKind kind = CommandKind::kSet) {
    clock_->advance(Milliseconds(1000));
    Command command;
    command.kind = kind;
    command.id = id;
    if (kind == CommandKind::kSet) command.keys = KeyList(std::vector<std::string>{"k/" + id});
    const auto sent = queue_.send({.body = encode_command(command)}).value();
    bury();
    return sent.message_id;
  }
  void bury() {
    for (const auto& message : queue_.receive(10).value())
      queue_.dead_letter(message, {{.code = "schema", .message = {}, .pointer = {}}}).value();
  }
  void set(const std::string& id, std::optional<TimePoint> expires_at = {}) {
    auto entry = setget::testing::set_entry({.id = id, .keys = {"of/" + id}, .stamp = stamp_at(clock_->now()), .expires_at = expires_at});
    ASSERT_EQ(store_.apply(entry, clock_->now()).value().outcome, Outcome::kApplied);
  }
  // As an archive run does it, which holds the floor back no longer.
  void raise_floor() {
    clock_->advance(Milliseconds(1000));
    ASSERT_TRUE(store_.backend()->reclaim({.now = clock_->now(), .floor = stamp_at(clock_->now())}));
  }
  Result<Redriven> redrive(std::size_t limit = 100, bool restamp = false, DeadLetterFilter filter = {}) {
    return setget::redrive(*queue_.backend(), *store_.backend(),
                           {.queue = queue_.name(), .filter = std::move(filter), .limit = limit, .restamp = restamp});
  }
  std::vector<std::string> letters() {
    std::vector<std::string> ids;
    for (const auto& letter : queue_.backend()->dead_letters({.queue = queue_.name()}).value().letters)
      ids.push_back(std::string(decode_command(letter.body).value().id));
    return ids;
  }
  using Ids = std::vector<std::string>;

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  memory::Database db_ = memory::open({.clock = clock_}).value();
  Queue queue_ = db_.queue("records");
  KeyStore store_ = db_.key_store();
};

TEST_F(Redrive, leaves_sets_that_would_end_as_expired_and_moves_them_restamped) {
  dead("unknown");
  dead("known");
  dead("erase", CommandKind::kErase);
  set("known");
  raise_floor();
  const auto late = dead("late");
  const auto first = redrive().value();
  EXPECT_EQ(first.moved, 3u);
  EXPECT_EQ(first.left, 1u);
  EXPECT_EQ(letters(), Ids{"unknown"});
  const auto again = redrive().value();
  EXPECT_EQ(again.moved, 0u);
  EXPECT_EQ(again.left, 1u);
  const auto restamped = redrive(100, true).value();
  EXPECT_EQ(restamped.moved, 1u);
  EXPECT_EQ(restamped.left, 0u);
  EXPECT_EQ(letters(), Ids{});
  for (const auto& message : queue_.receive(10).value()) {
    const auto command = decode_command(message.body).value();
    if (command.id != "unknown") continue;
    ApplyEntry entry;
    entry.command = command;
    entry.encoded = message.body;
    entry.stamp = message.stamp;
    EXPECT_EQ(store_.apply(entry, clock_->now()).value().outcome, Outcome::kApplied);
  }
}

TEST_F(Redrive, knows_an_identity_whose_record_has_expired) {
  dead("over");
  set("over", clock_->now() + Milliseconds(10));
  clock_->advance(Milliseconds(1000));
  ASSERT_TRUE(store_.backend()->reclaim({.now = TimePoint{}, .floor = stamp_at(clock_->now())})) << "nothing is evicted yet";
  EXPECT_EQ(redrive().value().moved, 1u);
}

TEST_F(Redrive, passes_over_what_it_leaves_until_as_many_were_moved_as_asked_for) {
  for (int i = 0; i < 5; ++i) dead("unknown" + std::to_string(i));
  raise_floor();
  for (int i = 0; i < 4; ++i) dead("late" + std::to_string(i));
  EXPECT_EQ(redrive(3).value().moved, 3u);
  EXPECT_EQ(letters().size(), 6u);
  DeadLetterFilter none;
  none.reason_code = "another";
  EXPECT_EQ(redrive(3, false, none).value().moved, 0u);
  const auto rest = redrive(3).value();
  EXPECT_EQ(rest.moved, 1u);
  EXPECT_EQ(rest.left, 5u);
}

}  // namespace
