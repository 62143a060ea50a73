#include "redis/command_cutter.hpp"

#include <fcntl.h>
#include <poll.h>

#include <array>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "redis/loopback.hpp"

namespace redis_test {

struct CommandCutter::Pair {
  int server = -1;
  std::string unsent{};
};

CommandCutter::CommandCutter(std::uint16_t server_port) : server_port_(server_port) {
  if (::pipe2(wake_, O_CLOEXEC) != 0) throw std::runtime_error("the cutter cannot be woken");
  listener_ = listen_on_loopback(port_);
  thread_ = std::thread([this] { run(); });
}

CommandCutter::~CommandCutter() {
  stopping_ = true;
  (void)!::write(wake_[1], "x", 1);
  thread_.join();
  ::close(listener_);
  ::close(wake_[0]);
  ::close(wake_[1]);
}

void CommandCutter::cut_after(std::size_t commands) { left_ = commands; }

void CommandCutter::revive() {
  left_ = std::numeric_limits<std::size_t>::max();
  dead_ = false;
}

void CommandCutter::kill_all() {
  for (auto& [client, pair] : pairs_) {
    // The server reads what has come before it sees the end: once it has closed as well, all of it is done.
    ::shutdown(pair.server, SHUT_WR);
    std::array<char, 16384> rest;
    while (::recv(pair.server, rest.data(), rest.size(), 0) > 0) {
    }
    ::close(pair.server);
    ::close(client);
  }
  pairs_.clear();
}

// False: the client is dead now.
bool CommandCutter::pass_commands(Pair& pair) {
  std::string_view text = pair.unsent;
  std::size_t passed = 0;
  bool alive = true;
  while (const auto size = read_command(text.substr(passed), [](std::string_view) {})) {
    if (left_ == 0) {
      alive = false;
      break;
    }
    if (left_ != std::numeric_limits<std::size_t>::max()) --left_;
    passed += *size;
  }
  (void)send_all(pair.server, text.substr(0, passed));
  pair.unsent.erase(0, passed);
  return alive;
}

void CommandCutter::run() {
  std::array<char, 65536> buffer;
  while (!stopping_) {
    std::vector<pollfd> fds = {{.fd = wake_[0], .events = POLLIN, .revents = 0}, {.fd = listener_, .events = POLLIN, .revents = 0}};
    for (const auto& [client, pair] : pairs_) {
      fds.push_back({.fd = client, .events = POLLIN, .revents = 0});
      fds.push_back({.fd = pair.server, .events = POLLIN, .revents = 0});
    }
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    for (std::size_t i = 2; i + 1 < fds.size(); i += 2) {
      const int client = fds[i].fd;
      auto& pair = pairs_.at(client);
      bool over = false;
      if (fds[i + 1].revents != 0) {
        const auto got = ::recv(pair.server, buffer.data(), buffer.size(), 0);
        over = got <= 0 || !send_all(client, {buffer.data(), static_cast<std::size_t>(got)});
      }
      if (!over && fds[i].revents != 0) {
        const auto got = ::recv(client, buffer.data(), buffer.size(), 0);
        over = got <= 0;
        if (!over) {
          pair.unsent.append(buffer.data(), static_cast<std::size_t>(got));
          if (!pass_commands(pair)) {
            dead_ = true;
            kill_all();
            break;
          }
        }
      }
      if (over) {
        ::close(client);
        ::close(pair.server);
        pairs_.erase(client);
      }
    }
    if (fds[1].revents == 0) continue;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    if (dead_) {
      ::close(client);
      continue;
    }
    const int server = connect_to_loopback(server_port_);
    if (server < 0) {
      ::close(client);
      continue;
    }
    without_delay(client);
    pairs_.emplace(client, Pair{.server = server});
  }
  kill_all();
}

}  // namespace redis_test
