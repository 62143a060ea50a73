// The MongoDB backend: an archive on a server, a replica set or mongos (docs/adr/0020-mongo-archive.md says how it is laid out):
//
//   mongodb://user:password@host:port,host:port/database?options
//
// docs/mongo.md lists the options of a URI. The database is "setget" where the URI names none. Any number of processes may open one
// archive, and several archives share a database under different collection names. It needs no transactions, sessions or TTL indexes; where
// the server has sessions, writes are retried by the driver, and where it has TTL indexes it purges by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <setget/archive.hpp>
#include <setget/clock.hpp>
#include <setget/doctor.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/observe.hpp>

namespace setget::inline v0::mongo {

enum class PayloadForm : std::uint8_t {
  kBinary,    // the payload's bytes
  kDocument,  // and beside them, where the payload is JSON that BSON can hold, a native document in the field `record.document`, for
              // queries
};

struct Options {
  std::string uri{};                          // required
  std::string collection = "setget_archive";  // 1..64 bytes of [A-Za-z0-9._-]; "<it>.chunks" and "<it>.state" belong to it
  // One bulk has at most so many documents and about so many bytes; a document that is larger goes alone. 1 to 100 000, 64 KiB to 40 MiB.
  std::size_t batch = 500;
  std::size_t batch_bytes = std::size_t{8} << 20;
  PayloadForm payload = PayloadForm::kBinary;
  // Larger payloads are cut into pieces of this size, in documents of their own. 1 KiB to 12 MiB (a document of MongoDB has 16 MiB).
  std::size_t max_inline_bytes = std::size_t{12} << 20;
  // Make the index on `record.purge_at` one by which the server drops documents on its own clock. A server that has no such index, and
  // false: reclaim() drops them.
  bool ttl_index = true;
  // Used at a time, by this object; further calls wait for one until their deadline. 2 to 256: some work needs a second one.
  std::size_t connections = 4;
  // A server that has not accepted a connection, or has not said what it is, within this time counts as down. A call can take this much
  // longer than its deadline, and where it connects anew as long as the resolver takes for the server's name; everything else ends with
  // the deadline. 10 ms to a minute.
  Milliseconds connect_timeout{2000};
  // The deadline of verbs that are given none. 100 ms to an hour.
  Milliseconds timeout{30'000};
  // How often a call is tried again when the connection broke or another server became primary. 0 to 20.
  std::uint32_t retries = 3;
  // libmongoc is initialised once in a process, and its log is turned off. A host that uses libmongoc itself sets this to false, and calls
  // mongoc_init() before it opens anything here and mongoc_cleanup() after the last object is gone.
  bool init_driver = true;
  std::shared_ptr<Logger> logger{};
  std::shared_ptr<Metrics> metrics{};
  // kInvalidArgument with the field.
  SETGET_API Result<void> validate() const;
};

// An open archive. The objects it hands out share ownership; connections are closed when the last one is gone.
class SETGET_API Database {
 public:
  std::shared_ptr<ArchiveBackend> archive();
  // Asks the server what it is and how it fares: reachable, version, replica set, sessions, write concern, indexes, what should have been
  // purged, quarantine, clock. Changes nothing. An error means that no server could be asked.
  Result<std::vector<Finding>> doctor(Deadline deadline = Deadline::in(Milliseconds(10'000)));
  // Removes the archive's collections, for good. Nobody may use the archive meanwhile, and this object is of no use afterwards. Idempotent.
  Result<void> drop(Deadline deadline = Deadline::in(Milliseconds(60'000)));

  struct State;
  explicit Database(std::shared_ptr<State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<State> state_;
};

// Connects, and makes the collections' indexes where they are missing. A server that cannot be reached is no error: every verb answers
// kUnavailable until it can be. Errors: kInvalidArgument (the options), kUnsupported (a newer format; mongodb+srv://), kFailedPrecondition
// (an index of ours exists with another definition: the message says what to do; user or password are refused).
SETGET_API Result<Database> open(Options options);

}  // namespace setget::inline v0::mongo
