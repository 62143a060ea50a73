// Answers that are looked at on a second thread; no server is needed.
#include "mongo/beside.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <setget/clock.hpp>

namespace setget::mongo {
namespace {

constexpr std::int64_t kAnswers = 200;
constexpr std::int64_t kEach = 50;
constexpr std::int64_t kMany = kAnswers * kEach;

// With documents "n": number * kEach and on, the first answer of a query or another one.
std::unique_ptr<Answer> answer(std::int64_t number, std::size_t bytes = 100) {
  Document documents;
  for (std::int64_t i = 0; i < kEach; ++i) {
    Document one;
    one.add("n", number * kEach + i).add_binary("filling", std::string(bytes, 'x'));
    documents.add(std::to_string(i), one);
  }
  Document cursor;
  cursor.add("id", std::int64_t{5}).add_utf8("ns", "a.b").add_array(number == 0 ? "firstBatch" : "nextBatch", documents);
  Document reply;
  reply.add("cursor", cursor).add("ok", 1.0);
  auto out = std::make_unique<Answer>();
  bson_copy_to(reply.raw(), out->fill());
  return out;
}

std::int64_t number_in(const bson_t* document) { return integer_or(document, "n", -1); }

TEST(MongoBeside, each_document_is_looked_at_once_in_their_order_before_the_end) {
  for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, std::int64_t{3}, kAnswers}) {
    std::vector<std::int64_t> seen;
    Beside beside([&](Found document) -> Result<void> {
      seen.push_back(number_in(document));
      return {};
    });
    for (std::int64_t i = 0; i < count; ++i) ASSERT_TRUE(beside.look_at(answer(i, i % 20 == 0 ? 200'000 : 100)));
    ASSERT_TRUE(beside.finish());
    ASSERT_EQ(seen.size(), static_cast<std::size_t>(count * kEach));
    for (std::int64_t i = 0; i < count * kEach; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], i);
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
      for (std::int64_t i = 0; told && i < kAnswers; ++i) told = beside.look_at(answer(i));
      if (told) told = beside.finish();
    }
    ASSERT_FALSE(told) << wrong;
    EXPECT_EQ(told.error().message(), "this one");
    EXPECT_EQ(looked_at, wrong + 1) << "nothing is looked at behind it";
  }
}

TEST(MongoBeside, what_a_look_throws_is_thrown_where_the_answers_come_from) {
  Beside beside([](Found document) -> Result<void> {
    if (number_in(document) == kMany / 2) throw std::runtime_error("no memory");
    return {};
  });
  EXPECT_THROW(
      {
        for (std::int64_t i = 0; i < kAnswers; ++i) (void)beside.look_at(answer(i));
        (void)beside.finish();
      },
      std::runtime_error);
}

TEST(MongoBeside, who_gives_answers_waits_for_looks_that_are_slow) {
  // Small ones are counted, large ones are weighed: two of 8 MiB and more never wait together.
  for (const auto& [bytes, limit] :
       {std::pair{std::size_t{100}, std::int64_t{Beside::kWaiting + 1}}, std::pair{Beside::kBytes / kEach, std::int64_t{1 + 1}}}) {
    constexpr std::int64_t kGiven = 10;
    const std::int64_t most = limit;
    std::atomic<std::int64_t> given{0};
    std::int64_t looked_at = 0;
    std::int64_t behind = 0;
    Beside beside([&](Found document) -> Result<void> {
      if (number_in(document) % kEach != 0) return {};
      if (looked_at == 0) {
        // The first one takes until as many are given as may be, and longer; so no more shall come.
        for (const auto until = Deadline::in(Milliseconds(20'000)); given < most && !until.passed();) std::this_thread::yield();
        for (const auto until = Deadline::in(Milliseconds(100)); given <= most && !until.passed();) std::this_thread::yield();
      }
      behind = std::max(behind, given - looked_at++);
      return {};
    });
    for (std::int64_t i = 0; i < kGiven; ++i, ++given) ASSERT_TRUE(beside.look_at(answer(i, bytes)));
    ASSERT_TRUE(beside.finish());
    EXPECT_EQ(looked_at, kGiven);
    EXPECT_EQ(behind, most) << bytes;
  }
}

TEST(MongoBeside, who_gives_up_leaves_no_thread_behind) {
  std::atomic<std::int64_t> looked_at{0};
  {
    Beside beside([&](Found) -> Result<void> {
      ++looked_at;
      return {};
    });
    for (std::int64_t i = 0; i < kAnswers; ++i) ASSERT_TRUE(beside.look_at(answer(i)));
  }
  const auto then = looked_at.load();
  EXPECT_EQ(then, kMany) << "what was handed over is looked at";
}

TEST(MongoBeside, an_answer_that_is_not_one_of_documents_is_an_error) {
  const auto none = [](Document&& reply) {
    auto out = std::make_unique<Answer>();
    bson_copy_to(reply.raw(), out->fill());
    return out->each([](Found) { return Result<void>(); });
  };
  EXPECT_EQ(none(Document()).error().code(), ErrorCode::kUnavailable);
  Document cursor;
  cursor.add("id", std::int64_t{0});
  Document without;
  without.add("cursor", cursor);
  EXPECT_EQ(none(std::move(without)).error().code(), ErrorCode::kUnavailable);
  Document numbers;
  numbers.add("0", std::int32_t{1});
  Document with;
  with.add_array("nextBatch", numbers);
  Document wrong;
  wrong.add("cursor", with);
  EXPECT_EQ(none(std::move(wrong)).error().code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace setget::mongo
