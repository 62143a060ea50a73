#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include <setget/testing/tcp_proxy.hpp>

namespace setget::inline v0::testing {
namespace {

using Steady = Deadline::Steady;

class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return fd_; }
  void reset() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  // The peer gets RST instead of FIN.
  void abort() noexcept {
    const linger now{.l_onoff = 1, .l_linger = 0};
    if (fd_ >= 0) (void)::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    reset();
  }

 private:
  int fd_ = -1;
};

sockaddr_in address_of(std::string_view host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, std::string(host).c_str(), &address.sin_addr) != 1) address.sin_addr.s_addr = htonl(INADDR_NONE);
  return address;
}

struct Faults {
  bool stalled = false;
  bool swallowed = false;
  Milliseconds delay{0};
  std::size_t rate = 0;
  std::optional<std::size_t> cut_after{};
};

// What is on its way from one socket to the other.
struct Flow {
  struct Chunk {
    Steady::time_point due;
    std::string bytes;
  };
  std::deque<Chunk> chunks{};
  std::size_t held = 0;
  bool ended = false;            // the sender has closed
  bool passed_on = false;        // and the receiver knows it
  Steady::time_point free_at{};  // when the bandwidth allows the next bytes
};

struct Link {
  std::array<Descriptor, 2> ends{};  // [0] of the client, [1] of the server
  std::array<Flow, 2> flows{};       // by Way: [0] reads ends[0] and writes ends[1]
  bool dead = false;
};

constexpr std::size_t kMostHeld = 1 << 20;

}  // namespace

struct TcpProxy::State {
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  sockaddr_in target{};
  std::array<Faults, 2> faults{};
  bool refusing = false;
  bool stopping = false;
  std::size_t accepted = 0;
  std::array<std::uint64_t, 2> passed{};
  std::deque<Link> links;
  Descriptor listener;
  Descriptor wakeup;
  std::uint16_t port = 0;
  std::thread thread;

  void wake() const noexcept {
    const std::uint64_t one = 1;
    (void)!::write(wakeup.get(), &one, sizeof one);
  }
  void run();
  void accept_one();
  void receive(Link& link, std::size_t way);
  void send(Link& link, std::size_t way, Steady::time_point now);
  bool sendable(const Link& link, std::size_t way, Steady::time_point now) const;
  int poll_time(Steady::time_point now) const;
};

void TcpProxy::State::run() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    std::erase_if(links, [](const Link& link) { return link.dead; });
    const auto now = Steady::now();
    std::vector<pollfd> files = {{.fd = listener.get(), .events = POLLIN, .revents = 0},
                                 {.fd = wakeup.get(), .events = POLLIN, .revents = 0}};
    for (const auto& link : links) {
      for (std::size_t end = 0; end < 2; ++end) {
        short events = 0;
        const auto& in = link.flows[end];
        if (!in.ended && in.held < kMostHeld && !faults[end].stalled) events = POLLIN;
        if (sendable(link, 1 - end, now)) events = static_cast<short>(events | POLLOUT);
        files.push_back({.fd = events == 0 ? -1 : link.ends[end].get(), .events = events, .revents = 0});
      }
    }
    const int wait = poll_time(now);
    lock.unlock();
    (void)::poll(files.data(), files.size(), wait);
    lock.lock();
    if (files[1].revents != 0) {
      std::uint64_t count = 0;
      (void)!::read(wakeup.get(), &count, sizeof count);
    }
    for (std::size_t i = 2; i < files.size(); ++i) {
      auto& link = links[(i - 2) / 2];
      const std::size_t end = i % 2;
      if (!link.dead && (files[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0 && !faults[end].stalled) receive(link, end);
      if (!link.dead) send(link, 1 - end, Steady::now());
    }
    if (files[0].revents != 0) accept_one();
    changed.notify_all();
  }
}

// Precondition: links change only here and by marking them dead, so places in `links` are stable during a turn.
void TcpProxy::State::accept_one() {
  Descriptor client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (client.get() < 0) return;
  ++accepted;
  Descriptor server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // The server is on this machine: it answers at once or not at all.
  if (refusing || ::connect(server.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) return client.abort();
  (void)::fcntl(server.get(), F_SETFL, O_NONBLOCK);
  const int on = 1;
  for (const int fd : {client.get(), server.get()}) (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Link link;
  link.ends[0] = std::move(client);
  link.ends[1] = std::move(server);
  links.push_back(std::move(link));
}

void TcpProxy::State::receive(Link& link, std::size_t way) {
  auto& flow = link.flows[way];
  if (flow.ended || flow.held >= kMostHeld) return;
  std::string bytes(std::size_t{64} * 1024, '\0');
  const auto got = ::recv(link.ends[way].get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) {
    for (auto& end : link.ends) end.abort();
    link.dead = true;
    return;
  }
  if (got == 0) {
    flow.ended = true;
    return;
  }
  bytes.resize(static_cast<std::size_t>(got));
  if (faults[way].swallowed) {
    passed[way] += bytes.size();
    return;
  }
  flow.held += bytes.size();
  flow.chunks.push_back({Steady::now() + faults[way].delay, std::move(bytes)});
}

bool TcpProxy::State::sendable(const Link& link, std::size_t way, Steady::time_point now) const {
  const auto& flow = link.flows[way];
  if (faults[way].stalled) return false;
  if (flow.chunks.empty()) return flow.ended && !flow.passed_on;
  return flow.chunks.front().due <= now && flow.free_at <= now;
}

void TcpProxy::State::send(Link& link, std::size_t way, Steady::time_point now) {
  auto& flow = link.flows[way];
  auto& fault = faults[way];
  while (sendable(link, way, now)) {
    const int to = link.ends[1 - way].get();
    if (flow.chunks.empty()) {
      (void)::shutdown(to, SHUT_WR);
      flow.passed_on = true;
      link.dead = link.flows[1 - way].passed_on;
      return;
    }
    auto& bytes = flow.chunks.front().bytes;
    auto most = bytes.size();
    if (fault.rate > 0) most = std::min(most, std::max<std::size_t>(1, fault.rate / 100));
    if (fault.cut_after) most = std::min(most, *fault.cut_after);
    const auto sent = most == 0 ? 0 : ::send(to, bytes.data(), most, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (sent < 0) {
      for (auto& end : link.ends) end.abort();
      link.dead = true;
      return;
    }
    const auto count = static_cast<std::size_t>(sent);
    passed[way] += count;
    flow.held -= count;
    bytes.erase(0, count);
    if (bytes.empty()) flow.chunks.pop_front();
    if (fault.rate > 0) flow.free_at = now + std::chrono::nanoseconds(1'000'000'000 * count / fault.rate);
    if (!fault.cut_after) continue;
    *fault.cut_after -= count;
    if (*fault.cut_after > 0) continue;
    fault.cut_after.reset();
    // The last bytes must arrive: a reset right behind them would take them away again. The other side is reset.
    link.ends[1 - way].reset();
    link.ends[way].abort();
    link.dead = true;
    return;
  }
}

int TcpProxy::State::poll_time(Steady::time_point now) const {
  auto next = Steady::time_point::max();
  for (const auto& link : links) {
    for (std::size_t way = 0; way < 2; ++way) {
      const auto& flow = link.flows[way];
      if (flow.chunks.empty() || faults[way].stalled) continue;
      const auto due = std::max(flow.chunks.front().due, flow.free_at);
      if (due > now) next = std::min(next, due);  // else it waits for its socket
    }
  }
  if (next == Steady::time_point::max()) return -1;
  return static_cast<int>(std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(next - now).count(), 1, 10'000));
}

Result<std::unique_ptr<TcpProxy>> TcpProxy::start(std::string_view host, std::uint16_t port) {
  auto state = std::make_unique<State>();
  state->target = address_of(host, port);
  state->listener = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  state->wakeup = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  auto address = address_of("127.0.0.1", 0);
  socklen_t size = sizeof address;
  const int listener = state->listener.get();
  if (listener < 0 || state->wakeup.get() < 0 || ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 128) != 0 || ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return Error(ErrorCode::kUnavailable, "the proxy cannot listen").from(ErrorSource::kSdk, errno, std::generic_category().message(errno));
  state->port = ntohs(address.sin_port);
  state->thread = std::thread([raw = state.get()] { raw->run(); });
  return std::unique_ptr<TcpProxy>(new TcpProxy(std::move(state)));
}

TcpProxy::TcpProxy(std::unique_ptr<State> state) : state_(std::move(state)) {}

TcpProxy::~TcpProxy() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake();
  state_->thread.join();
}

std::uint16_t TcpProxy::port() const noexcept { return state_->port; }

void TcpProxy::lead_to(std::string_view host, std::uint16_t port) {
  const std::scoped_lock lock(state_->mutex);
  state_->target = address_of(host, port);
}
void TcpProxy::refuse(bool on) {
  const std::scoped_lock lock(state_->mutex);
  state_->refusing = on;
}
void TcpProxy::reset_all() {
  const std::scoped_lock lock(state_->mutex);
  for (auto& link : state_->links) {
    for (auto& end : link.ends) end.abort();
    link.dead = true;
  }
  state_->wake();
}
void TcpProxy::close_all() {
  const std::scoped_lock lock(state_->mutex);
  for (auto& link : state_->links) {
    for (auto& end : link.ends) end.reset();
    link.dead = true;
  }
  state_->wake();
}
void TcpProxy::cut_after(Way way, std::size_t bytes) {
  const std::scoped_lock lock(state_->mutex);
  state_->faults[static_cast<std::size_t>(way)].cut_after = bytes;
}
void TcpProxy::stall(Way way, bool on) {
  const std::scoped_lock lock(state_->mutex);
  state_->faults[static_cast<std::size_t>(way)].stalled = on;
  state_->wake();
}
void TcpProxy::swallow(Way way, bool on) {
  const std::scoped_lock lock(state_->mutex);
  state_->faults[static_cast<std::size_t>(way)].swallowed = on;
}
void TcpProxy::delay(Way way, Milliseconds by) {
  const std::scoped_lock lock(state_->mutex);
  state_->faults[static_cast<std::size_t>(way)].delay = by;
}
void TcpProxy::limit(Way way, std::size_t bytes_per_second) {
  const std::scoped_lock lock(state_->mutex);
  state_->faults[static_cast<std::size_t>(way)].rate = bytes_per_second;
}
void TcpProxy::inject(Way way, std::string_view bytes) {
  const std::scoped_lock lock(state_->mutex);
  for (auto& link : state_->links) {
    auto& flow = link.flows[static_cast<std::size_t>(way)];
    flow.held += bytes.size();
    flow.chunks.push_back({Steady::now(), std::string(bytes)});
  }
  state_->wake();
}
void TcpProxy::heal() {
  const std::scoped_lock lock(state_->mutex);
  state_->faults = {};
  state_->refusing = false;
  state_->wake();
}

std::size_t TcpProxy::connections() const {
  const std::scoped_lock lock(state_->mutex);
  return static_cast<std::size_t>(std::ranges::count(state_->links, false, &Link::dead));
}
std::size_t TcpProxy::accepted() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->accepted;
}
std::uint64_t TcpProxy::passed(Way way) const {
  const std::scoped_lock lock(state_->mutex);
  return state_->passed[static_cast<std::size_t>(way)];
}
bool TcpProxy::wait_for(Way way, std::uint64_t bytes, Deadline deadline) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_until(lock, deadline.time(), [&] { return state_->passed[static_cast<std::size_t>(way)] >= bytes; });
}

}  // namespace setget::inline v0::testing
