#include "mongo/reader.hpp"

#include <algorithm>
#include <utility>

#include "core/scan_cursor.hpp"
#include "mongo/chunks.hpp"
#include "mongo/errors.hpp"
#include "mongo/names.hpp"

namespace setget::inline v0::mongo {
namespace {

// What no answer is made of: the native document repeats the payload.
Document without_document() {
  Document fields;
  fields.add("document", std::int32_t{0}).add("keys", std::int32_t{0});
  return fields;
}

// Where the whole document is to be checked, its keys too.
Document all_but_document() {
  Document fields;
  fields.add("document", std::int32_t{0});
  return fields;
}

Document summary_fields() {
  Document fields;
  for (const auto* name :
       {"format", "order", "ns", "id", "version", "revision", "gone", "expires_at", "account", "flow", "content", "keys", "lost", "head"}) {
    fields.add(name, std::int32_t{1});
  }
  return fields;
}

}  // namespace

Result<std::optional<Stored>> Reader::load(mongoc_client_t* client, const std::string& id, bool anywhere, Deadline deadline) {
  Document filter;
  filter.add_utf8("_id", id);
  Document options;
  options.add("projection", all_but_document()).add("limit", std::int64_t{1});
  std::optional<Stored> out;
  auto found = place_->find(client, place_->documents(), filter, options, anywhere, deadline, [&](const bson_t* document) -> Result<void> {
    auto stored = read_document(document);
    if (!stored) return std::move(stored).error();
    out = *std::move(stored);
    return {};
  });
  if (!found) return std::move(found).error();
  return out;
}

Result<std::optional<Record>> Reader::whole(mongoc_client_t* client, Stored stored, bool anywhere, Deadline deadline) {
  std::string last_order;
  while (stored.pieces > 0 && !stored.gone) {
    auto complete = read_pieces(*place_, client, stored, anywhere, deadline);
    if (!complete) return std::move(complete).error();
    if (*complete) break;
    // Pieces are there before their document is: if they are missing and it has not changed since, they are lost.
    if (stored.order == last_order) return corrupted("document \"" + stored.id + "\": pieces of its payload are missing");
    last_order = stored.order;
    auto again = load(client, stored.id, anywhere, deadline);
    if (!again) return std::move(again).error();
    if (!*again) return std::optional<Record>();
    stored = *std::move(*again);
  }
  if (stored.gone) return std::optional<Record>();
  auto record = record_of(std::move(stored));
  if (!record) return std::move(record).error();
  return std::optional(*std::move(record));
}

Result<Lookup> Reader::answer(mongoc_client_t* client, Stored stored, TimePoint now, bool anywhere, Deadline deadline) {
  const auto expires_at = stored.meta.expires_at;
  if (stored.gone || (expires_at && *expires_at <= now)) return Lookup{.status = Lookup::Status::kGone, .record = {}};
  auto record = whole(client, std::move(stored), anywhere, deadline);
  if (!record) return std::move(record).error();
  if (!*record) return Lookup{.status = Lookup::Status::kGone, .record = {}};
  return Lookup{.status = Lookup::Status::kFound, .record = *std::move(*record)};
}

Result<Lookup> Reader::find_by_key(mongoc_client_t* client, const GetRecords& request, std::string_view key) {
  // Two documents can list a key until a later run says which one lost it: the later acceptance has it; of equal ones the greater id, which
  // is compared here because servers order strings and binaries in their own way.
  Document filter;
  filter.add_text("ns", request.ns).add_text("keys", key);
  Document order;
  order.add("stamp", std::int32_t{-1});
  std::optional<Stored> holder;
  for (std::int64_t limit = 2;; limit *= 8) {
    Document options;
    options.add("projection", without_document()).add("sort", order).add("limit", limit);
    std::int64_t seen = 0;
    bool tied = true;
    holder.reset();
    auto found =
        place_->find(client, place_->documents(), filter, options, true, request.deadline, [&](const bson_t* document) -> Result<void> {
          auto stored = read_document(document);
          if (!stored) return std::move(stored).error();
          ++seen;
          tied = !holder || (tied && stored->meta.stamp == holder->meta.stamp);
          if (!holder || (stored->meta.stamp == holder->meta.stamp && stored->record_id > holder->record_id)) holder = *std::move(stored);
          return {};
        });
    if (!found) return std::move(found).error();
    if (seen < limit || !tied) break;
  }
  if (!holder) return Lookup{};
  auto lookup = answer(client, *std::move(holder), request.now, true, request.deadline);
  if (lookup && lookup->record && !lookup->record->keys.contains(key)) {
    return corrupted("document \"" + document_id(lookup->record->ns, lookup->record->id) + "\" does not list its key");
  }
  return lookup;
}

Result<std::vector<Lookup>> Reader::get(const GetRecords& request) {
  using Answer = std::vector<Lookup>;
  if (request.keys.empty()) return Answer();
  return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<Answer> {
    Answer out;
    out.reserve(request.keys.size());
    for (const auto key : request.keys) {
      auto lookup = find_by_key(client, request, key);
      if (!lookup) return std::move(lookup).error();
      out.push_back(*std::move(lookup));
    }
    return out;
  });
}

Result<Lookup> Reader::get_by_id(const GetById& request) {
  return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<Lookup> {
    // From the primary: archiver runs decide by this answer what they write.
    auto stored = load(client, document_id(request.ns, request.id), false, request.deadline);
    if (!stored) return std::move(stored).error();
    if (!*stored) return Lookup{};
    return answer(client, *std::move(*stored), request.now, false, request.deadline);
  });
}

Result<SummaryPage> Reader::scan(const ScanArchive& request) {
  Document filter;
  if (!request.cursor.empty()) {
    const auto cursor = detail::decode_scan_cursor(request.cursor);
    if (!cursor) return cursor.error();
    Document behind;
    behind.add_utf8("$gt", document_id(cursor->hash, cursor->ns, cursor->id));
    filter.add("_id", behind);
  }
  const auto limit = std::clamp<std::size_t>(request.limit, 1, std::size_t{1} << 20);
  Document order;
  order.add("_id", std::int32_t{1});
  Document options;
  // One more than asked for tells whether this page is the last.
  options.add("sort", order).add("limit", static_cast<std::int64_t>(limit + 1));
  options.add("projection", request.with_records ? without_document() : summary_fields());
  return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<SummaryPage> {
    SummaryPage page;
    std::vector<Stored> large;
    bool more = false;
    auto found =
        place_->find(client, place_->documents(), filter, options, true, request.deadline, [&](const bson_t* document) -> Result<void> {
          more = page.items.size() == limit;
          if (more) return {};
          auto stored = read_document(document);
          if (!stored) return std::move(stored).error();
          page.items.push_back(summary_of(*stored));
          if (!request.with_records || stored->gone) return {};
          if (stored->pieces > 0) {
            large.push_back(*std::move(stored));
            return {};
          }
          auto record = record_of(*std::move(stored));
          if (!record) return std::move(record).error();
          page.items.back().record = *std::move(record);
          return {};
        });
    if (!found) return std::move(found).error();
    for (auto& stored : large) {
      const auto at =
          std::ranges::find_if(page.items, [&](const Summary& item) { return item.ns == stored.ns && item.id == stored.record_id; });
      auto record = whole(client, std::move(stored), true, request.deadline);
      if (!record) return std::move(record).error();
      if (!*record || (*record)->version != at->version || (*record)->revision != at->revision) {
        // Replaced while the page was read: it reads as it would have a moment later.
        return Error(ErrorCode::kUnavailable, "a document with pieces was replaced while it was read");
      }
      at->record = *std::move(*record);
    }
    if (more) {
      const auto& last = page.items.back();
      page.next = detail::encode_scan_cursor(last.hash, last.ns, last.id);
    }
    return page;
  });
}

}  // namespace setget::inline v0::mongo
