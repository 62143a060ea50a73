#include "pipeline/worker_decision.hpp"

#include "support.hpp"

namespace {

using namespace setget_test;
using detail::Verdict;

Message message_of(const Command& command, Stamp stamp = stamp_at(TimePoint(Milliseconds(1'700'000'000'000)))) {
  Message message;
  message.body = encode_command(command);
  message.stamp = stamp;
  message.receive_count = 1;
  return message;
}

Command order() {
  Command command;
  command.id = "x";
  command.keys = KeyList{"k"};
  command.account = "acme";
  command.flow = "orders";
  command.payload = "{}";
  command.content_type = "application/json";
  return command;
}

class WorkerDecision : public ::testing::Test {
 protected:
  detail::Decision decide(const Message& message, const Transform& transform = {}) {
    detail::FlowMemory memory(policy_);
    return detail::decide(message, {policy_, *validator_, transform, TimePoint(Milliseconds(1'700'000'000'000))}, memory);
  }
  static Flows flows() {
    Flows flows;
    flows.default_ttl = Ttl::after(Milliseconds(60'000));
    flows.flows["orders"].index = true;
    return flows;
  }
  TtlPolicy policy_{flows()};
  std::shared_ptr<const Validator> validator_ = envelope_validator();
};

TEST_F(WorkerDecision, passes_the_body_through_untouched_and_counts_the_life_from_acceptance) {
  const auto message = message_of(order());
  const auto decision = decide(message);
  ASSERT_EQ(decision.verdict, Verdict::kApply);
  EXPECT_EQ(decision.entry.encoded.data(), message.body.data());
  EXPECT_EQ(decision.entry.command.payload.data(), message.body.data() + message.body.size() - 2);
  EXPECT_EQ(decision.entry.expires_at, time_of(message.stamp) + Milliseconds(60'000));
  EXPECT_TRUE(decision.entry.listed);
}

TEST_F(WorkerDecision, sends_damaged_and_invalid_messages_straight_to_the_dead_letters) {
  auto damaged = message_of(order());
  damaged.body = damaged.body.slice(0, damaged.body.size() / 2);
  EXPECT_EQ(decide(damaged).verdict, Verdict::kDeadLetter);
  EXPECT_EQ(decide(damaged).reasons.at(0).code, "corrupted");
  auto keyless = order();
  keyless.keys = {};
  EXPECT_EQ(decide(message_of(keyless)).verdict, Verdict::kDeadLetter);
  EXPECT_EQ(decide(message_of(keyless)).reasons.at(0).code, "keys_missing");
  auto nobody = order();
  nobody.id = {};
  EXPECT_EQ(decide(message_of(nobody)).verdict, Verdict::kDeadLetter);
  EXPECT_EQ(decide(message_of(nobody)).reasons.at(0).code, "id_missing");
}

TEST_F(WorkerDecision, leaves_a_newer_format_to_a_newer_worker) {
  auto body = message_of(order()).body.str();
  body[0] = 9;
  Message newer;
  newer.body = Payload(std::move(body));
  newer.stamp = 1;
  EXPECT_EQ(decide(newer).verdict, Verdict::kRetry);
}

TEST_F(WorkerDecision, applies_what_the_transform_made) {
  const auto decision = decide(message_of(order()), [](Command command, const Message&) -> Result<Command> {
    command.payload = "[1]";
    return command;
  });
  ASSERT_EQ(decision.verdict, Verdict::kApply);
  EXPECT_EQ(decode_command(decision.entry.encoded).value().payload.view(), "[1]");
}

TEST_F(WorkerDecision, retries_a_transform_only_where_its_error_is_retryable) {
  const auto failing = [](ErrorCode code) -> Transform {
    return [code](const Command&, const Message&) -> Result<Command> { return Error(code, "no"); };
  };
  EXPECT_EQ(decide(message_of(order()), failing(ErrorCode::kUnavailable)).verdict, Verdict::kRetry);
  EXPECT_TRUE(decide(message_of(order()), failing(ErrorCode::kDeadlineExceeded)).to_blame);
  EXPECT_EQ(decide(message_of(order()), failing(ErrorCode::kCancelled)).verdict, Verdict::kRetry);
  EXPECT_FALSE(decide(message_of(order()), failing(ErrorCode::kCancelled)).to_blame);
  EXPECT_EQ(decide(message_of(order()), failing(ErrorCode::kInvalidArgument)).verdict, Verdict::kDeadLetter);
  const Transform throwing = [](const Command&, const Message&) -> Result<Command> { throw std::runtime_error("oh"); };
  EXPECT_EQ(decide(message_of(order()), throwing).verdict, Verdict::kDeadLetter);
  const Transform renaming = [](Command command, const Message&) -> Result<Command> {
    command.id = "somebody else";
    return command;
  };
  EXPECT_EQ(decide(message_of(order()), renaming).reasons.at(0).code, "transform_changed_identity");
}

TEST(WorkerJudgement, blames_the_message_only_for_what_can_be_its_doing) {
  EXPECT_FALSE(detail::judge(Error(ErrorCode::kUnavailable, "")).to_blame);
  EXPECT_FALSE(detail::judge(Error(ErrorCode::kOutOfSpace, "")).to_blame);
  EXPECT_TRUE(detail::judge(Error(ErrorCode::kDeadlineExceeded, "")).to_blame);
  EXPECT_TRUE(detail::judge(Error(ErrorCode::kInternal, "")).to_blame);
  EXPECT_EQ(detail::judge(Error(ErrorCode::kTooLarge, "")).verdict, Verdict::kDeadLetter);
}

TEST(WorkerJudgement, acks_outcomes_and_keeps_the_reasons_of_dead_letters) {
  auto stale = detail::settlement_of("r", {.outcome = Outcome::kStale, .reasons = {}});
  EXPECT_EQ(stale.action, SettleAction::kAck);
  EXPECT_EQ(stale.outcome, Outcome::kStale);
  auto conflict = detail::settlement_of("r", {.outcome = Outcome::kDeadLettered, .reasons = {{"version_conflict", "", ""}}});
  EXPECT_EQ(conflict.action, SettleAction::kDeadLetter);
  EXPECT_EQ(conflict.reasons.at(0).code, "version_conflict");
}

TEST(Backoff, grows_to_its_cap_and_jitters_over_the_whole_range) {
  const Backoff backoff{.base = Milliseconds(100), .cap = Milliseconds(1000)};
  SeededRandom random(3);
  for (std::uint32_t attempt = 0; attempt < 70; attempt += 3) {
    const auto ceiling = std::min<std::int64_t>(1000, attempt < 5 ? 100 << attempt : 1000);
    std::int64_t least = ceiling;
    std::int64_t most = 0;
    for (int i = 0; i < 500; ++i) {
      const auto wait = backoff.wait(attempt, random).count();
      least = std::min(least, wait);
      most = std::max(most, wait);
    }
    EXPECT_LE(most, ceiling);
    EXPECT_GT(most, ceiling * 9 / 10);
    EXPECT_LT(least, ceiling / 10);
  }
  EXPECT_EQ((Backoff{.base = Milliseconds(0), .cap = Milliseconds(0)}.wait(9, random)), Milliseconds(0));
  EXPECT_EQ((Backoff{.cap = Milliseconds(1000), .outage_cap = Milliseconds(300)}.in_outage().cap), Milliseconds(300));
  EXPECT_EQ((Backoff{.cap = Milliseconds(1000), .outage_cap = Milliseconds(9000)}.in_outage().cap), Milliseconds(1000));
}

}  // namespace
