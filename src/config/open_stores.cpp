#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include <setget/config.hpp>
#include <setget/idempotency.hpp>
#include <setget/schedule_store.hpp>
#ifdef SETGET_WITH_MEMORY
#include <setget/memory.hpp>
#endif
#ifdef SETGET_WITH_SQLITE
#include <setget/sqlite.hpp>
#endif

namespace setget::inline v0 {

namespace {

constexpr const char* kDefaultQueueFile = "setget-queue.db";

struct Injected {
  std::shared_ptr<const Clock> clock;
  std::shared_ptr<Logger> logger;
  std::shared_ptr<Metrics> metrics;
};

// One opened store, whatever its kind: what a URI gives.
struct Opened {
  std::shared_ptr<QueueBackend> queues;
  KeyStore key_store;
  std::shared_ptr<ArchiveBackend> archive;
  std::shared_ptr<ScheduleStore> schedules;
  std::shared_ptr<IdempotencyStore> idempotency;  // empty: has none
};

struct Uri {
  std::string scheme;
  std::string rest;
};

Error bad_uri(std::string_view field, std::string_view uri, std::string_view what) {
  return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\": {}", uri, what)).at_field(std::string(field));
}

std::string built_schemes() {
  std::string out;
#ifdef SETGET_WITH_SQLITE
  out += "sqlite:PATH";
#endif
#ifdef SETGET_WITH_MEMORY
  out += out.empty() ? "memory:" : ", memory:";
#endif
  return out.empty() ? "nothing" : out;
}

Result<Uri> parse_uri(std::string_view field, std::string_view uri) {
  const auto colon = uri.find(':');
  if (colon == std::string_view::npos || colon == 0) {
    return bad_uri(field, uri,
                   fmt::format("a store is named by a URI; this build knows {}{}", built_schemes(),
                               uri.empty() ? "" : fmt::format(" (a file: \"sqlite:{}\")", uri)));
  }
  Uri out{.scheme = std::string(uri.substr(0, colon)), .rest = std::string(uri.substr(colon + 1))};
  if (out.scheme == "sqlite") {
    if (out.rest.empty()) return bad_uri(field, uri, "needs a path: sqlite:PATH");
    // "sqlite://name" looks like a relative file and would be one in the root folder.
    if (out.rest.starts_with("//") && !out.rest.starts_with("///"))
      return bad_uri(field, uri, "write sqlite:PATH, with an absolute or a relative path");
    if (out.rest.starts_with("///")) out.rest.erase(0, 2);
  }
  if (out.scheme == "memory" && !out.rest.empty()) return bad_uri(field, uri, "memory: takes nothing after the colon");
  return out;
}

Result<Opened> open_sqlite([[maybe_unused]] const Uri& uri, [[maybe_unused]] const Injected& injected) {
#ifdef SETGET_WITH_SQLITE
  sqlite::Options options;
  options.path = uri.rest;
  options.clock = injected.clock;
  options.logger = injected.logger;
  options.metrics = injected.metrics;
  auto database = sqlite::open(std::move(options));
  if (!database) return std::move(database).error();
  return Opened{database->queues(), database->key_store(), database->archive(), database->schedules(), database->idempotency()};
#else
  return Error(ErrorCode::kUnsupported, fmt::format("sqlite: is not built in; this build knows {}", built_schemes()));
#endif
}

Result<Opened> open_memory([[maybe_unused]] const Injected& injected) {
#ifdef SETGET_WITH_MEMORY
  memory::Options options;
  options.clock = injected.clock;
  auto database = memory::open(std::move(options));
  if (!database) return std::move(database).error();
  return Opened{database->queues(), database->key_store(), database->archive(), database->schedules(), nullptr};
#else
  return Error(ErrorCode::kUnsupported, fmt::format("memory: is not built in; this build knows {}", built_schemes()));
#endif
}

// Opens each store once: a file that is named twice is one database, so that queue and store can share transactions.
class Opener {
 public:
  explicit Opener(Injected injected) : injected_(std::move(injected)) {}

  Result<Opened> open(std::string_view field, const std::string& text) {
    auto uri = parse_uri(field, text);
    if (!uri) return std::move(uri).error();
    const auto name = identity(*uri);
    if (const auto it = opened_.find(name); it != opened_.end()) return it->second;
    auto opened = open_new(*uri);
    if (!opened) return std::move(opened).error().at_field(std::string(field));
    opened_.emplace(name, *opened);
    return opened;
  }

 private:
  static std::string identity(const Uri& uri) {
    if (uri.scheme != "sqlite") return uri.scheme;
    std::error_code failed;
    // Absolute first: the canonical form of a relative path changes when the file comes into being.
    auto path = std::filesystem::absolute(uri.rest, failed);
    if (!failed) path = std::filesystem::weakly_canonical(path, failed);
    return "sqlite:" + (failed ? uri.rest : path.string());
  }

  Result<Opened> open_new(const Uri& uri) const {
    if (uri.scheme == "sqlite") return open_sqlite(uri, injected_);
    if (uri.scheme == "memory") return open_memory(injected_);
    return Error(ErrorCode::kUnsupported, fmt::format("{}: is not built in; this build knows {}", uri.scheme, built_schemes()));
  }

  Injected injected_;
  std::map<std::string, Opened> opened_;
};

// In the store where that is durable, else in a file beside it, so that "accepted" means something although the store forgets.
std::string queue_uri(const Config& config, const Opened& store) {
  if (!config.queue.empty()) return config.queue;
  if (store.queues && store.queues->capabilities().durability == Durability::kDisk) return config.store;
  return fmt::format("sqlite:{}", kDefaultQueueFile);
}

}  // namespace

Result<Stores> open_stores(const Config& config, std::shared_ptr<const Clock> clock, std::shared_ptr<Logger> logger,
                           std::shared_ptr<Metrics> metrics) {
  Opener opener({.clock = std::move(clock), .logger = std::move(logger), .metrics = std::move(metrics)});
  auto store = opener.open("store", config.store);
  if (!store) return std::move(store).error();
  auto queues = opener.open("queue", queue_uri(config, *store));
  if (!queues) return std::move(queues).error();

  Stores out;
  out.key_store = store->key_store;
  auto queue = Queue::open(queues->queues, config.queue_name, config.queue_options);
  if (!queue) return std::move(queue).error();
  out.queue = std::move(*queue);
  if (config.archive.empty()) {
    out.archive = store->archive;
  } else if (config.archive != "none") {
    auto archive = opener.open("archive", config.archive);
    if (!archive) return std::move(archive).error();
    if (!archive->archive)
      return Error(ErrorCode::kUnsupported, fmt::format("\"{}\" cannot hold an archive", config.archive)).at_field("archive");
    out.archive = archive->archive;
  }
  // Schedules and idempotency keys live where restarts find them: in the store, else with the queue.
  const auto store_durability = store->key_store.backend()->capabilities().durability;
  const auto queue_durability = queues->queues->capabilities().durability;
  const auto& durable = store_durability >= queue_durability ? *store : *queues;
  out.schedules = durable.schedules ? durable.schedules : memory_schedule_store();
  out.idempotency = durable.idempotency ? durable.idempotency : memory_idempotency_store();
  out.durability = std::min(store_durability, queue_durability);
  return out;
}

}  // namespace setget::inline v0
