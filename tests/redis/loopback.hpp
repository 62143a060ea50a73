// What proxies of Redis commands on 127.0.0.1 share: sockets, and where a command ends.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace redis_test {

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// A free port; its number goes to `port`.
inline int listen_on_loopback(std::uint16_t& port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 64) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("a proxy of commands cannot listen");
  }
  port = ntohs(address.sin_port);
  return listener;
}

inline void without_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Less than 0: nobody is there.
inline int connect_to_loopback(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = loopback(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  without_delay(fd);
  return fd;
}

inline bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// How long the command at the front is; nothing while it is not whole. `word` is called with each of its words.
template <class Word>
std::optional<std::size_t> read_command(std::string_view text, Word&& word) {
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
    word(text.substr(at, *size));
    at += *size + 2;
  }
  return at;
}

}  // namespace redis_test
