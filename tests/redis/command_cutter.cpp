#include "redis/command_cutter.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace redis_test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// How long the command at the front is; nothing while it is not whole.
std::optional<std::size_t> command_size(std::string_view text) {
  std::size_t at = 0;
  const auto number = [&](char kind) -> std::optional<std::size_t> {
    if (at >= text.size() || text[at] != kind) return std::nullopt;
    const auto end = text.find("\r\n", at);
    if (end == std::string_view::npos) return std::nullopt;
    std::size_t value = 0;
    std::from_chars(text.data() + at + 1, text.data() + end, value);
    at = end + 2;
    return value;
  };
  const auto words = number('*');
  if (!words) return std::nullopt;
  for (std::size_t i = 0; i < *words; ++i) {
    const auto size = number('$');
    if (!size || text.size() < at + *size + 2) return std::nullopt;
    at += *size + 2;
  }
  return at;
}

}  // namespace

struct CommandCutter::Pair {
  int server = -1;
  std::string unsent{};
};

CommandCutter::CommandCutter(std::uint16_t server_port) : server_port_(server_port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 || ::pipe2(wake_, O_CLOEXEC) != 0) {
    throw std::runtime_error("the cutter cannot listen");
  }
  port_ = ntohs(address.sin_port);
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
  while (const auto size = command_size(text.substr(passed))) {
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
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto address = loopback(server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(server);
      ::close(client);
      continue;
    }
    const int on = 1;
    ::setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    pairs_.emplace(client, Pair{.server = server});
  }
  kill_all();
}

}  // namespace redis_test
