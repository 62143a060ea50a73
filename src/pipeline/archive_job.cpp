#include "pipeline/archive_job.hpp"

#include <fmt/format.h>

#include <limits>

namespace setget::inline v0::detail {

namespace {

bool other_store(const Error& error) { return error.code() == ErrorCode::kFailedPrecondition && error.field() == "identity"; }

// The host's hook is its own affair: what it throws is logged.
void notify(const PipelineOptions& options, const ArchiveNotice& notice) {
  if (!options.on_archive_notice) return;
  try {
    options.on_archive_notice(notice);
  } catch (const std::exception& thrown) {
    options.logger->log(LogLevel::kError, "on_archive_notice threw", {{"error", thrown.what()}});
  } catch (...) {
    options.logger->log(LogLevel::kError, "on_archive_notice threw something that is not a std::exception", {});
  }
}

Result<void> run_night(Archiver& archiver, const PipelineOptions& options, const JobContext& context) {
  // Its own deadline, not the lease's first length: the lease is renewed meanwhile, and a run goes on where the last one ended.
  const auto report = archiver.nightly({.run = {}, .verify_sample = options.archive_verify_sample});
  if (!report) return report.error();
  options.logger->log(LogLevel::kInfo, "the archive run is done",
                      {{"read", std::to_string(report->run.read)}, {"written", std::to_string(report->run.written)}});
  if (report->verify && !report->verify->equal()) {
    const auto count = report->verify->difference_count;
    notify(options, {.kind = ArchiveNotice::Kind::kDifferences,
                     .due = context.due,
                     .attempts = context.attempt + 1,
                     .differences = count,
                     .what = fmt::format("archive and store differ in {} records", count)});
  }
  return {};
}

}  // namespace

bool worth_another_run(const Error& error) {
  // What is damaged, or written by a newer version, stays so; and nobody adopts a store at night.
  return !other_store(error) && error.code() != ErrorCode::kCorrupted && error.code() != ErrorCode::kUnsupported;
}

JobOptions archive_job(Archiver& archiver, const Cron& schedule, const PipelineOptions& options) {
  JobOptions job{.name = "archive", .schedule = schedule};
  job.run = [&archiver, &options](const JobContext& context) { return run_night(archiver, options, context); };
  job.catch_up = options.archive_catch_up;
  job.jitter = options.archive_jitter;
  // The window bounds them.
  job.max_attempts = options.archive_retry_window > Milliseconds(0) ? std::numeric_limits<std::uint32_t>::max() : 1;
  job.retry_after = options.archive_retry_after;
  job.retry_cap = options.archive_retry_cap;
  job.retry_window = options.archive_retry_window;
  job.worth_retrying = worth_another_run;
  job.on_given_up = [&options](const JobFailure& failure) {
    if (failure.error.code() == ErrorCode::kCancelled) return;  // by who stops the pipeline
    notify(options, {.kind = other_store(failure.error) ? ArchiveNotice::Kind::kOtherStore : ArchiveNotice::Kind::kFailed,
                     .due = failure.due,
                     .attempts = failure.attempts,
                     .differences = 0,
                     .what = failure.error.describe()});
  };
  return job;
}

}  // namespace setget::inline v0::detail
