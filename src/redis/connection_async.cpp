// The completion form of a connection: its thread, its callbacks, their deadlines.
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "redis/connection.hpp"
#include "redis/errors.hpp"

namespace setget::inline v0::redis {

namespace {

class CallbackWaiter final : public Waiter {
 public:
  CallbackWaiter(Deadline deadline, ReplyCallback done) : Waiter(deadline), done_(std::move(done)) {}
  void settled(std::shared_ptr<Waiter>, std::optional<Error> failed) override {
    if (failed) return done_(*std::move(failed));
    done_(take_replies());
  }

 private:
  ReplyCallback done_;
};

}  // namespace

Result<void> Connection::submit(std::string_view wire, std::size_t replies, Deadline deadline, ReplyCallback done) {
  return submit(wire, replies, std::make_shared<CallbackWaiter>(deadline, std::move(done)));
}

Result<void> Connection::submit(std::string_view wire, std::size_t replies, const std::shared_ptr<Waiter>& waiter) {
  waiter->replies_.reserve(replies);
  const Lock lock(mutex_);
  if (auto refused = refusal(wire.size())) return *std::move(refused);
  if (stop_) return connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the client is closing");
  start_thread_if_needed();
  earliest_ = std::min(earliest_, waiter->deadline_);
  ++async_;
  enqueue({.waiter = waiter, .replies = replies}, wire);
  // The thread sends: what comes while it is busy shares its next write.
  wake_thread();
  return {};
}

void Connection::listen(std::function<void()> closed) {
  const Lock lock(mutex_);
  if (closed_ || stop_) return;
  listening_ = true;
  on_closed_ = std::move(closed);
  if (!thread_.joinable()) start_thread();
  wake_thread();
}

void Connection::start_thread_if_needed() {
  if (loop_ == nullptr && !turning_ && !thread_.joinable()) start_thread();
}

void Connection::start_thread() {
  wakeup_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // It keeps the connection, so that the last user may be one of its callbacks.
  thread_ = std::thread([self = shared_from_this()] { self->run(); });
}

void Connection::wake_thread() noexcept {
  if (loop_ != nullptr) return want_turn();
  if (!asleep_) return;
  asleep_ = false;
  const std::uint64_t one = 1;
  (void)!::write(wakeup_, &one, sizeof one);
}

void Connection::run() {
  Lock lock(mutex_);
  for (;;) {
    run_callbacks(lock);
    if (closed_ && on_closed_) {
      const auto tell = std::exchange(on_closed_, nullptr);
      lock.unlock();
      tell();
      lock.lock();
      continue;
    }
    if (stop_ && done_.empty()) {
      ended_ = true;
      return;
    }
    const auto now = Deadline::Steady::now();
    if (earliest_ <= now) expire(now);
    if (stalled(now)) close_locked("the server sent nothing for too long though it owed a reply");
    if (!done_.empty()) continue;
    const auto roles = async_ > 0 || listening_ ? take_roles() : Roles{};
    if (roles.any()) {
      round(lock, roles, Deadline::at(earliest_), wakeup_);
      hand_over();
    } else {
      sleep(lock);
    }
  }
}

void Connection::sleep(Lock& lock) {
  asleep_ = true;
  const auto until = Deadline::at(std::min(earliest_, stall_time()));
  lock.unlock();
  (void)transport_->wait(false, false, wakeup_, until);
  lock.lock();
  awake();
}

// What was written to the descriptor is answered by the next turn of run().
void Connection::awake() noexcept {
  if (std::exchange(asleep_, false)) return;
  std::uint64_t count = 0;
  (void)!::read(wakeup_, &count, sizeof count);
}

void Connection::run_callbacks(Lock& lock) {
  while (!done_.empty()) {
    settling_.swap(done_);
    lock.unlock();
    for (auto& one : settling_) {
      auto& waiter = *one.waiter;
      try {
        waiter.settled(std::move(one.waiter), std::move(one.failed));
      } catch (...) {  // NOLINT(bugprone-empty-catch): a callback has nobody to throw to, and the others must still run
      }
    }
    settling_.clear();  // what they captured goes here and not under the lock
    lock.lock();
  }
}

// Ends the requests whose deadline has passed.
void Connection::expire(Time now) {
  earliest_ = Time::max();
  for (auto at = owed_.begin(); at != owed_.end();) {
    if (at->waiter == nullptr || at->waiter->deadline_ > now) {
      if (at->waiter != nullptr) earliest_ = std::min(earliest_, at->waiter->deadline_);
      ++at;
      continue;
    }
    const auto place = at - owed_.begin();
    auto waiter = std::move(at->waiter);
    --async_;
    const bool never_sent = take_back(at);
    done_.push_back(
        {std::move(waiter), connection_error(ErrorCode::kDeadlineExceeded, never_sent ? Trouble::kNotSent : Trouble::kMaybeExecuted,
                                             "Redis at " + name_ + " did not answer in time")});
    at = owed_.begin() + place + (never_sent ? 0 : 1);
  }
}

}  // namespace setget::inline v0::redis
