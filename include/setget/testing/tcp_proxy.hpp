// TcpProxy: stands between a client and a server on this machine and makes the network as bad as a test needs it: refuse, reset, stall,
// swallow, delay, limit the bandwidth, cut after n bytes, put garbage in between. Faults apply to connections that exist and to those that
// come, until they are changed. Bytes are counted as they leave the proxy, so that a test can wait for the moment that it wants to disturb.
// Thread rule: any thread. It has a thread of its own, from construction to destruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>

namespace setget::inline v0::testing {

class SETGET_API TcpProxy {
 public:
  enum class Way : std::uint8_t { kToServer, kToClient };

  // Listens on a free port of 127.0.0.1; each connection is passed on to `host` (an IPv4 address) and `port`. Error: kUnavailable.
  static Result<std::unique_ptr<TcpProxy>> start(std::string_view host, std::uint16_t port);
  // Closes everything.
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  std::uint16_t port() const noexcept;
  // Where connections go from now on: a server that moved.
  void lead_to(std::string_view host, std::uint16_t port);

  // New connections are reset as soon as they are made.
  void refuse(bool on);
  // All connections end now: with a reset (RST), or in order (FIN).
  void reset_all();
  void close_all();
  // After so many more bytes on the way, counted over all connections, the connection that passed the last of them is reset; they still
  // arrive.
  void cut_after(Way way, std::size_t bytes);
  // Nothing passes and nothing closes: a half-open connection. What is held back passes when the stall ends.
  void stall(Way way, bool on);
  // What comes is thrown away.
  void swallow(Way way, bool on);
  // Every byte comes this much later; 0 = at once.
  void delay(Way way, Milliseconds by);
  // Bytes a second on each connection; 0 = unlimited.
  void limit(Way way, std::size_t bytes_per_second);
  // Puts bytes into the stream of every connection.
  void inject(Way way, std::string_view bytes);
  // No fault is left; counters stay.
  void heal();

  // Connections open now, and ever accepted.
  std::size_t connections() const;
  std::size_t accepted() const;
  // Bytes that left the proxy, or were swallowed, on this way.
  std::uint64_t passed(Way way) const;
  // False if the deadline passes before so many bytes have passed in all.
  bool wait_for(Way way, std::uint64_t bytes, Deadline deadline) const;

 private:
  struct State;
  explicit TcpProxy(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0::testing
