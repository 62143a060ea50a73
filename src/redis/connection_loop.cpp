// A connection that a loop looks after: what its thread does in connection_async.cpp, in turns on the loop's threads. A turn is taken when
// something was submitted, when the socket is ready, when it is time to look at deadlines; it never waits. All that was submitted until the
// turn comes goes out in one write.
#include <utility>

#include "redis/connection.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr Milliseconds kTick{20};  // between two looks at deadlines, while there are any
constexpr int kReadsInATurn = 16;  // then others of the loop have their turn

}  // namespace

void Connection::attend(std::shared_ptr<EventLoop> loop) {
  const Lock lock(mutex_);
  if (closed_ || stop_ || thread_.joinable()) return;
  loop_ = std::move(loop);
  update_load();
  want_turn();
}

// From any thread, under the lock. What is posted keeps the connection, so that its last user may be one of its callbacks.
void Connection::want_turn() noexcept {
  if (turning_) {
    again_ = true;
    return;
  }
  if (posted_) return;
  posted_ = loop_->post([self = shared_from_this()] { self->turn(false); });
  if (!posted_) leave_loop();
}

void Connection::turn(bool readable) {
  Lock lock(mutex_);
  if (!readable) posted_ = false;
  readable_ = readable_ || readable;
  again_ = true;
  if (turning_) return;
  turning_ = true;
  turner_ = std::this_thread::get_id();
  while (std::exchange(again_, false)) one_turn(lock);
  turning_ = false;
  turner_ = {};
  if (loop_ == nullptr) return go_on_alone();
  if (closed_ && stop_) return leave_loop();
  wait_on_loop();
}

void Connection::one_turn(Lock& lock) {
  run_callbacks(lock);
  const auto now = Deadline::Steady::now();
  if (earliest_ <= now) expire(now);
  if (stalled(now)) close_locked("the server sent nothing for too long though it owed a reply");
  if (!closed_ && !writing_ && !write_blocked_ && unsent()) write_some(lock);
  if (!closed_ && !reading_ && readable_) read_on_loop(lock);
  if (!done_.empty()) again_ = true;
}

void Connection::read_on_loop(Lock& lock) {
  reading_ = true;
  readable_ = false;
  for (int reads = 0; !closed_; ++reads) {
    if (reads == kReadsInATurn) {
      readable_ = true;  // the next turn goes on
      break;
    }
    lock.unlock();
    receive();
    lock.lock();
    deliver();
    if (!more_there_) break;
  }
  reading_ = false;
}

// Has itself called when there is something to do. Whoever refuses is a loop that has ended.
void Connection::wait_on_loop() {
  if (closed_) return loop_->forget(transport_->descriptor());
  if (readable_) want_turn();
  if (loop_ == nullptr) return;
  const bool to_write = (write_blocked_ && unsent()) || read_needs_write_;
  if (!arm(read_armed_, false) || (to_write && !arm(write_armed_, true))) return leave_loop();
  if (async_ == 0 || ticking_) return;
  ticking_ = loop_->after(kTick, [self = shared_from_this()](bool) {
    {
      const Lock lock(self->mutex_);
      self->ticking_ = false;
    }
    self->turn(false);
  });
  if (!ticking_) leave_loop();
}

bool Connection::arm(bool& armed, bool to_write) {
  if (armed) return true;
  armed = loop_->when_ready(transport_->descriptor(), to_write, [self = shared_from_this(), &armed, to_write](bool ended) {
    {
      const Lock lock(self->mutex_);
      armed = false;
      if (to_write) self->write_blocked_ = false;
      if (ended && self->loop_ != nullptr) return self->leave_loop();
    }
    self->turn(true);
  });
  return armed;
}

// The loop has ended, or this connection has: what is still to be done is for a thread of its own.
void Connection::leave_loop() {
  const auto loop = std::exchange(loop_, nullptr);
  loop->forget(transport_->descriptor());
  update_load();
  if (!turning_) go_on_alone();
}

void Connection::go_on_alone() {
  if ((async_ > 0 || !done_.empty()) && !thread_.joinable()) start_thread();
  left_loop_.notify_all();
}

}  // namespace setget::inline v0::redis
