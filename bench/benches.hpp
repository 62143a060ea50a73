// One function per bench; each adds its lines to the report. What each measures is said in docs/benchmarks.md and where it is done.
#pragma once

#include "bench/candidate.hpp"
#include "bench/report.hpp"

namespace bench {

void bench_set_16x10(const Settings& settings, Report& report);
void bench_set_16x1(const Settings& settings, Report& report);
void bench_lone_set(const Settings& settings, Report& report);
void bench_get(const Settings& settings, Report& report);
void bench_http(const Settings& settings, Report& report);
void bench_memory(const Settings& settings, Report& report);
void bench_archive_get(const Settings& settings, Report& report);
// On a Redis server of their own; where Redis and hiredis are built in.
void bench_redis_apply(const Settings& settings, Report& report);
void bench_redis_get(const Settings& settings, Report& report);
void bench_redis_path(const Settings& settings, Report& report);
void bench_redis_http(const Settings& settings, Report& report);
void bench_redis_memory(const Settings& settings, Report& report);
void bench_jmespath(const Settings& settings, Report& report);
// JSON Schema, each side a program of its own, on one workload.
void bench_schema_github(const Settings& settings, Report& report);
void bench_schema_formats(const Settings& settings, Report& report);
void bench_schema_suite(const Settings& settings, Report& report);
void bench_schema_metaschema(const Settings& settings, Report& report);
void bench_schema_array(const Settings& settings, Report& report);
// On a server that speaks MongoDB's protocol; where MongoDB is built in.
void bench_mongo_archive(const Settings& settings, Report& report);
void bench_mongo_naive(const Settings& settings, Report& report);  // and Redis
void bench_mongo_verify(const Settings& settings, Report& report);
void bench_mongo_restore(const Settings& settings, Report& report);
void bench_mongo_get(const Settings& settings, Report& report);
void bench_mongo_memory(const Settings& settings, Report& report);  // and Redis
void bench_parts(const Settings& settings, Report& report);

// What bench_memory runs in a process of its own; prints its figures for the parent.
int run_memory_child(const Settings& settings);
// What bench_mongo_memory runs in a process of its own; prints its peak of memory in MiB.
int run_archiver_child(const std::vector<std::string>& words);

}  // namespace bench
