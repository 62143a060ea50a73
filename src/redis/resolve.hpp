// The addresses of a host. Numeric ones at once; names by getaddrinfo, which knows no deadline and therefore runs on a thread of its own
// that is left behind when the deadline passes. Callers that ask for the same name meanwhile share that one lookup, so that a resolver that
// hangs costs one thread for each name. Thread rule: any thread.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::redis {

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
  int family() const noexcept { return bytes.ss_family; }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&bytes); }
};

// What was found, or why nothing was. Numeric hosts only where `numeric`.
struct HostLookup {
  std::vector<Address> addresses{};
  std::string why{};
};
using LookupFunction = HostLookup (*)(const std::string& host, std::uint16_t port, bool numeric);
HostLookup system_lookup(const std::string& host, std::uint16_t port, bool numeric);

// At least one address, or why there is none; `late` where the deadline passed first.
struct Resolved {
  std::vector<Address> addresses{};
  std::string why{};
  bool late = false;
};
Resolved resolve(const std::string& host, std::uint16_t port, Deadline deadline, LookupFunction lookup = &system_lookup);

}  // namespace setget::inline v0::redis
