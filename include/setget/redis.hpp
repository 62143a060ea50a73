// The Redis backend: key store and queues on one server, on the master that sentinels watch, or on a cluster, with one layout of data
// (docs/adr/0013-redis-layout.md). The URI says where and how:
//
//   redis://user:password@host:port/db?options       one server; rediss:// is the same over TLS
//   unix://user:password@/path/to/socket?db=2        one server on this machine
//   redis+sentinel://host:port,host:port/master/db   the master that the sentinels know by that name (rediss+sentinel:// over TLS)
//   redis+cluster://host:port,host:port              a cluster, found through any of these nodes (rediss+cluster:// over TLS)
//
// docs/redis.md lists the options of a URI. Any number of processes may open one store; so may several stores share a database under
// different prefixes. What survives what is the server's doing: see KeyStoreCapabilities::durability and QueueCapabilities::durability.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <setget/clock.hpp>
#include <setget/doctor.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/key_store.hpp>
#include <setget/observe.hpp>
#include <setget/queue.hpp>

namespace setget::inline v0::redis {

// A cache of what gets by key answered, in this process. The server says what changes (CLIENT TRACKING, Redis 6.2), so a get answers what
// was current no longer than max_silence before it began; usually that is one network delay. A store sees its own sets at once. Answers
// never outlive a record's expiry, and none is given that the server could not have taken back: when the connection is lost, or silent for
// longer, gets ask the server. Lists, scans and get_by_id always do; so do gets of several keys where the store has several parts.
struct CacheOptions {
  bool enabled = false;
  std::size_t max_entries = 100'000;
  std::size_t max_bytes = std::size_t{64} << 20;
  Milliseconds max_silence{1000};  // 10 ms to a minute; a third of it lies between heartbeats
  // While the server is away, gets answer with the record as it was last known, marked (Record::stale), if all keys asked for have one that
  // was confirmed no longer than max_stale ago. Else kUnavailable, as without a cache.
  bool serve_stale = false;
  Milliseconds max_stale{60'000};
  // kInvalidArgument with the field.
  SETGET_API Result<void> validate() const;
};

// How records are made smaller: with zstd, by a dictionary that is trained for each namespace, account and flow from its own records and
// stored beside them. A dictionary holds text of those records: see Database::retrain. Bodies are read whatever these options say; so all
// processes of a store need a build with zstd once one of them has the codec on.
struct CodecOptions {
  bool enabled = false;                      // off: it costs the worker time, and is for the operator to know of
  std::uint32_t level = 3;                   // of zstd: 1 to 19
  std::size_t min_bytes = 128;               // smaller records are stored as they are
  std::uint32_t max_percent = 90;            // of its size that a record may keep; else it is stored as it is. 1 to 100
  std::size_t dictionary_bytes = 32u << 10;  // at most; up to 1 MiB; 0 = no dictionaries
  std::size_t sample_records = 2000;         // a family's dictionary is trained in reclaim(), once so many records of it were stored,
  std::size_t sample_bytes = 1u << 20;       // or so many bytes
  // kInvalidArgument with the field; kUnsupported where it is enabled in a build without zstd.
  SETGET_API Result<void> validate() const;
};

struct Options {
  std::string uri{};              // required
  std::string prefix = "setget";  // of every name in the database: 1..64 bytes of [A-Za-z0-9._-]
  // Of a new store, stored with it: how many parts its records are spread over, a power of two up to 4096. 0: 1 on a single server, 256 on
  // a cluster. Each part has a change log of its own and lives on one master.
  std::uint32_t shards = 0;
  // Of new queues, stored with each: how many parts it has, each on one master, up to 256. 0: 1 on a single server, 16 on a cluster.
  std::uint32_t partitions = 0;
  CodecOptions codec{};
  // Of each master: how many replicas must have what was written (sent, acknowledged, applied, …) before it counts as written; 0: none is
  // waited for. Store and queues then declare at least Durability::kReplica. What they do not have within wait_timeout (1 ms to a minute,
  // less than the URI's `timeout`) is a retryable error: it is written and may stay, so whoever tries again gives the same id and version,
  // or the same deduplication id.
  std::uint32_t wait_replicas = 0;  // up to 16
  Milliseconds wait_timeout{1000};
  // Of the outbox for histories: states, and bytes of their payloads; > 0. At either limit commands wait for the archiver. A store with
  // several parts splits it evenly.
  std::size_t outbox_states = 100'000;
  std::size_t outbox_bytes = 256u << 20;
  // The records' clock. Leases and stamps of queues live by it too, so it must be about the same on all machines. Empty: system_clock().
  std::shared_ptr<const Clock> clock{};
  std::shared_ptr<Random> random{};  // empty: system_random()
  std::shared_ptr<Logger> logger{};
  std::shared_ptr<Metrics> metrics{};
  CacheOptions cache{};  // of the key store
  // kInvalidArgument with the field.
  SETGET_API Result<void> validate() const;
};

// What Database::retrain did.
struct Retrained {
  std::uint64_t samples = 0;  // that the new dictionary was trained from; 0: there is none, for there was too little to learn from
  std::uint64_t dictionary_bytes = 0;
  std::uint64_t recoded = 0;     // records that used an older one
  std::uint64_t removed = 0;     // older dictionaries
  std::uint64_t still_used = 0;  // older ones that are still counted as used; retrain again
};

// Where a store's memory goes: bytes as the server counts them (MEMORY USAGE), names and dictionary slots included.
struct MemoryReport {
  struct Part {
    std::string name{};  // "records", "pointers", "change log", "expiry", "reclaim", "indexes", "bookkeeping", "dictionaries", "queue",
                         // "hash tables", "other"
    std::uint64_t keys = 0;
    std::uint64_t bytes = 0;
  };
  std::uint64_t records = 0;
  std::uint64_t looked_at = 0;    // names of the database
  bool sampled = false;           // true: figures are scaled up from those that were looked at
  std::uint64_t used_memory = 0;  // of the servers, everything included
  std::vector<Part> parts{};      // only those that have something
};

// An open store. The objects it hands out share ownership; connections are closed when the last one is gone.
class SETGET_API Database {
 public:
  KeyStore key_store();
  std::shared_ptr<QueueBackend> queues();
  // Opens the queue, making it when it is missing.
  Result<Queue> queue(const std::string& name, const QueueOptions& options = {});
  // Asks every live master how it is set and how it fares: eviction, persistence, head-room, version, replication, cluster coverage, clock,
  // and whether the user may do what the store needs. Changes nothing. An error means that no server could be asked.
  // `wait_replicas`: held against the replicas that are online, instead of what this was opened with: who only looks waits for none.
  Result<std::vector<Finding>> doctor(Deadline deadline = Deadline::in(Milliseconds(10'000)),
                                      std::optional<std::uint32_t> wait_replicas = std::nullopt);
  // Looks at about `max_names` names of each master, in small steps that others' commands come between. For people who size servers, not
  // for every minute.
  Result<MemoryReport> memory(std::size_t max_names = 100'000, Deadline deadline = Deadline::in(Milliseconds(600'000)));

  // Trains the dictionary of a namespace, account and flow anew, from the records that are there now; encodes those that use an older one
  // anew, a few at a time, and removes the older ones. After it no text of an erased record is left in a dictionary: call it when an
  // erasure must leave nothing behind (where all records of the family are gone, reclaim() does it by itself). Walks over the names of the
  // namespace. Safe beside all other use, and to repeat after an error. kUnsupported without zstd.
  Result<Retrained> retrain(std::string_view ns, std::string_view account, std::string_view flow,
                            Deadline deadline = Deadline::in(Milliseconds(3'600'000)));

  // Removes everything under the prefix, for good: records, change log, queues with their messages, dictionaries. Nobody may use the store
  // meanwhile, and this object is of no use afterwards. Looks at all names of the database, in small steps that others' commands come
  // between, and touches none of another prefix. Answers how many names it removed. Safe to repeat after an error.
  Result<std::uint64_t> drop(Deadline deadline = Deadline::in(Milliseconds(600'000)));

  struct State;
  explicit Database(std::shared_ptr<State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<State> state_;
};

// Connects, and makes the store when it is missing. A server that cannot be reached is no error: every verb answers kUnavailable until it
// can be, and what it would have said about durability counts as the weakest. Errors: kInvalidArgument (the options), kUnauthenticated and
// kPermissionDenied (the server's), kUnsupported (a newer format, or a server that is too old), kFailedPrecondition with field
// wait_replicas (a master has fewer replicas online).
SETGET_API Result<Database> open(Options options);

}  // namespace setget::inline v0::redis
