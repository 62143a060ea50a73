// Verification's walk along one side, line by line, and how it steps over what is damaged there. Thread rule: one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/scan_cursor.hpp"
#include "pipeline/archive_pages.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::detail {

inline int order(const Summary& a, const Summary& b) {
  if (a.hash != b.hash) return a.hash < b.hash ? -1 : 1;
  if (const auto ns = a.ns.compare(b.ns); ns != 0) return ns;
  return a.id.compare(b.id);
}

// A document whose identity can be read stands in its place, with a version that none has: it differs from whatever the store has. What
// cannot even be named goes to nameless(item).
template <class Nameless>
void take_damaged(SummaryPage& page, std::optional<std::uint64_t> end, Nameless nameless) {
  for (auto& item : page.damaged) {
    if (end && item.hash >= *end) continue;
    if (item.id.empty()) {
      nameless(item);
      continue;
    }
    Summary line{.hash = item.hash, .ns = std::move(item.ns), .id = std::move(item.id)};
    const auto at = std::ranges::find_if(page.items, [&](const Summary& other) { return order(line, other) < 0; });
    page.items.insert(at, std::move(line));
  }
  page.damaged.clear();
}

// One side's scan as a stream of summaries in their order.
template <class Fetch>
class ScanStream {
 public:
  ScanStream(Fetch fetch, std::size_t limit) : fetch_(std::move(fetch)), most_(limit) {}

  // Null at the end; the pointer holds until pop(). Where a page cannot be read for damage, what stands before it comes first: the error is
  // of the next one.
  Result<const Summary*> peek() {
    while (at_ >= page_.items.size()) {
      if (ended_) return static_cast<const Summary*>(nullptr);
      auto page = fetch_(page_.next, limit_);
      if (!page && is_damage(page.error()) && limit_ > 1) {
        limit_ = 1;
        continue;
      }
      if (!page) return std::move(page).error();
      limit_ = std::min(limit_ * 2, most_);
      page_ = std::move(*page);
      at_ = 0;
      ended_ = page_.next.empty();
    }
    return static_cast<const Summary*>(&page_.items[at_]);
  }
  void pop() { ++at_; }
  // Goes on behind `item`, which peek() could not give.
  void pass(const Summary& item) {
    page_ = {};
    page_.next = encode_scan_cursor(item.hash, item.ns, item.id);
    at_ = 0;
  }

 private:
  Fetch fetch_;
  const std::size_t most_;
  std::size_t limit_ = most_;
  SummaryPage page_;
  std::size_t at_ = 0;
  bool ended_ = false;
};

}  // namespace setget::inline v0::detail
