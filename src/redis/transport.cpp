#include "redis/transport.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "redis/errors.hpp"
#include "redis/resolve.hpp"

namespace setget::inline v0::redis {
namespace {

std::string words(int code) { return std::error_code(code, std::generic_category()).message(); }

int poll_time(Deadline deadline) noexcept {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.left()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

// poll(2) that goes on after signals; 0 = the deadline passed.
int poll_until(std::span<pollfd> files, Deadline deadline) noexcept {
  for (;;) {
    const int ready = ::poll(files.data(), files.size(), poll_time(deadline));
    if (ready > 0 || (ready == 0 && deadline.passed())) return ready;
    if (ready < 0 && errno != EINTR) return ready;
  }
}

Error not_reached(const Endpoint& endpoint, std::string why) {
  return connection_error(ErrorCode::kUnavailable, Trouble::kNotSent, fmt::format("cannot connect to Redis at {}", endpoint.text()),
                          std::move(why));
}

class Socket {
 public:
  explicit Socket(int fd) noexcept : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  Socket& operator=(Socket&&) = delete;
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// Connects one address; empty = it worked.
std::string connect_address(int socket, const sockaddr* address, socklen_t size, Deadline deadline) {
  if (::connect(socket, address, size) == 0) return {};
  if (errno != EINPROGRESS && errno != EINTR) return words(errno);
  pollfd file{.fd = socket, .events = POLLOUT, .revents = 0};
  const int ready = poll_until({&file, 1}, deadline);
  if (ready < 0) return words(errno);
  if (ready == 0) return "no answer in time";
  int failed = 0;
  socklen_t length = sizeof failed;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &failed, &length) != 0) return words(errno);
  return failed == 0 ? std::string() : words(failed);
}

void set_option(int socket, int level, int name, int value) noexcept {
  // None of them is needed for correctness.
  (void)::setsockopt(socket, level, name, &value, sizeof value);
}

Result<Socket> connect_unix(const Endpoint& endpoint, Deadline deadline) {
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return not_reached(endpoint, words(errno));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.socket.size() >= sizeof address.sun_path) return not_reached(endpoint, "the path is too long");
  std::memcpy(address.sun_path, endpoint.socket.data(), endpoint.socket.size());
  auto why = connect_address(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address, deadline);
  if (!why.empty()) return not_reached(endpoint, std::move(why));
  return socket;
}

Result<Socket> connect_tcp(const Endpoint& endpoint, Deadline deadline) {
  const auto found = resolve(endpoint.host, endpoint.port, deadline);
  auto left = static_cast<int>(found.addresses.size());
  std::string why = found.why;
  for (const auto& one : found.addresses) {
    if (deadline.passed()) break;
    Socket socket(::socket(one.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    if (socket.get() < 0) {
      why = words(errno);
      --left;
      continue;
    }
    // An address that swallows packets must leave time for the others.
    why = connect_address(socket.get(), one.get(), one.size, Deadline::in(deadline.left() / left--));
    if (!why.empty()) continue;
    set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(socket.get(), IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set_option(socket.get(), IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_option(socket.get(), IPPROTO_TCP, TCP_KEEPCNT, 3);
    return socket;
  }
  return not_reached(endpoint, std::move(why));
}

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(int socket) noexcept : Transport(socket) {}
  Moved read(std::span<char> into) override { return detail::socket_read(socket_, into); }
  Moved write(std::string_view bytes) override { return detail::socket_write(socket_, bytes); }
};

}  // namespace

namespace detail {

Moved socket_read(int socket, std::span<char> into) noexcept {
  for (;;) {
    const auto got = ::recv(socket, into.data(), into.size(), MSG_DONTWAIT);
    if (got > 0) return {.state = Moved::State::kSome, .bytes = static_cast<std::size_t>(got)};
    if (got == 0) return {.state = Moved::State::kClosed, .why = "the server closed the connection"};
    const int failed = errno;
    if (failed == EINTR) continue;
    if (failed == EAGAIN || failed == EWOULDBLOCK) return {};
    return {.state = Moved::State::kClosed, .why = words(failed)};
  }
}

Moved socket_write(int socket, std::string_view bytes) noexcept {
  for (;;) {
    const auto sent = ::send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return {.state = Moved::State::kSome, .bytes = static_cast<std::size_t>(sent)};
    const int failed = errno;
    if (failed == EINTR) continue;
    if (failed == EAGAIN || failed == EWOULDBLOCK) return {.needs_write = true};
    return {.state = Moved::State::kClosed, .why = words(failed)};
  }
}

}  // namespace detail

Transport::~Transport() {
  if (socket_ >= 0) ::close(socket_);
}

Result<std::unique_ptr<Transport>> Transport::connect(const Endpoint& endpoint, const std::shared_ptr<TlsContext>& tls, Deadline deadline) {
  auto socket = endpoint.socket.empty() ? connect_tcp(endpoint, deadline) : connect_unix(endpoint, deadline);
  if (!socket) return std::move(socket).error();
  if (tls == nullptr || !endpoint.socket.empty()) return std::unique_ptr<Transport>(std::make_unique<PlainTransport>(socket->release()));
  return tls->secure(socket->release(), endpoint.host, deadline);
}

Ready Transport::wait(bool to_read, bool to_write, int extra, Deadline deadline) const noexcept {
  std::array<pollfd, 2> files{pollfd{.fd = to_read || to_write ? socket_ : -1, .events = 0, .revents = 0},
                              pollfd{.fd = extra, .events = POLLIN, .revents = 0}};
  if (to_read) files[0].events = POLLIN;
  if (to_write) files[0].events = static_cast<short>(files[0].events | POLLOUT);
  if (poll_until({files.data(), extra < 0 ? 1U : 2U}, deadline) <= 0) return {};
  // Errors and hang-ups show as readiness: the next read or write says what happened.
  const bool broken = (files[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  return {.readable = to_read && (broken || (files[0].revents & POLLIN) != 0),
          .writable = to_write && (broken || (files[0].revents & POLLOUT) != 0),
          .woken = files[1].revents != 0};
}

Idle Transport::look() {
  char byte = 0;
  const auto got = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0) return Idle::kBytes;
  const bool nothing = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  return nothing ? Idle::kQuiet : Idle::kGone;
}

void Transport::shut_down() noexcept { ::shutdown(socket_, SHUT_RDWR); }

}  // namespace setget::inline v0::redis
