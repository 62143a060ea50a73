// JMESPath on real webhooks, against the crate jmespath and PyPI jmespath: typical expressions of mappings on every document, from values
// that were read before; and reading a document. The peers are programs of their own (bench/jmespath/), run one after the other.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <setget/jmespath.hpp>

#include "bench/benches.hpp"

namespace bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kExpressions[] = {
    "repository.full_name",
    "repository.default_branch",
    "join('/', ['github', not_null(repository.full_name, organization.login, sender.login, 'none')])",
    "{repo: repository.full_name, sender: sender.login, action: action}",
    "commits[*].id",
    "commits[?distinct].{id: id, email: author.email}",
    "not_null(pull_request.labels[*].name, `[]`) | sort(@)",
    "pull_request.head.ref || ref || repository.default_branch",
    "to_string(repository.id)",
    "keys(@)",
    "contains(['opened', 'closed', 'created'], action || 'none')",
    "[repository.full_name, action, sender.login][?@ != null]",
    "@.*.id",
};

template <class Work>
double nanoseconds(double seconds, std::size_t documents, Work work) {
  double best = std::numeric_limits<double>::max();
  for (int trial = 0; trial < 5; ++trial) {
    const auto start = Clock::now();
    double rounds = 0;
    double passed = 0;
    do {
      work();
      ++rounds;
      passed = std::chrono::duration<double>(Clock::now() - start).count();
    } while (passed < seconds);
    best = std::min(best, passed / rounds / static_cast<double>(documents));
  }
  return best * 1e9;
}

std::vector<double> measure_own(const std::vector<std::string>& texts, double seconds) {
  std::vector<setget::jmespath::Document> documents;
  for (const auto& text : texts) documents.push_back(setget::jmespath::Document::parse_borrowed(text).value());
  std::vector<double> out;
  setget::jmespath::Workspace workspace;
  std::size_t found = 0;
  for (const char* text : kExpressions) {
    const auto expression = setget::jmespath::Expression::compile(text).value();
    out.push_back(nanoseconds(seconds, texts.size(), [&] {
      for (const auto& document : documents) {
        workspace.clear();
        const auto value = expression.evaluate(document, workspace);
        found += value && !value->is_null();
      }
    }));
  }
  out.push_back(nanoseconds(seconds, texts.size(), [&] {
    for (const auto& text : texts) found += setget::jmespath::Document::parse_borrowed(text).has_value();
  }));
  if (found == 0) std::abort();  // nothing may be optimised away
  return out;
}

// What a peer prints: one figure a line. Empty where it cannot be run.
std::vector<double> measure_peer(const std::string& command) {
  std::vector<double> out;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  double figure = 0;
  while (pipe && std::fscanf(pipe.get(), "%lf", &figure) == 1) out.push_back(figure);
  return out;
}

void add_lines(Report& report, const std::string& peer, const std::vector<double>& own, const std::vector<double>& other, double target) {
  if (other.size() != own.size()) {
    std::printf("jmespath: no figures of %s (bench/run fetches and builds it)\n", peer.c_str());
    return;
  }
  double own_total = 0;
  double other_total = 0;
  for (std::size_t i = 0; i + 1 < own.size(); ++i) {
    own_total += own[i];
    other_total += other[i];
    report.add({.name = "jmespath " + peer + ": " + kExpressions[i], .value = 1e6 / own[i], .unit = "k/s", .baseline = 1e6 / other[i]});
  }
  const auto count = static_cast<double>(own.size() - 1);
  report.add({.name = "jmespath " + peer + ", all expressions",
              .value = count * 1e6 / own_total,
              .unit = "k/s",
              .baseline = count * 1e6 / other_total,
              .target = target});
  report.add({.name = "jmespath " + peer + ", read a document", .value = 1e6 / own.back(), .unit = "k/s", .baseline = 1e6 / other.back()});
}

}  // namespace

void bench_jmespath(const Settings& settings, Report& report) {
  std::ifstream file(SETGET_BENCH_WEBHOOKS);
  const auto events = nlohmann::ordered_json::parse(file, nullptr, false);
  if (events.is_discarded()) {
    std::printf("jmespath: no webhooks at %s (bench/run fetches them)\n", SETGET_BENCH_WEBHOOKS);
    return;
  }
  std::vector<std::string> texts;
  for (const auto& event : events)
    for (const auto& example : event.at("examples")) texts.push_back(example.dump());
  constexpr double kSeconds = 0.03;  // of one trial of one expression
  const auto input = settings.folder / "jmespath.json";
  std::ofstream(input) << nlohmann::json{{"seconds", kSeconds}, {"expressions", kExpressions}, {"documents", texts}};
  const std::string peers = SETGET_BENCH_JMESPATH_PEERS;
  const auto own = measure_own(texts, kSeconds);
  add_lines(report, "crate 0.3.0", own, measure_peer("'" + peers + "/target/release/jmespath-peer' '" + input.string() + "'"), 2);
  add_lines(report, "PyPI", own,
            measure_peer("'" + peers + "/venv/bin/python' '" SETGET_BENCH_JMESPATH "/peer.py' '" + input.string() + "'"), 5);
}

}  // namespace bench
