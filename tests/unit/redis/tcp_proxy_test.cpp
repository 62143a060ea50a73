#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include <setget/testing/tcp_proxy.hpp>

namespace {

using namespace setget;
using setget::testing::TcpProxy;
using Way = TcpProxy::Way;

// Sends back what it gets, on any number of connections.
class Echo {
 public:
  Echo() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
    thread_ = std::jthread([this] {
      for (;;) {
        const int one = ::accept(listener_, nullptr, nullptr);
        if (one < 0) return;
        std::jthread([one] {
          std::array<char, 4096> buffer;
          for (ssize_t got = 0; (got = ::recv(one, buffer.data(), buffer.size(), 0)) > 0;)
            (void)::send(one, buffer.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
          ::close(one);
        }).detach();
      }
    });
  }
  ~Echo() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::uint16_t port = 0;

 private:
  int listener_;
  std::jthread thread_;
};

class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() { ::close(socket_); }
  void send(std::string_view bytes) { (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // Reads `count` bytes or to the end; what came in time.
  std::string receive(std::size_t count, int within_ms = 5000) {
    std::string all;
    const auto deadline = Deadline::in(Milliseconds(within_ms));
    while (all.size() < count && !deadline.passed()) {
      pollfd file{.fd = socket_, .events = POLLIN, .revents = 0};
      if (::poll(&file, 1, static_cast<int>(std::chrono::ceil<Milliseconds>(deadline.left()).count())) <= 0) break;
      std::array<char, 4096> buffer;
      const auto got = ::recv(socket_, buffer.data(), std::min(buffer.size(), count - all.size()), 0);
      ended = got <= 0;
      if (ended) break;
      all.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return all;
  }
  bool ended = false;

 private:
  int socket_;
};

class TcpProxyTest : public ::testing::Test {
 protected:
  Echo echo_;
  std::unique_ptr<TcpProxy> proxy_ = TcpProxy::start("127.0.0.1", echo_.port).value();
};

TEST_F(TcpProxyTest, passes_bytes_both_ways_and_counts_them) {
  Client client(proxy_->port());
  const std::string much(300'000, 'x');
  std::jthread sender([&] { client.send(much); });
  EXPECT_EQ(client.receive(much.size()), much);
  sender.join();
  EXPECT_EQ(proxy_->passed(Way::kToServer), much.size());
  EXPECT_TRUE(proxy_->wait_for(Way::kToClient, much.size(), Deadline::in(Milliseconds(1000))));
  EXPECT_FALSE(proxy_->wait_for(Way::kToClient, much.size() + 1, Deadline::in(Milliseconds(1))));
  EXPECT_EQ(proxy_->connections(), 1U);
}

TEST_F(TcpProxyTest, cuts_after_so_many_bytes_that_still_arrive) {
  Client client(proxy_->port());
  proxy_->cut_after(Way::kToClient, 4);
  client.send("abcdefgh");
  EXPECT_EQ(client.receive(8), "abcd");
  EXPECT_TRUE(client.ended);
  Client next(proxy_->port());
  next.send("abcdefgh");
  EXPECT_EQ(next.receive(8), "abcdefgh");
}

TEST_F(TcpProxyTest, stalls_and_goes_on) {
  Client client(proxy_->port());
  proxy_->stall(Way::kToClient, true);
  client.send("held");
  EXPECT_TRUE(proxy_->wait_for(Way::kToServer, 4, Deadline::in(Milliseconds(5000))));
  EXPECT_EQ(client.receive(4, 50), "");
  EXPECT_FALSE(client.ended);
  proxy_->stall(Way::kToClient, false);
  EXPECT_EQ(client.receive(4), "held");
}

TEST_F(TcpProxyTest, delays_limits_swallows_and_injects) {
  Client client(proxy_->port());
  client.send("first");
  EXPECT_EQ(client.receive(5), "first");
  proxy_->delay(Way::kToClient, Milliseconds(60));
  auto begin = Deadline::Steady::now();
  client.send("late");
  EXPECT_EQ(client.receive(4), "late");
  EXPECT_GE(Deadline::Steady::now() - begin, Milliseconds(60));
  proxy_->heal();

  proxy_->limit(Way::kToServer, 100'000);
  begin = Deadline::Steady::now();
  client.send(std::string(10'000, 'x'));
  EXPECT_EQ(client.receive(10'000).size(), 10'000U);
  EXPECT_GE(Deadline::Steady::now() - begin, Milliseconds(80));
  proxy_->heal();

  proxy_->swallow(Way::kToServer, true);
  const auto before = proxy_->passed(Way::kToServer);
  client.send("gone");
  EXPECT_TRUE(proxy_->wait_for(Way::kToServer, before + 4, Deadline::in(Milliseconds(5000))));
  proxy_->heal();
  proxy_->inject(Way::kToClient, "garbage");
  EXPECT_EQ(client.receive(7), "garbage");
}

TEST_F(TcpProxyTest, delays_one_way_while_the_other_is_stalled) {
  Client client(proxy_->port());
  client.send("a");
  ASSERT_EQ(client.receive(1), "a");
  proxy_->delay(Way::kToServer, Milliseconds(100));
  proxy_->delay(Way::kToClient, Milliseconds(300));
  client.send("b");
  proxy_->delay(Way::kToServer, Milliseconds(200));
  client.send("c");
  ASSERT_TRUE(proxy_->wait_for(Way::kToServer, 2, Deadline::in(Milliseconds(5000))));
  // "b" is on its way back; "c" would be due before it, and is held.
  proxy_->stall(Way::kToServer, true);
  EXPECT_TRUE(proxy_->wait_for(Way::kToClient, 2, Deadline::in(Milliseconds(5000))));
  EXPECT_EQ(client.receive(1), "b");
  proxy_->stall(Way::kToServer, false);
  EXPECT_EQ(client.receive(1), "c");
}

TEST_F(TcpProxyTest, refuses_resets_closes_and_leads_elsewhere) {
  proxy_->refuse(true);
  Client refused(proxy_->port());
  EXPECT_EQ(refused.receive(1), "");
  EXPECT_TRUE(refused.ended);
  proxy_->heal();

  Client reset(proxy_->port());
  reset.send("x");
  EXPECT_EQ(reset.receive(1), "x");
  proxy_->reset_all();
  EXPECT_EQ(reset.receive(1), "");
  EXPECT_TRUE(reset.ended);
  EXPECT_EQ(proxy_->connections(), 0U);

  const Echo other;
  proxy_->lead_to("127.0.0.1", other.port);
  Client moved(proxy_->port());
  moved.send("y");
  EXPECT_EQ(moved.receive(1), "y");
  proxy_->close_all();
  EXPECT_EQ(moved.receive(1), "");
  EXPECT_TRUE(moved.ended);
  EXPECT_EQ(proxy_->accepted(), 3U);
}

}  // namespace
