// A victim, from the killer's side.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "crash/place.hpp"

namespace crash {

class VictimProcess {
 public:
  // Starts `victim mode first seed place…`, which lies beside this executable. Throws std::runtime_error.
  VictimProcess(const std::string& mode, const Place& place, std::uint64_t first, std::uint64_t seed);
  ~VictimProcess();
  VictimProcess(const VictimProcess&) = delete;
  VictimProcess& operator=(const VictimProcess&) = delete;

  // Hands every line to `take` as it comes, until `take` answers false, the time is over or the victim has ended. True: `take` was enough.
  bool read_lines(const std::function<bool(std::string_view)>& take, std::chrono::microseconds longest);
  // SIGKILL. Then hands over the lines that were printed before. Empty if that is what it died of, else what happened.
  std::string kill(const std::function<bool(std::string_view)>& take);

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  std::string rest_;
};

}  // namespace crash
