#include "pipeline/archive_pages.hpp"

#include <utility>

namespace setget::inline v0::detail {

Result<SummaryPage> scan_over_damage(ArchiveBackend& archive, ScanArchive request) {
  request.over_damaged = true;
  auto page = archive.scan(request);
  if (page || !is_damage(page.error()) || !request.with_records) return page;
  // One by one: then it is known which of them it is.
  request.with_records = false;
  auto lines = archive.scan(request);
  if (!lines) return lines;
  std::vector<Summary> items;
  items.reserve(lines->items.size());
  for (auto& line : lines->items) {
    if (!line.tombstone) {
      auto found = archive.get_by_id({.ns = line.ns, .id = line.id, .now = TimePoint{}, .deadline = request.deadline});
      if (!found) {
        if (!is_damage(found.error())) return std::move(found).error();
        lines->damaged.push_back({.hash = line.hash,
                                  .ns = std::move(line.ns),
                                  .id = std::move(line.id),
                                  .name = {},
                                  .reason = std::string(found.error().message())});
        continue;
      }
      if (!found->record) continue;  // gone meanwhile
      line.record = std::move(found->record);
    }
    items.push_back(std::move(line));
  }
  lines->items = std::move(items);
  return lines;
}

}  // namespace setget::inline v0::detail
