#include <fmt/format.h>

#include <algorithm>
#include <array>
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
#ifdef SETGET_WITH_MONGO
#include <setget/mongo_config.hpp>
#endif
#ifdef SETGET_WITH_REDIS
#include <setget/redis_config.hpp>
#endif
#ifdef SETGET_WITH_SQLITE
#include <setget/sqlite.hpp>
#endif

#include "core/decided_options.hpp"

namespace setget::inline v0 {

namespace {

constexpr const char* kDefaultQueueFile = "setget-queue.db";

// What every store is opened with.
struct Injected {
  std::shared_ptr<const Clock> clock;
  std::shared_ptr<Logger> logger;
  std::shared_ptr<Metrics> metrics;
  std::size_t outbox_states;
  std::size_t outbox_bytes;
};

template <class Options>
void limit_outbox([[maybe_unused]] Options& options, [[maybe_unused]] const Injected& injected) {
  options.outbox_states = injected.outbox_states;
  options.outbox_bytes = injected.outbox_bytes;
}

// One opened store, whatever its kind: what a URI gives.
struct Opened {
  std::shared_ptr<QueueBackend> queues;
  KeyStore key_store;
  std::shared_ptr<ArchiveBackend> archive;
  std::shared_ptr<ScheduleStore> schedules;
  std::shared_ptr<IdempotencyStore> idempotency;  // empty: has none
  bool holds_queue = false;                       // where the queue belongs unless the configuration names another place
};

struct Uri {
  std::string scheme;
  std::string rest;
};

Error bad_uri(std::string_view field, std::string_view uri, std::string_view what) {
  return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\": {}", shown_uri(uri), what)).at_field(std::string(field));
}

std::string built_schemes() {
  std::string out;
  [[maybe_unused]] const auto add = [&out](std::string_view scheme) { out.append(out.empty() ? "" : ", ").append(scheme); };
#ifdef SETGET_WITH_SQLITE
  add("sqlite:PATH");
#endif
#ifdef SETGET_WITH_MEMORY
  add("memory:");
#endif
#ifdef SETGET_WITH_REDIS
  add("redis://HOST");
#endif
#ifdef SETGET_WITH_MONGO
  add("mongodb://HOST (archive)");
#endif
  return out.empty() ? "nothing" : out;
}

bool is_redis(std::string_view scheme) {
  constexpr std::array<std::string_view, 7> kSchemes = {"redis",           "rediss",        "unix",          "redis+sentinel",
                                                        "rediss+sentinel", "redis+cluster", "rediss+cluster"};
  return std::ranges::find(kSchemes, scheme) != kSchemes.end();
}

bool is_mongo(std::string_view scheme) { return scheme == "mongodb" || scheme == "mongodb+srv"; }

Result<Uri> parse_uri(std::string_view field, std::string_view uri) {
  const auto colon = uri.find(':');
  if (colon == std::string_view::npos || colon == 0) {
    return bad_uri(field, uri,
                   fmt::format("a store is named by a URI; this build knows {}{}", built_schemes(),
                               uri.empty() ? "" : fmt::format(" (a file: \"sqlite:{}\")", shown_uri(uri))));
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
  limit_outbox(options, injected);
  options.clock = injected.clock;
  options.logger = injected.logger;
  options.metrics = injected.metrics;
  auto database = sqlite::open(std::move(options));
  if (!database) return std::move(database).error();
  return Opened{database->queues(), database->key_store(), database->archive(), database->schedules(), database->idempotency(), true};
#else
  return Error(ErrorCode::kUnsupported, fmt::format("sqlite: is not built in; this build knows {}", built_schemes()));
#endif
}

Result<Opened> open_memory([[maybe_unused]] const Injected& injected) {
#ifdef SETGET_WITH_MEMORY
  memory::Options options;
  limit_outbox(options, injected);
  options.clock = injected.clock;
  auto database = memory::open(std::move(options));
  if (!database) return std::move(database).error();
  return Opened{database->queues(), database->key_store(), database->archive(), database->schedules(), nullptr, false};
#else
  return Error(ErrorCode::kUnsupported, fmt::format("memory: is not built in; this build knows {}", built_schemes()));
#endif
}

// Records, and queues where they are asked for. Schedules, idempotency keys and the archive are kept elsewhere.
Result<Opened> open_redis([[maybe_unused]] std::string uri, [[maybe_unused]] const RedisConfig& config,
                          [[maybe_unused]] const Injected& injected) {
#ifdef SETGET_WITH_REDIS
  auto options = redis::options_of(config, std::move(uri));
  limit_outbox(options, injected);
  options.clock = injected.clock;
  options.logger = injected.logger;
  options.metrics = injected.metrics;
  auto database = redis::open(std::move(options));
  if (!database) {
    // What the section says wrong is named as the section names it.
    auto failed = std::move(database).error();
    const auto field = failed.field();
    if (!field.empty() && !field.starts_with("uri")) failed.at_field(fmt::format("redis.{}", field));
    return failed;
  }
  return Opened{database->queues(), database->key_store(), nullptr, nullptr, nullptr, false};
#else
  return Error(ErrorCode::kUnsupported, fmt::format("Redis is not built in; this build knows {}", built_schemes()));
#endif
}

// An archive and nothing else.
Result<Opened> open_mongo([[maybe_unused]] std::string uri, [[maybe_unused]] const MongoConfig& config,
                          [[maybe_unused]] const Injected& injected) {
#ifdef SETGET_WITH_MONGO
  auto options = mongo::options_of(config, std::move(uri));
  options.logger = injected.logger;
  options.metrics = injected.metrics;
  auto database = mongo::open(std::move(options));
  if (!database) {
    auto failed = std::move(database).error();
    const auto field = failed.field();
    if (!field.empty() && field != "uri" && field != "index") failed.at_field(fmt::format("mongo.{}", field));
    return failed;
  }
  return Opened{nullptr, {}, database->archive(), nullptr, nullptr, false};
#else
  return Error(ErrorCode::kUnsupported, fmt::format("MongoDB is not built in; this build knows {}", built_schemes()));
#endif
}

// Opens each store once: a file that is named twice is one database, so that queue and store can share transactions.
class Opener {
 public:
  Opener(Injected injected, const Config& config) : injected_(std::move(injected)), redis_(config.redis), mongo_(config.mongo) {}

  Result<Opened> open(std::string_view field, const std::string& text) {
    auto uri = parse_uri(field, text);
    if (!uri) return std::move(uri).error();
    const auto name = identity(*uri);
    if (const auto it = opened_.find(name); it != opened_.end()) return it->second;
    auto opened = open_new(*uri);
    if (!opened) {
      auto failed = std::move(opened).error();
      if (!failed.field().starts_with("redis.") && !failed.field().starts_with("mongo.")) failed.at_field(std::string(field));
      return failed;
    }
    opened_.emplace(name, *opened);
    return opened;
  }

 private:
  static std::string identity(const Uri& uri) {
    if (is_redis(uri.scheme) || is_mongo(uri.scheme)) return uri.scheme + ":" + uri.rest;
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
    if (is_redis(uri.scheme)) return open_redis(uri.scheme + ":" + uri.rest, redis_, injected_);
    if (is_mongo(uri.scheme)) return open_mongo(uri.scheme + ":" + uri.rest, mongo_, injected_);
    return Error(ErrorCode::kUnsupported, fmt::format("{}: is not built in; this build knows {}", uri.scheme, built_schemes()));
  }

  Injected injected_;
  RedisConfig redis_;
  MongoConfig mongo_;
  std::map<std::string, Opened> opened_;
};

// In the store's file, else in a file beside it, so that "accepted" means something although the store forgets or is away.
std::string queue_uri(const Config& config, const Opened& store) {
  if (!config.queue.empty()) return config.queue;
  if (store.holds_queue) return config.store;
  return fmt::format("sqlite:{}", kDefaultQueueFile);
}

// One of the queue's options, and how what is said of it replaces what is stored.
struct QueueOption {
  std::string_view name;
  void (*replace)(QueueOptions& stored, const QueueOptions& said, bool named);
};
template <auto Member>
void replace_option(QueueOptions& stored, const QueueOptions& said, bool named) {
  if (named || said.*Member != QueueOptions{}.*Member) stored.*Member = said.*Member;
}
constexpr std::array kQueueOptions{QueueOption{"kind", replace_option<&QueueOptions::kind>},
                                   QueueOption{"visibility_timeout", replace_option<&QueueOptions::visibility_timeout>},
                                   QueueOption{"delay", replace_option<&QueueOptions::delay>},
                                   QueueOption{"retention", replace_option<&QueueOptions::retention>},
                                   QueueOption{"max_receives", replace_option<&QueueOptions::max_receives>},
                                   QueueOption{"dedup_window", replace_option<&QueueOptions::dedup_window>},
                                   QueueOption{"outcome_retention", replace_option<&QueueOptions::outcome_retention>},
                                   QueueOption{"max_in_flight", replace_option<&QueueOptions::max_in_flight>},
                                   QueueOption{"max_message_bytes", replace_option<&QueueOptions::max_message_bytes>}};

// A queue outlives those who open it, and others may be at work on it: who says nothing of an option leaves it as it is.
QueueOptions options_over(const QueueOptions* stored, const Config& config) {
  if (stored == nullptr) return config.queue_options;
  auto options = *stored;
  for (const auto& option : kQueueOptions) {
    option.replace(options, config.queue_options, std::ranges::count(config.queue_said, option.name) != 0);
  }
  return options;
}

Result<Queue> open_queue(std::shared_ptr<QueueBackend> backend, const Config& config) {
  const auto& name = config.queue_name;
  if (config.queue_as_it_is) return Queue(std::move(backend), name);
  // Others may be making it just now: where that can be one step with the look at it, it is.
  if (auto* decides = dynamic_cast<detail::DecidesOptions*>(backend.get())) {
    const auto made = decides->create_by(
        name, [&](const QueueOptions* stored) { return options_over(stored, config); }, CreateQueue{}.deadline);
    if (!made) return made.error();
    return Queue(std::move(backend), name);
  }
  auto known = backend->list();
  if (!known) return std::move(known).error();
  const auto there = std::ranges::find(*known, name, &QueueInfo::name);
  const auto options = options_over(there == known->end() ? nullptr : &there->options, config);
  // Also where nothing changes: some backends keep in mind that this process knows how to make the queue.
  return Queue::open(std::move(backend), name, options);
}

Error archive_only(std::string field, std::string_view uri) {
  return Error(ErrorCode::kUnsupported, fmt::format("\"{}\" can only be an archive", shown_uri(uri))).at_field(std::move(field));
}

// The archive as it was named; else the store's own, else the queue's. `where` gets its URI. A value without a backend: none.
Result<Opened> open_archive(Opener& opener, const Config& config, const Opened& store, const Opened& queues, std::string& where) {
  if (config.archive == "none") return Opened{};
  if (config.archive.empty()) {
    if (store.archive) where = config.store;
    if (store.archive || !queues.archive) return store;
    where = queue_uri(config, store);
    return queues;
  }
  auto named = opener.open("archive", config.archive);
  if (!named) return named;
  if (!named->archive) {
    return Error(ErrorCode::kUnsupported, fmt::format("\"{}\" cannot hold an archive", shown_uri(config.archive))).at_field("archive");
  }
  where = config.archive;
  return named;
}

}  // namespace

Result<Stores> open_stores(const Config& config, std::shared_ptr<const Clock> clock, std::shared_ptr<Logger> logger,
                           std::shared_ptr<Metrics> metrics) {
  Opener opener({.clock = std::move(clock),
                 .logger = std::move(logger),
                 .metrics = std::move(metrics),
                 .outbox_states = config.outbox_states,
                 .outbox_bytes = config.outbox_bytes},
                config);
  auto store = opener.open("store", config.store);
  if (!store) return std::move(store).error();
  if (!store->key_store) return archive_only("store", config.store);
  const auto queue_at = queue_uri(config, *store);
  auto queues = opener.open("queue", queue_at);
  if (!queues) return std::move(queues).error();
  if (!queues->queues) return archive_only("queue", queue_at);

  Stores out;
  out.key_store = store->key_store;
  auto queue = open_queue(queues->queues, config);
  if (!queue) return std::move(queue).error();
  out.queue = std::move(*queue);
  std::string archive_at = "none";
  auto archive = open_archive(opener, config, *store, *queues, archive_at);
  if (!archive) return std::move(archive).error();
  out.archive = archive->archive;
  // Schedules and idempotency keys live where restarts find them: in the store, else with the queue, else with the archive.
  const auto store_durability = store->key_store.backend()->capabilities().durability;
  const auto queue_durability = queues->queues->capabilities().durability;
  const auto& first = store_durability >= queue_durability ? *store : *queues;
  for (const Opened& place : {first, *queues, *archive}) {
    if (!out.schedules) out.schedules = place.schedules;
    if (!out.idempotency) out.idempotency = place.idempotency;
  }
  if (!out.schedules) out.schedules = memory_schedule_store();
  if (!out.idempotency) out.idempotency = memory_idempotency_store();
  out.durability = std::min(store_durability, queue_durability);
  out.summary = fmt::format("store {} ({}), queue {} ({}), archive {}", shown_uri(config.store), to_string(store_durability),
                            shown_uri(queue_at), to_string(queue_durability), shown_uri(archive_at));
  return out;
}

}  // namespace setget::inline v0
