// Config: setget.toml as a struct, and the opening of stores by URI. For servers and tools; hosts that embed fill PipelineOptions
// themselves.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/archive.hpp>
#include <setget/gateway.hpp>
#include <setget/http.hpp>
#include <setget/key_store.hpp>
#include <setget/mapping.hpp>
#include <setget/payload_schema.hpp>
#include <setget/pipeline.hpp>
#include <setget/queue.hpp>

namespace setget::inline v0 {

// [redis]: of every store and queue that a Redis URI names; see redis::Options, which it becomes.
struct RedisConfig {
  std::string prefix = "setget";
  std::uint32_t shards = 0;
  std::uint32_t partitions = 0;
  struct Cache {
    bool enabled = false;
    std::size_t max_entries = 100'000;
    std::size_t max_bytes = std::size_t{64} << 20;
    Milliseconds max_silence{1000};
    bool serve_stale = false;
    Milliseconds max_stale{60'000};
  };
  Cache cache{};  // cache, cache_entries, cache_bytes, cache_silence, serve_stale, max_stale
  // As redis::CodecOptions, which says what they mean.
  bool codec = false;
  std::uint32_t codec_level = 3;
  std::size_t codec_min_bytes = 128;
  std::uint32_t codec_max_percent = 90;
  std::size_t dictionary_bytes = 32u << 10;
  std::size_t dictionary_sample_records = 2000;
  std::size_t dictionary_sample_bytes = 1u << 20;
  std::uint32_t wait_replicas = 0;  // of each master; 0: none is waited for
  Milliseconds wait_timeout{1000};
};

// [routes.NAME]; see HookRoute and MappingOptions, which it becomes.
struct RouteConfig {
  std::string path{};  // empty: /v1/hooks/NAME
  std::vector<std::string> methods{"POST"};
  std::size_t max_body = 0;               // bytes; 0: [limits] max_payload
  MappingOptions mapping{};               // [routes.NAME.mapping]; account and flow of the route itself are its defaults
  std::optional<PayloadSchema> schema{};  // schema, schema_draft, schema_formats, schema_files
};

// [mongo]: of an archive that a MongoDB URI names; see mongo::Options, which it becomes.
struct MongoConfig {
  std::string collection = "setget_archive";
  std::size_t batch = 500;
  std::size_t batch_bytes = std::size_t{8} << 20;
  bool documents = false;  // payload = "document"
  std::size_t max_inline_bytes = std::size_t{12} << 20;
  bool ttl_index = true;
  std::size_t connections = 4;
  Milliseconds connect_timeout{2000};
  Milliseconds timeout{30'000};
  std::uint32_t retries = 3;
};

struct Config {
  std::string listen = "127.0.0.1:8080";        // [server] listen
  std::string admin_listen = "127.0.0.1:8081";  // [server] admin_listen; "" = none
  std::string ns{};                             // [server] namespace
  std::string store = "sqlite:setget.db";       // [store] uri
  // [store] outbox_states, outbox_bytes: of states of histories that no archive has yet. At either limit commands wait for the archive.
  std::size_t outbox_states = 100'000;
  std::size_t outbox_bytes = std::size_t{256} << 20;
  // [queue] uri; empty: in the store's file where the store is one, else sqlite:setget-queue.db: what was accepted is on this machine's
  // disk whatever the store forgets.
  std::string queue{};
  std::string queue_name = "records";  // [queue] name
  QueueOptions queue_options{};        // [queue] kind, visibility_timeout, max_receives, retention, …
  // Which of them replace those of a queue that is there already, by their names in [queue]: parse_config() lists what the file names. What
  // differs from the defaults does so too. What nobody said stays as it is stored, and holds for a queue that is made only.
  std::vector<std::string> queue_said{};
  // open_stores() leaves the queue alone: it is neither made where it is missing nor changed. For who only looks.
  bool queue_as_it_is = false;
  std::string archive{};  // [archive] uri; empty: in the store where it can hold one, else with the queue; "none": no archive
  std::string archive_schedule = "0 0 2 * * *";  // [archive] schedule
  std::string time_zone = "UTC";                 // [archive] time_zone
  bool read_through = false;                     // [archive] read_through
  RedisConfig redis{};
  MongoConfig mongo{};
  Flows flows{};
  Limits limits{};           // [limits] max_payload, max_keys, …
  HttpServerOptions http{};  // [server] threads, timeouts, …
  std::map<std::string, RouteConfig> routes{};
  PipelineOptions pipeline{};  // [worker] threads, batch, linger, …; [metrics] accounts, flows; stores are left empty
};

// Reads and compiles the schemas that it names; files are relative to the folder of source_name. Errors: kInvalidArgument with the TOML
// path as field and the line in the message; unknown sections and keys are errors.
SETGET_API Result<Config> parse_config(std::string_view toml, std::string_view source_name = "setget.toml");
SETGET_API Result<Config> load_config(const std::string& path);

// The routes of a configuration with their mappings compiled: for GatewayOptions::hooks. Errors: kInvalidArgument with the TOML path as
// field.
SETGET_API Result<std::vector<HookRoute>> hook_routes(const Config& config);

// Opened stores, ready for Pipeline::create.
struct Stores {
  Queue queue{};
  KeyStore key_store{};
  std::shared_ptr<ArchiveBackend> archive{};
  std::shared_ptr<ScheduleStore> schedules{};
  std::shared_ptr<IdempotencyStore> idempotency{};
  Durability durability = Durability::kDisk;  // what the combination gives
  std::vector<std::shared_ptr<void>> owners{};
  // One line for logs: what is where, and what survives: "store redis://10.0.0.5:6379 (memory), queue sqlite:setget-queue.db (disk), …".
  std::string summary{};
};
// Opens what config.store, queue and archive name: "sqlite:PATH", "memory:", "redis://HOST" and its kin (docs/redis.md), and as an archive
// "mongodb://HOST/DATABASE" (docs/mongo.md), as far as their components are built. A Redis server that is away is no error: its store
// answers kUnavailable until it is back.
SETGET_API Result<Stores> open_stores(const Config& config, std::shared_ptr<const Clock> clock = {}, std::shared_ptr<Logger> logger = {},
                                      std::shared_ptr<Metrics> metrics = {});
// A store's URI without its passwords: for logs and errors.
SETGET_API std::string shown_uri(std::string_view uri);
// config and stores as the options of a pipeline.
SETGET_API PipelineOptions pipeline_options(const Config& config, const Stores& stores);

}  // namespace setget::inline v0
