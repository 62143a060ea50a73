// PageSize: how many records a page of a scan may hold so that it stays near a number of bytes: pages are bounded by count only. Thread
// rule: one thread.
#pragma once

#include <algorithm>
#include <cstddef>

namespace setget::inline v0::detail {

class PageSize {
 public:
  PageSize(std::size_t max_records, std::size_t max_bytes) : max_records_(max_records), max_bytes_(max_bytes) {}
  std::size_t limit() const noexcept { return limit_; }
  void saw(std::size_t records, std::size_t bytes) noexcept {
    if (bytes > max_bytes_) {
      limit_ = std::max<std::size_t>(limit_ / 2, 1);
    } else if (records == limit_ && bytes < max_bytes_ / 4) {
      limit_ = std::min(limit_ * 2, max_records_);
    }
  }

 private:
  std::size_t max_records_;
  std::size_t max_bytes_;
  std::size_t limit_ = std::min<std::size_t>(16, max_records_);
};

}  // namespace setget::inline v0::detail
