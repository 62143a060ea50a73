#include "bench/http_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include "bench/candidate.hpp"
#include "bench/load.hpp"

namespace bench {

namespace {

struct Connection {
  int fd = -1;
  std::uint64_t number = 0;
  std::string out;
  std::size_t sent = 0;
  std::string in;
};

struct Answer {
  int status = 0;
  std::size_t body_at = 0;
  std::size_t end = 0;
};

std::optional<Answer> whole_answer(const std::string& in) {
  const std::size_t head_end = in.find("\r\n\r\n");
  if (head_end == std::string::npos || in.size() < 12) return {};
  Answer answer;
  std::from_chars(in.data() + 9, in.data() + 12, answer.status);
  std::size_t length = 0;
  static constexpr std::string_view kName = "content-length:";
  for (std::size_t line = in.find("\r\n"); line < head_end; line = in.find("\r\n", line + 2)) {
    if (strncasecmp(in.data() + line + 2, kName.data(), kName.size()) != 0) continue;
    std::size_t digits = line + 2 + kName.size();
    while (in[digits] == ' ') ++digits;
    std::from_chars(in.data() + digits, in.data() + head_end, length);
  }
  answer.body_at = head_end + 4;
  answer.end = answer.body_at + length;
  if (in.size() < answer.end) return {};
  return answer;
}

int connect_to(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(std::string("socket: ") + std::strerror(errno));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail(std::string("connect: ") + std::strerror(errno));
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

}  // namespace

std::uint64_t http_load(std::uint16_t port, std::size_t connections, double seconds, const std::function<std::string(std::uint64_t)>& make,
                        const std::function<bool(std::uint64_t, int, std::string_view)>& check) {
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Connection> all(connections);
  std::uint64_t next = 0;
  std::uint64_t answered = 0;
  std::size_t busy = 0;
  const auto start = Clock::now();
  // Requests are far smaller than a socket's buffer, so a blocking send does not stop the loop.
  const auto send_next = [&](Connection& connection) {
    connection.number = next++;
    connection.out = make(connection.number);
    for (connection.sent = 0; connection.sent < connection.out.size();) {
      const ssize_t n = send(connection.fd, connection.out.data() + connection.sent, connection.out.size() - connection.sent, MSG_NOSIGNAL);
      if (n <= 0) fail(std::string("send: ") + std::strerror(errno));
      connection.sent += static_cast<std::size_t>(n);
    }
    ++busy;
  };
  for (Connection& connection : all) {
    connection.fd = connect_to(port);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(poll, EPOLL_CTL_ADD, connection.fd, &event);
    send_next(connection);
  }
  std::vector<epoll_event> events(connections);
  std::vector<char> buffer(1u << 18);
  while (busy > 0) {
    const int ready = epoll_wait(poll, events.data(), static_cast<int>(events.size()), 30'000);
    if (ready == 0) fail("no answer over HTTP within 30 s");
    for (int i = 0; i < ready; ++i) {
      auto& connection = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      const ssize_t n = recv(connection.fd, buffer.data(), buffer.size(), 0);
      if (n <= 0) fail("the server closed a keep-alive connection: " + connection.in);
      connection.in.append(buffer.data(), static_cast<std::size_t>(n));
      const auto answer = whole_answer(connection.in);
      if (!answer) continue;
      const std::string_view body = std::string_view(connection.in).substr(answer->body_at, answer->end - answer->body_at);
      if (!check(connection.number, answer->status, body)) fail("a wrong answer over HTTP: " + connection.in.substr(0, 1000));
      connection.in.erase(0, answer->end);
      ++answered;
      --busy;
      if (seconds_since(start) < seconds) send_next(connection);
    }
  }
  for (const Connection& connection : all) close(connection.fd);
  close(poll);
  return answered;
}

}  // namespace bench
