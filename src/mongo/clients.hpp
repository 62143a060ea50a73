// Connections: a bounded set of the driver's clients, each used by one call at a time, and calls that are tried again on a new one when the
// network or the primary changed. Thread rule: any thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "mongo/errors.hpp"
#include "mongo/mongoc.hpp"
#include "mongo/stream.hpp"

#include <setget/mongo.hpp>

namespace setget::inline v0::mongo {

// The options with their URI read. Nothing of it is secret but `uri`, which is never shown.
struct Address {
  UriHandle uri;
  std::string shown;  // "mongodb://host:port,host:port/database", for logs and findings
  std::string database;
  bool journal = true;  // of the write concern
  bool acknowledged_by_majority = true;
};
// Errors: kInvalidArgument with field "uri", kUnsupported for mongodb+srv. The write concern is majority with journal unless the URI says
// otherwise.
Result<Address> read_uri(const Options& options);

// The driver's process-wide start, once.
void start_driver();

struct Client {
  Line line{};
  ClientHandle handle{};
  Callbacks callbacks{};
  ~Client() { handle.reset(); }
};

class Clients {
 public:
  Clients(Address address, Options options);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  const Address& address() const noexcept { return address_; }
  const Options& options() const noexcept { return options_; }
  Deadline own_deadline() const noexcept { return Deadline::in(options_.timeout); }

  // Beside the bounded set, for who keeps it between calls. Its line's deadline is the keeper's to set before each use.
  Result<std::unique_ptr<Client>> one_more() { return make(); }

  // Calls what(mongoc_client_t*) -> Result<T> with a client of its own; again, after a growing pause, while its error is that the network
  // or the server's role changed, and there is time. So whatever is called must be idempotent.
  template <class What>
  auto call(Deadline deadline, What what) -> std::invoke_result_t<What, mongoc_client_t*> {
    for (std::uint32_t attempt = 0;; ++attempt) {
      auto client = borrow(deadline);
      if (!client) return std::move(client).error();
      Lent lent{*this, *std::move(client)};
      lent.client->line.deadline = deadline;
      lent.client->line.trouble.clear();
      auto result = what(lent.client->handle.get());
      if (!result) result = with_trouble(std::move(result).error(), lent.client->line.trouble);
      lent.sound = result || !(worth_another_try(result.error()) || result.error().code() == ErrorCode::kDeadlineExceeded);
      lent.give_back();
      if (result || attempt >= options_.retries || !worth_another_try(result.error()) || !pause(attempt, deadline)) return result;
    }
  }

 private:
  // Comes back whatever is thrown.
  struct Lent {
    Clients& clients;
    std::unique_ptr<Client> client;
    bool sound = false;
    ~Lent() { give_back(); }
    void give_back() {
      if (client) clients.give_back(std::move(client), sound);
    }
  };
  Result<std::unique_ptr<Client>> borrow(Deadline deadline);
  Result<std::unique_ptr<Client>> make();
  // An unsound one is not used again: what it knows of the servers may be wrong, and its connections are in an unknown state.
  void give_back(std::unique_ptr<Client> client, bool sound);
  // False if the deadline passes first.
  bool pause(std::uint32_t attempt, Deadline deadline);

  const Address address_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable free_;
  std::vector<std::unique_ptr<Client>> idle_;
  std::size_t in_use_ = 0;
};

}  // namespace setget::inline v0::mongo
