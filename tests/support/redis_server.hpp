// Real Redis servers for tests: started by the test itself on free loopback ports in a temporary folder, stopped by their process ids.
// Thread rule: one thread at a time.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <setget/clock.hpp>

namespace redis_test {

// What would be missing for these tests; empty = nothing. With CI=true in the environment missing programs make tests fail instead.
std::string missing_programs();

#define SETGET_REQUIRE_REDIS()                                                     \
  do {                                                                             \
    if (const auto missing = ::redis_test::missing_programs(); !missing.empty()) { \
      const char* ci = std::getenv("CI");                                          \
      if (ci != nullptr && std::string(ci) == "true") FAIL() << missing;           \
      GTEST_SKIP() << missing;                                                     \
    }                                                                              \
  } while (false)

// Asks every few milliseconds until it is true; false when the time is over.
bool eventually(const std::function<bool()>& what, setget::Milliseconds within = setget::Milliseconds(60'000));

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path(const std::string& name = {}) const { return name.empty() ? path_ : path_ + "/" + name; }

 private:
  std::string path_;
};

// A free port of 127.0.0.1; with `bus` also the one 10000 above it.
std::uint16_t free_port(bool bus = false);

// Runs a program and returns what it printed; `status` gets its exit code.
std::string run(const std::vector<std::string>& command, int* status = nullptr);

struct ServerOptions {
  std::vector<std::string> arguments{};  // as on redis-server's command line
  bool tls = false;                      // the TCP port speaks TLS; see RedisServer::ca()
  bool cluster = false;
  bool sentinel = false;
  std::string config{};  // lines of the configuration file
  // Before each start the append-only file is cut off before the script or transaction in which it ends, as redis.md tells operators to do:
  // left to itself (aof-load-truncated) Redis 7 keeps a part of it, which the next start but one then carries out.
  bool mend_log = true;
};

class RedisServer {
 public:
  explicit RedisServer(ServerOptions options = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  // On the same port with the same folder; returns once it answers. The constructor does it too.
  void start();
  // SIGTERM / SIGKILL, and waits for the end.
  void stop();
  void kill();
  // SIGSTOP and SIGCONT.
  void pause();
  void resume();

  std::uint16_t port() const noexcept { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // "redis://127.0.0.1:port" (rediss:// with TLS, trusting its CA), and what is given after it.
  std::string uri(const std::string& rest = {}, const std::string& credentials = {}) const;
  std::string socket_path() const { return folder_.path("redis.sock"); }
  std::string ca() const { return folder_.path("ca.crt"); }
  std::string folder() const { return folder_.path(); }
  // redis-cli on this server; `words` are its arguments.
  std::string cli(std::vector<std::string> words) const;
  // A number of INFO.
  std::uint64_t info(const std::string& name) const;
  pid_t pid() const noexcept { return pid_; }

 private:
  void make_certificates() const;
  void mend_log() const;
  void signal(int number);
  TemporaryFolder folder_;
  ServerOptions options_;
  std::uint16_t port_;
  pid_t pid_ = -1;
};

// How long a master may say nothing before the others take it for dead, for tests in which none dies: a busy machine halts one for seconds,
// and nobody expects the failover that would follow.
inline constexpr setget::Milliseconds kNoneDies{10'000};

// A master, a replica and three sentinels that watch the master as "main".
class SentinelGroup {
 public:
  explicit SentinelGroup(setget::Milliseconds down_after = setget::Milliseconds(500));
  std::string uri() const;
  // The node that the sentinels call the master.
  RedisServer& master();
  RedisServer& replica();
  bool healthy();
  // Asks for a change of roles; false while the sentinels are not ready for one.
  bool fail_over();
  std::vector<std::unique_ptr<RedisServer>>& sentinels() noexcept { return sentinels_; }
  // From now on sentinels name, and the replica follows, the master at one port of 127.0.0.1, and the replica is known by another: of
  // proxies before them. The sentinels call a master down when it says nothing for `down_after`. Roles may not change any more.
  void announce(std::uint16_t master_port, std::uint16_t replica_port, setget::Milliseconds down_after);

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;
  std::vector<std::unique_ptr<RedisServer>> sentinels_;
};

// Three masters with a replica each, unless asked for something else; `replicas` of each master are among the nodes.
class ClusterGroup {
 public:
  // With which nodes start: they find each other the sooner.
  static constexpr setget::Milliseconds kNodeTimeout{1'000};
  // `arguments`: of every node's command line. `node_timeout`: once all are up.
  explicit ClusterGroup(int nodes = 6, int replicas = 1, const std::vector<std::string>& arguments = {},
                        setget::Milliseconds node_timeout = kNodeTimeout);
  std::string uri() const;
  std::vector<std::unique_ptr<RedisServer>>& nodes() noexcept { return nodes_; }
  // The node that serves a slot, and the id of a node.
  RedisServer& master_of(std::uint32_t slot);
  std::vector<RedisServer*> masters();
  static std::string id_of(const RedisServer& node);
  // Moves a slot with all its keys to another master, a few keys at a time; `midway` is called while the slot is open on both sides: before
  // the first key has moved, and after the last; where `portion` is given, also whenever so many have moved. What a server refuses is
  // thrown.
  void move_slot(std::uint32_t slot, RedisServer& to, const std::function<void()>& midway = {}, std::size_t portion = 0);
  // True once all live nodes agree that all slots are served.
  bool healthy();
  // From now on clients (and replicas, of their masters) are told these ports of the nodes, in their order: of proxies before them.
  void announce(const std::vector<std::uint16_t>& ports);

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;
};

}  // namespace redis_test
