#include "core/range_digest.hpp"

namespace setget::inline v0 {

namespace {

// The content of a document whose bytes are not those that it was made of.
constexpr Digest kDamaged{.high = ~std::uint64_t{0}, .low = ~std::uint64_t{0}};

}  // namespace

Digest entry_digest(const Summary& summary) {
  return detail::entry_digest(detail::EntryView{.ns = summary.ns,
                                                .id = summary.id,
                                                .version = summary.version,
                                                .revision = summary.revision,
                                                .stamp = summary.stamp,
                                                .ttl_rule = summary.ttl_rule,
                                                .expires_at = summary.expires_at,
                                                .content = summary.content});
}

Result<std::vector<RangeDigest>> KeyStoreBackend::digest(const DigestRecords& request) {
  auto ranges = detail::RangeSums::of(request);
  if (!ranges) return std::move(ranges).error();
  std::string cursor;
  do {
    if (request.go_on) {
      if (auto on = request.go_on(); !on) return std::move(on).error();
    }
    const auto page = scan({.cursor = cursor, .limit = request.page, .with_records = false, .deadline = request.deadline});
    if (!page) return page.error();
    for (const auto& item : page->items) {
      if (detail::counts(item, request.now)) ranges->add(item.hash, entry_digest(item));
    }
    cursor = page->next;
  } while (!cursor.empty());
  return ranges->take();
}

Result<std::vector<RangeDigest>> ArchiveBackend::digest(const DigestArchive& request) {
  auto ranges = detail::ranges_at(request.starts);
  if (!ranges) return ranges;
  std::string cursor;
  do {
    if (request.go_on) {
      if (auto on = request.go_on(); !on) return std::move(on).error();
    }
    auto page = scan({.cursor = cursor, .limit = request.page, .with_records = false, .over_damaged = true, .deadline = request.deadline});
    if (!page) return std::move(page).error();
    for (const auto& item : page->damaged) {
      Summary line{.hash = item.hash, .ns = item.ns, .id = item.id};
      line.content = kDamaged;
      detail::range_of(*ranges, item.hash).add(entry_digest(line));
    }
    for (auto& item : page->items) {
      if (!detail::counts(item, request.now)) continue;
      if (request.deep.takes(item.hash)) {
        // One at a time: payloads of a whole page may be larger than memory.
        const auto found = get_by_id({.ns = item.ns, .id = item.id, .now = request.now, .deadline = request.deadline});
        if (!found && found.error().code() != ErrorCode::kCorrupted && found.error().code() != ErrorCode::kUnsupported)
          return found.error();
        if (found && !found->record) continue;  // gone meanwhile
        item.content = found ? content_digest(*found->record) : kDamaged;
        if (found) {
          item.stamp = found->record->stamp;
          item.ttl_rule = found->record->ttl_rule;
        }
      }
      detail::range_of(*ranges, item.hash).add(entry_digest(item));
    }
    cursor = std::move(page->next);
  } while (!cursor.empty());
  return ranges;
}

}  // namespace setget::inline v0
