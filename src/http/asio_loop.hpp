// The loop of a listener's threads for sockets, as other parts see it. Thread rule: any thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_set>

#include <setget/event_loop.hpp>

namespace setget::inline v0::detail {

class AsioLoop final : public EventLoop, public std::enable_shared_from_this<AsioLoop> {
 public:
  explicit AsioLoop(boost::asio::io_context& io) noexcept : io_(io) {}

  bool post(Task task) override;
  bool after(Milliseconds time, Waiting waiting) override;
  bool when_ready(int descriptor, bool to_write, Waiting waiting) override;
  void forget(int descriptor) noexcept override;

  // Ends the loop: nothing is taken any more, and all that waits is told, on the threads that still run the io_context. Idempotent. The
  // io_context is not touched afterwards.
  void end() noexcept;

 private:
  using Timer = boost::asio::steady_timer;
  using Descriptor = boost::asio::posix::stream_descriptor;
  bool ended();

  boost::asio::io_context& io_;
  std::mutex mutex_;  // Asio's objects are for one thread at a time
  bool ended_ = false;
  std::unordered_set<std::shared_ptr<Timer>> timers_;
  std::map<int, Descriptor> descriptors_;  // by the number they were named by; of a duplicate, so that their life is ours
};

}  // namespace setget::inline v0::detail
