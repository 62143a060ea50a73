#include "mongo/chunks.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

#include "mongo/errors.hpp"

namespace setget::inline v0::mongo {
namespace {

// What the pieces of one write are called, but for their number. With the mark of that write: no other write ever touches them, not even
// one of the same version and revision, which may yet turn out to be the older.
std::string name_of(const std::string& id, std::string_view mark) { return fmt::format("{} {}", id, mark); }

Document range(const std::string& from, const std::string& to) {
  Document bounds;
  bounds.add_utf8("$gte", from).add_utf8("$lt", to);
  Document filter;
  filter.add("_id", bounds);
  return filter;
}
// All numbers of one name.
Document named(const std::string& name) { return range(name + " ", name + "!"); }

Result<void> drop(Place& place, mongoc_client_t* client, const Document& filter, Deadline deadline) {
  const auto chunks = place.collection(client, place.chunks());
  bson_error_t error{};
  if (mongoc_collection_delete_many(chunks.get(), filter.raw(), nullptr, nullptr, &error)) return {};
  return call_error(error, deadline);
}

TimePoint machine_time() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }

// The marks of these documents' bodies, of those that are there.
Result<std::map<std::string, std::string>> body_marks(Place& place, mongoc_client_t* client, const Document& ids, Deadline deadline) {
  Document in;
  in.add_array("$in", ids);
  Document filter;
  filter.add("_id", in);
  Document fields;
  fields.add("record.mark", std::int32_t{1});
  Document options;
  options.add("projection", fields);
  std::map<std::string, std::string> marks;
  auto found = place.find(client, place.documents(), filter, options, false, deadline, [&](const bson_t* document) -> Result<void> {
    marks[text_or_empty(document, "_id")] = text_or_empty(document, "record.mark");
    return {};
  });
  if (!found) return std::move(found).error();
  return marks;
}

}  // namespace

Result<void> write_pieces(Place& place, mongoc_client_t* client, const Prepared& document, Deadline deadline) {
  const auto chunks = place.collection(client, place.chunks());
  const auto size = place.options().max_inline_bytes;
  Document upsert;
  upsert.add("upsert", true);
  for (std::size_t at = 0, number = 0; at < document.pieces.size(); at += size, ++number) {
    Document piece;
    const auto id = fmt::format("{} {:06}", name_of(document.id, document.mark), number);
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

Result<void> drop_left_over(Place& place, mongoc_client_t* client, const Prepared& written, Deadline deadline) {
  Document ids;
  ids.add_utf8("0", written.id);
  auto marks = body_marks(place, client, ids, deadline);
  if (!marks) return std::move(marks).error();
  const auto there = marks->find(written.id);
  const auto mark = there == marks->end() ? std::string() : there->second;
  if (!mark.empty()) {
    auto dropped = drop(place, client, range(written.id + " ", name_of(written.id, order_in(mark))), deadline);
    if (!dropped) return dropped;
  }
  if (written.pieces.empty() || mark == written.mark) return {};
  return drop(place, client, named(name_of(written.id, written.mark)), deadline);
}

Result<void> drop_pieces(Place& place, mongoc_client_t* client, std::span<const BodyName> gone, Deadline deadline) {
  Document ids;
  for (std::size_t i = 0; i < gone.size(); ++i) ids.push_text(i, gone[i].id);
  auto marks = body_marks(place, client, ids, deadline);
  if (!marks) return std::move(marks).error();
  for (const auto& [id, mark] : gone) {
    const auto there = marks->find(id);
    // Of a body without a mark nobody knows which are its pieces: sweep_pieces() finds them.
    if (mark.empty() || (there != marks->end() && there->second == mark)) continue;
    auto dropped = drop(place, client, range(id + " ", name_of(id, order_in(mark)) + "!"), deadline);
    if (dropped) dropped = drop(place, client, named(name_of(id, mark)), deadline);
    if (!dropped) return dropped;
  }
  return {};
}

Result<bool> read_pieces(Place& place, mongoc_client_t* client, Stored& stored, bool anywhere, Deadline deadline) {
  Document order;
  order.add("_id", std::int32_t{1});
  Document options;
  options.add("sort", order).add("batchSize", place.pieces_at_once());
  const auto read = [&](std::string_view mark) -> Result<bool> {
    std::int64_t count = 0;
    stored.encoded.resize(stored.head);
    stored.seen = {};
    auto found = place.find(client, place.chunks(), named(name_of(stored.id, mark)), options, anywhere, deadline,
                            [&](const bson_t* piece) -> Result<void> {
                              const auto bytes = find(piece, "bytes");
                              stored.encoded.append(bytes ? bytes->bytes().value_or(std::string_view()) : std::string_view());
                              ++count;
                              return {};
                            });
    if (!found) return std::move(found).error();
    return count == stored.pieces;
  };
  auto whole = read(stored.record_mark.view());
  // Until 2026-11-29 they were named by version and revision alone.
  return !whole || *whole ? whole : read(order_in(stored.record_mark.view()));
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
  // Document -> the marks of which an old piece was seen.
  std::map<std::string, std::set<std::string>> seen;
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
    seen[last.substr(0, cut)].insert(last.substr(cut + 1, number - cut - 1));
    return {};
  });
  if (!found) return found;
  position = looked_at < limit ? std::string() : last;
  if (seen.empty()) return {};
  Document ids;
  std::size_t count = 0;
  for (const auto& [id, marks] : seen) ids.push_text(count++, id);
  auto current = body_marks(place, client, ids, deadline);
  if (!current) return std::move(current).error();
  for (const auto& [id, marks] : seen) {
    const auto at = current->find(id);
    // A damaged body may still be mended: what belongs to it is not known, and stays.
    if (at != current->end() && at->second.empty()) continue;
    for (const auto& mark : marks) {
      if (at != current->end() && (mark == at->second || mark == order_in(at->second))) continue;
      auto those = named(name_of(id, mark));
      Document not_later;
      not_later.add_date("$lte", old);
      those.add("written_at", not_later);
      if (auto dropped = drop(place, client, those, deadline); !dropped) return dropped;
    }
  }
  return {};
}

}  // namespace setget::inline v0::mongo
