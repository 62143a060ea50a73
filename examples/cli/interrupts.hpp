// SIGINT and SIGTERM as a request instead of an end. Thread rule: one thread; made before others are, as they inherit what it blocks.
#pragma once

#include <functional>
#include <thread>

namespace cli {

class Interrupts {
 public:
  Interrupts();
  // The signals do again what they did before.
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  // While the thread lives it calls `stop` when the first one comes. A second one ends the process.
  [[nodiscard]] std::jthread watch(std::function<void()> stop);
};

}  // namespace cli
