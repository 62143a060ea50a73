#include "http/shared.hpp"

#include "http/connection.hpp"

namespace setget::inline v0::detail {

void HttpShared::add(HttpConnection* connection) {
  std::size_t open = 0;
  {
    const std::lock_guard lock(mutex);
    connections.insert(connection);
    open = connections.size();
  }
  // The reaper sleeps without a timer while nothing is open.
  if (open == 1) changed.notify_all();
  if (options.metrics) options.metrics->set("setget_http_connections", static_cast<double>(open), {});
}

void HttpShared::remove(HttpConnection* connection) {
  std::size_t open = 0;
  {
    const std::lock_guard lock(mutex);
    connections.erase(connection);
    open = connections.size();
  }
  if (open == 0 || open + 1 >= options.max_connections) changed.notify_all();
  if (options.metrics) options.metrics->set("setget_http_connections", static_cast<double>(open), {});
}

std::size_t HttpShared::size() {
  const std::lock_guard lock(mutex);
  return connections.size();
}

void HttpShared::reap() {
  constexpr Milliseconds kSpared{1'000};  // a client between two requests
  const auto now = HttpConnection::Steady::now();
  const std::lock_guard lock(mutex);
  HttpConnection* oldest = nullptr;
  auto since = now - kSpared;
  for (HttpConnection* connection : connections) {
    if (connection->expire(now)) continue;
    if (const auto idle = connection->idle_since(); idle && *idle < since) {
      oldest = connection;
      since = *idle;
    }
  }
  if (oldest != nullptr && connections.size() >= options.max_connections) oldest->cut();
}

void HttpShared::cut(bool only_idle) {
  const std::lock_guard lock(mutex);
  for (HttpConnection* connection : connections)
    if (!only_idle || connection->idle_since()) connection->cut();
}

}  // namespace setget::inline v0::detail
