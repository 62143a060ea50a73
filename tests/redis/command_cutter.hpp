// CommandCutter: stands between a client and a Redis server and counts the commands that pass. After the n-th the client is as good as
// dead: the server carries out what has passed, every connection ends, and none comes about any more. Thread rule: any thread; it has one
// of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <thread>

namespace redis_test {

class CommandCutter {
 public:
  explicit CommandCutter(std::uint16_t server_port);
  ~CommandCutter();
  CommandCutter(const CommandCutter&) = delete;
  CommandCutter& operator=(const CommandCutter&) = delete;

  std::string uri() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  // From now on so many commands pass.
  void cut_after(std::size_t commands);
  // Whether one more was on its way.
  bool cut() const noexcept { return dead_; }
  void revive();

 private:
  struct Pair;
  void run();
  bool pass_commands(Pair& pair);
  void kill_all();

  const std::uint16_t server_port_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  int wake_[2] = {-1, -1};
  std::atomic<std::size_t> left_{std::numeric_limits<std::size_t>::max()};
  std::atomic<bool> dead_{false};
  std::atomic<bool> stopping_{false};
  std::map<int, Pair> pairs_;  // by the client's descriptor
  std::thread thread_;
};

}  // namespace redis_test
