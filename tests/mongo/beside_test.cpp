// Documents that are looked at on a second thread; no server is needed.
#include "mongo/beside.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <setget/clock.hpp>

namespace setget::mongo {
namespace {

Document numbered(std::int64_t number, std::size_t bytes = 100) {
  Document out;
  out.add("n", number).add_binary("filling", std::string(bytes, 'x'));
  return out;
}

std::int64_t number_in(const bson_t* document) { return integer_or(document, "n", -1); }

constexpr std::int64_t kMany = 20'000;  // many times what is handed over at once

TEST(MongoBeside, each_document_is_looked_at_once_in_their_order_before_the_end) {
  for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, std::int64_t{3}, kMany}) {
    std::vector<std::int64_t> seen;
    Beside beside([&](Found document) -> Result<void> {
      seen.push_back(number_in(document));
      return {};
    });
    for (std::int64_t i = 0; i < count; ++i) {
      // What was given is of no use any more once the call is over.
      auto document = numbered(i, i % 1'000 == 0 ? 200'000 : 100);
      ASSERT_TRUE(beside.look_at(document.raw()));
    }
    ASSERT_TRUE(beside.finish());
    ASSERT_EQ(seen.size(), static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], i);
  }
}

TEST(MongoBeside, an_error_of_a_look_ends_it_and_is_told) {
  for (const std::int64_t wrong : {std::int64_t{0}, kMany / 2, kMany - 1}) {
    std::int64_t looked_at = 0;
    Result<void> told;
    {
      Beside beside([&](Found document) -> Result<void> {
        ++looked_at;
        return number_in(document) == wrong ? Result<void>(Error(ErrorCode::kUnsupported, "this one")) : Result<void>();
      });
      for (std::int64_t i = 0; told && i < kMany; ++i) told = beside.look_at(numbered(i).raw());
      if (told) told = beside.finish();
    }
    ASSERT_FALSE(told) << wrong;
    EXPECT_EQ(told.error().message(), "this one");
    EXPECT_EQ(looked_at, wrong + 1) << "nothing is looked at behind it";
  }
}

TEST(MongoBeside, what_a_look_throws_is_thrown_where_the_documents_come_from) {
  Beside beside([](Found document) -> Result<void> {
    if (number_in(document) == kMany / 2) throw std::runtime_error("no memory");
    return {};
  });
  EXPECT_THROW(
      {
        for (std::int64_t i = 0; i < kMany; ++i) (void)beside.look_at(numbered(i).raw());
        (void)beside.finish();
      },
      std::runtime_error);
}

TEST(MongoBeside, who_gives_documents_waits_for_looks_that_are_slow) {
  // Three blocks of 64 KiB and one that is being filled, of more than 120 bytes each.
  constexpr std::int64_t kMost = 4 * 65'536 / 120;
  std::atomic<std::int64_t> given{0};
  std::int64_t looked_at = 0;
  std::int64_t behind = 0;
  Beside beside([&](Found) -> Result<void> {
    // The first one takes long enough for as many as anybody gives; so many shall not come.
    for (const auto until = Deadline::in(Milliseconds(300)); looked_at == 0 && given <= kMost && !until.passed();)
      std::this_thread::yield();
    behind = std::max(behind, given - looked_at++);
    return {};
  });
  for (std::int64_t i = 0; i < kMany; ++i, ++given) ASSERT_TRUE(beside.look_at(numbered(i).raw()));
  ASSERT_TRUE(beside.finish());
  EXPECT_EQ(looked_at, kMany);
  EXPECT_LE(behind, kMost);
}

TEST(MongoBeside, who_gives_up_leaves_no_thread_behind) {
  std::atomic<std::int64_t> looked_at{0};
  {
    Beside beside([&](Found) -> Result<void> {
      ++looked_at;
      return {};
    });
    for (std::int64_t i = 0; i < kMany; ++i) ASSERT_TRUE(beside.look_at(numbered(i).raw()));
  }
  const auto then = looked_at.load();
  EXPECT_LE(then, kMany);
  EXPECT_GE(then, kMany / 2) << "what was handed over is looked at";
}

}  // namespace
}  // namespace setget::mongo
