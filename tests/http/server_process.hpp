// The real setget-server as a child process on free ports, with its files in a folder of its own.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "http/raw_client.hpp"

namespace setget_test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "setget-http-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class ServerProcess {
 public:
  explicit ServerProcess(std::filesystem::path folder) : folder_(std::move(folder)) {}
  ~ServerProcess() {
    if (pid_ > 0) {
      signal(SIGKILL);
      wait();
    }
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Starts with free ports; false with the server's words in log() if it did not come up.
  bool start(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {SETGET_SERVER_BINARY, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"});
    return spawn(arguments) && read_ports();
  }
  // Starts exactly so and returns the exit code.
  int run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), SETGET_SERVER_BINARY);
    return spawn(arguments) ? wait() : -1;
  }

  void signal(int number) const { ::kill(pid_, number); }
  // The exit code; minus the signal's number if one ended it; -1000 if it did not end in time.
  int wait(std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    // The child's end of the pipe closes with it: the one thing that poll can wait for.
    while (std::chrono::steady_clock::now() < until && drain_stdout(until)) {
    }
    int status = 0;
    if (::waitpid(pid_, &status, std::chrono::steady_clock::now() < until ? 0 : WNOHANG) != pid_) return -1000;
    ::close(out_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  std::uint16_t port() const { return port_; }
  std::uint16_t admin_port() const { return admin_port_; }
  const std::string& first_line() const { return line_; }
  std::string log() const {
    std::ifstream file(folder_ / "server.log");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

 private:
  bool spawn(const std::vector<std::string>& arguments) {
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) return false;
    std::vector<char*> argv;
    for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const std::string log = (folder_ / "server.log").string();
    pid_ = ::fork();
    if (pid_ == 0) {
      const int error = ::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      if (::chdir(folder_.c_str()) != 0 || ::dup2(pipe[1], 1) < 0 || ::dup2(error, 2) < 0) ::_exit(126);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(pipe[1]);
    out_ = pipe[0];
    line_.clear();
    return pid_ > 0;
  }

  bool drain_stdout(std::chrono::steady_clock::time_point until) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    pollfd poll{out_, POLLIN, 0};
    if (left <= 0 || ::poll(&poll, 1, static_cast<int>(left)) <= 0) return false;
    char bytes[4096];
    const auto got = ::read(out_, bytes, sizeof bytes);
    if (got <= 0) return false;
    line_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  bool read_ports() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (line_.find('\n') == std::string::npos)
      if (!drain_stdout(until)) return false;
    const std::string prefix = "http://127.0.0.1:";
    const std::size_t first = line_.find(prefix);
    const std::size_t second = line_.find(prefix, first + 1);
    if (first == std::string::npos || second == std::string::npos) return false;
    port_ = static_cast<std::uint16_t>(std::stoi(line_.substr(first + prefix.size())));
    admin_port_ = static_cast<std::uint16_t>(std::stoi(line_.substr(second + prefix.size())));
    return true;
  }

  std::filesystem::path folder_;
  pid_t pid_ = -1;
  int out_ = -1;
  std::uint16_t port_ = 0;
  std::uint16_t admin_port_ = 0;
  std::string line_;
};

inline std::string post_envelope(const std::string& key, const std::string& payload) {
  return R"({"keys":[")" + key + R"("],"account":"acme","flow":"orders","payload":)" + payload + "}";
}

class ServerTest : public ::testing::Test {
 protected:
  void TearDown() override {
    if (HasFailure()) std::fputs(server_.log().c_str(), stderr);
  }
  // Sets and waits for the outcome.
  std::string set(RawClient& client, const std::string& key, const std::string& payload) {
    const auto accepted = client.request("POST", "/v1/records", post_envelope(key, payload), "Content-Type: application/json\r\n");
    if (!accepted || accepted->status != 202) return accepted ? accepted->body : "no answer";
    const auto finished = client.request("GET", accepted->headers.at("location") + "?wait=30s");
    return finished ? finished->body : "no answer";
  }
  void write_file(const std::string& name, const std::string& text) { std::ofstream(folder_.path() / name) << text; }

  TemporaryFolder folder_;
  ServerProcess server_{folder_.path()};
};

}  // namespace setget_test
