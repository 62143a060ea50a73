#include "mongo/state_documents.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "mongo/codec.hpp"
#include "mongo/cursors.hpp"
#include "mongo/errors.hpp"
#include "mongo/names.hpp"

namespace setget::inline v0::mongo {
namespace {

constexpr const char* kCheckpoint = "checkpoint";
constexpr const char* kPurge = "purge";
const std::string kQuarantine = "quarantine ";  // then the document's _id, and of a state in its history a blank and the state's

Document by_id(const std::string& id) {
  Document filter;
  filter.add_utf8("_id", id);
  return filter;
}

// All of the quarantine behind one of its entries.
Document quarantine_behind(const std::string& document) {
  Document range;
  range.add_utf8("$gt", kQuarantine + document).add_utf8("$lt", "quarantine!");
  Document filter;
  filter.add("_id", range);
  return filter;
}

Result<void> check_format(const bson_t* document, std::string_view what) {
  if (integer_or(document, "format", 0) <= kFormat) return {};
  return Error(ErrorCode::kUnsupported, "the archive's " + std::string(what) + " was written by a newer version");
}

std::uint64_t number(const bson_t* document, const char* name) { return static_cast<std::uint64_t>(integer_or(document, name, 0)); }
TimePoint time(const bson_t* document, const char* name) {
  const auto value = find(document, name);
  return value ? value->time().value_or(TimePoint{}) : TimePoint{};
}

// `how`: mongoc_collection_replace_one or mongoc_collection_update_one, which take the same.
Result<void> upsert(Place& place, mongoc_client_t* client, decltype(&mongoc_collection_update_one) how, const std::string& id,
                    const Document& change, Deadline deadline) {
  Document options;
  options.add("upsert", true);
  const auto states = place.collection(client, place.state());
  bson_error_t error{};
  if (how(states.get(), by_id(id).raw(), change.raw(), options.raw(), nullptr, &error)) return {};
  // Two processes that make it at once: it is there now, and another try replaces it.
  if (error.code == kDuplicateKey) return Error(ErrorCode::kUnavailable, "another process wrote the same document");
  return call_error(error, deadline);
}

Document quarantine_document(const std::string& id, const QuarantinedEntry& entry) {
  Document out;
  out.add_utf8("_id", id).add("format", kFormat).add_text("ns", entry.ns).add_text("id", entry.id);
  out.add("version", entry.version).add("revision", entry.revision).add("tombstone", entry.tombstone);
  out.add("tombstone_reason", static_cast<std::int32_t>(entry.tombstone_reason));
  out.add_text("reason", entry.reason).add("attempts", entry.attempts);
  out.add_date("since", entry.since).add_date("last_at", entry.last_at);
  if (entry.state_at) out.add_date("state_at", *entry.state_at);
  return out;
}

QuarantinedEntry quarantined_from(const bson_t* document) {
  QuarantinedEntry entry;
  entry.ns = text_or_empty(document, "ns");
  entry.id = text_or_empty(document, "id");
  entry.version = number(document, "version");
  entry.revision = number(document, "revision");
  const auto tombstone = find(document, "tombstone");
  entry.tombstone = tombstone && tombstone->truth().value_or(false);
  entry.tombstone_reason = static_cast<TombstoneReason>(integer_or(document, "tombstone_reason", 1));
  entry.reason = text_or_empty(document, "reason");
  entry.attempts = number(document, "attempts");
  entry.since = time(document, "since");
  entry.last_at = time(document, "last_at");
  if (find(document, "state_at")) entry.state_at = time(document, "state_at");
  return entry;
}

}  // namespace

namespace {

// Sorts by fence.
std::string owner_of(std::uint64_t fence, const std::string& runner) { return order_of(fence, 0) + " " + runner; }

Document history_of(const ArchiveCheckpoint& checkpoint) {
  Document list;
  std::size_t at = 0;
  for (const auto& run : checkpoint.history) {
    Document line;
    line.add_date("started_at", run.started_at).add_date("ended_at", run.ended_at);
    line.add("read", run.read).add("written", run.written).add("tombstones", run.tombstones).add_text("error", run.error);
    list.add(std::to_string(at++), line);
  }
  return list;
}

std::vector<ArchiveRunLine> history_from(const bson_t* document) {
  std::vector<ArchiveRunLine> history;
  const auto list = find(document, "history");
  if (!list) return history;
  list->each([&](const Value& line) {
    const auto time_in = [&](const char* name) {
      const auto value = line.find(name);
      return value ? value->time().value_or(TimePoint{}) : TimePoint{};
    };
    const auto number_in = [&](const char* name) {
      const auto value = line.find(name);
      return static_cast<std::uint64_t>(value ? value->integer().value_or(0) : 0);
    };
    const auto error = line.find("error");
    history.push_back({.started_at = time_in("started_at"),
                       .ended_at = time_in("ended_at"),
                       .read = number_in("read"),
                       .written = number_in("written"),
                       .tombstones = number_in("tombstones"),
                       .error = std::string(error ? error->bytes().value_or(std::string_view()) : std::string_view())});
    return true;
  });
  return history;
}

}  // namespace

Result<std::optional<TimePoint>> load_purge_from(Place& place, mongoc_client_t* client, Deadline deadline) {
  return place.find_one(client, place.state(), by_id(kPurge), Document(), false, deadline,
                        [](const bson_t* document) -> Result<TimePoint> { return time(document, "from"); });
}

Result<void> lower_purge_from(Place& place, mongoc_client_t* client, TimePoint purge_at, Deadline deadline) {
  Document format;
  format.add("format", kFormat);
  Document from;
  from.add_date("from", purge_at);
  Document update;
  update.add("$setOnInsert", format).add("$min", from);
  return upsert(place, client, mongoc_collection_update_one, kPurge, update, deadline);
}

Result<std::optional<ArchiveCheckpoint>> load_checkpoint(Place& place, Deadline deadline) {
  using Answer = std::optional<ArchiveCheckpoint>;
  return place.call(deadline, [&](mongoc_client_t* client) -> Result<Answer> {
    Answer out;
    auto found =
        place.find(client, place.state(), by_id(kCheckpoint), Document(), false, deadline, [&](const bson_t* document) -> Result<void> {
          if (auto known = check_format(document, "checkpoint"); !known) return known;
          ArchiveCheckpoint checkpoint;
          checkpoint.source = {.uuid = text_or_empty(document, "source"), .epoch = number(document, "epoch")};
          checkpoint.position = number(document, "position");
          checkpoint.cursor_at = number(document, "cursor_at");
          checkpoint.runs = number(document, "runs");
          checkpoint.last_started_at = time(document, "last_started_at");
          checkpoint.last_success_at = time(document, "last_success_at");
          checkpoint.records_written = number(document, "records_written");
          checkpoint.tombstones_written = number(document, "tombstones_written");
          checkpoint.skipped_short_lived = number(document, "skipped_short_lived");
          checkpoint.last_error = text_or_empty(document, "last_error");
          const auto full_copy = find(document, "full_copy");
          checkpoint.full_copy = full_copy && full_copy->truth().value_or(false);
          checkpoint.scan_cursor = text_or_empty(document, "scan_cursor");
          if (find(document, "copy_from")) checkpoint.copy_from = number(document, "copy_from");
          checkpoint.fence = number(document, "fence");
          checkpoint.runner = text_or_empty(document, "runner");
          checkpoint.runner_until = time(document, "runner_until");
          checkpoint.history = history_from(document);
          checkpoint.archive_id = text_or_empty(document, "archive_id");
          checkpoint.verify_turn = number(document, "verify_turn");
          checkpoint.last_verified_at = time(document, "last_verified_at");
          checkpoint.last_differences = number(document, "last_differences");
          out = std::move(checkpoint);
          return {};
        });
    if (!found) return std::move(found).error();
    return out;
  });
}

Result<void> save_checkpoint(Place& place, const ArchiveCheckpoint& checkpoint, Deadline deadline) {
  Document document;
  document.add_utf8("_id", kCheckpoint).add("format", kFormat);
  document.add_text("source", checkpoint.source.uuid).add("epoch", checkpoint.source.epoch);
  document.add("position", checkpoint.position).add("cursor_at", checkpoint.cursor_at).add("runs", checkpoint.runs);
  document.add_date("last_started_at", checkpoint.last_started_at).add_date("last_success_at", checkpoint.last_success_at);
  document.add("records_written", checkpoint.records_written).add("tombstones_written", checkpoint.tombstones_written);
  document.add("skipped_short_lived", checkpoint.skipped_short_lived).add_text("last_error", checkpoint.last_error);
  document.add("full_copy", checkpoint.full_copy).add_text("scan_cursor", checkpoint.scan_cursor);
  if (checkpoint.copy_from) document.add("copy_from", *checkpoint.copy_from);
  document.add("fence", checkpoint.fence).add_text("runner", checkpoint.runner).add_date("runner_until", checkpoint.runner_until);
  const auto owner = owner_of(checkpoint.fence, checkpoint.runner);
  document.add_text("owner", owner).add_array("history", history_of(checkpoint));
  document.add_text("archive_id", checkpoint.archive_id).add("verify_turn", checkpoint.verify_turn);
  document.add_date("last_verified_at", checkpoint.last_verified_at).add("last_differences", checkpoint.last_differences);
  // One that may be replaced: of a lesser fence, our own, or made before there were fences.
  Document lesser;
  lesser.add_utf8("$lt", owner_of(checkpoint.fence, ""));
  Document first, second, third, ways;
  first.add("owner", lesser);
  second.add_text("owner", owner);
  third.add_null("owner");
  ways.add("0", first).add("1", second).add("2", third);
  auto filter = by_id(kCheckpoint);
  filter.add_array("$or", ways);
  return place.call(deadline, [&](mongoc_client_t* client) -> Result<void> {
    Document upsert;
    upsert.add("upsert", true);
    const auto states = place.collection(client, place.state());
    bson_error_t error{};
    if (mongoc_collection_replace_one(states.get(), filter.raw(), document.raw(), upsert.raw(), nullptr, &error)) return {};
    // None that may be replaced was there, and yet there is one.
    if (error.code == kDuplicateKey) return Error(ErrorCode::kLeaseLost, "another archive run has taken over");
    return call_error(error, deadline);
  });
}

Result<void> put_in_quarantine(Place& place, std::span<const QuarantinedEntry> entries, Deadline deadline) {
  return place.call(deadline, [&](mongoc_client_t* client) -> Result<void> {
    for (const auto& entry : entries) {
      const auto id = kQuarantine + document_id(entry.ns, entry.id);
      if (auto done = upsert(place, client, mongoc_collection_replace_one, id, quarantine_document(id, entry), deadline); !done)
        return done;
    }
    return {};
  });
}

Result<QuarantinePage> list_quarantine(Place& place, const ListQuarantine& request) {
  std::string behind;
  if (!request.cursor.empty()) {
    auto name = name_in(request.cursor);
    if (!name) return std::move(name).error();
    behind = *std::move(name);
  }
  const auto limit = std::clamp<std::size_t>(request.limit, 1, std::size_t{1} << 20);
  Document order;
  order.add("_id", std::int32_t{1});
  Document options;
  options.add("sort", order).add("limit", static_cast<std::int64_t>(limit + 1));
  const auto deadline = request.deadline;
  return place.call(deadline, [&](mongoc_client_t* client) -> Result<QuarantinePage> {
    QuarantinePage page;
    bool more = false;
    std::string last;
    auto found =
        place.find(client, place.state(), quarantine_behind(behind), options, false, deadline, [&](const bson_t* document) -> Result<void> {
          more = page.entries.size() == limit;
          if (more) return {};
          if (auto known = check_format(document, "quarantine"); !known) return known;
          page.entries.push_back(quarantined_from(document));
          last = text_or_empty(document, "_id").substr(kQuarantine.size());
          return {};
        });
    if (!found) return std::move(found).error();
    if (more) page.next = cursor_behind(last);
    return page;
  });
}

Result<std::size_t> release_from_quarantine(Place& place, std::span<const ArchiveId> ids, Deadline deadline) {
  return place.call(deadline, [&](mongoc_client_t* client) -> Result<std::size_t> {
    const auto states = place.collection(client, place.state());
    std::size_t released = 0;
    for (const auto& id : ids) {
      Reply reply;
      bson_error_t error{};
      const auto filter = by_id(kQuarantine + document_id(id.ns, id.id));
      if (!mongoc_collection_delete_one(states.get(), filter.raw(), nullptr, reply.fill(), &error)) return call_error(error, deadline);
      released += static_cast<std::size_t>(integer_or(reply.raw(), "deletedCount", 0));
    }
    return released;
  });
}

Result<void> put_state_in_quarantine(Place& place, mongoc_client_t* client, const QuarantinedEntry& entry, const std::string& state,
                                     Deadline deadline) {
  const auto id = kQuarantine + document_id(entry.ns, entry.id) + " " + state;
  auto document = quarantine_document(id, entry);
  document.add_utf8("state", state);
  return upsert(place, client, mongoc_collection_replace_one, id, document, deadline);
}

Result<void> release_dropped_states(Place& place, mongoc_client_t* client, Deadline deadline) {
  std::map<std::string, std::string> kept;  // state -> its document in quarantine
  auto filter = quarantine_behind("");
  Document some_text;
  some_text.add_utf8("$gt", "");
  filter.add("state", some_text);
  Document states;
  auto found = place.find(client, place.state(), filter, Document(), false, deadline, [&](const bson_t* document) -> Result<void> {
    states.push_text(kept.size(), text_or_empty(document, "state"));
    kept.emplace(text_or_empty(document, "state"), text_or_empty(document, "_id"));
    return {};
  });
  if (!found || kept.empty()) return found;
  Document in;
  in.add_array("$in", states);
  Document those;
  those.add("_id", in);
  Document fields;
  fields.add("_id", std::int32_t{1});
  Document options;
  options.add("projection", fields);
  found = place.find(client, place.history(), those, options, false, deadline, [&](const bson_t* document) -> Result<void> {
    kept.erase(text_or_empty(document, "_id"));
    return {};
  });
  if (!found || kept.empty()) return found;
  const auto documents = place.collection(client, place.state());
  for (const auto& [state, id] : kept) {
    bson_error_t error{};
    if (!mongoc_collection_delete_one(documents.get(), by_id(id).raw(), nullptr, nullptr, &error)) return call_error(error, deadline);
  }
  return {};
}

Result<std::uint64_t> count_quarantine(Place& place, mongoc_client_t* client, Deadline deadline) {
  Document command;
  command.add_utf8("count", place.state()).add("query", quarantine_behind(""));
  Reply reply;
  if (auto done = place.command(client, place.database().c_str(), command, reply, deadline); !done) return std::move(done).error();
  return number(reply.raw(), "n");
}

}  // namespace setget::inline v0::mongo
