// What a command costs beside itself: the kernel is not asked about connections that nobody uses each time another one is used.
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <semaphore>
#include <utility>
#include <vector>

#include "redis/client.hpp"
#include "support/sanitized.hpp"
#include "unit/redis/client_fixture.hpp"

namespace {
std::atomic<int> looks{0};
}

// Sanitizers have a recv() of their own, which this one would hide.
#ifndef SETGET_SANITIZED
extern "C" ssize_t recv(int socket, void* into, size_t size, int flags) {
  if ((flags & MSG_PEEK) != 0) ++looks;
  return ::syscall(SYS_recvfrom, socket, into, size, flags, nullptr, nullptr);
}
#endif

namespace {

using namespace setget;
using namespace setget::redis;
using namespace redis_test;
using Steady = std::chrono::steady_clock;

TEST(RedisIdleLooks, come_now_and_then_and_not_with_each_command_on_another_connection) {
  SETGET_REQUIRE_REDIS();
  if (setget_test::kSanitized) GTEST_SKIP() << "recv() is the sanitizer's";
  RedisServer server;
  const auto client = client_of(server.uri("?exclusive=2"));
  // Two connections for transactions stay behind.
  ASSERT_TRUE(client->with_exclusive(std::nullopt, soon(), [&](Exclusive& one) {
    return client->with_exclusive(std::nullopt, soon(), [&](Exclusive& other) -> Result<bool> {
      if (auto answer = other.call(get("k"), soon()); !answer) return std::move(answer).error();
      if (auto answer = one.call(get("k"), soon()); !answer) return std::move(answer).error();
      return true;
    });
  }));
  ASSERT_TRUE(client->call(get("k"), soon()));
  const auto begin = Steady::now();
  const auto before = looks.load();
  int commands = 0;
  const auto go_on = [&] {
    const auto took = Steady::now() - begin;
    return took < std::chrono::milliseconds(400) || (looks - before < 2 && took < std::chrono::seconds(20));
  };
  for (; go_on(); ++commands) {
    std::binary_semaphore done{0};
    ASSERT_TRUE(client->submit(get("k"), soon(), [&](Result<Reply> reply) {
      EXPECT_TRUE(reply);
      done.release();
    }));
    done.acquire();
  }
  const auto seen = looks.load() - before;
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - begin).count();
  EXPECT_GE(seen, 2) << "that the server closed one is noticed";
  EXPECT_LE(seen, 2 * (elapsed / 50 + 1)) << "for " << commands << " commands";
}

}  // namespace
