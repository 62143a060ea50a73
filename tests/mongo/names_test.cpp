// Names of documents, the guard, and what a URI gives away; no server is needed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "mongo/clients.hpp"
#include "mongo/codec.hpp"
#include "mongo/names.hpp"

#include <setget/testing/clock.hpp>

namespace setget::mongo {
namespace {

TEST(MongoNames, documents_sort_as_scans_of_a_key_store_do) {
  testing::SeededRandom random(3);
  using Identity = std::tuple<std::uint64_t, std::string, std::string>;
  std::vector<Identity> all;
  const auto text = [&](std::size_t most) {
    std::string out;
    for (auto left = random.next() % (most + 1); left > 0; --left)
      out.push_back(random.next() % 7 == 0 ? static_cast<char>(random.next() % 256) : " !\"a}~"[random.next() % 6]);
    return out;
  };
  // Few hashes, so that namespaces and ids decide.
  for (int i = 0; i < 2000; ++i) all.emplace_back(random.next() % 3, text(2), text(4));
  std::ranges::sort(all);
  for (std::size_t i = 1; i < all.size(); ++i) {
    const auto name = [](const Identity& one) { return document_id(std::get<0>(one), std::get<1>(one), std::get<2>(one)); };
    const auto before = name(all[i - 1]);
    const auto after = name(all[i]);
    if (all[i - 1] == all[i]) {
      EXPECT_EQ(before, after);
    } else {
      EXPECT_LT(before, after);
    }
    EXPECT_TRUE(std::ranges::all_of(after, [](char c) { return c >= ' ' && c <= '~'; })) << "ASCII, whatever a server's collation is";
  }
}

// A scan that begins at the first identity of that hash comes to it, and one that begins at the next hash does not.
TEST(MongoNames, any_name_stands_behind_the_identities_of_one_hash) {
  testing::SeededRandom random(5);
  const auto first_of = [](std::uint64_t hash) { return document_id(hash, {}, {}); };
  const auto check = [&](const std::string& name) {
    const auto hash = hash_below(name);
    if (hash > 0) {
      EXPECT_LT(first_of(hash), name);
    }
    if (hash < ~std::uint64_t{0}) {
      EXPECT_GE(first_of(hash + 1), name);
    }
  };
  for (const auto* name : {"", "0", "zzz", "A", "fffffffffffffffff", "ffffffffffffffff", "ffffffffffffffff ", "ffffffffffffffff x",
                           "0000000000000000", "0000000000000000 x", "00000000000000010", "ffffffffffffffg", "\xff"}) {
    check(name);
  }
  for (int i = 0; i < 20'000; ++i) {
    auto name = document_id(random.next(), {}, "x");
    name.resize(random.next() % (name.size() + 1));
    if (!name.empty()) name[random.next() % name.size()] = "0189:AFaf g~"[random.next() % 12];
    check(name);
  }
  for (const auto* id : {"a", "b"}) EXPECT_EQ(hash_below(document_id("ns", id)), identity_hash("ns", id));
}

TEST(MongoNames, the_name_of_a_document_says_whose_it_is) {
  testing::SeededRandom random(7);
  const auto text = [&](std::size_t least, std::size_t most) {
    std::string out;
    for (auto left = least + random.next() % (most - least + 1); left > 0; --left) out.push_back(static_cast<char>(random.next() % 256));
    return out;
  };
  for (int i = 0; i < 5000; ++i) {
    const auto ns = text(0, 6);
    const auto id = text(1, 12);
    const auto name = document_id(ns, id);
    const auto identity = identity_in(name);
    ASSERT_TRUE(identity) << name;
    EXPECT_EQ(identity->hash, identity_hash(ns, id));
    EXPECT_EQ(identity->ns, ns);
    EXPECT_EQ(identity->id, id);
    auto other = name;
    other[random.next() % other.size()] ^= static_cast<char>(1 + random.next() % 255);
    EXPECT_FALSE(identity_in(other)) << other;
    EXPECT_FALSE(identity_in(std::string_view(name).substr(0, name.size() - 1))) << name;
  }
  EXPECT_FALSE(identity_in(""));
  EXPECT_FALSE(identity_in(document_id("ns", "")));
  EXPECT_FALSE(identity_in(document_id(identity_hash("ns", "a") + 1, "ns", "a"))) << "of another hash";
  EXPECT_FALSE(identity_in(document_id("ns", "a").replace(16, 1, "!6e"))) << "there is one way to write a byte";
}

TEST(MongoNames, no_two_keys_of_any_namespaces_have_one_name) {
  testing::SeededRandom random(11);
  const auto text = [&](std::size_t most) {
    std::string out;
    for (auto left = random.next() % (most + 1); left > 0; --left) out.push_back(" !a~"[random.next() % 4]);
    return out;
  };
  std::map<std::string, std::pair<std::string, std::string>> all;
  for (int i = 0; i < 20'000; ++i) {
    const auto ns = text(3);
    const auto key = text(3);
    const auto name = key_name(ns, key);
    const auto [at, fresh] = all.emplace(name, std::pair(ns, key));
    EXPECT_TRUE(fresh || at->second == std::pair(ns, key)) << "\"" << name << "\"";
    const auto document = document_id(ns, "some id");
    EXPECT_EQ(name, std::string(key_prefix_in(document)) + key) << document;
  }
  EXPECT_EQ(key_prefix_in("0123456789abcde"), "") << "no name of a document";
  EXPECT_EQ(key_prefix_in("0123 567"), "");
}

TEST(MongoNames, the_guard_compares_as_version_and_revision_do) {
  const std::vector<std::pair<Version, Revision>> rising = {{1, 0}, {1, 1},  {1, 9},  {1, 10},          {1, ~0ULL},
                                                            {2, 0}, {15, 0}, {16, 0}, {kMaxVersion, 0}, {kMaxVersion, ~0ULL}};
  for (std::size_t i = 1; i < rising.size(); ++i) {
    const auto [version, revision] = rising[i];
    EXPECT_LT(order_of(rising[i - 1].first, rising[i - 1].second), order_of(version, revision));
    EXPECT_LT(mark_of(rising[i - 1].first, rising[i - 1].second, 9), mark_of(version, revision, -9)) << "whatever the turns are";
  }
}

TEST(MongoNames, a_mark_sorts_by_its_turn_where_the_versions_are_equal_and_gives_them_back) {
  const std::vector<std::int64_t> rising = {INT64_MIN, -1'790'000'000'000'001, -1'790'000'000'000'000, -1, 0, 1, INT64_MAX};
  for (std::size_t i = 0; i < rising.size(); ++i) {
    const auto mark = mark_of(kMaxVersion, ~0ULL, rising[i]);
    if (i > 0) {
      EXPECT_LT(mark_of(kMaxVersion, ~0ULL, rising[i - 1]), mark);
    }
    EXPECT_EQ(order_in(mark), order_of(kMaxVersion, ~0ULL));
    const auto read = read_mark(mark);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->version, kMaxVersion);
    EXPECT_EQ(read->revision, ~0ULL);
    for (std::size_t at = 0; at < mark.size(); ++at) {
      auto broken = mark;
      broken[at] = 'g';
      EXPECT_FALSE(read_mark(broken)) << broken;
    }
    EXPECT_FALSE(read_mark(mark + "0"));
    EXPECT_FALSE(read_mark(order_in(mark)));
  }
  EXPECT_FALSE(read_mark(""));
}

TEST(MongoNames, a_mark_is_kept_whole_and_what_is_longer_is_none) {
  const auto mark = mark_of(kMaxVersion, 3, 9);
  EXPECT_EQ(MarkText(mark).view(), mark);
  EXPECT_EQ(MarkText(order_in(mark)).view(), order_in(mark));
  EXPECT_EQ(MarkText(mark + "0").view(), "");
  EXPECT_EQ(MarkText().view(), "");
}

Options with_uri(std::string uri) {
  Options options;
  options.uri = std::move(uri);
  return options;
}

TEST(MongoUri, writes_are_confirmed_by_a_majority_with_journal_unless_the_uri_says_otherwise) {
  start_driver();
  const auto plain = read_uri(with_uri("mongodb://h")).value();
  EXPECT_TRUE(plain.acknowledged_by_majority);
  EXPECT_TRUE(plain.journal);
  EXPECT_EQ(plain.database, "setget");
  const auto weak = read_uri(with_uri("mongodb://h/db?w=1&journal=false")).value();
  EXPECT_FALSE(weak.acknowledged_by_majority);
  EXPECT_FALSE(weak.journal);
  EXPECT_EQ(weak.database, "db");
}

TEST(MongoUri, what_cannot_be_kept_is_refused_with_the_reason) {
  start_driver();
  EXPECT_EQ(read_uri(with_uri("mongodb+srv://h/db")).error().code(), ErrorCode::kUnsupported);
  EXPECT_NE(read_uri(with_uri("mongodb+srv://h/db")).error().message().find("mongodb://HOST"), std::string::npos);
  for (const auto* uri : {"mongodb://h/?w=0", "redis://h", "mongodb://", "mongodb://h:notaport/", "mongodb://h/a%24b"}) {
    const auto read = read_uri(with_uri(uri));
    ASSERT_FALSE(read) << uri;
    EXPECT_EQ(read.error().code(), ErrorCode::kInvalidArgument) << uri;
    EXPECT_EQ(read.error().field(), "uri") << uri;
  }
}

TEST(MongoUri, no_secret_is_in_what_is_shown_or_said) {
  start_driver();
  for (const auto* uri : {"mongodb://user:sesame@h,i:27018/db?authSource=admin", "mongodb://user:ses@me@h/db",
                          "mongodb://user:sesame@h:x/db", "mongodb://user:sesame@h/db?nonsense=sesame&w=0"}) {
    const auto read = read_uri(with_uri(uri));
    const auto said = read ? read->shown : read.error().describe();
    EXPECT_EQ(said.find("sesame"), std::string::npos) << said;
    EXPECT_EQ(said.find("ses@me"), std::string::npos) << said;
    EXPECT_EQ(said.find("user"), read ? std::string::npos : said.find("user")) << said;
  }
  EXPECT_EQ(read_uri(with_uri("mongodb://user:sesame@h,i:27018/db")).value().shown, "mongodb://h:27017,i:27018/db");
}

TEST(MongoOptions, every_bound_is_named_when_it_is_broken) {
  const auto field_of = [](auto change) {
    Options options = with_uri("mongodb://h");
    change(options);
    const auto valid = options.validate();
    return valid ? std::string("valid") : valid.error().field();
  };
  EXPECT_EQ(field_of([](Options&) {}), "valid");
  EXPECT_EQ(field_of([](Options& o) { o.uri.clear(); }), "uri");
  EXPECT_EQ(field_of([](Options& o) { o.collection = "a$b"; }), "collection");
  EXPECT_EQ(field_of([](Options& o) { o.collection = "system.x"; }), "collection");
  EXPECT_EQ(field_of([](Options& o) { o.batch = 0; }), "batch");
  EXPECT_EQ(field_of([](Options& o) { o.batch_bytes = 1; }), "batch_bytes");
  EXPECT_EQ(field_of([](Options& o) { o.max_inline_bytes = 13u << 20; }), "max_inline_bytes");
  EXPECT_EQ(field_of([](Options& o) { o.connections = 1; }), "connections");
  EXPECT_EQ(field_of([](Options& o) { o.connect_timeout = Milliseconds(1); }), "connect_timeout");
  EXPECT_EQ(field_of([](Options& o) { o.timeout = Milliseconds(1); }), "timeout");
  EXPECT_EQ(field_of([](Options& o) { o.retries = 21; }), "retries");
}

std::string as_document(std::string_view json) {
  Document out;
  if (!add_json(out, "document", json)) {
    EXPECT_EQ(out.bytes(), 5u) << "nothing is left of it";
    return "refused";
  }
  char* text = bson_as_relaxed_extended_json(out.raw(), nullptr);
  std::string made(text);
  bson_free(text);
  return made;
}

TEST(MongoJson, becomes_the_document_that_it_is) {
  EXPECT_EQ(as_document(R"({"a":[1,2.5,"x",null,true,{"b":{}}],"n":-9223372036854775808})"),
            R"({ "document" : { "a" : [ 1, 2.5, "x", null, true, { "b" : {  } } ], "n" : -9223372036854775808 } })");
  EXPECT_EQ(as_document("[]"), R"({ "document" : [  ] })");
}

TEST(MongoJson, is_left_as_bytes_where_a_document_could_not_say_the_same) {
  for (const auto* json : {"", "1", R"("text")", "{", R"({"a":1,"a":2})", R"({"$date":1})", R"({"a.b":1})", R"({"":1})",
                           R"({"a\u0000b":1})", "{\"a\":\"\xff\"}", R"({"a":"\udc00"})", R"({"a":"\ud800"})", R"({"\udc00":1})"}) {
    EXPECT_EQ(as_document(json), "refused") << json;
  }
  std::string deep(200, '[');
  deep.append(200, ']');
  EXPECT_EQ(as_document(deep), "refused");
}

}  // namespace
}  // namespace setget::mongo
