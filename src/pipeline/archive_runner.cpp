#include "pipeline/archive_runner.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>

#include <setget/clock.hpp>

namespace setget::inline v0::detail {

namespace {

// The names of this process that are borne now.
struct Living {
  std::mutex mutex;
  std::set<std::string, std::less<>> names;
  std::uint64_t next = 1;
};

Living& living() {
  static Living all;
  return all;
}

std::string host() {
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) != 0) return "unknown";
  std::string out(name);
  for (auto& c : out) c = c == ' ' ? '_' : c;
  return out;
}

// A process number comes again; this does not.
const std::string& nonce() {
  static const std::string made = random_name();
  return made;
}

std::string_view next_word(std::string_view& rest) {
  const auto end = rest.find(' ');
  const auto word = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return word;
}

}  // namespace

RunnerName::RunnerName() {
  auto& all = living();
  const std::lock_guard lock(all.mutex);
  text_ = fmt::format("{} {} {} {}", host(), ::getpid(), nonce(), all.next++);
  all.names.insert(text_);
}

RunnerName::~RunnerName() {
  auto& all = living();
  const std::lock_guard lock(all.mutex);
  all.names.erase(text_);
}

std::string random_name() { return fmt::format("{:016x}", system_random()->next()); }

bool surely_gone(const std::string& name) {
  std::string_view rest = name;
  if (next_word(rest) != host()) return false;
  const auto number = next_word(rest);
  pid_t pid = 0;
  const auto read = std::from_chars(number.data(), number.data() + number.size(), pid);
  if (read.ec != std::errc() || read.ptr != number.data() + number.size() || pid <= 0) return false;
  if (pid == ::getpid()) {
    auto& all = living();
    const std::lock_guard lock(all.mutex);
    return !all.names.contains(name);
  }
  return ::kill(pid, 0) != 0 && errno == ESRCH;
}

}  // namespace setget::inline v0::detail
