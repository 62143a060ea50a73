#include "redis/connection.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "redis/errors.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr std::size_t kLoadUnit = 4096;
constexpr std::size_t kLargeReply = 1 << 20;
constexpr auto kLargeMemory = std::chrono::seconds(1);
const std::string kStalled = "the server owed a reply and sent nothing for too long (option timeout)";

}  // namespace

std::shared_ptr<Connection> Connection::create(std::unique_ptr<Transport> transport, std::string name, ConnectionLimits limits) {
  return std::shared_ptr<Connection>(new Connection(std::move(transport), std::move(name), limits));
}

Connection::Connection(std::unique_ptr<Transport> transport, std::string name, ConnectionLimits limits)
    : name_(std::move(name)),
      limits_(limits),
      transport_(std::move(transport)),
      progress_(Deadline::Steady::now()),
      parser_(limits.max_reply) {}

Waiter::~Waiter() = default;

Connection::~Connection() {
  stop("the client is closing");
  if (thread_.joinable()) thread_.detach();  // this is the end of the thread itself, which held the last reference
  if (wakeup_ >= 0) ::close(wakeup_);
}

// --- requests -------------------------------------------------------------------------------------------------------------------

bool Connection::full(std::size_t bytes) const noexcept {
  if (owed_.empty()) return false;
  return owed_.size() >= limits_.max_requests || queued_ - owed_.front().begin + bytes > limits_.max_bytes;
}

std::optional<Error> Connection::refusal(std::size_t bytes) const {
  if (closed_)
    return connection_error(ErrorCode::kUnavailable, Trouble::kNotSent, fmt::format("the connection to Redis at {} is closed", name_),
                            *closed_);
  if (!full(bytes)) return std::nullopt;
  return connection_error(ErrorCode::kResourceExhausted, Trouble::kNotSent,
                          fmt::format("{} requests are under way to Redis at {}; the limits are {} and {} bytes", owed_.size(), name_,
                                      limits_.max_requests, limits_.max_bytes));
}

void Connection::enqueue(Owed owed, std::string_view wire) {
  owed.begin = queued_;
  owed.end = queued_ + wire.size();
  owed.since = Deadline::Steady::now();
  due_ += owed.replies;
  queued_ = owed.end;
  out_.append(wire);
  owed_.push_back(std::move(owed));
  requests_.fetch_add(1, std::memory_order_relaxed);
  update_load();
}

Result<void> Connection::start(Request& request, std::string_view wire, std::size_t replies, Deadline deadline) {
  Lock lock(mutex_);
  bool had_roles = false;
  while (!closed_ && full(wire.size())) {
    const auto now = Deadline::Steady::now();
    if (stalled(now)) {
      close_locked(kStalled);
      break;
    }
    if (deadline.time() <= now) {
      hand_over();
      return *refusal(wire.size());
    }
    // There may be nobody else who reads: what is under way may belong to callers who left.
    if (const auto roles = take_roles(); roles.any()) {
      had_roles = true;
      round(lock, roles, deadline, -1);
    } else {
      ++waiting_for_room_;
      room_.wait_until(lock, deadline.time());
      --waiting_for_room_;
    }
  }
  if (auto refused = refusal(wire.size())) return *std::move(refused);
  request.replies_.reserve(replies);
  enqueue({.request = &request, .replies = replies}, wire);
  // Whoever writes goes on until nothing is left, so it takes this along.
  if (!writing_) write_some(lock);
  // This caller may start more elsewhere before it waits here.
  if (had_roles) hand_over();
  return {};
}

Result<Replies> Connection::finish(Request& request, Deadline deadline) {
  Lock lock(mutex_);
  while (!request.done_) {
    if (const auto roles = take_roles(); roles.any()) {
      round(lock, roles, deadline, -1);
    } else {
      request.waiting_ = true;
      ++sleepers_;
      request.changed_.wait_until(lock, std::min(deadline.time(), stall_time()));
      --sleepers_;
      request.waiting_ = false;
    }
    if (request.done_) break;
    const auto now = Deadline::Steady::now();
    if (stalled(now)) {
      close_locked(kStalled);
    } else if (deadline.time() <= now) {
      auto left = abandon(request);
      hand_over();
      return left;
    }
  }
  hand_over();
  if (request.failed_) return *std::move(request.failed_);
  return std::move(request.replies_);
}

Result<Replies> Connection::call(std::string_view wire, std::size_t replies, Deadline deadline) {
  Request request;
  if (auto started = start(request, wire, replies, deadline); !started) return std::move(started).error();
  return finish(request, deadline);
}

// --- reading and writing ----------------------------------------------------------------------------------------------------------

Connection::Roles Connection::take_roles() noexcept {
  Roles roles;
  if (closed_) return roles;
  roles.write = !writing_ && unsent();
  roles.read = !reading_ && (listening_ || !owed_.empty());
  writing_ = writing_ || roles.write;
  reading_ = reading_ || roles.read;
  return roles;
}

// One step of work in these roles; they are free again afterwards.
void Connection::round(Lock& lock, Roles roles, Deadline deadline, int extra) {
  if (roles.write) {
    writing_ = false;
    write_some(lock);
    // Blocked: it waits for the socket together with reading, if it is still there to be taken.
    roles.write = !closed_ && !writing_ && write_blocked_ && unsent();
    writing_ = writing_ || roles.write;
  }
  if (!closed_ && roles.any()) wait_and_read(lock, roles, deadline, extra);
  if (roles.write) writing_ = false;
  if (roles.read) reading_ = false;
}

// Sends until nothing is left or the socket takes no more. Nobody else must be writing.
void Connection::write_some(Lock& lock) {
  writing_ = true;
  while (!closed_ && unsent()) {
    if (sending_.empty()) sending_.swap(out_);
    lock.unlock();
    const auto moved = transport_->write(std::string_view(sending_).substr(sending_at_));
    writes_.fetch_add(1, std::memory_order_relaxed);
    lock.lock();
    if (closed_) break;
    if (moved.state == Moved::State::kClosed) {
      writing_ = false;  // the socket took nothing of this
      close_locked(moved.why);
      break;
    }
    write_blocked_ = moved.state == Moved::State::kBlocked;
    if (write_blocked_) break;
    // What the server takes counts only until it has the request that it must answer next: it would take bytes for ever where it waits for
    // the rest of something that was lost on the way.
    if (!owed_.empty() && owed_.front().end > sent_) progress_ = Deadline::Steady::now();
    sent_ += moved.bytes;
    sending_at_ += moved.bytes;
    if (sending_at_ < sending_.size()) continue;
    constexpr std::size_t kKept = 1 << 20;
    if (sending_.capacity() > kKept) sending_ = {};
    sending_.clear();
    sending_at_ = 0;
  }
  writing_ = false;
}

void Connection::wait_and_read(Lock& lock, Roles roles, Deadline deadline, int extra) {
  const bool to_write = roles.write && write_blocked_;
  const bool at_once = roles.read && more_there_;
  const auto until = Deadline::at(std::min(deadline.time(), stall_time()));
  if (extra >= 0) asleep_ = true;
  lock.unlock();
  Ready ready{.readable = at_once};
  if (!at_once) ready = transport_->wait(roles.read, to_write || (roles.read && read_needs_write_), extra, until);
  if (roles.read && (ready.readable || ready.writable)) receive();
  lock.lock();
  if (extra >= 0) awake();
  if (ready.writable && to_write) write_blocked_ = false;
  if (roles.read) deliver();
}

// Reads once and parses what is there; without the lock.
void Connection::receive() {
  const auto room = parser_.room();
  const auto moved = transport_->read(room);
  more_there_ = moved.state == Moved::State::kSome && (moved.bytes == room.size() || transport_->holds_bytes());
  read_needs_write_ = moved.needs_write;
  if (moved.state == Moved::State::kClosed) broken_ = moved.why;
  if (moved.state != Moved::State::kSome) return;
  parser_.arrived(moved.bytes);
  bytes_came_ = true;
  for (;;) {
    Reply reply;
    const auto state = parser_.next(reply);
    if (state == ReplyParser::State::kBroken) broken_ = "not RESP: " + parser_.why();
    if (state != ReplyParser::State::kReply) break;
    if (reply.kind() == ReplyKind::kPush) {
      if (on_push_) on_push_(reply);
    } else {
      arrived_.push_back(std::move(reply));
    }
  }
  missing_.store(parser_.missing(), std::memory_order_relaxed);
}

// Gives what has arrived to those who wait for it.
void Connection::deliver() {
  if (closed_) return arrived_.clear();
  if (std::exchange(bytes_came_, false)) progress_ = Deadline::Steady::now();
  for (auto& reply : arrived_) {
    if (owed_.empty()) {
      broken_ = "the server sent a reply that nobody asked for";
      break;
    }
    auto& front = owed_.front();
    if (front.request != nullptr)
      front.request->replies_.push_back(std::move(reply));
    else if (front.waiter != nullptr)
      front.waiter->replies_.push_back(std::move(reply));
    --due_;
    if (--front.replies > 0) continue;
    auto settled = std::move(front);
    owed_.pop_front();
    settle(settled, std::nullopt);
  }
  arrived_.clear();
  update_load();
  if (!broken_.empty()) return close_locked(broken_);
  if (waiting_for_room_ > 0) room_.notify_all();
}

void Connection::settle(Owed& owed, std::optional<Error> failed) {
  if (owed.request != nullptr) {
    auto& request = *owed.request;
    request.failed_ = std::move(failed);
    request.done_ = true;
    // Under the lock: the request goes as soon as its caller can see that it is done.
    if (request.waiting_) request.changed_.notify_one();
  } else if (owed.waiter != nullptr) {
    --async_;
    done_.push_back({std::move(owed.waiter), std::move(failed)});
    wake_thread();
  }
}

// Whoever leaves sees to it that somebody goes on with what is still to be done.
void Connection::hand_over() noexcept {
  const bool work = !closed_ && ((!reading_ && !owed_.empty()) || (!writing_ && unsent()));
  if (!work) return;
  if (sleepers_ > 0) {
    for (const auto& owed : owed_) {
      if (owed.request == nullptr || !owed.request->waiting_) continue;
      return owed.request->changed_.notify_one();
    }
  }
  if (waiting_for_room_ > 0) room_.notify_all();
  if (async_ > 0) wake_thread();
}

// --- leaving, closing -------------------------------------------------------------------------------------------------------------

// Takes a request out of what is queued, if none of it is with the writer yet.
bool Connection::take_back(const std::deque<Owed>::iterator& at) {
  const auto queue_begins = queued_ - out_.size();
  if (at->begin < queue_begins) return false;
  const auto size = at->end - at->begin;
  out_.erase(static_cast<std::size_t>(at->begin - queue_begins), static_cast<std::size_t>(size));
  queued_ -= size;
  due_ -= at->replies;
  for (auto later = owed_.erase(at); later != owed_.end(); ++later) {
    later->begin -= size;
    later->end -= size;
  }
  update_load();
  return true;
}

// A caller's deadline has passed.
Error Connection::abandon(Request& request) {
  const auto mine = std::ranges::find(owed_, &request, &Owed::request);
  mine->request = nullptr;
  return connection_error(ErrorCode::kDeadlineExceeded, take_back(mine) ? Trouble::kNotSent : Trouble::kMaybeExecuted,
                          fmt::format("Redis at {} did not answer in time", name_));
}

Connection::Time Connection::stall_time() const noexcept {
  if (owed_.empty() || limits_.timeout == Milliseconds::max()) return Time::max();
  return std::max(progress_, owed_.front().since) + limits_.timeout;
}

bool Connection::stalled(Time now) const noexcept { return !closed_ && stall_time() <= now; }

Error Connection::lost(const Owed& owed) const {
  const bool begun = sent_ > owed.begin || (writing_ && owed.begin < queued_ - out_.size());
  return connection_error(
      ErrorCode::kUnavailable, begun ? Trouble::kMaybeExecuted : Trouble::kNotSent,
      begun ? fmt::format("the connection to Redis at {} broke after the request was sent; it may have been carried out", name_)
            : fmt::format("the connection to Redis at {} broke before the request was sent", name_),
      closed_.value_or(""));
}

void Connection::close_locked(const std::string& why) {
  if (closed_) return;
  closed_ = why;
  held_.reset();
  transport_->shut_down();
  for (auto& owed : owed_) settle(owed, lost(owed));
  owed_.clear();
  due_ = 0;
  out_.clear();
  update_load();
  room_.notify_all();
  wake_thread();
}

void Connection::close(std::string_view why) {
  const Lock lock(mutex_);
  close_locked(std::string(why));
}

void Connection::retire(std::string_view why) {
  const Lock lock(mutex_);
  close_locked(std::string(why));
  stop_ = true;
  wake_thread();
}

void Connection::stop(std::string_view why) {
  retire(why);
  Lock lock(mutex_);
  if (turner_ != std::this_thread::get_id()) {
    if (loop_ != nullptr && EventLoop::current() == loop_) {
      // Nobody else may be there to run what is left.
      lock.unlock();
      turn(false);
      lock.lock();
    }
    left_loop_.wait(lock, [this] { return loop_ == nullptr && !turning_; });
  }
  lock.unlock();
  if (thread_.joinable() && thread_.get_id() != std::this_thread::get_id()) thread_.join();
}

bool Connection::finished() {
  const Lock lock(mutex_);
  return closed_ && loop_ == nullptr && !turning_ && (ended_ || !thread_.joinable());
}

bool Connection::usable() {
  const Lock lock(mutex_);
  if (closed_) return false;
  const auto now = Deadline::Steady::now();
  if (stalled(now)) {
    close_locked(kStalled);
    return false;
  }
  // Servers close idle connections (timeout, CLIENT KILL): better seen now than after a write that may or may not have counted.
  constexpr auto kIdle = std::chrono::milliseconds(50);
  if (owed_.empty() && !reading_ && now - progress_ > kIdle) {
    const auto idle = transport_->look();
    if (idle == Idle::kGone) close_locked("the server closed the idle connection");
    if (idle == Idle::kBytes && on_push_) more_there_ = true;  // for whoever reads next: TLS may have taken them from the socket
    if (idle == Idle::kBytes && !on_push_) close_locked("the server sent something that nobody asked for");
  }
  return !closed_;
}

void Connection::update_load() noexcept {
  const std::uint64_t bytes = owed_.empty() ? 0 : queued_ - owed_.front().begin;
  const auto missing = missing_.load(std::memory_order_relaxed);
  if (missing >= kLargeReply) large_until_ = progress_ + kLargeMemory;
  attended_.store(!closed_ && (async_ > 0 || loop_ != nullptr), std::memory_order_relaxed);
  load_.store(due_ + (static_cast<std::size_t>(bytes) + missing) / kLoadUnit + (progress_ < large_until_ ? kBusy : 0),
              std::memory_order_relaxed);
}

}  // namespace setget::inline v0::redis
