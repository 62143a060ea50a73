// One damaged message is one message's trouble: it is shown and buried as such, and the others are delivered.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "redis/queue_codec.hpp"
#include "unit/redis_queue/queue_fixture.hpp"

namespace redis_test {
namespace {

class RedisQueueDamaged : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  static RedisServer& server() {
    static RedisServer one;
    return one;
  }
  void SetUp() override { SETGET_REQUIRE_REDIS(); }

  Queue open(QueueKind kind) { return Queue::open(view().queues, "q", {.kind = kind, .max_receives = 100}).value(); }
  View& view() {
    if (!view_) view_ = std::make_unique<View>(server().uri(), prefix_, GetParam());
    return *view_;
  }
  std::string key(const std::string& hash) const { return redis::Shards(prefix_, GetParam(), 'q').name(part_, "q:" + hash); }
  // Sends them as one frame of the part that is damaged from now on; the ids, in order.
  std::vector<std::string> send_frame(Queue& queue, std::size_t count, const std::string& body) {
    std::vector<std::string> ids;
    for (const auto& sent : queue.send(batch_of(count, body)).value()) ids.push_back(sent.value().message_id);
    const auto name = redis::parse_message_id(ids.front());
    part_ = name->part;
    first_ = std::to_string(name->number);
    EXPECT_EQ(server().cli({"HEXISTS", key("a"), first_}), "1") << "not one frame";
    return ids;
  }
  void change(const std::string& hash, const std::string& number, const std::string& lua) {
    const auto script = "local b = redis.call('HGET', KEYS[1], ARGV[1]) redis.call('HSET', KEYS[1], ARGV[1], " + lua + ")";
    (void)server().cli({"EVAL", script, "1", key(hash), number});
  }
  std::vector<std::string> receive_all(Queue& queue, std::size_t at_a_time) {
    std::vector<std::string> bodies;
    for (int empty = 0; empty < 3;) {
      const auto got = queue.receive(at_a_time);
      EXPECT_TRUE(got) << got.error().describe();
      if (!got || got->empty()) ++empty;
      if (!got) continue;
      for (const auto& one : *got) {
        bodies.push_back(one.body.str());
        queue.ack(one).value();
      }
    }
    std::sort(bodies.begin(), bodies.end());
    return bodies;
  }
  void expect_buried(Queue& queue, const std::set<std::string>& ids) {
    const auto page = view().queues->dead_letters({.queue = "q", .limit = 100});
    ASSERT_TRUE(page) << page.error().describe();
    std::set<std::string> found;
    for (const auto& letter : page->letters) {
      found.insert(letter.message_id);
      ASSERT_FALSE(letter.reasons.empty());
      EXPECT_EQ(letter.reasons.back().code, "corrupted");
      EXPECT_EQ(letter.body.size(), 0u);
      const auto status = view().queues->find({.message_id = letter.message_id});
      ASSERT_TRUE(status) << status.error().describe();
      EXPECT_EQ(status->outcome, Outcome::kDeadLettered);
      EXPECT_FALSE(status->body);
      EXPECT_EQ(std::ranges::count(status->reasons, "corrupted", &Reason::code), 1);
    }
    EXPECT_EQ(found, ids);
    EXPECT_EQ(queue.stats().value().dead_letters, ids.size());
  }

  const std::string prefix_ = fresh_prefix();
  std::unique_ptr<View> view_;
  std::uint32_t part_ = 0;
  std::string first_;
};

INSTANTIATE_TEST_SUITE_P(Parts, RedisQueueDamaged, ::testing::Values(1, 4), [](const auto& one) { return std::to_string(one.param); });

TEST_P(RedisQueueDamaged, A_block_that_is_none_is_shown_and_buried_and_the_others_are_received) {
  for (const std::string garbage : {"'garbage'", "''", "'F'", "string.rep('F', 400)", "string.sub(b, 1, 10)", "b .. 'x'"}) {
    for (const std::size_t at_a_time : {40U, 2U}) {
      view_.reset();
      server().cli({"FLUSHALL"});
      auto queue = open(QueueKind::kStandard);
      const auto whole = queue.send(batch_of(3, "whole")).value();
      const auto damaged = send_frame(queue, 5, "damaged");
      change("a", first_, garbage);
      const auto seen = view().queues->peek({.queue = "q", .limit = 100});
      ASSERT_TRUE(seen) << seen.error().describe();
      ASSERT_EQ(seen->size(), 8u) << garbage;
      // What is only longer than it should be tells all of its messages.
      const bool told = garbage == "b .. 'x'";
      std::set<std::string> ids;
      if (!told) ids.insert(damaged.begin(), damaged.end());
      for (const auto& one : *seen) {
        EXPECT_EQ(one.damaged, ids.contains(one.message_id)) << garbage;
        EXPECT_EQ(one.body.size() == 0, one.damaged);
        const auto status = view().queues->find({.message_id = one.message_id});
        ASSERT_TRUE(status) << status.error().describe();
        EXPECT_EQ(status->outcome, Outcome::kPending);
        EXPECT_EQ(status->body.has_value(), !one.damaged);
      }
      EXPECT_EQ(receive_all(queue, at_a_time).size(), told ? 8u : 3u) << garbage;
      expect_buried(queue, ids);
      expect_ledger(queue, 8, told ? 8 : 3);
    }
  }
}

TEST_P(RedisQueueDamaged, A_record_of_a_block_takes_none_of_the_others_with_it) {
  // The third record of five, the end of the last, the length of the fourth: what comes behind that cannot be told.
  const std::map<std::string, std::set<std::size_t>> damages{
      {"(function() local at = 28 + struct.unpack('>I4', b, 8) + struct.unpack('>I4', b, 12) "
       "return string.sub(b, 1, at - 1) .. 'Z' .. string.sub(b, at + 1) end)()",
       {2}},
      {"string.sub(b, 1, #b - 1)", {4}},
      {"string.sub(b, 1, 19) .. string.rep(string.char(255), 4) .. string.sub(b, 24)", {3, 4}}};
  for (const auto& [lua, which] : damages) {
    for (const std::size_t at_a_time : {40U, 2U}) {
      view_.reset();
      server().cli({"FLUSHALL"});
      auto queue = open(QueueKind::kStandard);
      const auto sent = send_frame(queue, 5, "m");
      change("a", first_, lua);
      std::set<std::string> ids;
      std::vector<std::string> others;
      for (std::size_t i = 0; i < 5; ++i) {
        if (which.contains(i)) ids.insert(sent[i]);
        if (!which.contains(i)) others.push_back("m" + std::to_string(i));
      }
      for (const auto& one : view().queues->peek({.queue = "q", .limit = 100}).value())
        EXPECT_EQ(one.damaged, ids.contains(one.message_id));
      EXPECT_EQ(receive_all(queue, at_a_time), others) << lua;
      expect_buried(queue, ids);
    }
  }
}

TEST_P(RedisQueueDamaged, A_message_of_a_group_gives_the_group_free) {
  auto queue = open(QueueKind::kFifo);
  const auto first = queue.send(message("damaged", "g")).value();
  (void)queue.send(message("behind", "g")).value();
  const auto name = redis::parse_message_id(first.message_id);
  part_ = name->part;
  change("b", std::to_string(name->number), "'garbage'");
  EXPECT_EQ(view().queues->peek({.queue = "q", .limit = 100}).value().size(), 2u);
  EXPECT_EQ(receive_all(queue, 10), std::vector<std::string>{"behind"});
  expect_buried(queue, {first.message_id});
}

TEST_P(RedisQueueDamaged, A_dead_letter_is_listed_and_redriven_like_others) {
  for (const bool gone : {false, true}) {
    view_.reset();
    server().cli({"FLUSHALL"});
    auto queue = open(QueueKind::kStandard);
    const auto sent = queue.send(message("m")).value();
    queue.dead_letter(queue.receive(1).value().at(0), {{.code = "bad", .message = "no good", .pointer = {}}}).value();
    const auto name = redis::parse_message_id(sent.message_id);
    part_ = name->part;
    if (gone) {
      EXPECT_EQ(server().cli({"HDEL", key("b"), std::to_string(name->number)}), "1");
    } else {
      change("b", std::to_string(name->number), "'garbage'");
    }
    expect_buried(queue, {sent.message_id});
    EXPECT_EQ(view().queues->dead_letters({.queue = "q", .limit = 10}).value().letters.at(0).reasons.front().code, "bad");
    if (gone) continue;
    EXPECT_EQ(view().queues->redrive({.queue = "q", .filter = {}}).value(), 1u);
    EXPECT_TRUE(receive_all(queue, 10).empty());
    expect_buried(queue, {sent.message_id});
  }
}

TEST_P(RedisQueueDamaged, A_message_whose_block_is_missing_is_found_without_its_body) {
  auto queue = open(QueueKind::kStandard);
  const auto ids = send_frame(queue, 3, "m");
  EXPECT_EQ(server().cli({"HDEL", key("a"), first_}), "1");
  const auto status = view().queues->find({.message_id = ids[1]});
  ASSERT_TRUE(status) << status.error().describe();
  EXPECT_EQ(status->outcome, Outcome::kPending);
  EXPECT_FALSE(status->body);
}

}  // namespace
}  // namespace redis_test
