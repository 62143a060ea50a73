// The candidate side of a ratio: a whole pipeline on a fresh store, opened by URI as setget-server opens its own. Thread rule: as Pipeline.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <setget/config.hpp>

namespace bench {

struct Settings {
  std::string store = "sqlite:";  // URI; a path after "sqlite:" names the folder that fresh files are made in
  std::filesystem::path folder;   // of all files of this run; removed at its end
  int trials = 5;
  double seconds = 2;                        // of each timed part
  std::uint64_t memory_small = 100'000;      // sets, of the bench "memory"
  std::uint64_t memory_large = 1'000'000;    // sets
  std::string mongo{};                       // the kind of server of archives on MongoDB; empty: the first that there is
  std::uint64_t archiver_records = 100'000;  // of the bench "mongo-memory"
};

// Ends the process with the error: a bench that goes on after one measures something else.
[[noreturn]] void fail(const std::string& what);
[[noreturn]] void fail(const std::string& what, const setget::Error& error);
template <class T>
T must(setget::Result<T> result, const char* what) {
  if (!result) fail(what, result.error());
  return std::move(*result);
}
inline void must(const setget::Result<void>& result, const char* what) {
  if (!result) fail(what, result.error());
}

// A path in the run's folder that nothing has used before.
std::filesystem::path fresh_path(const Settings& settings, const std::string& stem);

class Candidate {
 public:
  // A new store with default options, its worker running. Without an archive, the one beside the store.
  explicit Candidate(const Settings& settings, std::shared_ptr<setget::ArchiveBackend> archive = {});
  ~Candidate();
  Candidate(const Candidate&) = delete;
  Candidate& operator=(const Candidate&) = delete;

  setget::Pipeline& pipeline() { return *pipeline_; }
  // Everything accepted has been applied, or the process ends with a message.
  void drain(std::uint64_t sets);
  // Bytes of the store's files, after everything is in the main file; 0 for stores without files.
  std::uint64_t close_and_measure();

 private:
  std::filesystem::path path_;  // empty: no file
  setget::Stores stores_;
  std::unique_ptr<setget::Pipeline> pipeline_;
};

}  // namespace bench
