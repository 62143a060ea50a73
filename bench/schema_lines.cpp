// JSON Schema against its peers: every side is a program of its own that measures itself on a workload (bench/schema_peers,
// setget-schema-bench), and prints documents/s from parsed values, from bytes, and with all errors collected. Each of our figures is judged
// against the fastest peer at that.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/benches.hpp"

namespace bench {

namespace {

using nlohmann::json;

struct Workload {
  const char* name;
  const char* formats;  // "plain" or "formats"
  double target;        // of yes/no, from parsed values and from bytes
  double aim;
};

// One JSON object a line; what is no object is left out.
std::vector<json> run(const std::string& command) {
  std::vector<json> out;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  char* line = nullptr;
  std::size_t size = 0;
  while (pipe && getline(&line, &size, pipe.get()) > 0) {
    auto parsed = json::parse(line, nullptr, false);
    if (parsed.is_object()) out.push_back(std::move(parsed));
  }
  std::free(line);
  return out;
}

// The fastest of the peers that saw as many documents and found as many of them invalid: another verdict is another work.
const json* fastest(const std::vector<json>& peers, const json& own, const char* figure, bool least = false) {
  const json* best = nullptr;
  for (const auto& peer : peers) {
    // Peers that do not know a schema leave it out; up to a twentieth of the work is the same work.
    const auto seen = peer.value("documents", 0.0);
    const auto all = own.value("documents", 0.0);
    if (seen < 0.95 * all || peer.value(figure, 0.0) <= 0) continue;
    if (seen == all && peer.value("invalid", 0.0) != own.value("invalid", 0.0)) continue;
    if (best == nullptr ||
        (least ? peer.value(figure, 0.0) < best->value(figure, 0.0) : peer.value(figure, 0.0) > best->value(figure, 0.0)))
      best = &peer;
  }
  return best;
}

void add(Report& report, const std::string& what, const char* figure, const json& own, const std::vector<json>& peers, double target,
         std::optional<double> aim) {
  const json* peer = fastest(peers, own, figure);
  if (peer == nullptr) {
    std::printf("schema: nothing to compare %s with (bench/run fetches the peers)\n", what.c_str());
    return;
  }
  std::printf("%s: the fastest peer is %s\n", what.c_str(), peer->value("peer", "?").c_str());
  report.add({.name = what,
              .value = own.value(figure, 0.0) / 1e3,
              .unit = "k/s",
              .baseline = peer->value(figure, 0.0) / 1e3,
              .target = target,
              .aim = aim});
}

void add_workload(Report& report, const Workload& work) {
  const std::string file = std::string(SETGET_BENCH_SCHEMA_PEERS "/workloads/") + work.name + ".ndjson";
  if (!std::filesystem::exists(file)) {
    std::printf("schema: no workload %s (bench/run makes it)\n", file.c_str());
    return;
  }
  const std::string rest = " '" + file + "' " + work.formats;
  const auto own = run("'" SETGET_BENCH_SCHEMA_OWN "'" + rest);
  if (own.size() != 1) fail("setget-schema-bench gave no figures on " + file);
  const auto peers = run("bash '" SETGET_BENCH_SCHEMA "/schema_peers' '" SETGET_BENCH_SCHEMA_PEERS "'" + rest);
  const std::string what = std::string("schema ") + work.name + (std::string_view(work.formats) == "plain" ? "" : " with formats");
  add(report, what + ", parsed values", "parsed", own[0], peers, work.target, work.aim);
  add(report, what + ", bytes", "bytes", own[0], peers, work.target, work.aim);
  const bool github = std::string_view(work.name) == "github";
  if (own[0].value("invalid", 0) > 0) add(report, what + ", all errors of the invalid ones", "errors", own[0], peers, 3, std::nullopt);
  if (!github) return;
  if (std::string_view(work.formats) != "plain") return;
  std::vector<json> crate;
  for (const auto& peer : peers)
    if (peer.value("peer", "").find("crate") != std::string::npos) crate.push_back(peer);
  if (const json* other = fastest(crate, own[0], "compile_ms", true))
    report.add({.name = what + ", compile, against the crate",
                .value = own[0].value("compile_ms", 0.0),
                .unit = "ms",
                .baseline = other->value("compile_ms", 0.0),
                .target = 1,
                .lower_is_better = true});
  // One would be too many.
  report.add({.name = what + ", allocations on the accept path, in one round",
              .value = own[0].value("allocations", 1.0),
              .unit = "",
              .baseline = 1,
              .target = 0,
              .lower_is_better = true});
}

}  // namespace

// The union of 58 events on 329 real payloads.
void bench_schema_github(const Settings&, Report& report) { add_workload(report, {"github", "plain", 2, 3}); }
void bench_schema_formats(const Settings&, Report& report) { add_workload(report, {"github", "formats", 2, 3}); }
// The official suite's own schemas and data.
void bench_schema_suite(const Settings&, Report& report) { add_workload(report, {"suite", "plain", 1, 1}); }
// Of 2020-12, on itself.
void bench_schema_metaschema(const Settings&, Report& report) { add_workload(report, {"metaschema", "plain", 1, 1}); }
void bench_schema_array(const Settings&, Report& report) { add_workload(report, {"array", "plain", 1, 1}); }

}  // namespace bench
