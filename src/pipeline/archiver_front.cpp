// The archiver's door: its options, and what its calls have in common.
#include <setget/archiver.hpp>
#include <setget/validator.hpp>

#include "core/check_length.hpp"
#include "pipeline/archiver_state.hpp"
#include "pipeline/metric_names.hpp"

namespace setget::inline v0 {

namespace {

namespace metric = detail::metric;

Result<void> check(const ArchiveRunOptions& options) {
  const auto bad = [](const char* field, const char* rule) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, fmt::format("archive run option {} {}", field, rule)).at_field(field);
  };
  if (options.max_records_per_second && !(*options.max_records_per_second >= 0)) {
    return bad("max_records_per_second", "must not be negative");
  }
  if (options.max_share && !(*options.max_share > 0)) return bad("max_share", "must be above 0");
  return {};
}

}  // namespace

Result<void> ArchiverOptions::validate() const {
  const auto bad = [](const char* field, const char* rule) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, fmt::format("archiver option {} {}", field, rule)).at_field(field);
  };
  if (!key_store) return bad("key_store", "is required");
  if (!archive) return bad("archive", "is required");
  if (!policy) return bad("policy", "is required");
  if (!is_name(cursor)) return bad("cursor", "must be 1 to 64 of [A-Za-z0-9._-]");
  if (batch == 0) return bad("batch", "must be > 0");
  if (batch_bytes == 0) return bad("batch_bytes", "must be > 0");
  if (max_records_per_second < 0) return bad("max_records_per_second", "must not be negative");
  if (!(max_share > 0)) return bad("max_share", "must be above 0");
  if (lease <= Milliseconds(0) || lease > detail::kLongestLength) return bad("lease", "must be in (0, 10 years]");
  if (next_run_in < Milliseconds(0)) return bad("next_run_in", "must not be negative");
  const auto capabilities = key_store.backend()->capabilities();
  if (!capabilities.change_log || !capabilities.scan) return bad("key_store", "must have a change log and scans to be archived");
  return {};
}

Archiver::Archiver(std::unique_ptr<State> state) : state_(std::move(state)) {}
Archiver::~Archiver() = default;

Result<std::unique_ptr<Archiver>> Archiver::create(ArchiverOptions options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  if (!options.clock) options.clock = system_clock();
  if (!options.logger) options.logger = no_logger();
  if (!options.metrics) options.metrics = no_metrics();
  return std::unique_ptr<Archiver>(new Archiver(std::make_unique<State>(std::move(options))));
}

Result<ArchiveRunReport> Archiver::run(Deadline deadline, bool adopt) { return run({.adopt = adopt}, deadline); }

Result<ArchiveRunReport> Archiver::run(const ArchiveRunOptions& options, Deadline deadline) {
  if (auto valid = check(options); !valid) return std::move(valid).error();
  auto turn = detail::ArchiveTurn::begin(*state_, deadline);
  if (!turn) return std::move(turn).error();
  return run_within(**turn, options);
}

Result<NightlyReport> Archiver::nightly(const NightlyOptions& options, Deadline deadline) {
  if (auto valid = check(options.run); !valid) return std::move(valid).error();
  auto turn = detail::ArchiveTurn::begin(*state_, deadline);
  if (!turn) return std::move(turn).error();
  auto ran = run_within(**turn, options.run);
  if (!ran) return std::move(ran).error();
  NightlyReport report{.run = *std::move(ran), .verify = {}};
  if (options.verify_sample == 0) return report;
  auto checkpoint = state_->archive().load_checkpoint_within((**turn).soon());
  if (!checkpoint) return std::move(checkpoint).error();
  const VerifyOptions share{.deep = true, .deep_sample = options.verify_sample, .deep_turn = *checkpoint ? (*checkpoint)->verify_turn : 0};
  auto verified = verify_within(**turn, share);
  if (!verified) return std::move(verified).error();
  note_verified(share, *verified, true, deadline);
  report.verify = *std::move(verified);
  return report;
}

Result<VerifyReport> Archiver::verify(const VerifyOptions& options, Deadline deadline) {
  if (options.deep_sample == 0) return Error(ErrorCode::kInvalidArgument, "deep_sample must be > 0").at_field("deep_sample");
  auto turn = detail::ArchiveTurn::begin(*state_, deadline);
  if (!turn) return std::move(turn).error();
  auto report = verify_within(**turn, options);
  if (report) note_verified(options, *report, false, deadline);
  return report;
}

// Differences stay noted until they are known to be mended: a verification that reads less than all payloads may not see what another one
// saw. Best effort, for what it says is in the report as well; and not while another archiver is at work, whose checkpoint it is then.
void Archiver::note_verified(const VerifyOptions& options, const VerifyReport& report, bool nightly, Deadline deadline) {
  const auto& own = state_->options;
  const auto now = own.clock->now();
  const auto left = report.difference_count - report.repaired;
  if (left > 0) {
    own.logger->log(LogLevel::kError, "archive and store differ", {{"differences", std::to_string(left)}});
  } else if (nightly) {
    own.logger->log(LogLevel::kInfo, "archive and store agree", {{"compared", std::to_string(report.compared)}});
  }
  own.metrics->set(metric::kArchiveVerified, std::chrono::duration<double>(now.time_since_epoch()).count(), {});
  auto loaded = state_->archive().load_checkpoint_within(detail::farewell(deadline));
  if (loaded && *loaded) {
    auto& checkpoint = **loaded;
    const bool whole = options.deep && options.deep_sample == 1;
    if (!nightly && left == 0 && !(whole && checkpoint.last_differences > 0)) return;
    const auto& me = state_->runner.text();
    if (checkpoint.runner != me && checkpoint.runner_until > now && !detail::surely_gone(checkpoint.runner)) return;
    if (std::exchange(checkpoint.runner, me) != me) ++checkpoint.fence;
    checkpoint.runner_until = {};
    checkpoint.last_verified_at = now;
    if (left > 0 || whole) checkpoint.last_differences = left;
    if (nightly) ++checkpoint.verify_turn;
    if (auto saved = state_->archive().save_checkpoint_within(checkpoint, detail::farewell(deadline)); saved)
      return;
    else
      loaded = std::move(saved).error();
  }
  if (loaded) return;
  own.logger->log(LogLevel::kWarning, "what a verification found could not be noted", {{"error", loaded.error().describe()}});
}

Result<std::optional<ArchiveCheckpoint>> Archiver::checkpoint(Deadline deadline) {
  return state_->archive().load_checkpoint_within(deadline);
}

void Archiver::cancel() noexcept {
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->cancels;
  }
  state_->cancelled.notify_all();
}

}  // namespace setget::inline v0
