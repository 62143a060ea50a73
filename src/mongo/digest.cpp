// Range digests in one pass that asks the server for no order. Of every document come the parts that the digest is made of, as they stand
// there: a stored digest of them would not say what has been changed in the database since.
#include <atomic>
#include <mutex>
#include <utility>

#include "core/range_digest.hpp"
#include "mongo/answers.hpp"
#include "mongo/beside.hpp"
#include "mongo/chunks.hpp"
#include "mongo/names.hpp"
#include "mongo/reader.hpp"

namespace setget::inline v0::mongo {
namespace {

// A document that cannot be read counts, and like nothing else, where the lines of its range find it: what has no text for an _id no line
// does, and nobody has put it there by setget.
void add_damaged(std::vector<RangeDigest>& ranges, const bson_t* document) {
  const auto id = find_top(document, "_id");
  const auto name = id ? id->text() : std::nullopt;
  if (name) detail::range_of(ranges, hash_below(*name)).add(digest_of(*name));
}

bool counts(const Stored& stored, TimePoint now) { return detail::counts(stored.gone.has_value(), stored.meta.expires_at, now); }

void add(std::vector<RangeDigest>& ranges, const Stored& stored, const detail::EntryView& entry) {
  detail::range_of(ranges, stored.identity.hash).add(detail::entry_digest(entry));
}

// Of a record whose bytes are there.
void add_with_bytes(std::vector<RangeDigest>& ranges, Stored& stored) {
  auto entry = entry_of(stored);
  entry.content = content_of_bytes(stored, entry.content);
  add(ranges, stored, entry);
}

// What one look at documents finds. The server must be asked for the rest.
struct Unread {
  static constexpr std::size_t kFetch = 100;  // asked for at once
  std::mutex mutex{};
  std::vector<std::string> sampled{};  // _ids of records whose bytes are wanted
  std::vector<Stored> in_pieces{};
  std::atomic<bool> many{false};

  void add(const std::string& id) {
    const std::lock_guard lock(mutex);
    sampled.push_back(id);
    if (sampled.size() >= kFetch) many = true;
  }
  void add(const Stored& stored) {
    const std::lock_guard lock(mutex);
    in_pieces.push_back(stored);
    many = true;
  }
};

// Thread rule: one thread at a time; several may share what is unread.
class Look {
 public:
  Look(const DigestArchive& request, std::vector<RangeDigest> ranges, Unread& unread)
      : request_(request), ranges_(std::move(ranges)), unread_(unread) {}

  // Errors: kUnsupported. What is damaged is counted.
  Result<void> at(const bson_t* document) {
    const bool all = request_.deep.of == 1;
    if (auto read = read_document(document, all ? Reading::kDigest : Reading::kState, stored_); !read) {
      if (read.error().code() != ErrorCode::kCorrupted) return read;
      add_damaged(ranges_, document);
      return {};
    }
    if (!counts(stored_, request_.now)) return {};
    if (!request_.deep.takes(stored_.identity.hash)) {
      add(ranges_, stored_, entry_of(stored_));
    } else if (!all) {
      unread_.add(stored_.id);
    } else if (stored_.pieces > 0) {
      unread_.add(stored_);
    } else {
      add_with_bytes(ranges_, stored_);
    }
    return {};
  }
  std::vector<RangeDigest>& ranges() noexcept { return ranges_; }

 private:
  const DigestArchive& request_;
  std::vector<RangeDigest> ranges_;
  Unread& unread_;
  Stored stored_{};  // the one that is looked at
};

}  // namespace

Result<void> Reader::add_bytes(mongoc_client_t* client, Stored stored, const DigestArchive& request, std::vector<RangeDigest>& ranges) {
  if (!counts(stored, request.now)) return {};
  if (stored.pieces > 0) {
    // Missing pieces are missing bytes.
    if (auto read = read_pieces(*place_, client, stored, true, request.deadline); !read) return std::move(read).error();
  }
  add_with_bytes(ranges, stored);
  return {};
}

Result<void> Reader::add_bytes_of(mongoc_client_t* client, std::span<const std::string> ids, const DigestArchive& request,
                                  std::vector<RangeDigest>& ranges) {
  if (ids.empty()) return {};
  Document list;
  for (std::size_t i = 0; i < ids.size(); ++i) list.add_utf8(std::to_string(i), ids[i]);
  Document in;
  in.add_array("$in", list);
  Document filter;
  filter.add("_id", in);
  auto options = how_to_read_records(place_->options());
  options.add("batchSize", place_->batch_size(true));
  return place_->find(client, place_->documents(), filter, options, true, request.deadline, [&](const bson_t* document) -> Result<void> {
    auto stored = read_document(document, Reading::kDigest);
    if (stored) return add_bytes(client, *std::move(stored), request, ranges);
    add_damaged(ranges, document);
    return {};
  });
}

Result<std::vector<RangeDigest>> Reader::digest(const DigestArchive& request) {
  using Ranges = std::vector<RangeDigest>;
  const auto empty = detail::ranges_at(request.starts);
  if (!empty) return empty.error();
  const bool all = request.deep.of == 1;
  const Document everything;
  auto options = all ? how_to_read_records(place_->options()) : Document();
  if (!all) options.add("projection", fields_for_digests());
  return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<Ranges> {
    Unread unread;
    Look here(request, *empty, unread);
    Look there(request, *empty, unread);
    Beside beside([&](Found document) { return there.at(document); });
    const auto read_rest = [&]() -> Result<void> {
      std::vector<std::string> sampled;
      std::vector<Stored> in_pieces;
      {
        const std::lock_guard lock(unread.mutex);
        sampled.swap(unread.sampled);
        in_pieces.swap(unread.in_pieces);
        unread.many = false;
      }
      for (auto& stored : in_pieces) {
        if (auto added = add_bytes(client, std::move(stored), request, here.ranges()); !added) return added;
      }
      return add_bytes_of(client, sampled, request, here.ranges());
    };
    Query query(*place_, client, place_->documents(), everything, options, place_->batch_size(all), request.deadline);
    while (!query.over()) {
      auto answer = query.next();
      if (!answer) return std::move(answer).error();
      // Behind the last one there is nothing to wait for.
      auto looked = query.over() ? (*answer)->each([&](Found document) { return here.at(document); }) : beside.look_at(*std::move(answer));
      if (looked && unread.many) looked = read_rest();
      if (looked && request.go_on) looked = request.go_on();
      if (!looked) return std::move(looked).error();
    }
    if (auto looked = beside.finish(); !looked) return std::move(looked).error();
    if (auto looked = read_rest(); !looked) return std::move(looked).error();
    auto ranges = std::move(here.ranges());
    for (std::size_t i = 0; i < ranges.size(); ++i) detail::add_part(ranges[i], there.ranges()[i]);
    return ranges;
  });
}

}  // namespace setget::inline v0::mongo
