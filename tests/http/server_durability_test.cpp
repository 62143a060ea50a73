// What was answered with 202 is there after kill -9.
#include <atomic>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "http/server_process.hpp"

namespace {

using nlohmann::json;
using setget_test::post_envelope;
using setget_test::RawClient;
using setget_test::ServerTest;

class ServerDurability : public ServerTest {};

TEST_F(ServerDurability, nothing_that_was_accepted_is_lost_when_the_process_is_killed) {
  constexpr int kRounds = 4;
  constexpr int kClients = 4;
  constexpr int kAccepted = 150;  // by all clients, before the process is killed in the middle of the others
  std::mutex mutex;
  std::map<std::string, std::string> accepted;  // key → payload
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_TRUE(server_.start()) << server_.first_line();
    std::atomic<int> count{0};
    std::vector<std::thread> clients;
    for (int c = 0; c < kClients; ++c) {
      clients.emplace_back([&, c] {
        RawClient client(server_.port());
        for (int i = 0;; ++i) {
          const std::string key = std::to_string(round) + "/" + std::to_string(c) + "/" + std::to_string(i);
          const std::string payload = "{\"of\": \"" + key + "\"}";
          const auto answer = client.request("POST", "/v1/records", post_envelope(key, payload), "Content-Type: application/json\r\n");
          if (!answer) return;
          if (answer->status != 202) continue;
          {
            const std::lock_guard lock(mutex);
            accepted.emplace(key, payload);
          }
          if (++count == kAccepted) server_.signal(SIGKILL);
        }
      });
    }
    for (auto& client : clients) client.join();
    EXPECT_EQ(server_.wait(), -SIGKILL);
  }
  ASSERT_GE(accepted.size(), static_cast<std::size_t>(kRounds) * kAccepted);

  ASSERT_TRUE(server_.start());
  RawClient admin(server_.admin_port());
  json stats;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(90);
  do {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << stats.dump();
    stats = json::parse(admin.request("GET", "/v1/queue")->body);
  } while (stats.at("depth") != 0 || stats.at("in_flight") != 0 || stats.at("delayed") != 0);
  std::uint64_t finished = 0;
  for (const auto& [name, number] : stats.at("outcomes").items()) finished += number.get<std::uint64_t>();
  EXPECT_EQ(stats.at("accepted"), finished) << stats.dump();
  EXPECT_GE(finished, accepted.size());
  RawClient client(server_.port());
  for (const auto& [key, payload] : accepted) {
    const auto found = client.request("GET", "/v1/records?key=" + key);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->status, 200) << key;
    EXPECT_EQ(found->body, payload);
  }
}

}  // namespace
