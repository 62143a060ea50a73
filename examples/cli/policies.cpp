// ttl explain, schedule list.
#include <cstdio>

#include "arguments.hpp"
#include "cli.hpp"
#include "output.hpp"

namespace cli {

namespace {

struct ExplainFlags {
  std::string account, flow, ttl;
};

int explain(Context& context, const ExplainFlags& flags) {
  auto config = resolve_config(context.common);
  if (!config) return failed(context.common, config.error());
  const auto valid = config->flows.validate();
  if (!valid) return failed(context.common, valid.error());
  std::optional<setget::Ttl> asked;
  if (!flags.ttl.empty()) {
    const auto parsed = setget::parse_ttl(flags.ttl);
    if (!parsed) return failed(context.common, parsed.error());
    asked = *parsed;
  }
  const setget::TtlPolicy policy(config->flows);
  const auto decision = policy.explain(flags.account, flags.flow, asked);
  if (context.common.json) {
    Json body = {{"ttl", to_string(decision.ttl)}, {"rule", std::string(to_string(decision.rule))}};
    body["ttl_ms"] = decision.ttl.is_never ? Json(nullptr) : Json(decision.ttl.length.count());
    body["clamped_from"] = decision.clamped_from ? Json(to_string(*decision.clamped_from)) : Json(nullptr);
    body["clamped_by"] = decision.clamped_by;
    body["explanation"] = decision.explanation;
    print(body);
  } else {
    std::printf("%s  by %s\n%s\n", to_string(decision.ttl).c_str(), std::string(to_string(decision.rule)).c_str(),
                shown(decision.explanation).c_str());
  }
  return kOk;
}

int list(Context& context) {
  auto session = Session::open(context.common, Missing::kRefuse);
  if (!session) return failed(context.common, session.error());
  const auto jobs = session->pipeline().scheduler().jobs();
  if (!jobs) return failed(context.common, jobs.error());
  Json list = Json::array();
  for (const auto& job : *jobs) {
    list.push_back({{"name", job.name},
                    {"cron", job.cron},
                    {"zone", job.zone},
                    {"last_due", iso_or_null(job.last_due)},
                    {"last_finished", iso_or_null(job.last_finished)},
                    {"last_ok", job.last_ok},
                    {"last_error", job.last_error},
                    {"next_due", iso_or_null(job.next_due)},
                    {"running", job.running}});
  }
  if (context.common.json) {
    print({{"schedules", list}});
    return kOk;
  }
  for (const auto& job : *jobs) {
    std::printf("%-12s %s %s  last %s%s  next %s%s\n", job.name.c_str(), job.cron.c_str(), job.zone.c_str(),
                job.last_finished ? iso(*job.last_finished).c_str() : "never",
                job.last_ok ? "" : (" failed: " + shown(job.last_error)).c_str(), job.next_due ? iso(*job.next_due).c_str() : "never",
                job.running ? "  running" : "");
  }
  return kOk;
}

}  // namespace

void add_policies(CLI::App& app, Context& context) {
  auto* ttl = app.add_subcommand("ttl", "how long records live");
  ttl->require_subcommand(1);
  ttl->fallthrough();
  auto* command = ttl->add_subcommand("explain", "which rule decides, and why");
  auto flags = std::make_shared<ExplainFlags>();
  command->add_option("--account", flags->account)->required();
  command->add_option("--flow", flags->flow)->required();
  command->add_option("--ttl", flags->ttl, "what the message itself would ask for")->check(length_of_time(true));
  command->callback([&context, flags] { context.chosen = [&context, flags] { return explain(context, *flags); }; });

  auto* schedule = app.add_subcommand("schedule", "scheduled jobs");
  schedule->require_subcommand(1);
  schedule->fallthrough();
  schedule->add_subcommand("list", "cron, last and next run")->callback([&context] {
    context.chosen = [&context] { return list(context); };
  });
}

}  // namespace cli
