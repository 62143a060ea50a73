// What an archive run costs the readers: one measurement, for any archive. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bench/candidate.hpp"
#include "bench/report.hpp"

namespace bench {

// `archive` makes a new one for each pipeline; null: the one beside the store. Adds the lines PREFIX-get-p99 and PREFIX-rate-under-gets.
// `by_hand`, where given, writes so many records of kPayloadBytes to the same server, or to a file as the archive's, without setget, and
// PREFIX-get-p99-by-hand says what that costs the same gets.
void measure_archive_gets(const Settings& settings, const std::string& prefix,
                          const std::function<std::shared_ptr<setget::ArchiveBackend>()>& archive, Report& report,
                          const std::function<void(std::uint64_t records)>& by_hand = {});

}  // namespace bench
