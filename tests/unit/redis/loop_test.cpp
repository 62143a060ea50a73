// Requests from the thread of a host's own loop: they stay on it, and end as all others do whatever happens to server, connection and loop.
#include <gtest/gtest.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "client_fixture.hpp"

#include <setget/event_loop.hpp>
#include <setget/testing/tcp_proxy.hpp>

namespace {

using namespace setget;
using namespace setget::redis;
using namespace redis_test;
using setget::testing::TcpProxy;
using Way = TcpProxy::Way;
using Steady = Deadline::Steady;

// A host's loop, as small as it can be: poll(2) on one thread.
class PollLoop final : public EventLoop, public std::enable_shared_from_this<PollLoop> {
 public:
  ~PollLoop() override {
    end();
    ::close(wakeup_);
  }
  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void end() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
  }
  bool is_here() const { return std::this_thread::get_id() == thread_.get_id(); }

  bool post(Task task) override {
    const std::lock_guard lock(mutex_);
    if (ended_) return false;
    tasks_.push_back(std::move(task));
    wake();
    return true;
  }
  bool after(Milliseconds time, Waiting waiting) override {
    const std::lock_guard lock(mutex_);
    if (ended_) return false;
    timers_.emplace(Steady::now() + time, std::move(waiting));
    wake();
    return true;
  }
  bool when_ready(int descriptor, bool to_write, Waiting waiting) override {
    const std::lock_guard lock(mutex_);
    if (ended_) return false;
    EXPECT_TRUE(watched_.emplace(std::pair(descriptor, to_write), std::move(waiting)).second) << "one at a time";
    wake();
    return true;
  }
  void forget(int descriptor) noexcept override {
    std::vector<Waiting> dropped;  // what it holds goes outside of the lock
    const std::lock_guard lock(mutex_);
    for (const bool to_write : {false, true}) {
      const auto at = watched_.find({descriptor, to_write});
      if (at == watched_.end()) continue;
      dropped.push_back(std::move(at->second));
      watched_.erase(at);
    }
  }

 private:
  void wake() const {
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(wakeup_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  }

  void run() {
    const Scope scope(shared_from_this());
    std::unique_lock lock(mutex_);
    while (!ended_ || !tasks_.empty()) {
      std::vector<pollfd> files{{.fd = wakeup_, .events = POLLIN, .revents = 0}};
      for (const auto& [what, _] : watched_)
        files.push_back({.fd = what.first, .events = static_cast<short>(what.second ? POLLOUT : POLLIN), .revents = 0});
      const int wait = tasks_.empty() && !ended_ ? 5 : 0;
      lock.unlock();
      ::poll(files.data(), files.size(), wait);
      lock.lock();
      std::vector<Waiting> due;
      if (files[0].revents != 0) {
        std::uint64_t count = 0;
        (void)!::read(wakeup_, &count, sizeof count);
      }
      for (std::size_t i = 1; i < files.size(); ++i) {
        if (files[i].revents == 0) continue;
        const auto at = watched_.find({files[i].fd, files[i].events == POLLOUT});
        if (at == watched_.end()) continue;
        due.push_back(std::move(at->second));
        watched_.erase(at);
      }
      while (!timers_.empty() && timers_.begin()->first <= Steady::now()) {
        due.push_back(std::move(timers_.begin()->second));
        timers_.erase(timers_.begin());
      }
      auto tasks = std::exchange(tasks_, {});
      lock.unlock();
      for (const auto& one : due) one(false);
      for (const auto& one : tasks) one();
      due.clear();
      tasks.clear();
      lock.lock();
    }
    const auto watched = std::exchange(watched_, {});
    const auto timers = std::exchange(timers_, {});
    lock.unlock();
    for (const auto& [_, waiting] : watched) waiting(true);
    for (const auto& [_, waiting] : timers) waiting(true);
  }

  std::mutex mutex_;
  const int wakeup_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  bool ended_ = false;
  std::vector<Task> tasks_;
  std::multimap<Steady::time_point, Waiting> timers_;
  std::map<std::pair<int, bool>, Waiting> watched_;
  std::thread thread_;
};

class RedisLoop : public ::testing::Test {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    loop_->start();
  }
  void TearDown() override { loop_->end(); }

  // What `ask` gives its callback, asked on the loop; second: whether the callback ran there.
  std::pair<Result<Reply>, bool> ask(Client& client, const RedisCommand& command, Deadline deadline = soon()) {
    std::promise<std::pair<Result<Reply>, bool>> answer;
    loop_->post([&] {
      auto submitted = client.submit(command, deadline, [&](Result<Reply> reply) {
        answer.set_value({std::move(reply), loop_->is_here()});
      });
      if (!submitted) answer.set_value({std::move(submitted).error(), true});
    });
    return answer.get_future().get();
  }
  // Until the loop has a connection of its own.
  void settle(Client& client) {
    ASSERT_TRUE(eventually([&] {
      const auto [reply, here] = ask(client, get("k"));
      return reply.has_value() && here;
    }));
  }
  std::shared_ptr<PollLoop> loop_ = std::make_shared<PollLoop>();
};

TEST_F(RedisLoop, answers_come_on_the_loop_and_what_is_asked_in_one_turn_is_sent_at_once) {
  RedisServer server;
  const auto client = client_of(server.uri());
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  settle(*client);
  std::promise<std::shared_ptr<Connection>> own;
  const auto pool = client->servers(soon()).value()[0];
  loop_->post([&] {
    bool make_own = false;
    own.set_value(pool->ready(make_own));
    EXPECT_FALSE(make_own);
  });
  const auto connection = own.get_future().get();
  const auto writes = connection->writes();
  constexpr int kGets = 100;
  std::atomic<int> here{0};
  std::atomic<int> answered{0};
  loop_->post([&] {
    for (int i = 0; i < kGets; ++i) {
      ASSERT_TRUE(client->submit(get("k"), soon(), [&](Result<Reply> reply) {
        if (loop_->is_here() && reply && reply->text() == "v") ++here;
        ++answered;
      }));
    }
  });
  EXPECT_TRUE(eventually([&] { return answered == kGets; }));
  EXPECT_EQ(here, kGets);
  EXPECT_EQ(connection->writes(), writes + 1);
}

TEST_F(RedisLoop, other_threads_go_on_as_before) {
  RedisServer server;
  const auto client = client_of(server.uri());
  settle(*client);
  std::promise<bool> here;
  ASSERT_TRUE(client->submit(get("k"), soon(), [&](Result<Reply>) { here.set_value(loop_->is_here()); }));
  EXPECT_FALSE(here.get_future().get());
  EXPECT_TRUE(client->call(get("k"), soon()).has_value());
}

TEST_F(RedisLoop, a_large_reply_arrives_whole_and_a_large_request_is_sent_whole) {
  RedisServer server;
  const auto client = client_of(server.uri());
  settle(*client);
  const std::string large(24 << 20, 'x');
  ASSERT_TRUE(ask(*client, set("large", large), soon(20'000)).first.has_value());
  EXPECT_EQ(ask(*client, get("large"), soon(20'000)).first.value().text(), large);
}

TEST_F(RedisLoop, a_server_that_says_nothing_holds_nobody_beyond_the_deadline) {
  RedisServer server;
  const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
  const auto client = client_of("redis://127.0.0.1:" + std::to_string(proxy->port()));
  settle(*client);
  proxy->swallow(Way::kToClient, true);
  const auto start = Steady::now();
  const auto [reply, here] = ask(*client, get("k"), soon(300));
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_LT(Steady::now() - start, std::chrono::milliseconds(300 + 4'000));
  proxy->heal();
}

TEST_F(RedisLoop, a_lost_connection_is_replaced) {
  RedisServer server;
  const auto client = client_of(server.uri());
  settle(*client);
  for (int round = 0; round < 5; ++round) {
    server.cli({"CLIENT", "KILL", "TYPE", "normal"});
    settle(*client);
  }
}

TEST_F(RedisLoop, a_server_that_went_away_is_told_quickly_and_used_once_it_is_back) {
  RedisServer server;
  const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
  const auto client = client_of("redis://127.0.0.1:" + std::to_string(proxy->port()));
  settle(*client);
  proxy->refuse(true);
  proxy->reset_all();
  ASSERT_TRUE(eventually([&] { return !ask(*client, get("k"), soon(200)).first.has_value(); }));
  proxy->refuse(false);
  settle(*client);
}

TEST_F(RedisLoop, when_the_loop_ends_everybody_is_answered_once) {
  RedisServer server;
  const auto client = client_of(server.uri());
  settle(*client);
  server.pause();
  std::array<std::atomic<int>, 50> calls{};
  std::promise<void> asked;
  loop_->post([&] {
    for (auto& count : calls) {
      EXPECT_TRUE(client->submit(get("k"), soon(20'000), [&](Result<Reply> reply) {
        EXPECT_TRUE(reply.has_value());
        ++count;
      }));
    }
    asked.set_value();
  });
  asked.get_future().get();
  loop_->end();
  server.resume();
  EXPECT_TRUE(eventually([&] { return std::ranges::all_of(calls, [](const auto& count) { return count == 1; }); }));
  EXPECT_TRUE(client->call(get("k"), soon()).has_value());
  client->stop();
  for (const auto& count : calls) EXPECT_EQ(count, 1);
}

TEST_F(RedisLoop, stop_answers_everybody_exactly_once) {
  RedisServer server;
  const auto client = client_of(server.uri());
  settle(*client);
  server.pause();
  std::array<std::atomic<int>, 50> calls{};
  std::promise<void> asked;
  loop_->post([&] {
    for (auto& count : calls) {
      EXPECT_TRUE(client->submit(get("k"), soon(), [&](Result<Reply> reply) {
        EXPECT_FALSE(reply.has_value());
        ++count;
      }));
    }
    asked.set_value();
  });
  asked.get_future().get();
  client->stop();
  for (const auto& count : calls) EXPECT_EQ(count, 1);
  server.resume();
}

// Callbacks that ask again while connections are killed and loops come and go.
TEST_F(RedisLoop, every_request_is_answered_once_through_all_of_it) {
  RedisServer server;
  const auto client = client_of(server.uri());
  std::atomic<int> asked{0};
  std::atomic<int> answered{0};
  std::atomic<bool> over{false};
  std::function<void()> again = [&] {
    ++asked;
    const auto submitted = client->submit(get("k"), soon(2'000), [&](Result<Reply>) {
      ++answered;
      if (!over) again();
    });
    if (!submitted) ++answered;
  };
  for (int round = 0; round < 6; ++round) {
    const auto loop = std::make_shared<PollLoop>();
    loop->start();
    over = false;
    for (int i = 0; i < 20; ++i) loop->post(again);
    for (int i = 0; i < 5; ++i) {
      const int before = answered;
      EXPECT_TRUE(eventually([&] { return answered > before + 20; }));
      server.cli({"CLIENT", "KILL", "TYPE", "normal"});
    }
    if (round % 2 == 0) loop->end();
    over = true;
    EXPECT_TRUE(eventually([&] { return answered == asked; }));
  }
  EXPECT_TRUE(client->call(get("k"), soon()).has_value());
}

}  // namespace
