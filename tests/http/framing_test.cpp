// How requests are cut out of a stream of bytes: where servers are attacked first.
#include <array>
#include <charconv>

#include "http/server_fixture.hpp"

namespace {

using setget_test::HttpTest;
using setget_test::RawClient;

class HttpFraming : public HttpTest {
 protected:
  void SetUp() override { open(); }
  static std::string chunk(const std::string& text) {
    std::array<char, 20> size{};
    const auto end = std::to_chars(size.data(), size.data() + size.size(), text.size(), 16).ptr;
    return std::string(size.data(), end) + "\r\n" + text + "\r\n";
  }
  // Sends and expects one answer of that status, after which the connection is closed.
  void expect_refused(const std::string& bytes, int status) {
    RawClient client(port());
    ASSERT_TRUE(client.send(bytes));
    const auto answer = client.read();
    ASSERT_TRUE(answer) << bytes.substr(0, 200);
    EXPECT_EQ(answer->status, status) << bytes.substr(0, 200) << answer->body;
    EXPECT_EQ(answer->headers.at("connection"), "close");
    EXPECT_EQ(answer->headers.at("content-type"), "application/problem+json");
    client.finish_sending();
    EXPECT_TRUE(client.closed());
  }
};

TEST_F(HttpFraming, pipelined_requests_are_answered_in_order) {
  RawClient client(port());
  std::string all;
  for (int i = 0; i < 50; ++i) {
    const std::string body = "{\"keys\":" + std::to_string(i);
    all += i % 2 == 0 ? std::string("GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
                      : "POST /v1/records HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 50; ++i) {
    const auto answer = client.read();
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->status, i % 2 == 0 ? 200 : 400) << i;
  }
}

TEST_F(HttpFraming, requests_may_come_byte_by_byte) {
  RawClient client(port());
  const std::string body = envelope("k");
  const std::string text = "\r\nPOST /v1/records HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  for (const char c : text) ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  const auto answer = client.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202);
}

TEST_F(HttpFraming, chunked_bodies_are_put_together) {
  RawClient client(port());
  const std::string body = envelope("chunked", "[1,2,3]");
  ASSERT_TRUE(client.send("POST /v1/records HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (std::size_t at = 0; at < body.size(); at += 7) {
    const std::string part = body.substr(at, 7);
    ASSERT_TRUE(client.send(std::to_string(part.size()) + ";note=\"x\"\r\n" + part + "\r\n"));
  }
  ASSERT_TRUE(client.send("0\r\nTrailer: ignored\r\n\r\nGET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"));
  const auto set = client.read();
  ASSERT_TRUE(set);
  EXPECT_EQ(set->status, 202) << set->body;
  const auto next = client.read();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->status, 200);
}

// RFC 9110 section 6.5.1: whoever reads headers, or strips them on the way, does not expect them behind the body.
TEST_F(HttpFraming, a_trailer_does_not_become_a_header) {
  RawClient client(port());
  for (const std::string payload : {"1", "2"}) {
    const std::string body = envelope("trailed", payload);
    ASSERT_TRUE(client.send("POST /v1/records HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
                            chunk(body) + "0\r\nIdempotency-Key: k\r\nIf-None-Match: x\r\nContent-Encoding: gzip\r\n\r\n"));
    const auto answer = client.read();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 202) << answer->body;
  }
  // Headers of a chunked request are still read.
  const std::string body = envelope("trailed", "3");
  const std::string head = "POST /v1/records HTTP/1.1\r\nHost: t\r\nIdempotency-Key: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_TRUE(client.send(head + chunk(body) + "0\r\n\r\n" + head + chunk(body) + "0\r\nIdempotency-Key: other\r\n\r\n"));
  ASSERT_EQ(client.read()->status, 202);
  const auto replayed = client.read();
  ASSERT_TRUE(replayed);
  EXPECT_EQ(replayed->headers.count("idempotency-replayed"), 1u);
}

TEST_F(HttpFraming, a_client_that_expects_100_is_told_to_continue) {
  RawClient client(port());
  const std::string body = envelope("k");
  ASSERT_TRUE(client.send("POST /v1/records HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: " + std::to_string(body.size()) +
                          "\r\n\r\n"));
  const auto go = client.read();
  ASSERT_TRUE(go);
  EXPECT_EQ(go->status, 100);
  ASSERT_TRUE(client.send(body));
  EXPECT_EQ(client.read()->status, 202);
  expect_refused("POST /v1/records HTTP/1.1\r\nHost: t\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n1", 417);
  expect_refused("POST /v1/records HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n", 413);
}

TEST_F(HttpFraming, ambiguous_lengths_are_refused) {
  const std::string start = "POST /v1/records HTTP/1.1\r\nHost: t\r\n";
  expect_refused(start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
  expect_refused(start + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400);
  expect_refused(start + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345", 400);
  expect_refused(start + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n12345", 400);
  expect_refused(start + "Content-Length: 5, 5\r\n\r\n12345", 400);
  expect_refused(start + "Content-Length: +5\r\n\r\n12345", 400);
  expect_refused(start + "Content-Length: -5\r\n\r\n12345", 400);
  expect_refused(start + "Content-Length: 0x5\r\n\r\n12345", 400);
  expect_refused(start + "Content-Length: 18446744073709551616\r\n\r\n1", 400);
  expect_refused(start + "Content-Length:\r\n\r\n1", 400);
  expect_refused(start + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501);
  expect_refused(start + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501);
  expect_refused(start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501);
  expect_refused(start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
  expect_refused(start + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400);
  expect_refused("POST /v1/records HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
  expect_refused(start + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400);
  expect_refused(start + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400);
}

TEST_F(HttpFraming, what_is_no_request_is_refused) {
  using namespace std::string_literals;
  expect_refused("hello\r\n\r\n", 400);
  expect_refused("GET /a b HTTP/1.1\r\nHost: t\r\n\r\n", 400);
  expect_refused("GET / HTTP/2.0\r\nHost: t\r\n\r\n", 505);
  expect_refused("GET / HTTP/1.1\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\nHost: t\r\nbad header\r\n\r\n", 400);
  expect_refused(
      "GET / HTTP/1.1\r\nHost: t\r\nX: a\x01"
      "b\r\n\r\n",
      400);
  expect_refused("GET /\0 HTTP/1.1\r\nHost: t\r\n\r\n"s, 400);
  expect_refused("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client hello\r\n\r\n", 400);
}

TEST_F(HttpFraming, a_post_without_a_length_is_asked_for_one) {
  RawClient client(port());
  ASSERT_TRUE(client.send("POST /v1/records HTTP/1.1\r\nHost: t\r\n\r\n"));
  EXPECT_EQ(client.read()->status, 411);
}

TEST_F(HttpFraming, http_1_0_closes_unless_asked_not_to) {
  RawClient once(port());
  ASSERT_TRUE(once.send("GET /healthz HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(once.read()->headers.at("connection"), "close");
  once.finish_sending();
  EXPECT_TRUE(once.closed());
  RawClient kept(port());
  ASSERT_TRUE(kept.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_EQ(kept.read()->headers.at("connection"), "keep-alive");
  ASSERT_TRUE(kept.send("GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"));
  EXPECT_EQ(kept.read()->headers.at("connection"), "close");
}

TEST_F(HttpFraming, targets_may_be_absolute) {
  RawClient client(port());
  EXPECT_EQ(client.request("GET", "http://example.com:80/healthz")->status, 200);
  EXPECT_EQ(client.request("OPTIONS", "*")->status, 404);
}

TEST_F(HttpFraming, half_a_request_leaves_nothing_behind) {
  for (const std::string part : {"G", "POST /v1/records HTTP/1.1\r\nHost: t\r\nContent-Len",
                                 "POST /v1/records HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{\"keys\"",
                                 "POST /v1/records HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
    RawClient client(port());
    ASSERT_TRUE(client.send(part));
    client.finish_sending();
    EXPECT_TRUE(client.closed()) << part;
  }
  RawClient client(port());
  const auto stats = client.request("GET", "/v1/queue");
  ASSERT_TRUE(stats);
  EXPECT_NE(stats->body.find("\"accepted\":0"), std::string::npos) << stats->body;
}

TEST_F(HttpFraming, a_client_that_leaves_before_the_answer_does_not_stop_the_server) {
  for (int i = 0; i < 20; ++i) {
    RawClient client(port());
    ASSERT_TRUE(client.send("GET /healthz HTTP/1.1\r\nHost: t\r\n\r\nGET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"));
    client.close();
  }
  RawClient client(port());
  EXPECT_EQ(client.request("GET", "/healthz")->status, 200);
}

}  // namespace
