#include "mongo/chunks.hpp"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "mongo/errors.hpp"

namespace setget::inline v0::mongo {
namespace {

Result<void> drop_range(Place& place, mongoc_client_t* client, const std::string& from, const std::string& to, Deadline deadline) {
  Document range;
  range.add_utf8("$gte", from).add_utf8("$lt", to);
  Document filter;
  filter.add("_id", range);
  const auto chunks = place.collection(client, place.chunks());
  bson_error_t error{};
  if (mongoc_collection_delete_many(chunks.get(), filter.raw(), nullptr, nullptr, &error)) return {};
  return call_error(error, deadline);
}

TimePoint machine_time() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }

}  // namespace

Result<void> write_pieces(Place& place, mongoc_client_t* client, const Prepared& document, Deadline deadline) {
  const auto chunks = place.collection(client, place.chunks());
  const auto size = place.options().max_inline_bytes;
  Document upsert;
  upsert.add("upsert", true);
  for (std::size_t at = 0, number = 0; at < document.pieces.size(); at += size, ++number) {
    Document piece;
    const auto id = fmt::format("{} {} {:06}", document.id, order_in(document.mark), number);
    piece.add_utf8("_id", id).add_binary("bytes", document.pieces.view().substr(at, size)).add_date("written_at", machine_time());
    if (document.purge_at) piece.add_date("purge_at", *document.purge_at);
    Document filter;
    filter.add_utf8("_id", id);
    bson_error_t error{};
    if (!mongoc_collection_replace_one(chunks.get(), filter.raw(), piece.raw(), upsert.raw(), nullptr, &error)) {
      return call_error(error, deadline);
    }
  }
  return {};
}

Result<bool> any_pieces(Place& place, mongoc_client_t* client, Deadline deadline) {
  Document fields;
  fields.add("_id", std::int32_t{1});
  Document options;
  options.add("projection", fields).add("limit", std::int64_t{1});
  bool any = false;
  auto found = place.find(client, place.chunks(), Document(), options, false, deadline, [&](const bson_t*) -> Result<void> {
    any = true;
    return {};
  });
  if (!found) return std::move(found).error();
  return any;
}

Result<void> drop_old_pieces(Place& place, mongoc_client_t* client, const std::string& id, Deadline deadline) {
  Document filter;
  filter.add_utf8("_id", id);
  Document fields;
  fields.add("state.mark", std::int32_t{1});
  Document options;
  options.add("projection", fields);
  std::string order;
  auto found = place.find(client, place.documents(), filter, options, false, deadline, [&](const bson_t* document) -> Result<void> {
    order = order_in(text_or_empty(document, "state.mark"));
    return {};
  });
  if (!found || order.empty()) return found;
  return drop_range(place, client, id + " ", id + " " + order, deadline);
}

Result<void> drop_pieces(Place& place, mongoc_client_t* client, const std::string& id, Deadline deadline) {
  return drop_range(place, client, id + " ", id + "!", deadline);
}

Result<bool> read_pieces(Place& place, mongoc_client_t* client, Stored& stored, bool anywhere, Deadline deadline) {
  const auto name = stored.id + " " + std::string(order_in(stored.mark));
  Document range;
  range.add_utf8("$gte", name + " ").add_utf8("$lt", name + "!");
  Document filter;
  filter.add("_id", range);
  Document order;
  order.add("_id", std::int32_t{1});
  Document options;
  options.add("sort", order).add("batchSize", place.pieces_at_once());
  std::int64_t read = 0;
  stored.encoded.resize(stored.head);
  stored.seen = {};
  auto found = place.find(client, place.chunks(), filter, options, anywhere, deadline, [&](const bson_t* piece) -> Result<void> {
    const auto bytes = find(piece, "bytes");
    stored.encoded.append(bytes ? bytes->bytes().value_or(std::string_view()) : std::string_view());
    ++read;
    return {};
  });
  if (!found) return std::move(found).error();
  return read == stored.pieces;
}

Result<void> sweep_pieces(Place& place, mongoc_client_t* client, std::string& position, std::size_t limit, Deadline deadline) {
  Document behind;
  behind.add_utf8("$gt", position);
  Document filter;
  filter.add("_id", behind);
  Document fields;
  fields.add("written_at", std::int32_t{1});
  Document order;
  order.add("_id", std::int32_t{1});
  Document options;
  options.add("projection", fields).add("sort", order).add("limit", static_cast<std::int64_t>(limit));
  // Document -> the newest order of which a piece was seen.
  std::map<std::string, std::string> seen;
  std::size_t looked_at = 0;
  std::string last;
  const auto old = machine_time() - std::chrono::hours(1);
  auto found = place.find(client, place.chunks(), filter, options, false, deadline, [&](const bson_t* piece) -> Result<void> {
    last = text_or_empty(piece, "_id");
    ++looked_at;
    const auto written_at = find(piece, "written_at");
    const auto number = last.rfind(' ');
    const auto cut = number == std::string::npos || number == 0 ? number : last.rfind(' ', number - 1);
    if (cut == std::string::npos || !written_at || written_at->time().value_or(TimePoint{}) > old) return {};
    seen[last.substr(0, cut)] = last.substr(cut + 1, number - cut - 1);
    return {};
  });
  if (!found) return found;
  position = looked_at < limit ? std::string() : last;
  if (seen.empty()) return {};
  Document ids;
  std::size_t count = 0;
  for (const auto& [id, newest] : seen) ids.add_utf8(std::to_string(count++), id);
  Document in;
  in.add_array("$in", ids);
  Document those;
  those.add("_id", in);
  Document wanted;
  wanted.add("state.mark", std::int32_t{1});
  Document only;
  only.add("projection", wanted);
  std::map<std::string, std::string> current;
  auto there = place.find(client, place.documents(), those, only, false, deadline, [&](const bson_t* document) -> Result<void> {
    current[text_or_empty(document, "_id")] = order_in(text_or_empty(document, "state.mark"));
    return {};
  });
  if (!there) return there;
  for (const auto& [id, newest] : seen) {
    const auto at = current.find(id);
    // Up to the newest that was seen: a writer may be at work on a newer one.
    const auto to = at == current.end() ? newest + "!" : at->second;
    if (at != current.end() && newest >= to) continue;
    const auto from = id + " ";
    if (auto dropped = drop_range(place, client, from, std::string(from).append(to), deadline); !dropped) return dropped;
  }
  return {};
}

}  // namespace setget::inline v0::mongo
