// Range digests in one pass that asks the server for no order. Of every document come the parts that the digest is made of, as they stand
// there: a stored digest of them would not say what has been changed in the database since.
#include <array>
#include <charconv>
#include <utility>

#include "core/range_digest.hpp"
#include "mongo/chunks.hpp"
#include "mongo/names.hpp"
#include "mongo/reader.hpp"

namespace setget::inline v0::mongo {
namespace {

std::uint64_t hash_in(std::string_view document_id) {
  std::uint64_t hash = 0;
  const auto digits = document_id.substr(0, 16);
  std::from_chars(digits.data(), digits.data() + digits.size(), hash, 16);
  return hash;
}

// A document that cannot be read counts, and like nothing else.
void add_damaged(std::vector<RangeDigest>& ranges, const bson_t* document) {
  const auto id = text_or_empty(document, "_id");
  detail::range_of(ranges, hash_in(id)).add(digest_of(id));
}

void add_summary(std::vector<RangeDigest>& ranges, const Summary& summary, TimePoint now) {
  if (detail::counts(summary, now)) detail::range_of(ranges, summary.hash).add(entry_digest(summary));
}

constexpr std::size_t kFetch = 100;

}  // namespace

Result<void> Reader::add_bytes(mongoc_client_t* client, Stored stored, const DigestArchive& request, std::vector<RangeDigest>& ranges) {
  auto summary = summary_of(stored);
  if (!detail::counts(summary, request.now)) return {};
  if (stored.pieces > 0) {
    // Missing pieces are missing bytes.
    if (auto read = read_pieces(*place_, client, stored, true, request.deadline); !read) return std::move(read).error();
  }
  summary.content = content_of_bytes(std::move(stored), summary);
  add_summary(ranges, summary, request.now);
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
  using Answer = std::vector<RangeDigest>;
  const auto empty = detail::ranges_at(request.starts);
  if (!empty) return empty.error();
  const bool all = request.deep.of == 1;
  auto options = all ? how_to_read_records(place_->options()) : Document();
  if (!all) options.add("projection", fields_for_digests());
  options.add("batchSize", place_->batch_size(all));
  return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<Answer> {
    auto ranges = *empty;
    std::vector<std::string> sampled;
    std::size_t seen = 0;
    auto found =
        place_->find(client, place_->documents(), Document(), options, true, request.deadline, [&](const bson_t* document) -> Result<void> {
          if (request.go_on && ++seen % std::max<std::size_t>(request.page, 1) == 0) {
            if (auto on = request.go_on(); !on) return on;
          }
          auto stored = read_document(document, Reading::kDigest);
          if (!stored) {
            if (stored.error().code() != ErrorCode::kCorrupted) return std::move(stored).error();
            add_damaged(ranges, document);
            return {};
          }
          if (all) return add_bytes(client, *std::move(stored), request, ranges);
          const auto summary = summary_of(*stored);
          if (!request.deep.takes(summary.hash) || !detail::counts(summary, request.now)) {
            add_summary(ranges, summary, request.now);
            return {};
          }
          sampled.push_back(std::move(stored->id));
          if (sampled.size() < kFetch) return {};
          auto added = add_bytes_of(client, sampled, request, ranges);
          sampled.clear();
          return added;
        });
    if (found) found = add_bytes_of(client, sampled, request, ranges);
    if (!found) return std::move(found).error();
    return ranges;
  });
}

}  // namespace setget::inline v0::mongo
