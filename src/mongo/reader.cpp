#include "mongo/reader.hpp"

#include <algorithm>
#include <utility>

#include "mongo/chunks.hpp"
#include "mongo/cursors.hpp"
#include "mongo/errors.hpp"
#include "mongo/names.hpp"

namespace setget::inline v0::mongo {
Result<std::optional<Stored>> Reader::load(mongoc_client_t* client, const std::string& id, bool anywhere, Deadline deadline) {
  Document filter;
  filter.add_utf8("_id", id);
  auto options = how_to_read_records(place_->options());
  options.add("limit", std::int64_t{1});
  return place_->find_one(client, place_->documents(), filter, options, anywhere, deadline,
                          [](const bson_t* document) { return read_document(document, Reading::kRecord); });
}

Result<std::optional<Record>> Reader::whole(mongoc_client_t* client, Stored stored, bool anywhere, Deadline deadline) {
  if (stored.pieces > 0) {
    auto complete = read_pieces(*place_, client, stored, anywhere, deadline);
    if (!complete) return std::move(complete).error();
    if (!*complete) {
      // Pieces are there before their document is: if they are missing and it has not changed since, they are lost. Another member may be
      // behind with them only.
      auto again = load(client, stored.id, false, deadline);
      if (!again) return std::move(again).error();
      if (!*again || (*again)->mark().view() != stored.mark().view()) return std::optional<Record>();
      if (anywhere) return whole(client, **std::move(again), false, deadline);
      return damaged(stored, "pieces of its payload are missing");
    }
  }
  auto record = record_of(std::move(stored));
  if (!record) return std::move(record).error();
  return std::optional(*std::move(record));
}

Result<std::optional<Lookup>> Reader::answer(mongoc_client_t* client, Stored stored, TimePoint now, Deadline deadline) {
  const auto expires_at = stored.meta.expires_at;
  if (stored.gone || (expires_at && *expires_at <= now)) return std::optional(Lookup{.status = Lookup::Status::kGone, .record = {}});
  auto record = whole(client, std::move(stored), false, deadline);
  if (!record) return std::move(record).error();
  if (!*record) return std::optional<Lookup>();
  return std::optional(Lookup{.status = Lookup::Status::kFound, .record = *std::move(*record)});
}

namespace {

// `look` gives nothing where what it found was replaced before it was read: what is there now may be another answer to the same question.
// What looks damaged is looked at again: mongo-java-server gives parts of two versions where one replaces the other meanwhile.
template <class Look>
Result<Lookup> looked_up(Look look) {
  constexpr int kTries = 8;
  int damaged = 0;
  for (int i = 0; i < kTries; ++i) {
    Result<std::optional<Lookup>> found = look();
    if (!found && (!is_damage(found.error()) || ++damaged == 3)) return std::move(found).error();
    if (found && *found) return **std::move(found);
  }
  return Error(ErrorCode::kUnavailable, "a document with pieces is replaced again and again while it is read");
}

}  // namespace

Result<std::optional<Lookup>> Reader::find_by_key(mongoc_client_t* client, const GetRecords& request, std::string_view key) {
  // Two documents can list a key until a later run says which one lost it: the later acceptance has it; of equal ones the greater id, which
  // is compared here because servers order strings and binaries in their own way.
  Document filter;
  filter.add_text("state.keys", key_name(request.ns, key));
  Document order;
  order.add("state.stamp", std::int32_t{-1});
  std::optional<Stored> holder;
  for (std::int64_t limit = 2;; limit *= 8) {
    auto options = how_to_read_records(place_->options());
    options.add("sort", order).add("limit", limit);
    std::int64_t seen = 0;
    bool tied = true;
    holder.reset();
    auto found =
        // From the primary: another member may still have what was erased, and the store may have forgotten that.
        place_->find(client, place_->documents(), filter, options, false, request.deadline, [&](const bson_t* document) -> Result<void> {
          auto stored = read_document(document, Reading::kRecord);
          if (!stored) return std::move(stored).error();
          ++seen;
          tied = !holder || (tied && stored->meta.stamp == holder->meta.stamp);
          if (!holder || (stored->meta.stamp == holder->meta.stamp && stored->identity.id > holder->identity.id))
            holder = *std::move(stored);
          return {};
        });
    if (!found) return std::move(found).error();
    if (seen < limit || !tied) break;
  }
  if (!holder) return std::optional(Lookup{});
  auto lookup = answer(client, *std::move(holder), request.now, request.deadline);
  if (lookup && *lookup && (*lookup)->record) {
    const auto& record = *(*lookup)->record;
    if (record.ns != request.ns || !record.keys.contains(key))
      return corrupted("document \"" + document_id(record.ns, record.id) + "\" does not list its key");
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
      auto lookup = looked_up([&] { return find_by_key(client, request, key); });
      if (!lookup) return std::move(lookup).error();
      out.push_back(*std::move(lookup));
    }
    return out;
  });
}

Result<Lookup> Reader::get_by_id(const GetById& request) {
  return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<Lookup> {
    return looked_up([&]() -> Result<std::optional<Lookup>> {
      // From the primary: archiver runs decide by this answer what they write.
      auto stored = load(client, document_id(request.ns, request.id), false, request.deadline);
      if (!stored) return std::move(stored).error();
      if (!*stored) return std::optional(Lookup{});
      const auto held_keys = (*stored)->held_keys;
      auto lookup = answer(client, *std::move(*stored), request.now, request.deadline);
      if (lookup && *lookup && (*lookup)->record && !lead_to(held_keys, *(*lookup)->record)) {
        return corrupted("document \"" + document_id(request.ns, request.id) + "\" does not list the keys of its record");
      }
      return lookup;
    });
  });
}

namespace {

// True if the error is of one document that was asked to be passed over.
bool passes_over(const ScanArchive& request, const Error& error) { return request.over_damaged && is_damage(error); }

void fill_in(Summary& item, Record&& record) {
  item.account = record.account;
  item.flow = record.flow;
  item.record = std::move(record);
}

// One more line, of a document; with its record, or how it is made, where that is asked for and not in pieces.
Result<void> add_line(std::vector<Summary>& lines, Result<Stored>&& stored, const ScanArchive& request) {
  if (!stored) return std::move(stored).error();
  auto line = summary_of(*stored);
  if (!request.with_records || stored->gone || stored->pieces > 0) {
    lines.push_back(std::move(line));
    return {};
  }
  line.encoded = Payload::adopt(std::move(stored->encoded));
  if (request.records_later) {
    line.record_later = [stored = *std::move(stored), encoded = line.encoded] { return record_of(stored, encoded); };
    lines.push_back(std::move(line));
    return {};
  }
  auto record = record_of(*stored, line.encoded);
  if (!record) return std::move(record).error();
  lines.push_back(std::move(line));
  fill_in(lines.back(), *std::move(record));
  return {};
}

constexpr Milliseconds kFarewell{1'000};  // for telling the server that a cursor is not wanted any more
constexpr std::size_t kReserved = 1'000;  // lines of a page
// Documents in one answer of a scan of whole records. It is read ahead, so more than elsewhere; with 1000 the pages come in lumps.
constexpr std::int64_t kAnswer = 400;
// A page of whole records ends once it has so many bytes, as those of stores do: who asks knows of no sizes.
constexpr std::size_t kPageBytes = 16u << 20;

}  // namespace

// A cursor of the server over the documents from a place on, in order. Used with the client that it was made with.
class Reader::Documents {
 public:
  // `limit` 0: to the end.
  static Result<std::unique_ptr<Documents>> behind(Place& place, mongoc_client_t* client, const ScanArchive& request, std::size_t limit) {
    Document filter;
    if (!request.cursor.empty()) {
      const auto name = name_in(request.cursor);
      if (!name) return name.error();
      Document behind;
      behind.add_utf8("$gt", *name);
      filter.add("_id", behind);
    }
    Document order;
    order.add("_id", std::int32_t{1});
    auto options = request.with_records ? how_to_read_records(place.options()) : Document();
    if (!request.with_records) options.add("projection", fields_for_summaries());
    options.add("sort", order);
    if (limit != 0) options.add("limit", static_cast<std::int64_t>(limit));
    options.add("batchSize", request.with_records ? kAnswer : Place::batch_size(false));
    const auto reading = request.with_records ? Reading::kRecord : Reading::kLine;
    return std::unique_ptr<Documents>(new Documents(place, place.find_all(client, place.documents(), filter, options), reading));
  }

  struct One {
    std::string_view name;  // its _id, until the next one is asked for; empty where that is no text
    Result<Stored> stored;
  };
  // Whether there is another one. It stays the next one until it is taken.
  Result<bool> more(Deadline deadline) {
    if (next_ != nullptr || mongoc_cursor_next(cursor_.get(), &next_)) return true;
    next_ = nullptr;
    bson_error_t error{};
    if (mongoc_cursor_error(cursor_.get(), &error)) return place_.failed(error, deadline);
    return false;
  }
  // Whether there may be another one, as far as can be told without waiting for the server.
  bool may_go_on() const noexcept { return mongoc_cursor_more(cursor_.get()); }
  One take() {
    const bson_t* document = next_;
    next_ = nullptr;
    const auto id = find_top(document, "_id");
    return {id ? id->text().value_or(std::string_view()) : std::string_view(), read_document(document, reading_)};
  }

 private:
  Documents(const Place& place, CursorHandle cursor, Reading reading) : place_(place), cursor_(std::move(cursor)), reading_(reading) {}

  const Place& place_;
  CursorHandle cursor_;
  const Reading reading_;
  const bson_t* next_ = nullptr;  // the driver's, until it is asked for the one behind it
};

struct Reader::Ahead {
  std::unique_ptr<Client> client;
  std::unique_ptr<Documents> documents{};
  std::string at{};  // the cursor that asks for the next of them
  Deadline until = Deadline::in(Milliseconds(0));

  explicit Ahead(std::unique_ptr<Client> with) : client(std::move(with)) {}
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;
  ~Ahead() { client->line.deadline = Deadline::in(kFarewell); }
};

Reader::Reader(std::shared_ptr<Place> place, Milliseconds fresh_for) : place_(std::move(place)), fresh_for_(fresh_for) {}
Reader::~Reader() = default;

void Reader::forget_ahead() {
  std::unique_ptr<Ahead> forgotten;
  const std::lock_guard lock(ahead_mutex_);
  forgotten = std::move(ahead_);
  ++changes_;
}

Result<SummaryPage> Reader::scan(const ScanArchive& request) {
  const auto limit = std::clamp<std::size_t>(request.limit, 1, std::size_t{1} << 20);
  const auto once = [&] {
    return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<SummaryPage> {
      // One more than asked for tells whether this page is the last.
      auto documents = Documents::behind(*place_, client, request, limit + 1);
      if (!documents) return std::move(documents).error();
      return page_of(client, **documents, request, limit, true);
    });
  };
  if (!request.with_records) return once();
  std::unique_ptr<Ahead> ahead;
  bool goes_on = false;
  std::uint64_t changes = 0;
  {
    const std::lock_guard lock(ahead_mutex_);
    goes_on = request.cursor.empty() || request.cursor == expected_;
    changes = changes_;
    if (goes_on) ahead = std::move(ahead_);
  }
  std::optional<Result<SummaryPage>> page;
  if (goes_on) page = go_on(ahead, request, limit);
  // Whatever is wrong with the cursor that was kept, a query of its own has all the ways of trying again.
  if (!page || !*page) {
    ahead.reset();
    page = once();
  }
  if (!*page) return std::move(*page);
  const std::lock_guard lock(ahead_mutex_);
  expected_ = (*page)->next;
  if (ahead && changes == changes_ && !expected_.empty()) {
    ahead->at = expected_;
    ahead_.swap(ahead);  // what another scan kept there ends
  }
  return std::move(*page);
}

Result<SummaryPage> Reader::go_on(std::unique_ptr<Ahead>& ahead, const ScanArchive& request, std::size_t limit) {
  if (!ahead) {
    if (auto made = place_->ready(request.deadline); !made) return std::move(made).error();
    auto client = place_->clients().one_more();
    if (!client) return std::move(client).error();
    ahead = std::make_unique<Ahead>(*std::move(client));
  }
  ahead->client->line.deadline = request.deadline;
  auto* client = ahead->client->handle.get();
  if (!ahead->documents || request.cursor.empty() || ahead->at != request.cursor || ahead->until.passed()) {
    ahead->documents.reset();
    auto documents = Documents::behind(*place_, client, request, 0);
    if (!documents) return std::move(documents).error();
    ahead->documents = *std::move(documents);
    ahead->until = Deadline::in(fresh_for_);
  }
  // Whether another one follows is left to the next page: the server would be waited for before this one can be worked on.
  return page_of(client, *ahead->documents, request, limit, false);
}

Result<SummaryPage> Reader::page_of(mongoc_client_t* client, Documents& documents, const ScanArchive& request, std::size_t limit,
                                    bool looks_on) {
  SummaryPage page;
  page.items.reserve(std::min<std::size_t>(limit, kReserved));
  std::vector<std::pair<std::size_t, Stored>> large;
  std::string last;
  std::size_t bytes = 0;
  auto more = documents.more(request.deadline);
  for (std::size_t seen = 0; more && *more && seen < limit && bytes < kPageBytes;) {
    auto [name, stored] = documents.take();
    const bool in_pieces = request.with_records && stored && !stored->gone && stored->pieces > 0;
    if (request.with_records && stored) bytes += stored->encoded.size();
    if (in_pieces) bytes += static_cast<std::size_t>(stored->pieces) * place_->options().max_inline_bytes;
    if (in_pieces) large.emplace_back(page.items.size(), *stored);
    if (auto added = add_line(page.items, std::move(stored), request); !added) {
      if (!passes_over(request, added.error())) return std::move(added).error();
      page.damaged.push_back(damaged_item(std::string(name), added.error()));
    }
    if (!name.empty()) last.assign(name);
    more = ++seen < limit || looks_on ? documents.more(request.deadline) : Result<bool>(documents.may_go_on());
  }
  if (!more) return std::move(more).error();
  // What has no text for an _id sorts before or behind all that have one: cursors go on behind the last of these.
  if (*more) page.next = !last.empty() ? cursor_behind(last) : request.cursor.empty() ? cursor_before_all() : request.cursor;
  if (auto filled = fill_in_large(client, page, large, request); !filled) return std::move(filled).error();
  return page;
}

// The records of those lines whose payloads are in pieces.
Result<void> Reader::fill_in_large(mongoc_client_t* client, SummaryPage& page, std::vector<std::pair<std::size_t, Stored>>& large,
                                   const ScanArchive& request) {
  if (large.empty()) return {};
  for (auto& [at, stored] : large) {
    auto& item = page.items[at];
    const auto name = stored.id;
    auto record = whole(client, std::move(stored), true, request.deadline);
    if (!record && passes_over(request, record.error())) {
      page.damaged.push_back(damaged_item(name, record.error()));
      continue;
    }
    if (!record) return std::move(record).error();
    if (!*record || (*record)->version != item.version || (*record)->revision != item.revision) {
      // Replaced while the page was read: it reads as it would have a moment later.
      return Error(ErrorCode::kUnavailable, "a document with pieces was replaced while it was read");
    }
    fill_in(item, *std::move(*record));
  }
  std::erase_if(page.items, [](const Summary& item) { return !item.tombstone && !item.record && !item.record_later; });
  return {};
}

}  // namespace setget::inline v0::mongo
