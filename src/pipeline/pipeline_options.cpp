#include <fmt/format.h>

#include <setget/pipeline.hpp>

#include "core/check_length.hpp"
#include "core/thread_limit.hpp"

namespace setget::inline v0 {

namespace {

Result<void> bad(const char* field, std::string_view rule) {
  return Error(ErrorCode::kInvalidArgument, fmt::format("pipeline option {} {}", field, rule)).at_field(field);
}

// Acknowledging more than the weakest part can keep would be a lie.
Result<void> check_durability(const char* field, Durability found, Durability wanted) {
  if (found >= wanted) return {};
  return Error(ErrorCode::kFailedPrecondition,
               fmt::format(R"(the {}'s durability is "{}", the pipeline requires "{}")", field, to_string(found), to_string(wanted)))
      .at_field(field);
}

}  // namespace

Result<void> PipelineOptions::check_history(const Flows& wanted) const {
  if (!wanted.keeps_history()) return {};
  if (!key_store.backend()->capabilities().history) return bad("flows", "keep history, and this key store has no outbox for it");
  if (!archive || !archive->capabilities().history) return bad("flows", "keep history, which needs an archive that keeps it");
  return {};
}

Result<void> PipelineOptions::validate() const {
  if (!queue) return bad("queue", "is required");
  if (!key_store) return bad("key_store", "is required");
  if (auto valid = limits.validate(); !valid) return valid;
  if (auto valid = flows.validate(); !valid) return valid;
  if (auto valid = metric_labels.validate(); !valid) return valid;
  if (read_through && !archive) return bad("read_through", "needs an archive");
  if (auto valid = through.validate(); !valid) return valid;
  if (worker_threads == 0 || worker_threads > detail::kMostThreads) return bad("worker_threads", "must be in [1, 1024]");
  if (worker_batch == 0) return bad("worker_batch", "must be > 0");
  if (worker_batch_bytes == 0) return bad("worker_batch_bytes", "must be > 0");
  if (linger < Milliseconds(0)) return bad("linger", "must not be negative");
  if (max_waiting == 0) return bad("max_waiting", "must be > 0");
  const auto too_long = [](Milliseconds length) { return length > detail::kLongestLength; };
  if (maintenance_interval <= Milliseconds(0) || too_long(maintenance_interval))
    return bad("maintenance_interval", "must be in (0, 10 years]");
  if (expiry_grace < Milliseconds(0)) return bad("expiry_grace", "must not be negative");
  if (archive_jitter < Milliseconds(0) || too_long(archive_jitter)) return bad("archive_jitter", "must be in [0, 10 years]");
  if (archive_retry_after <= Milliseconds(0) || too_long(archive_retry_after))
    return bad("archive_retry_after", "must be in (0, 10 years]");
  if (archive_retry_cap < archive_retry_after || too_long(archive_retry_cap))
    return bad("archive_retry_cap", "must be at least archive_retry_after and at most 10 years");
  if (archive_retry_window < Milliseconds(0)) return bad("archive_retry_window", "must not be negative");
  if (!(archive_max_records_per_second >= 0)) return bad("archive_max_records_per_second", "must not be negative");
  if (!(archive_max_share > 0)) return bad("archive_max_share", "must be above 0");
  if (archive && !archive_schedule.empty()) {
    if (auto cron = Cron::parse(archive_schedule, time_zone); !cron) return cron.error();
  }
  if (auto kept = check_history(flows); !kept) return kept;
  if (history_bytes != 0 && history_bytes < 1024) return bad("history_bytes", "must be 0 (no limit) or at least 1024");
  if (auto strong = check_durability("queue", queue.backend()->capabilities().durability, durability); !strong) return strong;
  return check_durability("key_store", key_store.backend()->capabilities().durability, durability);
}

}  // namespace setget::inline v0
