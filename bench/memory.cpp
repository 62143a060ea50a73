// Resident memory after 10^5 and after 10^6 sets of different records, and the size of the file then. In a process of its own, because what
// other benches left in the heap would hide a leak. One run: the figures are states, not times.
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "bench/benches.hpp"
#include "bench/load.hpp"

namespace bench {

namespace {

// A line of /proc/self/status in KiB, e.g. "VmRSS:".
double status_kib(const char* name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return std::stod(line.substr(std::strlen(name)));
  }
  fail(std::string("no ") + name + " in /proc/self/status");
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
  return text;
}

}  // namespace

int run_memory_child(const Settings& settings) {
  Candidate candidate(settings);
  std::uint64_t done = produce(candidate.pipeline(), 16, 100, 0, 0, settings.memory_small);
  candidate.drain(done);
  const double small_rss = status_kib("VmRSS:");
  const double small_anonymous = status_kib("RssAnon:");
  done += produce(candidate.pipeline(), 16, 100, done, 0, settings.memory_large - settings.memory_small);
  candidate.drain(done);
  const double large_rss = status_kib("VmRSS:");
  const double large_anonymous = status_kib("RssAnon:");
  const auto bytes = static_cast<double>(candidate.close_and_measure());
  std::printf("%f %f %f %f %f %f\n", small_rss, small_anonymous, large_rss, large_anonymous, bytes, static_cast<double>(done));
  return 0;
}

void bench_memory(const Settings& settings, Report& report) {
  int ends[2];
  if (pipe(ends) != 0) fail("pipe");
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    const std::string small_sets = std::to_string(settings.memory_small);
    const std::string large_sets = std::to_string(settings.memory_large);
    execl("/proc/self/exe", "setget-bench", "--memory-child", "--folder", settings.folder.c_str(), "--store", settings.store.c_str(),
          "--memory-sets", small_sets.c_str(), large_sets.c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  std::istringstream figures(read_all(ends[0]));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  double small_rss = 0, small_anonymous = 0, large_rss = 0, large_anonymous = 0, bytes = 0, sets = 0;
  if (status != 0 || !(figures >> small_rss >> small_anonymous >> large_rss >> large_anonymous >> bytes >> sets)) {
    fail("the process of the memory bench failed");
  }
  report.add({.name = "memory-rss",
              .value = large_rss / 1024,
              .unit = "MiB",
              .baseline = small_rss / 1024,
              .target = 1.10,
              .lower_is_better = true});
  report.add({.name = "memory-anonymous",
              .value = large_anonymous / 1024,
              .unit = "MiB",
              .baseline = small_anonymous / 1024,
              .lower_is_better = true});
  if (bytes == 0) return;  // a store without files
  report.add({.name = "file-size",
              .value = bytes / (1 << 20),
              .unit = "MiB",
              .baseline = sets * kPayloadBytes / (1 << 20),
              .target = 1.35,
              .lower_is_better = true});
}

}  // namespace bench
