// The validator on a workload, as a program of its own, as its peers are: setget-schema-bench WORKLOAD plain|formats. bench/schema_peers
// says what a workload is; one JSON line of the same form comes out, with the allocations of one round over the accepted documents besides.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>
#include <setget/json_schema.hpp>

#include "support/allocations.hpp"

namespace {

using setget::json_schema::Document;
using setget::json_schema::Options;
using setget::json_schema::parse_draft;
using setget::json_schema::Report;
using setget::json_schema::Validator;
using Clock = std::chrono::steady_clock;

struct Group {
  Validator validator;
  std::vector<std::string> texts{};
  std::vector<Document> documents{};
};

std::size_t counted() {
  const std::optional<std::size_t> made = allocations();
  return made.value_or(0);
}

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Documents a second: the best of five rounds, as the peers do it.
template <class Round>
double rate(std::size_t documents, Round round) {
  round();
  double best = 0;
  for (int trial = 0; trial < 5; ++trial) {
    const auto start = Clock::now();
    std::size_t done = 0;
    while (since(start) < 0.3) {
      round();
      done += documents;
    }
    best = std::max(best, static_cast<double>(done) / since(start));
  }
  return best;
}

struct Workload {
  std::vector<Group> groups{};
  std::size_t documents = 0;
  std::size_t refused = 0;
  double compile_ms = 1e9;  // of the fastest compilation
};

Workload read(const char* file, bool formats) {
  Workload out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto given = nlohmann::json::parse(line);
    const auto schema = given.at("schema").get<std::string>();
    const Options options{.default_draft = parse_draft(given.at("draft").get<std::string>()).value(), .assert_formats = formats};
    // What takes milliseconds is worth several tries.
    setget::Result<Validator> compiled = setget::Error(setget::ErrorCode::kInternal, "not compiled");
    for (int trial = 0; trial < (schema.size() > 100'000 ? 5 : 1); ++trial) {
      const auto start = Clock::now();
      compiled = Validator::compile(schema, options);
      out.compile_ms = std::min(out.compile_ms, since(start) * 1e3);
    }
    if (!compiled) {
      ++out.refused;
      continue;
    }
    Group group{*compiled};
    for (const auto& document : given.at("documents")) {
      group.texts.push_back(document.get<std::string>());
      group.documents.emplace_back().parse(group.texts.back()).value();
    }
    out.documents += group.texts.size();
    out.groups.push_back(std::move(group));
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    (void)std::fprintf(stderr, "usage: setget-schema-bench WORKLOAD plain|formats\n");
    return 64;
  }
  const auto work = read(argv[1], std::string_view(argv[2]) == "formats");
  std::vector<std::pair<const Group*, const Document*>> valid;
  std::vector<std::pair<const Group*, const Document*>> invalid;
  for (const auto& group : work.groups)
    for (const auto& document : group.documents) (*group.validator.is_valid(document) ? valid : invalid).emplace_back(&group, &document);

  std::size_t sink = 0;
  const double parsed = rate(work.documents, [&] {
    for (const auto& group : work.groups)
      for (const auto& document : group.documents) sink += *group.validator.is_valid(document);
  });
  const double bytes = rate(work.documents, [&] {
    for (const auto& group : work.groups)
      for (const auto& text : group.texts) sink += *group.validator.is_valid(text);
  });
  // All errors, as the peers count them: every violation is collected, how many there are is summed up, no text is read. One report, used
  // again.
  Report report;
  const auto all_errors = [&](auto&& look) {
    return invalid.empty() ? 0 : rate(invalid.size(), [&] {
      for (const auto& [group, document] : invalid) {
        if (group->validator.validate(*document, report)) look(report);
      }
    });
  };
  const double errors = all_errors([&](const Report& found) { sink += found.violations.size(); });
  // The same, and all texts are written.
  const double texts = all_errors([&](const Report& found) {
    for (const auto& one : found.violations) sink += one.message.size();
  });
  // A report of its own for each.
  const double fresh = invalid.empty() ? 0 : rate(invalid.size(), [&] {
    for (const auto& [group, document] : invalid) sink += group->validator.validate(*document)->violations.size();
  });
  const auto before = counted();
  for (const auto& [group, document] : valid) sink += *group->validator.is_valid(*document);
  const auto made = counted() - before;
  (void)std::printf(
      "{\"peer\":\"setget\",\"documents\":%zu,\"invalid\":%zu,\"refused\":%zu,\"compile_ms\":%.3f,\"parsed\":%.0f,\"bytes\":%.0f,"
      "\"errors\":%.0f,\"errors_texts\":%.0f,\"errors_fresh\":%.0f,\"allocations\":%zu,\"sink\":%s}\n",
      work.documents, invalid.size(), work.refused, work.compile_ms, parsed, bytes, errors, texts, fresh, made,
      sink > 0 ? "true" : "false");
  return 0;
}
