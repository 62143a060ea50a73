// One connection against real servers and through a proxy that breaks it.
#include "redis/connection.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <barrier>
#include <set>
#include <thread>

#include "redis/errors.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/faults.hpp>
#include <setget/testing/tcp_proxy.hpp>

namespace {

using namespace setget;
using namespace setget::redis;
using redis_test::eventually;
using redis_test::RedisServer;
using redis_test::ServerOptions;
using setget::testing::TcpProxy;
using Way = TcpProxy::Way;

Deadline soon(int ms = 20'000) { return Deadline::in(Milliseconds(ms)); }

std::shared_ptr<Connection> connect(const std::string& uri, ConnectionLimits limits = {}) {
  const auto settings = parse_uri(uri).value();
  std::shared_ptr<TlsContext> tls;
  if (settings.use_tls) tls = TlsContext::create(settings.tls).value();
  auto transport = Transport::connect(settings.endpoints[0], tls, soon()).value();
  return Connection::create(std::move(transport), settings.endpoints[0].text(), limits);
}
std::string local(std::uint16_t port) { return "redis://127.0.0.1:" + std::to_string(port); }

Result<Reply> ask(Connection& connection, const RedisCommand& command, Deadline deadline = soon()) {
  auto replies = connection.call(command.wire(), command.replies(), deadline);
  if (!replies) return std::move(replies).error();
  return std::move(replies->front());
}
RedisCommand echo(const std::string& text) { return RedisCommand("ECHO").arg(text); }

class RedisConnection : public ::testing::Test {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    // A signal that nobody catches would end the whole test program: which is what must not happen.
    ::signal(SIGPIPE, SIG_DFL);
  }
};

TEST_F(RedisConnection, answers_over_tcp_and_unix_socket) {
  RedisServer server;
  for (const auto& uri : {server.uri(), "unix://" + server.socket_path()}) {
    const auto connection = connect(uri);
    EXPECT_EQ(ask(*connection, RedisCommand("SET").key("k").arg("v")).value().text(), "OK");
    EXPECT_EQ(ask(*connection, RedisCommand("GET").key("k")).value().text(), "v");
    connection->stop("done");
    EXPECT_EQ(ask(*connection, RedisCommand("GET").key("k")).error().code(), ErrorCode::kUnavailable);
  }
}

void hammer(const std::string& uri, int calls) {
  const auto connection = connect(uri);
  constexpr int kThreads = 16;
  std::atomic<int> wrong{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < calls; ++i) {
        const auto text =
            std::to_string(t) + ":" + std::to_string(i) + std::string(static_cast<std::size_t>(i % 97 == 0 ? 20'000 : i % 50), '.');
        const auto reply = ask(*connection, echo(text));
        if (!reply || reply->text() != text) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(connection->requests(), static_cast<std::uint64_t>(kThreads) * static_cast<std::uint64_t>(calls));
  connection->stop("done");
}

TEST_F(RedisConnection, gives_every_reply_to_its_caller) {
  RedisServer server;
  hammer(server.uri(), 6250);
}

// A server in the test's hand at the other end of a socket pair; the first write waits at a gate.
class GatedTransport final : public Transport {
 public:
  GatedTransport(int socket, setget::testing::Gate& gate) : Transport(socket), gate_(gate) {}
  Moved read(std::span<char> into) override { return setget::redis::detail::socket_read(socket_, into); }
  Moved write(std::string_view bytes) override {
    gate_.pass();
    return setget::redis::detail::socket_write(socket_, bytes);
  }

 private:
  setget::testing::Gate& gate_;
};

TEST_F(RedisConnection, sends_in_one_write_what_came_while_another_was_under_way) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  setget::testing::Gate gate;
  const auto connection = Connection::create(std::make_unique<GatedTransport>(ends[0], gate), "test", {});
  std::vector<std::jthread> callers;
  for (int i = 0; i < 16; ++i) callers.emplace_back([&] { EXPECT_EQ(ask(*connection, RedisCommand("PING")).value().text(), "PONG"); });
  EXPECT_TRUE(gate.wait_for_callers(1, soon()));
  EXPECT_TRUE(eventually([&] { return connection->requests() == 16; }));
  gate.open();
  std::string got;
  std::array<char, 4096> buffer;
  while (got.size() < 16 * RedisCommand("PING").wire().size())
    got.append(buffer.data(), static_cast<std::size_t>(::read(ends[1], buffer.data(), buffer.size())));
  for (int i = 0; i < 16; ++i) ASSERT_EQ(::write(ends[1], "+PONG\r\n", 7), 7);
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(connection->writes(), 2U);
  ::close(ends[1]);
}

TEST_F(RedisConnection, does_the_same_over_tls) {
  RedisServer server({.tls = true});
  hammer(server.uri(), 1000);
}

TEST_F(RedisConnection, checks_the_certificate_and_its_name) {
  RedisServer server({.tls = true});
  const auto attempt = [&](const std::string& options, const std::string& host = "127.0.0.1") -> Result<std::unique_ptr<Transport>> {
    const auto settings = parse_uri("rediss://" + host + ":" + std::to_string(server.port()) + options).value();
    auto tls = TlsContext::create(settings.tls);
    if (!tls) return std::move(tls).error();
    return Transport::connect(settings.endpoints[0], *tls, soon());
  };
  EXPECT_TRUE(attempt("?ca=" + server.ca()).has_value());
  EXPECT_TRUE(attempt("?ca=" + server.ca(), "localhost").has_value());
  EXPECT_TRUE(attempt("?insecure=true").has_value());
  const auto stranger = attempt("");
  ASSERT_FALSE(stranger.has_value());
  EXPECT_EQ(stranger.error().code(), ErrorCode::kFailedPrecondition);
  const auto misnamed = attempt("?server_name=other.example&ca=" + server.ca());
  ASSERT_FALSE(misnamed.has_value());
  EXPECT_EQ(misnamed.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(attempt("?ca=/no/such/file").error().field(), "uri.ca");
  RedisServer plain;
  const auto settings = parse_uri("rediss://" + plain.address() + "?insecure=true").value();
  EXPECT_FALSE(Transport::connect(settings.endpoints[0], TlsContext::create(settings.tls).value(), soon(2000)).has_value());
}

TEST_F(RedisConnection, tells_why_a_handshake_failed_where_certificates_are_not_looked_at) {
  // Of TLS 1.2, where a server says within the handshake that it wants a certificate of the client's.
  RedisServer server({.arguments = {"--tls-auth-clients", "yes", "--tls-protocols", "TLSv1.2"}, .tls = true});
  const auto settings = parse_uri("rediss://" + server.address() + "?insecure=true").value();
  const auto refused = Transport::connect(settings.endpoints[0], TlsContext::create(settings.tls).value(), soon());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnavailable) << refused.error().describe();
  EXPECT_NE(refused.error().native_text().find("handshake failure"), std::string::npos) << refused.error().describe();
  EXPECT_EQ(refused.error().message().find("trusted"), std::string::npos) << refused.error().describe();
}

TEST_F(RedisConnection, whose_server_is_killed_raises_no_signal_and_answers_everybody) {
  for (const bool tls : {false, true}) {
    RedisServer server({.tls = tls});
    const auto connection = connect(server.uri());
    std::atomic<int> calls{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (;;) {
          const auto reply = ask(*connection, echo(std::string(10'000, 'x')));
          ++calls;
          if (!reply) {
            EXPECT_EQ(reply.error().code(), ErrorCode::kUnavailable) << reply.error().describe();
            return;
          }
        }
      });
    }
    EXPECT_TRUE(eventually([&] { return calls > 2000; }));
    server.kill();
    for (auto& thread : threads) thread.join();
    EXPECT_FALSE(connection->usable());
    connection->stop("done");
  }
}

TEST_F(RedisConnection, keeps_deadlines_when_the_server_hangs_and_closes_after_the_timeout) {
  RedisServer server;
  const auto connection = connect(server.uri(), {.timeout = Milliseconds(5'000)});
  ASSERT_TRUE(ask(*connection, echo("x")).has_value());
  server.pause();
  const auto begin = Deadline::Steady::now();
  const auto late = ask(*connection, echo("late"), soon(100));
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(maybe_executed(late.error()));
  EXPECT_GE(Deadline::Steady::now() - begin, Milliseconds(100));
  EXPECT_LT(Deadline::Steady::now() - begin, Milliseconds(4'000));
  EXPECT_TRUE(connection->usable());
  // The others wait longer than the server may owe a reply.
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto lost = ask(*connection, echo("lost"), soon(60'000));
      ASSERT_FALSE(lost.has_value());
      EXPECT_EQ(lost.error().code(), ErrorCode::kUnavailable);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LT(Deadline::Steady::now() - begin, Milliseconds(20'000));
  EXPECT_FALSE(connection->usable());
  server.resume();
}

TEST_F(RedisConnection, drops_the_reply_of_a_caller_who_left) {
  RedisServer server;
  const auto connection = connect(server.uri());
  server.pause();
  EXPECT_FALSE(ask(*connection, echo("one"), soon(20)).has_value());
  EXPECT_FALSE(ask(*connection, echo("two"), soon(20)).has_value());
  server.resume();
  EXPECT_EQ(ask(*connection, echo("three")).value().text(), "three");
}

TEST_F(RedisConnection, takes_back_what_was_not_sent) {
  RedisServer server;
  const auto connection = connect(server.uri(), {.max_bytes = std::size_t{256} << 20});
  server.pause();
  // More than the socket takes: what comes after it stays queued.
  std::jthread first([&] { (void)ask(*connection, RedisCommand("SET").key("big").arg(std::string(std::size_t{32} << 20, 'x'))); });
  EXPECT_TRUE(eventually([&] { return connection->requests() == 1 && connection->writes() > 1; }));
  const auto unsent = ask(*connection, RedisCommand("SET").key("never").arg("x"), soon(50));
  ASSERT_FALSE(unsent.has_value());
  EXPECT_EQ(unsent.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_FALSE(maybe_executed(unsent.error())) << unsent.error().describe();
  server.resume();
  first.join();
  EXPECT_TRUE(ask(*connection, RedisCommand("GET").key("never")).value().is_nil());
  EXPECT_EQ(ask(*connection, RedisCommand("STRLEN").key("big")).value().integer(), 32 << 20);
}

TEST_F(RedisConnection, tells_what_may_have_been_carried_out_when_a_reply_is_lost) {
  RedisServer server;
  const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
  const auto connection = connect(local(proxy->port()));
  ASSERT_TRUE(ask(*connection, echo("x")).has_value());
  proxy->cut_after(Way::kToClient, 3);  // "+OK" without its end
  const auto lost = ask(*connection, RedisCommand("INCR").key("n"));
  ASSERT_FALSE(lost.has_value());
  EXPECT_EQ(lost.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(maybe_executed(lost.error()));
  EXPECT_EQ(server.cli({"GET", "n"}), "1");

  const auto after = ask(*connection, RedisCommand("INCR").key("n"));
  ASSERT_FALSE(after.has_value());
  EXPECT_FALSE(maybe_executed(after.error()));
}

// A server that waits for the rest of a request which was lost on the way takes bytes for ever and answers nothing.
TEST_F(RedisConnection, requests_that_go_on_do_not_keep_a_silent_server_alive) {
  RedisServer server;
  const auto connection = connect(server.uri(), {.timeout = Milliseconds(2'000)});
  ASSERT_TRUE(ask(*connection, echo("x")).has_value());
  server.pause();
  const auto begin = Deadline::Steady::now();
  while (connection->usable() && Deadline::Steady::now() - begin < Milliseconds(15'000)) (void)ask(*connection, echo("y"), soon(20));
  EXPECT_FALSE(connection->usable());
  EXPECT_LT(Deadline::Steady::now() - begin, Milliseconds(15'000));
  server.resume();
}

TEST_F(RedisConnection, ends_when_the_server_talks_nonsense) {
  RedisServer server;
  for (const char* garbage : {"?what\r\n", "$5000000000\r\n"}) {
    const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
    const auto connection = connect(local(proxy->port()));
    ASSERT_TRUE(ask(*connection, echo("x")).has_value());
    proxy->stall(Way::kToServer, true);
    std::jthread caller([&] {
      const auto reply = ask(*connection, echo("y"));
      ASSERT_FALSE(reply.has_value());
      EXPECT_EQ(reply.error().code(), ErrorCode::kUnavailable);
      EXPECT_NE(reply.error().native_text().find("RESP"), std::string::npos) << reply.error().describe();
    });
    EXPECT_TRUE(eventually([&] { return connection->requests() == 2; }));
    proxy->inject(Way::kToClient, garbage);
    caller.join();
    EXPECT_FALSE(connection->usable());
  }
}

TEST_F(RedisConnection, survives_slow_halting_and_tiny_deliveries) {
  RedisServer server;
  const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
  proxy->delay(Way::kToClient, Milliseconds(2));
  const auto connection = connect(local(proxy->port()));
  const std::string text(300'000, 'y');
  EXPECT_EQ(ask(*connection, echo(text)).value().text(), text);
  proxy->limit(Way::kToClient, 20'000'000);
  EXPECT_EQ(ask(*connection, echo(text)).value().text(), text);
}

TEST_F(RedisConnection, notices_that_the_server_hung_up_while_idle) {
  RedisServer server;
  const auto connection = connect(server.uri());
  ASSERT_TRUE(ask(*connection, echo("x")).has_value());
  server.cli({"CLIENT", "KILL", "TYPE", "normal"});
  EXPECT_TRUE(eventually([&] { return !connection->usable(); }));
}

TEST_F(RedisConnection, holds_callers_at_its_limits_until_their_deadline) {
  RedisServer server;
  const auto connection = connect(server.uri(), {.max_requests = 2, .max_bytes = 1000});
  // One is always admitted, however large.
  EXPECT_EQ(ask(*connection, echo(std::string(5000, 'x'))).value().text().size(), 5000U);
  server.pause();
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back([&] { EXPECT_TRUE(ask(*connection, echo("x")).has_value()); });
  EXPECT_TRUE(eventually([&] { return connection->requests() == 3; }));
  const auto refused = ask(*connection, echo("y"), soon(50));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_FALSE(maybe_executed(refused.error()));
  EXPECT_EQ(connection->submit(echo("z").wire(), 1, soon(), [](Result<Replies>) { ADD_FAILURE(); }).error().code(),
            ErrorCode::kResourceExhausted);
  std::jthread patient([&] { EXPECT_TRUE(ask(*connection, echo("patient")).has_value()); });
  server.resume();
  for (auto& thread : threads) thread.join();
  patient.join();
}

TEST_F(RedisConnection, completion_form_answers_in_order_and_shares_writes) {
  RedisServer server;
  const auto connection = connect(server.uri(), {.max_requests = 200'000});
  constexpr int kCalls = 100'000;
  std::atomic<int> done{0};
  std::atomic<int> wrong{0};
  for (int i = 0; i < kCalls; ++i) {
    const auto text = std::to_string(i);
    connection
        ->submit(echo(text).wire(), 1, soon(),
                 [&, i, text](Result<Replies> replies) {
                   if (!replies || replies->size() != 1 || replies->front().text() != text || done.fetch_add(1) != i) ++wrong;
                 })
        .value();
  }
  EXPECT_TRUE(eventually([&] { return done == kCalls; }));
  EXPECT_EQ(wrong, 0);
  EXPECT_LT(connection->writes(), connection->requests() / 2);
  connection->stop("done");
}

TEST_F(RedisConnection, mixes_blocking_callers_and_callbacks) {
  RedisServer server;
  const auto connection = connect(server.uri());
  std::atomic<int> called{0};
  std::atomic<int> accepted{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const auto text = std::to_string(t * 10'000 + i);
        if (t % 2 == 0) {
          EXPECT_EQ(ask(*connection, echo(text)).value().text(), text);
        } else if (connection->submit(echo(text).wire(), 1, soon(), [&, text](Result<Replies> replies) {
                     EXPECT_EQ(replies.value().front().text(), text);
                     ++called;
                   })) {
          ++accepted;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(eventually([&] { return called == accepted; }));
  EXPECT_GT(accepted, 0);
  connection->stop("done");
}

TEST_F(RedisConnection, runs_every_callback_exactly_once_however_it_ends) {
  RedisServer server;
  for (int how = 0; how < 4; ++how) {
    const auto connection = connect(server.uri(), {.timeout = Milliseconds(how == 3 ? 2'000 : 20'000)});
    ASSERT_TRUE(ask(*connection, echo("x")).has_value());
    server.pause();
    std::array<std::atomic<int>, 100> calls{};
    for (auto& count : calls) {
      connection
          ->submit(echo("y").wire(), 1, soon(how == 2 ? 50 : 20'000),
                   [&count, how](Result<Replies> replies) {
                     EXPECT_FALSE(replies.has_value());
                     EXPECT_EQ(replies.error().code(), how == 2 ? ErrorCode::kDeadlineExceeded : ErrorCode::kUnavailable);
                     ++count;
                   })
          .value();
    }
    if (how == 1) server.kill();
    if (how >= 2) {
      EXPECT_TRUE(eventually([&] { return calls[99] == 1; }));
    }
    connection->stop("the test closes it");
    for (const auto& count : calls) EXPECT_EQ(count, 1) << how;
    EXPECT_FALSE(connection->submit(echo("y").wire(), 1, soon(), [](Result<Replies>) { ADD_FAILURE(); }).has_value());
    if (how == 1) {
      server.start();
    } else {
      server.resume();
    }
  }
}

TEST_F(RedisConnection, callbacks_may_submit_throw_and_outlive_their_owner) {
  RedisServer server;
  auto connection = connect(server.uri());
  std::atomic<int> done{0};
  std::function<void(int)> next = [&](int left) {
    connection
        ->submit(echo("x").wire(), 1, soon(),
                 [&, left](Result<Replies>) {
                   if (left > 0) next(left - 1);
                   ++done;
                   throw std::runtime_error("of a callback");
                 })
        .value();
  };
  next(50);
  EXPECT_TRUE(eventually([&] { return done == 51; }));
  connection->retire("done");
  EXPECT_TRUE(eventually([&] { return connection->finished(); }));
  connection.reset();
}

// TLS 1.3 sends tickets for later sessions behind the handshake.
TEST_F(RedisConnection, session_tickets_are_not_taken_for_the_end_of_an_idle_connection) {
  RedisServer server({.tls = true});
  const auto settings = parse_uri(server.uri()).value();
  const auto transport = Transport::connect(settings.endpoints[0], TlsContext::create(settings.tls).value(), soon()).value();
  const auto readable = [&](Deadline until) { return transport->wait(true, false, -1, until).readable; };
  ASSERT_TRUE(readable(soon())) << "the tickets";
  EXPECT_TRUE(eventually([&] {
    EXPECT_EQ(transport->look(), Idle::kQuiet);
    return !readable(Deadline::immediate());
  }));
  // What is there for the caller stays there.
  ASSERT_EQ(transport->write("PING\r\n").state, Moved::State::kSome);
  ASSERT_TRUE(eventually([&] { return transport->look() == Idle::kBytes; })) << "behind a ticket that came late, if there was one";
  EXPECT_EQ(transport->look(), Idle::kBytes) << "also once TLS has taken it from the socket";
  std::array<char, 64> bytes{};
  const auto moved = transport->read(bytes);
  EXPECT_EQ(std::string_view(bytes.data(), moved.bytes), "+PONG\r\n");
  EXPECT_EQ(transport->look(), Idle::kQuiet);
  server.kill();
  EXPECT_TRUE(eventually([&] { return transport->look() == Idle::kGone; }));
}

TEST_F(RedisConnection, transaction_shares_a_connection_without_mixing) {
  RedisServer server;
  const auto connection = connect(server.uri());
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        const RedisCommand parts[] = {RedisCommand("INCR").key("{n}a"), RedisCommand("INCR").key("{n}b")};
        const auto whole = RedisCommand::transaction(parts);
        const auto replies = connection->call(whole.wire(), whole.replies(), soon()).value();
        ASSERT_EQ(replies.size(), 4U);
        ASSERT_EQ(replies[3].elements().size(), 2U);
        ASSERT_EQ(replies[3].elements()[0], replies[3].elements()[1]);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(server.cli({"GET", "{n}a"}), "2400");
}

}  // namespace
