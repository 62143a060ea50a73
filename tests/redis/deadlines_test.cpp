// A server that says nothing holds nobody longer than his deadline: every verb of both seams, on every topology, whether the connection is
// there already or is to be made, and while another call that has more time waits for the same.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "redis/opened_store.hpp"
#include "redis/queue.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/commands.hpp>
#include <setget/testing/tcp_proxy.hpp>

namespace redis_test {
namespace {

using namespace setget;
namespace kit = setget::testing;
using Steady = Deadline::Steady;

constexpr Milliseconds kTime{200};
constexpr Milliseconds kMargin{1'000};  // of a busy machine; who heeded no deadline would take `timeout`, 5 s
const TimePoint kNow(Milliseconds(1'700'000'000'000));

// Both seams of one process.
struct Process {
  std::shared_ptr<KeyStoreBackend> store;
  std::shared_ptr<QueueBackend> queues;
  Process(const std::string& uri, const std::string& prefix, std::uint32_t parts) {
    const auto place = redis::Place::open({.uri = uri, .prefix = prefix, .shards = parts, .partitions = parts}).value();
    store = redis::make_key_store(place);
    queues = redis::make_queues(place);
  }
};

// What the verbs speak of.
struct Content {
  std::string message_id{};
  std::string receipt{};
  Position read = 0;
};

ApplyEntry a_set(Stamp number) {
  kit::SetSpec spec;
  spec.id = "r" + std::to_string(number);
  spec.keys = {spec.id, "k" + std::to_string(number)};
  spec.stamp = stamp_at(kNow) + number;
  spec.payload = "payload";
  return kit::set_entry(spec);
}

void fill(Process& process, Content& content) {
  const ApplyEntry entries[] = {a_set(1), a_set(2), a_set(3)};
  ASSERT_TRUE(process.store->open_cursor({.name = "c"}));
  ASSERT_TRUE(process.store->apply({.entries = entries, .now = kNow}));
  content.read = process.store->changes({.cursor = "c"}).value().next;
  auto queue = Queue::open(process.queues, "q", {.kind = QueueKind::kStandard}).value();
  for (const char* body : {"a", "b"}) {
    OutgoingMessage message;
    message.body = Payload(std::string(body));
    content.message_id = queue.send(message).value().message_id;
  }
  content.receipt = queue.receive(1).value().at(0).receipt;
}

// A verb with this deadline; the error that it ended with, if any.
struct Verb {
  const char* name;
  std::function<std::optional<Error>(Process&, const Content&, Deadline)> call;
};

template <class T>
std::optional<Error> error_of(Result<T> result) {
  if (result) return {};
  return std::move(result).error();
}

std::optional<Error> get_later(Process& process, Deadline deadline) {
  const auto answered = std::make_shared<std::promise<std::optional<Error>>>();
  auto answer = answered->get_future();
  const std::string_view key = "k1";
  process.store->get_async({.keys = {&key, 1}, .now = kNow, .deadline = deadline},
                           [answered](Result<std::vector<Lookup>> found) { answered->set_value(error_of(std::move(found))); });
  return answer.get();
}

const std::vector<Verb>& store_verbs() {
  static constexpr std::string_view kKey = "k1";
  static constexpr IdentityName kName{.ns = {}, .id = "r1"};
  static const std::vector<Verb> verbs{
      {"identity", [](Process& p, const Content&, Deadline d) { return error_of(p.store->identity(d)); }},
      {"apply",
       [](Process& p, const Content&, Deadline d) {
         const auto entry = a_set(9);
         auto applied = p.store->apply({.entries = {&entry, 1}, .now = kNow, .deadline = d});
         return applied ? error_of(std::move(applied->at(0))) : error_of(std::move(applied));
       }},
      {"get",
       [](Process& p, const Content&, Deadline d) {
         return error_of(p.store->get({.keys = {&kKey, 1}, .now = kNow, .deadline = d}));
       }},
      {"get_async", [](Process& p, const Content&, Deadline d) { return get_later(p, d); }},
      {"get_by_id",
       [](Process& p, const Content&, Deadline d) { return error_of(p.store->get_by_id({.id = "r1", .now = kNow, .deadline = d})); }},
      {"get_by_ids",
       [](Process& p, const Content&, Deadline d) {
         return error_of(p.store->get_by_ids({.names = {&kName, 1}, .now = kNow, .deadline = d}));
       }},
      {"list",
       [](Process& p, const Content&, Deadline d) {
         return error_of(p.store->list({.account = "acme", .flow = "orders", .now = kNow, .cursor = {}, .deadline = d}));
       }},
      {"scan", [](Process& p, const Content&, Deadline d) { return error_of(p.store->scan({.cursor = {}, .deadline = d})); }},
      {"digest", [](Process& p, const Content&, Deadline d) { return error_of(p.store->digest({.now = kNow, .deadline = d})); }},
      {"open_cursor", [](Process& p, const Content&, Deadline d) { return error_of(p.store->open_cursor({.name = "d", .deadline = d})); }},
      {"changes", [](Process& p, const Content&, Deadline d) { return error_of(p.store->changes({.cursor = "c", .deadline = d})); }},
      {"commit_cursor", [](Process& p, const Content& c, Deadline d) { return error_of(p.store->commit_cursor("c", c.read, d)); }},
      {"cursors", [](Process& p, const Content&, Deadline d) { return error_of(p.store->cursors(d)); }},
      {"drop_cursor", [](Process& p, const Content&, Deadline d) { return error_of(p.store->drop_cursor("c", d)); }},
      {"wait_for_changes", [](Process& p, const Content&,
                              Deadline d) { return error_of(p.store->wait_for_changes(1'000'000, Deadline::in(Milliseconds(50)), d)); }},
      {"set_expiry",
       [](Process& p, const Content&, Deadline d) {
         const SetExpiry one{.id = "r1", .version = stamp_at(kNow) + 1, .expires_at = kNow + Milliseconds(9000)};
         auto changed = p.store->set_expiry({&one, 1}, d);
         return changed ? error_of(std::move(changed->at(0))) : error_of(std::move(changed));
       }},
      {"reclaim",
       [](Process& p, const Content&, Deadline d) { return error_of(p.store->reclaim({.now = kNow, .floor = 0, .deadline = d})); }},
      {"stats", [](Process& p, const Content&, Deadline d) { return error_of(p.store->stats(d)); }},
      {"history", [](Process& p, const Content&, Deadline d) { return error_of(p.store->history({.deadline = d})); }},
      {"confirm_history",
       [](Process& p, const Content&, Deadline d) {
         const OutboxPlace place{.part = 0, .position = 1};
         return error_of(p.store->confirm_history({&place, 1}, d));
       }},
      {"begin_history",
       [](Process& p, const Content&, Deadline d) {
         const BeginHistory one{.ns = {}, .id = "r1", .version = stamp_at(kNow) + 1};
         auto begun = p.store->begin_history({&one, 1}, d);
         return begun ? error_of(std::move(begun->at(0))) : error_of(std::move(begun));
       }},
  };
  return verbs;
}

const std::vector<Verb>& queue_verbs() {
  static const std::vector<Verb> verbs{
      {"create",
       [](Process& p, const Content&, Deadline d) { return error_of(p.queues->create({.name = "other", .options = {}, .deadline = d})); }},
      {"list queues", [](Process& p, const Content&, Deadline d) { return error_of(p.queues->list(d)); }},
      {"send",
       [](Process& p, const Content&, Deadline d) {
         OutgoingMessage message;
         message.body = Payload(std::string("late"));
         auto sent = p.queues->send({.queue = "q", .messages = {&message, 1}, .deadline = d});
         return sent ? error_of(std::move(sent->at(0))) : error_of(std::move(sent));
       }},
      {"receive", [](Process& p, const Content&, Deadline d) { return error_of(p.queues->receive({.queue = "q", .deadline = d})); }},
      {"receive with a wait",
       [](Process& p, const Content&, Deadline d) {
         return error_of(p.queues->receive({.queue = "q", .wait = Deadline::in(Milliseconds(5'000)), .deadline = d}));
       }},
      {"settle",
       [](Process& p, const Content& c, Deadline d) {
         const Settlement one{.receipt = c.receipt, .reasons = {}};
         auto settled = p.queues->settle({.queue = "q", .settlements = {&one, 1}, .deadline = d});
         return settled ? error_of(std::move(settled->at(0))) : error_of(std::move(settled));
       }},
      {"find",
       [](Process& p, const Content& c, Deadline d) { return error_of(p.queues->find({.message_id = c.message_id, .deadline = d})); }},
      {"stats of a queue", [](Process& p, const Content&, Deadline d) { return error_of(p.queues->stats("q", d)); }},
      {"peek", [](Process& p, const Content&, Deadline d) { return error_of(p.queues->peek({.queue = "q", .deadline = d})); }},
      {"dead_letters",
       [](Process& p, const Content&, Deadline d) {
         return error_of(p.queues->dead_letters({.queue = "q", .filter = {}, .cursor = {}, .deadline = d}));
       }},
      {"redrive",
       [](Process& p, const Content&, Deadline d) { return error_of(p.queues->redrive({.queue = "q", .filter = {}, .deadline = d})); }},
      {"purge",
       [](Process& p, const Content&, Deadline d) { return error_of(p.queues->purge({.queue = "q", .filter = {}, .deadline = d})); }},
      {"oldest_unfinished", [](Process& p, const Content&, Deadline d) { return error_of(p.queues->oldest_unfinished(d)); }},
      {"maintain", [](Process& p, const Content&, Deadline d) { return error_of(p.queues->maintain({.queue = "q", .deadline = d})); }},
      {"remove", [](Process& p, const Content&, Deadline d) { return error_of(p.queues->remove("q", d)); }},
  };
  return verbs;
}

// While the servers say nothing. A machine that is busy may not let a thread run for so long once: each has three tries.
void expect_in_time(Process& process, const Content& content, const Verb& verb) {
  auto took = Steady::duration::max();
  for (int tries = 0; tries < 3 && took > kTime + kMargin; ++tries) {
    const auto begun = Steady::now();
    const auto failed = verb.call(process, content, Deadline::in(kTime));
    took = Steady::now() - begun;
    ASSERT_TRUE(failed) << verb.name << " was answered by nobody";
    EXPECT_TRUE(failed->retryable()) << verb.name << ": " << failed->describe();
  }
  EXPECT_LE(took, kTime + kMargin) << verb.name << " took " << std::chrono::duration_cast<Milliseconds>(took).count() << " ms";
}

// Some at a time, as in a host with a few threads: each spends its time waiting.
void expect_in_time(Process& process, const Content& content) {
  std::vector<const Verb*> verbs;
  for (const auto* some : {&store_verbs(), &queue_verbs()}) {
    for (const auto& verb : *some) verbs.push_back(&verb);
  }
  std::atomic<std::size_t> next = 0;
  std::vector<std::jthread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (auto at = next++; at < verbs.size(); at = next++) expect_in_time(process, content, *verbs[at]);
    });
  }
}

// Everything works again, on the same objects.
void expect_recovered(Process& process, const Content& content) {
  const auto works = [&](const std::vector<Verb>& verbs, std::string_view name) {
    for (const auto& verb : verbs) {
      if (verb.name == name) return !verb.call(process, content, Deadline::in(Milliseconds(2'000)));
    }
    return false;
  };
  EXPECT_TRUE(eventually([&] { return works(store_verbs(), "apply"); }));
  EXPECT_TRUE(eventually([&] { return works(store_verbs(), "changes"); }));
  EXPECT_TRUE(eventually([&] { return works(queue_verbs(), "send"); }));
}

class Deadlines : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    static RedisServer one;
    proxy_ = kit::TcpProxy::start("127.0.0.1", one.port()).value();
    uri_ = "redis://127.0.0.1:" + std::to_string(proxy_->port());
  }
  Process process() const { return {uri_, prefix_, GetParam()}; }
  kit::TcpProxy& proxy() { return *proxy_; }

 private:
  const std::string prefix_ = new_prefix();
  std::string uri_;
  std::unique_ptr<kit::TcpProxy> proxy_;
};
INSTANTIATE_TEST_SUITE_P(Parts, Deadlines, ::testing::Values(1U, 16U));

TEST_P(Deadlines, hold_while_no_answer_comes) {
  auto one = process();
  Content content;
  ASSERT_NO_FATAL_FAILURE(fill(one, content));
  proxy().stall(kit::TcpProxy::Way::kToClient, true);
  expect_in_time(one, content);
  proxy().heal();
  expect_recovered(one, content);
}

TEST_P(Deadlines, hold_while_nothing_reaches_the_server) {
  auto one = process();
  Content content;
  ASSERT_NO_FATAL_FAILURE(fill(one, content));
  proxy().stall(kit::TcpProxy::Way::kToServer, true);
  expect_in_time(one, content);
  proxy().heal();
  expect_recovered(one, content);
}

TEST_P(Deadlines, hold_for_a_process_that_was_never_connected) {
  Content content;
  {
    auto first = process();
    ASSERT_NO_FATAL_FAILURE(fill(first, content));
  }
  proxy().refuse(true);
  auto one = process();
  proxy().refuse(false);
  proxy().stall(kit::TcpProxy::Way::kToClient, true);
  expect_in_time(one, content);
  proxy().heal();
  expect_recovered(one, content);
}

// Who has more time has asked first, and holds what only one may have at a time.
TEST_P(Deadlines, hold_beside_calls_that_have_more_time) {
  auto one = process();
  Content content;
  ASSERT_NO_FATAL_FAILURE(fill(one, content));
  std::vector<std::jthread> patient;
  const auto before = proxy().passed(kit::TcpProxy::Way::kToServer);
  proxy().stall(kit::TcpProxy::Way::kToClient, true);
  const auto long_time = Deadline::in(Milliseconds(60'000));
  for (const auto* verbs : {&store_verbs(), &queue_verbs()}) {
    for (const auto& verb : *verbs) patient.emplace_back([&, long_time] { (void)verb.call(one, content, long_time); });
  }
  EXPECT_TRUE(proxy().wait_for(kit::TcpProxy::Way::kToServer, before + 1, Deadline::in(Milliseconds(5'000))));
  expect_in_time(one, content);
  proxy().heal();
  patient.clear();
}

// All servers of a topology stand still.
class DeadlinesOf : public ::testing::Test {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  static void hold(const std::string& uri, const std::vector<RedisServer*>& servers) {
    Process one(uri, new_prefix(), 16);
    Content content;
    ASSERT_NO_FATAL_FAILURE(fill(one, content));
    for (auto* server : servers) server->pause();
    expect_in_time(one, content);
    for (auto* server : servers) server->resume();
    expect_recovered(one, content);
  }
};

TEST_F(DeadlinesOf, a_cluster_hold_while_all_of_it_stands_still) {
  ClusterGroup cluster(6, 1, {}, kNoneDies);
  std::vector<RedisServer*> servers;
  for (auto& node : cluster.nodes()) servers.push_back(node.get());
  hold(cluster.uri(), servers);
}

TEST_F(DeadlinesOf, a_sentinels_group_hold_while_its_nodes_stand_still) {
  SentinelGroup group(kNoneDies);
  ASSERT_TRUE(eventually([&] { return group.healthy(); }));
  hold(group.uri(), {&group.master(), &group.replica()});
}

}  // namespace
}  // namespace redis_test
