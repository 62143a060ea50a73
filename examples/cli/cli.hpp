// The command line, by parts: each add_… hangs its subcommands on the application. A subcommand only parses its flags while CLI11 runs; its
// work is done afterwards through `chosen`, so that usage errors never leave a store open. Thread rule: one thread.
#pragma once

#include <functional>
#include <string>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "session.hpp"

namespace cli {

// Exit codes; docs/cli.md says what each means per subcommand.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;  // could not do it, or could not find out
inline constexpr int kNo = 2;      // found out, and the answer is no: not found, differences, refused, unsafe
inline constexpr int kUsage = 64;

struct Context {
  Common common;
  std::function<int()> chosen;
};

void add_records(CLI::App& app, Context& context);       // set, get, delete, message
void add_load(CLI::App& app, Context& context);          // load
void add_map(CLI::App& app, Context& context);           // map
void add_validate(CLI::App& app, Context& context);      // validate
void add_queue(CLI::App& app, Context& context);         // queue stats|peek|drain
void add_dead_letters(CLI::App& app, Context& context);  // dlq list|show|redrive|purge
void add_archive(CLI::App& app, Context& context);       // archive run|verify|restore|status
void add_policies(CLI::App& app, Context& context);      // ttl explain, schedule list
void add_doctor(CLI::App& app, Context& context);        // doctor
void add_redis(CLI::App& app, Context& context);         // redis stats; only where Redis is built in

}  // namespace cli
