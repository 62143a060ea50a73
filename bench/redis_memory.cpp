// Redis memory per record: 10^5 of the event examples that tests and examples send, each made distinct by 16 random bytes, under 3 keys,
// everything included (change log, pointers, tables), against one plain SET of the payload.
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/redis_server.hpp"

namespace bench {

namespace {

constexpr std::size_t kRecords = 100'000;

// The payloads of @octokit/webhooks-examples, which examples/run fetches; else of the sample beside it.
std::vector<std::string> event_examples() {
  for (const char* path : {SETGET_BENCH_SOURCE "/../build/webhooks/package/api.github.com/index.json",
                           SETGET_BENCH_SOURCE "/../examples/corpus/webhooks.json"}) {
    std::ifstream file(path);
    const auto events = file ? nlohmann::ordered_json::parse(file, nullptr, false) : nlohmann::ordered_json();
    if (!events.is_array()) continue;
    std::vector<std::string> payloads;
    for (const auto& event : events) {
      for (const auto& example : event.at("examples")) payloads.push_back(example.dump());
    }
    if (!payloads.empty()) return payloads;
  }
  fail("there are no event examples");
}

// The second half of the examples in turn: the first is for training.
std::string distinct_payload(const std::vector<std::string>& examples, std::uint64_t n) {
  const auto half = examples.size() / 2;
  const auto& example = examples[half + n % (examples.size() - half)];
  Sequence random{n};
  char text[64];
  std::snprintf(text, sizeof text, R"({"nonce":"%016)" PRIx64 R"(%016)" PRIx64 R"(",)", random.next(), random.next());
  return text + example.substr(1);
}

std::vector<setget::ApplyEntry> records_from(const std::vector<std::string>& examples, std::uint64_t first, std::uint64_t count) {
  auto entries = make_entries({.bytes = kPayloadBytes, .keys = 3}, count, first);
  for (std::uint64_t n = 0; n < count; ++n) {
    auto command = entries[n].command;
    command.payload = distinct_payload(examples, first + n);
    entries[n].encoded = setget::encode_command(command);
    entries[n].command = must(setget::decode_command(entries[n].encoded), "decoding a command");
  }
  return entries;
}

// The first half, once each, beside those that are measured.
std::vector<setget::ApplyEntry> training_records(const std::vector<std::string>& examples) {
  const auto count = examples.size() / 2;
  auto entries = make_entries({.bytes = kPayloadBytes, .keys = 3}, count, 10 * kRecords);
  for (std::size_t n = 0; n < count; ++n) {
    auto command = entries[n].command;
    command.payload = examples[n];
    entries[n].encoded = setget::encode_command(command);
    entries[n].command = must(setget::decode_command(entries[n].encoded), "decoding a command");
  }
  return entries;
}

void print_parts(const setget::redis::MemoryReport& report) {
  for (const auto& part : report.parts) {
    std::fprintf(stderr, "  %-14s %8.1f bytes a record\n", part.name.c_str(), static_cast<double>(part.bytes) / kRecords);
  }
}

}  // namespace

void bench_redis_memory(const Settings& settings, Report& report) {
  constexpr std::uint64_t kStep = 10'000;
  const auto examples = event_examples();
  RedisServer server(settings);
  server.flush();
  const auto empty = server.used_memory();
  std::string bytes;
  server.fill(kRecords, record_key, [&](std::uint64_t n) -> std::string_view { return bytes = distinct_payload(examples, n); });
  const auto plain = static_cast<double>(server.used_memory() - empty) / kRecords;

  struct Figures {
    double bytes = 0;  // a record
    double applies = 0;
    double gets = 0;
  };
  const auto measure = [&](setget::redis::Database& database) {
    Figures figures;
    std::vector<double> applies, gets;
    for (std::uint64_t n = 0; n < kRecords; n += kStep) applies.push_back(apply_all(database, records_from(examples, n, kStep)));
    figures.bytes = static_cast<double>(server.used_memory() - empty) / kRecords;
    for (int trial = 0; trial < settings.trials; ++trial) {
      gets.push_back(get_rate(*database.key_store().backend(), settings.seconds, 0));
    }
    figures.applies = median(std::move(applies));
    figures.gets = median(std::move(gets));
    return figures;
  };
  Figures off;
  {
    auto database = open_fresh(server, "?pool=1");
    off = measure(database);
  }
  report.add({.name = "redis-memory-codec-off", .value = off.bytes, .unit = "bytes", .baseline = plain, .lower_is_better = true});

  server.flush();
  auto database =
      must(setget::redis::open({.uri = server.uri("?pool=1"), .prefix = "bench", .codec = {.enabled = true}}), "opening the store");
  apply_all(database, training_records(examples));
  if (must(database.retrain("", "bench", "orders"), "training").samples == 0) fail("no dictionary could be trained");
  const auto on = measure(database);
  report.add({.name = "redis-memory-codec",
              .value = on.bytes,
              .unit = "bytes",
              .baseline = plain,
              .target = 0.20,
              .aim = 0.15,
              .lower_is_better = true});
  report.add({.name = "redis-apply-codec", .value = on.applies, .unit = "records/s", .baseline = off.applies, .target = 0.5});
  report.add({.name = "redis-get-codec", .value = on.gets, .unit = "gets/s", .baseline = off.gets, .target = 0.8});
  print_parts(must(database.memory(10 * kRecords), "measuring memory"));
}

}  // namespace bench
