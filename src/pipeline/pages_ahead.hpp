// PagesAhead: an archive read page by page on a thread of its own while the caller works on what came before, so that neither waits for
// the other's server. Thread rule: one thread, and the one inside.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include <setget/archive.hpp>

#include "pipeline/page_size.hpp"

namespace setget::inline v0::detail {

class PagesAhead {
 public:
  // Called on the thread inside, one call at a time; on the caller's where no thread can be had.
  using Read = std::function<Result<SummaryPage>(const std::string& cursor, std::size_t limit)>;
  // Pages from `cursor` on, of as many records as `size` says. At most kPages of them wait for the caller, and no further one is read while
  // those that wait have `max_bytes` of payload.
  PagesAhead(Read read, std::string cursor, PageSize size, std::size_t max_bytes);
  // Waits for the read that is under way.
  ~PagesAhead();
  PagesAhead(const PagesAhead&) = delete;
  PagesAhead& operator=(const PagesAhead&) = delete;

  static constexpr std::size_t kPages = 3;

  // In their order. Waits. What `read` throws is thrown here. Not to be called after an error or the page that has no next.
  Result<SummaryPage> next();

 private:
  struct Page {
    Result<SummaryPage> page;
    std::size_t bytes = 0;
    std::exception_ptr thrown{};
    bool last() const noexcept { return thrown || !page || page->next.empty(); }
  };
  Page read_one();
  void run();

  const Read read_;
  std::string cursor_;  // of whoever reads, with size_
  PageSize size_;
  const std::size_t max_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Page> waiting_;
  std::size_t bytes_ = 0;  // of those
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace setget::inline v0::detail
