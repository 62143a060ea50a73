// What an archive run costs the readers: one measurement, for any archive. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bench/candidate.hpp"
#include "bench/report.hpp"

namespace bench {

struct ArchiveGets {
  std::string prefix{};  // of the names of the lines
  // Makes a new one for each pipeline; null: the one beside the store.
  std::function<std::shared_ptr<setget::ArchiveBackend>()> archive{};
  // Writes so many records of kPayloadBytes to the same server, or to a file as the archive's, without setget. None: no such line.
  std::function<void(std::uint64_t records)> by_hand{};
  // The run, and what is done by hand, on a thread that takes what processor time nobody else wants (SCHED_IDLE).
  bool idle = false;
};
// Adds PREFIX-get-p99, PREFIX-get-p99-by-hand (what by_hand costs the same gets) and PREFIX-rate-under-gets.
void measure_archive_gets(const Settings& settings, const ArchiveGets& what, Report& report);

}  // namespace bench
