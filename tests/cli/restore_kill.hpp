// kill -9 of `archive restore --state` at random points, again and again until one comes to its end. Failures are GoogleTest failures.
#pragma once

#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "command.hpp"

namespace cli_test {

// `folder` has an archive that `config` (a file in it) names, and a store in setget.db with it. So many kills; SETGET_CRASH_ROUNDS says
// another number. `otherwise`: how many in CI. `records`: so many that a restore takes longer than a start.
class RestoreKills {
 public:
  RestoreKills(std::filesystem::path folder, std::string config, int otherwise, int records);

  // Into a store that is empty: afterwards archive and store agree in every byte, version and expiry.
  void into_an_empty_store();
  // Over live data: afterwards it is what the archive had, but for what was set or erased since the restore began.
  void over_live_data();

 private:
  Ran with(std::vector<std::string> words) const;
  void fill(int records) const;
  // Runs it under at most so many kills until it ends by itself; `between` is called after each kill. Returns what it printed.
  template <class Between>
  nlohmann::json restore(std::vector<std::string> words, int at_most, int& kills, Between between);

  const std::filesystem::path folder_;
  const std::string config_;
  int wanted_;
  const int records_;
  // Of a restore that nobody kills, as the last one that was not took: kills come in that time, on a fast machine and on a busy one.
  std::chrono::microseconds life_{};
  std::minstd_rand random_{7};
};

}  // namespace cli_test
