// Every bound of HttpServerOptions has an effect, and what runs into it gets a clear answer.
#include <memory>
#include <vector>

#include "http/server_fixture.hpp"

namespace {

using setget::Deadline;
using setget::HttpServerOptions;
using setget::Milliseconds;
using setget_test::HttpTest;
using setget_test::RawClient;

// For what a thread of the server brings about once it is its turn, on however busy a machine.
constexpr Milliseconds kAtMost{20'000};

class HttpLimits : public HttpTest {
 protected:
  static HttpServerOptions patient() {
    HttpServerOptions options;
    options.max_body = 64u << 10;
    options.max_buffered = 100u << 10;
    options.max_header = 2048;
    options.header_timeout = options.body_timeout = options.idle_timeout = options.write_timeout = Milliseconds(30'000);
    return options;
  }
  // The others are long: whatever else a test does may take its time.
  static HttpServerOptions soon(Milliseconds HttpServerOptions::*timeout) {
    HttpServerOptions options = patient();
    options.*timeout = Milliseconds(300);
    return options;
  }
  // By the answer on a connection of its own. By that on the next one where there was none: should the machine let the first bytes come too
  // late, the server closes the connection as a silent one.
  template <class Talk>
  void is_too_slow(Talk talk) {
    for (const auto until = Deadline::in(kAtMost);;) {
      ASSERT_FALSE(until.passed());
      RawClient client(port());
      const std::optional<setget_test::RawResponse> answer = talk(client);
      if (!answer) continue;
      EXPECT_EQ(answer->status, 408);
      EXPECT_TRUE(client.closed());
      return;
    }
  }
  static std::string head(std::size_t length) {
    return "POST /v1/payloads?account=a&flow=f&key=k HTTP/1.1\r\nHost: t\r\nContent-Type: text/plain\r\nContent-Length: " +
           std::to_string(length) + "\r\n\r\n";
  }
};

TEST_F(HttpLimits, a_body_over_the_limit_is_refused_before_it_is_read) {
  open(patient());
  RawClient announced(port());
  ASSERT_TRUE(announced.send(head((64u << 10) + 1)));
  EXPECT_EQ(announced.read()->status, 413);
  // The answer must also reach a client that sends everything before it looks.
  RawClient stubborn(port());
  ASSERT_TRUE(stubborn.send(head(8u << 20)));
  ASSERT_TRUE(stubborn.send(std::string(8u << 20, 'x')));
  const auto answer = stubborn.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_NE(answer->body.find("65536"), std::string::npos) << answer->body;
  RawClient fitting(port());
  ASSERT_TRUE(fitting.send(head(64u << 10) + std::string(64u << 10, 'x')));
  EXPECT_EQ(fitting.read()->status, 202);
}

TEST_F(HttpLimits, a_chunked_body_over_the_limit_is_refused) {
  open(patient());
  RawClient client(port());
  ASSERT_TRUE(client.send("POST /v1/records HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (int i = 0; i < 20; ++i)
    if (!client.send("1000\r\n" + std::string(4096, 'x') + "\r\n")) break;
  const auto answer = client.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
}

TEST_F(HttpLimits, a_header_over_the_limit_is_refused) {
  open(patient());
  RawClient client(port());
  ASSERT_TRUE(client.send("GET /healthz HTTP/1.1\r\nHost: t\r\nX: " + std::string(4096, 'x')));
  EXPECT_EQ(client.read()->status, 431);
  RawClient target(port());
  ASSERT_TRUE(target.send("GET /" + std::string(100'000, 'a')));
  EXPECT_EQ(target.read()->status, 431);
  RawClient chunk(port());
  ASSERT_TRUE(chunk.send("POST /v1/records HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(100'000, 'e')));
  EXPECT_EQ(chunk.read()->status, 400);
}

TEST_F(HttpLimits, bodies_that_are_received_at_once_are_bounded_together) {
  open(patient());
  RawClient first(port());
  // Who is told to continue is counted. Without that the second might be counted before it, and the first be refused.
  auto announced = head(60u << 10);
  announced.insert(announced.size() - 2, "Expect: 100-continue\r\n");
  ASSERT_TRUE(first.send(announced));
  const auto go = first.read();
  ASSERT_TRUE(go);
  ASSERT_EQ(go->status, 100) << go->body;
  ASSERT_TRUE(first.send(std::string(100, 'x')));
  RawClient second(port());
  ASSERT_TRUE(second.send(head(60u << 10) + std::string(60u << 10, 'x')));
  const auto answer = second.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_TRUE(answer->headers.contains("retry-after"));
  ASSERT_TRUE(first.send(std::string((60u << 10) - 100, 'x')));
  EXPECT_EQ(first.read()->status, 202);
  RawClient third(port());
  ASSERT_TRUE(third.send(head(60u << 10) + std::string(60u << 10, 'x')));
  EXPECT_EQ(third.read()->status, 202);
}

TEST_F(HttpLimits, what_is_only_announced_takes_no_room_from_others) {
  auto options = patient();
  options.max_body = 12u << 20;
  options.max_buffered = 13u << 20;
  open(options);
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 20; ++i) {
    idle.push_back(std::make_unique<RawClient>(port()));
    // Who is told to continue is counted.
    ASSERT_TRUE(
        idle.back()->send("POST /v1/payloads?account=a&flow=f&key=k HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: " +
                          std::to_string(options.max_body) + "\r\n\r\n"));
    const auto go = idle.back()->read();
    ASSERT_TRUE(go);
    ASSERT_EQ(go->status, 100) << go->body;
  }
  RawClient other(port());
  const auto accepted =
      other.request("POST", "/v1/payloads?account=a&flow=f&key=k", std::string(5u << 20, 'x'), "Content-Type: text/plain\r\n");
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->status, 202) << accepted->body;
}

TEST_F(HttpLimits, a_body_that_finds_no_room_on_its_way_is_refused_and_gives_back_what_it_had) {
  auto options = patient();
  options.max_body = 8u << 20;
  options.max_buffered = 13u << 20;
  open(options);
  constexpr std::size_t kSize = 7u << 20;
  const std::string whole = head(kSize) + std::string(kSize, 'x');
  auto first = std::make_unique<RawClient>(port());
  ASSERT_TRUE(first->send(whole.substr(0, whole.size() - 100)));
  // One of two finds no room. That is the second once the first has its own; else the first comes again.
  for (const auto until = Deadline::in(kAtMost);;) {
    ASSERT_FALSE(until.passed());
    RawClient second(port());
    ASSERT_TRUE(second.send(whole));
    const auto answer = second.read();
    ASSERT_TRUE(answer);
    if (answer->status == 202) {
      if (!first->read(false, Milliseconds(500))) continue;  // an answer that was cut off is none
      first = std::make_unique<RawClient>(port());
      ASSERT_TRUE(first->send(whole.substr(0, whole.size() - 100)));
      continue;
    }
    EXPECT_EQ(answer->status, 503);
    EXPECT_TRUE(answer->headers.contains("retry-after"));
    break;
  }
  ASSERT_TRUE(first->send(std::string(100, 'x')));
  EXPECT_EQ(first->read()->status, 202);
  RawClient third(port());
  ASSERT_TRUE(third.send(whole));
  EXPECT_EQ(third.read()->status, 202);
}

TEST_F(HttpLimits, a_slow_header_is_answered_with_408) {
  open(soon(&HttpServerOptions::header_timeout));
  is_too_slow([](RawClient& client) {
    client.send("GET /healthz HTTP/1.1\r\nHost:");
    return client.read();
  });
}

TEST_F(HttpLimits, a_slow_body_is_answered_with_408) {
  open(soon(&HttpServerOptions::body_timeout));
  RawClient client(port());
  ASSERT_TRUE(client.send(head(1000) + "x"));
  const auto answer = client.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpLimits, dripping_bytes_do_not_prolong_a_timeout) {
  open(soon(&HttpServerOptions::header_timeout));
  is_too_slow([](RawClient& client) {
    std::optional<setget_test::RawResponse> answer;
    client.send("GET /healthz HTTP/1.1\r\n");
    int drips = 0;
    for (; drips < 100 && !answer; ++drips) {
      if (!client.send("X-" + std::to_string(drips) + ": y\r\n")) break;
      answer = client.read(false, std::chrono::milliseconds(100));
    }
    EXPECT_LT(drips, 100);
    return answer;
  });
}

TEST_F(HttpLimits, silent_and_idle_connections_are_closed) {
  open(soon(&HttpServerOptions::header_timeout));
  RawClient silent(port());
  EXPECT_TRUE(silent.closed());
  open(soon(&HttpServerOptions::idle_timeout));
  RawClient idle(port());
  ASSERT_TRUE(idle.request("GET", "/healthz"));
  EXPECT_TRUE(idle.closed());
}

TEST_F(HttpLimits, a_client_that_does_not_read_is_cut_off) {
  auto options = soon(&HttpServerOptions::write_timeout);
  options.max_body = 12u << 20;
  options.max_buffered = 12u << 20;
  open(options);
  {
    RawClient writer(port());
    const std::string big(1u << 20, 'x');
    const auto accepted = writer.request("POST", "/v1/payloads?account=a&flow=f&key=big", big, "Content-Type: text/plain\r\n");
    ASSERT_TRUE(accepted);
    ASSERT_EQ(accepted->status, 202);
    ASSERT_TRUE(writer.request("GET", accepted->headers.at("location") + "?wait=20s"));
  }
  RawClient client(port(), 4096);
  std::string requests;
  for (int i = 0; i < 64; ++i) requests += "GET /v1/records/big HTTP/1.1\r\nHost: t\r\n\r\n";
  ASSERT_TRUE(client.send(requests));
  // The server gives up on the connection although the client is still there.
  for (const auto until = Deadline::in(kAtMost);;) {
    ASSERT_FALSE(until.passed());
    RawClient probe(port());
    const auto metrics = probe.request("GET", "/healthz");
    ASSERT_TRUE(metrics);
    if (!client.send("GET")) break;
    probe.read(false, std::chrono::milliseconds(100));
  }
}

TEST_F(HttpLimits, what_clients_do_not_take_is_bounded_over_all_of_them) {
  auto options = patient();
  options.max_body = 12u << 20;
  options.max_buffered = 12u << 20;
  options.max_unsent = 12u << 20;
  open(options);
  // More than the kernel takes off the server's hands for a client that reads nothing.
  const std::string big(7u << 20, 'x');
  RawClient other(port());
  const auto accepted = other.request("POST", "/v1/payloads?account=a&flow=f&key=big", big, "Content-Type: text/plain\r\n");
  ASSERT_TRUE(accepted);
  ASSERT_EQ(accepted->status, 202);
  ASSERT_TRUE(other.request("GET", accepted->headers.at("location") + "?wait=20s"));
  const std::string get = "GET /v1/records/big HTTP/1.1\r\nHost: t\r\n\r\n";
  {
    RawClient deaf(port(), 4096);
    // Its response is counted once it is made. Should that of the other have been first, it was refused: it asks again.
    std::optional<setget_test::RawResponse> refused;
    for (const auto until = Deadline::in(kAtMost); !until.passed() && (!refused || refused->status == 200);) {
      ASSERT_TRUE(deaf.send(get));
      refused = other.request("GET", "/v1/records/big");
    }
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, 503);
    EXPECT_EQ(refused->headers.count("retry-after"), 1u);
    EXPECT_NE(refused->body.find("12582912"), std::string::npos) << refused->body;
    const auto head = other.request("HEAD", "/v1/records/big");
    ASSERT_TRUE(head);
    EXPECT_EQ(head->status, 200);
    const auto set = other.request("POST", "/v1/payloads?account=a&flow=f&key=small", "s", "Content-Type: text/plain\r\n");
    ASSERT_TRUE(set);
    EXPECT_EQ(set->status, 202);
  }
  std::optional<setget_test::RawResponse> again;
  for (const auto until = Deadline::in(kAtMost); !until.passed() && (!again || again->status == 503);)
    again = other.request("GET", "/v1/records/big");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->status, 200);
}

TEST_F(HttpLimits, connections_over_the_limit_wait_until_one_is_free) {
  auto options = patient();
  options.max_connections = 2;
  open(options);
  RawClient first(port());
  RawClient second(port());
  // Both are in the middle of a request, so neither may be closed to make room.
  for (auto* one : {&first, &second}) {
    ASSERT_TRUE(one->send("POST /v1/records HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 400\r\n\r\n"));
    ASSERT_EQ(one->read()->status, 100);
  }
  RawClient third(port());
  ASSERT_TRUE(third.send("GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"));
  EXPECT_FALSE(third.read(false, std::chrono::milliseconds(1'500))) << "longer than an idle one is spared";
  first.close();
  const auto answer = third.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST_F(HttpLimits, the_longest_idle_connection_makes_room_for_a_new_one) {
  auto options = patient();
  options.max_connections = 2;
  open(options);
  RawClient first(port());
  ASSERT_TRUE(first.request("GET", "/healthz"));
  RawClient second(port());
  ASSERT_TRUE(second.request("GET", "/healthz"));
  RawClient third(port());
  EXPECT_EQ(third.request("GET", "/healthz")->status, 200);
  EXPECT_TRUE(first.closed());
}

}  // namespace
