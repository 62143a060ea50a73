// The cache itself, told what happens.
#include "redis/answer_cache.hpp"

#include <gtest/gtest.h>

#include <string>

#include <setget/record.hpp>

namespace setget::redis {
namespace {

using std::chrono::milliseconds;

class Cache : public ::testing::Test {
 protected:
  static CacheOptions small() {
    CacheOptions options;
    options.enabled = true;
    options.max_entries = 100;
    options.max_bytes = 1 << 20;
    options.max_silence = Milliseconds(1000);
    return options;
  }
  void make(const CacheOptions& options, std::uint32_t parts = 1) {
    cache_ = std::make_unique<AnswerCache>(options, parts);
    generations_.resize(parts);
    for (std::uint32_t part = 0; part < parts; ++part) connect(part);
  }
  void connect(std::uint32_t part) {
    generations_[part] = cache_->begin(part);
    cache_->confirm(part, generations_[part], start_);
  }
  static std::uint64_t hash(const std::string& key) { return key_hash("", key); }
  AnswerCache::Sources seen(const std::string& name, std::uint32_t part = 0) const {
    AnswerCache::Sources sources;
    sources.add(cache_->look_at(part, hash(name), generations_[part]));
    return sources;
  }
  static Lookup record(std::size_t bytes = 10) {
    Lookup lookup{.status = Lookup::Status::kFound, .record = Record()};
    lookup.record->payload = Payload(std::string(bytes, 'x'));
    return lookup;
  }
  void keep(const std::string& key, const AnswerCache::Sources& sources, Lookup lookup = record()) {
    cache_->keep(hash(key), {.ns = {}, .key = key, .lookup = std::move(lookup), .now = now_, .sources = sources});
  }
  bool has(const std::string& key, Milliseconds later = Milliseconds(0)) {
    return cache_->find(hash(key), "", key, now_, start_ + later) != nullptr;
  }
  bool has_stale(const std::string& key, Milliseconds later = Milliseconds(0)) {
    return cache_->find_stale(hash(key), "", key, now_, start_ + later, age_) != nullptr;
  }

  const AnswerCache::Time start_ = std::chrono::steady_clock::now();
  TimePoint now_ = TimePoint(Milliseconds(1'000'000));
  std::unique_ptr<AnswerCache> cache_;
  std::vector<std::uint64_t> generations_;  // of each part's connection
  Milliseconds age_{0};
};

TEST_F(Cache, answers_again_until_an_entry_changes_that_the_answer_came_from) {
  make(small());
  auto sources = seen("key");
  sources.add(cache_->look_at(0, hash("record"), generations_[0]));
  keep("key", sources);
  EXPECT_TRUE(has("key"));
  EXPECT_FALSE(has("another"));
  cache_->changed(hash("unrelated"));
  EXPECT_TRUE(has("key"));
  cache_->changed(hash("record"));
  EXPECT_FALSE(has("key"));
}

TEST_F(Cache, keeps_nothing_that_changed_while_it_was_read) {
  make(small());
  const auto sources = seen("key");
  cache_->changed(hash("key"));  // the invalidation is dealt with before the reply that came ahead of it
  keep("key", sources);
  EXPECT_FALSE(has("key"));
  EXPECT_EQ(cache_->counts().entries, 0U);
}

TEST_F(Cache, answers_no_longer_than_the_server_was_heard_of) {
  make(small());
  keep("key", seen("key"));
  EXPECT_TRUE(has("key", Milliseconds(999)));
  EXPECT_FALSE(has("key", Milliseconds(1000)));
  EXPECT_FALSE(cache_->leased(0, start_ + milliseconds(1000)));
  cache_->confirm(0, generations_[0], start_ + milliseconds(900));
  EXPECT_TRUE(has("key", Milliseconds(1899))) << "one heartbeat later it is as good as before";
  EXPECT_FALSE(has("key", Milliseconds(1900)));
}

TEST_F(Cache, a_lost_connection_ends_what_came_over_it_and_no_late_reply_brings_it_back) {
  make(small(), 2);
  keep("a", seen("a", 0));
  keep("b", seen("b", 1));
  const auto on_its_way = seen("c", 0);
  const auto before = generations_[0];
  cache_->lost(0);
  EXPECT_FALSE(has("a"));
  EXPECT_TRUE(has("b")) << "another server's";
  cache_->confirm(0, before, start_);
  EXPECT_FALSE(has("a"));
  connect(0);
  keep("c", on_its_way);
  EXPECT_FALSE(has("a"));
  EXPECT_FALSE(has("c"));
  cache_->sweep(start_);
  EXPECT_EQ(cache_->counts().entries, 1U);
  keep("d", seen("d", 0));
  EXPECT_TRUE(has("d"));
}

// Between taking the connection and looking at the entry another one may have taken its place.
TEST_F(Cache, keeps_nothing_that_is_read_on_a_connection_which_is_not_the_present_one) {
  make(small());
  const auto old = generations_[0];
  cache_->lost(0);
  connect(0);
  AnswerCache::Sources sources;
  sources.add(cache_->look_at(0, hash("key"), old));
  keep("key", sources);
  EXPECT_FALSE(has("key")) << "no invalidation of it comes on the present one";
  keep("key", seen("key"));
  EXPECT_TRUE(has("key"));
}

TEST_F(Cache, never_answers_beyond_a_records_expiry_nor_with_what_a_later_clock_saw) {
  make(small());
  auto lookup = record();
  lookup.record->expires_at = now_ + Milliseconds(10);
  keep("key", seen("key"), lookup);
  EXPECT_TRUE(has("key"));
  now_ += Milliseconds(9);
  EXPECT_TRUE(has("key"));
  now_ += Milliseconds(1);
  EXPECT_FALSE(has("key"));
  EXPECT_FALSE(has_stale("key"));
  keep("gone", seen("gone"), Lookup{.status = Lookup::Status::kGone, .record = {}});
  EXPECT_TRUE(has("gone"));
  now_ -= Milliseconds(1);
  EXPECT_FALSE(has("gone"));
}

TEST_F(Cache, holds_no_more_entries_than_it_may_and_keeps_those_that_are_used) {
  make(small());
  keep("hot", seen("hot"));
  for (int i = 0; i < 2000; ++i) {
    const auto key = "cold" + std::to_string(i);
    keep(key, seen(key));
    EXPECT_TRUE(has("hot")) << i;
    ASSERT_LE(cache_->counts().entries, 100U);
  }
  EXPECT_GT(cache_->counts().entries, 60U);
}

TEST_F(Cache, holds_no_more_bytes_than_it_may) {
  auto options = small();
  options.max_entries = 1'000'000;
  options.max_bytes = 100'000;
  make(options);
  for (int i = 0; i < 1000; ++i) {
    const auto key = "key" + std::to_string(i);
    keep(key, seen(key), record(1000));
    ASSERT_LE(cache_->counts().bytes, 100'000U);
  }
  EXPECT_GT(cache_->counts().entries, 30U);
  keep("large", seen("large"), record(30'000));
  EXPECT_FALSE(has("large")) << "it would push out most of the others";
  cache_->clear();
  EXPECT_EQ(cache_->counts().bytes, 0U);
  EXPECT_EQ(cache_->counts().entries, 0U);
}

TEST_F(Cache, several_answers_were_valid_at_one_moment_or_not_at_all) {
  make(small());
  keep("a", seen("a"));
  keep("b", seen("b"));
  const auto a = cache_->find(hash("a"), "", "a", now_, start_);
  cache_->changed(hash("a"));
  cache_->changed(hash("b"));
  keep("b", seen("b"));
  const auto b = cache_->find(hash("b"), "", "b", now_, start_);
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  EXPECT_FALSE(cache_->valid(*a, start_)) << "a is of before the change and b of after it";
  EXPECT_TRUE(cache_->valid(*b, start_));
}

TEST_F(Cache, serves_stale_what_was_confirmed_lately_and_is_not_known_to_have_changed) {
  auto options = small();
  options.serve_stale = true;
  options.max_stale = Milliseconds(5000);
  make(options);
  keep("a", seen("a"));
  keep("changed", seen("changed"));
  keep("absent", seen("absent"), Lookup());
  cache_->changed(hash("changed"));
  cache_->lost(0);
  cache_->sweep(start_);
  EXPECT_FALSE(has("a"));
  EXPECT_TRUE(has_stale("a", Milliseconds(5000)));
  EXPECT_EQ(age_, Milliseconds(5000));
  EXPECT_FALSE(has_stale("a", Milliseconds(5001)));
  EXPECT_FALSE(has_stale("changed"));
  EXPECT_FALSE(has_stale("absent")) << "absence is not worth telling";
  connect(0);
  EXPECT_FALSE(has_stale("a")) << "the server is back and can be asked";
}

TEST(CacheOptionsTest, name_the_field_that_is_wrong) {
  CacheOptions options;
  EXPECT_TRUE(options.validate());
  options.enabled = true;
  EXPECT_TRUE(options.validate());
  options.max_entries = 0;
  EXPECT_EQ(options.validate().error().field(), "cache.max_entries");
  options.max_entries = 1;
  options.max_bytes = 1;
  EXPECT_EQ(options.validate().error().field(), "cache.max_bytes");
  options.max_bytes = 4096;
  options.max_silence = Milliseconds(9);
  EXPECT_EQ(options.validate().error().field(), "cache.max_silence");
  options.max_silence = Milliseconds(10);
  options.max_stale = Milliseconds(-1);
  EXPECT_EQ(options.validate().error().field(), "cache.max_stale");
}

}  // namespace
}  // namespace setget::redis
