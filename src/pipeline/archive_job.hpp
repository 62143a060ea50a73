// The nightly archive run as a job of the scheduler. Thread rule: as jobs have it.
#pragma once

#include <setget/pipeline.hpp>

namespace setget::inline v0::detail {

// Runs `archiver` by the schedule, with the retries, the verification and the notices that the options ask for. Both must outlive the job.
JobOptions archive_job(Archiver& archiver, const Cron& schedule, const PipelineOptions& options);

// False for errors that only a person mends: trying again is in vain.
bool worth_another_run(const Error& error);

}  // namespace setget::inline v0::detail
