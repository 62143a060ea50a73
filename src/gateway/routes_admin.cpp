// Routes for operators: health, queue, schedules, TTL, archive. Dead letters are in routes_dead_letters.cpp.
#include <fmt/format.h>

#include "core/json_pointer.hpp"
#include "gateway/core.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/problem.hpp"

namespace setget::inline v0::detail {
namespace {

constexpr std::chrono::hours kArchiveDeadline{1};

void append_time(JsonObject& object, std::string_view name, const std::optional<TimePoint>& time) {
  if (time)
    object.text(name, rfc3339(*time));
  else
    object.null(name);
}

std::string status_body(std::string_view status) {
  std::string body;
  JsonObject(body).text("status", status);
  return body;
}

}  // namespace

GatewayResponse GatewayCore::health(const Call&) { return json_response(200, status_body("ok")); }

GatewayResponse GatewayCore::readiness(const Call&) {
  if (draining_.load(std::memory_order_acquire)) return refusal(503, "draining: this server takes no more work");
  const auto until = deadline();
  if (auto stats = queue().stats(queue_name(), until); !stats) return problem(503, stats.error());
  if (auto identity = pipeline().options().key_store.backend()->identity(until); !identity) return problem(503, identity.error());
  return json_response(200, status_body("ready"));
}

GatewayResponse GatewayCore::metrics(const Call&) {
  if (!options_.metrics_text) return refusal(404, "this server exports no metrics");
  return {200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, Payload::adopt(options_.metrics_text())};
}

GatewayResponse GatewayCore::reload(const Call&) {
  if (!options_.reload) return refusal(404, "this server has nothing to reload");
  if (auto reloaded = options_.reload(); !reloaded) {
    // The request is fine, the file is not: its position is a place in the file.
    const Error& error = reloaded.error();
    return error.code() == ErrorCode::kInvalidArgument ? problem(422, error) : problem_of(error);
  }
  return json_response(200, status_body("reloaded"));
}

GatewayResponse GatewayCore::queue_stats(const Call&) {
  auto stats = queue().stats(queue_name(), deadline());
  if (!stats) return problem_of(stats.error());
  std::string body;
  {
    JsonObject object(body);
    object.text("name", queue_name());
    object.number("depth", stats->depth).number("in_flight", stats->in_flight).number("delayed", stats->delayed);
    object.number("dead_letters", stats->dead_letters);
    if (stats->oldest_age)
      object.number("oldest_age_ms", static_cast<std::uint64_t>(std::max<Milliseconds::rep>(stats->oldest_age->count(), 0)));
    else
      object.null("oldest_age_ms");
    object.number("accepted", stats->accepted);
    JsonObject outcomes(object.raw("outcomes"));
    for (std::size_t i = 0; i < kOutcomeCount; ++i) {
      const auto outcome = static_cast<Outcome>(i);
      if (outcome != Outcome::kPending) outcomes.number(to_string(outcome), stats->outcomes[i]);
    }
  }
  return json_response(200, std::move(body));
}

GatewayResponse GatewayCore::schedules(const Call&) {
  auto jobs = pipeline().scheduler().jobs();
  if (!jobs) return problem_of(jobs.error());
  std::string body;
  {
    JsonObject object(body);
    JsonArray list(object.raw("schedules"));
    for (const auto& job : *jobs) {
      JsonObject entry(list.raw());
      entry.text("name", job.name).text("cron", job.cron).text("time_zone", job.zone);
      append_time(entry, "last_due", job.last_due);
      append_time(entry, "last_finished", job.last_finished);
      append_time(entry, "next_due", job.next_due);
      entry.boolean("last_ok", job.last_ok).text("last_error", job.last_error).boolean("running", job.running);
    }
  }
  return json_response(200, std::move(body));
}

GatewayResponse GatewayCore::explain_ttl(const Call& call) {
  auto reasons = call.query.check({"account", "flow", "ttl"});
  const std::string none;
  const auto name = [&](std::string_view parameter) -> const std::string& {
    const std::string* value = call.query.find(parameter);
    if (value != nullptr && is_name(*value)) return *value;
    reasons.push_back({"invalid_name", "needed: a name of 1 to 64 of [A-Za-z0-9._-]", child_pointer({}, parameter)});
    return none;
  };
  const std::string& account = name("account");
  const std::string& flow = name("flow");
  std::optional<Ttl> message;
  if (const std::string* text = call.query.find("ttl"); text != nullptr && !text->empty()) {
    auto ttl = parse_ttl(*text);
    if (ttl)
      message = *ttl;
    else
      reasons.push_back({"bad_ttl", ttl.error().message(), "/ttl"});
  }
  if (!reasons.empty()) return problem_of(invalid(std::move(reasons)));

  const TtlDecision decision = pipeline().ttl_policy().explain(account, flow, message);
  std::string body;
  {
    JsonObject object(body);
    object.text("account", account).text("flow", flow).text("ttl", to_string(decision.ttl)).text("rule", to_string(decision.rule));
    if (decision.clamped_from) object.text("clamped_from", to_string(*decision.clamped_from)).text("clamped_by", decision.clamped_by);
    object.text("explanation", decision.explanation);
  }
  return json_response(200, std::move(body));
}

GatewayResponse GatewayCore::run_archive(const Call& call) {
  auto reasons = call.query.check({"adopt"});
  if (!reasons.empty()) return problem_of(invalid(std::move(reasons)));
  auto adopt = boolean_parameter(call.query, "adopt");
  if (!adopt) return problem_of(adopt.error());
  Archiver* archiver = pipeline().archiver();
  if (archiver == nullptr) return refusal(404, "this pipeline has no archive");
  if (draining_.load(std::memory_order_acquire)) return refusal(503, "draining: this server takes no more work");
  // A second run would wait for the first and hold its thread as long.
  if (archiving_.exchange(true, std::memory_order_acq_rel)) return refusal(409, "an archive run is under way");
  struct Finish {
    std::atomic<bool>& flag;
    ~Finish() { flag.store(false, std::memory_order_release); }
  } finish{archiving_};
  auto report = archiver->run(Deadline::in(kArchiveDeadline), *adopt);
  if (!report) return problem_of(report.error());
  std::string body;
  {
    JsonObject object(body);
    object.number("read", report->read).number("written", report->written).number("tombstones", report->tombstones);
    object.number("already_there", report->older).number("skipped_short_lived", report->skipped_short_lived);
    object.number("purged", report->purged).number("quarantined", report->quarantined).boolean("first_run", report->first_run);
    object.boolean("reconciled", report->reconciled);
    report->archive_only ? object.number("archive_only", *report->archive_only) : object.null("archive_only");
    object.number("position", report->position);
  }
  return json_response(200, std::move(body));
}

}  // namespace setget::inline v0::detail
