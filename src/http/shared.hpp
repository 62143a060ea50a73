// What all connections of a server share: options, budgets, metrics and the registry that the reaper walks over.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include "http/asio_loop.hpp"

#include <setget/http.hpp>

namespace setget::inline v0::detail {

class HttpConnection;

// A part of max_buffered or max_unsent, given back when it goes.
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
  // The same, room or not.
  void take(std::atomic<std::size_t>& used, std::size_t bytes) noexcept { grow_to(used, std::numeric_limits<std::size_t>::max(), bytes); }
  void release() noexcept {
    if (held_ != 0) used_->fetch_sub(held_, std::memory_order_relaxed);
    held_ = 0;
  }

 private:
  std::atomic<std::size_t>* used_ = nullptr;
  std::size_t held_ = 0;
};

// The threads of one listener. Where its gateway answers gets without waiting they are split: a few look after the sockets and these gets,
// so that waking one another does not cost more than the gets; the others do what waits. Thread rule: any thread.
class Threads {
 public:
  Threads(std::size_t count, bool split);
  ~Threads() { loop_->end(); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  boost::asio::io_context& sockets() noexcept { return sockets_; }
  // Whether this is one of the threads for sockets.
  bool for_sockets() const noexcept { return EventLoop::current() == loop_; }
  bool split() const noexcept { return waiting_ != nullptr; }
  // Runs `task` on a thread that may wait. Precondition: split().
  template <class Task>
  void wait_in(Task&& task) {
    boost::asio::post(*waiting_, std::forward<Task>(task));
  }
  // From any thread: the connection goes on on one for sockets. One posted handler takes all that have come until it runs, because each one
  // costs a wakeup.
  void answered(std::shared_ptr<HttpConnection> connection);
  // Keeps the threads while an answer is on its way.
  using Work = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;
  Work work() noexcept { return Work(sockets_.get_executor()); }

  // Each thread runs `run`, and `ended` at its end. kUnavailable if one cannot be started.
  Result<void> start(const std::function<void(boost::asio::io_context&)>& run, const std::function<void()>& ended);
  // From here on they end with the last connection.
  void let_go();
  void add_connection() noexcept { connections_.fetch_add(1); }
  void remove_connection() noexcept;
  void join();
  bool finished() const noexcept { return ended_.load(std::memory_order_acquire) == threads_.size(); }

 private:
  void drain();
  void leave_sockets(std::size_t threads);
  std::size_t for_sockets_;
  std::size_t for_waiting_;
  boost::asio::io_context sockets_;
  std::unique_ptr<boost::asio::io_context> waiting_;
  std::shared_ptr<AsioLoop> loop_ = std::make_shared<AsioLoop>(sockets_);
  Work keep_sockets_{sockets_.get_executor()};
  std::optional<Work> keep_waiting_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<HttpConnection>> answered_;
  bool posted_ = false;
  std::vector<std::thread> threads_;
  std::atomic<std::size_t> connections_{0};
  std::atomic<bool> letting_go_{false};
  std::atomic<std::size_t> sockets_left_;
  std::atomic<std::size_t> ended_{0};
};

struct HttpShared {
  HttpServerOptions options;
  std::atomic<std::size_t> buffered{0};
  std::atomic<std::size_t> unsent{0};
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
