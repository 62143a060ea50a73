#include "redis/retry.hpp"

#include <gtest/gtest.h>

namespace {

using namespace setget;
using namespace setget::redis;

Retry after(const Error& error, bool idempotent = false, bool routed = false, unsigned attempt = 0) {
  return retry_after(error, idempotent, routed, attempt, 0);
}

TEST(RedisRetry, repeats_only_what_was_surely_not_carried_out_or_is_idempotent) {
  const auto lost = connection_error(ErrorCode::kUnavailable, Trouble::kMaybeExecuted, "lost");
  EXPECT_EQ(after(lost).next, Next::kGiveUp);
  EXPECT_EQ(after(lost, true).next, Next::kAtOnce);
  EXPECT_EQ(after(connection_error(ErrorCode::kUnavailable, Trouble::kNotSent, "lost")).next, Next::kAtOnce);
  for (const char* text : {"WRONGTYPE x", "ERR x", "NOSCRIPT x", "OOM x", "MISCONF x", "NOPERM x", "BUSY x", "EXECABORT x", "CROSSSLOT x"})
    EXPECT_EQ(after(server_error(text), true, true).next, Next::kGiveUp) << text;
  EXPECT_EQ(after(connection_error(ErrorCode::kDeadlineExceeded, Trouble::kMaybeExecuted, "late"), true).next, Next::kGiveUp);
  EXPECT_EQ(after(connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNotSent, "late"), true).next, Next::kGiveUp);
}

TEST(RedisRetry, waits_where_the_server_needs_a_moment_and_not_for_ever) {
  for (const char* text : {"LOADING x", "TRYAGAIN x", "CLUSTERDOWN x", "MASTERDOWN x"}) {
    Milliseconds all{0};
    unsigned attempt = 0;
    for (; after(server_error(text), false, false, attempt).next == Next::kLater; ++attempt)
      all += after(server_error(text), false, false, attempt).wait;
    EXPECT_EQ(attempt, 7U) << text;
    EXPECT_EQ(all, Milliseconds(1270)) << text;
  }
  EXPECT_EQ(after(server_error("READONLY x")).next, Next::kGiveUp) << "one server stays what it is";
  EXPECT_EQ(after(server_error("READONLY x"), false, true).next, Next::kLater);
  const auto down = connection_error(ErrorCode::kUnavailable, Trouble::kDown, "down");
  EXPECT_EQ(after(down, true).next, Next::kGiveUp) << "fail fast";
  EXPECT_EQ(after(down, false, true).next, Next::kLater);
}

TEST(RedisRetry, follows_redirects_but_not_in_circles) {
  EXPECT_EQ(after(server_error("MOVED 1 a:2"), false, true).next, Next::kAtOnce);
  EXPECT_EQ(after(server_error("ASK 1 a:2"), false, true).next, Next::kAsk);
  EXPECT_EQ(after(server_error("MOVED 1 a:2"), false, true, 8).next, Next::kGiveUp);
  EXPECT_EQ(after(server_error("ASK 1 a:2"), false, true, 8).next, Next::kGiveUp);
}

TEST(RedisBreaker, opens_at_the_first_failure_and_lets_one_probe_through_when_its_time_comes) {
  const auto start = Breaker::Time{} + std::chrono::hours(1);
  Breaker breaker(Milliseconds(20), Milliseconds(100));
  EXPECT_EQ(breaker.ask(start), Breaker::Advice::kGo);
  breaker.failed(start, 0);
  EXPECT_EQ(breaker.ask(start + Milliseconds(19)), Breaker::Advice::kWait);
  EXPECT_EQ(breaker.ask(start + Milliseconds(20)), Breaker::Advice::kProbe);
  EXPECT_EQ(breaker.ask(start + Milliseconds(20)), Breaker::Advice::kWait) << "one at a time";
  breaker.gave_up();
  EXPECT_EQ(breaker.ask(start + Milliseconds(20)), Breaker::Advice::kProbe);
  breaker.failed(start, 0);
  EXPECT_EQ(breaker.next_try(), start + Milliseconds(40));
  for (int i = 0; i < 10; ++i) breaker.failed(start, 0);
  EXPECT_EQ(breaker.next_try(), start + Milliseconds(100));
  breaker.succeeded();
  EXPECT_EQ(breaker.ask(start), Breaker::Advice::kGo);
}

TEST(RedisBreaker, shortens_its_waits_at_random_by_up_to_half) {
  for (std::uint64_t random = 0; random < 1000; ++random) {
    const auto wait = backoff(Milliseconds(20), Milliseconds(1000), 3, random);
    EXPECT_GE(wait, Milliseconds(80));
    EXPECT_LE(wait, Milliseconds(160));
  }
  EXPECT_EQ(backoff(Milliseconds(20), Milliseconds(1000), 63, 0), Milliseconds(1000));
}

}  // namespace
