#include "command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace cli_test {

namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

[[noreturn]] void become(const std::filesystem::path& folder, const std::vector<std::string>& arguments, const std::string& in,
                         const std::string& out, const std::string& err) {
  std::vector<char*> words = {const_cast<char*>("setget")};
  for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  if (chdir(folder.c_str()) != 0) _exit(126);
  dup2(open(in.c_str(), O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDOUT_FILENO);
  dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDERR_FILENO);
  execv(SETGET_CLI, words.data());
  _exit(127);
}

}  // namespace

namespace {

pid_t start(const std::filesystem::path& folder, const std::vector<std::string>& arguments, const std::string& input) {
  const auto in = folder / ".stdin";
  std::ofstream(in, std::ios::binary) << input;
  const pid_t child = fork();
  if (child == 0) become(folder, arguments, in, folder / ".stdout", folder / ".stderr");
  return child;
}

Ran end_of(pid_t child, const std::filesystem::path& folder) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(folder / ".stdout"), read_file(folder / ".stderr")};
}

}  // namespace

Ran run_binary(const std::filesystem::path& folder, const std::vector<std::string>& arguments, const std::string& input) {
  return end_of(start(folder, arguments, input), folder);
}

bool run_and_kill(const std::filesystem::path& folder, const std::vector<std::string>& arguments, std::chrono::microseconds after,
                  Ran& ran) {
  const pid_t child = start(folder, arguments, {});
  // Readable once the child has ended.
  pollfd ended{.fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0)), .events = POLLIN, .revents = 0};
  const auto seconds = std::chrono::floor<std::chrono::seconds>(after);
  const timespec wait{.tv_sec = static_cast<time_t>(seconds.count()),
                      .tv_nsec = static_cast<long>(std::chrono::nanoseconds(after - seconds).count())};
  const bool by_itself = ::ppoll(&ended, 1, &wait, nullptr) > 0;
  ::close(ended.fd);
  if (!by_itself) ::kill(child, SIGKILL);
  ran = end_of(child, folder);
  return by_itself || ran.code != 128 + SIGKILL;
}

bool run_and_interrupt(const std::filesystem::path& folder, const std::vector<std::string>& arguments, const std::string& text, Ran& ran,
                       int signal) {
  const pid_t child = start(folder, arguments, {});
  pollfd ended{.fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0)), .events = POLLIN, .revents = 0};
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  bool sent = false;
  bool over = false;
  while (!over && std::chrono::steady_clock::now() < until) {
    if (!sent && read_file(folder / ".stderr").find(text) != std::string::npos) {
      ::kill(child, signal);
      sent = true;
    }
    over = ::poll(&ended, 1, 20) > 0;
  }
  ::close(ended.fd);
  if (!over) ::kill(child, SIGKILL);
  ran = end_of(child, folder);
  return sent && over;
}

void Command::SetUp() {
  std::string name = (std::filesystem::temp_directory_path() / "setget-cli.XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr) << std::strerror(errno);
  folder = name;
}

void Command::TearDown() { std::filesystem::remove_all(folder); }

nlohmann::json Command::set(const std::string& key, const std::string& payload, std::vector<std::string> more) {
  std::vector<std::string> words = {"set", "--json", "-k", key, "--account", "acme", "--flow", "orders", "-p", payload};
  words.insert(words.end(), more.begin(), more.end());
  const Ran ran = run(words);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  auto answer = nlohmann::json::parse(ran.out, nullptr, false);
  EXPECT_EQ(answer.value("outcome", ""), "applied") << ran.out;
  return answer;
}

std::filesystem::path Command::write(const std::string& name, const std::string& content) {
  const auto path = folder / name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

}  // namespace cli_test
