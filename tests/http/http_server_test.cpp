#include <atomic>
#include <thread>
#include <vector>

#include "http/server_fixture.hpp"

namespace {

using setget::Deadline;
using setget::Milliseconds;
using setget_test::HttpTest;
using setget_test::RawClient;

class HttpServing : public HttpTest {};

TEST_F(HttpServing, one_connection_carries_many_requests) {
  open();
  RawClient client(port());
  for (int i = 0; i < 20; ++i) {
    const std::string key = "k" + std::to_string(i);
    set(client, key, "{\"i\": " + std::to_string(i) + "}");
    const auto found = client.request("GET", "/v1/records/" + key);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->status, 200);
    EXPECT_EQ(found->body, "{\"i\": " + std::to_string(i) + "}");
    EXPECT_EQ(found->headers.at("connection"), "keep-alive");
    EXPECT_TRUE(found->headers.contains("date"));
  }
}

TEST_F(HttpServing, more_threads_than_any_host_has_work_for_are_refused) {
  open();
  setget::HttpServerOptions options{.listeners = {{.gateway = gateway_.get()}}};
  ASSERT_TRUE(options.validate());
  options.threads = 1025;
  EXPECT_EQ(options.validate().error().field(), "threads");
  options.threads = 0;
  options.listeners.front().threads = 1025;
  EXPECT_EQ(options.validate().error().field(), "listeners");
}

TEST_F(HttpServing, timeouts_have_a_limit) {
  open();
  using setget::HttpServerOptions;
  const std::pair<const char*, Milliseconds HttpServerOptions::*> timeouts[] = {{"header_timeout", &HttpServerOptions::header_timeout},
                                                                                {"body_timeout", &HttpServerOptions::body_timeout},
                                                                                {"idle_timeout", &HttpServerOptions::idle_timeout},
                                                                                {"write_timeout", &HttpServerOptions::write_timeout}};
  for (const auto& [name, timeout] : timeouts) {
    HttpServerOptions options{.listeners = {{.gateway = gateway_.get()}}};
    options.*timeout = std::chrono::hours(24);
    EXPECT_TRUE(options.validate()) << name;
    for (const auto bad : {Milliseconds(0), Milliseconds(std::chrono::hours(24)) + Milliseconds(1), Milliseconds::max()}) {
      options.*timeout = bad;
      ASSERT_FALSE(options.validate()) << name;
      EXPECT_EQ(options.validate().error().field(), name);
    }
  }
}

TEST_F(HttpServing, head_sends_the_length_and_no_body) {
  open();
  RawClient client(port());
  set(client, "k", "[1, 2, 3]");
  const auto head = client.request("HEAD", "/v1/records/k");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->headers.at("content-length"), "9");
  const auto get = client.request("GET", "/v1/records/k");  // would read the body of HEAD as its head
  ASSERT_TRUE(get);
  EXPECT_EQ(get->body, "[1, 2, 3]");
  const auto unchanged = client.request("GET", "/v1/records/k", {}, "If-None-Match: " + get->headers.at("etag") + "\r\n");
  ASSERT_TRUE(unchanged);
  EXPECT_EQ(unchanged->status, 304);
  EXPECT_FALSE(unchanged->headers.contains("content-length"));
  EXPECT_EQ(client.request("GET", "/v1/records/k")->status, 200);
}

// RFC 9110 section 5.3.
TEST_F(HttpServing, several_lines_of_if_none_match_are_one_list) {
  open();
  RawClient client(port());
  set(client, "k", "[1, 2, 3]");
  const auto tag = client.request("GET", "/v1/records/k").value().headers.at("etag");
  const auto status = [&](const std::string& method, const std::string& first, const std::string& second) {
    const auto lines = "If-None-Match: " + first + "\r\nX-Between: 1\r\nif-none-match: " + second + "\r\n";
    const auto response = client.request(method, "/v1/records/k", {}, lines);
    return response ? response->status : 0;
  };
  for (const std::string& named : {tag, "W/" + tag, std::string("*")}) {
    EXPECT_EQ(status("GET", "\"other\"", named), 304) << named;
    EXPECT_EQ(status("GET", named, "W/\"other\""), 304) << named;
    EXPECT_EQ(status("HEAD", "\"other\", \"another\"", named), 304) << named;
  }
  EXPECT_EQ(status("GET", "\"other\"", "W/\"another\""), 200);
}

// Small bodies leave in one piece with their head, larger ones beside it; and what one response left behind is no part of the next.
TEST_F(HttpServing, bodies_of_every_size_come_whole_on_one_connection) {
  open();
  RawClient client(port());
  const std::vector<std::size_t> sizes = {2, 3, 1000, 4095, 4096, 4097, 4098, 5000, 16'384, 70'000, 4096, 10, 4097, 2};
  for (const auto size : sizes) {
    std::string payload = "\"" + std::string(size - 2, static_cast<char>('a' + size % 26)) + "\"";
    set(client, "k", payload);
    const auto got = client.request("GET", "/v1/records/k");
    ASSERT_TRUE(got.has_value()) << size;
    EXPECT_EQ(got->status, 200);
    EXPECT_TRUE(got->body == payload) << size << " bytes: " << got->body.substr(0, 100);
    const auto head = client.request("HEAD", "/v1/records/k");
    ASSERT_TRUE(head.has_value()) << size;
    EXPECT_EQ(head->headers.at("content-length"), std::to_string(size));
  }
}

TEST_F(HttpServing, large_payloads_travel_both_ways_unchanged) {
  open();
  RawClient client(port());
  std::string payload(7u << 20, '\0');
  std::uint32_t x = 1;
  for (char& c : payload) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  const auto accepted = client.request("POST", "/v1/payloads?account=a&flow=f&key=big", payload, "Content-Type: application/x-bytes\r\n");
  ASSERT_TRUE(accepted);
  ASSERT_EQ(accepted->status, 202) << accepted->body;
  ASSERT_EQ(client.request("GET", accepted->headers.at("location") + "?wait=20s")->status, 200);
  const auto found = client.request("GET", "/v1/records/big");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->status, 200);
  EXPECT_TRUE(found->body == payload);
}

TEST_F(HttpServing, many_clients_at_once) {
  open();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([this, t, &wrong] {
      RawClient client(port());
      for (int i = 0; i < 25; ++i) {
        const std::string key = std::to_string(t) + "-" + std::to_string(i);
        const auto accepted = client.request("POST", "/v1/records", envelope(key, "\"" + key + "\""), "Content-Type: application/json\r\n");
        if (!accepted || accepted->status != 202) {
          ++wrong;
          continue;
        }
        const auto applied = client.request("GET", accepted->headers.at("location") + "?wait=20s");
        const auto found = client.request("GET", "/v1/records/" + key);
        if (!applied || !found || found->body != "\"" + key + "\"") ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(HttpServing, stop_finishes_the_request_that_is_handled_and_closes_the_idle) {
  open();
  RawClient idle(port());
  ASSERT_TRUE(idle.request("GET", "/healthz"));
  RawClient busy(port());
  ASSERT_TRUE(busy.send("POST /v1/records HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 400\r\n\r\n"));
  ASSERT_EQ(busy.read()->status, 100);  // so the server is in the middle of this request
  std::atomic<bool> stopped{false};
  std::thread stopper([&] {
    const auto result = server_->stop(Deadline::in(Milliseconds(20'000)));
    EXPECT_TRUE(result) << result.error().describe();
    stopped = true;
  });
  EXPECT_TRUE(idle.closed());
  EXPECT_FALSE(stopped);
  ASSERT_TRUE(busy.send(std::string(400, ' ')));
  const auto answer = busy.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 400);
  EXPECT_EQ(answer->headers.at("connection"), "close");
  EXPECT_TRUE(busy.closed());
  stopper.join();
  EXPECT_TRUE(server_->stop(Deadline::immediate()));
  RawClient late(port());
  EXPECT_FALSE(late.connected() && late.request("GET", "/healthz"));
}

TEST_F(HttpServing, stop_cuts_what_does_not_finish_in_time) {
  open({.header_timeout = Milliseconds(60'000)});
  RawClient slow(port());
  ASSERT_TRUE(slow.send("GET /healthz HTTP/1.1\r\nHost: t\r\n"));
  RawClient probe(port());
  ASSERT_TRUE(probe.request("GET", "/healthz"));  // so the bytes above were probably read
  const auto begin = std::chrono::steady_clock::now();
  static_cast<void>(server_->stop(Deadline::in(Milliseconds(300))));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  EXPECT_TRUE(slow.closed());
}

TEST_F(HttpServing, options_are_checked) {
  EXPECT_FALSE(setget::HttpServer::create({}));
  open();
  setget::HttpServerOptions options;
  setget::HttpListener taken;
  taken.port = port();
  taken.gateway = gateway_.get();
  options.listeners = {taken};
  const auto refused = setget::HttpServer::create(options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find(std::to_string(port())), std::string::npos);
  options.max_header = 10;
  EXPECT_FALSE(setget::HttpServer::create(options));
}

TEST(HttpListener, is_read_from_host_and_port) {
  EXPECT_EQ(setget::parse_listener("127.0.0.1:0")->host, "127.0.0.1");
  EXPECT_EQ(setget::parse_listener("[::1]:8080")->host, "::1");
  EXPECT_EQ(setget::parse_listener("localhost:65535")->port, 65535);
  for (const char* bad : {"", "host", "host:", ":80", "host:65536", "host:-1", "host:80x", "::1:80", "[::1]", "[]:80"})
    EXPECT_FALSE(setget::parse_listener(bad)) << bad;
}

}  // namespace
