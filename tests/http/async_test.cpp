// The server over a key store that answers gets later: in any order, on other threads, at the worst moments.
#include <atomic>
#include <thread>

#include "http/server_fixture.hpp"
#include "support/held_gets.hpp"

namespace {

using namespace setget;
using namespace setget_test;

std::string get(const std::string& key) { return "GET /v1/records/" + key + " HTTP/1.1\r\nHost: test\r\n\r\n"; }

class HttpAsync : public HttpTest {
 protected:
  void SetUp() override {
    decorate_ = [this](KeyStore plain) {
      store_ = std::make_shared<HeldGets>(plain.backend());
      if (at_hand_) store_->keep_at_hand();
      return KeyStore(store_);
    };
  }
  // Keys k0 … with their number as payload.
  void fill(int keys) {
    RawClient client(port());
    for (int i = 0; i < keys; ++i) set(client, "k" + std::to_string(i), std::to_string(i));
  }
  bool at_hand_ = false;
  std::shared_ptr<HeldGets> store_;
};

TEST_F(HttpAsync, few_threads_keep_many_gets_in_flight) {
  HttpServerOptions options;
  options.threads = 2;
  open(std::move(options));
  fill(100);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(clients.back()->send(get("k" + std::to_string(i))));
  }
  ASSERT_TRUE(store_->wait_for(100));
  // And the threads are free for others.
  RawClient other(port());
  EXPECT_EQ(other.request("GET", "/healthz").value().status, 200);
  store_->answer_all();
  for (int i = 0; i < 100; ++i) {
    const auto response = clients[static_cast<std::size_t>(i)]->read();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, std::to_string(i));
  }
}

TEST_F(HttpAsync, answers_pipelined_requests_in_their_order) {
  open();
  fill(20);
  RawClient client(port());
  std::string all;
  for (int i = 0; i < 20; ++i) all += get("k" + std::to_string(i)) + "GET /v1/records/none HTTP/1.1\r\nHost: test\r\n\r\n";
  ASSERT_TRUE(client.send(all));
  ASSERT_TRUE(store_->wait_for(1));
  EXPECT_EQ(store_->waiting(), 1U) << "one after the other";
  store_->answer_in_disorder(1);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(client.read().value().body, std::to_string(i));
    EXPECT_EQ(client.read().value().status, 404);
  }
}

TEST_F(HttpAsync, what_is_at_hand_is_answered_without_asking_the_store) {
  at_hand_ = true;
  open();
  fill(3);
  RawClient client(port());
  std::string all;
  for (int i = 0; i < 300; ++i) all += get("k" + std::to_string(i % 3));
  ASSERT_TRUE(client.send(all + "HEAD /v1/records/k1 HTTP/1.1\r\nHost: test\r\n\r\n" + get("none") + get("elsewhere") + get("k1")));
  for (int i = 0; i < 300; ++i) ASSERT_EQ(client.read().value().body, std::to_string(i % 3));
  EXPECT_EQ(client.read(true).value().status, 200);
  EXPECT_EQ(client.read().value().status, 404);
  ASSERT_TRUE(store_->wait_for(1)) << "this one it has to be asked for";
  EXPECT_EQ(store_->waiting(), 1U);
  store_->answer_all();
  EXPECT_EQ(client.read().value().status, 404);
  EXPECT_EQ(client.read().value().body, "1");
}

TEST_F(HttpAsync, takes_answers_that_come_before_the_question_returns) {
  open();
  fill(3);
  store_->answer_at_once();
  RawClient client(port());
  std::string all;
  for (int i = 0; i < 300; ++i) all += get("k" + std::to_string(i % 3));
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 300; ++i) ASSERT_EQ(client.read().value().body, std::to_string(i % 3));
}

TEST_F(HttpAsync, keeps_the_meaning_of_every_kind_of_get) {
  open();
  fill(1);
  store_->answer_in_disorder(2);
  RawClient client(port());
  const auto plain = client.request("GET", "/v1/records/k0").value();
  EXPECT_EQ(plain.status, 200);
  const auto tag = plain.headers.at("etag");
  EXPECT_EQ(client.request("GET", "/v1/records?key=k0").value().body, "0");
  EXPECT_EQ(client.request("HEAD", "/v1/records/k0").value().headers.at("content-length"), "1");
  EXPECT_EQ(client.request("GET", "/v1/records/k0", {}, "If-None-Match: " + tag + "\r\n").value().status, 304);
  EXPECT_EQ(client.request("GET", "/v1/records/k0", {}, "If-Match: \"other\"\r\n").value().status, 412);
  EXPECT_EQ(client.request("GET", "/v1/records/none", {}, "If-Match: *\r\n").value().status, 412);
  EXPECT_NE(client.request("GET", "/v1/records/k0?envelope=true").value().body.find("\"payload\""), std::string::npos);
  EXPECT_EQ(client.request("GET", "/v1/records/k0?envelope=maybe").value().status, 422);
  EXPECT_EQ(client.request("GET", "/v1/records/").value().status, 422);
  EXPECT_EQ(client.request("DELETE", "/v1/records/k0").value().status, 202);
}

TEST_F(HttpAsync, says_what_went_wrong_with_the_store) {
  open();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("k") + get("k")));
  ASSERT_TRUE(store_->wait_for(1));
  store_->answer_all(Error(ErrorCode::kUnavailable, "the server is away"));
  EXPECT_EQ(client.read().value().status, 503);
  ASSERT_TRUE(store_->wait_for(1));
  store_->answer_all(Error(ErrorCode::kDeadlineExceeded, "too late"));
  EXPECT_EQ(client.read().value().status, 503);
}

TEST_F(HttpAsync, a_client_that_left_harms_nobody) {
  open();
  fill(1);
  for (int i = 0; i < 50; ++i) {
    RawClient client(port());
    ASSERT_TRUE(client.send(get("k0") + (i % 2 == 0 ? get("k0") : "")));
    ASSERT_TRUE(store_->wait_for(static_cast<std::size_t>(i) + 1));
  }
  store_->answer_in_disorder(3);
  RawClient client(port());
  EXPECT_EQ(client.request("GET", "/v1/records/k0").value().status, 200);
  server_.reset();  // and it ends
}

TEST_F(HttpAsync, stop_finishes_gets_in_flight) {
  open();
  fill(1);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(clients.back()->send(get("k0")));
  }
  ASSERT_TRUE(store_->wait_for(20));
  RawClient idle(port());
  ASSERT_EQ(idle.request("GET", "/healthz").value().status, 200);
  std::atomic<bool> stopped{false};
  std::jthread stopping([&] {
    EXPECT_TRUE(server_->stop(Deadline::in(Milliseconds(20'000))));
    stopped = true;
  });
  EXPECT_TRUE(idle.closed()) << "by which it is known to be stopping";
  EXPECT_FALSE(stopped);
  store_->answer_all();
  for (const auto& client : clients) {
    const auto response = client->read();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->headers.at("connection"), "close");
  }
}

TEST_F(HttpAsync, a_stop_in_a_hurry_cuts_them_and_the_end_waits_for_their_callbacks) {
  open();
  fill(1);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(clients.back()->send(get("k0")));
  }
  ASSERT_TRUE(store_->wait_for(20));
  EXPECT_EQ(server_->stop(Deadline::immediate()).error().code(), ErrorCode::kDeadlineExceeded);
  for (const auto& client : clients) EXPECT_FALSE(client->read());
  std::jthread ending([&] { server_.reset(); });
  store_->answer_all();
}

TEST_F(HttpAsync, many_clients_get_their_own_answers) {
  HttpServerOptions options;
  options.threads = 3;
  open(std::move(options));
  fill(10);
  store_->answer_in_disorder(4);
  std::atomic<int> wrong{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      RawClient client(port());
      for (int round = 0; round < 30; ++round) {
        std::string all;
        for (int i = 0; i < 10; ++i) all += get("k" + std::to_string((t + i) % 10));
        if (!client.send(all)) ++wrong;
        for (int i = 0; i < 10; ++i) {
          const auto response = client.read();
          if (!response || response->body != std::to_string((t + i) % 10)) ++wrong;
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
