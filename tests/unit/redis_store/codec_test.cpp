// The codec on real servers: what is stored, who can read it, how dictionaries come and go.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/redis_server.hpp"

#include <setget/redis.hpp>

namespace {

using namespace setget;
using redis_test::RedisServer;

#ifdef SETGET_WITH_ZSTD

constexpr std::uint32_t kSamples = 200;

std::uint64_t next(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  return z ^ (z >> 27);
}

// `secret` is what no dictionary may keep.
std::string document(std::uint64_t number, const std::string& secret) {
  auto state = number;
  return R"({"customer":{"name":")" + secret + R"(","address":"Main Street )" + std::to_string(next(state) % 100) +
         R"(","country":"Freedonia"},"lines":[{"article":"socks, grey, large","price":)" + std::to_string(next(state) % 10'000) +
         R"(}],"reference":")" + std::to_string(next(state)) + R"("})";
}

class Codec : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    server_ = std::make_unique<RedisServer>();
  }

  redis::Database open(bool enabled = true) {
    redis::Options options{.uri = server_->uri(), .prefix = "app", .shards = GetParam()};
    options.codec = {.enabled = enabled, .min_bytes = 64, .dictionary_bytes = 8 << 10, .sample_records = kSamples};
    auto database = redis::open(options);
    EXPECT_TRUE(database) << database.error().message();
    return *std::move(database);
  }

  static std::string id_of(std::uint64_t number) { return "record-" + std::to_string(number); }
  static std::string key_of(std::uint64_t number) { return "key-" + std::to_string(number); }

  ApplyEntry entry(Command command) {
    ApplyEntry out;
    out.encoded = encode_command(command);
    out.command = decode_command(out.encoded).value();
    out.stamp = stamp_at(system_clock()->now()) + ++stamps_;
    return out;
  }

  void apply(redis::Database& database, const std::vector<ApplyEntry>& entries) {
    auto applied = database.key_store().backend()->apply({.entries = entries, .now = system_clock()->now()});
    ASSERT_TRUE(applied) << applied.error().message();
    for (auto& one : *applied) {
      ASSERT_TRUE(one) << one.error().message();
      ASSERT_EQ(one->outcome, Outcome::kApplied);
    }
  }

  void set(redis::Database& database, std::uint64_t from, std::uint64_t count, const std::string& secret,
           const std::string& flow = "orders") {
    std::vector<ApplyEntry> entries;
    for (auto n = from; n < from + count; ++n) {
      Command command;
      command.kind = CommandKind::kSet;
      command.id = id_of(n);
      const std::vector<std::string> keys = {key_of(n)};
      command.keys = KeyList(std::span<const std::string>(keys));
      command.account = "acme";
      command.flow = flow;
      command.content_type = "application/json";
      command.payload = document(n, secret);
      entries.push_back(entry(command));
    }
    apply(database, entries);
  }

  void erase(redis::Database& database, std::uint64_t from, std::uint64_t count) {
    std::vector<ApplyEntry> entries;
    for (auto n = from; n < from + count; ++n) {
      Command command;
      command.kind = CommandKind::kErase;
      command.id = id_of(n);
      entries.push_back(entry(command));
    }
    apply(database, entries);
  }

  static void reclaim(redis::Database& database) {
    const auto done = database.key_store().backend()->reclaim({.now = system_clock()->now()});
    ASSERT_TRUE(done) << done.error().message();
  }

  // Both forms of reading.
  static void expect(redis::Database& database, std::uint64_t number, const std::string& secret) {
    const auto key = key_of(number);
    const std::string_view view = key;
    const GetRecords request{.keys = {&view, 1}, .now = system_clock()->now()};
    auto backend = database.key_store().backend();
    std::promise<Result<std::vector<Lookup>>> promise;
    backend->get_async(request, [&](Result<std::vector<Lookup>> found) { promise.set_value(std::move(found)); });
    const auto later = promise.get_future().get();
    const auto now = backend->get(request);
    for (const auto& found : {now, later}) {
      ASSERT_TRUE(found) << found.error().message();
      ASSERT_EQ(found->front().status, Lookup::Status::kFound) << number;
      EXPECT_EQ(found->front().record->payload.view(), document(number, secret));
    }
  }

  // All that the server holds, as redis-cli shows it: dictionaries hold text as it is, so it would be found.
  std::string dictionaries() const {
    std::string out;
    std::string names = server_->cli({"--scan", "--pattern", "app:*:d:*"});
    for (std::size_t at = 0; at < names.size();) {
      const auto end = names.find('\n', at);
      const auto name = names.substr(at, end == std::string::npos ? end : end - at);
      if (!name.empty()) out += server_->cli({"--no-raw", "GET", name}) + "\n";
      if (end == std::string::npos) break;
      at = end + 1;
    }
    return out;
  }
  // Each counts once, wherever it lies.
  std::size_t dictionary_count() const {
    const auto names = server_->cli({"--scan", "--pattern", "app:*:d:*"});
    const auto places = static_cast<std::size_t>(std::ranges::count(names, '{'));
    const std::size_t of_each = GetParam() > 1 ? 2 : 1;
    EXPECT_EQ(places % of_each, 0u) << names;
    return places / of_each;
  }
  std::size_t stored_bytes(std::uint64_t number) const {
    const auto name = server_->cli({"--scan", "--pattern", "app:*:e:/" + id_of(number)});
    return std::stoul(server_->cli({"STRLEN", name.substr(0, name.find('\n'))}));
  }

  std::unique_ptr<RedisServer> server_;
  std::uint64_t stamps_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Parts, Codec, ::testing::Values(1, 16), [](const auto& one) { return std::to_string(one.param); });

TEST_P(Codec, A_dictionary_is_trained_in_reclaim_and_makes_records_smaller) {
  auto database = open();
  set(database, 0, kSamples, "Jane Doe");
  const auto before = stored_bytes(0);
  EXPECT_EQ(dictionary_count(), 0u);
  reclaim(database);
  EXPECT_EQ(dictionary_count(), 1u);
  set(database, 1000, 50, "Jane Doe");
  EXPECT_LT(stored_bytes(1000) * 2, before);
  for (const auto n : {0, 100, 199, 1000, 1049}) expect(database, static_cast<std::uint64_t>(n), "Jane Doe");
  // As it is in use, it stays.
  for (int i = 0; i < 5; ++i) reclaim(database);
  EXPECT_EQ(dictionary_count(), 1u);
}

TEST_P(Codec, Another_process_reads_with_dictionaries_that_it_has_to_ask_for) {
  {
    auto writer = open();
    set(writer, 0, kSamples, "Jane Doe");
    reclaim(writer);
    set(writer, 1000, 50, "Jane Doe");
  }
  // In completion form first: nothing may wait there.
  auto reader = open(false);
  for (std::uint64_t n = 1000; n < 1050; ++n) expect(reader, n, "Jane Doe");
  auto by_id = open(false).key_store().backend()->get_by_id({.id = id_of(1000), .now = system_clock()->now()});
  ASSERT_TRUE(by_id) << by_id.error().message();
  ASSERT_TRUE(by_id->record);
  EXPECT_EQ(by_id->record->payload.view(), document(1000, "Jane Doe"));
  // And it writes with them.
  auto writer = open();
  set(writer, 2000, 1, "Jane Doe");
  EXPECT_LT(stored_bytes(2000) * 2, stored_bytes(0));
}

TEST_P(Codec, Small_records_and_those_of_a_store_without_the_codec_stay_as_they_are) {
  auto database = open(false);
  set(database, 0, 1, "Jane Doe");
  EXPECT_GT(stored_bytes(0), document(0, "Jane Doe").size());
  expect(database, 0, "Jane Doe");
}

TEST_P(Codec, Retraining_leaves_no_text_of_erased_records) {
  auto database = open();
  set(database, 0, kSamples, "Jane Doe of the Erased");
  reclaim(database);
  set(database, 1000, 100, "Jane Doe of the Erased");
  set(database, 2000, 300, "somebody else");
  ASSERT_NE(dictionaries().find("of the Erased"), std::string::npos);
  erase(database, 0, kSamples);
  erase(database, 1000, 100);
  auto other = open();  // that knows the old dictionary only
  set(other, 3000, 1, "somebody else");
  const auto done = database.retrain("", "acme", "orders");
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->removed, 1u);
  EXPECT_EQ(done->recoded, 301u);
  EXPECT_EQ(done->still_used, 0u);
  EXPECT_GT(done->samples, 100u);
  EXPECT_EQ(dictionary_count(), 1u);
  EXPECT_EQ(dictionaries().find("of the Erased"), std::string::npos);
  ASSERT_NE(dictionaries().find("Freedonia"), std::string::npos);
  // Nobody writes with the old one any more.
  set(other, 3001, 20, "somebody else");
  for (std::uint64_t n = 2000; n < 2300; n += 37) {
    expect(database, n, "somebody else");
    expect(other, n, "somebody else");
  }
  for (std::uint64_t n = 3000; n < 3021; ++n) expect(database, n, "somebody else");
  // Compressed; by how much depends on what the samples of this run were.
  EXPECT_LT(stored_bytes(3005) * 3, document(3005, "somebody else").size() * 2);
  // Records are what they were.
  const auto stats = database.key_store().backend()->stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->records, 321u);
}

TEST_P(Codec, Retraining_beside_writers_loses_nothing) {
  auto database = open();
  set(database, 0, kSamples, "Jane Doe");
  reclaim(database);
  auto other = open();
  std::atomic<bool> over{false};
  std::uint64_t written = 0;
  std::thread writer([&] {
    for (std::uint64_t at = 10'000; !over && written < 4000; at += 20, written += 20) set(other, at, 20, "Jane Doe");
  });
  for (int i = 0; i < 5; ++i) {
    const auto done = database.retrain("", "acme", "orders");
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(done->still_used, 0u);
  }
  over = true;
  writer.join();
  EXPECT_EQ(dictionary_count(), 1u);
  auto reader = open(false);
  for (std::uint64_t n = 10'000; n < 10'000 + written; ++n) expect(reader, n, "Jane Doe");
}

TEST_P(Codec, A_dictionary_goes_with_the_last_record_that_uses_it) {
  auto database = open();
  set(database, 0, kSamples, "Jane Doe");
  reclaim(database);
  set(database, 1000, 50, "Jane Doe");
  erase(database, 1000, 49);
  reclaim(database);
  EXPECT_EQ(dictionary_count(), 1u);
  erase(database, 1049, 1);
  for (int i = 0; i < 3; ++i) reclaim(database);
  EXPECT_EQ(dictionary_count(), 0u);
  // Whoever has it at hand does not use it any more.
  set(database, 2000, 1, "Jane Doe");
  auto reader = open(false);
  expect(reader, 2000, "Jane Doe");
}

TEST_P(Codec, Families_have_dictionaries_of_their_own) {
  auto database = open();
  set(database, 0, kSamples, "Jane Doe", "orders");
  set(database, 5000, kSamples, "Jane Doe", "returns");
  reclaim(database);
  reclaim(database);
  EXPECT_EQ(dictionary_count(), 2u);
  set(database, 10'000, 10, "Jane Doe", "orders");
  set(database, 11'000, 10, "Jane Doe", "returns");
  const auto done = database.retrain("", "acme", "orders");
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->recoded, 10u);
  EXPECT_EQ(dictionary_count(), 2u);
  expect(database, 10'005, "Jane Doe");
  expect(database, 11'005, "Jane Doe");
}

TEST_P(Codec, After_a_flush_nothing_old_is_used) {
  auto database = open();
  set(database, 0, kSamples, "Jane Doe");
  reclaim(database);
  set(database, 1000, 10, "Jane Doe");
  server_->cli({"FLUSHALL"});
  set(database, 2000, 10, "Jane Doe");
  auto reader = open(false);
  for (std::uint64_t n = 2000; n < 2010; ++n) expect(reader, n, "Jane Doe");
}

// New records are written without a look at what is there: the process that writes them must notice all the same that the dictionary it
// has at hand is gone.
TEST_P(Codec, What_another_process_retrained_is_not_used_for_new_records) {
  auto mine = open();
  set(mine, 0, kSamples, "Jane Doe");
  reclaim(mine);
  set(mine, 1000, 10, "Jane Doe");
  auto other = open();
  const auto retrained = other.retrain("", "acme", "orders");
  ASSERT_TRUE(retrained) << retrained.error().message();
  set(mine, 2000, 10, "Jane Doe");
  auto reader = open(false);
  for (std::uint64_t n = 2000; n < 2010; ++n) expect(reader, n, "Jane Doe");
}

TEST_P(Codec, A_dictionary_of_another_content_is_not_used_for_new_records) {
  auto mine = open();
  set(mine, 0, kSamples, "Jane Doe");
  reclaim(mine);
  set(mine, 1000, 10, "Jane Doe");
  auto other = open();
  server_->cli({"FLUSHALL"});
  set(other, 1500, 1, "Jane Doe");  // the new epoch has begun, and not by the one who has the dictionary
  set(mine, 2000, 10, "Jane Doe");
  auto reader = open(false);
  for (std::uint64_t n = 2000; n < 2010; ++n) expect(reader, n, "Jane Doe");
}

TEST_P(Codec, A_lost_dictionary_is_said_and_not_waited_for) {
  auto database = open();
  set(database, 0, kSamples, "Jane Doe");
  reclaim(database);
  set(database, 1000, 1, "Jane Doe");
  const auto names = server_->cli({"--scan", "--pattern", "app:*:d:*"});
  const auto first = names.substr(0, names.find('\n'));
  server_->cli({"DEL", first});
  if (GetParam() > 1) {
    // As where a master of a cluster is lost: the other one has it too.
    auto reader = open(false);
    expect(reader, 1000, "Jane Doe");
    const auto second = names.substr(first.size() + 1);
    server_->cli({"DEL", second.substr(0, second.find('\n'))});
  }
  auto reader = open(false);
  auto& store = *reader.key_store().backend();
  const auto key = key_of(1000);
  const std::string_view view = key;
  const auto now = system_clock()->now();
  const auto found = store.get({.keys = {&view, 1}, .now = now});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kCorrupted);
  const auto id = id_of(1000);
  EXPECT_EQ(store.get_by_id({.ns = {}, .id = id, .now = now}).error().code(), ErrorCode::kCorrupted);
  EXPECT_EQ(store.scan({.cursor = {}}).error().code(), ErrorCode::kCorrupted);
  // The others are there as before.
  const auto page = store.scan({.cursor = {}, .limit = kSamples + 10, .over_damaged = true});
  ASSERT_TRUE(page) << page.error().describe();
  ASSERT_EQ(page->damaged.size(), 1u);
  EXPECT_EQ(page->damaged[0].id, id);
  EXPECT_EQ(page->items.size(), kSamples);
}

TEST_P(Codec, What_lost_its_dictionary_can_still_be_replaced_erased_and_evicted) {
  {
    auto database = open();
    set(database, 0, kSamples, "Jane Doe");
    reclaim(database);
    set(database, 1000, 20, "Jane Doe");
    Command command;
    command.kind = CommandKind::kSet;
    command.id = id_of(2000);
    const std::vector<std::string> keys = {key_of(2000)};
    command.keys = KeyList(std::span<const std::string>(keys));
    command.account = "acme";
    command.flow = "orders";
    command.payload = document(2000, "Jane Doe");
    auto one = entry(command);
    one.expires_at = system_clock()->now() + Milliseconds(60'000);
    apply(database, {one});
  }
  ASSERT_GT(dictionary_count(), 0u);
  server_->cli({"EVAL", "for _, key in ipairs(redis.call('KEYS', 'app:*:d:*')) do redis.call('DEL', key) end", "0"});
  auto database = open();
  set(database, 1000, 5, "John Roe");
  for (std::uint64_t n = 1000; n < 1005; ++n) expect(database, n, "John Roe");
  erase(database, 1005, 5);
  const auto key = key_of(1007);
  const std::string_view view = key;
  const auto gone = database.key_store().backend()->get({.keys = {&view, 1}, .now = system_clock()->now()}).value();
  EXPECT_NE(gone.front().status, Lookup::Status::kFound);
  const auto later = system_clock()->now() + Milliseconds(3'600'000);
  EXPECT_EQ(database.key_store().backend()->reclaim({.now = later}).value().expired, 1u);
  const auto retrained = database.retrain("", "acme", "orders");
  ASSERT_TRUE(retrained) << retrained.error().describe();
  set(database, 1010, 10, "John Roe");
  for (std::uint64_t n = 1010; n < 1020; ++n) expect(database, n, "John Roe");
}

TEST_P(Codec, A_dictionary_counts_the_records_that_use_it_also_where_writers_meet) {
  auto one = open();
  set(one, 0, kSamples, "Jane Doe");
  reclaim(one);
  set(one, 500, 1, "Jane Doe");  // both know the dictionary from here on
  auto other = open();
  for (int round = 0; round < 20; ++round) {
    std::vector<ApplyEntry> entries;
    for (std::uint64_t n = 0; n < 500; ++n) {
      Command command;
      command.kind = CommandKind::kSet;
      command.id = id_of(10'000 + static_cast<std::uint64_t>(round) * 500 + n);
      const std::vector<std::string> keys = {command.id};
      command.keys = KeyList(std::span<const std::string>(keys));
      command.account = "acme";
      command.flow = "orders";
      command.payload = document(n, "Jane Doe");
      entries.push_back(entry(command));
    }
    // A message that was redelivered.
    std::barrier together(2);
    std::jthread first([&] {
      together.arrive_and_wait();
      (void)one.key_store().backend()->apply({.entries = entries, .now = system_clock()->now()});
    });
    std::jthread second([&] {
      together.arrive_and_wait();
      (void)other.key_store().backend()->apply({.entries = entries, .now = system_clock()->now()});
    });
  }
  const auto sum = server_->cli({"EVAL",
                                 "local uses, records = 0, 0 "
                                 "for _, key in ipairs(redis.call('KEYS', 'app:*:u')) do "
                                 "for _, count in ipairs(redis.call('HVALS', key)) do uses = uses + count end end "
                                 "return uses",
                                 "0"});
  EXPECT_EQ(sum, std::to_string(20 * 500 + 1));
}

TEST_P(Codec, A_dictionary_holds_no_text_of_another_namespace_whatever_ids_look_like) {
  auto database = open();
  std::vector<ApplyEntry> entries;
  for (std::uint64_t n = 0; n < kSamples; ++n) {
    Command command;
    command.kind = CommandKind::kSet;
    command.ns = "other";
    command.id = "x}:e:mine/" + std::to_string(n);
    const std::vector<std::string> keys = {key_of(n)};
    command.keys = KeyList(std::span<const std::string>(keys));
    command.account = "acme";
    command.flow = "orders";
    command.payload = document(n, "Jane Doe");
    entries.push_back(entry(command));
  }
  apply(database, entries);
  EXPECT_EQ(database.retrain("mine", "acme", "orders").value().samples, 0u);
}

#endif

}  // namespace
