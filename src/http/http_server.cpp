#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <charconv>
#include <exception>
#include <setget/http.hpp>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/thread_limit.hpp"
#include "http/connection.hpp"
#include "http/shared.hpp"

namespace setget::inline v0 {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using detail::HttpConnection;
using detail::HttpShared;

constexpr std::size_t kDefaultThreads = 32;
constexpr Milliseconds kReapInterval{100};
constexpr Milliseconds kAcceptRetry{100};  // out of descriptors or memory: some may be free again soon

Error listen_error(const HttpListener& listener, const char* step, const error_code& error) {
  const auto code = error == asio::error::access_denied ? ErrorCode::kFailedPrecondition : ErrorCode::kUnavailable;
  return Error(code, fmt::format("cannot {} {}:{}: {}", step, listener.host, listener.port, error.message()))
      .at_field("listeners")
      .from(ErrorSource::kSdk, error.value(), error.message());
}

// One bound address with its threads.
class Door {
 public:
  Door(HttpListener listener, std::size_t threads, std::shared_ptr<HttpShared> shared)
      : listener_(std::move(listener)),
        shared_(std::move(shared)),
        threads_(threads, listener_.gateway->answers_later()),
        acceptor_(asio::make_strand(threads_.sockets())),
        retry_(acceptor_.get_executor()) {}

  Result<void> bind() {
    error_code error;
    tcp::resolver resolver(threads_.sockets());
    const auto found =
        resolver.resolve(listener_.host, std::to_string(listener_.port), tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error || found.empty()) return listen_error(listener_, "resolve", error);
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), error);
    if (error) return listen_error(listener_, "open a socket for", error);
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor_.bind(endpoint, error);
    if (error) return listen_error(listener_, "bind", error);
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return listen_error(listener_, "listen on", error);
    const auto local = acceptor_.local_endpoint(error);
    if (error) return listen_error(listener_, "listen on", error);
    port_ = local.port();
    return {};
  }

  Result<void> start() {
    resume();
    return threads_.start([this](asio::io_context& io) { serve(io); }, [this] { shared_->changed.notify_all(); });
  }

  // Accepts again after a pause at max_connections.
  void resume() {
    asio::post(acceptor_.get_executor(), [this] { accept(); });
  }
  // Accepts no more; the threads end with the last connection.
  void close() {
    asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
    });
    threads_.let_go();
  }
  void join() { threads_.join(); }
  std::uint16_t port() const noexcept { return port_; }
  bool finished() const noexcept { return threads_.finished(); }

 private:
  void serve(asio::io_context& io) {
    for (;;) {
      try {
        io.run();
        break;
      } catch (const std::exception& error) {
        // Nothing of ours throws into the loop but allocations; the thread goes on for the other connections.
        log(error);
      }
    }
  }

  void log(const std::exception& caught) noexcept {
    if (shared_->options.logger)
      shared_->options.logger->log(LogLevel::kError, "http thread caught an exception", {{"what", caught.what()}});
  }

  void accept() {
    if (accepting_ || !acceptor_.is_open() || shared_->stopping.load(std::memory_order_acquire)) return;
    if (shared_->size() >= shared_->options.max_connections) {
      {
        const std::lock_guard lock(shared_->mutex);  // or the reaper could miss it on its way to sleep
        shared_->paused.store(true, std::memory_order_release);
      }
      shared_->changed.notify_all();
      return;
    }
    try {
      acceptor_.async_accept(threads_.sockets(), [this](const error_code& error, tcp::socket socket) {
        accepting_ = false;
        if (error == asio::error::operation_aborted) return;
        if (!error && begin(std::move(socket))) return accept();
        accept_later();
      });
      accepting_ = true;
    } catch (const std::exception& error) {
      log(error);
      accept_later();
    }
  }

  // One that cannot be served is closed, and must not be the last that was accepted.
  bool begin(tcp::socket socket) noexcept {
    try {
      const auto connection = std::make_shared<HttpConnection>(std::move(socket), listener_, shared_, threads_);
      asio::post(threads_.sockets(), [connection] { connection->start(); });
      return true;
    } catch (const std::exception& error) {
      log(error);
      return false;
    }
  }

  void accept_later() {
    retry_.expires_after(kAcceptRetry);
    retry_.async_wait([this](const error_code& cancelled) {
      if (!cancelled) accept();
    });
  }

  HttpListener listener_;
  std::shared_ptr<HttpShared> shared_;
  detail::Threads threads_;
  tcp::acceptor acceptor_;  // touched on its strand only, once started
  asio::steady_timer retry_;
  bool accepting_ = false;
  std::uint16_t port_ = 0;
};

}  // namespace

Result<HttpListener> parse_listener(std::string_view text) {
  const Error refused =
      Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not HOST:PORT with a port in [0, 65535]", text)).at_field("listen");
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refused;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || (!bracketed && host.find_first_of(":[]") != std::string_view::npos)) return refused;
  HttpListener listener;
  const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), listener.port);
  if (error != std::errc() || stop != port.data() + port.size()) return refused;
  listener.host = host;
  return listener;
}

Result<void> HttpServerOptions::validate() const {
  const auto refuse = [](const char* field, const char* what) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, what).at_field(field);
  };
  if (listeners.empty()) return refuse("listeners", "at least one is required");
  for (const auto& listener : listeners) {
    if (listener.gateway == nullptr) return refuse("listeners", "each needs a gateway");
    if (listener.host.empty()) return refuse("listeners", "each needs a host to bind");
    if (!listener.ns.empty() && !is_name(listener.ns)) return refuse("listeners", "a namespace is 1 to 64 of [A-Za-z0-9._-]");
    if (listener.threads > detail::kMostThreads) return refuse("listeners", "each has at most 1024 threads");
  }
  if (threads > detail::kMostThreads) return refuse("threads", "must be at most 1024");
  if (max_connections == 0) return refuse("max_connections", "must be above 0");
  if (max_body == 0) return refuse("max_body", "must be above 0");
  if (max_header < 1024 || max_header > (1u << 20)) return refuse("max_header", "must be in [1024, 1048576]");
  if (max_buffered < max_body) return refuse("max_buffered", "must be at least max_body");
  if (max_unsent == 0) return refuse("max_unsent", "must be above 0");
  for (const auto& [field, timeout] : {std::pair("header_timeout", header_timeout), std::pair("body_timeout", body_timeout),
                                       std::pair("idle_timeout", idle_timeout), std::pair("write_timeout", write_timeout)}) {
    if (timeout <= Milliseconds(0)) return refuse(field, "must be above 0");
    if (timeout > std::chrono::hours(24)) return refuse(field, "must be at most a day");
  }
  return {};
}

struct HttpServer::State {
  std::shared_ptr<HttpShared> shared = std::make_shared<HttpShared>();
  std::vector<std::unique_ptr<Door>> doors;
  std::thread reaper;
  std::mutex lifecycle;
  bool started = false;
  bool stopped = false;

  // Timeouts in one place: a timer per operation costs more than the operation.
  void reap() {
    std::unique_lock lock(shared->mutex);
    while (!shared->stopping || !shared->connections.empty()) {
      if (shared->connections.empty())
        shared->changed.wait(lock, [this] { return shared->stopping || shared->paused || !shared->connections.empty(); });
      else
        shared->changed.wait_for(lock, kReapInterval);
      const bool room = shared->connections.size() < shared->options.max_connections;
      lock.unlock();
      shared->reap();
      if (room && !shared->stopping && shared->paused.exchange(false))
        for (const auto& door : doors) door->resume();
      lock.lock();
    }
  }

  bool finished() const {
    return std::all_of(doors.begin(), doors.end(), [](const auto& door) { return door->finished(); });
  }
  void join() {
    for (const auto& door : doors) door->join();
    if (reaper.joinable()) reaper.join();
    shared->wait_for_answers();
  }
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

HttpServer::~HttpServer() {
  static_cast<void>(stop(Deadline::immediate()));
  state_->join();
}

Result<std::unique_ptr<HttpServer>> HttpServer::create(HttpServerOptions options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  try {
    auto state = std::make_unique<State>();
    state->shared->options = std::move(options);
    const auto& settled = state->shared->options;
    const std::size_t threads = settled.threads == 0 ? kDefaultThreads : settled.threads;
    for (const auto& listener : settled.listeners) {
      auto door = std::make_unique<Door>(listener, listener.threads == 0 ? threads : listener.threads, state->shared);
      if (auto bound = door->bind(); !bound) return std::move(bound).error();
      state->doors.push_back(std::move(door));
    }
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
  } catch (const std::exception& error) {
    return Error(ErrorCode::kUnavailable, error.what());
  }
}

Result<void> HttpServer::start() {
  const std::lock_guard lock(state_->lifecycle);
  if (state_->stopped) return Error(ErrorCode::kFailedPrecondition, "the server was stopped");
  if (state_->started) return {};
  state_->started = true;
  try {
    state_->reaper = std::thread([state = state_.get()] { state->reap(); });
  } catch (const std::system_error& error) {
    return Error(ErrorCode::kUnavailable, error.what());
  }
  for (const auto& door : state_->doors)
    if (auto started = door->start(); !started) return started;
  return {};
}

std::uint16_t HttpServer::port(std::size_t listener) const { return listener < state_->doors.size() ? state_->doors[listener]->port() : 0; }

Result<void> HttpServer::stop(Deadline deadline) {
  const std::lock_guard lock(state_->lifecycle);
  HttpShared& shared = *state_->shared;
  if (!state_->stopped) {
    state_->stopped = true;
    {
      const std::lock_guard connections(shared.mutex);
      shared.stopping.store(true, std::memory_order_release);
    }
    shared.changed.notify_all();
    for (const auto& door : state_->doors) door->close();
  }
  if (!state_->started) return {};
  const auto wait = [&](Deadline::Steady::time_point until) {
    std::unique_lock connections(shared.mutex);
    while (!state_->finished() && Deadline::Steady::now() < until) {
      // Between two looks a connection may have answered its last request and become idle.
      connections.unlock();
      shared.cut(true);
      connections.lock();
      if (!state_->finished()) shared.changed.wait_until(connections, std::min(until, Deadline::Steady::now() + kReapInterval));
    }
    return state_->finished();
  };
  if (!wait(deadline.time())) {
    const std::size_t left = shared.size();
    shared.cut(false);
    // What was only waiting for its peer ends with this; a handler inside the pipeline ends when the pipeline lets it.
    if (!wait(Deadline::Steady::now() + kReapInterval))
      return Error(ErrorCode::kDeadlineExceeded, fmt::format("{} connections were cut before they were finished", left));
  }
  state_->join();
  return {};
}

}  // namespace setget::inline v0
