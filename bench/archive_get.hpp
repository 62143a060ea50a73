// What an archive run costs the readers: one measurement, for any archive. Thread rule: one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "bench/candidate.hpp"
#include "bench/report.hpp"

namespace bench {

// `archive` makes a new one for each pipeline; null: the one beside the store. Adds the lines PREFIX-get-p99 and PREFIX-rate-under-gets.
void measure_archive_gets(const Settings& settings, const std::string& prefix,
                          const std::function<std::shared_ptr<setget::ArchiveBackend>()>& archive, Report& report);

}  // namespace bench
