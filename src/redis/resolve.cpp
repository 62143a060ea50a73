#include "redis/resolve.hpp"

#include <netdb.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace setget::inline v0::redis {
namespace {

// One lookup on its way, and what it found.
struct Flight {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  HostLookup found;
};

struct Flights {
  using Name = std::pair<std::string, std::uint16_t>;
  std::mutex mutex;
  std::map<Name, std::shared_ptr<Flight>> under_way;
};

// Never destroyed: a thread that was left behind may outlive main().
Flights& flights() {
  static auto* const all = new Flights;  // NOLINT(cppcoreguidelines-owning-memory): see above
  return *all;
}

std::shared_ptr<Flight> board(const Flights::Name& name, LookupFunction lookup) {
  auto& all = flights();
  const std::scoped_lock lock(all.mutex);
  auto& flight = all.under_way[name];
  if (flight != nullptr) return flight;
  flight = std::make_shared<Flight>();
  auto mine = flight;
  try {
    std::thread([mine, name, lookup, &all] {
      auto found = lookup(name.first, name.second, false);
      {
        const std::scoped_lock ending(all.mutex);
        all.under_way.erase(name);
      }
      const std::scoped_lock telling(mine->mutex);
      mine->found = std::move(found);
      mine->done = true;
      mine->changed.notify_all();
    }).detach();
  } catch (const std::system_error& error) {
    all.under_way.erase(name);
    mine->found.why = error.what();
    mine->done = true;
  }
  return mine;
}

}  // namespace

HostLookup system_lookup(const std::string& host, std::uint16_t port, bool numeric) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (numeric ? AI_NUMERICHOST : AI_ADDRCONFIG);
  addrinfo* found = nullptr;
  if (const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); failed != 0) {
    const int code = errno;
    return {.why = failed == EAI_SYSTEM ? std::error_code(code, std::generic_category()).message() : ::gai_strerror(failed)};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  HostLookup all{.why = "the host has no address"};
  for (const auto* one = found; one != nullptr; one = one->ai_next) {
    if (one->ai_addrlen > sizeof(sockaddr_storage)) continue;
    auto& address = all.addresses.emplace_back();
    std::memcpy(&address.bytes, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
  }
  return all;
}

Resolved resolve(const std::string& host, std::uint16_t port, Deadline deadline, LookupFunction lookup) {
  if (auto numeric = lookup(host, port, true); !numeric.addresses.empty()) return {.addresses = std::move(numeric.addresses)};
  const auto flight = board({host, port}, lookup);
  std::unique_lock lock(flight->mutex);
  if (!flight->changed.wait_until(lock, deadline.time(), [&] { return flight->done; }))
    return {.why = "the name was not resolved in time", .late = true};
  return {.addresses = flight->found.addresses, .why = flight->found.why};
}

}  // namespace setget::inline v0::redis
