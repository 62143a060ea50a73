// setget-server: the library's pipeline, gateway and HTTP server as a process. See docs/http-api.md.
#include <csignal>
#include <cstdio>
#include <exception>
#include <variant>

#include "options.hpp"
#include "server.hpp"
#include "spdlog_logger.hpp"

namespace {

constexpr setget::Milliseconds kDrainTime{25'000};

// Signals are taken by the main thread alone; a mask set before any other thread starts is inherited by all of them.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, one);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int serve(const setget_server::Options& options) {
  // Who reads the log may end before the drain does: a line that nobody takes is lost, and not the server.
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = block_signals();
  const auto logger = setget_server::spdlog_logger(options.log_level);
  auto server = setget_server::Server::start(options, logger);
  if (!server) {
    logger->log(setget::LogLevel::kError, "cannot start", {{"error", server.error().describe()}});
    return 1;
  }
  std::printf("%s\n", (*server)->where().c_str());
  std::fflush(stdout);

  for (;;) {
    int received = 0;
    if (sigwait(&signals, &received) != 0) return 1;
    if (received != SIGHUP) break;
    // The pipeline logs and counts what comes of it.
    (void)(*server)->reload();
  }
  logger->log(setget::LogLevel::kInfo, "draining", {});
  // A second signal ends the process as if nobody had caught it.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  if (auto drained = (*server)->drain(setget::Deadline::in(kDrainTime)); !drained) {
    logger->log(setget::LogLevel::kError, "the drain did not finish; what was accepted is in the queue",
                {{"error", drained.error().describe()}});
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    auto options = setget_server::read_options(argc, argv);
    if (const int* code = std::get_if<int>(&options)) return *code;
    return serve(std::get<setget_server::Options>(options));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "setget-server: %s\n", error.what());
    return 1;
  }
}
