#include "http/shared.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "http/connection.hpp"
#include "http/hot_gets.hpp"

namespace setget::inline v0::detail {

namespace {

std::size_t threads_for_sockets(std::size_t count, bool split) {
  if (!split) return count;
  constexpr std::size_t kMost = 4;
  return std::clamp<std::size_t>(std::thread::hardware_concurrency() / 2, 1, kMost);
}

}  // namespace

Threads::Threads(std::size_t count, bool split)
    : for_sockets_(threads_for_sockets(count, split)),
      for_waiting_(split ? count : 0),
      sockets_(static_cast<int>(for_sockets_)),
      sockets_left_(for_sockets_) {
  if (!split) return;
  waiting_ = std::make_unique<boost::asio::io_context>(static_cast<int>(for_waiting_));
  keep_waiting_.emplace(waiting_->get_executor());
}

Result<void> Threads::start(const std::function<void(boost::asio::io_context&)>& run, const std::function<void()>& ended) {
  const auto all = for_sockets_ + for_waiting_;
  try {
    threads_.reserve(all);
    while (threads_.size() < all) {
      threads_.emplace_back([this, run, ended, socket = threads_.size() < for_sockets_] {
        if (socket) {
          const EventLoop::Scope scope(loop_);
          HotGets hot;
          const HotGets::Scope remembers(hot);
          run(sockets_);
        } else {
          run(*waiting_);
        }
        if (socket) leave_sockets(1);
        ended_.fetch_add(1, std::memory_order_acq_rel);
        ended();
      });
    }
    return {};
  } catch (const std::exception& error) {
    if (threads_.size() < for_sockets_) leave_sockets(for_sockets_ - threads_.size());
    return Error(ErrorCode::kUnavailable, fmt::format("cannot start {} threads: {}", all, error.what()));
  }
}

// What others wait for on the loop would keep its threads.
void Threads::let_go() {
  letting_go_.store(true);
  keep_sockets_.reset();
  if (connections_.load() == 0) loop_->end();
}

void Threads::remove_connection() noexcept {
  if (connections_.fetch_sub(1) == 1 && letting_go_.load()) loop_->end();
}

// With the last of them nothing is left that could bring something to wait for.
void Threads::leave_sockets(std::size_t threads) {
  if (sockets_left_.fetch_sub(threads, std::memory_order_acq_rel) == threads) keep_waiting_.reset();
}

void Threads::join() {
  for (auto& thread : threads_)
    if (thread.joinable()) thread.join();
}

void Threads::answered(std::shared_ptr<HttpConnection> connection) {
  const std::lock_guard lock(mutex_);
  answered_.push_back(std::move(connection));
  if (posted_) return;
  boost::asio::post(sockets_, [this] { drain(); });
  posted_ = true;
}

void Threads::drain() {
  constexpr std::size_t kShare = 16;  // the rest is for another thread
  std::vector<std::shared_ptr<HttpConnection>> mine;
  {
    const std::lock_guard lock(mutex_);
    if (answered_.size() <= kShare) {
      mine.swap(answered_);
    } else {
      const auto end = answered_.begin() + static_cast<std::ptrdiff_t>(kShare);
      mine.assign(std::make_move_iterator(answered_.begin()), std::make_move_iterator(end));
      answered_.erase(answered_.begin(), end);
    }
    posted_ = !answered_.empty();
    if (posted_) boost::asio::post(sockets_, [this] { drain(); });
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
