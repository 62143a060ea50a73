// bench/run's driver: chooses benches, prints the configuration that the figures belong to, and writes them down.
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include <setget/sqlite.hpp>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/raw_sqlite.hpp"

namespace {

using bench::Report;
using bench::Settings;

struct Bench {
  const char* name;
  void (*run)(const Settings&, Report&);
  const char* what;
};

constexpr Bench kBenches[] = {
    {"set-16x10", bench::bench_set_16x10, "whole set path, 16 threads, 10 sets per call"},
    {"set-16x1", bench::bench_set_16x1, "whole set path, 16 threads, one set per call"},
    {"lone-set", bench::bench_lone_set, "one set at a time, p50 and p99"},
    {"get-1", bench::bench_get, "get, one thread"},
    {"http", bench::bench_http, "whole set path over HTTP, 32 keep-alive connections"},
    {"memory", bench::bench_memory, "memory from 1e5 to 1e6 sets, and file size"},
    {"archive-get", bench::bench_archive_get, "get p99 during an archive run"},
#ifdef SETGET_BENCH_REDIS
    {"redis-apply", bench::bench_redis_apply, "apply on Redis, against redis-benchmark SET"},
    {"redis-get", bench::bench_redis_get, "get by key on Redis, against redis-benchmark GET and a bare hiredis loop"},
    {"redis-path", bench::bench_redis_path, "queue to store on Redis, against redis-benchmark SET and BullMQ"},
    {"redis-http", bench::bench_redis_http, "GET over HTTP, against webdis"},
    {"redis-memory", bench::bench_redis_memory, "Redis memory per record"},
#endif
    {"jmespath", bench::bench_jmespath, "JMESPath on real webhooks, against the crate and PyPI"},
    {"schema-github", bench::bench_schema_github, "JSON Schema on real webhooks, against the crate, PyPI jsonschema-rs and ajv"},
    {"schema-formats", bench::bench_schema_formats, "the same with formats asserted"},
    {"schema-suite", bench::bench_schema_suite, "the same on the official suite's schemas and data"},
    {"schema-metaschema", bench::bench_schema_metaschema, "the same on the metaschema of 2020-12"},
    {"schema-array", bench::bench_schema_array, "the same on a megabyte of small objects"},
#ifdef SETGET_BENCH_MONGO
    {"mongo-archive", bench::bench_mongo_archive, "archive runs on MongoDB, against bulks of upserts by hand"},
    {"mongo-verify", bench::bench_mongo_verify, "verification against comparing everything, and deep against a bare scan"},
    {"mongo-restore", bench::bench_mongo_restore, "restore, against the store's own apply rate"},
    {"mongo-get", bench::bench_mongo_get, "get p99 during an archive run to MongoDB"},
#ifdef SETGET_BENCH_REDIS
    {"mongo-naive", bench::bench_mongo_naive, "a full archive run of Redis, against SCAN, GET and one upsert each"},
    {"mongo-memory", bench::bench_mongo_memory, "memory of an archiver, from 1e4 records to 1e5"},
#endif
#endif
    {"parts", bench::bench_parts, "parts, by Google Benchmark"},
};

constexpr const char* kUsage =
    "usage: setget-bench [--store URI] [--folder DIR] [--json FILE] [--trials N] [--seconds S] [--memory-sets SMALL LARGE] "
    "[--archiver-records N] [--mongo KIND] "
    "[NAME...]\n"
    "  --store URI     sqlite: (default), sqlite:DIR for files below DIR, memory:, or any other scheme that is built in\n"
    "  --trials N      of each side of a ratio, taken in turns; medians are reported (default 5)\n"
    "  --seconds S     of each timed part (default 2)\n"
    "  --mongo KIND    of the server of archives: mongod, mongo_java_server or ferretdb (default: the first that there is)\n"
    "  --archiver-records N   of the larger store of mongo-memory (default 100000; the issue's figure is for 1000000)\n"
    "  NAME            of a bench, or what comes before a \"-\" in the names of several: schema\n"
    "exit: 0 all targets hold, 1 could not measure, 2 a target does not hold, 64 usage\n";

struct Arguments {
  Settings settings;
  std::string json;
  std::vector<std::string> names;
  bool memory_child = false;
  std::vector<std::string> archiver_child{};
};

// "schema" names all benches whose names begin with "schema-".
bool names(std::string_view name, const Bench& bench) {
  const std::string_view own = bench.name;
  return own == name || (own.starts_with(name) && own.substr(name.size()).starts_with("-"));
}

[[noreturn]] void usage(const std::string& why) {
  std::fprintf(stderr, "setget-bench: %s\n%s", why.c_str(), kUsage);
  std::fprintf(stderr, "names:\n");
  for (const Bench& known : kBenches) std::fprintf(stderr, "  %-14s %s\n", known.name, known.what);
  std::exit(64);
}

double number(const std::string& text, const std::string& flag) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value > 0)) usage(flag + " needs a number above 0, not \"" + text + "\"");
  return value;
}

Arguments parse(int argc, char** argv) {
  Arguments given;
  std::vector<std::string> words(argv + 1, argv + argc);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string flag = words[i];
    const auto value = [&] {
      if (i + 1 >= words.size()) usage(flag + " needs a value");
      return words[++i];
    };
    if (flag == "--help") usage("help");
    if (flag == "--store")
      given.settings.store = value();
    else if (flag == "--folder")
      given.settings.folder = value();
    else if (flag == "--json")
      given.json = value();
    else if (flag == "--trials")
      given.settings.trials = static_cast<int>(number(value(), flag));
    else if (flag == "--seconds")
      given.settings.seconds = number(value(), flag);
    else if (flag == "--memory-child")
      given.memory_child = true;
    else if (flag == "--mongo")
      given.settings.mongo = value();
    else if (flag == "--archiver-records")
      given.settings.archiver_records = static_cast<std::uint64_t>(number(value(), flag));
    else if (flag == "--archiver-child") {
      given.archiver_child.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
      break;
    } else if (flag == "--memory-sets") {
      given.settings.memory_small = static_cast<std::uint64_t>(number(value(), flag));
      given.settings.memory_large = static_cast<std::uint64_t>(number(value(), flag));
    } else if (flag.starts_with("-"))
      usage("unknown flag " + flag);
    else
      given.names.push_back(flag);
  }
  for (const std::string& name : given.names) {
    bool known = false;
    for (const Bench& candidate : kBenches) known = known || names(name, candidate);
    if (!known) usage("no bench is named " + name);
  }
  return given;
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

void print_configuration(const Arguments& given) {
  utsname system{};
  uname(&system);
  struct statfs file_system {};
  statfs(given.settings.folder.c_str(), &file_system);
  const setget::sqlite::Options options;
  std::printf("build       %s, %s\n", SETGET_BENCH_BUILD, __VERSION__);
  std::printf("machine     %s, %u threads, %s %s\n", cpu_model().c_str(), std::thread::hardware_concurrency(), system.sysname,
              system.release);
  std::printf("folder      %s (file system type 0x%lx%s)\n", given.settings.folder.c_str(), static_cast<unsigned long>(file_system.f_type),
              file_system.f_type == 0x01021994 ? ": tmpfs, so fsync costs nothing here and the ratios mean little" : "");
  std::printf("store       %s; SQLite %s, page_size %u, checkpoint at %zu pages, cache %zu MiB, synchronous=FULL on both sides\n",
              given.settings.store.c_str(), bench::sqlite_version().c_str(), options.page_size, options.checkpoint_pages,
              options.cache_bytes >> 20);
  std::printf("payload     %zu bytes of JSON, one key per record\n", bench::kPayloadBytes);
  std::printf("trials      %d of %.1f s a side, in turns; medians\n\n", given.settings.trials, given.settings.seconds);
}

}  // namespace

int main(int argc, char** argv) {
  bench::share_process_settings();
  Arguments given = parse(argc, argv);
  Settings& settings = given.settings;
#if defined(SETGET_BENCH_MONGO) && defined(SETGET_BENCH_REDIS)
  if (!given.archiver_child.empty()) return bench::run_archiver_child(given.archiver_child);
#endif
  if (given.memory_child) return bench::run_memory_child(settings);
  if (settings.folder.empty()) {
    settings.folder = settings.store.size() > 7 && settings.store.starts_with("sqlite:") ? settings.store.substr(7) : "bench-data";
  }
  settings.folder /= "run-" + std::to_string(getpid());
  std::error_code failed;
  std::filesystem::create_directories(settings.folder, failed);
  if (failed) bench::fail("cannot make " + settings.folder.string() + ": " + failed.message());
  if (settings.trials < 5) std::printf("note: fewer than 5 trials; the figures are a smoke test, not a measurement\n");
  print_configuration(given);

  Report report;
  report.print_header();
  for (const Bench& candidate : kBenches) {
    bool wanted = given.names.empty();
    for (const std::string& name : given.names) wanted = wanted || names(name, candidate);
    if (wanted) candidate.run(settings, report);
  }
  std::filesystem::remove_all(settings.folder, failed);
  if (!given.json.empty() && !report.write_json(given.json)) bench::fail("cannot write " + given.json);
  return report.all_hold() ? 0 : 2;
}
