#include "restore_kill.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <utility>

namespace cli_test {

namespace {

std::string record_line(int n, const std::string& state) {
  const auto name = std::to_string(n);
  return R"({"id":"r)" + name + R"(","keys":["k)" + name + R"("],"account":"acme","flow":"orders","payload":{"n":)" + name + R"(,"is":")" +
         state + R"(","more":")" + std::string(static_cast<std::size_t>(n % 700), 'x') + "\"}}\n";
}

}  // namespace

RestoreKills::RestoreKills(std::filesystem::path folder, std::string config, int otherwise, int records)
    : folder_(std::move(folder)), config_(std::move(config)), wanted_(otherwise), records_(records) {
  if (const char* given = std::getenv("SETGET_CRASH_ROUNDS")) wanted_ = std::max(1, std::atoi(given));
}

Ran RestoreKills::with(std::vector<std::string> words) const {
  words.insert(words.end(), {"--config", config_});
  return run_binary(folder_, words);
}

void RestoreKills::fill(int records) const {
  {
    std::ofstream file(folder_ / "records.ndjson", std::ios::binary);
    for (int i = 0; i < records; ++i) file << record_line(i, "archived");
  }
  const auto loaded = with({"load", "records.ndjson"});
  ASSERT_EQ(loaded.code, 0) << loaded.out << loaded.err;
  const auto drained = with({"queue", "drain"});
  ASSERT_EQ(drained.code, 0) << drained.out << drained.err;
  const auto ran = with({"archive", "run"});
  ASSERT_EQ(ran.code, 0) << ran.err;
}

template <class Between>
nlohmann::json RestoreKills::restore(std::vector<std::string> words, int at_most, int& kills, Between between) {
  words.insert(words.end(), {"--state", "state", "--json", "--config", config_});
  // From before it has opened anything to where it is nearly done; later ones live longer, so that it ends.
  for (int i = 0;; ++i) {
    const auto longest = i < at_most ? life_ / 2 + life_ / 20 * i : std::chrono::minutes(10);
    const auto life = i < at_most ? std::chrono::microseconds(random_() % static_cast<unsigned>(longest.count() + 1)) : longest;
    Ran ran;
    const auto began = std::chrono::steady_clock::now();
    if (run_and_kill(folder_, words, life, ran)) {
      EXPECT_EQ(ran.code, 0) << ran.err;
      if (i == 0) life_ = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
      return ran.code == 0 ? ran.json() : nlohmann::json();
    }
    EXPECT_LT(i, at_most) << "it did not end: " << ran.err;
    if (i >= at_most) return {};
    ++kills;
    between(i);
  }
}

void RestoreKills::into_an_empty_store() {
  fill(records_);
  int kills = 0;
  int resumed = 0;
  // The first is not killed: it tells how long one lives.
  for (int round = 0; kills < wanted_ || (resumed == 0 && round < wanted_ + 20); ++round) {
    for (const char* file : {"setget.db", "setget.db-wal", "setget.db-shm", "setget.db-lock"}) std::filesystem::remove(folder_ / file);
    const int before = kills;
    const auto report = restore({"archive", "restore"}, round == 0 ? 0 : std::max(wanted_ - kills, 2), kills, [](int) {});
    ASSERT_TRUE(report.is_object());
    // One that was killed when it had come to its end, and had not said so, leaves nothing to do; nor does the next, killed while it
    // looked.
    const bool was_done = report["restored"] == 0 && report["skipped_present"] == records_;
    EXPECT_TRUE(report["into_empty_store"] == true || was_done) << report.dump();
    EXPECT_EQ(report["considered"], records_);
    // What was put back right before a kill is found there by the next one.
    EXPECT_EQ(report["restored"].get<int>() + report["skipped_present"].get<int>(), records_);
    if (report["resumed"] == true) {
      ++resumed;
    } else if (kills > before) {
      life_ += life_ / 2;  // killed before anything had begun: the machine became busier
    }
    EXPECT_FALSE(std::filesystem::exists(folder_ / "state"));
    const auto ran = with({"archive", "run", "--adopt", "--json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.json()["written"], 0) << "every version is the one that the archive has";
    const auto verified = with({"archive", "verify", "--deep", "--json"});
    ASSERT_EQ(verified.code, 0) << "round " << round << ": " << verified.out << verified.err;
    EXPECT_EQ(verified.json()["compared"], records_);
  }
  EXPECT_GT(resumed, 0) << "it was never killed while it was under way";
}

void RestoreKills::over_live_data() {
  fill(records_);
  {
    std::ofstream file(folder_ / "live.ndjson", std::ios::binary);
    for (int i = 0; i < records_; i += 3) file << record_line(i, "live");
  }
  ASSERT_EQ(with({"load", "live.ndjson"}).code, 0);
  ASSERT_EQ(with({"queue", "drain"}).code, 0);
  std::vector<int> set;
  std::vector<int> erased;
  // What a restore finds that begins anew, because it had not begun before or was killed when it had come to its end, is what it is there
  // to replace. Only one that goes on must leave it; so it is tried until one did.
  // The first is not killed: it tells how long one lives.
  for (int attempt = 0; attempt < 20 && (set.empty() || erased.empty()); ++attempt) {
    int kills = 0;
    int later = 0;
    set.clear();
    erased.clear();
    const auto report = restore({"archive", "restore", "--overwrite"}, attempt == 0 ? 0 : wanted_, kills, [&](int i) {
      if (!std::filesystem::exists(folder_ / "state")) {
        set.clear();
        erased.clear();
        return;
      }
      const int n = i * 37 % records_;
      const auto name = std::to_string(n);
      if (later++ % 2 == 0) {
        ASSERT_EQ(with({"set", "-k", "k" + name, "--id", "r" + name, "--account", "acme", "--flow", "orders", "-p", R"("later")"}).code, 0);
        set.push_back(n);
        std::erase(erased, n);
      } else {
        ASSERT_EQ(with({"delete", "--id", "r" + name}).code, 0);
        erased.push_back(n);
        std::erase(set, n);
      }
    });
    ASSERT_TRUE(report.is_object());
    if (!set.empty() || !erased.empty()) {
      EXPECT_TRUE(report["resumed"]) << report.dump();
    }
  }
  EXPECT_FALSE(set.empty());
  EXPECT_FALSE(erased.empty());
  for (const int n : set) EXPECT_EQ(with({"get", "k" + std::to_string(n)}).out, R"("later")") << n;
  for (const int n : erased) EXPECT_EQ(with({"get", "k" + std::to_string(n)}).code, 2) << n;
  for (int n = 0; n < records_; n += 91) {
    if (std::ranges::find(set, n) != set.end() || std::ranges::find(erased, n) != erased.end()) continue;
    const auto found = with({"get", "k" + std::to_string(n)});
    EXPECT_NE(found.out.find("archived"), std::string::npos) << n << found.out << found.err;
  }
  ASSERT_EQ(with({"archive", "run"}).code, 0);
  const auto verified = with({"archive", "verify", "--deep"});
  EXPECT_EQ(verified.code, 0) << verified.out << verified.err;
}

}  // namespace cli_test
