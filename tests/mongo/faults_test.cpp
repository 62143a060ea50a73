// A network that fails between archive and server, and servers that die.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include <setget/archive_health.hpp>
#include <setget/archiver.hpp>
#include <setget/memory.hpp>

#include "mongo/counters.hpp"
#include "mongo/trial.hpp"

namespace {

using namespace mongo_test;
using setget::testing::TcpProxy;
using Way = TcpProxy::Way;

// What a busy machine may take beyond a bound. Who does not keep the bound takes longer: as long as the driver waits by itself, the archive
// where it is given no deadline, or all the tries of stubborn().
constexpr Milliseconds kMachine{15'000};

class MongoFaults : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_MONGO(GetParam());
    proxy_ = TcpProxy::start("127.0.0.1", shared_server(GetParam()).port()).value();
  }
  mongo::Options options() const {
    auto with = shared_server(GetParam()).options(proxy_->port());
    with.connect_timeout = Milliseconds(1'000);
    return with;
  }
  mongo::Options stubborn() const {
    auto with = options();
    with.retries = 20;
    return with;
  }
  TcpProxy& proxy() { return *proxy_; }

 private:
  std::unique_ptr<TcpProxy> proxy_;
};

Milliseconds since(Deadline::Steady::time_point start) { return std::chrono::duration_cast<Milliseconds>(Deadline::Steady::now() - start); }

TEST_P(MongoFaults, a_bulk_whose_answer_was_cut_off_is_repeated_without_harm) {
  Archive archive(options());
  for (const std::size_t bytes : {1u, 16u, 30u}) {  // of the answer: within its header, after it, within its body
    const auto name = "cut" + std::to_string(bytes) + ".";
    // New documents are inserted first once most were new: then the bulk's answer is the first that a write gets.
    ASSERT_EQ(written(archive->write({.entries = documents(20, 1, 100, "before" + name)}).value()), 20u);
    const auto entries = documents(20, 1, 100, name);
    proxy().cut_after(Way::kToClient, bytes);
    EXPECT_EQ(written(archive->write({.entries = entries}).value()), 20u) << "also what the first try wrote";
    proxy().heal();
    EXPECT_EQ(written(archive->write({.entries = entries}).value()), 0u) << "they are all there";
  }
  EXPECT_EQ(archive->stats().value().records, 120u);
  // What is raised: the answer before the bulk's says whether there are pieces, in so many bytes as the server likes.
  Version version = 1;
  for (std::size_t bytes = 60; bytes < 300; bytes += 20) {
    const auto entries = documents(20, ++version, 100, "cut1.");
    proxy().cut_after(Way::kToClient, bytes);
    EXPECT_EQ(written(archive->write({.entries = entries}).value()), 20u) << bytes;
    proxy().heal();
    EXPECT_EQ(written(archive->write({.entries = entries}).value()), 0u) << bytes;
  }
}

// Also where documents may have pieces, and are looked at: what was read may be lost with the server that it was read from.
TEST_P(MongoFaults, a_bulk_whose_answer_was_lost_is_written_only_once_a_server_has_said_so) {
  auto with = options();
  with.max_inline_bytes = 1u << 10;
  const auto counters = std::make_shared<Counters>();
  with.metrics = counters;
  Archive archive(with);
  ASSERT_EQ(written(archive->write({.entries = documents(1, 1, 4'000, "pieces")}).value()), 1u);
  const auto confirmed = [&] {
    return counters->of("setget_mongo_commands_total update ok") + counters->of("setget_mongo_commands_total insert ok");
  };
  for (const std::size_t bytes : {1u, 16u, 30u}) {
    const auto name = "n" + std::to_string(bytes) + ".";
    // So that new documents are inserted first.
    ASSERT_EQ(written(archive->write({.entries = documents(5, 1, 100, "before" + name)}).value()), 5u);
    const auto before = confirmed();
    proxy().cut_after(Way::kToClient, bytes);
    EXPECT_EQ(written(archive->write({.entries = documents(5, 1, 100, name)}).value()), 5u) << bytes;
    EXPECT_GT(confirmed(), before) << bytes;
    proxy().heal();
  }
}

TEST_P(MongoFaults, a_bulk_that_was_committed_while_its_answer_was_lost_is_confirmed_later) {
  auto with = options();
  with.retries = 0;
  with.connect_timeout = Milliseconds(20'000);
  Archive archive(with);
  // New documents are inserted first once most were new: then the bulk is the first that a write sends.
  ASSERT_EQ(written(archive->write({.entries = documents(20, 1, 100, "before")}).value()), 20u);
  const auto entries = documents(20, 1);
  proxy().swallow(Way::kToClient, true);
  const auto start = Deadline::Steady::now();
  const auto enough = Milliseconds(5'000);  // to send it
  const auto lost = archive->write({.entries = entries, .deadline = Deadline::in(enough)});
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code(), ErrorCode::kDeadlineExceeded) << lost.error().describe();
  EXPECT_LT(since(start), enough + kMachine);
  proxy().heal();
  proxy().reset_all();
  ASSERT_TRUE(eventually([&] { return archive.count() == 40; })) << "the server had it all";
  const auto again = archive->write({.entries = entries}).value();
  for (const auto& result : again) {
    ASSERT_TRUE(result) << result.error().describe();
    EXPECT_EQ(*result, ArchiveWrite::kOlder);
  }
  EXPECT_EQ(by_id(*archive, "r7").record.value().payload, entries[7].record.payload);
}

TEST_P(MongoFaults, a_connection_that_is_reset_within_a_bulk_costs_another_try) {
  Archive archive(options());
  std::size_t cut = 2'000;
  for (int round = 0; round < 4; ++round, cut += 9'000) {
    const auto entries = documents(30, 1, 1'000, "reset" + std::to_string(round) + ".");
    proxy().cut_after(Way::kToServer, cut);
    const auto results = archive->write({.entries = entries}).value();
    EXPECT_EQ(written(results), 30u) << "round " << round;
    proxy().heal();
  }
  EXPECT_EQ(archive->stats().value().records, 120u);
}

// Nothing of the try that broke may be in the sum.
TEST_P(MongoFaults, a_verification_whose_connection_breaks_on_the_way_begins_again) {
  Archive archive(options());
  ASSERT_EQ(written(archive->write({.entries = documents(450, 1, 1'000)}).value()), 450u);  // three answers with their payloads
  const std::vector<std::uint64_t> starts{0};
  const auto digest = [&](const DeepSample& deep) { return archive->digest({.starts = starts, .now = TimePoint{}, .deep = deep}); };
  const auto whole = digest({.of = 1}).value();
  ASSERT_EQ(whole[0].count, 450u);
  for (std::size_t cut = 1'000; cut < 800'000; cut += 90'000) {
    proxy().cut_after(Way::kToClient, cut);
    for (const auto& deep : {DeepSample{.of = 1}, DeepSample{}, DeepSample{.of = 2}}) {
      const auto again = digest(deep);
      ASSERT_TRUE(again) << again.error().describe();
      EXPECT_EQ(*again, whole) << cut << " " << deep.of;
    }
    proxy().heal();
  }
}

TEST_P(MongoFaults, garbage_instead_of_an_answer_costs_another_try) {
  Archive archive(options());
  ASSERT_EQ(written(archive->write({.entries = documents(5, 1)}).value()), 5u);
  for (const auto& garbage : {std::string(64, '\xff'), std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string(16, '\0')}) {
    proxy().inject(Way::kToClient, garbage);
    const auto found = archive->get_by_id({.ns = {}, .id = "r3", .now = TimePoint{}, .deadline = Deadline::in(Milliseconds(15'000))});
    ASSERT_TRUE(found) << found.error().describe();
    EXPECT_EQ(found->status, Lookup::Status::kFound);
  }
}

TEST_P(MongoFaults, a_server_that_says_nothing_holds_nobody_beyond_the_deadline) {
  Archive archive(stubborn());
  ASSERT_EQ(written(archive->write({.entries = documents(5, 1)}).value()), 5u);
  const auto wait = Milliseconds(500);
  for (const bool connected : {true, false}) {
    proxy().stall(Way::kToClient, true);
    if (!connected) proxy().reset_all();
    for (int verb = 0; verb < 3; ++verb) {
      const auto start = Deadline::Steady::now();
      const auto deadline = Deadline::in(wait);
      const auto code = [&]() -> ErrorCode {
        switch (verb) {
          case 0:
            return archive->write({.entries = documents(5, 2), .deadline = deadline}).error().code();
          case 1:
            return archive->get_by_id({.ns = {}, .id = "r1", .now = TimePoint{}, .deadline = deadline}).error().code();
          default:
            return archive->scan({.deadline = deadline}).error().code();
        }
      }();
      EXPECT_TRUE(code == ErrorCode::kDeadlineExceeded || code == ErrorCode::kUnavailable) << to_string(code);
      // The stated bound: the deadline and one connect_timeout.
      EXPECT_LT(since(start), wait + Milliseconds(1'000) + kMachine) << "verb " << verb << (connected ? "" : ", not connected");
    }
    proxy().heal();
    proxy().reset_all();
    ASSERT_TRUE(eventually([&] { return archive->load_checkpoint().has_value(); }));
  }
  EXPECT_EQ(written(archive->write({.entries = documents(5, 3)}).value()), 5u);
}

// Every verb that a run calls, and what is asked of the past.
TEST_P(MongoFaults, no_verb_holds_its_caller_beyond_the_callers_deadline) {
  Archive archive(stubborn());
  ASSERT_EQ(written(archive->write({.entries = documents(5, 1)}).value()), 5u);
  const auto checkpoint = ArchiveCheckpoint{.source = {.uuid = "s", .epoch = 1}};
  const std::vector<QuarantinedEntry> refused{{.ns = {}, .id = "q", .version = 1}};
  const std::vector<ArchiveId> ids{{.ns = {}, .id = "q"}};
  const std::vector<TaggedDocument> tagged{{.ns = {}, .id = "r1", .tag = "=none"}};
  const auto store = memory::open().value().key_store();
  ArchiverOptions with;
  with.key_store = store;
  with.archive = archive.database().archive();
  with.policy = std::make_shared<TtlPolicy>(Flows{});
  const auto archiver = Archiver::create(with).value();
  using Verb = std::pair<const char*, std::function<ErrorCode(Deadline)>>;
  const std::vector<Verb> verbs{
      {"get_history",
       [&](Deadline by) { return archive->get_history({.ns = {}, .key = "k", .id = {}, .at = {}, .deadline = by}).error().code(); }},
      {"reclaim", [&](Deadline by) { return archive->reclaim({.now = TimePoint{}, .deadline = by}).error().code(); }},
      {"load_checkpoint", [&](Deadline by) { return archive->load_checkpoint_within(by).error().code(); }},
      {"save_checkpoint", [&](Deadline by) { return archive->save_checkpoint_within(checkpoint, by).error().code(); }},
      {"stats", [&](Deadline by) { return archive->stats_within(by).error().code(); }},
      {"quarantine", [&](Deadline by) { return archive->quarantine_within(refused, by).error().code(); }},
      {"quarantined", [&](Deadline by) { return archive->quarantined({.deadline = by}).error().code(); }},
      {"release", [&](Deadline by) { return archive->release_within(ids, by).error().code(); }},
      {"tag", [&](Deadline by) { return archive->tag({.ns = {}, .id = "r1", .now = {}, .deadline = by}).error().code(); }},
      {"remove", [&](Deadline by) { return archive->remove_tagged({.documents = tagged, .deadline = by}).error().code(); }},
      {"health", [&](Deadline by) { return archive_health(*store.backend(), *archive, "archiver", TimePoint{}, by).error().code(); }},
      {"checkpoint", [&](Deadline by) { return archiver->checkpoint(by).error().code(); }},
      {"history_of", [&](Deadline by) { return archive->history_of_within(by).error().code(); }},
  };
  for (const auto& [name, call] : verbs) {
    proxy().stall(Way::kToClient, true);
    const auto start = Deadline::Steady::now();
    const auto code = call(Deadline::in(Milliseconds(300)));
    EXPECT_LT(since(start), Milliseconds(300 + 1'000) + kMachine) << name;
    EXPECT_TRUE(code == ErrorCode::kDeadlineExceeded || code == ErrorCode::kUnavailable) << name << " " << to_string(code);
    proxy().heal();
    proxy().reset_all();
    ASSERT_TRUE(eventually([&] { return archive->load_checkpoint().has_value(); })) << name;
  }
}

TEST_P(MongoFaults, who_waits_for_another_call_to_look_at_the_server_waits_until_its_own_deadline) {
  auto with = options();
  with.connect_timeout = Milliseconds(60'000);  // the look is not over before the server answers
  Archive archive(with);
  ASSERT_EQ(written(archive->write({.entries = documents(1, 1)}).value()), 1u);
  auto place = archive.behind();
  ASSERT_TRUE(place->clients().call(Deadline::in(Milliseconds(20'000)), [](mongoc_client_t*) { return Result<void>(); }));
  proxy().stall(Way::kToClient, true);
  const auto before = proxy().passed(Way::kToServer);
  std::thread patient([&] { EXPECT_TRUE(place->ready(Deadline::in(Milliseconds(60'000)))) << "once the server answers"; });
  EXPECT_TRUE(proxy().wait_for(Way::kToServer, before + 1, Deadline::in(Milliseconds(20'000)))) << "it has asked";
  const auto start = Deadline::Steady::now();
  const auto hurried = place->ready(Deadline::in(Milliseconds(200)));
  EXPECT_LT(since(start), Milliseconds(200) + kMachine);
  EXPECT_EQ(hurried.error().code(), ErrorCode::kDeadlineExceeded);
  proxy().heal();
  patient.join();
  EXPECT_TRUE(place->ready(Deadline::in(Milliseconds(20'000))));
}

TEST_P(MongoFaults, a_server_that_trickles_holds_nobody_beyond_the_deadline) {
  Archive archive(options());
  ASSERT_EQ(written(archive->write({.entries = documents(5, 1, 20'000)}).value()), 5u);
  proxy().limit(Way::kToClient, 2'000);
  const auto start = Deadline::Steady::now();
  const auto slow = archive->scan({.with_records = true, .deadline = Deadline::in(Milliseconds(800))});
  ASSERT_FALSE(slow);
  EXPECT_LT(since(start), Milliseconds(800 + 1'000) + kMachine);
}

// libmongoc of Debian 12 waited for itself, for ever, where a server that it knew could not be connected to again (CDRIVER-4666).
TEST_P(MongoFaults, a_connection_that_breaks_when_no_time_is_left_for_another_ends_with_the_deadline) {
  Archive archive(options());
  ASSERT_EQ(written(archive->write({.entries = documents(5, 1, 20'000)}).value()), 5u);
  for (int deadline = 100; deadline < 160; deadline += 7) {
    proxy().limit(Way::kToClient, 2'000);
    const auto start = Deadline::Steady::now();
    ASSERT_FALSE(archive->scan({.with_records = true, .deadline = Deadline::in(Milliseconds(deadline))}));
    EXPECT_LT(since(start), Milliseconds(deadline) + kMachine);
    proxy().refuse(true);
    ASSERT_FALSE(archive->scan({.with_records = true, .deadline = Deadline::in(Milliseconds(deadline))}));
    proxy().refuse(false);
    proxy().heal();
  }
}

TEST_P(MongoFaults, a_server_that_cannot_be_reached_is_unavailable_and_used_once_it_is_back) {
  proxy().refuse(true);
  auto with = options();
  with.retries = 1;
  with.connect_timeout = Milliseconds(10'000);
  Archive archive(with);
  const auto away = archive->write({.entries = documents(1, 1)});
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(away.error().retryable());
  EXPECT_EQ(away.error().source(), ErrorSource::kMongo);
  proxy().refuse(false);
  EXPECT_EQ(written(archive->write({.entries = documents(1, 1)}).value()), 1u);
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoFaults, ::testing::ValuesIn(own_kinds()), [](const auto& test) { return name_of(test.param); });

class MongoRestart : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { SETGET_REQUIRE_MONGO(GetParam()); }
};

TEST_P(MongoRestart, calls_go_on_with_the_server_that_came_back) {
  MongoServer server(GetParam());
  auto with = server.options();
  with.retries = 10;
  Archive archive(with);
  ASSERT_EQ(written(archive->write({.entries = documents(20, 1)}).value()), 20u);
  server.kill();
  const auto away = archive->write({.entries = documents(1, 2), .deadline = Deadline::in(Milliseconds(300))});
  EXPECT_FALSE(away);
  server.start();
  // What it had on its disk is the server's affair; what is written now counts.
  for (const auto& result : archive->write({.entries = documents(20, 2)}).value()) EXPECT_TRUE(result) << result.error().describe();
  EXPECT_EQ(by_id(*archive, "r19").record.value().version, 2u);
}

TEST_P(MongoRestart, a_frozen_server_is_waited_for_until_the_deadline_and_not_longer) {
  MongoServer server(GetParam());
  auto with = server.options();
  with.connect_timeout = Milliseconds(2'000);
  Archive archive(with);
  ASSERT_EQ(written(archive->write({.entries = documents(2, 1)}).value()), 2u);
  server.pause();
  const auto start = Deadline::Steady::now();
  EXPECT_FALSE(archive->write({.entries = documents(2, 2), .deadline = Deadline::in(Milliseconds(400))}));
  EXPECT_LT(since(start), Milliseconds(400 + 2'000) + kMachine);
  server.resume();
  EXPECT_TRUE(eventually([&] { return archive->load_checkpoint().has_value(); }));
  EXPECT_EQ(written(archive->write({.entries = documents(2, 3)}).value()), 2u);
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoRestart, ::testing::ValuesIn(own_kinds()), [](const auto& test) { return name_of(test.param); });

}  // namespace
