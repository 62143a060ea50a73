#include "bench/candidate.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace bench {

void fail(const std::string& what) {
  std::fprintf(stderr, "bench: %s\n", what.c_str());
  std::exit(1);
}

void fail(const std::string& what, const setget::Error& error) { fail(what + ": " + error.describe()); }

std::filesystem::path fresh_path(const Settings& settings, const std::string& stem) {
  static std::atomic<int> count{0};
  return settings.folder / (stem + "-" + std::to_string(++count) + ".db");
}

Candidate::Candidate(const Settings& settings, std::shared_ptr<setget::ArchiveBackend> archive) {
  setget::Config config;
  if (settings.store.starts_with("sqlite:")) {
    path_ = fresh_path(settings, "setget");
    config.store = "sqlite:" + path_.string();
  } else {
    config.store = settings.store;
  }
  stores_ = must(setget::open_stores(config), "opening the store");
  auto options = setget::pipeline_options(config, stores_);
  options.durability = stores_.durability;
  if (archive) options.archive = std::move(archive);
  options.archive_schedule.clear();  // a run that starts by itself would disturb a measurement
  pipeline_ = must(setget::Pipeline::create(std::move(options)), "making the pipeline");
  must(pipeline_->start(), "starting the pipeline");
}

Candidate::~Candidate() {
  close_and_measure();
  if (path_.empty()) return;
  std::error_code ignored;
  for (const char* suffix : {"", "-wal", "-shm", "-lock"}) std::filesystem::remove(path_.string() + suffix, ignored);
}

void Candidate::drain(std::uint64_t sets) {
  must(pipeline_->flush(setget::Deadline::in(std::chrono::minutes(10))), "draining the queue");
  auto queue = pipeline_->options().queue;
  const auto stats = must(queue.stats(), "reading the ledger");
  const auto applied = stats.outcomes[static_cast<std::size_t>(setget::Outcome::kApplied)];
  if (applied < sets) fail("only " + std::to_string(applied) + " of " + std::to_string(sets) + " sets were applied");
}

std::uint64_t Candidate::close_and_measure() {
  if (pipeline_) {
    const auto stopped = pipeline_->stop(setget::Deadline::in(std::chrono::minutes(1)));
    if (!stopped) fail("stopping the pipeline", stopped.error());
  }
  pipeline_.reset();
  stores_ = {};
  if (path_.empty()) return 0;
  std::uint64_t bytes = 0;
  std::error_code missing;
  for (const char* suffix : {"", "-wal"}) {
    const auto size = std::filesystem::file_size(path_.string() + suffix, missing);
    if (!missing) bytes += size;
  }
  return bytes;
}

}  // namespace bench
