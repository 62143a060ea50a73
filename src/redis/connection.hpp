// Connection: one connection that any number of callers share. Implicit pipelining without a thread of its own for blocking callers: a
// caller appends its bytes; the first that finds nobody writing sends for all, the first that finds nobody reading receives for all until
// it has its own reply, then hands the role to another that still waits. Requests of the completion form are driven by a thread that starts
// with the first of them and reads only while no blocking caller does; their callbacks run on it and nowhere else. A connection that a loop
// looks after (attend()) has no such thread: it takes its turns on the loop's (connection_loop.cpp).
//
// A caller whose deadline passes leaves: what was not yet given to the socket is taken back, else its replies are dropped when they come.
// If the server owes a reply and has sent nothing for `timeout`, the connection is dead: it closes, and everybody gets kUnavailable that
// says whether the server may have carried the request out. A closed connection stays closed; the pool makes another. Thread rule: any
// thread. The destructor must not run on the connection's own thread (in a callback).
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "redis/command.hpp"
#include "redis/reply.hpp"
#include "redis/reply_parser.hpp"
#include "redis/transport.hpp"

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/event_loop.hpp>

namespace setget::inline v0::redis {

using Replies = std::vector<Reply>;
using ReplyCallback = std::function<void(Result<Replies>)>;

// A request of the completion form, as the connection keeps it until all replies are there.
class Waiter {
 public:
  explicit Waiter(Deadline deadline) noexcept : deadline_(deadline.time()) {}
  virtual ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  // Exactly once, on the connection's thread; must not block. `failed`: what happened to it instead of its replies.
  virtual void settled(std::shared_ptr<Waiter> self, std::optional<Error> failed) = 0;

 protected:
  Replies take_replies() noexcept { return std::exchange(replies_, {}); }
  Deadline deadline() const noexcept { return Deadline::at(deadline_); }

 private:
  friend class Connection;
  Replies replies_;
  Deadline::Steady::time_point deadline_;
};

struct ConnectionLimits {
  std::size_t max_requests = 4096;                // under way; one is always admitted
  std::size_t max_bytes = std::size_t{64} << 20;  // of requests under way; one is always admitted
  std::size_t max_reply = std::size_t{512} << 20;
  Milliseconds timeout{5000};
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `name` is for messages ("127.0.0.1:6379").
  static std::shared_ptr<Connection> create(std::unique_ptr<Transport> transport, std::string name, ConnectionLimits limits);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // A request of a blocking caller. Lives from start() until finish() has returned.
  class Request;

  // Queues a request (several commands in one piece), sends what can be sent without waiting, and returns: more can be started before the
  // first is finished. Waits only while the limits are reached. `wire` is copied. An error means that nothing was sent; finish() must then
  // not be called.
  Result<void> start(Request& request, std::string_view wire, std::size_t replies, Deadline deadline);
  // Waits for all replies. Error: what happened to the connection, or kDeadlineExceeded.
  Result<Replies> finish(Request& request, Deadline deadline);
  // Both.
  Result<Replies> call(std::string_view wire, std::size_t replies, Deadline deadline);

  // Never waits. An error means that `waiter` was not taken and will not be settled; otherwise it is, at the latest after close(). From a
  // callback it costs a lock and a copy of `wire`: what the callbacks of one round submit goes out in one write.
  Result<void> submit(std::string_view wire, std::size_t replies, const std::shared_ptr<Waiter>& waiter);
  Result<void> submit(std::string_view wire, std::size_t replies, Deadline deadline, ReplyCallback done);

  // Everybody who waits gets kUnavailable with this reason. Idempotent; does not wait for the callbacks.
  void close(std::string_view why);
  // Closes for good: nothing may be submitted any more, and the thread ends after the last callback. Must be called before the owner lets
  // go.
  void retire(std::string_view why);
  // The same, and returns once every callback has run (all but the calling one, if it is called from a callback).
  void stop(std::string_view why);
  // True once nothing of it runs any more: a retired connection can be forgotten.
  bool finished();

  // False once it is closed, or if it is found to be dead now: the server hung up while it was idle, or owes a reply for too long.
  bool usable();
  // From this load on another connection is worth having.
  static constexpr std::size_t kBusy = 256;
  // True while its own thread looks after it, and so sees for itself when the server is gone.
  bool attended() const noexcept { return attended_.load(std::memory_order_relaxed); }
  // What a new request would have to wait for: replies under way, and one more for each 4 KiB known to be under way. A connection that has
  // lately carried a large reply counts as busy: nobody can tell beforehand which request brings the next one, but it is likely to come the
  // same way.
  std::size_t load() const noexcept { return load_.load(std::memory_order_relaxed); }
  // Calls of send() so far, and requests: tests show with them that writes are shared.
  std::uint64_t writes() const noexcept { return writes_.load(std::memory_order_relaxed); }
  std::uint64_t requests() const noexcept { return requests_.load(std::memory_order_relaxed); }
  // Called with each push message of RESP3, on whatever thread reads; set before the first request.
  void on_push(std::function<void(const Reply&)> handler) { on_push_ = std::move(handler); }
  // Reads from now on even while nothing is owed, on the connection's own thread: push messages come as soon as they are there. `closed` is
  // called once when the connection has closed, on that thread, unless it is closed already. Once, and before retire().
  void listen(std::function<void()> closed);
  // Before the first request of the completion form, and for these only: they are looked after by `loop`, on its threads, until it ends.
  void attend(std::shared_ptr<EventLoop> loop);
  // Let go of when it closes.
  void hold(std::shared_ptr<void> held) {
    const Lock lock(mutex_);
    if (!closed_) held_ = std::move(held);
  }
  const std::string& name() const noexcept { return name_; }

 private:
  using Time = Deadline::Steady::time_point;
  using Lock = std::unique_lock<std::mutex>;
  // What the server owes to one request, in the order of the replies. Neither request nor waiter: its caller left.
  struct Owed {
    Request* request = nullptr;
    std::shared_ptr<Waiter> waiter{};
    std::size_t replies = 0;  // still to come
    std::uint64_t begin = 0;  // place in the stream of bytes
    std::uint64_t end = 0;
    Time since{};
  };
  // What one thread at a time may do without the lock.
  struct Roles {
    bool write = false;
    bool read = false;
    bool any() const noexcept { return write || read; }
  };

  Connection(std::unique_ptr<Transport> transport, std::string name, ConnectionLimits limits);

  std::optional<Error> refusal(std::size_t bytes) const;
  bool full(std::size_t bytes) const noexcept;
  void enqueue(Owed owed, std::string_view wire);
  bool unsent() const noexcept { return !sending_.empty() || !out_.empty(); }

  Roles take_roles() noexcept;
  void round(Lock& lock, Roles roles, Deadline deadline, int extra);
  void write_some(Lock& lock);
  void wait_and_read(Lock& lock, Roles roles, Deadline deadline, int extra);
  void receive();
  void deliver();
  void settle(Owed& owed, std::optional<Error> failed);
  void hand_over() noexcept;

  Error abandon(Request& request);
  bool take_back(const std::deque<Owed>::iterator& at);
  bool stalled(Time now) const noexcept;
  Time stall_time() const noexcept;
  void close_locked(const std::string& why);
  Error lost(const Owed& owed) const;
  void update_load() noexcept;

  // The completion form (connection_async.cpp).
  void run();
  void start_thread();
  void wake_thread() noexcept;
  void sleep(Lock& lock);
  void awake() noexcept;
  void run_callbacks(Lock& lock);
  void expire(Time now);
  void start_thread_if_needed();

  // On a loop (connection_loop.cpp).
  void turn(bool readable);
  void one_turn(Lock& lock);
  void read_on_loop(Lock& lock);
  void want_turn() noexcept;
  void wait_on_loop();
  bool arm(bool& armed, bool to_write);
  void leave_loop();
  void go_on_alone();

  const std::string name_;
  const ConnectionLimits limits_;
  const std::unique_ptr<Transport> transport_;
  std::function<void(const Reply&)> on_push_;
  std::atomic<std::size_t> load_{0};
  std::atomic<bool> attended_{false};
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::uint64_t> requests_{0};

  std::mutex mutex_;
  std::condition_variable room_;  // for those whom the limits hold back
  std::size_t waiting_for_room_ = 0;
  std::optional<std::string> closed_;  // why
  std::deque<Owed> owed_;
  std::size_t due_ = 0;       // replies of all of them
  std::size_t async_ = 0;     // of owed_: completion form
  std::size_t sleepers_ = 0;  // blocking callers who wait for others to read
  std::string out_;           // queued
  std::uint64_t queued_ = 0;  // bytes ever queued: where out_ ends in the stream
  std::uint64_t sent_ = 0;    // bytes that the socket took
  Time progress_{};           // when bytes last came, or went for the reply that is next
  Time large_until_{};        // so long it is known for large replies
  bool writing_ = false;
  bool reading_ = false;
  bool write_blocked_ = false;  // the socket took less than it was given

  // Of whoever writes.
  std::string sending_;
  std::size_t sending_at_ = 0;

  // Of whoever reads.
  ReplyParser parser_;
  Replies arrived_;
  std::string broken_;
  bool more_there_ = false;  // the last read may have left something
  bool bytes_came_ = false;
  bool read_needs_write_ = false;
  std::atomic<std::size_t> missing_{0};  // bytes that the reply now being received still needs

  struct Done {
    std::shared_ptr<Waiter> waiter;
    std::optional<Error> failed;
  };
  std::vector<Done> done_;      // who is to be told
  std::vector<Done> settling_;  // of the thread: who is being told
  std::thread thread_;
  int wakeup_ = -1;  // eventfd of the thread
  bool listening_ = false;
  std::function<void()> on_closed_;
  std::shared_ptr<void> held_;
  bool asleep_ = false;  // in poll; whoever clears it has written to wakeup_
  bool stop_ = false;
  bool ended_ = false;
  Time earliest_ = Time::max();  // no async deadline is earlier

  // Of a connection on a loop.
  std::shared_ptr<EventLoop> loop_;  // until the loop or the connection ends
  std::condition_variable left_loop_;
  bool posted_ = false;   // a turn is to come
  bool turning_ = false;  // one thread takes its turns: this one
  std::thread::id turner_;
  bool again_ = false;        // something came up meanwhile
  bool readable_ = false;     // there may be something to read
  bool read_armed_ = false;   // the loop says when there is
  bool write_armed_ = false;  // and when the socket takes more
  bool ticking_ = false;      // and when to look at deadlines
};

class Connection::Request {
 public:
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

 private:
  friend class Connection;
  Replies replies_;
  std::optional<Error> failed_;
  std::condition_variable changed_;
  bool done_ = false;
  bool waiting_ = false;  // its caller sleeps
};

}  // namespace setget::inline v0::redis
