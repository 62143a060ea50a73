// Answers of a server: a driver takes messages of 48 MB, and some servers put into one all that there is, or all that a batch may hold.
#include <gtest/gtest.h>

#include "mongo/trial.hpp"

namespace {

using namespace mongo_test;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class MongoReplies : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { SETGET_REQUIRE_MONGO(GetParam()); }
  static mongo::Options options() { return shared_server(GetParam()).options(); }
};

std::string bytes_of(std::size_t count, char first) {
  std::string out(count, first);
  for (std::size_t i = 0; i < out.size(); i += 4096) out[i] = static_cast<char>(i >> 12);
  return out;
}

TEST_P(MongoReplies, pages_of_large_payloads_are_read_whole) {
  Archive archive(options());
  constexpr int kCount = 60;
  for (int i = 0; i < kCount; ++i) {
    const auto entry = document("r" + std::to_string(i), 1, bytes_of(kMiB, static_cast<char>('a' + i % 26)));
    ASSERT_EQ(written(archive->write({.entries = std::span(&entry, 1)}).value()), 1u);
  }
  int seen = 0;
  std::string cursor;
  do {
    const auto page = archive->scan({.cursor = cursor, .limit = 500, .with_records = true});
    ASSERT_TRUE(page) << page.error().describe();
    for (const auto& item : page->items) seen += item.record && item.record->payload.size() == kMiB ? 1 : 0;
    cursor = page->next;
  } while (!cursor.empty());
  EXPECT_EQ(seen, kCount);
  const std::vector<std::uint64_t> starts{0};
  const auto digests = archive->digest({.starts = starts, .deep = {.of = 1}});
  ASSERT_TRUE(digests) << digests.error().describe();
}

TEST_P(MongoReplies, pieces_of_a_payload_are_read_whole_however_large_it_is) {
  Archive archive(options());
  const auto large = bytes_of(60 * kMiB, 'x');
  const auto entry = document("large", 1, large);
  const auto done = archive->write({.entries = std::span(&entry, 1)});
  ASSERT_EQ(written(done.value()), 1u);
  const auto found = archive->get_by_id({.ns = {}, .id = "large", .now = TimePoint{}});
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_TRUE(found->record && found->record->payload.view() == large);
}

TEST_P(MongoReplies, pages_of_the_past_are_read_whole) {
  Archive archive(options());
  constexpr int kCount = 60;
  const TimePoint moment{Milliseconds(1'790'000'000'000)};
  for (int i = 0; i < kCount; ++i) {
    std::vector<ArchivedState> states(1);
    auto& state = states[0].state;
    state.position = static_cast<Position>(i + 1);
    state.at = moment;
    state.id = "r" + std::to_string(i);
    state.version = 1;
    state.record = document(state.id, 1, bytes_of(kMiB, 'p')).record;
    ASSERT_TRUE(archive->write_history({.source = {.uuid = "s", .epoch = 1}, .states = states}));
  }
  int seen = 0;
  std::string cursor;
  do {
    const auto page = archive->scan_history({.cursor = cursor, .limit = 500, .at = moment});
    ASSERT_TRUE(page) << page.error().describe();
    for (const auto& item : page->items) seen += item.record && item.record->payload.size() == kMiB ? 1 : 0;
    cursor = page->next;
  } while (!cursor.empty());
  EXPECT_EQ(seen, kCount);
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoReplies, ::testing::ValuesIn(kinds()), [](const auto& test) { return name_of(test.param); });

}  // namespace
