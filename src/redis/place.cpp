#include "redis/place.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "redis/errors.hpp"
#include "redis/script.hpp"
#include "redis/uri.hpp"

namespace setget::inline v0::redis {
namespace {

// KEYS: the store's root. ARGV: uuid, shards, format, and the uuid and epoch that are known to be lost ("" and 0: none). Makes the root
// when it is missing, and a new epoch where it still says what is lost.
const Script& root_script() {
  static const Script script(R"lua(
local root = KEYS[1]
if redis.call('EXISTS', root) == 0 then
  local uuid, epoch = ARGV[1], 1
  if ARGV[4] ~= '' then uuid, epoch = ARGV[4], tonumber(ARGV[5]) + 1 end
  redis.call('HSET', root, 'format', ARGV[3], 'min_reader', ARGV[3], 'min_writer', ARGV[3], 'uuid', uuid, 'epoch', epoch, 'shards', ARGV[2])
elseif ARGV[6] == '0' and ARGV[4] ~= '' and redis.call('HGET', root, 'uuid') == ARGV[4] and redis.call('HGET', root, 'epoch') == ARGV[5] then
  redis.call('HINCRBY', root, 'epoch', 1)
end
return redis.call('HMGET', root, 'format', 'min_reader', 'min_writer', 'uuid', 'epoch', 'shards')
)lua");
  return script;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

bool is_power_of_two(std::uint32_t n) { return (n & (n - 1)) == 0; }

Error invalid(std::string_view field, std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message)).at_field(std::string(field));
}

std::optional<std::uint64_t> number(const Reply& reply) {
  const auto text = reply.text();
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<void> CacheOptions::validate() const {
  if (!enabled) return {};
  if (max_entries == 0) return invalid("cache.max_entries", "a cache holds at least one entry");
  if (max_bytes < 4096) return invalid("cache.max_bytes", "a cache holds at least 4 KiB");
  if (max_silence < Milliseconds(10) || max_silence > Milliseconds(60'000)) {
    return invalid("cache.max_silence", "must be 10 ms to a minute");
  }
  if (max_stale < Milliseconds(0) || max_stale > Milliseconds(std::int64_t{7} * 24 * 3'600'000)) {
    return invalid("cache.max_stale", "must be at most a week");
  }
  return {};
}

Result<void> Options::validate() const {
  if (uri.empty()) return invalid("uri", "a Redis store needs a URI, such as redis://127.0.0.1:6379");
  if (!is_name(prefix)) return invalid("prefix", "a prefix has 1 to 64 bytes of [A-Za-z0-9._-]");
  if (shards > 4096 || !is_power_of_two(shards)) return invalid("shards", fmt::format("{} is not a power of two up to 4096", shards));
  if (partitions > 256 || !is_power_of_two(partitions)) {
    return invalid("partitions", fmt::format("{} is not a power of two up to 256", partitions));
  }
  if (outbox_states == 0) return invalid("outbox_states", "must be > 0");
  if (outbox_bytes == 0) return invalid("outbox_bytes", "must be > 0");
  if (wait_replicas > 16) return invalid("wait_replicas", "must be at most 16");
  if (wait_timeout < Milliseconds(1) || wait_timeout > Milliseconds(60'000)) return invalid("wait_timeout", "must be 1 ms to a minute");
  if (auto valid = cache.validate(); !valid) return valid;
  return codec.validate();
}

Result<std::shared_ptr<Place>> Place::open(Options options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  auto settings = parse_uri(options.uri);
  if (!settings) return std::move(settings).error();
  if (options.wait_replicas > 0 && options.wait_timeout >= settings->timeout) {
    return invalid("wait_timeout", "must be less than the URI's timeout: a server that says nothing for so long counts as dead");
  }
  if (options.clock == nullptr) options.clock = system_clock();
  if (options.random == nullptr) options.random = system_random();
  if (options.logger == nullptr) options.logger = no_logger();
  if (options.metrics == nullptr) options.metrics = no_metrics();
  const auto where = describe(*settings);
  auto client = Client::create({.settings = std::move(*settings), .random = options.random, .metrics = options.metrics});
  if (!client) return std::move(client).error();
  std::shared_ptr<Place> place(new Place(std::move(options), *std::move(client)));
  auto facts = place->facts(Deadline::in(place->client().settings().connect_timeout * 2));
  if (facts && facts->replicas < place->options().wait_replicas) {
    return Error(ErrorCode::kFailedPrecondition, fmt::format("a master of {} has {} replicas online, and wait_replicas asks for {}", where,
                                                             facts->replicas, place->options().wait_replicas))
        .at_field("wait_replicas");
  }
  if (facts) return place;
  if (!facts.error().retryable()) return std::move(facts).error();
  place->logger().log(LogLevel::kWarning, "Redis cannot be reached yet; every use of it fails until it can",
                      {{"where", where}, {"why", facts.error().message()}});
  return place;
}

Place::Place(Options options, std::shared_ptr<Client> client)
    : options_(std::move(options)),
      client_(std::move(client)),
      replicas_(options_.wait_replicas == 0
                    ? nullptr
                    : std::make_unique<Replicas>(*client_, options_.wait_replicas, options_.wait_timeout, options_.metrics)) {}

Place::~Place() { client_->stop(); }

std::optional<Facts> Place::known() const {
  const std::scoped_lock lock(mutex_);
  return facts_;
}

Result<Facts> Place::facts(Deadline deadline) {
  if (auto known_facts = known()) return *std::move(known_facts);
  return find(nullptr, false, deadline);
}

Result<Facts> Place::refresh(Deadline deadline) {
  const auto before = known();
  auto facts = find(before ? &before->identity : nullptr, true, deadline);
  if (facts && before && facts->identity != before->identity) {
    logger().log(LogLevel::kError, "the store's content was replaced (a flush, a restart without persistence, another server)",
                 {{"was", before->identity.uuid + "." + std::to_string(before->identity.epoch)},
                  {"is", facts->identity.uuid + "." + std::to_string(facts->identity.epoch)}});
  }
  return facts;
}

Result<Facts> Place::begin_epoch(const StoreIdentity& lost, Deadline deadline) {
  auto facts = find(&lost, false, deadline);
  if (facts) {
    logger().log(LogLevel::kError,
                 "the store's content is gone (a flush, or a server that restarted without persistence); a new epoch begins",
                 {{"store", facts->identity.uuid}, {"epoch", std::to_string(facts->identity.epoch)}});
  }
  return facts;
}

Result<Facts> Place::find(const StoreIdentity* lost, bool only_missing, Deadline deadline) {
  const auto uuid = fmt::format("{:016x}{:016x}", random().next(), random().next());
  const auto shards = options_.shards != 0 ? options_.shards : clustered() ? 256U : 1U;
  Script::Call call(root_script(), 1);
  call.key(prefix() + ":m").arg(uuid).arg(static_cast<std::int64_t>(shards)).arg(static_cast<std::int64_t>(kFormat));
  call.arg(lost == nullptr ? std::string_view() : std::string_view(lost->uuid))
      .arg(lost == nullptr ? 0 : static_cast<std::int64_t>(lost->epoch))
      .arg(only_missing ? "1" : "0");
  auto reply = run_script(*client_, call, deadline);
  if (!reply) return std::move(reply).error();
  const auto fields = reply->elements();
  const auto corrupted = [&] {
    return Error(ErrorCode::kCorrupted, fmt::format("the hash {}:m is not the root of a setget store", prefix()))
        .from(ErrorSource::kRedis, 0, {});
  };
  if (fields.size() != 6) return corrupted();
  const auto min_reader = number(fields[1]);
  const auto min_writer = number(fields[2]);
  const auto epoch = number(fields[4]);
  const auto stored_shards = number(fields[5]);
  if (!min_reader || !min_writer || !epoch || !stored_shards || fields[3].text().empty()) return corrupted();
  if (*min_reader > kFormat || *min_writer > kFormat) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("the store under \"{}\" needs a newer version of setget: it has format {}, this one writes {}", prefix(),
                             *min_writer, kFormat))
        .at_field("uri");
  }
  if (*stored_shards == 0 || *stored_shards > 4096 || !is_power_of_two(static_cast<std::uint32_t>(*stored_shards))) return corrupted();
  auto durability = ask_durability(deadline);
  if (!durability) return std::move(durability).error();
  std::uint32_t replicas = 0;
  if (waits()) {
    auto online = replicas_->look(deadline);
    if (!online) return std::move(online).error();
    replicas = *online;
  }
  Facts found{.identity = {.uuid = std::string(fields[3].text()), .epoch = *epoch},
              .shards = static_cast<std::uint32_t>(*stored_shards),
              .durability = *durability,
              .replicas = replicas};
  const std::scoped_lock lock(mutex_);
  facts_ = found;
  return found;
}

// By the settings of the servers: what the weakest of them keeps, with what is waited for.
Result<Durability> Place::ask_durability(Deadline deadline) {
  auto servers = client_->servers(deadline);
  if (!servers) return std::move(servers).error();
  auto weakest = Durability::kDisk;
  for (const auto& server : *servers) {
    auto connection = server->connection(deadline);
    if (!connection) return std::move(connection).error();
    const auto ask = RedisCommand::of("CONFIG", "GET", "append*");
    auto replies = (*connection)->call(ask.wire(), 1, deadline);
    if (!replies) return std::move(replies).error();
    bool on = false;
    bool always = false;
    const auto settings = replies->front().elements();  // none where CONFIG is not permitted
    for (std::size_t i = 0; i + 1 < settings.size(); i += 2) {
      if (settings[i].text() == "appendonly") on = settings[i + 1].text() == "yes";
      if (settings[i].text() == "appendfsync") always = settings[i + 1].text() == "always";
    }
    if (!on || !always) weakest = waits() ? Durability::kReplica : Durability::kMemory;
  }
  return weakest;
}

}  // namespace setget::inline v0::redis
