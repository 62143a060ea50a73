// A record as a document and back; no server is needed.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "mongo/codec.hpp"

namespace setget::mongo {
namespace {

ArchiveEntry entry(const std::string& payload) {
  ArchiveEntry out;
  out.id = "i";
  out.version = 7;
  out.record.id = "i";
  out.record.keys = KeyList({"k"});
  out.record.payload = Payload(payload);
  out.record.version = 7;
  out.record.stamp = 9;
  return out;
}

Document document_of(const ArchiveEntry& entry) {
  Prepared prepared;
  EXPECT_TRUE(prepare(entry, {}, 0, prepared));
  return whole_of(prepared);
}

// The same with the members of its record the other way round, as whoever changes one in the database may leave them, and without one.
Document turned_round(const Document& document, std::string_view without = {}) {
  Document out;
  bson_iter_t at;
  bson_iter_init(&at, document.raw());
  while (bson_iter_next(&at)) {
    if (Value(at).name() != "record") {
      bson_append_iter(out.out(), nullptr, 0, &at);
      continue;
    }
    std::vector<std::string> names;
    bson_iter_t member;
    for (bson_iter_recurse(&at, &member); bson_iter_next(&member);) names.emplace_back(bson_iter_key(&member));
    std::ranges::reverse(names);
    std::erase(names, without);
    Document record;
    for (const auto& name : names) {
      if (bson_iter_recurse(&at, &member) && bson_iter_find(&member, name.c_str())) bson_append_iter(record.out(), nullptr, 0, &member);
    }
    out.add("record", record);
  }
  return out;
}

TEST(MongoDocument, is_read_in_whichever_order_its_members_stand) {
  const auto written = document_of(entry("payload"));
  const auto changed = turned_round(written);
  for (const auto* document : {&written, &changed}) {
    const auto record = record_of(read_document(document->raw(), Reading::kRecord).value());
    ASSERT_TRUE(record) << record.error().describe();
    EXPECT_EQ(record->payload.view(), "payload");
    auto seen = read_document(document->raw(), Reading::kDigest).value();
    const auto summary = summary_of(seen);
    EXPECT_EQ(content_of_bytes(seen, summary.content), content_digest(entry("payload").record));
  }
}

TEST(MongoDocument, that_lists_its_keys_is_damaged_once_it_does_not_say_which_its_record_has_lost) {
  auto lost = entry("payload");
  lost.record.keys = KeyList({"k", "l"});
  lost.record.lost_keys = KeyList({"l"});
  const auto written = document_of(lost);
  EXPECT_EQ(record_of(read_document(turned_round(written).raw(), Reading::kRecord).value()).value().lost_keys, KeyList({"l"}));
  const auto changed = turned_round(written, "lost");
  const auto record = record_of(read_document(changed.raw(), Reading::kRecord).value());
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code(), ErrorCode::kCorrupted);
  auto seen = read_document(changed.raw(), Reading::kDigest).value();
  const auto summary = summary_of(seen);
  EXPECT_EQ(summary.content, content_digest(lost.record)) << "what its state says";
  EXPECT_NE(content_of_bytes(seen, summary.content), summary.content);
}

TEST(MongoDocument, that_a_later_version_wrote_is_not_taken_for_a_damaged_one) {
  const auto written = document_of(entry("payload"));
  auto stored = read_document(written.raw(), Reading::kRecord).value();
  stored.encoded[0] = 99;
  auto later = stored;
  EXPECT_EQ(record_of(std::move(stored)).error().code(), ErrorCode::kCorrupted) << "a byte is wrong";
  const auto bytes = digest_of(later.encoded);
  const auto keys = digest_of(later.held_keys.value());
  later.digest = Digest{.high = bytes.high ^ keys.high, .low = bytes.low ^ keys.low};
  EXPECT_EQ(record_of(std::move(later)).error().code(), ErrorCode::kUnsupported);
}

// What is only looked at is held against the digest byte by byte as well.
TEST(MongoDocument, that_is_looked_at_where_it_stands_has_another_content_once_a_byte_is_wrong) {
  const auto document = document_of(entry(std::string(9000, 'x') + "y"));
  std::string bytes(reinterpret_cast<const char*>(bson_get_data(document.raw())), document.raw()->len);
  const auto looked_at = [&] {
    bson_t raw;
    EXPECT_TRUE(bson_init_static(&raw, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
    auto seen = read_document(&raw, Reading::kDigest).value();
    const auto summary = summary_of(seen);
    EXPECT_EQ(summary.content, content_digest(entry(std::string(9000, 'x') + "y").record)) << "what its state says";
    return content_of_bytes(seen, summary.content) == summary.content;
  };
  EXPECT_TRUE(looked_at());
  const auto last = bytes.rfind("xy") + 1;
  bytes[last] = 'z';
  EXPECT_FALSE(looked_at());
}

}  // namespace
}  // namespace setget::mongo
