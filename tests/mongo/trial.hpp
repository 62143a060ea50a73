// One archive on one server, with collections of its own, and a look behind the seam. Thread rule: one thread.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mongo/codec.hpp"
#include "mongo/place.hpp"
#include "support/mongo_server.hpp"

#include <setget/mongo.hpp>
#include <setget/testing/tcp_proxy.hpp>

namespace mongo_test {

using namespace setget;

class Archive {
 public:
  explicit Archive(mongo::Options options) : options_(std::move(options)), database_(mongo::open(options_).value()) {}
  ~Archive() { (void)database_.drop(); }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  ArchiveBackend& operator*() { return *database_.archive(); }
  ArchiveBackend* operator->() { return database_.archive().get(); }
  mongo::Database& database() { return database_; }
  const mongo::Options& options() const { return options_; }

  // A look at the server that nothing of the archive under test is part of.
  std::shared_ptr<mongo::Place> behind() const {
    return std::make_shared<mongo::Place>(std::make_shared<mongo::Clients>(mongo::read_uri(options_).value(), options_));
  }
  // How many documents a collection has, or those of them that `query` finds.
  std::int64_t count(const std::string& suffix = {}) const { return count_of(suffix, "{}"); }
  std::int64_t count_of(const std::string& suffix, const std::string& query) const {
    const auto place = behind();
    mongo::Document command;
    command.add_utf8("count", options_.collection + suffix);
    bson_t* made = bson_new_from_json(reinterpret_cast<const std::uint8_t*>(query.data()), static_cast<ssize_t>(query.size()), nullptr);
    if (query != "{}") bson_append_document(command.out(), "query", -1, made);
    bson_destroy(made);
    return place->clients()
        .call(Deadline::in(Milliseconds(20'000)),
              [&](mongoc_client_t* client) -> Result<std::int64_t> {
                mongo::Reply reply;
                if (auto done = place->command(client, place->database().c_str(), command, reply, Deadline::in(Milliseconds(20'000)));
                    !done)
                  return std::move(done).error();
                return mongo::integer_or(reply.raw(), "n", -1);
              })
        .value();
  }
  // Any command, as JSON.
  Result<void> command(const std::string& json) const {
    const auto place = behind();
    return place->clients().call(Deadline::in(Milliseconds(20'000)), [&](mongoc_client_t* client) -> Result<void> {
      bson_error_t error{};
      bson_t* made = bson_new_from_json(reinterpret_cast<const std::uint8_t*>(json.data()), static_cast<ssize_t>(json.size()), &error);
      if (made == nullptr) return Error(ErrorCode::kInvalidArgument, error.message);
      mongo::Reply reply;
      const bool done = mongoc_client_command_simple(client, place->database().c_str(), made, nullptr, reply.fill(), &error);
      bson_destroy(made);
      if (done) return {};
      return mongo::server_error(error.code, error.message);
    });
  }

  // Puts something else in place of the seal of what was archived as `entry`.
  void reseal(const ArchiveEntry& entry, const std::function<void(std::string&)>& change) const {
    mongo::Prepared prepared;
    mongo::prepare(entry, options_, 0, prepared).value();
    const auto document = mongo::whole_of(prepared);
    std::string seal(mongo::find(document.raw(), "state.seal").value().bytes().value());
    change(seal);
    mongo::Document field;
    field.add_binary("state.seal", seal);
    const std::unique_ptr<char, decltype(&bson_free)> json(bson_as_canonical_extended_json(field.raw(), nullptr), bson_free);
    EXPECT_TRUE(command(R"({"update": ")" + options_.collection + R"(", "updates": [{"q": {"id": ")" + entry.id + R"("}, "u": {"$set": )" +
                        json.get() + "}}]}"));
  }

 private:
  mongo::Options options_;
  mongo::Database database_;
};

inline ArchiveEntry document(const std::string& id, Version version, const std::string& payload = "payload", Revision revision = 0) {
  ArchiveEntry entry;
  entry.id = id;
  entry.version = version;
  entry.revision = revision;
  auto& record = entry.record;
  record.id = id;
  record.keys = KeyList({"k/" + id});
  record.account = "acme";
  record.flow = "orders";
  record.payload = Payload(payload);
  record.content_type = "application/json";
  record.version = version;
  record.revision = revision;
  record.stamp = stamp_at(TimePoint(Milliseconds(1'790'000'000'000))) + version;
  record.created_at = time_of(record.stamp);
  return entry;
}
inline ArchiveEntry gravestone(const std::string& id, Version version) {
  ArchiveEntry entry;
  entry.tombstone = true;
  entry.id = id;
  entry.version = version;
  return entry;
}
inline std::vector<ArchiveEntry> documents(int count, Version version, std::size_t bytes = 100, const std::string& prefix = "r") {
  std::vector<ArchiveEntry> out;
  for (int i = 0; i < count; ++i) out.push_back(document(prefix + std::to_string(i), version, std::string(bytes, 'x') + std::to_string(i)));
  return out;
}

inline std::size_t written(const std::vector<Result<ArchiveWrite>>& results) {
  std::size_t count = 0;
  for (const auto& result : results) count += result && *result == ArchiveWrite::kWritten ? 1 : 0;
  return count;
}
inline Lookup by_id(ArchiveBackend& archive, std::string_view id) {
  return archive.get_by_id({.ns = {}, .id = id, .now = TimePoint{}}).value();
}

}  // namespace mongo_test
