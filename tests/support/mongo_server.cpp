#include "support/mongo_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace mongo_test {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool on_path(const std::string& program) {
  std::istringstream path(variable("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) {
    if (::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

std::string cache() { return SETGET_MONGO_SERVERS; }

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

std::uint16_t free_port() {
  // Below the range that the kernel hands out, so that nobody gets it by chance, and above the ports that redis_server.cpp takes; different
  // tests start at different places.
  static int next = 26'000 + static_cast<int>(::getpid() % 737) * 8;
  for (int tries = 0; tries < 8'000; ++tries) {
    const int port = next++;
    if (next > 31'900) next = 26'000;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto address = loopback(static_cast<std::uint16_t>(port));
    const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    if (free) return static_cast<std::uint16_t>(port);
  }
  throw std::runtime_error("no free port");
}

bool takes_connections(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = loopback(port);
  const bool taken = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return taken;
}

std::vector<std::string> command_of(Kind kind, Size size, const std::string& folder, std::uint16_t port) {
  const auto number = std::to_string(port);
  switch (kind) {
    case Kind::kMongod:
      return {"mongod",   "--bind_ip", "127.0.0.1",      "--port",         number,
              "--dbpath", folder,      "--nounixsocket", "--setParameter", "diagnosticDataCollectionEnabled=false"};
    case Kind::kJava:
      if (size == Size::kLarge) {
        return {"java",
                "-XX:+UseSerialGC",
                "-Xms4g",
                "-Xmx4g",
                "-cp",
                cache() + "/mongo-java-server/classes:" + cache() + "/mongo-java-server/jars/*",
                "MongoJavaServer",
                number,
                folder + "/data.mv",
                "1024"};
      }
      return {"java",
              "-XX:+UseSerialGC",
              "-XX:TieredStopAtLevel=1",
              "-Xmx768m",
              "-cp",
              cache() + "/mongo-java-server/classes:" + cache() + "/mongo-java-server/jars/*",
              "MongoJavaServer",
              number,
              folder + "/data.mv"};
    case Kind::kFerret:
      return {cache() + "/ferretdb", "127.0.0.1:" + number, folder};
    case Kind::kNamed:
      break;
  }
  throw std::logic_error("the named server is not ours to start");
}

}  // namespace

std::string name_of(Kind kind) {
  constexpr std::array kNames = {"named", "mongod", "mongo_java_server", "ferretdb"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::vector<Kind> kinds() {
  if (!variable("SETGET_TEST_MONGODB_URI").empty()) return {Kind::kNamed};
  return own_kinds();
}

std::vector<Kind> own_kinds() {
  if (on_path("mongod")) return {Kind::kMongod};
  return {Kind::kJava, Kind::kFerret};
}

std::string missing(Kind kind) {
  if (kind == Kind::kNamed || kind == Kind::kMongod) return {};
  const bool java = kind == Kind::kJava;
  if (java && !on_path("java")) return "needs java (Debian: default-jdk-headless)";
  if (std::filesystem::exists(cache() + (java ? "/mongo-java-server/classes/MongoJavaServer.class" : "/ferretdb"))) return {};
  std::ifstream reason(cache() + (java ? "/mongo-java-server.missing" : "/ferretdb.missing"));
  std::string line;
  std::getline(reason, line);
  return name_of(kind) + ": " + (line.empty() ? "run tests/mongo/servers/prepare " + cache() : line);
}

bool required(Kind kind) { return kind != Kind::kFerret && variable("CI") == "true"; }

bool eventually(const std::function<bool()>& what, setget::Milliseconds within) {
  const auto deadline = setget::Deadline::in(within);
  while (!what()) {
    if (deadline.passed()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

MongoServer::MongoServer(Kind kind, Size size, Share share) : kind_(kind), size_(size), share_(share) {
  if (kind == Kind::kNamed) return;
  auto name = (std::filesystem::temp_directory_path() / "setget-mongo-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
  port_ = free_port();
  start();
}

MongoServer::~MongoServer() {
  kill();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

void MongoServer::start() {
  // Should the test be killed, its servers must not stay.
  std::vector<std::string> command = {"setpriv", "--pdeathsig", "KILL"};
  if (share_ == Share::kIdle) command.insert(command.end(), {"chrt", "--idle", "0"});
  for (auto& word : command_of(kind_, size_, folder_, port_)) command.push_back(std::move(word));
  std::vector<char*> words;
  for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, (folder_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  const int failed = ::posix_spawnp(&pid_, "setpriv", &files, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) throw std::runtime_error(std::string("cannot start a server: ") + std::strerror(failed));
  if (!eventually([&] { return takes_connections(port_); })) throw std::runtime_error(name_of(kind_) + " did not start: " + log());
}

void MongoServer::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}
void MongoServer::pause() {
  ::kill(pid_, SIGSTOP);
  ::waitpid(pid_, nullptr, WUNTRACED);
}
void MongoServer::resume() { ::kill(pid_, SIGCONT); }

std::string MongoServer::log() const {
  std::ifstream text(folder_ + "/log");
  std::stringstream all;
  all << text.rdbuf();
  return all.str();
}

std::string MongoServer::uri(const std::string& database, std::uint16_t by_port) const {
  if (kind_ == Kind::kNamed) return variable("SETGET_TEST_MONGODB_URI");
  return "mongodb://127.0.0.1:" + std::to_string(by_port == 0 ? port_ : by_port) + "/" + database;
}

setget::mongo::Options MongoServer::options(std::uint16_t by_port) const {
  static std::atomic<unsigned> archives{0};
  setget::mongo::Options options;
  options.uri = uri("setget_test", by_port);
  options.collection = "t" + std::to_string(::getpid()) + "." + std::to_string(++archives);
  // Larger bulks of updates hang it.
  if (kind_ == Kind::kFerret) options.batch = 40;
  return options;
}

MongoServer& shared_server(Kind kind) {
  static std::array<std::unique_ptr<MongoServer>, 4> servers;
  auto& server = servers.at(static_cast<std::size_t>(kind));
  if (server == nullptr) server = std::make_unique<MongoServer>(kind);
  return *server;
}

}  // namespace mongo_test
