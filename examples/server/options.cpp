#include "options.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

namespace setget_server {

std::variant<Options, int> read_options(int argc, char** argv) {
  Options options;
  std::optional<std::string> listen, admin_listen, store, queue, archive;
  CLI::App app{"setget-server: sets and gets records by webhook key over HTTP. Without a file: ./setget.db on 127.0.0.1:8080."};
  app.set_version_flag("--version", SETGET_VERSION);
  app.add_option("--config", options.config_path, "setget.toml; SIGHUP reads its accounts, flows, routes and their schemas again");
  app.add_option("--listen", listen, "HOST:PORT of the public API; port 0 takes a free one");
  app.add_option("--admin-listen", admin_listen, "HOST:PORT of queue, dead letters, health and metrics; \"\" for none");
  app.add_option("--store", store, "sqlite:PATH, memory:, or redis://HOST and its kin (docs/redis.md)");
  app.add_option("--queue", queue, "URI of the queue; default: in the store's file, else sqlite:setget-queue.db");
  app.add_option("--archive", archive, "URI of the archive, or none; default: in the store's file, else the queue's");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  if (!options.config_path.empty()) {
    auto config = setget::load_config(options.config_path);
    if (!config) {
      std::fprintf(stderr, "setget-server: %s\n", config.error().describe().c_str());
      return 2;
    }
    options.config = *std::move(config);
  }
  if (listen) options.config.listen = *listen;
  if (admin_listen) options.config.admin_listen = *admin_listen;
  if (store) options.config.store = *store;
  if (queue) options.config.queue = *queue;
  if (archive) options.config.archive = *archive;
  return options;
}

}  // namespace setget_server
