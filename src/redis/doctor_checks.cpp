#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "redis/doctor.hpp"
#include "redis/place.hpp"
#include "redis/slots.hpp"

namespace setget::inline v0::redis {
namespace {

using Level = Finding::Level;

class Findings {
 public:
  explicit Findings(std::string where) : where_(std::move(where)) {}
  void ok(std::string what) { add(Level::kOk, std::move(what), {}); }
  void warn(std::string what, std::string fix) { add(Level::kWarning, std::move(what), std::move(fix)); }
  void error(std::string what, std::string fix) { add(Level::kError, std::move(what), std::move(fix)); }
  void move_to(std::vector<Finding>& all) { std::ranges::move(found_, std::back_inserter(all)); }

 private:
  void add(Level level, std::string what, std::string fix) {
    found_.push_back({level, where_.empty() ? std::move(what) : where_ + ": " + what, std::move(fix)});
  }
  std::string where_;
  std::vector<Finding> found_;
};

std::string_view text(const Fields& fields, std::string_view name) {
  const auto it = fields.find(name);
  return it == fields.end() ? std::string_view() : std::string_view(it->second);
}

std::optional<std::int64_t> number_in(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || failed != std::errc()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> number(const Fields& fields, std::string_view name) { return number_in(text(fields, name)); }

std::string mib(std::int64_t bytes) { return fmt::format("{:.0f} MiB", static_cast<double>(bytes) / (1 << 20)); }

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// The value of "name=…" among "a=1,b=2".
std::string_view part(std::string_view line, std::string_view name) {
  for (const auto piece : split(line, ',')) {
    if (piece.starts_with(name) && piece.substr(name.size()).starts_with('=')) return piece.substr(name.size() + 1);
  }
  return {};
}

void check_version(const ServerReport& server, Findings& found) {
  const auto version = text(server.info, "redis_version");
  const auto parts = split(version, '.');
  const auto major = parts.empty() ? std::nullopt : number_in(parts[0]);
  const auto minor = parts.size() < 2 ? std::nullopt : number_in(parts[1]);
  if (!major || !minor) {
    found.warn("version: not told", "let the user run INFO: ACL SETUSER … +info");
  } else if (std::pair(*major, *minor) < std::pair<std::int64_t, std::int64_t>(6, 2)) {
    found.error(fmt::format("version: {} is too old", version), "6.2 is needed, 7.0 or later recommended");
  } else if (*major < 7) {
    found.warn(fmt::format("version: {} works", version), "7.0 or later is what setget is tested with");
  } else {
    found.ok(fmt::format("version: {}", version));
  }
}

// What stands here would also be thrown out where a TTL makes it a candidate: with volatile-* only keys with a native TTL are.
void check_eviction(const ServerReport& server, Findings& found) {
  std::string_view policy = text(server.info, "maxmemory_policy");
  if (server.config && policy.empty()) policy = text(*server.config, "maxmemory-policy");
  const auto evicted = number(server.info, "evicted_keys").value_or(0);
  constexpr const char* kFix =
      "CONFIG SET maxmemory-policy noeviction (and in redis.conf): a full server then refuses sets, which wait in "
      "the queue, instead of losing records";
  if (policy.empty()) {
    found.warn("eviction: the policy is not told", "see maxmemory-policy on the server; it must be noeviction");
  } else if (policy == "noeviction") {
    found.ok("eviction: noeviction");
  } else if (policy.starts_with("allkeys")) {
    found.error(fmt::format("eviction: {} throws records, versions and queued messages away when memory is full", policy), kFix);
  } else {
    found.warn(fmt::format("eviction: {} may throw away whatever has a native TTL when memory is full", policy), kFix);
  }
  if (evicted > 0 && policy != "noeviction") {
    found.error(fmt::format("eviction: {} keys of this server have been evicted since it started", evicted),
                "restore what is missing from the archive (setget archive verify --deep tells), and set noeviction");
  }
}

void check_memory(const ServerReport& server, Findings& found) {
  const auto used = number(server.info, "used_memory");
  auto limit = number(server.info, "maxmemory");
  if (!limit && server.config) limit = number(*server.config, "maxmemory");
  const auto system = number(server.info, "total_system_memory");
  constexpr const char* kRoom = "raise maxmemory, lower TTLs, or spread the store over more masters: when it is full every set is refused";
  if (!used || !limit) {
    found.warn("memory: not told", "let the user run INFO: ACL SETUSER … +info");
    return;
  }
  if (*limit == 0) {
    const auto of = system.value_or(0) > 0 ? fmt::format(" of the machine's {}", mib(*system)) : std::string();
    const auto fix = "set maxmemory below what the machine has, with room for a fork: without it the kernel ends the server";
    if (system.value_or(0) > 0 && *used > *system / 100 * 85) {
      found.error(fmt::format("memory: {} used{}, and maxmemory is not set", mib(*used), of), fix);
    } else {
      found.warn(fmt::format("memory: {} used{}; maxmemory is not set", mib(*used), of), fix);
    }
    return;
  }
  const auto percent = static_cast<double>(*used) * 100 / static_cast<double>(*limit);
  const auto what = fmt::format("memory: {} of {} used ({:.0f} %)", mib(*used), mib(*limit), percent);
  if (percent > 95) {
    found.error(what, kRoom);
  } else if (percent > 85) {
    found.warn(what, kRoom);
  } else {
    found.ok(what);
  }
}

void check_writing(const ServerReport& server, Findings& found) {
  const auto& info = server.info;
  if (text(info, "aof_last_write_status") == "err") {
    found.error("persistence: the append-only file could not be written",
                "look at the server's log and its disk; it refuses sets until it can");
  }
  if (text(info, "rdb_last_bgsave_status") == "err") {
    found.error("persistence: the last snapshot failed",
                "look at the server's log, its disk and vm.overcommit_memory; with "
                "stop-writes-on-bgsave-error the server refuses sets until one succeeds");
  }
  if (text(info, "aof_last_bgrewrite_status") == "err") {
    found.warn("persistence: the last rewrite of the append-only file failed",
               "look at the server's log and its disk: the file grows until it works");
  }
}

// Redis 7.0 cuts a script or transaction in which the file ends only half off: the commands that were there whole stay behind their MULTI.
// The next start but one takes them for the beginning of what was written after them. Valkey mended that in August 2026 (its pull request
// 4342); redis-check-aof has always done it right.
void check_torn_log(const ServerReport& server, Findings& found) {
  if (text(*server.config, "aof-load-truncated") != "yes") return;
  found.warn(
      "persistence: aof-load-truncated yes: where a crash cuts the append-only file off within a script, the start after the next one "
      "carries half of that script out",
      "aof-load-truncated no (CONFIG SET, and in redis.conf), and 'redis-check-aof --fix' on the manifest if the server does not start; "
      "after a crash that happened before: BGREWRITEAOF while the server runs");
}

void check_persistence(const ServerReport& server, Findings& found) {
  const bool append = text(server.info, "aof_enabled") == "1" || (server.config && text(*server.config, "appendonly") == "yes");
  constexpr const char* kRefill =
      "let the queue be a file (the default) and run an archive: 'setget archive restore' brings records back; or turn appendonly on";
  if (server.info.empty()) {
    found.warn("persistence: not told", "let the user run INFO: ACL SETUSER … +info");
  } else if (append && !server.config) {
    found.warn("persistence: append-only file; appendfsync is not told, so the store counts as one that forgets",
               "let the user run CONFIG GET: ACL SETUSER … +config|get");
  } else if (append) {
    const auto sync = text(*server.config, "appendfsync");
    if (sync == "always") {
      found.ok("persistence: append-only file, synced with every write (durability \"disk\")");
    } else if (sync == "everysec") {
      found.warn("persistence: append-only file, synced every second: a power loss takes the last one or two seconds",
                 "fine where the archive or the producers have them too; else appendfsync always");
    } else {
      found.warn(fmt::format("persistence: append-only file, appendfsync {}: the kernel decides when it reaches the disk", sync),
                 "appendfsync everysec, or always");
    }
    check_torn_log(server, found);
  } else if (!server.config) {
    found.warn("persistence: no append-only file; whether snapshots are made is not told",
               "let the user run CONFIG GET: ACL SETUSER … +config|get");
  } else if (const auto save = text(*server.config, "save"); !save.empty()) {
    found.warn(fmt::format("persistence: snapshots only (save {}): a restart takes everything since the last one", save), kRefill);
  } else {
    found.warn("persistence: none; a restart of the server empties the store", kRefill);
  }
  check_writing(server, found);
}

// Only those that are online count for WAIT.
void check_waiting(std::int64_t online, std::uint32_t wanted, Findings& found) {
  if (wanted == 0) return;
  if (online < wanted) {
    found.warn(
        fmt::format("replication: {} of the {} replicas that a write waits for (wait_replicas) are online: nothing that is sent or set "
                    "here is acknowledged",
                    online, wanted),
        "bring replicas back, or lower [redis] wait_replicas");
  } else {
    found.ok(fmt::format("replication: a write waits for {} of {} replicas (durability \"replica\")", wanted, online));
  }
}

void check_replication(const ServerReport& server, const StoreReport& store, Findings& found) {
  const auto role = text(server.info, "role");
  if (role.empty()) return;
  if (role != "master") {
    found.error(fmt::format("replication: this server is a replica (of {}:{}, link {}) and takes no writes",
                            text(server.info, "master_host"), text(server.info, "master_port"), text(server.info, "master_link_status")),
                "name the master, or use redis+sentinel:// or redis+cluster://");
    return;
  }
  const auto replicas = number(server.info, "connected_slaves").value_or(0);
  std::int64_t behind = 0;
  std::int64_t good = 0;
  std::int64_t told = 0;
  for (; told < replicas; ++told) {
    const auto line = text(server.info, fmt::format("slave{}", told));
    if (line.empty()) break;
    const auto state = part(line, "state");
    if (state != "online") {
      found.warn(fmt::format("replication: replica {}:{} is in state \"{}\"", part(line, "ip"), part(line, "port"), state),
                 "if it stays so, see its log: client-output-buffer-limit and repl-backlog-size are often too small");
      continue;
    }
    ++good;
    behind = std::max(behind, number_in(part(line, "lag")).value_or(0));
  }
  if (told < replicas) {
    found.warn(fmt::format("replication: {} replicas are connected, and the server tells of {}", replicas, told),
               "look at INFO replication on the server; what is between it and here may cut its answers short");
  }
  if (behind > 10) {
    found.warn(fmt::format("replication: a replica was last heard {} s ago", behind),
               "look at the replica and at the network between them");
  }
  check_waiting(good, store.wait_replicas, found);
  if (replicas == 0 && store.topology == Topology::kStandalone) {
    found.ok("replication: none");
  } else if (good == 0) {
    found.warn("replication: no replica follows this master: if it dies there is nobody to take over", "bring a replica back");
  } else {
    found.ok(fmt::format("replication: {} of {} replicas follow", good, replicas));
  }
  if (!server.config || good == 0) return;
  if (number(*server.config, "min-replicas-to-write").value_or(0) == 0) {
    found.warn(
        "replication: min-replicas-to-write is 0: a master that the network cut off goes on taking writes, which the failover throws away",
        "CONFIG SET min-replicas-to-write 1, and min-replicas-max-lag 10");
  } else {
    found.ok(fmt::format("replication: writes need {} replicas", text(*server.config, "min-replicas-to-write")));
  }
}

void check_load(const ServerReport& server, Findings& found) {
  if (text(server.info, "loading") == "1") {
    found.warn("state: it is reading its data from disk and answers nothing yet", "wait");
  }
  if (const auto fork = number(server.info, "latest_fork_usec"); fork && *fork > 200'000) {
    found.warn(fmt::format("latency: the last fork stopped the server for {} ms", *fork / 1000),
               "smaller servers, more of them; turn transparent huge pages off");
  }
  if (server.round_trip && *server.round_trip > Milliseconds(50)) {
    found.warn(fmt::format("latency: a round trip took {} ms", server.round_trip->count()),
               "see 'redis-cli --latency' and SLOWLOG GET; servers belong near those who use them");
  }
  const auto clients = number(server.info, "connected_clients");
  const auto most = number(server.info, "maxclients");
  if (clients && most && *most > 0 && *clients > *most / 10 * 9) {
    found.warn(fmt::format("connections: {} of {}", *clients, *most), "raise maxclients, or lower pool= in the URIs");
  }
}

void check_clock(const ServerReport& server, Findings& found) {
  if (!server.clock_ahead) return;
  const auto ahead = *server.clock_ahead;
  if (std::abs(ahead.count()) > 1000) {
    found.warn(fmt::format("clock: {} ms {} this machine's", std::abs(ahead.count()), ahead.count() > 0 ? "ahead of" : "behind"),
               "set both by NTP: records expire by the clocks of those who read them");
  } else {
    found.ok("clock: as this machine's");
  }
}

void check_rights(const ServerReport& server, Findings& found) {
  if (server.forbidden.empty()) {
    found.ok("rights: the user may run every command that the store needs");
  } else {
    found.error(fmt::format("rights: the user may not run {}", fmt::join(server.forbidden, ", ")),
                fmt::format("ACL SETUSER … +{}", fmt::join(server.forbidden, " +")));
  }
  if (!server.config) {
    found.warn("rights: CONFIG GET is not permitted, so the store cannot know what the server keeps and counts as one that forgets",
               "ACL SETUSER … +config|get");
  }
}

// One line of CLUSTER NODES: id address flags master ping pong epoch link slots…
struct Node {
  std::string_view id, address, flags, master;
  bool serves = false;
  bool is(std::string_view flag) const {
    const auto all = split(flags, ',');
    return std::ranges::find(all, flag) != all.end();
  }
};

std::vector<Node> parse_nodes(std::string_view text) {
  std::vector<Node> nodes;
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 8) continue;
    Node node{.id = words[0], .address = words[1].substr(0, words[1].find('@')), .flags = words[2], .master = words[3]};
    // "[slot->-id]" is a slot on the move, not one that is served.
    for (std::size_t i = 8; i < words.size(); ++i) node.serves = node.serves || !words[i].starts_with('[');
    nodes.push_back(node);
  }
  return nodes;
}

void check_nodes(std::string_view text, Findings& found) {
  const auto nodes = parse_nodes(text);
  std::size_t masters = 0;
  for (const auto& node : nodes) {
    if (node.is("fail")) {
      found.error(fmt::format("cluster: node {} is down", node.address), "bring it back, or CLUSTER FORGET it on every other node");
    } else if (node.is("fail?") || node.is("handshake")) {
      found.warn(fmt::format("cluster: node {} does not answer ({})", node.address, node.flags), "look at the node and the network");
    }
    if (!node.is("master") || !node.serves || node.is("fail")) continue;
    ++masters;
    const bool followed = std::ranges::any_of(
        nodes, [&](const Node& other) { return other.is("slave") && other.master == node.id && !other.is("fail") && !other.is("fail?"); });
    if (!followed) {
      found.warn(fmt::format("cluster: master {} has no replica: its slots are gone while it is", node.address),
                 "add one: redis-cli --cluster add-node … --cluster-slave");
    }
  }
  if (masters > 0) found.ok(fmt::format("cluster: {} masters serve slots", masters));
}

void check_cluster(const ServerReport& server, Findings& found) {
  const auto state = text(server.cluster, "cluster_state");
  if (state == "ok") {
    found.ok("cluster: state ok");
  } else {
    found.error(fmt::format("cluster: state {}", state.empty() ? "not told" : state),
                "redis-cli --cluster check HOST:PORT says why; --cluster fix");
  }
  const auto assigned = number(server.cluster, "cluster_slots_assigned").value_or(0);
  const auto served = number(server.cluster, "cluster_slots_ok").value_or(0);
  if (assigned < kSlots || served < kSlots) {
    found.error(fmt::format("cluster: {} of {} slots are assigned, {} are served: the records of the others cannot be reached", assigned,
                            kSlots, served),
                "bring the missing masters back, or redis-cli --cluster fix");
  } else {
    found.ok(fmt::format("cluster: all {} slots are served", kSlots));
  }
  check_nodes(server.nodes, found);
}

void check_root(const StoreReport& report, Findings& found) {
  const auto name = report.prefix + ":m";
  if (!report.root) {
    found.ok(fmt::format("store: there is none under \"{}\" yet", report.prefix));
    return;
  }
  const auto reader = number(*report.root, "min_reader");
  const auto writer = number(*report.root, "min_writer");
  const auto shards = number(*report.root, "shards");
  if (!reader || !writer || !shards || !number(*report.root, "epoch") || text(*report.root, "uuid").empty()) {
    found.error(fmt::format("store: the hash {} is not the root of a setget store", name),
                "another program uses this prefix: choose another one, [redis] prefix");
  } else if (*reader > kFormat || *writer > kFormat) {
    found.error(fmt::format("store: format {}, this version reads and writes {}", text(*report.root, "format"), kFormat),
                "use a newer setget");
  } else {
    found.ok(fmt::format("store: {} under \"{}\", epoch {}, {} shards, format {}", text(*report.root, "uuid"), report.prefix,
                         text(*report.root, "epoch"), *shards, text(*report.root, "format")));
  }
}

}  // namespace

Fields parse_fields(std::string_view text) {
  Fields fields;
  for (auto line : split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto colon = line.find(':');
    if (line.starts_with('#') || colon == std::string_view::npos) continue;
    fields.emplace(line.substr(0, colon), line.substr(colon + 1));
  }
  return fields;
}

std::vector<Finding> judge(const StoreReport& report) {
  std::vector<Finding> all;
  Findings of_store({});
  check_root(report, of_store);
  // Every node sees the whole cluster: what the first one says is enough, as long as one answers.
  const auto first = std::ranges::find_if(report.servers, [](const ServerReport& server) { return server.unreachable.empty(); });
  if (report.topology == Topology::kCluster && first != report.servers.end()) check_cluster(*first, of_store);
  of_store.move_to(all);
  for (const auto& server : report.servers) {
    Findings found(server.name);
    if (!server.unreachable.empty()) {
      found.error("cannot be asked: " + server.unreachable, "start it, or look at the network and the user's rights");
    } else {
      check_version(server, found);
      check_eviction(server, found);
      check_memory(server, found);
      check_persistence(server, found);
      check_replication(server, report, found);
      check_load(server, found);
      check_clock(server, found);
      check_rights(server, found);
    }
    found.move_to(all);
  }
  return all;
}

}  // namespace setget::inline v0::redis
