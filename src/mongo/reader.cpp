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
  return place_->find_one(client, place_->documents(), filter, options, anywhere, deadline, read_document);
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

namespace {

std::string cursor_at(const Summary& line) { return detail::encode_scan_cursor(line.hash, line.ns, line.id); }

constexpr std::size_t kPagesAhead = 32;
constexpr std::size_t kBytesAhead = std::size_t{12} << 20;

}  // namespace

void Reader::forget_ahead() {
  const std::lock_guard lock(ahead_mutex_);
  ahead_ = {};
  ++changes_;
}

std::optional<SummaryPage> Reader::from_ahead(const ScanArchive& request) {
  if (ahead_.items.empty() || ahead_.at != request.cursor) return std::nullopt;
  if (ahead_.until.passed()) {
    ahead_ = {};
    return std::nullopt;
  }
  SummaryPage page;
  while (!ahead_.items.empty() && page.items.size() < std::max<std::size_t>(request.limit, 1)) {
    page.items.push_back(std::move(ahead_.items.front()));
    ahead_.items.pop_front();
  }
  page.next = ahead_.items.empty() ? ahead_.next : cursor_at(page.items.back());
  ahead_.at = page.next;
  return page;
}

// Cuts the page that was asked for off its beginning.
SummaryPage Reader::keep_ahead(SummaryPage page, std::size_t limit, std::uint64_t changes) {
  if (page.items.size() <= limit) return page;
  Ahead rest{.at = cursor_at(page.items[limit - 1]), .items = {}, .next = std::move(page.next), .until = Deadline::in(fresh_for_)};
  const auto from = page.items.begin() + static_cast<std::ptrdiff_t>(limit);
  rest.items.assign(std::make_move_iterator(from), std::make_move_iterator(page.items.end()));
  page.items.erase(from, page.items.end());
  page.next = rest.at;
  if (changes == changes_) ahead_ = std::move(rest);
  return page;
}

Result<SummaryPage> Reader::scan(const ScanArchive& request) {
  const auto limit = std::clamp<std::size_t>(request.limit, 1, std::size_t{1} << 20);
  if (!request.with_records) return query(request, limit, 0);
  bool goes_on = false;
  std::uint64_t changes = 0;
  {
    const std::lock_guard lock(ahead_mutex_);
    if (auto page = from_ahead(request)) {
      expected_ = page->next;
      return *std::move(page);
    }
    goes_on = !request.cursor.empty() && request.cursor == expected_;
    changes = changes_;
  }
  auto page = query(request, goes_on ? limit * kPagesAhead : limit, goes_on ? kBytesAhead : 0);
  if (!page) return page;
  const std::lock_guard lock(ahead_mutex_);
  page = keep_ahead(*std::move(page), limit, changes);
  expected_ = page->next;
  return page;
}

Result<SummaryPage> Reader::query(const ScanArchive& request, std::size_t limit, std::size_t bytes) {
  Document filter;
  if (!request.cursor.empty()) {
    const auto cursor = detail::decode_scan_cursor(request.cursor);
    if (!cursor) return cursor.error();
    Document behind;
    behind.add_utf8("$gt", document_id(cursor->hash, cursor->ns, cursor->id));
    filter.add("_id", behind);
  }
  Document order;
  order.add("_id", std::int32_t{1});
  Document options;
  // One more than asked for tells whether this page is the last.
  options.add("sort", order).add("limit", static_cast<std::int64_t>(limit + 1));
  options.add("projection", request.with_records ? without_document() : summary_fields());
  options.add("batchSize", place_->batch_size(request.with_records));
  return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<SummaryPage> {
    SummaryPage page;
    std::vector<Stored> large;
    bool more = false;
    std::size_t read = 0;
    auto found =
        place_->find(client, place_->documents(), filter, options, true, request.deadline, [&](const bson_t* document) -> Result<void> {
          more = page.items.size() == limit || (bytes != 0 && read >= bytes);
          if (more) return Error(ErrorCode::kCancelled, "enough");  // the rest is not read
          auto stored = read_document(document);
          if (!stored) return std::move(stored).error();
          page.items.push_back(summary_of(*stored));
          if (!request.with_records || stored->gone) return {};
          if (stored->pieces > 0) {
            read += static_cast<std::size_t>(stored->pieces) * place_->options().max_inline_bytes;
            large.push_back(*std::move(stored));
            return {};
          }
          auto record = record_of(*std::move(stored));
          if (!record) return std::move(record).error();
          read += record->payload.size();
          page.items.back().record = *std::move(record);
          return {};
        });
    if (!found && !more) return std::move(found).error();
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
    if (more) page.next = cursor_at(page.items.back());
    return page;
  });
}

}  // namespace setget::inline v0::mongo
