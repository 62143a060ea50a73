// Every metric of this room, in one place; docs/metrics.md explains them.
#pragma once

#include <string_view>

namespace setget::inline v0::detail::metric {

// Ingress.
inline constexpr std::string_view kAccepted = "setget_ingress_accepted_total";            // counter; kind, by allow-list account and flow
inline constexpr std::string_view kRefused = "setget_ingress_refused_total";              // counter; code
inline constexpr std::string_view kDeduplicated = "setget_ingress_deduplicated_total";    // counter
inline constexpr std::string_view kIngressSeconds = "setget_ingress_send_seconds";        // histogram: a call's time in the queue
inline constexpr std::string_view kIngressWaiting = "setget_ingress_waiting_requests";    // gauge
inline constexpr std::string_view kIngressWaitingBytes = "setget_ingress_waiting_bytes";  // gauge

// Worker.
inline constexpr std::string_view kReceived = "setget_worker_received_total";     // counter
inline constexpr std::string_view kOutcomes = "setget_worker_outcomes_total";     // counter; outcome, by allow-list account and flow
inline constexpr std::string_view kRetried = "setget_worker_retried_total";       // counter
inline constexpr std::string_view kLeaseLost = "setget_worker_lease_lost_total";  // counter
inline constexpr std::string_view kLeasesExtended = "setget_worker_leases_extended_total";  // counter
inline constexpr std::string_view kBatchMessages = "setget_worker_batch_messages";          // histogram
inline constexpr std::string_view kApplySeconds = "setget_worker_apply_seconds";            // histogram: store and settle, per batch
inline constexpr std::string_view kLagSeconds = "setget_worker_lag_seconds";                // gauge: age of the batch's oldest message

// Reader.
inline constexpr std::string_view kReads = "setget_reads_total";                          // counter; result = store, archive, missing
inline constexpr std::string_view kThroughQueries = "setget_read_through_queries_total";  // counter; result = ok, failed
inline constexpr std::string_view kThroughSeconds = "setget_read_through_seconds";        // histogram: one question to the archive
inline constexpr std::string_view kThroughShared = "setget_read_through_shared_total";    // counter: keys that were being asked for
inline constexpr std::string_view kThroughNegative = "setget_read_through_negative_hits_total";  // counter: keys known to be missing there
inline constexpr std::string_view kThroughRefused = "setget_read_through_refused_total";         // counter; reason = paused, full, late
inline constexpr std::string_view kThroughPaused = "setget_read_through_paused";                 // gauge: 1 = the archive is not asked

// Archiver.
inline constexpr std::string_view kArchiveRuns = "setget_archive_runs_total";                    // counter; result = ok, failed
inline constexpr std::string_view kArchiveWritten = "setget_archive_written_total";              // counter; kind = record, tombstone
inline constexpr std::string_view kArchiveSkipped = "setget_archive_skipped_short_lived_total";  // counter
inline constexpr std::string_view kArchiveQuarantined = "setget_archive_quarantined";            // gauge: changes that the archive refuses
inline constexpr std::string_view kArchiveRunSeconds = "setget_archive_run_seconds";             // histogram
inline constexpr std::string_view kArchivePosition = "setget_archive_position";                  // gauge: confirmed change-log position
inline constexpr std::string_view kArchiveAlarm = "setget_archive_identity_alarm";     // gauge: 1 = another store than the one archived
inline constexpr std::string_view kArchiveDifferences = "setget_archive_differences";  // gauge: of the last verify
inline constexpr std::string_view kArchiveVerified = "setget_archive_verified_timestamp_seconds";  // gauge
inline constexpr std::string_view kArchiveLastRunOk = "setget_archive_last_run_ok";                // gauge: 0 = the last run failed
inline constexpr std::string_view kArchiveLag = "setget_archive_lag_changes";                   // gauge: changes that wait to be archived
inline constexpr std::string_view kArchiveOldest = "setget_archive_oldest_change_age_seconds";  // gauge: of them
inline constexpr std::string_view kArchiveRunRead = "setget_archive_run_read";                  // gauge: of the run under way, or the last
inline constexpr std::string_view kArchiveRunRate = "setget_archive_run_records_per_second";    // gauge: the same
inline constexpr std::string_view kArchiveLastSuccess = "setget_archive_last_success_timestamp_seconds";  // gauge

// Pipeline.
inline constexpr std::string_view kReloads = "setget_reloads_total";                         // counter; result = ok, refused
inline constexpr std::string_view kQueueDepth = "setget_queue_depth";                        // gauge
inline constexpr std::string_view kQueueInFlight = "setget_queue_in_flight";                 // gauge
inline constexpr std::string_view kQueueDelayed = "setget_queue_delayed";                    // gauge
inline constexpr std::string_view kQueueDeadLetters = "setget_queue_dead_letters";           // gauge
inline constexpr std::string_view kQueueOldestAge = "setget_queue_oldest_age_seconds";       // gauge
inline constexpr std::string_view kStoreRecords = "setget_store_records";                    // gauge
inline constexpr std::string_view kStoreTombstones = "setget_store_tombstones";              // gauge
inline constexpr std::string_view kStoreChanges = "setget_store_change_log_entries";         // gauge
inline constexpr std::string_view kStoreBytes = "setget_store_bytes";                        // gauge
inline constexpr std::string_view kStoreFloor = "setget_store_floor_timestamp_seconds";      // gauge
inline constexpr std::string_view kCursorLag = "setget_cursor_lag_entries";                  // gauge; cursor
inline constexpr std::string_view kEvicted = "setget_store_evicted_total";                   // counter: expired payloads dropped
inline constexpr std::string_view kForgotten = "setget_store_forgotten_total";               // counter: tombstones, claims, marks dropped
inline constexpr std::string_view kMaintenanceErrors = "setget_maintenance_errors_total";    // counter; step
inline constexpr std::string_view kSubscriptionErrors = "setget_subscription_errors_total";  // counter; cursor

}  // namespace setget::inline v0::detail::metric
