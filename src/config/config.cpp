#include <setget/config.hpp>

#include <fmt/format.h>

#include <algorithm>

#include <setget/cron.hpp>
#ifdef SETGET_WITH_MONGO
#include <setget/mongo_config.hpp>
#endif
#include <setget/validator.hpp>

#include "config/routes.hpp"
#include "core/check_length.hpp"
#include "core/thread_limit.hpp"
#include "pipeline/schema_toml.hpp"
#include "pipeline/toml_reader.hpp"

namespace setget::inline v0 {

namespace {

using detail::TomlReader;

// What an encoded message holds besides its payload: keys, attributes and the rest of the envelope, at their default limits.
constexpr std::size_t kMessageOverhead = 1u << 20;

void limit_threads(const TomlReader& section, std::string_view key, std::size_t threads, std::size_t most = detail::kMostThreads) {
  if (threads > most) section.problem(key, fmt::format("must be at most {}, not {}", most, threads));
}

// A length of time that is added to moments.
void read_length(TomlReader& section, std::string_view key, Milliseconds& out, Milliseconds shortest = Milliseconds(1)) {
  section.read(key, out, shortest);
  if (out > detail::kLongestLength) section.problem(key, "must be at most 10 years");
}

// What depends on other settings unless it is said.
struct Said {
  bool max_body = false;
};

void read_server(TomlReader& section, Config& out, Said& said) {
  said.max_body = std::ranges::count(section.keys(), "max_body") != 0;
  section.read("listen", out.listen);
  section.read("admin_listen", out.admin_listen);
  section.read("namespace", out.ns);
  section.read("threads", out.http.threads);
  limit_threads(section, "threads", out.http.threads);
  section.read<std::size_t>("max_connections", out.http.max_connections, 1);
  section.read_bytes("max_body", out.http.max_body, 1);
  section.read_bytes("max_header", out.http.max_header, 1024);
  section.read_bytes("max_buffered", out.http.max_buffered, 1);
  section.read_bytes("max_unsent", out.http.max_unsent, 1);
  for (const auto& [key, timeout] :
       {std::pair("header_timeout", &out.http.header_timeout), std::pair("body_timeout", &out.http.body_timeout),
        std::pair("idle_timeout", &out.http.idle_timeout), std::pair("write_timeout", &out.http.write_timeout)}) {
    section.read(key, *timeout, Milliseconds(1));
    if (*timeout > std::chrono::hours(24)) section.problem(key, "must be at most a day");
  }
  if (!out.ns.empty() && !is_name(out.ns)) section.problem("namespace", "a namespace is up to 64 of [A-Za-z0-9._-]");
}

void read_store(TomlReader& section, Config& out) {
  section.read("uri", out.store);
  read_length(section, "maintenance_interval", out.pipeline.maintenance_interval);
  section.read("expiry_grace", out.pipeline.expiry_grace);
  section.read<std::size_t>("outbox_states", out.outbox_states, 1);
  section.read_bytes("outbox_bytes", out.outbox_bytes, 1);
}

void read_queue(TomlReader& section, Config& out) {
  out.queue_said = section.keys();
  auto& options = out.queue_options;
  section.read("uri", out.queue);
  section.read("name", out.queue_name);
  section.read_choice("kind", options.kind, {{"fifo", QueueKind::kFifo}, {"standard", QueueKind::kStandard}});
  section.read("visibility_timeout", options.visibility_timeout, Milliseconds(1));
  section.read("delay", options.delay);
  section.read("retention", options.retention, Milliseconds(1));
  section.read("max_receives", options.max_receives);
  section.read("dedup_window", options.dedup_window);
  section.read("outcome_retention", options.outcome_retention);
  section.read<std::uint32_t>("max_in_flight", options.max_in_flight, 1);
  section.read_bytes("max_message_bytes", options.max_message_bytes, 1);
  if (!is_name(out.queue_name)) section.problem("name", "a queue's name is 1 to 64 of [A-Za-z0-9._-]");
}

void read_redis(TomlReader& section, RedisConfig& out) {
  section.read("prefix", out.prefix);
  section.read<std::uint32_t>("shards", out.shards);
  section.read<std::uint32_t>("partitions", out.partitions);
  section.read("cache", out.cache.enabled);
  section.read<std::size_t>("cache_entries", out.cache.max_entries, 1);
  section.read_bytes("cache_bytes", out.cache.max_bytes, 4096);
  section.read("cache_silence", out.cache.max_silence, Milliseconds(10));
  section.read("serve_stale", out.cache.serve_stale);
  section.read("max_stale", out.cache.max_stale);
  if (out.cache.max_silence > Milliseconds(60'000)) section.problem("cache_silence", "must be at most a minute");
  if (out.cache.max_stale > Milliseconds(std::int64_t{7} * 24 * 3'600'000)) section.problem("max_stale", "must be at most a week");
  if (out.cache.serve_stale && !out.cache.enabled) section.problem("serve_stale", "needs cache = true");
  section.read_choice("codec", out.codec, {{"none", false}, {"zstd", true}});
  section.read<std::uint32_t>("codec_level", out.codec_level, 1);
  section.read_bytes("codec_min_bytes", out.codec_min_bytes);
  section.read<std::uint32_t>("codec_max_percent", out.codec_max_percent, 1);
  section.read_bytes("dictionary_bytes", out.dictionary_bytes);
  section.read<std::size_t>("dictionary_sample_records", out.dictionary_sample_records, 10);
  section.read_bytes("dictionary_sample_bytes", out.dictionary_sample_bytes, 1024);
  section.read<std::uint32_t>("wait_replicas", out.wait_replicas);
  section.read("wait_timeout", out.wait_timeout, Milliseconds(1));
  if (out.wait_replicas > 16) section.problem("wait_replicas", "must be at most 16");
  if (out.wait_timeout > Milliseconds(60'000)) section.problem("wait_timeout", "must be at most a minute");
  if (out.dictionary_bytes != 0 && (out.dictionary_bytes < 1024 || out.dictionary_bytes > (1u << 20))) {
    section.problem("dictionary_bytes", "must be 1KiB to 1MiB, or 0");
  }
  if (out.dictionary_sample_records > 1'000'000) section.problem("dictionary_sample_records", "must be at most 1000000");
  if (out.dictionary_sample_bytes > (64u << 20)) section.problem("dictionary_sample_bytes", "must be at most 64MiB");
  if (!is_name(out.prefix)) section.problem("prefix", "a prefix has 1 to 64 bytes of [A-Za-z0-9._-]");
  const auto is_count = [](std::uint32_t number, std::uint32_t most) { return number <= most && (number & (number - 1)) == 0; };
  if (!is_count(out.shards, 4096)) section.problem("shards", "must be a power of two up to 4096, or 0");
  if (out.codec_level > 19) section.problem("codec_level", "a level of zstd is 1 to 19");
  if (out.codec_max_percent > 100) section.problem("codec_max_percent", "must be 1 to 100");
  if (!is_count(out.partitions, 256)) section.problem("partitions", "must be a power of two up to 256, or 0");
}

void read_mongo(TomlReader& section, MongoConfig& out) {
  section.read("collection", out.collection);
  section.read<std::size_t>("batch", out.batch, 1);
  section.read_bytes("batch_bytes", out.batch_bytes, 64u << 10);
  section.read_choice("payload", out.documents, {{"binary", false}, {"document", true}});
  section.read_bytes("max_inline_bytes", out.max_inline_bytes, 1u << 10);
  section.read("ttl_index", out.ttl_index);
  section.read<std::size_t>("connections", out.connections, 2);
  section.read("connect_timeout", out.connect_timeout, Milliseconds(10));
  section.read("timeout", out.timeout, Milliseconds(100));
  section.read<std::uint32_t>("retries", out.retries);
  if (!is_name(out.collection)) section.problem("collection", "a collection has 1 to 64 bytes of [A-Za-z0-9._-]");
  if (out.batch > 100'000) section.problem("batch", "must be at most 100000");
  if (out.batch_bytes > (40u << 20)) section.problem("batch_bytes", "must be at most 40MiB");
  if (out.max_inline_bytes > (12u << 20)) section.problem("max_inline_bytes", "must be at most 12MiB");
  if (out.connections > 256) section.problem("connections", "must be at most 256");
  if (out.connect_timeout > Milliseconds(60'000)) section.problem("connect_timeout", "must be at most a minute");
  if (out.timeout > Milliseconds(3'600'000)) section.problem("timeout", "must be at most an hour");
  if (out.retries > 20) section.problem("retries", "must be at most 20");
}

// So that commands that need no archive say that it is wrong, too. Nobody is connected to.
void check_archive_uri([[maybe_unused]] const TomlReader& section, [[maybe_unused]] const std::string& uri) {
#ifdef SETGET_WITH_MONGO
  if (!uri.starts_with("mongodb:") && !uri.starts_with("mongodb+srv:")) return;
  if (auto valid = mongo::options_of(MongoConfig{}, uri).validate(); !valid) section.problem("uri", valid.error().message());
#endif
}

void read_archive(TomlReader& section, Config& out) {
  section.read("uri", out.archive);
  check_archive_uri(section, out.archive);
  section.read("schedule", out.archive_schedule);
  section.read("time_zone", out.time_zone);
  section.read("read_through", out.read_through);
  auto& through = out.pipeline.through;
  section.read("read_timeout", through.timeout, Milliseconds(1));
  section.read_choice("read_when_away", through.miss_when_away, {{"fail", false}, {"miss", true}});
  section.read<std::size_t>("read_threads", through.threads, 1);
  section.read<std::size_t>("read_waiting", through.max_waiting, 1);
  section.read<std::size_t>("missing_entries", through.negative_entries);
  section.read("missing_age", through.negative_age);
  section.read<std::size_t>("read_failures", through.failures, 1);
  section.read("read_pause", through.pause, Milliseconds(1));
  limit_threads(section, "read_threads", through.threads, 64);
  if (through.timeout > Milliseconds(60'000)) section.problem("read_timeout", "must be at most a minute");
  section.read_choice("catch_up", out.pipeline.archive_catch_up,
                      {{"skip", CatchUp::kSkip}, {"once", CatchUp::kOnce}, {"all", CatchUp::kAll}});
  read_length(section, "jitter", out.pipeline.archive_jitter, Milliseconds(0));
  read_length(section, "retry_after", out.pipeline.archive_retry_after);
  read_length(section, "retry_cap", out.pipeline.archive_retry_cap);
  section.read("retry_window", out.pipeline.archive_retry_window);
  if (out.pipeline.archive_retry_cap < out.pipeline.archive_retry_after) section.problem("retry_cap", "must be at least retry_after");
  section.read("verify_sample", out.pipeline.archive_verify_sample);
  std::uint32_t rate = 0;
  section.read("rate", rate);
  out.pipeline.archive_max_records_per_second = rate;
  std::uint32_t percent = 100;
  section.read<std::uint32_t>("busy_percent", percent, 1);
  if (percent > 100) section.problem("busy_percent", "must be 1 to 100");
  out.pipeline.archive_max_share = percent / 100.0;
  section.read_bytes("history_bytes", out.pipeline.history_bytes);
  if (out.archive_schedule.empty()) return;
  if (auto cron = Cron::parse(out.archive_schedule, out.time_zone); !cron) {
    section.problem(cron.error().field() == "time_zone" ? "time_zone" : "schedule", cron.error().message());
  }
}

void read_limits(TomlReader& section, Limits& out) {
  section.read_bytes("max_payload", out.max_payload, 1);
  section.read<std::size_t>("max_keys", out.max_keys, 1);
  section.read<std::size_t>("max_key_bytes", out.max_key_bytes, 1);
  section.read<std::size_t>("max_id_bytes", out.max_id_bytes, 1);
  section.read("max_owner_bytes", out.max_owner_bytes);
  section.read("max_content_type_bytes", out.max_content_type_bytes);
  section.read("max_attributes", out.max_attributes);
  section.read_bytes("max_attribute_bytes", out.max_attribute_bytes);
  section.read<std::size_t>("max_depth", out.max_depth, 1);
  section.read<std::size_t>("max_reasons", out.max_reasons, 1);
  section.read("reject_duplicate_names", out.reject_duplicate_names);
  section.read("reject_inexact_integers", out.reject_inexact_integers);
  for (const auto* key : {"max_key_bytes", "max_id_bytes"}) {
    if ((std::string_view(key) == "max_key_bytes" ? out.max_key_bytes : out.max_id_bytes) > 512) {
      section.problem(key, "must be at most 512: stores rely on it");
    }
  }
}

void read_worker(TomlReader& section, PipelineOptions& out) {
  section.read<std::size_t>("threads", out.worker_threads, 1);
  limit_threads(section, "threads", out.worker_threads);
  section.read<std::size_t>("batch", out.worker_batch, 1);
  section.read_bytes("batch_bytes", out.worker_batch_bytes, 1);
  section.read("prefetch", out.prefetch_batches);
  section.read("linger", out.linger);
  read_length(section, "backoff_base", out.backoff.base);
  read_length(section, "backoff_cap", out.backoff.cap);
  read_length(section, "outage_cap", out.backoff.outage_cap);
  if (out.backoff.cap < out.backoff.base) section.problem("backoff_cap", "must be at least backoff_base");
}

void read_ingress(TomlReader& section, PipelineOptions& out) {
  section.read<std::size_t>("max_waiting", out.max_waiting, 1);
  section.read_bytes("max_waiting_bytes", out.max_waiting_bytes, 1);
  section.read_choice("when_full", out.block_when_full, {{"wait", true}, {"refuse", false}});
}

void read_metrics(TomlReader& section, MetricAllowList& out) {
  section.read("accounts", out.accounts);
  section.read("flows", out.flows);
  if (auto valid = out.validate(); !valid) {
    const std::string_view field = valid.error().field();
    section.problem(field.substr(field.find('.') + 1), valid.error().message());
  }
}

template <class Read>
void in_section(TomlReader& root, std::string_view name, Read read) {
  auto section = root.section(name);
  if (!section) return;
  read(*section);
  section->refuse_unknown();
}

}  // namespace

Result<Config> parse_config(std::string_view toml, std::string_view source_name) {
  auto flows = parse_flows(toml, source_name);
  if (!flows) return std::move(flows).error();
  auto document = detail::parse_toml(toml, source_name);
  if (!document) return std::move(document).error();
  detail::TomlProblems problems{.source = std::string(source_name), .first = std::nullopt};
  TomlReader root(*document, "", problems);

  Config out;
  out.flows = std::move(*flows);
  Said said;
  for (const auto* name : {"isolation", "ttl", "accounts", "flows"}) root.ignore(name);  // read by parse_flows
  in_section(root, "server", [&](TomlReader& section) { read_server(section, out, said); });
  in_section(root, "store", [&](TomlReader& section) { read_store(section, out); });
  in_section(root, "queue", [&](TomlReader& section) { read_queue(section, out); });
  in_section(root, "redis", [&](TomlReader& section) { read_redis(section, out.redis); });
  in_section(root, "mongo", [&](TomlReader& section) { read_mongo(section, out.mongo); });
  in_section(root, "archive", [&](TomlReader& section) { read_archive(section, out); });
  in_section(root, "limits", [&](TomlReader& section) { read_limits(section, out.limits); });
  in_section(root, "worker", [&](TomlReader& section) { read_worker(section, out.pipeline); });
  in_section(root, "ingress", [&](TomlReader& section) { read_ingress(section, out.pipeline); });
  in_section(root, "metrics", [&](TomlReader& section) { read_metrics(section, out.pipeline.metric_labels); });
  in_section(root, "routes", [&](TomlReader& section) { detail::read_routes(section, detail::folder_of(source_name), out.routes); });
  root.refuse_unknown();
  if (auto read = problems.result(); !read) return std::move(read).error();

  // A larger payload needs room on the wire (base64 adds a third) and in the queue, unless these have limits of their own.
  if (!said.max_body) out.http.max_body = std::max(out.http.max_body, out.limits.max_payload / 2 * 3);
  if (std::ranges::count(out.queue_said, "max_message_bytes") == 0) {
    out.queue_options.max_message_bytes = std::max(out.queue_options.max_message_bytes, out.limits.max_payload + kMessageOverhead);
  }
  for (const auto& [name, route] : out.routes) {
    if (route.max_body <= out.http.max_body) continue;
    const auto field = fmt::format("routes.{}.max_body", name);
    return Error(ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}: must be at most server.max_body, which is {}", source_name,
                                                          detail::line_of(*document, field), field, out.http.max_body))
        .at_field(field);
  }
  if (auto valid = out.queue_options.validate(); !valid) return valid.error();
  if (auto valid = out.limits.validate(); !valid) return valid.error();
  return out;
}

Result<Config> load_config(const std::string& path) {
  auto text = detail::read_text_file(path);
  if (!text) return std::move(text).error();
  return parse_config(*text, path);
}

PipelineOptions pipeline_options(const Config& config, const Stores& stores) {
  auto options = config.pipeline;
  options.queue = stores.queue;
  options.key_store = stores.key_store;
  options.archive = stores.archive;
  options.flows = config.flows;
  options.limits = config.limits;
  // Naming a store that forgets is the operator's consent to what it forgets; a host that means otherwise asks for more.
  options.durability = std::min(config.pipeline.durability, stores.durability);
  options.read_through = config.read_through;
  options.archive_schedule = config.archive_schedule;
  options.time_zone = config.time_zone;
  options.schedule_store = stores.schedules;
  return options;
}

}  // namespace setget::inline v0
