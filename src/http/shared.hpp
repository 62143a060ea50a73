// What all connections of a server share: options, budgets, metrics and the registry that the reaper walks over.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

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

// Connections whose answer has come on a foreign thread, of one listener: they go on on its threads. One posted handler takes all that
// have come until it runs, because each costs a wakeup. Thread rule: any thread; the io_context outlives nobody's call, see
// HttpShared::answering.
class Answered {
 public:
  explicit Answered(boost::asio::io_context& io) noexcept : io_(io) {}
  Answered(const Answered&) = delete;
  Answered& operator=(const Answered&) = delete;
  void push(std::shared_ptr<HttpConnection> connection);
  // Keeps the threads while an answer is on its way.
  using Work = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;
  Work work() noexcept { return Work(io_.get_executor()); }

 private:
  void post();
  void drain();
  boost::asio::io_context& io_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<HttpConnection>> waiting_;
  bool posted_ = false;
};

struct HttpShared {
  HttpServerOptions options;
  std::atomic<std::size_t> buffered{0};
  std::atomic<bool> stopping{false};
  std::atomic<std::size_t> answering{0};  // callbacks that the gateway still owes, or that still run
  std::atomic<bool> paused{false};        // a door stands closed at max_connections

  // Registered connections are open sockets; the set does not own them.
  std::mutex mutex;
  std::condition_variable changed;  // a connection came or went, paused or stopping
  std::unordered_set<HttpConnection*> connections;

  void add(HttpConnection* connection);
  void remove(HttpConnection* connection);
  std::size_t size();
  // Returns once no callback of the gateway can touch anything of the server any more.
  void wait_for_answers() noexcept {
    for (auto left = answering.load(std::memory_order_acquire); left != 0; left = answering.load(std::memory_order_acquire))
      answering.wait(left, std::memory_order_acquire);
  }
  void answered() noexcept {
    if (answering.fetch_sub(1, std::memory_order_acq_rel) == 1) answering.notify_all();
  }
  // Closes what is overdue, and at max_connections the longest idle one.
  void reap();
  // Ends what waits for a next request (idle), or everything.
  void cut(bool only_idle);
};

}  // namespace setget::inline v0::detail
