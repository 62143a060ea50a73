// What a restore reads while it writes.
#include "pipeline/pages_ahead.hpp"

#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include "archive_support.hpp"

namespace {

using namespace setget_test;
using setget::detail::PagesAhead;
using setget::detail::PageSize;

// Pages "0" to "N-1", each of as many records as were asked for.
class Book {
 public:
  explicit Book(int pages, std::size_t payload = 1) : pages_(pages), payload_(payload) {}

  Result<SummaryPage> read(const std::string& cursor, std::size_t limit) {
    const int number = cursor.empty() ? 0 : std::stoi(cursor);
    SummaryPage page;
    for (std::size_t i = 0; i < limit; ++i) {
      Summary item;
      item.id = std::to_string(number);
      item.record.emplace().payload = Payload::adopt(std::string(payload_, 'x'));
      page.items.push_back(std::move(item));
    }
    if (number + 1 < pages_) page.next = std::to_string(number + 1);
    {
      const std::lock_guard lock(mutex_);
      ++read_;
    }
    changed_.notify_all();
    return page;
  }
  PagesAhead::Read reader() {
    return [this](const std::string& cursor, std::size_t limit) { return read(cursor, limit); };
  }
  // False: not within ten seconds.
  bool wait_until_read(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return read_ >= count; });
  }
  int have_been_read() {
    const std::lock_guard lock(mutex_);
    return read_;
  }

 private:
  const int pages_;
  const std::size_t payload_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int read_ = 0;
};

TEST(PagesAhead, gives_every_page_in_order_from_where_it_is_told_to_begin) {
  for (const int from : {0, 7}) {
    Book book(40);
    PagesAhead pages(book.reader(), from == 0 ? "" : std::to_string(from), PageSize(4, 1000), 1000);
    for (int i = from; i < 40; ++i) {
      const auto page = pages.next().value();
      ASSERT_EQ(page.items.front().id, std::to_string(i));
      EXPECT_EQ(page.next.empty(), i == 39);
    }
    EXPECT_EQ(book.have_been_read(), 40 - from) << "each once, and none behind the last";
  }
}

TEST(PagesAhead, reads_on_while_the_caller_is_at_work_and_no_further_than_it_may) {
  Book book(40);
  PagesAhead pages(book.reader(), "", PageSize(4, 1000), 1000);
  const int most = static_cast<int>(PagesAhead::kPages);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(book.wait_until_read(i + most)) << "nobody has asked for them yet";
    EXPECT_LE(book.have_been_read(), i + most);
    ASSERT_TRUE(pages.next());
  }
}

TEST(PagesAhead, keeps_no_more_than_its_bytes_and_a_page) {
  Book book(40, 600);
  PagesAhead pages(book.reader(), "", PageSize(1, 10'000), 1000);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(book.wait_until_read(i + 2));
    EXPECT_LE(book.have_been_read(), i + 2) << "two pages have 1200 bytes";
    ASSERT_TRUE(pages.next());
  }
}

TEST(PagesAhead, pages_grow_as_far_as_their_bytes_allow) {
  Book book(40, 100);
  PagesAhead pages(book.reader(), "", PageSize(500, 100'000), 100'000);
  std::size_t largest = 0;
  for (int i = 0; i < 40; ++i) largest = std::max(largest, pages.next().value().items.size());
  EXPECT_EQ(largest, 256u) << "those are a quarter of the bytes, and not less";
}

TEST(PagesAhead, an_error_comes_after_the_pages_before_it) {
  Book book(40);
  PagesAhead pages(
      [&](const std::string& cursor, std::size_t limit) -> Result<SummaryPage> {
        if (cursor == "2") return Error(ErrorCode::kUnavailable, "gone");
        return book.read(cursor, limit);
      },
      "", PageSize(4, 1000), 1000);
  EXPECT_EQ(pages.next().value().items.front().id, "0");
  EXPECT_EQ(pages.next().value().items.front().id, "1");
  EXPECT_EQ(pages.next().error().code(), ErrorCode::kUnavailable);
}

TEST(PagesAhead, what_reading_throws_is_thrown_to_the_caller) {
  Book book(40);
  PagesAhead pages(
      [&](const std::string& cursor, std::size_t limit) -> Result<SummaryPage> {
        if (cursor == "1") throw std::runtime_error("no memory");
        return book.read(cursor, limit);
      },
      "", PageSize(4, 1000), 1000);
  EXPECT_TRUE(pages.next());
  EXPECT_THROW((void)pages.next(), std::runtime_error);
}

TEST(PagesAhead, ends_at_once_where_the_caller_wants_no_more) {
  Book book(40);
  {
    PagesAhead pages(book.reader(), "", PageSize(4, 1000), 1000);
    ASSERT_TRUE(book.wait_until_read(static_cast<int>(PagesAhead::kPages)));
  }
  EXPECT_LE(book.have_been_read(), static_cast<int>(PagesAhead::kPages));
}

}  // namespace
