#include "interrupts.hpp"

#include <csignal>
#include <ctime>
#include <utility>

namespace cli {

namespace {

sigset_t ours() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

Interrupts::Interrupts() {
  const auto signals = ours();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

Interrupts::~Interrupts() {
  const auto signals = ours();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

std::jthread Interrupts::watch(std::function<void()> stop) {
  return std::jthread([stop = std::move(stop)](const std::stop_token& over) {
    const auto signals = ours();
    // Often enough to end with the command, and rarely enough to cost nothing.
    constexpr timespec kLook{.tv_sec = 0, .tv_nsec = 20'000'000};
    while (!over.stop_requested()) {
      if (sigtimedwait(&signals, nullptr, &kLook) < 0) continue;
      pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
      stop();
      return;
    }
  });
}

}  // namespace cli
