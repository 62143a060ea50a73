#include "pipeline/pages_ahead.hpp"

#include <system_error>
#include <utility>

namespace setget::inline v0::detail {

PagesAhead::PagesAhead(Read read, std::string cursor, PageSize size, std::size_t max_bytes)
    : read_(std::move(read)), cursor_(std::move(cursor)), size_(size), max_bytes_(max_bytes) {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    // Then each page is read when it is asked for.
  }
}

PagesAhead::~PagesAhead() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<SummaryPage> PagesAhead::next() {
  Page page = [&] {
    if (!thread_.joinable()) return read_one();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !waiting_.empty(); });
    auto first = std::move(waiting_.front());
    waiting_.pop_front();
    bytes_ -= first.bytes;
    lock.unlock();
    changed_.notify_all();
    return first;
  }();
  if (page.thrown) std::rethrow_exception(page.thrown);
  return std::move(page.page);
}

PagesAhead::Page PagesAhead::read_one() {
  try {
    Page out{.page = read_(cursor_, size_.limit())};
    if (!out.page) return out;
    for (const auto& item : out.page->items) out.bytes += item.record ? item.record->payload.size() : item.encoded.size();
    size_.saw(out.page->items.size(), out.bytes);
    cursor_ = out.page->next;
    return out;
  } catch (...) {
    return {.page = SummaryPage{}, .thrown = std::current_exception()};
  }
}

void PagesAhead::run() {
  bool last = false;
  while (!last) {
    auto page = read_one();
    last = page.last();
    std::unique_lock lock(mutex_);
    bytes_ += page.bytes;
    waiting_.push_back(std::move(page));
    changed_.notify_all();
    changed_.wait(lock, [&] { return stopped_ || waiting_.empty() || (waiting_.size() < kPages && bytes_ < max_bytes_); });
    if (stopped_) return;
  }
}

}  // namespace setget::inline v0::detail
