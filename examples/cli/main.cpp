// setget: the command line. Works on the same stores as setget-server, whether a server has them open or not.
#include <csignal>
#include <cstdio>
#include <exception>

#include "arguments.hpp"
#include "cli.hpp"

namespace {

void add_common(CLI::App& app, cli::Common& common) {
  app.add_option("--config", common.config, "setget.toml; the flags below win over it")->check(CLI::ExistingFile);
  app.add_option("--store", common.store, "URI of the store: sqlite:setget.db (default), redis://HOST, …");
  app.add_option("--queue", common.queue, "URI of the queue (default: in the store's file, else sqlite:setget-queue.db)");
  app.add_option("--archive", common.archive, "URI of the archive, or \"none\" (default: in the store's file, else the queue's)");
  app.add_option("--namespace", common.ns, "namespace of records and keys");
  app.add_flag("--json", common.json, "print one JSON document instead of text");
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is a write error, reported below
  CLI::App app{
      "Set and get records by webhook key, and look after the queue, the archive and the schedules.\n"
      "Exit codes: 0 done, 1 failed or could not find out, 2 the answer is no, 64 usage."};
  cli::Context context;
  app.set_version_flag("--version", "setget " SETGET_VERSION);
  app.require_subcommand(1);
  app.fallthrough();  // common flags may stand before or after the subcommand
  add_common(app, context.common);
  cli::add_records(app, context);
  cli::add_load(app, context);
  cli::add_map(app, context);
  cli::add_validate(app, context);
  cli::add_queue(app, context);
  cli::add_dead_letters(app, context);
  cli::add_archive(app, context);
  cli::add_policies(app, context);
  cli::add_doctor(app, context);
#ifdef SETGET_WITH_REDIS
  cli::add_redis(app, context);
#endif
  try {
    cli::parse(app, argc, argv);
    const int code = context.chosen();
    if (std::fflush(stdout) != 0) {
      std::fprintf(stderr, "setget: cannot write the answer\n");
      return cli::kFailed;
    }
    return code;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? cli::kOk : cli::kUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "setget: %s\n", error.what());
    return cli::kFailed;
  }
}
