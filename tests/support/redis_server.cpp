#include "support/redis_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace redis_test {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> list;
  for (const auto& word : words) list.push_back(const_cast<char*>(word.c_str()));
  list.push_back(nullptr);
  return list;
}

// Starts a program with its output in `output` and without our signal mask or descriptors.
pid_t spawn(const std::vector<std::string>& command, int output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, 1);
  posix_spawn_file_actions_adddup2(&files, output, 2);
  pid_t pid = -1;
  const int failed = posix_spawnp(&pid, command[0].c_str(), &files, nullptr, pointers(command).data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) throw std::runtime_error("cannot start " + command[0] + ": " + std::strerror(failed));
  return pid;
}

bool bindable(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return free;
}

}  // namespace

std::string missing_programs() {
  for (const char* program : {"redis-server", "redis-sentinel", "redis-cli", "redis-check-aof", "openssl"}) {
    bool found = false;
    std::istringstream path(std::getenv("PATH") == nullptr ? "" : std::getenv("PATH"));
    for (std::string folder; std::getline(path, folder, ':');) found = found || ::access((folder + "/" + program).c_str(), X_OK) == 0;
    if (!found) return std::string("needs ") + program + " (Debian: redis-server redis-sentinel redis-tools openssl)";
  }
  return {};
}

bool eventually(const std::function<bool()>& what, setget::Milliseconds within) {
  const auto deadline = setget::Deadline::in(within);
  while (!what()) {
    if (deadline.passed()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

TemporaryFolder::TemporaryFolder() {
  auto name = (std::filesystem::temp_directory_path() / "setget-redis-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = name;
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::uint16_t free_port(bool bus) {
  // Below the range that the kernel hands out, so that nobody gets it by chance; different tests start at different places. No bus of a
  // cluster is where others look for a port: these are up to 15'900, buses up to 25'900, and servers that speak MongoDB's protocol above.
  static int next = 10'100 + static_cast<int>(::getpid() % 580) * 10;
  for (int tries = 0; tries < 10'000; ++tries) {
    const int port = next++;
    if (next > 15'900) next = 10'100;
    if (bindable(port) && (!bus || bindable(port + 10'000))) return static_cast<std::uint16_t>(port);
  }
  throw std::runtime_error("no free port");
}

std::string run(const std::vector<std::string>& command, int* status) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  const pid_t pid = spawn(command, ends[1]);
  ::close(ends[1]);
  std::string output;
  std::array<char, 4096> buffer;
  for (ssize_t got = 0; (got = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
    output.append(buffer.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  int code = 0;
  ::waitpid(pid, &code, 0);
  if (status != nullptr) *status = WIFEXITED(code) ? WEXITSTATUS(code) : 128;
  while (!output.empty() && output.back() == '\n') output.pop_back();
  return output;
}

// --- one server -------------------------------------------------------------------------------------------------------------------

RedisServer::RedisServer(ServerOptions options) : options_(std::move(options)), port_(free_port(options_.cluster)) {
  if (options_.tls) make_certificates();
  std::ofstream(folder_.path("redis.conf")) << options_.config;
  start();
}

RedisServer::~RedisServer() { kill(); }

void RedisServer::mend_log() const {
  const auto manifest = folder_.path("appendonlydir/appendonly.aof.manifest");
  if (::access(manifest.c_str(), F_OK) != 0) return;
  int status = 0;
  const auto output = run({"sh", "-c", "yes | redis-check-aof --fix \"$1\"", "sh", manifest}, &status);
  if (status != 0) throw std::runtime_error("redis-check-aof: " + output);
}

void RedisServer::start() {
  if (options_.mend_log) mend_log();
  // Should the test be killed, its servers must not stay.
  std::vector<std::string> command = {"setpriv", "--pdeathsig", "KILL", options_.sentinel ? "redis-sentinel" : "redis-server",
                                      folder_.path("redis.conf")};
  const auto add = [&](std::initializer_list<std::string> words) { command.insert(command.end(), words); };
  const auto port = std::to_string(port_);
  add({"--bind", "127.0.0.1", "--dir", folder_.path(), "--daemonize", "no", "--loglevel", "notice"});
  if (options_.tls) {
    add({"--port", "0", "--tls-port", port, "--tls-cert-file", folder_.path("server.crt"), "--tls-key-file", folder_.path("server.key")});
    add({"--tls-ca-cert-file", ca(), "--tls-auth-clients", "no"});
  } else {
    add({"--port", port});
  }
  if (!options_.sentinel) add({"--unixsocket", socket_path(), "--enable-debug-command", "yes"});
  if (!options_.sentinel) add({"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"});
  if (options_.cluster)
    add({"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout",
         std::to_string(ClusterGroup::kNodeTimeout.count())});
  command.insert(command.end(), options_.arguments.begin(), options_.arguments.end());
  const int log = ::open(folder_.path("log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  pid_ = spawn(command, log);
  ::close(log);
  const bool up = eventually([&] {
    const auto answer = cli({"PING"});
    return answer.find("PONG") != std::string::npos || answer.find("NOAUTH") != std::string::npos ||
           answer.find("LOADING") != std::string::npos || answer.find("NOPERM") != std::string::npos;
  });
  if (!up) {
    std::ifstream text(folder_.path("log"));
    std::stringstream all;
    all << text.rdbuf();
    throw std::runtime_error("redis-server did not start: " + all.str());
  }
}

void RedisServer::signal(int number) {
  if (pid_ > 0) ::kill(pid_, number);
}
void RedisServer::stop() {
  signal(SIGTERM);
  signal(SIGCONT);
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}
void RedisServer::kill() {
  signal(SIGKILL);
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}
void RedisServer::pause() {
  signal(SIGSTOP);
  if (pid_ > 0) ::waitpid(pid_, nullptr, WUNTRACED);
}
void RedisServer::resume() { signal(SIGCONT); }

std::string RedisServer::uri(const std::string& rest, const std::string& credentials) const {
  if (!options_.tls) return "redis://" + credentials + address() + rest;
  return "rediss://" + credentials + address() + rest + (rest.find('?') == std::string::npos ? "?ca=" : "&ca=") + ca();
}

std::string RedisServer::cli(std::vector<std::string> words) const {
  std::vector<std::string> command = {"redis-cli"};
  if (options_.sentinel) {
    command.insert(command.end(), {"-p", std::to_string(port_)});
  } else {
    command.insert(command.end(), {"-s", socket_path()});
  }
  command.insert(command.end(), words.begin(), words.end());
  return run(command);
}

std::uint64_t RedisServer::info(const std::string& name) const {
  const auto text = cli({"INFO", "everything"});
  const auto at = text.find(name + ":");
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + name.size() + 1, nullptr, 10);
}

void RedisServer::make_certificates() const {
  const auto openssl = [&](std::vector<std::string> words) {
    int status = 0;
    words.insert(words.begin(), "openssl");
    const auto output = run(words, &status);
    if (status != 0) throw std::runtime_error("openssl: " + output);
  };
  std::ofstream(folder_.path("names")) << "subjectAltName=IP:127.0.0.1,DNS:localhost\n";
  openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder_.path("ca.key"), "-out",
           ca(), "-subj", "/CN=setget test CA", "-days", "2"});
  openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder_.path("server.key"), "-out",
           folder_.path("server.csr"), "-subj", "/CN=redis"});
  openssl({"x509", "-req", "-in", folder_.path("server.csr"), "-CA", ca(), "-CAkey", folder_.path("ca.key"), "-CAcreateserial", "-out",
           folder_.path("server.crt"), "-days", "2", "-extfile", folder_.path("names")});
}

// --- groups -----------------------------------------------------------------------------------------------------------------------

SentinelGroup::SentinelGroup(setget::Milliseconds down_after) {
  nodes_.push_back(std::make_unique<RedisServer>());
  const auto port = std::to_string(nodes_[0]->port());
  nodes_.push_back(std::make_unique<RedisServer>(ServerOptions{.arguments = {"--replicaof", "127.0.0.1", port}}));
  for (int i = 0; i < 3; ++i) {
    sentinels_.push_back(std::make_unique<RedisServer>(
        ServerOptions{.sentinel = true,
                      .config = "sentinel monitor main 127.0.0.1 " + port + " 2\nsentinel down-after-milliseconds main " +
                                std::to_string(down_after.count()) + "\nsentinel failover-timeout main 3000\n"}));
  }
  // By default they look around every ten seconds. A replica that was asked longer ago than five pings is not made a master, and while the
  // master is down they ask once a second: with faster pings votes come to nothing, again and again.
  for (const auto& one : sentinels_)
    one->cli({"SENTINEL", "DEBUG", "INFO-PERIOD", "300", "PUBLISH-PERIOD", "200", "ASK-PERIOD", "200", "PING-PERIOD", "250"});
  if (!eventually([&] { return healthy(); })) throw std::runtime_error("the sentinels do not agree");
}

bool SentinelGroup::fail_over() { return sentinels_[0]->cli({"SENTINEL", "FAILOVER", "main"}) == "OK"; }

std::string SentinelGroup::uri() const {
  std::string list;
  for (const auto& one : sentinels_) list += (list.empty() ? "" : ",") + one->address();
  return "redis+sentinel://" + list + "/main";
}

RedisServer& SentinelGroup::master() {
  const auto answer = sentinels_[0]->cli({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"});
  return *nodes_[answer.ends_with(std::to_string(nodes_[1]->port())) ? 1 : 0];
}
RedisServer& SentinelGroup::replica() { return &master() == nodes_[0].get() ? *nodes_[1] : *nodes_[0]; }

bool SentinelGroup::healthy() {
  if (replica().cli({"INFO", "replication"}).find("master_link_status:up") == std::string::npos) return false;
  for (const auto& one : sentinels_) {
    const auto state = one->cli({"SENTINEL", "MASTER", "main"});
    if (state.find("num-slaves\n1") == std::string::npos || state.find("num-other-sentinels\n2") == std::string::npos) return false;
  }
  return true;
}

void SentinelGroup::announce(std::uint16_t master_port, std::uint16_t replica_port, setget::Milliseconds down_after) {
  const auto port = std::to_string(master_port);
  nodes_[1]->cli({"CONFIG", "SET", "replica-announce-port", std::to_string(replica_port)});
  nodes_[1]->cli({"REPLICAOF", "127.0.0.1", port});
  for (const auto& one : sentinels_) {
    one->cli({"SENTINEL", "REMOVE", "main"});
    one->cli({"SENTINEL", "MONITOR", "main", "127.0.0.1", port, "2"});
    one->cli({"SENTINEL", "SET", "main", "down-after-milliseconds", std::to_string(down_after.count())});
  }
  const auto known = [&] {
    const auto replicas = sentinels_[0]->cli({"SENTINEL", "REPLICAS", "main"});
    return healthy() && replicas.find("\nport\n" + std::to_string(replica_port) + "\n") != std::string::npos;
  };
  if (!eventually(known)) throw std::runtime_error("the sentinels do not agree on the announced ports");
}

ClusterGroup::ClusterGroup(int nodes, int replicas, const std::vector<std::string>& arguments, setget::Milliseconds node_timeout) {
  std::vector<std::string> create = {"redis-cli", "--cluster", "create"};
  for (int i = 0; i < nodes; ++i) {
    nodes_.push_back(std::make_unique<RedisServer>(ServerOptions{.arguments = arguments, .cluster = true}));
    create.push_back(nodes_.back()->address());
  }
  create.insert(create.end(), {"--cluster-replicas", std::to_string(replicas), "--cluster-yes"});
  int status = 0;
  const auto output = run(create, &status);
  if (status != 0) throw std::runtime_error("redis-cli --cluster create: " + output);
  if (!eventually([&] { return healthy(); })) throw std::runtime_error("the cluster does not come up");
  if (node_timeout == kNodeTimeout) return;
  for (const auto& node : nodes_) node->cli({"CONFIG", "SET", "cluster-node-timeout", std::to_string(node_timeout.count())});
}

std::string ClusterGroup::uri() const {
  std::string list;
  for (const auto& node : nodes_) list += (list.empty() ? "" : ",") + node->address();
  return "redis+cluster://" + list;
}

std::vector<RedisServer*> ClusterGroup::masters() {
  std::vector<RedisServer*> found;
  for (auto& node : nodes_) {
    if (node->pid() > 0 && node->cli({"ROLE"}).starts_with("master")) found.push_back(node.get());
  }
  return found;
}

RedisServer& ClusterGroup::master_of(std::uint32_t slot) {
  for (auto* node : masters()) {
    // "<id> … myself,master - 0 0 1 connected 0-5460 5462"
    std::istringstream lines(node->cli({"CLUSTER", "NODES"}));
    for (std::string line; std::getline(lines, line);) {
      if (line.find("myself") == std::string::npos) continue;
      std::istringstream words(line);
      std::string word;
      for (int i = 0; i < 8; ++i) words >> word;
      while (words >> word) {
        if (word.starts_with('[')) continue;
        const auto dash = word.find('-');
        const auto first = std::stoul(word);
        const auto last = dash == std::string::npos ? first : std::stoul(word.substr(dash + 1));
        if (first <= slot && slot <= last) return *node;
      }
    }
  }
  throw std::runtime_error("nobody serves the slot");
}

std::string ClusterGroup::id_of(const RedisServer& node) { return node.cli({"CLUSTER", "MYID"}); }

void ClusterGroup::move_slot(std::uint32_t slot, RedisServer& to, const std::function<void()>& midway, std::size_t portion) {
  auto& from = master_of(slot);
  if (&from == &to) return;
  const auto number = std::to_string(slot);
  const auto from_id = id_of(from);
  const auto to_id = id_of(to);
  const auto must = [](const RedisServer& node, const std::vector<std::string>& words) {
    const auto answer = node.cli(words);
    if (answer != "OK" && answer != "NOKEY") throw std::runtime_error(words[0] + " " + words[1] + ": " + answer);
  };
  must(to, {"CLUSTER", "SETSLOT", number, "IMPORTING", from_id});
  must(from, {"CLUSTER", "SETSLOT", number, "MIGRATING", to_id});
  if (midway) midway();
  for (bool first = true;; first = false) {
    const auto keys = from.cli({"CLUSTER", "GETKEYSINSLOT", number, std::to_string(portion != 0 ? portion : 50)});
    if (keys.empty()) break;
    if (midway && portion != 0 && !first) midway();
    std::vector<std::string> migrate = {"MIGRATE", "127.0.0.1", std::to_string(to.port()), "", "0", "5000", "KEYS"};
    std::istringstream lines(keys);
    for (std::string key; std::getline(lines, key);) migrate.push_back(key);
    must(from, migrate);
  }
  if (midway) midway();
  must(to, {"CLUSTER", "SETSLOT", number, "NODE", to_id});
  must(from, {"CLUSTER", "SETSLOT", number, "NODE", to_id});
  for (auto* other : masters()) other->cli({"CLUSTER", "SETSLOT", number, "NODE", to_id});
}

void ClusterGroup::announce(const std::vector<std::uint16_t>& ports) {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    // The bus port would follow the announced one.
    nodes_[i]->cli({"CONFIG", "SET", "cluster-announce-bus-port", std::to_string(nodes_[i]->port() + 10'000)});
    nodes_[i]->cli({"CONFIG", "SET", "cluster-announce-port", std::to_string(ports[i])});
  }
  const auto known = [&] {
    for (const auto& node : nodes_) {
      const auto all = node->cli({"CLUSTER", "NODES"});
      for (const auto port : ports) {
        if (all.find("127.0.0.1:" + std::to_string(port) + "@") == std::string::npos) return false;
      }
    }
    return healthy();
  };
  if (!eventually(known)) throw std::runtime_error("the nodes do not agree on the announced ports");
}

bool ClusterGroup::healthy() {
  for (const auto& node : nodes_) {
    if (node->pid() <= 0) continue;
    const auto state = node->cli({"CLUSTER", "INFO"});
    if (state.find("cluster_state:ok") == std::string::npos || state.find("cluster_slots_ok:16384") == std::string::npos) return false;
    const auto replication = node->cli({"INFO", "replication"});
    if (replication.find("role:slave") != std::string::npos && replication.find("master_link_status:up") == std::string::npos) return false;
  }
  return true;
}

}  // namespace redis_test
