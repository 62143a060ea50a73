// One query's documents, an answer of the server at a time. The driver's cursor has a document only until the next one; an answer is its
// taker's, who may look at it on another thread while the server makes the next one. So the query is made by the commands that the driver's
// cursor makes as well (github.com/mongodb/specifications, find_getmore_killcursors_commands).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "mongo/place.hpp"

#include <setget/error.hpp>

namespace setget::inline v0::mongo {

// Thread rule: one thread at a time.
class Answer {
 public:
  // Calls visit(document) for each in their order, until it gives an error. Errors: kUnavailable where the answer is not one of documents.
  Result<void> each(const Place::Visit& visit) const;
  std::size_t bytes() const noexcept { return reply_.raw()->len; }
  // For a call that initialises it in every case.
  bson_t* fill() noexcept { return reply_.fill(); }
  // Of the server's cursor. 0: this is the last answer.
  std::int64_t cursor() const noexcept { return integer_or(reply_.raw(), "cursor.id", 0); }

 private:
  Reply reply_;
};

// Thread rule: one thread. Blocking rule: next() and the destructor wait for the server, until the client's deadline.
class Query {
 public:
  // `find_options`: further fields of the command find. `batch`: documents in one answer, as Place::batch_size() has them. By the URI's
  // read preference and read concern. All that is named must outlive it.
  Query(const Place& place, mongoc_client_t* client, const std::string& collection, const Document& filter, const Document& find_options,
        std::int64_t batch, Deadline deadline);
  // Tells the server where not all was asked for.
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  // Not to be called once over() or after an error. Errors: as Place::find.
  Result<std::unique_ptr<Answer>> next();
  bool over() const noexcept { return begun_ && cursor_ == 0; }

 private:
  Result<void> choose_server();
  Document first_command() const;
  Document next_command() const;

  Document where_;  // the driver's options for each command
  const Place& place_;
  mongoc_client_t* client_;
  const std::string& collection_;
  const Document& filter_;
  const Document& find_options_;
  const std::int64_t batch_;
  const Deadline deadline_;
  SessionHandle session_;
  bool begun_ = false;
  std::int64_t cursor_ = 0;  // that the server keeps for it
};

}  // namespace setget::inline v0::mongo
