// Key store suite: listing by account, flow and owner, and scanning for verification. Also what proves that a lacking capability is
// declared.
#include <array>
#include <set>
#include <tuple>

#include "testing/key_store_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

void set_listed(Trial& t, const std::string& id, const std::string& account, const std::string& flow, const std::string& owner, Stamp stamp,
                bool listed = true) {
  auto s = spec(id, {"key-" + id}, stamp);
  s.account = account;
  s.flow = flow;
  s.owner = owner;
  s.listed = listed;
  t.apply(set_entry(s));
}

// Ids of all pages, in order.
Keys listed(Trial& t, const std::string& account, const std::string& flow, const std::string& owner, std::size_t limit = 2) {
  Keys ids;
  std::string cursor;
  do {
    const auto page =
        t.store()
            .list({.ns = {}, .account = account, .flow = flow, .owner = owner, .now = t.now(), .cursor = cursor, .limit = limit})
            .value();
    EXPECT_LE(page.records.size(), limit);
    for (const auto& record : page.records) ids.push_back(record.id);
    cursor = page.next;
  } while (!cursor.empty());
  return ids;
}

Keys sorted(Keys ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}

void lists_by_account_flow_and_owner(Trial& t) {
  set_listed(t, "1", "acme", "orders", "ann", t.stamp(1));
  set_listed(t, "2", "acme", "orders", "bob", t.stamp(2));
  set_listed(t, "3", "acme", "events", "ann", t.stamp(3));
  set_listed(t, "4", "other", "orders", "ann", t.stamp(4));
  set_listed(t, "5", "acme", "orders", "ann", t.stamp(5), false);
  EXPECT_EQ(sorted(listed(t, "acme", "orders", "")), (Keys{"1", "2"}));
  EXPECT_EQ(sorted(listed(t, "acme", "", "")), (Keys{"1", "2", "3"}));
  EXPECT_EQ(sorted(listed(t, "", "orders", "")), (Keys{"1", "2", "4"}));
  EXPECT_EQ(sorted(listed(t, "", "", "ann")), (Keys{"1", "3", "4"}));
  EXPECT_EQ(sorted(listed(t, "acme", "orders", "ann")), Keys{"1"});
  EXPECT_EQ(sorted(listed(t, "", "", "")), (Keys{"1", "2", "3", "4"}));
  EXPECT_EQ(listed(t, "nobody", "", ""), Keys{});
  auto elsewhere = spec("6", {"key-6"}, t.stamp(6));
  elsewhere.ns = "tenant";
  elsewhere.account = "acme";
  elsewhere.flow = "orders";
  elsewhere.owner = "ann";
  elsewhere.listed = true;
  t.apply(set_entry(elsewhere));
  for (const auto& [account, flow, owner] : {std::array{"acme", "orders", "ann"}, {"acme", "orders", ""}, {"acme", "", ""}, {"", "", ""}}) {
    const auto of_tenant =
        t.store()
            .list({.ns = "tenant", .account = account, .flow = flow, .owner = owner, .now = t.now(), .cursor = {}, .limit = 10})
            .value();
    ASSERT_EQ(of_tenant.records.size(), 1u);
    EXPECT_EQ(of_tenant.records[0].id, "6");
    const auto others = listed(t, account, flow, owner);
    EXPECT_EQ(std::count(others.begin(), others.end(), "6"), 0) << "namespaces are apart";
  }
}

void lists_in_the_order_of_identities_without_gap_or_repetition(Trial& t) {
  Keys expected;
  for (std::uint64_t i = 0; i < 40; ++i) {
    set_listed(t, "r" + std::to_string(i), "acme", "orders", "", t.stamp(i));
    expected.push_back("r" + std::to_string(i));
  }
  std::sort(expected.begin(), expected.end(),
            [](const auto& a, const auto& b) { return std::tuple(identity_hash({}, a), a) < std::tuple(identity_hash({}, b), b); });
  for (const std::size_t limit : {std::size_t{1}, std::size_t{7}, std::size_t{40}, std::size_t{100}, kAll})
    EXPECT_EQ(listed(t, "acme", "orders", "", limit), expected) << limit;
}

void lists_only_what_is_live_and_as_it_is_now(Trial& t) {
  for (const auto* id : {"erased", "expired", "moved", "kept"}) set_listed(t, id, "acme", "orders", "", t.stamp(1));
  t.apply(erase("erased", t.stamp(2)));
  t.apply(touch("expired", t.stamp(2), t.now() + Milliseconds(5)));
  set_listed(t, "moved", "acme", "events", "", t.stamp(3));
  t.clock().advance(Milliseconds(5));
  EXPECT_EQ(listed(t, "acme", "orders", ""), Keys{"kept"});
  EXPECT_EQ(listed(t, "acme", "events", ""), Keys{"moved"});
  reclaim_all(t, t.stamp(100));
  EXPECT_EQ(listed(t, "acme", "orders", ""), Keys{"kept"});
  set_listed(t, "kept", "acme", "orders", "", t.stamp(200), false);
  EXPECT_EQ(listed(t, "acme", "orders", ""), Keys{}) << "its current version is not listed";
}

void a_page_of_a_list_is_bounded_by_bytes(Trial& t) {
  constexpr std::size_t kPayload = kListPageBytes / 16;
  Keys expected;
  for (std::uint64_t i = 0; i < 40; ++i) {
    auto s =
        spec("large-" + std::to_string(i), {"k" + std::to_string(i)}, t.stamp(i), std::string(kPayload, static_cast<char>('a' + i % 26)));
    s.account = "acme";
    s.flow = "orders";
    s.owner = i % 4 == 0 ? "ann" : "bob";
    s.listed = true;
    expected.push_back(s.id);
    t.apply(set_entry(s));
  }
  for (const std::string owner : {"", "ann"}) {
    Keys ids;
    std::string cursor;
    do {
      const auto page =
          t.store()
              .list({.ns = {}, .account = "acme", .flow = "orders", .owner = owner, .now = t.now(), .cursor = cursor, .limit = 100})
              .value();
      EXPECT_LE(page.records.size(), 16u);
      for (const auto& record : page.records) {
        ids.push_back(record.id);
        EXPECT_EQ(record.payload.size(), kPayload);
      }
      cursor = page.next;
    } while (!cursor.empty());
    EXPECT_EQ(ids.size(), owner.empty() ? expected.size() : expected.size() / 4);
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
    if (owner.empty()) {
      EXPECT_EQ(sorted(ids), sorted(expected));
    }
  }
}

void a_listing_is_stable_under_change(Trial& t) {
  for (std::uint64_t i = 0; i < 20; ++i) set_listed(t, "s" + std::to_string(i), "acme", "f", "", t.stamp(i));
  std::multiset<std::string> seen;
  std::string cursor;
  std::uint64_t n = 100;
  do {
    const auto page =
        t.store().list({.ns = {}, .account = "acme", .flow = "f", .owner = {}, .now = t.now(), .cursor = cursor, .limit = 3}).value();
    for (const auto& record : page.records) seen.insert(record.id);
    cursor = page.next;
    set_listed(t, "new" + std::to_string(n), "acme", "f", "", t.stamp(n));
    ++n;
  } while (!cursor.empty());
  for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(seen.count("s" + std::to_string(i)), 1u) << i;
}

std::vector<Summary> scan(Trial& t, std::size_t limit, bool with_records = false) {
  std::vector<Summary> out;
  std::string cursor;
  do {
    auto page = t.store().scan({.cursor = cursor, .limit = limit, .with_records = with_records}).value();
    EXPECT_LE(page.items.size(), limit);
    for (auto& item : page.items) out.push_back(std::move(item));
    cursor = page.next;
  } while (!cursor.empty());
  return out;
}

void a_scan_gives_every_record_and_tombstone_in_order(Trial& t) {
  Keys live;
  for (std::uint64_t i = 0; i < 30; ++i) {
    auto s = spec("r" + std::to_string(i), {"k" + std::to_string(i)}, t.stamp(i + 1), "p" + std::to_string(i));
    s.ns = i % 3 == 0 ? "" : i % 3 == 1 ? "one" : "two";
    s.account = "acme";
    s.flow = "orders";
    s.expires_at = i % 2 == 0 ? std::optional<TimePoint>() : t.now() + Milliseconds(1000);
    t.apply(set_entry(s));
  }
  t.apply(in_namespace(erase("r1", t.stamp(50)), "one"));
  t.apply(touch("r3", t.stamp(51), t.now() + Milliseconds(77)));
  const auto all = scan(t, 100, true);
  ASSERT_EQ(all.size(), 30u);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& item = all[i];
    EXPECT_EQ(item.hash, identity_hash(item.ns, item.id));
    if (i > 0) {
      EXPECT_LT(std::tie(all[i - 1].hash, all[i - 1].ns, all[i - 1].id), std::tie(item.hash, item.ns, item.id));
    }
    if (item.id == "r1") {
      EXPECT_TRUE(item.tombstone);
      EXPECT_EQ(item.reason, TombstoneReason::kErased);
      EXPECT_EQ(item.version, t.stamp(50));
      EXPECT_FALSE(item.record);
      EXPECT_EQ(item.content, Digest{});
      continue;
    }
    EXPECT_FALSE(item.tombstone);
    EXPECT_EQ(item.account, "acme");
    EXPECT_EQ(item.flow, "orders");
    ASSERT_TRUE(item.record);
    EXPECT_EQ(item.content, content_digest(*item.record));
    EXPECT_EQ(item.stamp, item.record->stamp);
    EXPECT_EQ(item.ttl_rule, item.record->ttl_rule);
    EXPECT_EQ(item.version, item.record->version);
    EXPECT_EQ(item.revision, item.id == "r3" ? 1u : 0u);
    EXPECT_EQ(item.expires_at, item.record->expires_at);
  }
  for (const std::size_t limit : {1u, 7u, 30u}) {
    const auto pages = scan(t, limit);
    ASSERT_EQ(pages.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(pages[i].id, all[i].id);
      EXPECT_EQ(pages[i].content, all[i].content) << "the digest is given without the record too";
      EXPECT_EQ(pages[i].stamp, all[i].stamp);
      EXPECT_EQ(pages[i].ttl_rule, all[i].ttl_rule);
      EXPECT_FALSE(pages[i].record);
    }
  }
}

void all_that_is_there_can_be_scanned_at_once(Trial& t) {
  for (std::uint64_t i = 0; i < 30; ++i) t.apply(set("r" + std::to_string(i), {"k" + std::to_string(i)}, t.stamp(i + 1)));
  const auto all = t.store().scan({.cursor = {}, .limit = kAll}).value();
  EXPECT_EQ(all.items.size(), 30u);
  EXPECT_EQ(all.next, "");
  const auto first = t.store().scan({.cursor = {}, .limit = 7}).value();
  const auto rest = t.store().scan({.cursor = first.next, .limit = kAll}).value();
  ASSERT_EQ(rest.items.size(), 23u);
  for (std::size_t i = 0; i < rest.items.size(); ++i) EXPECT_EQ(rest.items[i].id, all.items[7 + i].id);
  EXPECT_EQ(rest.next, "");
}

void a_page_of_nothing_is_refused(Trial& t) {
  const auto refused = [](const auto& page) {
    return !page && page.error().code() == ErrorCode::kInvalidArgument && page.error().field() == "limit";
  };
  for (int records = 0; records < 2; ++records) {
    EXPECT_TRUE(refused(t.store().scan({.limit = 0}))) << records;
    EXPECT_TRUE(refused(t.store().list({.ns = {}, .account = "acme", .flow = "f", .owner = {}, .now = t.now(), .cursor = {}, .limit = 0})));
    t.apply(set_entry(spec("a", {"k"}, t.stamp(1), "x")));
  }
}

void the_content_digest_depends_on_content_only(Trial& t) {
  auto s = spec("a", {"k"}, t.stamp(1));
  s.version = 5;
  s.expires_at = t.now() + Milliseconds(1000);
  t.apply(set_entry(s));
  const auto first = scan(t, 10).at(0).content;
  s.version = 6;
  s.stamp = t.stamp(2);
  s.expires_at = {};
  s.expected_version = 5;
  t.apply(set_entry(s));
  EXPECT_EQ(scan(t, 10).at(0).content, first);
  s.version = 7;
  s.payload = "other";
  s.expected_version = {};
  t.apply(set_entry(s));
  EXPECT_NE(scan(t, 10).at(0).content, first);
}

// However a backend comes to its digests: they are those of the lines that its scan gives.
void digests_are_those_of_the_lines_of_a_scan(Trial& t) {
  for (std::uint64_t i = 0; i < 40; ++i) {
    auto s = spec("r" + std::to_string(i), {"k" + std::to_string(i), "m" + std::to_string(i)}, t.stamp(i));
    s.payload = std::string(i * 40, 'x') + std::to_string(i);
    if (i % 3 == 0) s.version = 1 + i;
    if (i % 4 == 0) s.expires_at = t.now() + Milliseconds(i < 20 ? 5 : 5000);
    t.apply(set_entry(s));
  }
  t.apply(erase("r1", t.stamp(50)));
  t.apply(touch("r2", t.stamp(51), t.now() + Milliseconds(777)));
  t.apply(set("thief", {"k5"}, t.stamp(52)));
  t.apply(set("key", {"key"}, t.stamp(53)));
  t.apply(set("r7", {"k7"}, t.stamp(54)));
  t.apply(in_namespace(set("r8", {"k8"}, t.stamp(55)), "one"));
  t.clock().advance(Milliseconds(5));
  const auto look = [&](const char* when) {
    for (const std::size_t entries : {1u, 4u, 1000u}) {
      for (const std::size_t most : {2u, 1000u}) {
        for (const std::uint64_t deep : {0u, 1u, 3u}) {
          const DigestRecords request{.entries = entries, .max_ranges = most, .now = t.now(), .deep = {.of = deep, .turn = 1}, .page = 7};
          EXPECT_EQ(t.store().digest(request).value(), t.store().KeyStoreBackend::digest(request).value())
              << when << entries << " entries, " << most << " ranges, deep " << deep;
        }
      }
    }
  };
  look("");
  // What was remembered of bytes is not what is there now.
  auto other = spec("r9", {"k9"}, t.stamp(60));
  other.version = 100;
  other.payload = std::string(std::size_t{9} * 40, 'y') + "9";
  t.apply(set_entry(other));
  t.apply(touch("r10", t.stamp(61), t.now() + Milliseconds(888)));
  t.apply(erase("r11", t.stamp(62)));
  look("after other sets, ");
  // Ranges that the caller gives are those, with what lies in each.
  const std::vector<std::uint64_t> starts{0, 1, 1ull << 62, 1ull << 63, ~std::uint64_t{0}};
  const auto given = t.store().digest({.starts = starts, .now = t.now(), .page = 7}).value();
  ASSERT_EQ(given.size(), starts.size());
  const auto all = t.store().digest({.entries = 1000, .now = t.now()}).value();
  ASSERT_EQ(all.size(), 1u);
  auto together = given[0];
  for (std::size_t i = 0; i < starts.size(); ++i) {
    EXPECT_EQ(given[i].first, starts[i]);
    if (i > 0) together.count += given[i].count - 1, together.add(given[i].sum);
  }
  EXPECT_EQ(together, all[0]);
  EXPECT_GT(given[2].count, 0u);
  EXPECT_EQ(t.store().digest({.starts = std::span(starts).subspan(1), .now = t.now()}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(t.store().digest({.max_ranges = 0, .now = t.now()}).error().field(), "max_ranges");
}

void several_identities_are_looked_up_at_once(Trial& t) {
  t.apply(set("live", {"k"}, t.stamp(1), "payload"));
  t.apply(set("erased", {"e"}, t.stamp(2)));
  t.apply(erase("erased", t.stamp(3)));
  auto s = spec("expired", {"x"}, t.stamp(4));
  s.expires_at = t.now() + Milliseconds(5);
  t.apply(set_entry(s));
  t.apply(in_namespace(set("live", {"k"}, t.stamp(5), "other"), "one"));
  t.clock().advance(Milliseconds(5));
  const std::vector<IdentityName> names{{.ns = {}, .id = "unknown"},
                                        {.ns = "one", .id = "live"},
                                        {.ns = {}, .id = "erased"},
                                        {.ns = {}, .id = "expired"},
                                        {.ns = {}, .id = "live"}};
  const auto found = t.store().get_by_ids({.names = names, .now = t.now()}).value();
  ASSERT_EQ(found.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto alone = t.store().get_by_id({.ns = names[i].ns, .id = names[i].id, .now = t.now()}).value();
    EXPECT_EQ(found[i].status, alone.status) << names[i].id;
    ASSERT_EQ(found[i].record.has_value(), alone.record.has_value()) << names[i].id;
    if (alone.record) {
      EXPECT_EQ(found[i].record->payload.view(), alone.record->payload.view());
    }
  }
  EXPECT_EQ(found[1].record.value().payload.view(), "other");
  EXPECT_EQ(found[4].record.value().payload.view(), "payload");
  EXPECT_TRUE(t.store().get_by_ids({.names = {}, .now = t.now()}).value().empty());
}

void statistics_count_what_is_there(Trial& t) {
  const auto empty = t.store().stats().value();
  EXPECT_EQ(empty.records, 0u);
  EXPECT_EQ(empty.keys, 0u);
  for (std::uint64_t i = 0; i < 10; ++i) t.apply(set(std::to_string(i), {"a" + std::to_string(i), "b" + std::to_string(i)}, t.stamp(i)));
  t.apply(erase("3", t.stamp(20)));
  t.apply(set("4", {"a4"}, t.stamp(21)));
  const auto stats = t.store().stats().value();
  EXPECT_EQ(stats.records, 9u);
  EXPECT_EQ(stats.tombstones, 1u);
  EXPECT_GE(stats.keys, 17u);
  EXPECT_GT(stats.bytes, 0u);
}

const std::array kCases{
    Case{"lists_by_account_flow_and_owner", lists_by_account_flow_and_owner, {&Deviations::listing}},
    Case{"lists_in_the_order_of_identities_without_gap_or_repetition",
         lists_in_the_order_of_identities_without_gap_or_repetition,
         {&Deviations::listing}},
    Case{"lists_only_what_is_live_and_as_it_is_now", lists_only_what_is_live_and_as_it_is_now, {&Deviations::listing}},
    Case{"a_page_of_a_list_is_bounded_by_bytes", a_page_of_a_list_is_bounded_by_bytes, {&Deviations::listing}},
    Case{"a_listing_is_stable_under_change", a_listing_is_stable_under_change, {&Deviations::listing}},
    Case{"a_scan_gives_every_record_and_tombstone_in_order", a_scan_gives_every_record_and_tombstone_in_order, {&Deviations::scan}},
    Case{"all_that_is_there_can_be_scanned_at_once", all_that_is_there_can_be_scanned_at_once, {&Deviations::scan}},
    Case{"a_page_of_nothing_is_refused", a_page_of_nothing_is_refused, {&Deviations::scan}},
    Case{"the_content_digest_depends_on_content_only", the_content_digest_depends_on_content_only, {&Deviations::scan}},
    Case{"digests_are_those_of_the_lines_of_a_scan", digests_are_those_of_the_lines_of_a_scan, {&Deviations::scan}},
    Case{"several_identities_are_looked_up_at_once", several_identities_are_looked_up_at_once},
    Case{"statistics_count_what_is_there", statistics_count_what_is_there},
};

// --- deviations -----------------------------------------------------------------------------------------------------------------

template <class T>
void expect_unsupported(const Result<T>& result) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kUnsupported);
}

void declares_what_it_can_do(Trial& t) {
  const auto can = t.store().capabilities();
  const auto& lacks = t.params().deviations;
  EXPECT_EQ(can.listing, lacks.listing.empty());
  EXPECT_EQ(can.change_log, lacks.change_log.empty());
  EXPECT_EQ(can.scan, lacks.scan.empty());
  if (can.durability == Durability::kDisk) {
    EXPECT_TRUE(t.params().reopen) << "a store on disk must prove that it is kept";
  }
}
void lacks_listing(Trial& t) {
  expect_unsupported(t.store().list({.ns = {}, .account = "a", .flow = {}, .owner = {}, .now = t.now(), .cursor = {}}));
}
void lacks_change_log(Trial& t) {
  expect_unsupported(t.store().open_cursor({.name = "c"}));
  expect_unsupported(t.store().changes({.cursor = "c"}));
}
void lacks_scan(Trial& t) { expect_unsupported(t.store().scan({.cursor = {}})); }

const std::array kDeviationCases{
    Case{"declares_what_it_can_do", declares_what_it_can_do},
    Case{"lacks_listing", lacks_listing, {&Deviations::listing}},
    Case{"lacks_change_log", lacks_change_log, {&Deviations::change_log}},
    Case{"lacks_scan", lacks_scan, {&Deviations::scan}},
};

}  // namespace

Cases key_store_scan_cases() { return kCases; }
Cases key_store_deviation_cases() { return kDeviationCases; }

}  // namespace setget::inline v0::testing::detail
