// The client on one server: handshake, errors, pool, breaker, exclusive use, completion form.
#include "redis/client.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include "client_fixture.hpp"
#include "support/sanitized.hpp"

#include <setget/testing/tcp_proxy.hpp>

namespace {

using namespace setget;
using namespace setget::redis;
using namespace redis_test;
using setget::testing::TcpProxy;
using Way = TcpProxy::Way;

constexpr Milliseconds kLongestWait(setget_test::kSanitized ? 1'500 : 300);

class RedisClient : public ::testing::Test {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
};

TEST_F(RedisClient, logs_in_names_itself_and_selects_its_database) {
  RedisServer server({.arguments = {"--requirepass", "top:secret"}});
  server.cli({"-a", "top:secret", "ACL", "SETUSER", "ann", "on", ">p@ss", "~*", "+@all"});
  for (const char* protocol : {"2", "3"}) {
    const auto client = client_of(server.uri("/3?client_name=kairos&protocol=" + std::string(protocol), "ann:p%40ss@"));
    EXPECT_EQ(client->call(set("k", "v"), soon()).value().text(), "OK");
    const auto reply = client->call(words({"CLIENT", "LIST"}), soon()).value();
    EXPECT_NE(reply.text().find("name=kairos"), std::string::npos) << reply.text();
    EXPECT_NE(reply.text().find("db=3"), std::string::npos);
    EXPECT_NE(reply.text().find("user=ann"), std::string::npos);
    EXPECT_NE(reply.text().find("resp=" + std::string(protocol)), std::string::npos);
    EXPECT_TRUE(client->servers(soon()).value()[0]->facts().version.starts_with("7."));
  }
  EXPECT_TRUE(client_of(server.uri("", ":top%3Asecret@"))->call(get("k"), soon()).has_value());
}

Trouble trouble(const Result<Reply>& result) { return result ? Trouble::kNone : trouble_of(result.error()); }

TEST_F(RedisClient, says_what_is_wrong_with_the_credentials) {
  RedisServer server({.arguments = {"--requirepass", "secret"}});
  server.cli({"-a", "secret", "ACL", "SETUSER", "reader", "on", ">x", "~*", "+get"});
  EXPECT_EQ(trouble(client_of(server.uri())->call(get("k"), soon())), Trouble::kNoAuth);
  EXPECT_EQ(trouble(client_of(server.uri("", ":wrong@"))->call(get("k"), soon())), Trouble::kWrongPassword);
  EXPECT_EQ(trouble(client_of(server.uri("", "nobody:x@"))->call(get("k"), soon())), Trouble::kWrongPassword);
  const auto reader = client_of(server.uri("", "reader:x@"));
  EXPECT_TRUE(reader->call(get("k"), soon()).value().is_nil()) << "a user who may not name its connection is as good";
  EXPECT_EQ(trouble(reader->call(set("k", "v"), soon())), Trouble::kNoPermission);
  RedisServer open;
  EXPECT_EQ(trouble(client_of(open.uri("", ":secret@"))->call(get("k"), soon())), Trouble::kWrongPassword);
}

// Redis repeats what it was asked, and an error goes into logs.
TEST_F(RedisClient, tells_nobody_a_password_that_the_server_repeats) {
  RedisServer server({.arguments = {"--rename-command", "HELLO", "none", "--rename-command", "AUTH", "nothing"}});
  for (const char* protocol : {"2", "3"}) {
    const auto refused = client_of(server.uri("/0?protocol=" + std::string(protocol), "ann:s3cret@"))->call(get("k"), soon());
    ASSERT_FALSE(refused);
    const auto told = refused.error().describe();
    EXPECT_EQ(told.find("s3cret"), std::string::npos) << told;
    EXPECT_NE(told.find("unknown command"), std::string::npos) << told;
  }
}

TEST_F(RedisClient, knows_the_errors_that_a_server_can_be_brought_to) {
  RedisServer server;
  const auto client = client_of(server.uri());
  const auto fails = [&](const RedisCommand& command) { return trouble(client->call(command, soon(3000))); };
  EXPECT_EQ(fails(words({"EVALSHA", "ffffffffffffffffffffffffffffffffffffffff", "0"})), Trouble::kNoScript);
  ASSERT_TRUE(client->call(set("text", "v"), soon()).has_value());
  EXPECT_EQ(fails(words({"LPUSH", "text", "x"})), Trouble::kWrongType);
  EXPECT_EQ(fails(words({"NONSENSE"})), Trouble::kUnknownCommand);
  EXPECT_EQ(fails(words({"INCR", "text"})), Trouble::kOther);
  EXPECT_EQ(fails(words({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "nostream", ">"})), Trouble::kNoGroup);

  server.cli({"CONFIG", "SET", "maxmemory", "1"});
  const auto full = client->call(set("more", "v"), soon());
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(trouble(full), Trouble::kOutOfMemory);
  EXPECT_EQ(full.error().code(), ErrorCode::kOutOfSpace);
  server.cli({"CONFIG", "SET", "maxmemory", "0"});

  server.cli({"CONFIG", "SET", "min-replicas-to-write", "1"});
  EXPECT_EQ(fails(set("more", "v")), Trouble::kNoReplicas);
  server.cli({"CONFIG", "SET", "min-replicas-to-write", "0"});

  server.cli({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_EQ(fails(set("more", "v")), Trouble::kReadOnly);
  server.cli({"CONFIG", "SET", "replica-serve-stale-data", "no"});
  EXPECT_EQ(fails(get("text")), Trouble::kMasterDown);
  server.cli({"REPLICAOF", "NO", "ONE"});

  // A child that cannot write: the target of the rename is a folder that is not empty.
  std::filesystem::create_directories(server.folder() + "/dump.rdb/x");
  server.cli({"CONFIG", "SET", "save", "1 1"});
  EXPECT_TRUE(eventually([&] {
    (void)client->call(set("dirty", "v"), soon());
    return fails(set("dirty", "v")) == Trouble::kMisconfigured;
  }));
  server.cli({"CONFIG", "SET", "save", ""});
}

TEST_F(RedisClient, reports_a_busy_server_and_waits_out_a_loading_one) {
  RedisServer server({.arguments = {"--busy-reply-threshold", "20"}});
  const auto client = client_of(server.uri());
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  std::jthread loop([&] { (void)client->call(words({"EVAL", "while true do end", "0"}), soon()); });
  EXPECT_TRUE(eventually([&] { return server.cli({"GET", "k"}).find("BUSY") != std::string::npos; }));
  const auto other = client_of(server.uri());
  EXPECT_EQ(trouble(other->call(get("k"), soon())), Trouble::kBusy);
  server.cli({"SCRIPT", "KILL"});
  loop.join();

  // Loading: it answers, but has not read its data yet.
  server.cli({"DEBUG", "POPULATE", "1000"});
  server.cli({"CONFIG", "SET", "key-load-delay", "200"});
  server.cli({"CONFIG", "SET", "loading-process-events-interval-bytes", "1024"});
  EXPECT_TRUE(eventually([&] {
    std::atomic<bool> over{false};
    const std::jthread reload([&] {
      server.cli({"DEBUG", "RELOAD"});
      over = true;
    });
    bool loading = false;
    while (!loading && !over) loading = server.cli({"GET", "k"}).find("LOADING") != std::string::npos;
    const auto waited = other->call(get("k"), soon());
    EXPECT_TRUE(waited.has_value() && waited->text() == "v") << (waited ? waited->text() : waited.error().describe());
    return loading;
  })) << "on a busy machine it may be over before anybody looks, but not every time";
}

// The longest that a small get took while another caller received ten large replies.
Deadline::Steady::duration longest_beside_large_replies(Client& client) {
  std::atomic<bool> stop{false};
  std::atomic<int> large{0};
  std::jthread reader([&] {
    while (!stop) {
      EXPECT_EQ(client.call(get("big"), soon()).value().text().size(), std::size_t{16} << 20);
      ++large;
    }
  });
  auto longest = Deadline::Steady::duration::zero();
  while (large < 10) {
    const auto begin = Deadline::Steady::now();
    EXPECT_EQ(client.call(get("small"), soon()).value().text(), "s");
    longest = std::max(longest, Deadline::Steady::now() - begin);
  }
  stop = true;
  reader.join();
  return longest;
}

TEST_F(RedisClient, keeps_unrelated_callers_quick_behind_a_large_reply) {
  RedisServer server;
  const auto client = client_of(server.uri());
  ASSERT_TRUE(client->call(set("big", std::string(std::size_t{16} << 20, 'b')), soon()).has_value());
  ASSERT_TRUE(client->call(set("small", "s"), soon()).has_value());
  // The machine may halt a thread for a while on its own account, but not every time.
  auto longest = longest_beside_large_replies(*client);
  for (int again = 0; again < 9 && longest > kLongestWait; ++again) longest = std::min(longest, longest_beside_large_replies(*client));
  EXPECT_LE(longest, kLongestWait);
}

TEST_F(RedisClient, fails_fast_while_the_server_is_down_and_recovers) {
  RedisServer server;
  const auto client = client_of(server.uri());
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  server.kill();
  EXPECT_TRUE(eventually([&] { return trouble(client->call(get("k"), soon())) == Trouble::kDown; }));
  const auto begin = Deadline::Steady::now();
  for (int i = 0; i < 1000; ++i) {
    const auto result = client->call(get("k"), soon());
    ASSERT_EQ(trouble(result), Trouble::kDown);
    ASSERT_EQ(result.error().code(), ErrorCode::kUnavailable);
    ASSERT_FALSE(maybe_executed(result.error()));
  }
  EXPECT_LT(Deadline::Steady::now() - begin, Milliseconds(10'000));
  server.start();
  EXPECT_TRUE(eventually([&] { return client->call(get("k"), soon()).has_value(); }));
}

TEST_F(RedisClient, opens_the_breaker_for_a_server_that_accepts_and_says_nothing) {
  RedisServer server;
  server.pause();
  const auto client = client_of(server.uri("?connect_timeout=1s"));
  EXPECT_EQ(trouble(client->call(get("k"), soon())), Trouble::kDown);
  // Who asked the server would wait for `connect_timeout`. The machine may be busy: one of a few is quick.
  auto quickest = Deadline::Steady::duration::max();
  for (int i = 0; i < 5 && quickest >= Milliseconds(500); ++i) {
    const auto begin = Deadline::Steady::now();
    EXPECT_EQ(client->call(get("k"), soon()).error().code(), ErrorCode::kUnavailable);
    quickest = std::min(quickest, Deadline::Steady::now() - begin);
  }
  EXPECT_LT(quickest, Milliseconds(500));
  server.resume();
  EXPECT_TRUE(eventually([&] { return client->call(get("k"), soon()).has_value(); }));
}

TEST_F(RedisClient, sends_again_what_is_idempotent_and_only_that) {
  RedisServer server;
  const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
  const auto client = client_of("redis://127.0.0.1:" + std::to_string(proxy->port()) + "?pool=1");
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  proxy->cut_after(Way::kToClient, 1);
  EXPECT_EQ(client->call(get("k"), soon()).value().text(), "v");

  proxy->cut_after(Way::kToClient, 1);
  const auto lost = client->call(RedisCommand("INCR").key("n"), soon());
  ASSERT_FALSE(lost.has_value());
  EXPECT_EQ(lost.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(maybe_executed(lost.error()));
  EXPECT_EQ(server.cli({"GET", "n"}), "1");
  EXPECT_EQ(client->call(RedisCommand("INCR").key("n"), soon()).value().integer(), 2);
}

TEST_F(RedisClient, survives_that_its_connections_are_killed_between_calls) {
  for (const bool tls : {false, true}) {
    SCOPED_TRACE(tls);
    RedisServer server({.tls = tls});
    const auto client = client_of(server.uri());
    for (int i = 1; i <= 5; ++i) {
      const auto counted = client->call(RedisCommand("INCR").key("n"), soon());
      ASSERT_TRUE(counted.has_value()) << counted.error().describe();
      ASSERT_EQ(counted->integer(), i);
      server.cli({"CLIENT", "KILL", "TYPE", "normal"});
      // The pool looks at connections that were idle before it uses them.
      const auto idle = Deadline::in(Milliseconds(60));
      EXPECT_TRUE(eventually([&] { return idle.passed(); }));
    }
  }
}

TEST_F(RedisClient, leaves_an_idle_connection_on_which_something_came_that_nobody_asked_for) {
  RedisServer server;
  const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
  const auto client = client_of("redis://127.0.0.1:" + std::to_string(proxy->port()));
  ASSERT_EQ(client->call(RedisCommand("INCR").key("n"), soon()).value().integer(), 1);
  const auto passed = proxy->passed(Way::kToClient);
  const std::string farewell = "-ERR going away\r\n";
  proxy->inject(Way::kToClient, farewell);
  ASSERT_TRUE(proxy->wait_for(Way::kToClient, passed + farewell.size(), soon()));
  const auto idle = Deadline::in(Milliseconds(60));
  EXPECT_TRUE(eventually([&] { return idle.passed(); }));
  const auto counted = client->call(RedisCommand("INCR").key("n"), soon());
  ASSERT_TRUE(counted.has_value()) << counted.error().describe();
  EXPECT_EQ(counted->integer(), 2);
  EXPECT_EQ(proxy->accepted(), 2U);
}

TEST_F(RedisClient, pipelines_with_an_answer_for_each) {
  RedisServer server;
  const auto client = client_of(server.uri());
  const RedisCommand commands[] = {set("a", "1"), words({"LPUSH", "a", "x"}), RedisCommand("INCR").key("a"), get("none")};
  const auto results = client->pipeline(commands, soon());
  ASSERT_EQ(results.size(), 4U);
  EXPECT_EQ(results[0].value().text(), "OK");
  EXPECT_EQ(trouble(results[1]), Trouble::kWrongType);
  EXPECT_EQ(results[2].value().integer(), 2);
  EXPECT_TRUE(results[3].value().is_nil());
}

TEST_F(RedisClient, transaction_tells_why_it_was_aborted) {
  RedisServer server;
  const auto client = client_of(server.uri());
  const RedisCommand good[] = {set("a", "1"), RedisCommand("INCR").key("a")};
  EXPECT_EQ(client->call(RedisCommand::transaction(good), soon()).value().elements()[1].integer(), 2);
  const RedisCommand bad[] = {set("a", "7"), words({"NONSENSE"})};
  EXPECT_EQ(trouble(client->call(RedisCommand::transaction(bad), soon())), Trouble::kUnknownCommand);
  EXPECT_EQ(server.cli({"GET", "a"}), "2");
}

TEST_F(RedisClient, lends_connections_for_optimistic_transactions) {
  RedisServer server;
  const auto client = client_of(server.uri("?exclusive=3"));
  ASSERT_TRUE(client->call(set("n", "0"), soon()).has_value());
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      int conflicts = 0;
      for (int done = 0; done < 50;) {
        const auto committed = client->with_exclusive(key_slot("n"), soon(), [&](Exclusive& connection) -> Result<bool> {
          const RedisCommand look[] = {RedisCommand("WATCH").key("n"), get("n")};
          auto seen = connection.pipeline(look, soon());
          if (!seen) return std::move(seen).error();
          const RedisCommand change[] = {set("n", std::to_string(std::stoi(std::string((*seen)[1].text())) + 1))};
          auto reply = connection.call(RedisCommand::transaction(change), soon());
          if (!reply) return std::move(reply).error();
          return !reply->is_nil();
        });
        ASSERT_TRUE(committed.has_value()) << committed.error().describe();
        ++(*committed ? done : conflicts);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(server.cli({"GET", "n"}), "400");
  EXPECT_LE(server.info("connected_clients"), 3U + 1U + 1U) << "no more than the pool's, and redis-cli's";
}

TEST_F(RedisClient, takes_no_connection_back_that_still_watches_and_bounds_the_leases) {
  RedisServer server;
  const auto client = client_of(server.uri("?exclusive=1"));
  std::string id;
  {
    auto lease = client->lease(std::nullopt, soon()).value();
    id = std::to_string(lease.connection.call(words({"CLIENT", "ID"}), soon()).value().integer());
    const auto second = client->lease(std::nullopt, soon(30));
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code(), ErrorCode::kResourceExhausted);
    EXPECT_TRUE(lease.connection.call(RedisCommand("WATCH").key("x"), soon()).has_value());
  }
  auto lease = client->lease(std::nullopt, soon()).value();
  EXPECT_NE(std::to_string(lease.connection.call(words({"CLIENT", "ID"}), soon()).value().integer()), id);
  // Blocking commands may take longer than the timeout of shared connections.
  EXPECT_TRUE(lease.connection.call(words({"BLPOP", "empty", "0.2"}), soon()).value().is_nil());
}

TEST_F(RedisClient, completion_form_connects_retries_and_answers_exactly_once) {
  RedisServer server;
  const auto client = client_of(server.uri());
  constexpr int kCalls = 20'000;
  std::atomic<int> called{0};
  std::atomic<int> failed{0};
  int accepted = 0;
  std::string first;  // what the first failure was; callbacks of one connection run one after another
  for (int i = 0; i < kCalls; ++i) {
    if (client->submit(set("k" + std::to_string(i % 100), "v"), soon(), [&](Result<Reply> reply) {
          if (!reply && failed++ == 0) first = reply.error().describe();
          ++called;
        }))
      ++accepted;
    if (i % 5000 == 2500) server.cli({"CLIENT", "KILL", "TYPE", "normal"});
  }
  EXPECT_TRUE(eventually([&] { return called == accepted; }));
  EXPECT_EQ(failed, 0) << "idempotent commands survive a lost connection: " << first;
  EXPECT_GT(accepted, kCalls / 2);
}

std::vector<Result<Reply>> ask_batch(Client& client, RedisCommands commands, Deadline deadline = soon()) {
  std::promise<std::vector<Result<Reply>>> promise;
  client.submit(std::move(commands), deadline, [&](std::vector<Result<Reply>> replies) { promise.set_value(std::move(replies)); }).value();
  return promise.get_future().get();
}

TEST_F(RedisClient, a_batch_gives_one_answer_for_each_command_in_order) {
  RedisServer server;
  const auto client = client_of(server.uri());
  for (const bool connected : {false, true}) {
    SCOPED_TRACE(connected);
    const RedisCommand both[] = {set("t1", "1"), set("t2", "2")};
    RedisCommands commands;
    commands.add("SET", 3).key("k").arg("v").idempotent();
    commands.add("LPUSH", 3).key("k").arg("x");
    commands.add(RedisCommand::transaction(both));
    commands.add("GET", 2).key("missing").idempotent();
    commands.add(get("t2"));
    commands.add("INCRBY", 3).key("n").arg(-7);
    const auto replies = ask_batch(*client, std::move(commands));
    ASSERT_EQ(replies.size(), 6U);
    EXPECT_EQ(replies[0].value().text(), "OK");
    EXPECT_EQ(trouble_of(replies[1].error()), Trouble::kWrongType);
    EXPECT_EQ(replies[2].value().elements().size(), 2U);
    EXPECT_TRUE(replies[3].value().is_nil());
    EXPECT_EQ(replies[4].value().text(), "2");
    EXPECT_EQ(replies[5].value().integer(), connected ? -14 : -7);
  }
  EXPECT_TRUE(ask_batch(*client, {}).empty());
}

TEST_F(RedisClient, a_batch_survives_lost_connections) {
  RedisServer server;
  const auto client = client_of(server.uri());
  for (int round = 0; round < 200; ++round) {
    RedisCommands commands;
    for (int i = 0; i < 50; ++i) commands.add("SET", 3).key("k" + std::to_string(i)).arg(i).idempotent();
    for (int i = 0; i < 50; ++i) commands.add("GET", 2).key("k" + std::to_string(i)).idempotent();
    if (round % 20 == 10) server.cli({"CLIENT", "KILL", "TYPE", "normal"});
    const auto replies = ask_batch(*client, std::move(commands));
    for (const auto& reply : replies) ASSERT_TRUE(reply.has_value()) << reply.error().describe();
  }
}

TEST_F(RedisClient, what_callbacks_submit_shares_writes) {
  RedisServer server;
  const auto client = client_of(server.uri());
  constexpr int kKeys = 500;
  RedisCommands fill;
  for (int i = 0; i < kKeys; ++i) {
    fill.add("SET", 3).key("p" + std::to_string(i)).arg("r" + std::to_string(i)).idempotent();
    fill.add("SET", 3).key("r" + std::to_string(i)).arg(i).idempotent();
  }
  for (const auto& reply : ask_batch(*client, std::move(fill))) ASSERT_TRUE(reply.has_value());
  bool make_own = false;
  const auto connection = client->servers(soon()).value()[0]->ready(make_own);
  const auto before = connection->writes();
  std::atomic<int> right{0};
  std::atomic<int> called{0};
  // One batch of pointers, answered in few reads; a follow-up for each of them.
  RedisCommands pointers;
  for (int i = 0; i < kKeys; ++i) pointers.add("GET", 2).key("p" + std::to_string(i)).idempotent();
  client
      ->submit(std::move(pointers), soon(),
               [&](std::vector<Result<Reply>> names) {
                 for (int i = 0; i < kKeys; ++i) {
                   client
                       ->submit(get(std::string(names[static_cast<std::size_t>(i)].value().text())), soon(),
                                [&, i](Result<Reply> record) {
                                  if (record.value().text() == std::to_string(i)) ++right;
                                  ++called;
                                })
                       .value();
                 }
               })
      .value();
  EXPECT_TRUE(eventually([&] { return called == kKeys; }));
  EXPECT_EQ(right, kKeys);
  EXPECT_LT(connection->writes() - before, 20U);
}

TEST_F(RedisClient, stop_answers_batches_exactly_once) {
  RedisServer server;
  const auto client = client_of(server.uri());
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  server.pause();
  std::array<std::atomic<int>, 20> calls{};
  std::atomic<int> refused{0};
  for (auto& count : calls) {
    RedisCommands commands;
    for (int i = 0; i < 20; ++i) commands.add(i % 2 == 0 ? get("k") : set("k", "v"));
    client
        ->submit(std::move(commands), soon(),
                 [&](std::vector<Result<Reply>> replies) {
                   EXPECT_EQ(replies.size(), 20U);
                   for (const auto& reply : replies) EXPECT_FALSE(reply.has_value());
                   ++count;
                   // Too late for anything new.
                   if (!client->submit(RedisCommands(), soon(), [](std::vector<Result<Reply>>) {})) ++refused;
                 })
        .value();
  }
  client->stop();
  for (const auto& count : calls) EXPECT_EQ(count, 1);
  EXPECT_EQ(refused, 20);
  server.resume();
}

TEST_F(RedisClient, stop_answers_everybody_exactly_once) {
  RedisServer server;
  const auto client = client_of(server.uri());
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  server.pause();
  std::array<std::atomic<int>, 50> calls{};
  for (auto& count : calls) {
    client
        ->submit(get("k"), soon(),
                 [&count](Result<Reply> reply) {
                   EXPECT_FALSE(reply.has_value());
                   ++count;
                 })
        .value();
  }
  std::jthread blocked([&] { EXPECT_FALSE(client->call(get("k"), soon()).has_value()); });
  bool make_own = false;
  EXPECT_TRUE(eventually([&] { return client->servers(soon()).value()[0]->ready(make_own)->load() > 50; }));
  client->stop();
  blocked.join();
  for (const auto& count : calls) EXPECT_EQ(count, 1);
  EXPECT_EQ(client->call(get("k"), soon()).error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(client->submit(get("k"), soon(), [](Result<Reply>) { ADD_FAILURE(); }).error().code(), ErrorCode::kCancelled);
  server.resume();
}

TEST_F(RedisClient, hands_over_push_messages_of_resp3) {
  for (const bool tls : {false, true}) {
    SCOPED_TRACE(tls);
    RedisServer server({.tls = tls});
    std::atomic<int> pushed{0};
    const auto client = Client::create({.settings = parse_uri(server.uri("?protocol=3&pool=1")).value(),
                                        .on_push =
                                            [&](const Reply& message) {
                                              if (message.elements()[0].text() == "invalidate") ++pushed;
                                            }})
                            .value();
    ASSERT_TRUE(client->call(words({"CLIENT", "TRACKING", "ON"}), soon()).has_value());
    ASSERT_TRUE(client->call(get("watched"), soon()).has_value());
    server.cli({"SET", "watched", "changed"});
    // The pool looks at a connection that was idle for so long, and must not take what came for its end.
    const auto idle = Deadline::in(Milliseconds(60));
    EXPECT_TRUE(eventually([&] { return idle.passed(); }));
    // It is in the stream before the reply to whatever is asked next.
    ASSERT_TRUE(client->call(words({"PING"}), soon()).has_value());
    EXPECT_EQ(pushed, 1);
  }
}

}  // namespace
