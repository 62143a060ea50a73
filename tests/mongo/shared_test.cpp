// An archive whose database is not its own alone: newer versions, indexes of other options, and documents of others.
#include <gtest/gtest.h>

#include "mongo/archived.hpp"
#include "mongo/trial.hpp"

namespace {

using namespace mongo_test;

class MongoShared : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { SETGET_REQUIRE_MONGO(GetParam()); }
  // Time enough to be told no.
  static mongo::Options options() {
    auto out = shared_server(GetParam()).options();
    out.connect_timeout = Milliseconds(30'000);
    return out;
  }
};

TEST_P(MongoShared, is_left_alone_by_writers_that_a_newer_version_rules_out) {
  const auto with = options();
  Archive archive(with);
  ASSERT_TRUE(archive.command(R"({"update": ")" + with.collection +
                              R"(.state", "updates": [{"q": {"_id": "format"}, "u": {"$set": {"min_writer": )" +
                              std::to_string(mongo::kFormat + 1) + "}}}]}"));
  const auto opened = mongo::open(with);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kUnsupported);
}

TEST_P(MongoShared, does_not_say_that_only_runs_drop_where_an_index_does) {
  auto with = options();
  with.ttl_index = false;
  {
    Archive archive(with);  // makes its indexes, and drops them
  }
  Archive other(options());
  const auto made = other.command(R"({"createIndexes": ")" + with.collection +
                                  R"(", "indexes": [{"key": {"record.purge_at": 1}, "name": "setget_purge", "expireAfterSeconds": 0}]})");
  if (GetParam() == Kind::kFerret || GetParam() == Kind::kNamed) return;  // these may have no such indexes
  ASSERT_TRUE(made);
  const auto opened = mongo::open(with);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(opened.error().field(), "index");
  EXPECT_NE(opened.error().message().find("dropIndex"), std::string::npos) << opened.error().message();
  ASSERT_TRUE(other.command(R"({"drop": ")" + with.collection + R"("})"));
}

TEST_P(MongoShared, reclaiming_ends_over_due_documents_of_others_and_leaves_them) {
  auto with = options();
  with.ttl_index = false;
  with.batch = 2;
  Archive archive(with);
  auto entry = document("z", 1);
  entry.purge_at = TimePoint(Milliseconds(1000));
  ASSERT_EQ(written(archive->write({.entries = std::span(&entry, 1)}).value()), 1u);
  ASSERT_TRUE(archive.command(R"({"insert": ")" + with.collection +
                              R"(", "documents": [{"_id": 1, "record": {"purge_at": {"$date": 1}}},
                                                 {"_id": 2, "record": {"purge_at": {"$date": 2}}},
                                                 {"_id": 3, "record": {"purge_at": {"$date": 3}}}]})"));
  EXPECT_EQ(archive->reclaim({.now = TimePoint(Milliseconds(2000)), .max_steps = 100}).value(), 1u);
  EXPECT_EQ(archive->get_by_id({.ns = {}, .id = "z", .now = TimePoint{}}).value().status, Lookup::Status::kUnknown);
  EXPECT_EQ(archive.count(""), 3);
}

// Who asks for a number of records does not know how large they are.
TEST_P(MongoShared, a_page_of_large_records_is_short) {
  if (GetParam() == Kind::kFerret) GTEST_SKIP() << "takes 15 s to write them, and the page is this side's";
  auto with = options();
  with.max_inline_bytes = 3u << 20;
  Archive archive(with);
  for (int i = 0; i < 8; ++i) {
    const auto entry = document("r" + std::to_string(i), 1, std::string((i % 2 == 0 ? 3u : 4u) << 20, 'x'));
    ASSERT_EQ(written(archive->write({.entries = std::span(&entry, 1)}).value()), 1u);
  }
  std::size_t found = 0;
  std::size_t pages = 0;
  ScanArchive request{.with_records = true};
  do {
    const auto page = archive->scan(request).value();
    EXPECT_LE(page.items.size(), 6u);
    for (const auto& item : page.items) EXPECT_EQ(item.content, content_digest(item.record.value()));
    found += page.items.size();
    request.cursor = page.next;
    ++pages;
  } while (!request.cursor.empty() && pages < 20);
  EXPECT_EQ(found, 8u);
  EXPECT_GE(pages, 2u);
  EXPECT_EQ(archive->scan({.with_records = false}).value().items.size(), 8u);
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoShared, ::testing::ValuesIn(kinds()), [](const auto& test) { return name_of(test.param); });

}  // namespace
