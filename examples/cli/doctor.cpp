// doctor: what is unsafe about a configuration and its stores, each with the fix.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include <setget/archive_health.hpp>
#include <setget/archiver.hpp>
#include <setget/cron.hpp>
#include <setget/doctor.hpp>
#ifdef SETGET_WITH_MONGO
#include <setget/mongo_config.hpp>
#endif
#ifdef SETGET_WITH_SQLITE
#include <setget/sqlite.hpp>
#endif

#include "cli.hpp"
#include "output.hpp"
#ifdef SETGET_WITH_REDIS
#include "redis.hpp"
#endif

namespace cli {

namespace {

using setget::Finding;
using Level = Finding::Level;
using Findings = std::vector<Finding>;

bool loopback(const std::string& address) {
  return address.starts_with("127.") || address.starts_with("localhost:") || address.starts_with("[::1]") || address.starts_with("::1");
}

void check_listeners(const setget::Config& config, Findings& found) {
  if (!loopback(config.listen)) {
    found.push_back({Level::kWarning, "[server] listen = \"" + config.listen + "\" is open to the network without TLS or authentication",
                     "listen on 127.0.0.1 and put a proxy with TLS and authentication in front"});
  }
  if (!config.admin_listen.empty() && !loopback(config.admin_listen)) {
    found.push_back({Level::kError, "[server] admin_listen = \"" + config.admin_listen + "\" lets anybody on the network redrive and purge",
                     "admin_listen = \"127.0.0.1:8081\""});
  }
}

void check_queue(const setget::Config& config, Findings& found) {
  const auto& queue = config.queue_options;
  if (queue.max_receives == 0) {
    found.push_back({Level::kError, "[queue] max_receives = 0: a message that kills the worker is tried for ever", "max_receives = 5"});
  }
  if (queue.visibility_timeout < std::chrono::seconds(5)) {
    found.push_back({Level::kWarning, "[queue] visibility_timeout is " + age(queue.visibility_timeout) + ": a short stall loses the lease",
                     "visibility_timeout = \"30s\""});
  }
  if (queue.retention < std::chrono::hours(24)) {
    found.push_back({Level::kWarning, "[queue] retention is " + age(queue.retention) + ": an outage over night dead-letters what waits",
                     "retention = \"14d\""});
  }
  if (queue.outcome_retention < std::chrono::minutes(10)) {
    found.push_back({Level::kWarning,
                     "[queue] outcome_retention is " + age(queue.outcome_retention) + ": producers cannot ask how a set ended",
                     "outcome_retention = \"1d\""});
  }
}

void check_policies(const setget::Config& config, Findings& found) {
  const auto& flows = config.flows;
  if ((!flows.default_ttl || flows.default_ttl->is_never) && (!flows.max_ttl || flows.max_ttl->is_never)) {
    found.push_back({Level::kWarning, "records without a TTL of their own never expire, and the store grows without end",
                     "[ttl] default = \"30d\", or max = \"365d\""});
  }
  if (config.archive == "none") {
    found.push_back(
        {Level::kWarning, "[archive] uri = \"none\": what the store loses is lost", "[archive] uri = \"sqlite:/other/disk/archive.db\""});
  } else if (sqlite_path(config.store).empty() && config.archive.empty() && !config.queue.empty() && sqlite_path(config.queue).empty()) {
    found.push_back({Level::kWarning, "neither store nor queue can hold an archive, and none is named: what the store loses is lost",
                     "[archive] uri = \"sqlite:archive.db\""});
  } else if (!sqlite_path(config.store).empty() && (config.archive.empty() || config.archive == config.store)) {
    found.push_back({Level::kWarning, "the archive lives in the store's own file: one broken disk takes both",
                     "[archive] uri = \"sqlite:/other/disk/archive.db\""});
  }
  if (config.archive != "none" && config.archive_schedule.empty()) {
    found.push_back({Level::kWarning, "[archive] schedule is empty: nothing is archived unless somebody asks", "schedule = \"@daily\""});
  }
}

void check_file(const std::string& path, Findings& found) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return;
  if ((info.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    found.push_back({Level::kWarning, path + " can be read or written by every user of this machine", "chmod o-rwx " + path + "*"});
  }
  struct statvfs disk {};
  if (statvfs(path.c_str(), &disk) != 0) return;
  const auto free_bytes = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (free_bytes < (1ULL << 30) && free_bytes < 2 * static_cast<std::uint64_t>(info.st_size)) {
    found.push_back({Level::kWarning, "only " + std::to_string(free_bytes >> 20) + " MiB are free where " + path + " is",
                     "make room, or move the store; at no space sets are refused with out_of_space"});
  }
}

void check_durability(Session& session, Findings& found) {
  const auto level = [](setget::Durability durability) {
    return " keeps its data at level \"" + std::string(to_string(durability)) + "\" only";
  };
  const auto queue = session.stores().queue.backend()->capabilities().durability;
  const auto store = session.stores().key_store.backend()->capabilities().durability;
  const auto& config = session.config();
  if (queue != setget::Durability::kDisk) {
    const bool replicated = queue == setget::Durability::kReplica;
    found.push_back({replicated ? Level::kWarning : Level::kError,
                     "queue " + setget::shown_uri(config.queue) + level(queue) + ": what was accepted can be lost" +
                         (replicated ? " where master and replicas fail together" : ""),
                     "[queue] uri = \"sqlite:setget-queue.db\""});
  }
  if (store == setget::Durability::kDisk) return;
  // A Redis server that forgets is a choice, if there is somewhere to take the records back from.
  const bool recoverable = config.store != "memory:" && session.stores().archive != nullptr;
  found.push_back({recoverable ? Level::kWarning : Level::kError, "store " + setget::shown_uri(config.store) + level(store),
                   recoverable ? "run the archive often enough (what it has, 'setget archive restore' brings back), or appendfsync always"
                               : "[store] uri = \"sqlite:setget.db\""});
}

setget::Result<void> check_archive(Session& session, Findings& found) {
  const auto now = setget::system_clock()->now();
  auto health =
      setget::archive_health(*session.stores().key_store.backend(), *session.stores().archive, setget::ArchiverOptions{}.cursor, now);
  if (!health) return std::move(health).error();
  const auto& config = session.config();
  // A MongoDB server's own report says it too, but not of the other archives.
  if (config.archive.starts_with("mongodb:")) health->quarantined = 0;
  std::optional<setget::Cron> schedule;
  if (!config.archive_schedule.empty()) {
    auto cron = setget::Cron::parse(config.archive_schedule, config.time_zone);
    if (!cron) return std::move(cron).error();
    schedule = *std::move(cron);
  }
  for (auto& finding : judge_archive(*health, schedule, config.pipeline.archive_retry_window + config.pipeline.archive_jitter, now)) {
    found.push_back(std::move(finding));
  }
  return {};
}

setget::Result<void> check_stores(const Common& common, Findings& found) {
  auto session = Session::open(common, Missing::kRefuse);
  if (!session) return std::move(session).error();
  check_durability(*session, found);
  const auto stats = session->stores().queue.stats();
  // A queue that nobody has made yet holds nothing.
  if (!stats && stats.error().code() != setget::ErrorCode::kNotFound) return stats.error();
  if (stats && stats->dead_letters > 0) {
    found.push_back({Level::kWarning, std::to_string(stats->dead_letters) + " dead letters wait for somebody",
                     "setget dlq list; then setget dlq redrive or purge"});
  }
  if (stats && stats->oldest_age && *stats->oldest_age > std::chrono::minutes(10)) {
    found.push_back({Level::kWarning, "the oldest message has waited " + age(*stats->oldest_age) + ": no worker keeps up",
                     "start setget-server, or setget queue drain"});
  }
  const auto cursors = session->stores().key_store.backend()->cursors();
  if (!cursors) return cursors.error();
  for (const auto& cursor : *cursors) {
    if (cursor.dropped)
      found.push_back(
          {Level::kError, "cursor " + cursor.name + " fell behind its limit and was dropped", "open it anew, and read everything again"});
  }
  return session->stores().archive ? check_archive(*session, found) : setget::Result<void>();
}

// The backend's own check of the file: integrity, header, settings.
setget::Result<void> check_sqlite(const std::string& path, Findings& found) {
#ifdef SETGET_WITH_SQLITE
  setget::sqlite::Options options;
  options.path = path;
  options.create = false;
  auto database = setget::sqlite::open(std::move(options));
  if (!database) return std::move(database).error();
  auto findings = database->doctor();
  if (!findings) return std::move(findings).error();
  for (auto& finding : *findings) {
    found.push_back({finding.level, path + ": " + finding.what, std::move(finding.fix)});
  }
#else
  static_cast<void>(path);
  static_cast<void>(found);
#endif
  return {};
}

// The same of the servers behind a Redis URI.
setget::Result<void> check_redis([[maybe_unused]] const setget::Config& config, [[maybe_unused]] const std::string& uri,
                                 [[maybe_unused]] Findings& found) {
#ifdef SETGET_WITH_REDIS
  if (!is_redis(uri)) return {};
  auto database = open_redis(config, uri);
  if (!database) return std::move(database).error();
  auto findings = database->doctor(setget::Deadline::in(std::chrono::seconds(10)), config.redis.wait_replicas);
  if (!findings) return std::move(findings).error();
  for (auto& finding : *findings) found.push_back(std::move(finding));
#endif
  return {};
}

// And of the servers behind the archive.
setget::Result<void> check_mongo([[maybe_unused]] const setget::Config& config, [[maybe_unused]] Findings& found) {
#ifdef SETGET_WITH_MONGO
  if (!config.archive.starts_with("mongodb:")) return {};
  auto database = setget::mongo::open(setget::mongo::options_of(config.mongo, config.archive));
  if (!database) return std::move(database).error();
  auto findings = database->doctor();
  if (!findings) return std::move(findings).error();
  for (auto& finding : *findings) found.push_back(std::move(finding));
#endif
  return {};
}

// The files that the configuration leads to and that are there, each once.
std::vector<std::string> files_of(const setget::Config& config) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& path) {
    std::error_code unknown;
    const bool there = std::filesystem::exists(path, unknown);
    // Of what cannot even be looked for, opening it says why.
    if (path.empty() || (!there && !unknown)) return;
    const auto same = [&](const std::string& other) {
      std::error_code failed;
      return std::filesystem::equivalent(path, other, failed);
    };
    if (std::ranges::none_of(files, same)) files.push_back(path);
  };
  add(sqlite_path(config.store));
  add(config.queue.empty() && sqlite_path(config.store).empty() ? "setget-queue.db" : sqlite_path(config.queue));
  add(sqlite_path(config.archive));
  return files;
}

// `complete`: everything could be looked at.
int print_findings(const Context& context, const Findings& found, bool complete) {
  static constexpr const char* kNames[] = {"ok", "warning", "error"};
  bool unsafe = false;
  Json list = Json::array();
  for (const auto& finding : found) {
    unsafe = unsafe || finding.level != Level::kOk;
    list.push_back({{"level", kNames[static_cast<std::size_t>(finding.level)]}, {"what", finding.what}, {"fix", finding.fix}});
  }
  if (context.common.json) {
    print({{"safe", complete && !unsafe}, {"complete", complete}, {"findings", list}});
  } else {
    for (const auto& finding : found) {
      std::printf("%-8s %s\n", kNames[static_cast<std::size_t>(finding.level)], shown(finding.what).c_str());
      if (!finding.fix.empty()) std::printf("         fix: %s\n", shown(finding.fix).c_str());
    }
    std::printf("%s\n", unsafe ? "not all is well" : complete ? "all is well" : "not everything could be looked at");
  }
  return unsafe ? kNo : kOk;
}

int doctor(Context& context) {
  auto config = resolve_config(context.common);
  if (!config) return failed(context.common, config.error());
  Findings found;
  check_listeners(*config, found);
  check_queue(*config, found);
  check_policies(*config, found);
  const auto files = files_of(*config);
  for (const auto& path : files) check_file(path, found);
  // What could not be looked at hides nothing of the rest.
  std::optional<setget::Error> trouble;
  const auto note = [&](setget::Result<void> checked) {
    if (!checked && !trouble) trouble = std::move(checked).error();
  };
  // First the servers: where too few replicas are online the stores cannot be opened, and this says so with a fix.
  note(check_redis(*config, config->store, found));
  if (config->queue != config->store) note(check_redis(*config, config->queue, found));
  note(check_stores(context.common, found));
  for (const auto& path : files) note(check_sqlite(path, found));
  note(check_mongo(*config, found));
  const int code = print_findings(context, found, !trouble);
  return trouble ? failed(context.common, *trouble) : code;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  app.add_subcommand("doctor", "unsafe settings and damage, each with the fix; exit 2 if there is any")->callback([&context] {
    context.chosen = [&context] { return doctor(context); };
  });
}

}  // namespace cli
