#include "http/shared.hpp"

#include <boost/asio/post.hpp>
#include <iterator>
#include <utility>

#include "http/connection.hpp"

namespace setget::inline v0::detail {

void Answered::push(std::shared_ptr<HttpConnection> connection) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(connection));
  if (posted_) return;
  post();
  posted_ = true;
}

void Answered::post() {
  boost::asio::post(io_, [this] { drain(); });
}

void Answered::drain() {
  constexpr std::size_t kShare = 16;  // the rest is for another thread
  std::vector<std::shared_ptr<HttpConnection>> mine;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() <= kShare) {
      mine.swap(waiting_);
    } else {
      const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(kShare);
      mine.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
      waiting_.erase(waiting_.begin(), end);
    }
    posted_ = !waiting_.empty();
    if (posted_) post();
  }
  for (auto& connection : mine) {
    connection->go_on();
    connection.reset();
  }
}

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
