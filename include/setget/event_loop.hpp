// EventLoop: the seam by which a part that waits for sockets runs on the threads of a host's own loop, so that what begins on such a thread
// also ends there. HttpServer brings one for its threads; the Redis backend uses the loop whose thread calls it: its gets then cross no
// thread. A host with a loop of its own (epoll, libuv, Asio, …) may implement it too; without one everything works, on the parts' threads.
// Thread rule: all functions from any thread, also under locks that a task takes: no task may run, or go, under a lock of the loop's.
// Blocking rule: none blocks, and no task that is given may block.
#pragma once

#include <functional>
#include <memory>

#include <setget/clock.hpp>
#include <setget/export.hpp>

namespace setget::inline v0 {

class SETGET_API EventLoop {
 public:
  using Task = std::function<void()>;
  // Called once: with false when what it waits for is there, with true when the loop ends first.
  using Waiting = std::function<void(bool ended)>;

  virtual ~EventLoop();

  // The loop whose thread this is; empty on other threads.
  static const std::shared_ptr<EventLoop>& current() noexcept;
  // Makes `loop` the current one of this thread as long as it lives; a loop's threads run inside of one.
  class SETGET_API Scope {
   public:
    explicit Scope(std::shared_ptr<EventLoop> loop) noexcept;
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::shared_ptr<EventLoop> outer_;
  };

  // Each is false once the loop has ended, or if there is no descriptor or memory for it; what was given is then not called.

  // Runs `task` on a thread of the loop, after everything that is ready now: what comes together until then can be done in one go.
  virtual bool post(Task task) = 0;
  // Calls `waiting` on a thread of the loop after this time.
  virtual bool after(Milliseconds time, Waiting waiting) = 0;
  // The same once `descriptor` can be read (`to_write`: written), or has failed. One at a time for each descriptor and direction.
  virtual bool when_ready(int descriptor, bool to_write, Waiting waiting) = 0;
  // Before a descriptor is closed that when_ready() was called for: what waits for it is not called any more. It must go, with what it
  // holds, outside of the loop's locks.
  virtual void forget(int descriptor) noexcept = 0;
};

}  // namespace setget::inline v0
