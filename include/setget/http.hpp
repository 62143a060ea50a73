// HttpServer: a Gateway behind HTTP/1.1 on Boost.Beast. No Boost type is visible here.
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/gateway.hpp>
#include <setget/observe.hpp>

namespace setget::inline v0 {

struct HttpListener {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;   // 0 = any free one, see HttpServer::port()
  Gateway* gateway = nullptr;  // outlives the server
  std::string ns{};            // namespace of everything that comes in here
  std::size_t threads = 0;     // of this listener alone, so that one cannot starve another; 0 = HttpServerOptions::threads; at most 1024
};

// "HOST:PORT" or "[IPv6]:PORT". Error: kInvalidArgument.
SETGET_API Result<HttpListener> parse_listener(std::string_view text);

struct HttpServerOptions {
  std::vector<HttpListener> listeners{};
  // Of each listener, at most 1024; 0 = enough to keep group commit busy: 32. Where the gateway answers gets without waiting
  // (Gateway::answers_later()), up to four more look after the sockets and these gets, and these threads only do what waits.
  std::size_t threads = 0;
  std::size_t max_connections = 1024;              // further ones wait in the backlog
  std::size_t max_body = (8u << 20) + (4u << 20);  // bytes on the wire; over it 413 (an envelope is larger than its payload)
  std::size_t max_header = 16'384;                 // bytes; over it 431
  std::size_t max_buffered = 512u << 20;           // bodies being received at a time, over all connections; over it 503
  // Responses that clients have not taken yet, over all connections; over it reads get 503. What tells of a set is always told.
  std::size_t max_unsent = 512u << 20;
  // Each above 0 and at most a day.
  Milliseconds header_timeout{10'000};  // from the first byte or the connection
  Milliseconds body_timeout{30'000};    // for each body; slower ones get 408
  Milliseconds idle_timeout{75'000};    // keep-alive; at max_connections the longest idle one is closed earlier
  Milliseconds write_timeout{30'000};   // for each response, and a second more for each 256 KiB of it
  std::shared_ptr<Logger> logger{};
  std::shared_ptr<Metrics> metrics{};
  SETGET_API Result<void> validate() const;
};

class SETGET_API HttpServer {
 public:
  // Binds and listens, so that port() is known; serves from start() on.
  static Result<std::unique_ptr<HttpServer>> create(HttpServerOptions options);
  ~HttpServer();
  Result<void> start();
  std::uint16_t port(std::size_t listener = 0) const;
  // Accepts no more, closes idle connections, finishes requests being received or handled, joins. kDeadlineExceeded if some were still
  // there: their connections are cut, and the destructor waits for their handlers. Idempotent.
  Result<void> stop(Deadline deadline);

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0
