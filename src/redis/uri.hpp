// Where Redis is and how to talk to it, as one URI says it:
//
//   redis://user:password@host:port/db?options       one server; rediss:// is the same over TLS
//   unix://user:password@/path/to/socket?db=2        one server on this machine
//   redis+sentinel://host:port,host:port/master/db   the master that the sentinels know by that name (rediss+sentinel:// over TLS)
//   redis+cluster://host:port,host:port              a cluster, found through any of these nodes (rediss+cluster:// over TLS)
//
// User, password, socket path and the values of options are percent-encoded. Options: client_name, pool, exclusive, connect_timeout,
// timeout, protocol (2 or 3), max_reply, db, ca, cert, key, server_name, insecure, sentinel_user, sentinel_password. Times are "250ms",
// "2s" or milliseconds; sizes are bytes, "64KiB" or "16MiB".
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::redis {

enum class Topology : std::uint8_t { kStandalone, kSentinel, kCluster };

struct Endpoint {
  std::string host{};
  std::uint16_t port = 6379;
  std::string socket{};  // path of a unix socket; then host and port mean nothing

  // "host:port", "[::1]:6379" or "unix:/path": for messages and as a name.
  std::string text() const;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 misreads it
};

struct TlsSettings {
  std::string ca{};    // PEM file of the authorities to trust; empty = the system's
  std::string cert{};  // PEM files of the client's own certificate and its key; empty = none
  std::string key{};
  std::string server_name{};  // what the certificate must name; empty = the host
  bool insecure = false;      // encrypts, but believes any certificate
};

struct Settings {
  Topology topology = Topology::kStandalone;
  std::vector<Endpoint> endpoints{};  // of the server, the sentinels, or some nodes of the cluster; never empty
  std::string master{};               // the sentinels' name of it
  std::string user{};                 // empty with a password = the server's default user
  std::string password{};
  std::string sentinel_user{};
  std::string sentinel_password{};
  std::uint32_t database = 0;
  std::string client_name = "setget";
  std::size_t pool = 4;       // shared connections to each server, made as load needs them
  std::size_t exclusive = 8;  // connections to each server for WATCH and what else cannot be shared
  Milliseconds connect_timeout{2000};
  // How long a server may owe a reply without sending anything before its connection counts as dead.
  Milliseconds timeout{5000};
  std::uint32_t protocol = 2;
  std::size_t max_reply = std::size_t{512} << 20;  // bytes of one reply, as held in memory
  bool use_tls = false;
  TlsSettings tls{};
};

// kInvalidArgument with field ("uri.port") and position; nothing of a password is ever in a message.
Result<Settings> parse_uri(std::string_view uri);

// The URI without any password, and without options that have their default: for logs and errors.
std::string describe(const Settings& settings);

// "host:port" or "[v6]:port"; `offset` is added to positions. Port 0 = the default that was given.
Result<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port, std::size_t offset = 0);

}  // namespace setget::inline v0::redis
