#include "mongo/answers.hpp"

#include <utility>

namespace setget::inline v0::mongo {

Result<void> Answer::each(const Place::Visit& visit) const {
  const auto cursor = find_top(reply_.raw(), "cursor");
  const auto first = cursor ? cursor->find("firstBatch") : std::nullopt;
  const auto documents = cursor && !first ? cursor->find("nextBatch") : first;
  if (!documents) return Error(ErrorCode::kUnavailable, "the server's answer to a query has no documents");
  Result<void> visited;
  documents->each([&](const Value& value) {
    bson_t document;
    visited = value.view(document) ? visit(Found{&document}) : Error(ErrorCode::kUnavailable, "the server's answer to a query is damaged");
    return visited.has_value();
  });
  return visited;
}

Query::Query(const Place& place, mongoc_client_t* client, const std::string& collection, const Document& filter,
             const Document& find_options, std::int64_t batch, Deadline deadline)
    : place_(place),
      client_(client),
      collection_(collection),
      filter_(filter),
      find_options_(find_options),
      batch_(place.at_once(batch)),
      deadline_(deadline) {}

Query::~Query() {
  if (cursor_ == 0) return;
  Document cursors;
  cursors.add("0", cursor_);
  Document command;
  command.add_utf8("killCursors", collection_).add_array("cursors", cursors);
  Reply reply;
  // Best effort: a server drops by itself what nobody asks for any more.
  (void)mongoc_client_command_with_opts(client_, place_.database().c_str(), command.raw(), nullptr, where_.raw(), reply.fill(), nullptr);
}

// Only the server that made a cursor knows it, and only in the session in which it was made.
Result<void> Query::choose_server() {
  bson_error_t error{};
  const ServerHandle server(mongoc_client_select_server(client_, false, place_.read_preference(), &error));
  if (!server) return place_.failed(error, deadline_);
  where_.add("serverId", static_cast<std::int32_t>(mongoc_server_description_id(server.get())));
  const SessionOptions options(mongoc_session_opts_new());
  mongoc_session_opts_set_causal_consistency(options.get(), false);
  session_.reset(mongoc_client_start_session(client_, options.get(), &error));
  // Some servers have no sessions.
  if (session_ && !mongoc_client_session_append(session_.get(), where_.out(), &error)) return place_.failed(error, deadline_);
  return {};
}

Document Query::first_command() const {
  Document command;
  command.add_utf8("find", collection_).add("filter", filter_).add_all(find_options_).add("batchSize", batch_);
  if (const auto* concern = mongoc_client_get_read_concern(client_); mongoc_read_concern_get_level(concern) != nullptr) {
    Document level;
    level.add_utf8("level", mongoc_read_concern_get_level(concern));
    command.add("readConcern", level);
  }
  return command;
}

Document Query::next_command() const {
  Document command;
  command.add("getMore", cursor_).add_utf8("collection", collection_).add("batchSize", batch_);
  return command;
}

Result<std::unique_ptr<Answer>> Query::next() {
  if (!begun_) {
    if (auto chosen = choose_server(); !chosen) return std::move(chosen).error();
  }
  const auto command = begun_ ? next_command() : first_command();
  auto answer = std::make_unique<Answer>();
  bson_error_t error{};
  // A command that the driver does not repeat by itself: the second answer to a getMore would be the one behind the one that was lost.
  const bool done = mongoc_client_command_with_opts(client_, place_.database().c_str(), command.raw(), place_.read_preference(),
                                                    where_.raw(), answer->fill(), &error);
  begun_ = true;
  cursor_ = done ? answer->cursor() : 0;
  if (!done) return place_.failed(error, deadline_);
  return answer;
}

}  // namespace setget::inline v0::mongo
