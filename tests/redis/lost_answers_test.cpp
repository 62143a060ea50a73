// A connection ends after any few bytes of what the server answers. The caller does not learn of it: what a call did is said to be done by
// it, not to have been there before.
#include <gtest/gtest.h>

#include "redis/opened_store.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/commands.hpp>
#include <setget/testing/tcp_proxy.hpp>

namespace redis_test {
namespace {

using namespace setget;
namespace kit = setget::testing;
using setget::testing::TcpProxy;

const TimePoint kNow(Milliseconds(1'700'000'000'000));

RedisServer& server() {
  static RedisServer one;
  return one;
}

// Of 1 and 16 parts.
class LostAnswers : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  static ApplyEntry set(const std::string& id, Stamp number) {
    kit::SetSpec spec;
    spec.id = id;
    spec.keys = {id, id + ".key"};
    spec.stamp = stamp(number);
    spec.payload = std::to_string(number);
    return kit::set_entry(spec);
  }
  static Stamp stamp(Stamp number) { return stamp_at(kNow) + number; }
  static ApplyResult apply(KeyStoreBackend& store, const ApplyEntry& entry) {
    auto results = store.apply({.entries = std::span(&entry, 1), .now = kNow});
    if (!results && results.error().retryable()) results = store.apply({.entries = std::span(&entry, 1), .now = kNow});
    return results.value().at(0).value();
  }
  // Calls `act` with the id of a record, once for each place where the answers may end.
  template <class Act>
  void each_place(const Act& act) {
    const auto prefix = new_prefix();
    const auto direct = open_store(server().uri(), prefix, GetParam());
    const auto proxy = TcpProxy::start("127.0.0.1", server().port()).value();
    const auto shaky = open_store("redis://127.0.0.1:" + std::to_string(proxy->port()), prefix, GetParam());
    apply(*shaky, set("connected", 1));
    for (std::size_t bytes = 0; bytes < 400; bytes += 3) {
      const auto id = "r" + std::to_string(bytes);
      apply(*direct, set(id, 1));
      proxy->cut_after(TcpProxy::Way::kToClient, bytes);
      act(*shaky, id);
      proxy->heal();
      if (HasFailure()) return;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Parts, LostAnswers, ::testing::Values(1U, 16U));

TEST_P(LostAnswers, a_set_says_that_it_was_applied) {
  each_place([](KeyStoreBackend& store, const std::string& id) { EXPECT_EQ(apply(store, set(id, 2)).outcome, Outcome::kApplied) << id; });
}

TEST_P(LostAnswers, a_new_record_says_that_it_was_applied) {
  each_place(
      [](KeyStoreBackend& store, const std::string& id) { EXPECT_EQ(apply(store, set("new." + id, 2)).outcome, Outcome::kApplied) << id; });
}

TEST_P(LostAnswers, an_erase_says_that_it_was_applied) {
  each_place([](KeyStoreBackend& store, const std::string& id) {
    const auto erase = kit::erase_entry({.id = id, .stamp = stamp(2), .version = {}, .expires_at = {}, .ns = {}});
    EXPECT_EQ(apply(store, erase).outcome, Outcome::kApplied) << id;
  });
}

TEST_P(LostAnswers, a_touch_says_that_it_was_applied) {
  each_place([](KeyStoreBackend& store, const std::string& id) {
    const auto touch = kit::touch_entry({.id = id, .stamp = stamp(2), .version = {}, .expires_at = kNow + Milliseconds(60'000), .ns = {}});
    EXPECT_EQ(apply(store, touch).outcome, Outcome::kApplied) << id;
  });
}

TEST_P(LostAnswers, a_new_expiry_says_that_it_was_given) {
  each_place([](KeyStoreBackend& store, const std::string& id) {
    const SetExpiry request{.ns = {}, .id = id, .version = stamp(1), .revision = 0, .expires_at = kNow + Milliseconds(60'000)};
    EXPECT_TRUE(store.set_expiry(std::span(&request, 1)).value().at(0).value()) << id;
  });
}

}  // namespace
}  // namespace redis_test
