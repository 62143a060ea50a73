// Transport: one connected byte stream to a server (TCP, unix socket, or TLS over TCP), never blocking but in connect() and wait(). Never
// raises SIGPIPE: plain writes carry MSG_NOSIGNAL, and TLS writes through a BIO of our own that does the same. Thread rule: one thread may
// read while another writes; wait() from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "redis/uri.hpp"

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::redis {

class TlsContext;

// What a read or write came to. kBlocked: nothing now; wait for `readable` / `writable`.
struct Moved {
  enum class State : std::uint8_t { kSome, kBlocked, kClosed };
  State state = State::kBlocked;
  std::size_t bytes = 0;
  bool needs_write = false;  // kBlocked: TLS waits for the other direction
  std::string why{};         // kClosed
};

struct Ready {
  bool readable = false;
  bool writable = false;
  bool woken = false;  // by the extra descriptor
};

// What has become of a connection while nobody read it. kBytes: something came.
enum class Idle : std::uint8_t { kQuiet, kBytes, kGone };

class Transport {
 public:
  // Tries every address of the host within the deadline. `tls` = nullptr: plain. Errors: kUnavailable and kDeadlineExceeded (not sent).
  static Result<std::unique_ptr<Transport>> connect(const Endpoint& endpoint, const std::shared_ptr<TlsContext>& tls, Deadline deadline);
  virtual ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  virtual Moved read(std::span<char> into) = 0;
  virtual Moved write(std::string_view bytes) = 0;
  // True if read() may have bytes that poll() does not see.
  virtual bool holds_bytes() const noexcept { return false; }

  // The socket, for those who wait for it elsewhere.
  int descriptor() const noexcept { return socket_; }
  // Waits for any of what is asked; `extra` is one more descriptor to wait for readability of (-1 = none). Nothing is set when the deadline
  // passed.
  Ready wait(bool to_read, bool to_write, int extra, Deadline deadline) const noexcept;
  // Takes no bytes, and costs one system call where nothing came. Not while another thread reads.
  virtual Idle look();
  // Makes all reads and writes fail from now on, in all threads.
  void shut_down() noexcept;

 protected:
  explicit Transport(int socket) noexcept : socket_(socket) {}
  int socket_;
};

// Certificates and rules of TLS, made once for all connections of a client.
class TlsContext {
 public:
  // kInvalidArgument where a file cannot be used.
  static Result<std::shared_ptr<TlsContext>> create(const TlsSettings& settings);
  virtual ~TlsContext();
  // Takes the connected socket. The certificate must name `host`.
  virtual Result<std::unique_ptr<Transport>> secure(int socket, const std::string& host, Deadline deadline) = 0;
};

namespace detail {
// send(2) and recv(2) as Moved; shared by the plain stream and the BIO.
Moved socket_read(int socket, std::span<char> into) noexcept;
Moved socket_write(int socket, std::string_view bytes) noexcept;
}  // namespace detail

}  // namespace setget::inline v0::redis
