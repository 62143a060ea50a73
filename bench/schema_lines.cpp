// JSON Schema against its peers: every side is a program of its own that measures itself on a workload (bench/schema_peers,
// setget-schema-bench), and prints documents/s from parsed values, from bytes, and with all errors collected. The programs run in turns,
// and the turn with the middle ratio counts; each of our figures is judged against the fastest peer at that.
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

// What all programs said, one after another.
struct Turn {
  json own{};
  std::vector<json> peers{};

  const json* peer(const std::string& name) const {
    const auto found = std::ranges::find_if(peers, [&](const json& one) { return one.value("peer", "") == name; });
    return found == peers.end() ? nullptr : &*found;
  }
  // As a factor of ours.
  double against(const std::string& name, const char* figure) const {
    const json* other = peer(name);
    const double theirs = other != nullptr ? other->value(figure, 0.0) : 0.0;
    return theirs > 0 ? own.value(figure, 0.0) / theirs : 0.0;
  }
};

// The fastest of the peers that saw as many documents and found as many of them invalid: another verdict is another work. Empty: none.
std::string fastest(const std::vector<Turn>& turns, const char* figure) {
  std::string best;
  double best_ratio = 0;
  const json& own = turns.front().own;
  for (const auto& peer : turns.front().peers) {
    // Peers that do not know a schema leave it out; up to a twentieth of the work is the same work.
    const auto seen = peer.value("documents", 0.0);
    const auto all = own.value("documents", 0.0);
    if (seen < 0.95 * all || peer.value(figure, 0.0) <= 0) continue;
    if (seen == all && peer.value("invalid", 0.0) != own.value("invalid", 0.0)) continue;
    const auto name = peer.value("peer", "?");
    std::vector<double> ratios;
    for (const auto& turn : turns) ratios.push_back(turn.against(name, figure));
    const double ratio = median(std::move(ratios));
    if (best.empty() || ratio < best_ratio) {
      best = name;
      best_ratio = ratio;
    }
  }
  return best;
}

// Of the turns the one in the middle: what two programs say in one turn is of the same seconds, and a machine has fast and slow ones.
const Turn& middle(std::vector<Turn>& turns, const std::string& peer, const char* figure) {
  // A peer that said nothing in a turn has none to compare; where it never did, the first turn shows that.
  if (std::ranges::any_of(turns, [&](const Turn& turn) { return turn.peer(peer) != nullptr; }))
    std::erase_if(turns, [&](const Turn& turn) { return turn.peer(peer) == nullptr; });
  std::ranges::sort(turns, {}, [&](const Turn& turn) { return turn.against(peer, figure); });
  return turns[turns.size() / 2];
}

void add(Report& report, const std::string& what, const char* figure, std::vector<Turn> turns, double target, std::optional<double> aim) {
  const auto peer = fastest(turns, figure);
  if (peer.empty()) {
    std::printf("schema: nothing to compare %s with (bench/run fetches the peers)\n", what.c_str());
    return;
  }
  std::printf("%s: the fastest peer is %s\n", what.c_str(), peer.c_str());
  const Turn& turn = middle(turns, peer, figure);
  report.add({.name = what,
              .value = turn.own.value(figure, 0.0) / 1e3,
              .unit = "k/s",
              .baseline = turn.peer(peer)->value(figure, 0.0) / 1e3,
              .target = target,
              .aim = aim});
}

void add_workload(const Settings& settings, Report& report, const Workload& work) {
  const std::string file = std::string(SETGET_BENCH_SCHEMA_PEERS "/workloads/") + work.name + ".ndjson";
  if (!std::filesystem::exists(file)) {
    std::printf("schema: no workload %s (bench/run makes it)\n", file.c_str());
    return;
  }
  const std::string rest = " '" + file + "' " + work.formats;
  std::vector<Turn> turns;
  for (int i = 0; i < settings.trials; ++i) {
    auto own = run("'" SETGET_BENCH_SCHEMA_OWN "'" + rest);
    if (own.size() != 1) fail("setget-schema-bench gave no figures on " + file);
    turns.push_back({.own = std::move(own.front()),
                     .peers = run("bash '" SETGET_BENCH_SCHEMA "/schema_peers' '" SETGET_BENCH_SCHEMA_PEERS "'" + rest)});
  }
  const json first = turns.front().own;
  const std::string what = std::string("schema ") + work.name + (std::string_view(work.formats) == "plain" ? "" : " with formats");
  add(report, what + ", parsed values", "parsed", turns, work.target, work.aim);
  add(report, what + ", bytes", "bytes", turns, work.target, work.aim);
  if (first.value("invalid", 0) > 0) add(report, what + ", all errors of the invalid ones", "errors", turns, 3, std::nullopt);
  if (std::string_view(work.name) != "github" || std::string_view(work.formats) != "plain") return;
  const std::string crate = "crate jsonschema";
  if (const Turn& turn = middle(turns, crate, "compile_ms"); turn.peer(crate) != nullptr)
    report.add({.name = what + ", compile, against the crate",
                .value = turn.own.value("compile_ms", 0.0),
                .unit = "ms",
                .baseline = turn.peer(crate)->value("compile_ms", 0.0),
                .target = 1,
                .lower_is_better = true});
  // One would be too many.
  report.add({.name = what + ", allocations on the accept path, in one round",
              .value = first.value("allocations", 1.0),
              .unit = "",
              .baseline = 1,
              .target = 0,
              .lower_is_better = true});
}

}  // namespace

// The union of 58 events on 329 real payloads.
void bench_schema_github(const Settings& settings, Report& report) { add_workload(settings, report, {"github", "plain", 2, 3}); }
void bench_schema_formats(const Settings& settings, Report& report) { add_workload(settings, report, {"github", "formats", 2, 3}); }
// The official suite's own schemas and data.
void bench_schema_suite(const Settings& settings, Report& report) { add_workload(settings, report, {"suite", "plain", 1, 1}); }
// Of 2020-12, on itself.
void bench_schema_metaschema(const Settings& settings, Report& report) { add_workload(settings, report, {"metaschema", "plain", 1, 1}); }
void bench_schema_array(const Settings& settings, Report& report) { add_workload(settings, report, {"array", "plain", 1, 1}); }

}  // namespace bench
