// What all connections of a server share: options, budgets, metrics and the registry that the reaper walks over.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_set>

#include <setget/http.hpp>

namespace setget::inline v0::detail {

class HttpConnection;

// A part of max_buffered, given back when it goes.
class BufferShare {
 public:
  BufferShare() = default;
  BufferShare(const BufferShare&) = delete;
  BufferShare& operator=(const BufferShare&) = delete;
  ~BufferShare() { release(); }
  // Grows the share to `bytes`; false if the server has no room for it.
  bool grow_to(std::atomic<std::size_t>& used, std::size_t limit, std::size_t bytes) noexcept {
    if (bytes <= held_) return true;
    used_ = &used;
    const std::size_t more = bytes - held_;
    if (used.fetch_add(more, std::memory_order_relaxed) + more > limit) {
      used.fetch_sub(more, std::memory_order_relaxed);
      return false;
    }
    held_ = bytes;
    return true;
  }
  void release() noexcept {
    if (held_ != 0) used_->fetch_sub(held_, std::memory_order_relaxed);
    held_ = 0;
  }

 private:
  std::atomic<std::size_t>* used_ = nullptr;
  std::size_t held_ = 0;
};

struct HttpShared {
  HttpServerOptions options;
  std::atomic<std::size_t> buffered{0};
  std::atomic<bool> stopping{false};
  std::atomic<bool> paused{false};  // a door stands closed at max_connections

  // Registered connections are open sockets; the set does not own them.
  std::mutex mutex;
  std::condition_variable changed;  // a connection came or went, paused or stopping
  std::unordered_set<HttpConnection*> connections;

  void add(HttpConnection* connection);
  void remove(HttpConnection* connection);
  std::size_t size();
  // Closes what is overdue, and at max_connections the longest idle one.
  void reap();
  // Ends what waits for a next request (idle), or everything.
  void cut(bool only_idle);
};

}  // namespace setget::inline v0::detail
