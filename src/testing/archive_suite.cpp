// Archive suite: guarded upserts, tombstones, keys, expiry, purging, scans, digests.
#include <array>
#include <tuple>

#include "core/scan_cursor.hpp"
#include "testing/archive_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

void gives_back_every_field(Trial& t) {
  auto entry = document(t, std::string("i\0d", 3), {"k", "l", std::string("\0", 1)}, 5, 3, std::string("p\0\xff", 3));
  entry.ns = entry.record.ns = "space";
  auto& record = entry.record;
  record.lost_keys = KeyList({"l"});
  record.owner = "someone";
  record.attributes = {{"a", "1"}};
  record.expires_at = t.now() + Milliseconds(1000);
  record.ttl_rule = TtlRule::kAccount;
  EXPECT_EQ(write(t, entry), ArchiveWrite::kWritten);
  const auto found = by_id(t, entry.id, "space");
  ASSERT_EQ(found.status, Lookup::Status::kFound);
  EXPECT_EQ(found.record->ns, "space");
  EXPECT_EQ(found.record->id, record.id);
  EXPECT_EQ(found.record->keys, record.keys);
  EXPECT_EQ(found.record->lost_keys, record.lost_keys);
  EXPECT_EQ(found.record->account, "acme");
  EXPECT_EQ(found.record->flow, "orders");
  EXPECT_EQ(found.record->owner, "someone");
  EXPECT_EQ(found.record->payload, record.payload);
  EXPECT_EQ(found.record->content_type, "application/json");
  EXPECT_EQ(found.record->attributes, record.attributes);
  EXPECT_EQ(found.record->version, 5u);
  EXPECT_EQ(found.record->revision, 3u);
  EXPECT_EQ(found.record->stamp, record.stamp);
  EXPECT_EQ(found.record->created_at, record.created_at);
  EXPECT_EQ(found.record->expires_at, record.expires_at);
  EXPECT_EQ(found.record->ttl_rule, TtlRule::kAccount);
  EXPECT_EQ(by_id(t, entry.id).status, Lookup::Status::kUnknown) << "another namespace";
}

void a_write_is_guarded_by_version_and_revision(Trial& t) {
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 5, 1, "5.1")), ArchiveWrite::kWritten);
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 5, 1, "again")), ArchiveWrite::kOlder);
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 5, 0, "5.0")), ArchiveWrite::kOlder);
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 4, 9, "4.9")), ArchiveWrite::kOlder);
  EXPECT_EQ(by_id(t, "a").record->payload.str(), "5.1");
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 5, 2, "5.2")), ArchiveWrite::kWritten);
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 6, 0, "6.0")), ArchiveWrite::kWritten);
  EXPECT_EQ(by_id(t, "a").record->payload.str(), "6.0");
  EXPECT_EQ(t.archive().stats().value().records, 1u);
}

void a_page_has_a_line_at_least(Trial& t) {
  write(t, document(t, "a", {"k"}, 5));
  write(t, document(t, "b", {"l"}, 5));
  const auto page = t.archive().scan({.limit = 0}).value();
  EXPECT_EQ(page.items.size(), 1u);
  EXPECT_FALSE(page.next.empty());
}

void a_tombstone_erases_by_the_same_guard(Trial& t) {
  write(t, document(t, "a", {"k"}, 5));
  EXPECT_EQ(write(t, gravestone("a", 4)), ArchiveWrite::kOlder);
  EXPECT_EQ(by_id(t, "a").status, Lookup::Status::kFound);
  EXPECT_EQ(write(t, gravestone("a", 5, 1)), ArchiveWrite::kWritten);
  EXPECT_EQ(by_id(t, "a").status, Lookup::Status::kGone);
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 5)), ArchiveWrite::kOlder);
  EXPECT_EQ(by_id(t, "a").status, Lookup::Status::kGone);
  EXPECT_EQ(write(t, gravestone("never", 1)), ArchiveWrite::kWritten);
  EXPECT_EQ(by_id(t, "never").status, Lookup::Status::kGone);
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 6, 0, "back")), ArchiveWrite::kWritten);
  EXPECT_EQ(by_id(t, "a").record->payload.str(), "back");
  const auto stats = t.archive().stats().value();
  EXPECT_EQ(stats.records, 1u);
  EXPECT_EQ(stats.tombstones, 1u);
}

void every_order_of_writes_leads_to_the_same(Trial& t) {
  std::vector<ArchiveEntry> entries{document(t, "a", {"k"}, 1, 0, "1"), document(t, "a", {"k"}, 2, 0, "2.0"),
                                    document(t, "a", {"l"}, 2, 1, "2.1"), gravestone("a", 3), document(t, "a", {"m"}, 4, 0, "4")};
  std::vector<std::size_t> order{0, 1, 2, 3, 4};
  do {
    std::string ns = "o";
    for (const auto i : order) ns += std::to_string(i);
    std::vector<ArchiveEntry> batch;
    for (const auto i : order) {
      batch.push_back(entries[i]);
      batch.back().ns = batch.back().record.ns = ns;
    }
    for (const auto& result : t.archive().write({.entries = batch}).value()) ASSERT_TRUE(result);
    ASSERT_EQ(by_id(t, "a", ns).record->payload.str(), "4") << ns;
  } while (std::next_permutation(order.begin(), order.end()));
}

void a_batch_answers_per_entry(Trial& t) {
  write(t, document(t, "b", {"b"}, 9));
  const std::vector<ArchiveEntry> batch{document(t, "a", {"a"}, 1), document(t, "b", {"b"}, 8), gravestone("c", 1),
                                        document(t, "a", {"a"}, 2)};
  std::vector<ArchiveWrite> results;
  for (const auto& result : t.archive().write({.entries = batch}).value()) results.push_back(result.value());
  EXPECT_EQ(results,
            (std::vector<ArchiveWrite>{ArchiveWrite::kWritten, ArchiveWrite::kOlder, ArchiveWrite::kWritten, ArchiveWrite::kWritten}));
  EXPECT_TRUE(t.archive().write({.entries = {}}).value().empty());
}

void a_record_is_found_by_every_key_it_has_not_lost(Trial& t) {
  auto entry = document(t, "a", {"k", "lost", "l"}, 1);
  entry.record.lost_keys = KeyList({"lost"});
  write(t, entry);
  EXPECT_EQ(by_key(t, "k").record->id, "a");
  EXPECT_EQ(by_key(t, "l").record->id, "a");
  EXPECT_NE(by_key(t, "lost").status, Lookup::Status::kFound);
  EXPECT_EQ(by_key(t, "other").status, Lookup::Status::kUnknown);
  write(t, document(t, "a", {"k", "m"}, 2));
  EXPECT_EQ(by_key(t, "k").record->version, 2u);
  EXPECT_EQ(by_key(t, "m").record->version, 2u);
  EXPECT_NE(by_key(t, "l").status, Lookup::Status::kFound) << "the current version does not list it";
  write(t, gravestone("a", 3));
  EXPECT_NE(by_key(t, "k").status, Lookup::Status::kFound);
  const std::vector<std::string_view> keys{"k", "none", "m"};
  EXPECT_EQ(t.archive().get({.ns = {}, .keys = keys, .now = t.now()}).value().size(), 3u);
  auto elsewhere = document(t, "b", {"m", "n"}, 1);
  elsewhere.ns = elsewhere.record.ns = "tenant";
  write(t, elsewhere);
  EXPECT_EQ(by_key(t, "n").status, Lookup::Status::kUnknown) << "of another namespace";
  const std::vector<std::string_view> both{"m", "n"};
  for (const auto& lookup : t.archive().get({.ns = "tenant", .keys = both, .now = t.now()}).value()) {
    ASSERT_EQ(lookup.status, Lookup::Status::kFound);
    EXPECT_EQ(lookup.record->id, "b");
  }
}

void expired_is_gone_by_the_readers_time(Trial& t) {
  auto entry = document(t, "a", {"k"}, 1);
  entry.record.expires_at = t.now() + Milliseconds(1000);
  write(t, entry);
  EXPECT_EQ(by_id(t, "a").status, Lookup::Status::kFound);
  t.clock().advance(Milliseconds(1000));
  EXPECT_EQ(by_id(t, "a").status, Lookup::Status::kGone);
  if (t.params().deviations.read_by_key.empty()) {
    EXPECT_EQ(by_key(t, "k").status, Lookup::Status::kGone);
  }
}

void what_is_to_be_purged_goes_in_bounded_steps(Trial& t) {
  for (int i = 0; i < 20; ++i) {
    auto entry = i % 4 == 0 ? gravestone(std::to_string(i), 1) : document(t, std::to_string(i), {"k" + std::to_string(i)}, 1);
    if (i < 15) entry.purge_at = t.now() + Milliseconds(1000);
    write(t, entry);
  }
  EXPECT_EQ(t.archive().reclaim({.now = t.now(), .max_steps = 100}).value(), 0u);
  t.clock().advance(Milliseconds(1000));
  std::size_t steps = 0;
  int calls = 0;
  while (true) {
    const auto done = t.archive().reclaim({.now = t.now(), .max_steps = 4}).value();
    EXPECT_LE(done, 4u);
    steps += done;
    if (done < 4) break;
    ASSERT_LT(++calls, 100);
  }
  EXPECT_GE(steps, 15u);
  const auto stats = t.archive().stats().value();
  EXPECT_EQ(stats.records + stats.tombstones, 5u);
  EXPECT_EQ(by_id(t, "1").status, Lookup::Status::kUnknown);
  EXPECT_EQ(by_id(t, "17").status, Lookup::Status::kFound) << "without a time it is kept for ever";
}

void a_rewritten_document_is_purged_at_its_new_time(Trial& t) {
  auto entry = document(t, "a", {"k"}, 1);
  entry.purge_at = t.now() + Milliseconds(1000);
  write(t, entry);
  auto later = document(t, "a", {"k"}, 1, 1);
  later.purge_at = t.now() + Milliseconds(9000);
  write(t, later);
  t.clock().advance(Milliseconds(1000));
  t.archive().reclaim({.now = t.now()}).value();
  EXPECT_EQ(by_id(t, "a").status, Lookup::Status::kFound);
  t.clock().advance(Milliseconds(8000));
  t.archive().reclaim({.now = t.now()}).value();
  EXPECT_EQ(by_id(t, "a").status, Lookup::Status::kUnknown);
}

std::vector<Summary> scan(Trial& t, std::size_t limit, bool with_records = false) {
  std::vector<Summary> out;
  std::string cursor;
  do {
    auto page = t.archive().scan({.cursor = cursor, .limit = limit, .with_records = with_records}).value();
    EXPECT_LE(page.items.size(), limit);
    for (auto& item : page.items) out.push_back(std::move(item));
    cursor = page.next;
  } while (!cursor.empty());
  return out;
}

void a_scan_gives_every_document_in_order(Trial& t) {
  for (Version i = 0; i < 25; ++i) {
    auto entry = i % 5 == 0 ? gravestone("r" + std::to_string(i), i + 1) : document(t, "r" + std::to_string(i), {"k"}, i + 1, 2);
    entry.ns = entry.record.ns = i % 2 == 0 ? "" : "one";
    write(t, entry);
  }
  const auto all = scan(t, 1000, true);
  ASSERT_EQ(all.size(), 25u);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].hash, identity_hash(all[i].ns, all[i].id));
    if (i > 0) {
      EXPECT_LT(std::tie(all[i - 1].hash, all[i - 1].ns, all[i - 1].id), std::tie(all[i].hash, all[i].ns, all[i].id));
    }
    EXPECT_EQ(all[i].record.has_value(), !all[i].tombstone);
    EXPECT_EQ(all[i].content, all[i].record ? content_digest(*all[i].record) : Digest{});
    EXPECT_TRUE(all[i].encoded.empty() || all[i].encoded.view() == encoded_of(*all[i].record).view());
  }
  const auto later = t.archive().scan({.cursor = {}, .limit = 1000, .with_records = true, .records_later = true}).value().items;
  ASSERT_EQ(later.size(), 25u);
  for (std::size_t i = 0; i < later.size(); ++i) {
    const auto record = later[i].record_later ? later[i].record_later().value() : later[i].record.value_or(Record());
    EXPECT_EQ(content_digest(record), content_digest(all[i].record.value_or(Record())));
  }
  for (const std::size_t limit : {1u, 7u, 25u, 2u, 5u, 24u}) {
    const auto pages = scan(t, limit, limit % 2 == 0 || limit == 5);
    ASSERT_EQ(pages.size(), 25u);
    for (std::size_t i = 0; i < 25; ++i) {
      EXPECT_EQ(pages[i].id, all[i].id);
      EXPECT_EQ(pages[i].version, all[i].version);
      EXPECT_EQ(pages[i].revision, all[i].revision);
      EXPECT_EQ(pages[i].content, all[i].content);
    }
  }
}

// Verification walks both with one cursor.
void scans_of_store_and_archive_agree(Trial& t) {
  if (!t.stores().key_store || !t.params().deviations.scan.empty()) return;
  for (std::uint64_t i = 0; i < 20; ++i) {
    auto s = spec("r" + std::to_string(i), {"k" + std::to_string(i)}, t.stamp(i + 1));
    s.ns = i % 2 == 0 ? "" : "one";
    t.apply(set_entry(s));
  }
  for (const auto& item : t.store().scan({.cursor = {}, .limit = 100, .with_records = true}).value().items) {
    ArchiveEntry entry;
    entry.ns = item.ns;
    entry.id = item.id;
    entry.version = item.version;
    entry.revision = item.revision;
    entry.record = *item.record;
    write(t, entry);
  }
  std::string cursor;
  do {
    const auto store = t.store().scan({.cursor = cursor, .limit = 6}).value();
    const auto archive = t.archive().scan({.cursor = cursor, .limit = 6}).value();
    ASSERT_EQ(store.items.size(), archive.items.size());
    for (std::size_t i = 0; i < store.items.size(); ++i) {
      EXPECT_EQ(store.items[i].id, archive.items[i].id);
      EXPECT_EQ(store.items[i].content, archive.items[i].content);
      EXPECT_EQ(store.items[i].version, archive.items[i].version);
      EXPECT_NE(store.items[i].stamp, 0u);
      EXPECT_EQ(store.items[i].stamp, archive.items[i].stamp);
      EXPECT_EQ(store.items[i].ttl_rule, archive.items[i].ttl_rule);
    }
    EXPECT_EQ(store.next, archive.next) << "cursors are interchangeable";
    cursor = store.next;
  } while (!cursor.empty());
  const auto in_store = t.store().digest({.entries = 3, .now = t.now(), .page = 4}).value();
  ASSERT_GT(in_store.size(), 3u);
  std::vector<std::uint64_t> starts;
  for (const auto& range : in_store) starts.push_back(range.first);
  EXPECT_EQ(t.archive().digest({.starts = starts, .now = t.now()}).value(), in_store);
  EXPECT_EQ(t.archive().digest({.starts = starts, .now = t.now(), .deep = {.of = 1}}).value(), in_store);
  // A walk may begin at any range.
  const auto from = setget::detail::cursor_before(starts[2]);
  const auto rest = t.archive().scan({.cursor = from, .limit = 100}).value();
  ASSERT_FALSE(rest.items.empty());
  EXPECT_EQ(rest.items.front().hash, starts[2]);
  EXPECT_EQ(t.store().scan({.cursor = from, .limit = 100}).value().items.front().hash, starts[2]);
}

// What a digest of `starts` must be, by the lines of a scan.
std::vector<RangeDigest> digest_of_scan(Trial& t, const std::vector<std::uint64_t>& starts) {
  std::vector<RangeDigest> ranges;
  for (const auto start : starts) ranges.push_back({.first = start, .count = 0, .sum = {}});
  for (const auto& item : scan(t, 1000)) {
    if (item.tombstone || (item.expires_at && *item.expires_at <= t.now())) continue;
    (std::ranges::upper_bound(ranges, item.hash, {}, &RangeDigest::first) - 1)->add(entry_digest(item));
  }
  return ranges;
}

void range_digests_say_what_is_live_with_and_without_reading_payloads(Trial& t) {
  for (Version i = 0; i < 30; ++i) {
    auto entry = i % 5 == 0 ? gravestone("r" + std::to_string(i), i + 1) : document(t, "r" + std::to_string(i), {"k", "l"}, i + 1, 2);
    entry.ns = entry.record.ns = i % 2 == 0 ? "" : "one";
    if (i % 3 == 0) entry.record.expires_at = t.now() + Milliseconds(i == 6 ? 10 : 5000);
    if (i == 7) entry.record.lost_keys = KeyList({"k"});
    write(t, entry);
  }
  t.clock().advance(Milliseconds(10));
  const auto all = scan(t, 1000);
  const std::vector<std::uint64_t> starts{0, all[7].hash, all[8].hash, all[20].hash + 1};
  const auto expected = digest_of_scan(t, starts);
  ASSERT_EQ(expected[0].count + expected[1].count + expected[2].count + expected[3].count, 23u);
  for (const auto& deep : {DeepSample{}, DeepSample{.of = 1}, DeepSample{.of = 3, .turn = 2}}) {
    EXPECT_EQ(t.archive().digest({.starts = starts, .now = t.now(), .deep = deep, .page = 4}).value(), expected) << deep.of;
  }
  const auto changed = std::ranges::find_if(all, [](const Summary& item) { return item.id == "r1"; });
  auto entry = document(t, "r1", {"k", "l"}, changed->version, 3);
  entry.ns = entry.record.ns = "one";
  write(t, entry);
  const auto after = t.archive().digest({.starts = starts, .now = t.now()}).value();
  EXPECT_EQ(after, digest_of_scan(t, starts));
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const bool here = changed->hash >= starts[i] && (i + 1 == starts.size() || changed->hash < starts[i + 1]);
    EXPECT_EQ(after[i] == expected[i], !here) << i;
  }
}

void range_digests_refuse_ranges_that_do_not_rise_from_zero(Trial& t) {
  for (const auto& starts : std::vector<std::vector<std::uint64_t>>{{}, {1}, {0, 5, 5}, {0, 5, 4}}) {
    EXPECT_EQ(t.archive().digest({.starts = starts, .now = t.now()}).error().code(), ErrorCode::kInvalidArgument);
  }
  const std::vector<std::uint64_t> whole{0};
  write(t, document(t, "a", {"k"}, 1));
  const auto stopped = t.archive().digest(
      {.starts = whole, .now = t.now(), .page = 1, .go_on = [] { return Result<void>(Error(ErrorCode::kCancelled, "enough")); }});
  EXPECT_EQ(stopped.error().code(), ErrorCode::kCancelled);
}

void removing_leaves_no_trace(Trial& t) {
  write(t, document(t, "a", {"k"}, 5));
  write(t, gravestone("b", 5));
  write(t, document(t, "c", {"l"}, 5));
  const std::vector<ArchiveId> ids{{.ns = {}, .id = "a"}, {.ns = {}, .id = "b"}, {.ns = {}, .id = "nobody"}, {.ns = "other", .id = "c"}};
  EXPECT_EQ(t.archive().remove(ids).value(), 2u);
  EXPECT_EQ(by_id(t, "a").status, Lookup::Status::kUnknown);
  EXPECT_EQ(by_id(t, "b").status, Lookup::Status::kUnknown);
  EXPECT_EQ(by_id(t, "c").status, Lookup::Status::kFound);
  EXPECT_EQ(write(t, document(t, "a", {"k"}, 1)), ArchiveWrite::kWritten);
}

void removes_what_has_its_tag_still_and_nothing_that_came_after(Trial& t) {
  const auto tag = [&](std::string_view id) { return t.archive().tag({.ns = {}, .id = id, .now = t.now()}).value(); };
  EXPECT_EQ(tag("a"), "");
  write(t, document(t, "a", {"k"}, 5));
  write(t, gravestone("b", 5));
  write(t, document(t, "c", {"l"}, 5, 1));
  std::vector<TaggedDocument> seen;
  for (const auto* id : {"a", "b", "c"}) seen.push_back({.ns = {}, .id = id, .tag = tag(id)});
  for (const auto& one : seen) EXPECT_FALSE(one.tag.empty());
  EXPECT_EQ(tag("c"), seen[2].tag);
  write(t, document(t, "c", {"l"}, 5, 2));
  seen.push_back({.ns = {}, .id = "nobody", .tag = ""});
  seen.push_back({.ns = "other", .id = "a", .tag = seen[0].tag});
  EXPECT_EQ(t.archive().remove_tagged({.documents = seen}).value(), 2u);
  EXPECT_EQ(by_id(t, "a").status, Lookup::Status::kUnknown);
  EXPECT_EQ(by_id(t, "b").status, Lookup::Status::kUnknown);
  EXPECT_EQ(by_id(t, "c").record.value().revision, 2u);
  EXPECT_EQ(t.archive().remove_tagged({.documents = seen}).value(), 0u);
}

#define SETGET_CASE(name) \
  Case { #name, name }
const std::array kCases{
    SETGET_CASE(gives_back_every_field),
    SETGET_CASE(a_write_is_guarded_by_version_and_revision),
    SETGET_CASE(a_page_has_a_line_at_least),
    SETGET_CASE(a_tombstone_erases_by_the_same_guard),
    SETGET_CASE(every_order_of_writes_leads_to_the_same),
    SETGET_CASE(a_batch_answers_per_entry),
    Case{"a_record_is_found_by_every_key_it_has_not_lost", a_record_is_found_by_every_key_it_has_not_lost, {&Deviations::read_by_key}},
    SETGET_CASE(expired_is_gone_by_the_readers_time),
    SETGET_CASE(what_is_to_be_purged_goes_in_bounded_steps),
    SETGET_CASE(a_rewritten_document_is_purged_at_its_new_time),
    SETGET_CASE(a_scan_gives_every_document_in_order),
    SETGET_CASE(scans_of_store_and_archive_agree),
    SETGET_CASE(range_digests_say_what_is_live_with_and_without_reading_payloads),
    SETGET_CASE(range_digests_refuse_ranges_that_do_not_rise_from_zero),
    SETGET_CASE(removing_leaves_no_trace),
    SETGET_CASE(removes_what_has_its_tag_still_and_nothing_that_came_after),
};
#undef SETGET_CASE

void declares_what_it_can_do(Trial& t) {
  const auto can = t.archive().capabilities();
  EXPECT_EQ(can.read_by_key, t.params().deviations.read_by_key.empty());
  if (can.durability == Durability::kDisk) {
    EXPECT_TRUE(t.params().reopen) << "an archive on disk must prove that it is kept";
  }
}
void lacks_read_by_key(Trial& t) {
  const std::string_view key = "k";
  const auto got = t.archive().get({.ns = {}, .keys = std::span(&key, 1), .now = t.now()});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), ErrorCode::kUnsupported);
}

const std::array kDeviationCases{
    Case{"declares_what_it_can_do", declares_what_it_can_do},
    Case{"lacks_read_by_key", lacks_read_by_key, {&Deviations::read_by_key}},
};

}  // namespace

Cases archive_cases() { return kCases; }
Cases archive_deviation_cases() { return kDeviationCases; }

}  // namespace setget::inline v0::testing::detail
