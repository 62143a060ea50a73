// Config: setget.toml as a struct, and the opening of stores by URI. For servers and tools; hosts that embed fill PipelineOptions
// themselves.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/archive.hpp>
#include <setget/gateway.hpp>
#include <setget/http.hpp>
#include <setget/key_store.hpp>
#include <setget/pipeline.hpp>
#include <setget/queue.hpp>

namespace setget::inline v0 {

struct Config {
  std::string listen = "127.0.0.1:8080";        // [server] listen
  std::string admin_listen = "127.0.0.1:8081";  // [server] admin_listen; "" = none
  std::string ns{};                             // [server] namespace
  std::string store = "sqlite:setget.db";       // [store] uri
  std::string queue{};                 // [queue] uri; empty: in the store where that is durable, else sqlite:setget-queue.db beside it
  std::string queue_name = "records";  // [queue] name
  QueueOptions queue_options{};        // [queue] kind, visibility_timeout, max_receives, retention, …
  std::string archive{};               // [archive] uri; empty: in the store where it has one; "none": no archive
  std::string archive_schedule = "0 0 2 * * *";  // [archive] schedule
  std::string time_zone = "UTC";                 // [archive] time_zone
  bool read_through = false;                     // [archive] read_through
  Flows flows{};
  Limits limits{};             // [limits] max_payload, max_keys, …
  HttpServerOptions http{};    // [server] threads, timeouts, …
  PipelineOptions pipeline{};  // [worker] threads, batch, linger, …; [metrics] accounts, flows; stores are left empty
};

// Errors: kInvalidArgument with the TOML path as field and the line in the message; unknown sections and keys are errors.
SETGET_API Result<Config> parse_config(std::string_view toml, std::string_view source_name = "setget.toml");
SETGET_API Result<Config> load_config(const std::string& path);

// Opened stores, ready for Pipeline::create.
struct Stores {
  Queue queue{};
  KeyStore key_store{};
  std::shared_ptr<ArchiveBackend> archive{};
  std::shared_ptr<ScheduleStore> schedules{};
  std::shared_ptr<IdempotencyStore> idempotency{};
  Durability durability = Durability::kDisk;  // what the combination gives
  std::vector<std::shared_ptr<void>> owners{};
};
// Opens what config.store, queue and archive name ("sqlite:PATH", "memory:"; other schemes when their component is built).
SETGET_API Result<Stores> open_stores(const Config& config, std::shared_ptr<const Clock> clock = {}, std::shared_ptr<Logger> logger = {},
                                      std::shared_ptr<Metrics> metrics = {});
// config and stores as the options of a pipeline.
SETGET_API PipelineOptions pipeline_options(const Config& config, const Stores& stores);

}  // namespace setget::inline v0
