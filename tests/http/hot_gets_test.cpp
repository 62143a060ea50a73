// Gets that come again byte for byte: whatever happens in between, they get what a first one would.
#include "http/hot_gets.hpp"

#include <map>

#include "http/server_fixture.hpp"
#include "support/held_gets.hpp"

namespace {

using namespace setget;
using namespace setget_test;
using setget::detail::HotGets;

std::string hot_get(const std::string& key, const std::string& more = {}) {
  return "GET /v1/records/" + key + " HTTP/1.1\r\nHost: test\r\n" + more + "\r\n";
}

// Several listeners' threads would each have their own memory of what is hot; one thread for sockets has all of it.
class HotGetsOverHttp : public HttpTest {
 protected:
  void SetUp() override {
    decorate_ = [this](KeyStore plain) {
      store_ = std::make_shared<HeldGets>(plain.backend());
      store_->keep_at_hand();
      store_->answer_at_once();
      return KeyStore(store_);
    };
    open();
  }
  // The answer to these bytes, the same five times over; what differs is said.
  RawResponse five_times(RawClient& client, const std::string& request) {
    std::optional<RawResponse> first;
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(client.send(request));
      auto response = client.read();
      EXPECT_TRUE(response) << i;
      if (!response) break;
      response->headers.erase("date");
      if (!first) first = response;
      EXPECT_EQ(response->status, first->status) << i;
      EXPECT_EQ(response->headers, first->headers) << i;
      EXPECT_EQ(response->body, first->body) << i;
    }
    return first.value_or(RawResponse{});
  }
  std::shared_ptr<HeldGets> store_;
};

TEST_F(HotGetsOverHttp, repeats_are_answered_as_the_first) {
  RawClient client(port());
  set(client, "k", R"({"n":1})");
  const auto plain = five_times(client, hot_get("k"));
  EXPECT_EQ(plain.status, 200);
  EXPECT_EQ(plain.body, R"({"n":1})");
  const auto& tag = plain.headers.at("etag");
  EXPECT_EQ(five_times(client, hot_get("k", "If-Match: " + tag + "\r\n")).status, 200);
  EXPECT_EQ(five_times(client, hot_get("k", "If-None-Match: \"other\"\r\n")).status, 200);
  EXPECT_EQ(five_times(client, hot_get("k", "If-None-Match: \"other\"\r\nIf-None-Match: " + tag + "\r\n")).status, 304);
  EXPECT_EQ(five_times(client, hot_get("k", "If-Match: \"other\"\r\n")).status, 412);
  EXPECT_NE(five_times(client, hot_get("k?envelope=true")).body.find("\"payload\""), std::string::npos);
  EXPECT_EQ(five_times(client, hot_get("k?envelope=maybe")).status, 422);
  EXPECT_EQ(five_times(client, hot_get("none")).status, 404);
  EXPECT_EQ(five_times(client, hot_get("elsewhere")).status, 404);
  EXPECT_EQ(five_times(client, "GET /v1/records?key=k HTTP/1.1\r\nHost: test\r\n\r\n").body, R"({"n":1})");
  EXPECT_EQ(five_times(client, "GET /v1/records/k HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc").status, 200);
}

TEST_F(HotGetsOverHttp, a_repeat_is_answered_with_what_is_there_now) {
  RawClient client(port());
  for (int n = 0; n < 20; ++n) {
    set(client, "k", std::to_string(n));
    EXPECT_EQ(five_times(client, hot_get("k")).body, std::to_string(n));
  }
  ASSERT_EQ(client.request("DELETE", "/v1/records/k").value().status, 202);
  ASSERT_TRUE(client.send(hot_get("k")));
  for (auto response = client.read(); response && response->status != 404; response = client.read()) ASSERT_TRUE(client.send(hot_get("k")));
  EXPECT_EQ(five_times(client, hot_get("k")).status, 404);
}

TEST_F(HotGetsOverHttp, a_repeat_has_the_date_of_now) {
  RawClient client(port());
  set(client, "k", "1");
  const auto date = [&] {
    EXPECT_TRUE(client.send(hot_get("k")));
    return client.read().value().headers.at("date");
  };
  const auto first = date();
  EXPECT_EQ(first.size(), std::string_view("Sun, 06 Nov 1994 08:49:37 GMT").size());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  auto next = date();
  for (; next == first; next = date()) ASSERT_LT(std::chrono::steady_clock::now(), deadline) << next;
  EXPECT_EQ(next.size(), first.size());
  EXPECT_TRUE(next.ends_with(" GMT")) << next;
}

TEST_F(HotGetsOverHttp, a_repeat_is_understood_by_the_policy_of_now) {
  RawClient client(port());
  set(client, "k", "1");
  EXPECT_EQ(five_times(client, hot_get("k")).status, 200);
  Flows isolated;
  isolated.isolate_accounts = true;
  ASSERT_TRUE(pipeline_->ttl_policy().reload(isolated));
  EXPECT_EQ(five_times(client, hot_get("k")).status, 422) << "an account is to be named now";
  ASSERT_TRUE(pipeline_->ttl_policy().reload({}));
  EXPECT_EQ(five_times(client, hot_get("k")).status, 200);
}

TEST_F(HotGetsOverHttp, bytes_may_come_in_any_pieces_and_beside_others) {
  RawClient client(port());
  set(client, "a", "1");
  set(client, "b", "2");
  std::string all;
  std::vector<std::string> expected;
  for (int i = 0; i < 200; ++i) {
    all += hot_get(i % 3 == 0 ? "a" : "b") + (i % 7 == 0 ? "\r\n" : "");
    expected.emplace_back(i % 3 == 0 ? "1" : "2");
    if (i % 5 == 0) {
      all += hot_get("a", "X-Other: " + std::to_string(i % 2) + "\r\n");
      expected.emplace_back("1");
    }
  }
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{1000}, all.size()}) {
    SCOPED_TRACE(piece);
    std::jthread sender([&] {
      for (std::size_t at = 0; at < all.size(); at += piece) ASSERT_TRUE(client.send(std::string_view(all).substr(at, piece)));
    });
    for (const auto& body : expected) ASSERT_EQ(client.read().value().body, body);
  }
}

TEST_F(HotGetsOverHttp, a_connection_that_is_to_close_closes) {
  {
    RawClient client(port());
    set(client, "k", "1");
    five_times(client, hot_get("k"));
  }
  for (int i = 0; i < 5; ++i) {
    RawClient client(port());
    ASSERT_TRUE(client.send(hot_get("k", "Connection: close\r\n") + hot_get("k")));
    EXPECT_EQ(client.read().value().headers.at("connection"), "close");
    EXPECT_FALSE(client.read()) << "nothing comes after it";
  }
}

TEST_F(HotGetsOverHttp, one_that_is_being_answered_is_not_idle_for_a_server_that_stops) {
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 8; ++i) idle.push_back(std::make_unique<RawClient>(port()));
  RawClient client(port());
  set(client, "k", "1");
  five_times(client, hot_get("k"));
  std::jthread stopper;
  store_->meanwhile([&] {
    stopper = std::jthread([&] { EXPECT_TRUE(server_->stop(Deadline::in(Milliseconds(20'000)))); });
    for (auto& one : idle) EXPECT_FALSE(one->read()) << "it was closed";
  });
  ASSERT_TRUE(client.send(hot_get("k")));
  const auto response = client.read();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200);
}

HotGets::Hot hot(const std::string& head, std::size_t bytes = 10) {
  return {.head = head, .repeat = {}, .response = std::string(bytes, 'x')};
}

TEST(HotGets, knows_whole_heads_of_gets_alone) {
  EXPECT_EQ(HotGets::head_in("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b"), "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  for (const auto* other : {"", "GET", "GET /a HTTP/1.1\r\nHost: x\r\n", "GET /a HTTP/1.1\r\nHost: x\r\n\r", "HEAD /a HTTP/1.1\r\n\r\n",
                            "get /a HTTP/1.1\r\n\r\n", " GET /a HTTP/1.1\r\n\r\n", "GETS /a HTTP/1.1\r\n\r\n"}) {
    EXPECT_EQ(HotGets::head_in(other), "") << other;
  }
}

TEST(HotGets, finds_what_was_kept_and_only_that) {
  HotGets gets;
  bool worth_keeping = false;
  EXPECT_EQ(gets.find("a", worth_keeping), nullptr);
  EXPECT_FALSE(worth_keeping) << "it may never come again";
  EXPECT_EQ(gets.find("a", worth_keeping), nullptr);
  EXPECT_TRUE(worth_keeping);
  gets.keep(hot("a"));
  ASSERT_NE(gets.find("a", worth_keeping), nullptr);
  EXPECT_EQ(gets.find("a", worth_keeping)->response, "xxxxxxxxxx");
  EXPECT_EQ(gets.find("b", worth_keeping), nullptr);
  gets.forget("b");
  EXPECT_NE(gets.find("a", worth_keeping), nullptr);
  gets.forget("a");
  EXPECT_EQ(gets.find("a", worth_keeping), nullptr);
  EXPECT_EQ(gets.bytes(), 0U);
}

TEST(HotGets, keeps_no_room_that_it_does_not_need) {
  HotGets gets;
  auto roomy = hot("a");
  for (auto* text : {&roomy.head, &roomy.repeat.key, &roomy.repeat.ns, &roomy.response}) text->reserve(1 << 20);
  gets.keep(std::move(roomy));
  bool worth_keeping = false;
  const auto* kept = gets.find("a", worth_keeping);
  ASSERT_NE(kept, nullptr) << "it is small";
  EXPECT_LT(kept->head.capacity() + kept->response.capacity(), 1'000U);
  EXPECT_LT(gets.bytes(), 1'000U);
}

TEST(HotGets, keeps_within_its_bound_and_goes_on) {
  HotGets gets;
  bool worth_keeping = false;
  for (int i = 0; i < 100'000; ++i) {
    const auto head = "GET /" + std::to_string(i);
    gets.keep(hot(head, 4'000));
    ASSERT_LE(gets.bytes(), HotGets::kMostBytes);
    ASSERT_NE(gets.find(head, worth_keeping), nullptr);
  }
  const auto before = gets.bytes();
  gets.keep(hot("large", 100'000));
  EXPECT_EQ(gets.find("large", worth_keeping), nullptr);
  EXPECT_EQ(gets.bytes(), before);
}

}  // namespace
