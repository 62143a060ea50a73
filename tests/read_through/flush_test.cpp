// FLUSHALL under a running pipeline whose records are in Redis: gets answer from the archive, and never what must not come back.
#include "tiers.hpp"

#include <atomic>
#include <thread>

namespace {

using namespace read_through_test;

std::vector<Tiers> over_redis() {
  std::vector<Tiers> all{{"redis", "sqlite"}};
  for (const auto kind : mongo_test::kinds()) all.push_back({"redis", "mongo", kind});
  return all;
}

constexpr int kRecords = 20;

class Flush : public TiersTest {
 protected:
  void SetUp() override {
    TiersTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    // By the machine's clock, with all its threads, and the queue where a flush does not reach it.
    pipeline_.reset();
    auto named = config();
    named.queue = "sqlite:" + folder_.path("queue.db");
    named.flows = parse_flows("[flows.orders]\narchive = \"always\"\n").value();
    named.pipeline.maintenance_interval = Milliseconds(10);
    stores_ = open_stores(named).value();
    auto options = pipeline_options(named, stores_);
    pipeline_ = Pipeline::create(std::move(options)).value();
    ASSERT_TRUE(pipeline_->start());
  }
  void applied(const Result<Receipt>& receipt) {
    ASSERT_TRUE(receipt) << receipt.error().describe();
    ASSERT_EQ(pipeline_->wait(*receipt, patience()).value().outcome, Outcome::kApplied);
  }
  void put(const std::string& id, std::vector<std::string> keys) { applied(send(id, std::move(keys))); }
  Result<Receipt> send(const std::string& id, std::vector<std::string> keys, std::optional<Ttl> ttl = {}) {
    SetRequest request;
    request.id = id;
    request.keys = KeyList(std::span<const std::string>(keys));
    request.account = "acme";
    request.flow = "orders";
    request.payload = "{}";
    request.ttl = ttl;
    return pipeline_->set(std::move(request));
  }
  static void flush() { ASSERT_EQ(redis_server().cli({"FLUSHALL"}), "OK"); }
};

TEST_P(Flush, gets_go_on_from_the_archive_and_nothing_comes_back_that_is_gone) {
  for (int i = 0; i < kRecords; ++i) put("r" + std::to_string(i), {"k/" + std::to_string(i), "l/" + std::to_string(i)});
  put("erased", {"e", "f"});
  put("old", {"moved", "kept"});
  put("left", {"all"});
  const auto brief = send("short", {"s"}, Ttl::after(std::chrono::seconds(2)));
  ASSERT_TRUE(brief);
  const auto came = pipeline_->wait(*brief, patience()).value().outcome;
  ASSERT_TRUE(came == Outcome::kApplied || came == Outcome::kExpired) << "on a busy machine it may come too late";
  ASSERT_TRUE(pipeline_->archiver()->run());
  applied(pipeline_->erase({.id = "erased"}));
  put("new", {"moved"});
  put("next", {"all"});
  ASSERT_TRUE(pipeline_->archiver()->run());
  EXPECT_EQ(by_key("moved"), "new from store");

  // Gets all the while.
  std::atomic<bool> stop{false};
  std::atomic<int> from_archive{0};
  std::mutex mutex;
  std::string wrong;
  std::jthread reader([&] {
    for (int i = 0; !stop; i = (i + 1) % kRecords) {
      const auto said = by_key("k/" + std::to_string(i));
      if (said == "r" + std::to_string(i) + " from archive") ++from_archive;
      const std::lock_guard lock(mutex);
      if (wrong.empty() && !said.starts_with("r" + std::to_string(i) + " from ")) wrong = said;
      if (by_key("e") != "none" || by_key("f") != "none") wrong = "an erased record is back";
      if (by_key("moved") != "new from store" && by_key("moved") != "new from archive") wrong = "a key went back to who had it before";
    }
  });
  flush();
  EXPECT_TRUE(mongo_test::eventually([&] { return from_archive > 5; }, Milliseconds(120'000)));
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, "");
  EXPECT_EQ(by_id("old"), "old from archive");
  EXPECT_EQ(by_key("kept"), "old from archive");
  EXPECT_EQ(by_id("left"), "none") << "superseded";
  EXPECT_EQ(by_key("all"), "next from archive");
  EXPECT_TRUE(mongo_test::eventually([&] { return by_key("s") == "none"; })) << "expired by the reader's clock";

  // A run refuses to copy what is left, and takes nothing away.
  const auto refused = pipeline_->archiver()->run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition) << refused.error().describe();
  EXPECT_EQ(by_key("k/0"), "r0 from archive");

  // What is erased and set from now on holds, archived or not.
  applied(pipeline_->erase({.key = "k/1"}));
  applied(pipeline_->erase({.id = "r2"}));
  put("taker", {"k/3"});
  const auto holds = [&](const std::string& when) {
    for (const char* key : {"k/1", "l/1", "k/2", "l/2", "e", "f", "s"}) EXPECT_EQ(by_key(key), "none") << key << " " << when;
    EXPECT_TRUE(by_key("k/3").starts_with("taker from ")) << when;
    EXPECT_EQ(by_key("l/3"), "r3 from archive") << when;
    EXPECT_EQ(by_key("k/4"), "r4 from archive") << when;
    EXPECT_EQ(by_id("r1"), "none") << when;
    EXPECT_EQ(by_id("r2"), "none") << when;
  };
  holds("before a run");
  ASSERT_TRUE(pipeline_->archiver()->run(patience(), true));
  holds("after it");
  flush();
  holds("after another flush");
}

INSTANTIATE_TEST_SUITE_P(All, Flush, ::testing::ValuesIn(over_redis()), [](const auto& one) { return name_of(one.param); });

}  // namespace
