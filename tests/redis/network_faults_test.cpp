// Random faults of the network between clients and servers, under an oracle: readers on both sides of it look all the time and never see a
// mixture; what was acknowledged is there; in the end every client, without a restart, reads what the messages amount to.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "redis/bad_network.hpp"
#include "redis/load.hpp"
#include "redis/messages.hpp"
#include "redis/opened_store.hpp"
#include "redis/trial.hpp"

namespace redis_test {
namespace {

constexpr std::uint64_t kMessages = 60;
constexpr std::size_t kWriters = 2;

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

// Looks as watch() does, by the completion form. Each call must be completed; when, is what redis_deadlines asks.
void watch_later(KeyStoreBackend& store, const Messages& messages, const std::string& ns, bool lag, const std::atomic<bool>& over,
                 std::atomic<std::uint64_t>& looks, std::string& wrong) {
  const auto keys = messages.keys();
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  while (!over && wrong.empty()) {
    auto told = std::make_shared<std::promise<Result<std::vector<Lookup>>>>();
    auto answer = told->get_future();
    store.get_async({.ns = ns, .keys = views, .now = Messages::now(), .deadline = Deadline::in(Milliseconds(500))},
                    [told](Result<std::vector<Lookup>> found) { told->set_value(std::move(found)); });
    if (answer.wait_for(std::chrono::seconds(10)) != std::future_status::ready) {
      wrong = "a get of half a second is not completed in ten";
      return;
    }
    const auto found = answer.get();
    if (!found) continue;  // busy, or away
    wrong = inspect(messages, ns, keys, *found, lag);
    if (!wrong.empty()) wrong = "by the completion form: " + wrong + "\n" + describe(keys, *found);
    ++looks;
  }
}

class NetworkFaults : public ::testing::TestWithParam<Layout> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  static void TearDownTestSuite() { networks_.clear(); }
  // The one before the servers of the layout, the same for all tests.
  static BadNetwork& network() {
    auto& one = networks_[GetParam().servers];
    if (one == nullptr) one = std::make_unique<BadNetwork>(GetParam().servers);
    return *one;
  }

 private:
  static std::map<Servers, std::unique_ptr<BadNetwork>> networks_;
};
std::map<Servers, std::unique_ptr<BadNetwork>> NetworkFaults::networks_;
INSTANTIATE_TEST_SUITE_P(On, NetworkFaults, all_layouts(), name_of);

// One layout with the clients that live through all its rounds.
class NetworkTrial {
 public:
  NetworkTrial(BadNetwork& network, std::uint32_t parts) : network_(network), spread_(parts > 1) {
    const auto prefix = new_prefix();
    const auto open = [&](const std::string& uri) { clients_.push_back(open_store(uri, prefix, parts)); };
    for (std::size_t i = 0; i < kWriters + 2; ++i) open(network_.uri());
    if (!network_.near_uri().empty()) open(network_.near_uri());
  }

  void round(std::uint64_t seed) {
    const Messages messages(seed);
    const auto ns = "f" + std::to_string(seed);
    kit::SeededRandom dice(seed);
    std::vector<std::string> failed(clients_.size());
    std::string story;
    std::atomic<bool> over{false};
    {
      std::vector<std::jthread> watchers;
      for (std::size_t i = kWriters; i < clients_.size(); ++i) {
        auto* const how = i == kWriters ? watch_later : watch;
        auto& looks = network_.near_uri().empty() || i + 1 < clients_.size() ? far_ : near_;
        watchers.emplace_back([&, i, how] { how(*clients_[i], messages, ns, spread_, over, looks, failed[i]); });
      }
      {
        std::vector<std::jthread> load;
        for (std::size_t w = 0; w < kWriters; ++w) {
          std::vector<std::uint64_t> mine;
          for (std::uint64_t n = 1; n <= kMessages; ++n) {
            if (n % kWriters == w || n % 5 == 0) mine.push_back(n);
          }
          load.emplace_back([&, w, mine] { deliver(*clients_[w], messages, ns, mine, seed * 10 + w, Milliseconds(300), failed[w]); });
        }
        for (int fault = 0; fault < 3; ++fault) network_.disturb(dice, story);
      }
      over = true;
    }
    for (const auto& one : failed) EXPECT_EQ(one, "");
    for (const auto& client : clients_) {
      EXPECT_TRUE(eventually([&] { return look(*client, messages, ns, messages.keys(), spread_).has_value(); })) << "it has not recovered";
      if (!::testing::Test::HasFailure()) expect_reference(*client, messages, ns, kMessages);
    }
    if (::testing::Test::HasFailure()) ADD_FAILURE() << "SETGET_CRASH_SEED=" << seed << ", faults by proxy: " << story;
  }

  std::uint64_t far_looks() const { return far_; }
  std::string report() const {
    return std::to_string(far_) + " looks through the network, " + std::to_string(near_) + " beside it, " +
           std::to_string(network_.accepted()) + " connections";
  }

 private:
  BadNetwork& network_;
  bool spread_;
  std::vector<std::shared_ptr<KeyStoreBackend>> clients_;  // writers, one that looks by the completion form, and others that look
  std::atomic<std::uint64_t> far_{0};
  std::atomic<std::uint64_t> near_{0};
};

// SETGET_CRASH_ROUNDS=N: N/2 rounds of each layout. SETGET_CRASH_SEED: of the first round; they count up from there.
TEST_P(NetworkFaults, Nothing_acknowledged_is_lost_whatever_the_network_does) {
  const auto rounds = number_of("SETGET_CRASH_ROUNDS", 40) / 2;
  const auto first = number_of("SETGET_CRASH_SEED", 100'001);
  NetworkTrial trial(network(), GetParam().parts);
  for (auto seed = first; seed < first + rounds; ++seed) {
    trial.round(seed);
    if (HasFailure()) FAIL() << "in round " << seed - first + 1 << " of " << GetParam().name;
  }
  EXPECT_GT(trial.far_looks(), rounds);
  std::printf("%s: %llu rounds, %s\n", GetParam().name, static_cast<unsigned long long>(rounds), trial.report().c_str());
}

// The long-lived oracle: also the change log tells everything, in order, and nothing that was acknowledged goes away later.
TEST_P(NetworkFaults, The_change_log_tells_everything_whatever_the_network_does) {
  const auto rounds = number_of("SETGET_CRASH_ROUNDS", 20) / 2;
  const auto seed = number_of("SETGET_CRASH_SEED", 200'001);
  Clients clients(network().uri(), new_prefix(), GetParam().parts);
  Trial trial(clients, "t", seed);
  kit::SeededRandom dice(seed);
  std::string story;
  for (std::uint64_t round = 1; round <= rounds; ++round) {
    network().disturb(dice, story);
    trial.go_on(3);
    if (HasFailure()) FAIL() << "SETGET_CRASH_SEED=" << seed << ", round " << round << ", faults by proxy: " << story;
  }
  trial.finish();
  EXPECT_FALSE(HasFailure()) << "SETGET_CRASH_SEED=" << seed << ", faults by proxy: " << story;
  std::printf("%s: %llu rounds, %s\n", GetParam().name, static_cast<unsigned long long>(rounds), trial.report().c_str());
}

}  // namespace
}  // namespace redis_test
