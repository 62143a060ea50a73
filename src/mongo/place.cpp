#include "mongo/place.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/whole_archive.hpp"
#include "mongo/codec.hpp"
#include "mongo/errors.hpp"

namespace setget::inline v0::mongo {

Place::Place(std::shared_ptr<Clients> clients)
    : clients_(std::move(clients)),
      documents_(clients_->options().collection),
      chunks_(documents_ + ".chunks"),
      state_(documents_ + ".state"),
      history_(documents_ + ".history"),
      history_chunks_(history_ + ".chunks") {}

Result<void> Place::ready(Deadline deadline) {
  if (ready_.load(std::memory_order_acquire)) return {};
  const auto turn = making_.take(deadline);
  if (!turn) return Error(ErrorCode::kDeadlineExceeded, "the deadline passed while another call asked the server what the archive has");
  if (ready_.load(std::memory_order_acquire)) return {};
  auto made = clients_->call(deadline, [&](mongoc_client_t* client) { return make(client, deadline); });
  if (made) ready_.store(true, std::memory_order_release);
  return made;
}

Result<void> Place::make(mongoc_client_t* client, Deadline deadline) const {
  if (auto checked = check_format(client, deadline); !checked) return checked;
  return make_indexes(client, deadline);
}

Result<void> Place::find(mongoc_client_t* client, const std::string& name, const Document& filter, const Document& find_options,
                         bool anywhere, Deadline deadline, const Visit& visit) const {
  const auto from = collection(client, name);
  const ReadPrefs primary(mongoc_read_prefs_new(MONGOC_READ_PRIMARY));
  const auto* preference = anywhere ? read_preference() : primary.get();
  const CursorHandle cursor(mongoc_collection_find_with_opts(from.get(), filter.raw(), find_options.raw(), preference));
  bound(cursor.get(), find_options);
  const bson_t* document = nullptr;
  while (mongoc_cursor_next(cursor.get(), &document)) {
    if (auto visited = visit(Found{document}); !visited) return visited;
  }
  bson_error_t error{};
  if (mongoc_cursor_error(cursor.get(), &error)) return failed(error, deadline);
  return {};
}

CursorHandle Place::find_all(mongoc_client_t* client, const std::string& name, const Document& filter, const Document& find_options) const {
  const auto from = collection(client, name);
  CursorHandle cursor(mongoc_collection_find_with_opts(from.get(), filter.raw(), find_options.raw(), read_preference()));
  bound(cursor.get(), find_options);
  return cursor;
}

std::int64_t Place::pieces_at_once() const noexcept {
  constexpr std::size_t kTogether = std::size_t{32} << 20;
  return static_cast<std::int64_t>(std::clamp<std::size_t>(kTogether / options().max_inline_bytes, 1, 200));
}

std::int64_t Place::at_once(std::int64_t wanted) const noexcept {
  return std::max<std::int64_t>(1, wanted >> 3 * fewer_.load(std::memory_order_relaxed));
}

// Before its first answer.
void Place::bound(mongoc_cursor_t* cursor, const Document& find_options) const {
  const auto wanted = integer_or(find_options.raw(), "batchSize", 0);
  if (wanted > 0) mongoc_cursor_set_batch_size(cursor, static_cast<std::uint32_t>(at_once(wanted)));
}

Error Place::failed(const bson_error_t& error, Deadline deadline) const {
  constexpr int kMost = 4;  // one document at a time
  if (too_much_at_once(error)) {
    auto before = fewer_.load(std::memory_order_relaxed);
    if (before < kMost) fewer_.compare_exchange_strong(before, before + 1, std::memory_order_relaxed);
  }
  return call_error(error, deadline);
}

Result<void> Place::command(mongoc_client_t* client, const char* database, const Document& command, Reply& reply, Deadline deadline) const {
  bson_error_t error{};
  if (mongoc_client_command_simple(client, database, command.raw(), nullptr, reply.fill(), &error)) return {};
  return call_error(error, deadline);
}

Result<void> Place::check_format(mongoc_client_t* client, Deadline deadline) const {
  Document filter;
  filter.add_utf8("_id", "format");
  std::optional<std::int64_t> min_reader;
  std::int64_t min_writer = kFormat;
  std::int64_t format = kFormat;
  const auto look = [&]() -> Result<void> {
    return find(client, state_, filter, Document(), false, deadline, [&](const bson_t* found) -> Result<void> {
      min_reader = integer_or(found, "min_reader", kFormat);
      min_writer = integer_or(found, "min_writer", kFormat);
      format = integer_or(found, "format", kFormat);
      return {};
    });
  };
  if (auto looked = look(); !looked) return looked;
  if (!min_reader) {
    Document made;
    made.add_utf8("_id", "format").add("format", kFormat).add("min_reader", kFormat).add("min_writer", kFormat);
    const auto states = collection(client, state_);
    bson_error_t error{};
    // Another process may have been first.
    if (!mongoc_collection_insert_one(states.get(), made.raw(), nullptr, nullptr, &error) && error.code != kDuplicateKey) {
      return call_error(error, deadline);
    }
    return {};
  }
  if (*min_reader > kFormat || min_writer > kFormat) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("the archive {} was written by a newer version: it needs readers of format {} and writers of format {}, this "
                             "is {}",
                             documents_, *min_reader, min_writer, kFormat))
        .at_field(detail::kWholeArchive);
  }
  if (format < kFormat) {
    return Error(
               ErrorCode::kUnsupported,
               fmt::format("the archive {} has documents of format {}, from before the first release; this version has format {}: archive "
                           "into another collection, and drop this one",
                           documents_, format, kFormat))
        .at_field(detail::kWholeArchive);
  }
  return {};
}

// --- indexes --------------------------------------------------------------------------------------------------------------------------

struct IndexWanted {
  const char* name;
  std::vector<std::pair<const char*, std::int32_t>> fields;
  bool sparse = false;
  bool expires = false;
};

namespace {

using Wanted = IndexWanted;

std::string fields_of(const Wanted& wanted) {
  std::string out;
  for (const auto& [name, direction] : wanted.fields) out += fmt::format("{}{}:{}", out.empty() ? "" : " ", name, direction);
  return out;
}

Document definition_of(const Wanted& wanted, bool expires) {
  Document key;
  for (const auto& [name, direction] : wanted.fields) key.add(name, direction);
  Document out;
  out.add("key", key).add_utf8("name", wanted.name);
  if (wanted.sparse) out.add("sparse", true);
  if (expires) out.add("expireAfterSeconds", std::int32_t{0});
  return out;
}

Error wrong_index(const Place& place, const std::string& collection, const Wanted& wanted, std::string_view has) {
  return Error(ErrorCode::kFailedPrecondition,
               fmt::format("the index {} of {}.{} is not the archive's: it must be on ({}){}; drop it with "
                           "db.getCollection(\"{}\").dropIndex(\"{}\")",
                           wanted.name, place.database(), collection, fields_of(wanted), has, collection, wanted.name))
      .at_field("index");
}

// Of those that the server lists; a server that lists nothing of an option has not got it.
Result<void> check_index(const Place& place, const std::string& collection, const Wanted& wanted, const std::vector<IndexInfo>& all) {
  for (const auto& index : all) {
    if (index.name != wanted.name) continue;
    if (index.fields != fields_of(wanted)) return wrong_index(place, collection, wanted, fmt::format(", and is on ({})", index.fields));
    if (index.unique) return wrong_index(place, collection, wanted, " and not unique");
    if (index.partial) return wrong_index(place, collection, wanted, " and over all documents");
    if (index.expires_after && !(wanted.expires && place.options().ttl_index))
      return wrong_index(place, collection, wanted, " and drop nothing");
    if (index.expires_after && *index.expires_after != 0) return wrong_index(place, collection, wanted, " with expireAfterSeconds 0");
    return {};
  }
  return Error(ErrorCode::kFailedPrecondition, fmt::format("the server has not made the index {} of {}", wanted.name, collection))
      .at_field("index");
}

Result<void> make_index(const Place& place, mongoc_client_t* client, const std::string& collection, const Wanted& wanted, bool expires,
                        Deadline deadline) {
  Document list;
  list.add("0", definition_of(wanted, expires));
  Document command;
  command.add_utf8("createIndexes", collection).add_array("indexes", list);
  Reply reply;
  return place.command(client, place.database().c_str(), command, reply, deadline);
}

}  // namespace

Result<std::vector<IndexInfo>> list_indexes(const Place& place, mongoc_client_t* client, const std::string& collection, Deadline deadline) {
  Document command;
  command.add_utf8("listIndexes", collection);
  Reply reply;
  if (auto done = place.command(client, place.database().c_str(), command, reply, deadline); !done) return std::move(done).error();
  std::vector<IndexInfo> out;
  const auto cursor = find(reply.raw(), "cursor");
  const auto batch = cursor ? cursor->find("firstBatch") : std::nullopt;
  if (!batch) return Error(ErrorCode::kUnsupported, "the server cannot list indexes").at_field(detail::kWholeArchive);
  batch->each([&](const Value& index) {
    IndexInfo info;
    index.each([&](const Value& part) {
      if (part.name() == "name") info.name = part.bytes().value_or(std::string_view());
      if (part.name() == "unique") info.unique = part.truth().value_or(false);
      if (part.name() == "partialFilterExpression") info.partial = true;
      if (part.name() == "expireAfterSeconds") info.expires_after = part.integer();
      if (part.name() == "key") {
        part.each([&](const Value& field) {
          info.fields += fmt::format("{}{}:{}", info.fields.empty() ? "" : " ", field.name(), field.integer().value_or(0));
          return true;
        });
      }
      return true;
    });
    out.push_back(std::move(info));
    return true;
  });
  return out;
}

Result<void> Place::make_indexes(mongoc_client_t* client, Deadline deadline) const {
  const std::vector<IndexWanted> of_documents = {{.name = kKeysIndex, .fields = {{"state.keys", 1}, {"state.stamp", -1}}},
                                                 {.name = kPurgeIndex, .fields = {{"record.purge_at", 1}}, .expires = true},
                                                 {.name = kGoneIndex, .fields = {{"record.gone", 1}}, .sparse = true}};
  const std::vector<IndexWanted> of_chunks = {{.name = kPurgeIndex, .fields = {{"purge_at", 1}}, .expires = true}};
  if (auto made = make_indexes(client, documents_, of_documents, deadline); !made) return made;
  return make_indexes(client, chunks_, of_chunks, deadline);
}

Result<void> Place::make_history(mongoc_client_t* client, Deadline deadline) {
  if (history_ready_.load(std::memory_order_acquire)) return {};
  const std::vector<IndexWanted> of_states = {{.name = kStatesIndex, .fields = {{"ident", 1}, {"since", -1}}},
                                              {.name = kKeysIndex, .fields = {{"ns", 1}, {"keys", 1}, {"since", 1}}},
                                              {.name = kDropIndex, .fields = {{"drop_at", 1}}},
                                              {.name = kEndedIndex, .fields = {{"until", 1}}},
                                              {.name = kPurgeIndex, .fields = {{"purge_at", 1}}, .expires = true}};
  const std::vector<IndexWanted> of_chunks = {{.name = kPurgeIndex, .fields = {{"purge_at", 1}}, .expires = true}};
  if (auto made = make_indexes(client, history_, of_states, deadline); !made) return made;
  if (auto made = make_indexes(client, history_chunks_, of_chunks, deadline); !made) return made;
  history_ready_.store(true, std::memory_order_release);
  return {};
}

Result<void> Place::make_indexes(mongoc_client_t* client, const std::string& collection, std::span<const IndexWanted> all,
                                 Deadline deadline) const {
  auto there = list_indexes(*this, client, collection, deadline);
  // A collection that does not exist yet.
  if (!there && there.error().native_code() != 26) return std::move(there).error();
  for (const auto& wanted : all) {
    const bool exists = there && std::ranges::any_of(*there, [&](const IndexInfo& index) { return index.name == wanted.name; });
    if (exists) continue;
    const bool expires = wanted.expires && options().ttl_index;
    auto made = make_index(*this, client, collection, wanted, expires, deadline);
    // A server without TTL indexes: reclaim() does their work. 238 is NotImplemented.
    if (!made && expires && !made.error().retryable()) made = make_index(*this, client, collection, wanted, false, deadline);
    if (!made) return std::move(made).error();
  }
  auto listed = list_indexes(*this, client, collection, deadline);
  if (!listed) return std::move(listed).error();
  for (const auto& wanted : all) {
    if (auto checked = check_index(*this, collection, wanted, *listed); !checked) return checked;
  }
  return {};
}

}  // namespace setget::inline v0::mongo
