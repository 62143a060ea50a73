#include "crash/victim_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <vector>

extern char** environ;

namespace crash {

VictimProcess::VictimProcess(const std::string& mode, const Place& place, std::uint64_t first, std::uint64_t seed) {
  const auto program = (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "setget-crash-victim").string();
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<std::string> words{program, mode, std::to_string(first), std::to_string(seed)};
  for (auto& word : place.words()) words.push_back(std::move(word));
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const int failed = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  out_ = ends[0];
  if (failed != 0) {
    ::close(out_);
    throw std::runtime_error("cannot start " + program);
  }
}

VictimProcess::~VictimProcess() {
  if (pid_ > 0) kill([](std::string_view) { return true; });
  ::close(out_);
}

bool VictimProcess::read_lines(const std::function<bool(std::string_view)>& take, std::chrono::microseconds longest) {
  const auto end = std::chrono::steady_clock::now() + longest;
  while (true) {
    for (auto newline = rest_.find('\n'); newline != std::string::npos; newline = rest_.find('\n')) {
      const auto line = rest_.substr(0, newline);
      rest_.erase(0, newline + 1);
      if (!take(line)) return true;
    }
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) return false;
    const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    const timespec wait{.tv_sec = static_cast<time_t>(nanoseconds / 1'000'000'000),
                        .tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000)};
    pollfd ready{.fd = out_, .events = POLLIN, .revents = 0};
    if (::ppoll(&ready, 1, &wait, nullptr) <= 0) continue;
    std::array<char, 65536> bytes{};
    const auto got = ::read(out_, bytes.data(), bytes.size());
    if (got <= 0) return false;
    rest_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

std::string VictimProcess::kill(const std::function<bool(std::string_view)>& take) {
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  read_lines(
      [&](std::string_view line) {
        take(line);
        return true;
      },
      std::chrono::seconds(5));
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return {};
  return WIFSIGNALED(status) ? "died of signal " + std::to_string(WTERMSIG(status))
                             : "ended by itself with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace crash
