#include "command.hpp"

#include <fcntl.h>
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

Ran run_binary(const std::filesystem::path& folder, const std::vector<std::string>& arguments, const std::string& input) {
  const auto in = folder / ".stdin";
  std::ofstream(in, std::ios::binary) << input;
  const std::string out = folder / ".stdout";
  const std::string err = folder / ".stderr";
  const pid_t child = fork();
  if (child == 0) become(folder, arguments, in, out, err);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(out), read_file(err)};
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
