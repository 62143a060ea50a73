// An archive whose server hangs, and is back: what the driver makes of it must not reach those who get.
#include "tiers.hpp"

namespace {

using namespace read_through_test;

std::vector<Tiers> with_own_servers() {
  std::vector<Tiers> all;
  for (const auto kind : mongo_test::own_kinds()) all.push_back({"memory", "mongo", kind});
  return all;
}

class Away : public TiersTest {
 protected:
  void SetUp() override {
    timeout_ = Milliseconds(300);
    TiersTest::SetUp();
  }
  void TearDown() override {
    if (paused_) server().resume();
    TiersTest::TearDown();
  }
  mongo_test::MongoServer& server() { return mongo_test::shared_server(*GetParam().server); }
  void pause() {
    paused_ = true;
    server().pause();
  }
  void resume() {
    paused_ = false;
    server().resume();
  }
  bool paused_ = false;
};

TEST_P(Away, a_server_that_hangs_costs_a_get_no_more_than_the_timeout) {
  // For the breaker, which a few answers that came too late may have opened.
  const auto found = [&] {
    clock_->advance(Milliseconds(2'000));
    return by_key("k") == "x from archive";
  };
  archive("x", {"k"});
  set("y", {"live"});
  ASSERT_TRUE(mongo_test::eventually(found));
  pause();
  for (int i = 0; i < 8; ++i) {
    const auto started = Deadline::Steady::now();
    const auto lost = pipeline_->reader().find("k");
    const auto took = Deadline::Steady::now() - started;
    ASSERT_FALSE(lost);
    EXPECT_TRUE(lost.error().retryable()) << lost.error().describe();
    EXPECT_LT(took, timeout_ + Milliseconds(15'000)) << "the machine may be busy, but no get waits for the driver's own limits";
    EXPECT_EQ(by_key("live"), "y from store");
  }
  resume();
  EXPECT_TRUE(mongo_test::eventually(found));
}

INSTANTIATE_TEST_SUITE_P(All, Away, ::testing::ValuesIn(with_own_servers()), [](const auto& one) { return name_of(one.param); });

}  // namespace
