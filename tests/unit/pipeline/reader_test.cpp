#include "support.hpp"

#include <future>

#include "support/held_gets.hpp"

#include <setget/testing/forwarding.hpp>

namespace {

using namespace setget_test;

class ReaderThrough : public ::testing::Test {
 protected:
  // Into the archive only, as if the store had forgotten it.
  void archive(const std::string& id, std::vector<std::string> keys, std::optional<TimePoint> expires_at = {}) {
    ArchiveEntry entry;
    entry.id = id;
    entry.version = 5;
    entry.record.id = id;
    entry.record.keys = KeyList(std::span<const std::string>(keys));
    entry.record.account = "acme";
    entry.record.flow = "orders";
    entry.record.payload = "{}";
    entry.record.version = 5;
    entry.record.expires_at = expires_at;
    const std::vector<ArchiveEntry> entries{entry};
    ASSERT_TRUE(world_.archive->write({.entries = entries}));
  }
  std::unique_ptr<Reader> reader(bool read_through = true) {
    return Reader::create({.key_store = world_.key_store, .archive = world_.archive, .read_through = read_through, .clock = world_.clock})
        .value();
  }
  World world_;
};

TEST_F(ReaderThrough, asks_the_archive_only_for_what_the_store_does_not_know) {
  archive("old", {"archived"});
  ASSERT_TRUE(world_.ingress()->set(request("new", {"live"})));
  auto worker = world_.worker();
  drain(*worker);
  const std::vector<std::string_view> keys{"live", "archived", "nowhere"};
  const auto found = reader()->get(keys).value();
  EXPECT_EQ(found[0].record.value().id, "new");
  EXPECT_EQ(found[0].tier, Tier::kStore);
  EXPECT_EQ(found[1].record.value().id, "old");
  EXPECT_EQ(found[1].tier, Tier::kArchive);
  EXPECT_FALSE(found[2].record);
  EXPECT_FALSE(reader(false)->get("archived").value());
}

TEST_F(ReaderThrough, never_brings_back_an_erased_record) {
  archive("x", {"k"});
  auto ingress = world_.ingress();
  ASSERT_TRUE(ingress->set(request("x", {"k"})));
  ASSERT_TRUE(ingress->erase({.id = "x"}));
  auto worker = world_.worker();
  drain(*worker);
  EXPECT_FALSE(reader()->get("k").value());
  EXPECT_FALSE(reader()->get_by_id("x").value());
}

TEST_F(ReaderThrough, never_shows_a_record_under_a_key_that_its_newer_version_gave_up) {
  archive("x", {"given-up"});
  ASSERT_TRUE(world_.ingress()->set(request("x", {"kept"})));
  auto worker = world_.worker();
  drain(*worker);
  EXPECT_FALSE(reader()->get("given-up").value());
  EXPECT_EQ(reader()->get("kept").value().value().id, "x");
}

TEST_F(ReaderThrough, never_shows_an_expired_record_of_the_archive) {
  archive("x", {"k"}, world_.clock->now() + Milliseconds(1000));
  EXPECT_TRUE(reader()->get("k").value());
  EXPECT_TRUE(reader()->get_by_id("x").value());
  world_.clock->advance(Milliseconds(1000));
  EXPECT_FALSE(reader()->get("k").value());
  EXPECT_FALSE(reader()->get_by_id("x").value());
}

TEST(Reader, says_when_it_could_not_find_out) {
  World world;
  world.store_faults->add({.verb = "get"});
  auto reader = Reader::create({.key_store = world.key_store, .clock = world.clock}).value();
  EXPECT_EQ(reader->get("k").error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(reader->get("k").value());
}

TEST(Reader, refuses_read_through_without_an_archive) {
  World world;
  EXPECT_FALSE(Reader::create({.key_store = world.key_store, .read_through = true}));
}

TEST_F(ReaderThrough, completion_form_answers_as_get_does) {
  ASSERT_TRUE(world_.ingress()->set(request("x", {"k", "l"})));
  auto worker = world_.worker();
  drain(*worker);
  const auto held = std::make_shared<setget_test::HeldGets>(world_.key_store.backend());
  const auto metrics = std::make_shared<PrometheusMetrics>();
  const auto reader = Reader::create({.key_store = KeyStore(held), .clock = world_.clock, .metrics = metrics}).value();
  ASSERT_TRUE(reader->async_gets());
  int called = 0;
  {
    // What is passed need not outlive the call.
    std::vector<std::string> keys{"none", "l"};
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    reader->get_async(views, {}, Deadline::in(Milliseconds(1000)), [&](Result<std::vector<Found>> found) {
      ASSERT_EQ(found->size(), 2U);
      EXPECT_FALSE((*found)[0].record);
      EXPECT_EQ((*found)[1].record->id, "x");
      ++called;
    });
    keys.clear();
  }
  reader->get_async(std::string("k"), {}, Deadline::in(Milliseconds(1000)), [&](Result<std::optional<Record>> found) {
    EXPECT_EQ(found.value()->id, "x");
    ++called;
  });
  EXPECT_EQ(called, 0);
  held->answer_all();
  EXPECT_EQ(called, 2);
  EXPECT_NE(metrics->expose().find(R"(setget_reads_total{result="store"} 2)"), std::string::npos) << metrics->expose();
  reader->get_async("k", {}, Deadline::in(Milliseconds(1000)), [&](Result<std::optional<Record>> found) {
    EXPECT_EQ(found.error().code(), ErrorCode::kUnavailable);
    ++called;
  });
  held->answer_all(Error(ErrorCode::kUnavailable, "away"));
  EXPECT_EQ(called, 3);
}

TEST_F(ReaderThrough, completion_form_asks_an_archive_after_a_store_that_answers_later) {
  archive("old", {"archived"});
  const auto held = std::make_shared<setget_test::HeldGets>(world_.key_store.backend());
  const auto reader =
      Reader::create({.key_store = KeyStore(held), .archive = world_.archive, .read_through = true, .clock = world_.clock}).value();
  EXPECT_TRUE(reader->async_gets());
  std::promise<Found> answer;
  reader->find_async("archived", {}, patience(), [&](Result<Found> found) { answer.set_value(std::move(found).value()); });
  held->answer_all();
  const auto found = answer.get_future().get();
  EXPECT_EQ(found.record.value().id, "old");
  EXPECT_EQ(found.tier, Tier::kArchive);
}

TEST_F(ReaderThrough, what_is_at_hand_is_what_find_answers) {
  ASSERT_TRUE(world_.ingress()->set(request("x", {"k"})));
  auto worker = world_.worker();
  drain(*worker);
  archive("old", {"archived"});
  const auto held = std::make_shared<setget_test::HeldGets>(world_.key_store.backend());
  held->keep_at_hand();
  const auto metrics = std::make_shared<PrometheusMetrics>();
  const auto alone = Reader::create({.key_store = KeyStore(held), .clock = world_.clock, .metrics = metrics}).value();
  ASSERT_TRUE(alone->has_at_hand());
  EXPECT_EQ(alone->find_at_hand("k", {}).value().record->id, "x");
  EXPECT_FALSE(alone->find_at_hand("archived", {}).value().record) << "the store says that there is none";
  EXPECT_FALSE(alone->find_at_hand("elsewhere", {}));
  EXPECT_NE(metrics->expose().find(R"(setget_reads_total{result="missing"} 1)"), std::string::npos) << metrics->expose();
  EXPECT_NE(metrics->expose().find(R"(setget_reads_total{result="store"} 1)"), std::string::npos) << metrics->expose();
  const auto through =
      Reader::create({.key_store = KeyStore(held), .archive = world_.archive, .read_through = true, .clock = world_.clock}).value();
  EXPECT_EQ(through->find_at_hand("k", {}).value().record->id, "x");
  EXPECT_EQ(through->record_at_hand("k", {}).value()->id, "x");
  EXPECT_FALSE(through->find_at_hand("archived", {})) << "the archive may have it";
  EXPECT_FALSE(through->record_at_hand("archived", {})) << "the archive may have it";
  EXPECT_FALSE(Reader::create({.key_store = world_.key_store}).value()->has_at_hand());
  EXPECT_EQ(held->waiting(), 0U);
}

TEST_F(ReaderThrough, what_was_at_hand_is_the_same_until_it_changes) {
  ASSERT_TRUE(world_.ingress()->set(request("x", {"k"})));
  auto worker = world_.worker();
  drain(*worker);
  const auto held = std::make_shared<setget_test::HeldGets>(world_.key_store.backend());
  held->keep_at_hand();
  const auto metrics = std::make_shared<PrometheusMetrics>();
  const auto reader = Reader::create({.key_store = KeyStore(held), .clock = world_.clock, .metrics = metrics}).value();
  const auto counted = [&](int reads) {
    return metrics->expose().find(R"(setget_reads_total{result="store"} )" + std::to_string(reads)) != std::string::npos;
  };
  EXPECT_EQ(reader->record_at_hand("none", {}).value(), nullptr);
  EXPECT_NE(metrics->expose().find(R"(setget_reads_total{result="missing"} 1)"), std::string::npos) << metrics->expose();
  EXPECT_FALSE(reader->record_at_hand("elsewhere", {}));
  const auto record = reader->record_at_hand("k", {}).value();
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->id, "x");
  EXPECT_TRUE(counted(1)) << metrics->expose();
  EXPECT_TRUE(reader->still_at_hand("k", {}, record));
  EXPECT_TRUE(counted(2)) << metrics->expose();
  EXPECT_FALSE(reader->still_at_hand("none", {}, record));
  EXPECT_FALSE(reader->still_at_hand("k", {}, {})) << "nothing is no record";
  const Record other;
  EXPECT_FALSE(reader->still_at_hand("k", {}, std::shared_ptr<const Record>(record, &other))) << "it is the object that counts";
  auto short_lived = request("x", {"k"});
  short_lived.ttl = Ttl::after(Milliseconds(1'000));
  ASSERT_TRUE(world_.ingress()->set(short_lived));
  drain(*worker);
  EXPECT_FALSE(reader->still_at_hand("k", {}, record));
  const auto next = reader->record_at_hand("k", {}).value();
  ASSERT_NE(next, nullptr);
  EXPECT_GT(next->version, record->version);
  EXPECT_TRUE(reader->still_at_hand("k", {}, next));
  world_.clock->advance(Milliseconds(1'000));
  EXPECT_FALSE(reader->still_at_hand("k", {}, next)) << "it has expired";
  EXPECT_TRUE(counted(4)) << metrics->expose();
}

TEST_F(ReaderThrough, a_store_that_answers_after_the_reader_went_asks_nobody) {
  archive("old", {"archived"});
  const auto held = std::make_shared<setget_test::HeldGets>(world_.key_store.backend());
  auto reader =
      Reader::create({.key_store = KeyStore(held), .archive = world_.archive, .read_through = true, .clock = world_.clock}).value();
  std::optional<ErrorCode> code;
  reader->get_async("archived", {}, patience(), [&](const Result<std::optional<Record>>& found) { code = found.error().code(); });
  reader.reset();
  held->answer_all();
  EXPECT_EQ(code, ErrorCode::kCancelled);
}

TEST_F(ReaderThrough, completion_form_meets_faults) {
  world_.store_faults->add({.verb = "get_async", .code = ErrorCode::kUnavailable});
  const auto held = std::make_shared<setget_test::HeldGets>(world_.key_store.backend());
  std::vector<ErrorCode> codes;
  const std::string_view key = "k";
  const auto faulty = std::make_shared<setget::testing::FaultyKeyStore>(held, world_.store_faults);
  world_.store_faults->add({.verb = "get_async", .kind = setget::testing::FaultKind::kLoseReply, .after = 1});
  for (int i = 0; i < 3; ++i) {
    faulty->get_async({.keys = std::span(&key, 1), .now = world_.clock->now()}, [&](Result<std::vector<Lookup>> found) {
      if (!found) codes.push_back(found.error().code());
    });
    held->answer_all();
  }
  EXPECT_EQ(codes, (std::vector{ErrorCode::kUnavailable, ErrorCode::kUnavailable}));
}

}  // namespace
