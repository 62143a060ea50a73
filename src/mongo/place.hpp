// One archive on a server: its collections, made and checked once, and the few commands that the parts of this folder are made of.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/turns.hpp"
#include "mongo/clients.hpp"

namespace setget::inline v0::mongo {

inline constexpr const char* kKeysIndex = "setget_keys";
inline constexpr const char* kPurgeIndex = "setget_purge";
inline constexpr const char* kGoneIndex = "setget_gone";
inline constexpr const char* kStatesIndex = "setget_states";
inline constexpr const char* kDropIndex = "setget_drop";
inline constexpr const char* kEndedIndex = "setget_ended";

// A document that a find gave; good until the next one. (A bson_t is aligned by an attribute that template arguments cannot have.)
struct Found {
  const bson_t* raw;
  operator const bson_t*() const noexcept { return raw; }  // NOLINT(google-explicit-constructor): it is that document
};

struct IndexWanted;

class Place {
 public:
  explicit Place(std::shared_ptr<Clients> clients);

  Clients& clients() noexcept { return *clients_; }
  const Options& options() const noexcept { return clients_->options(); }
  const std::string& database() const noexcept { return clients_->address().database; }
  const std::string& documents() const noexcept { return documents_; }
  const std::string& chunks() const noexcept { return chunks_; }
  const std::string& state() const noexcept { return state_; }
  const std::string& history() const noexcept { return history_; }
  const std::string& history_chunks() const noexcept { return history_chunks_; }

  // Makes and checks what is missing, once; until that succeeded every call tries it first.
  Result<void> ready(Deadline deadline);
  // The same for histories, before the first state is written: archives without pay nothing.
  Result<void> make_history(mongoc_client_t* client, Deadline deadline);
  // As Clients::call, after ready().
  template <class What>
  auto call(Deadline deadline, What what) -> std::invoke_result_t<What, mongoc_client_t*> {
    if (auto made = ready(deadline); !made) return std::move(made).error();
    return clients_->call(deadline, std::move(what));
  }

  CollectionHandle collection(mongoc_client_t* client, const std::string& name) const {
    return CollectionHandle(mongoc_client_get_collection(client, database().c_str(), name.c_str()));
  }

  // Documents in one answer, with or without their payloads, as the option "batchSize". Some servers send all that there are where nothing
  // is said, and more than the driver takes (48 MB): a call that met such an answer gets fewer when it is repeated, and so do all from then
  // on.
  static constexpr std::int64_t batch_size(bool payloads) noexcept { return payloads ? 200 : 1000; }
  // Of pieces, whose size is known.
  std::int64_t pieces_at_once() const noexcept;
  // Of `wanted`, what such answers have left of them.
  std::int64_t at_once(std::int64_t wanted) const noexcept;
  // Of a find that failed.
  Error failed(const bson_error_t& error, Deadline deadline) const;

  // Calls what(document) for each that `filter` finds, until it gives an error; `find_options` as mongoc_collection_find_with_opts() has
  // them. `anywhere`: by the URI's read preference; else from the primary.
  using Visit = std::function<Result<void>(Found)>;
  Result<void> find(mongoc_client_t* client, const std::string& collection, const Document& filter, const Document& find_options,
                    bool anywhere, Deadline deadline, const Visit& visit) const;
  const mongoc_read_prefs_t* read_preference() const noexcept { return mongoc_uri_get_read_prefs_t(clients_->address().uri.get()); }
  // find() as a cursor, for who wants to stop on the way; by the URI's read preference.
  CursorHandle find_all(mongoc_client_t* client, const std::string& collection, const Document& filter, const Document& find_options) const;
  // The last of those that it finds (of one `_id`, or with a limit of 1: the one), as read(document) makes it. Empty: there is none.
  template <class Read>
  auto find_one(mongoc_client_t* client, const std::string& collection, const Document& filter, const Document& find_options, bool anywhere,
                Deadline deadline, Read read) const -> Result<std::optional<std::decay_t<decltype(*read(std::declval<Found>()))>>> {
    std::optional<std::decay_t<decltype(*read(std::declval<Found>()))>> out;
    auto found = find(client, collection, filter, find_options, anywhere, deadline, [&](Found document) -> Result<void> {
      auto one = read(document);
      if (!one) return std::move(one).error();
      out = *std::move(one);
      return {};
    });
    if (!found) return std::move(found).error();
    return out;
  }
  Result<void> command(mongoc_client_t* client, const char* database, const Document& command, Reply& reply, Deadline deadline) const;

 private:
  void bound(mongoc_cursor_t* cursor, const Document& find_options) const;
  Result<void> make(mongoc_client_t* client, Deadline deadline) const;
  Result<void> check_format(mongoc_client_t* client, Deadline deadline) const;
  Result<void> make_indexes(mongoc_client_t* client, Deadline deadline) const;
  Result<void> make_indexes(mongoc_client_t* client, const std::string& collection, std::span<const IndexWanted> all,
                            Deadline deadline) const;

  std::shared_ptr<Clients> clients_;
  std::string documents_;
  std::string chunks_;
  std::string state_;
  std::string history_;
  std::string history_chunks_;
  setget::detail::Turns making_;
  std::atomic<bool> ready_{false};
  std::atomic<bool> history_ready_{false};
  mutable std::atomic<int> fewer_{0};  // answers that were too large so far
};

// An index as a server lists it.
struct IndexInfo {
  std::string name{};
  std::string fields{};  // "ns:1 keys:1 stamp:-1"
  bool unique = false;
  bool partial = false;
  std::optional<std::int64_t> expires_after{};  // seconds
};
Result<std::vector<IndexInfo>> list_indexes(const Place& place, mongoc_client_t* client, const std::string& collection, Deadline deadline);

}  // namespace setget::inline v0::mongo
