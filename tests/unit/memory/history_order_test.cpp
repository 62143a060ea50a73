// Histories of random messages: exact where they were applied in their order; in whatever order, they end where the store is.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <sstream>

#include "redis/messages.hpp"

#include <setget/memory.hpp>

namespace {

using namespace setget;
using redis_test::Messages;

std::string text(const std::optional<Record>& record) {
  return record ? record->id + " v" + std::to_string(record->version) + " " + record->payload.str() : std::string("none");
}

// Of every third message, where `mixed`: of a flow that keeps none.
bool keeps(std::uint64_t number, bool mixed) { return !mixed || number % 3 != 0; }

// What the past must say of it: nothing, of a record that no history knows.
std::optional<Record> known(std::optional<Record> record, Stamp step, bool mixed) {
  if (record && !keeps((record->stamp - Messages::base()) / step, mixed)) record.reset();
  return record;
}

std::shared_ptr<ArchiveBackend> archive_of(KeyStoreBackend& store) {
  auto archive = memory::open({}).value().archive();
  std::vector<ArchivedState> archived;
  for (auto& state : store.history({.limit = 100'000}).value().states) archived.push_back({.state = std::move(state), .keep = {}});
  EXPECT_TRUE(archive->write_history({.source = {.uuid = "s", .epoch = 1}, .states = archived}));
  return archive;
}

void run(std::uint64_t seed, Stamp step, bool mixed = false) {
  setget::testing::SeededRandom dice(seed);
  const bool expires = seed % 4 == 1;
  const Messages messages(seed, Messages::Shape{.identities = 2 + static_cast<int>(dice.next() % 3),
                                                .shared_keys = 1 + static_cast<int>(dice.next() % 3),
                                                .erases = dice.next() % 2 == 0,
                                                .touches = seed % 4 == 0,
                                                .step = step,
                                                .expiries = expires});
  std::vector<std::uint64_t> numbers(3 + dice.next() % 11);
  std::iota(numbers.begin(), numbers.end(), 1);
  if (dice.next() % 8 != 0) {
    for (std::size_t i = numbers.size(); i > 1; --i) std::swap(numbers[i - 1], numbers[dice.next() % i]);
  }
  const auto store = memory::open({}).value().key_store();
  auto& backend = *store.backend();
  std::ostringstream plan;
  for (const auto number : numbers) {
    auto entry = messages.at(number, "n");
    entry.history = entry.command.kind == CommandKind::kSet && keeps(number, mixed);
    plan << redis_test::text_of(entry) << "\n";
    ASSERT_TRUE(backend.apply({.entries = {&entry, 1}, .now = Messages::now()}).value().at(0));
  }
  const auto archive = archive_of(backend);
  const auto afterwards = Messages::over() + Milliseconds(60'000);
  std::ostringstream past;
  std::ostringstream present;
  const auto compare = [&](const GetHistory& moment, const std::optional<Record>& now) {
    const auto then = archive->get_history(moment).value();
    const auto there = text(known(now, step, mixed));
    const auto name = std::string(moment.key.empty() ? moment.id : moment.key) + ": ";
    present << name << there << "\n";
    // A record that is not kept may have had it: then nothing is claimed.
    past << name << (mixed && then.status == HistoryLookup::Status::kNotKept ? there : text(then.record)) << "\n";
  };
  for (const auto& key : messages.keys()) {
    const std::string_view view = key;
    compare({.ns = "n", .key = key, .id = {}, .at = afterwards},
            backend.get({.ns = "n", .keys = {&view, 1}, .now = afterwards}).value().at(0).record);
  }
  for (const auto& id : messages.ids()) {
    compare({.ns = "n", .key = {}, .id = id, .at = afterwards}, backend.get_by_id({.ns = "n", .id = id, .now = afterwards}).value().record);
  }
  ASSERT_EQ(past.str(), present.str()) << "seed " << seed << "\n" << plan.str();
}

// In the order in which they were accepted: what was there at each moment.
void look_back(std::uint64_t seed) {
  const Messages messages(seed, Messages::Shape{.identities = 3, .shared_keys = 2, .touches = seed % 4 == 0, .step = 2'048});
  constexpr std::uint64_t kMessages = 14;
  const auto store = memory::open({}).value().key_store();
  auto& backend = *store.backend();
  std::vector<std::string> was;
  const auto everything = [&](auto&& by_key, auto&& by_id) {
    std::string out;
    for (const auto& key : messages.keys()) out += key + ": " + text(by_key(key)) + "\n";
    for (const auto& id : messages.ids()) out += id + ": " + text(by_id(id)) + "\n";
    return out;
  };
  for (std::uint64_t n = 1; n <= kMessages; ++n) {
    auto entry = messages.at(n, "n");
    entry.history = entry.command.kind == CommandKind::kSet;
    ASSERT_TRUE(backend.apply({.entries = {&entry, 1}, .now = Messages::now()}).value().at(0));
    was.push_back(everything(
        [&](std::string_view key) {
          return backend.get({.ns = "n", .keys = {&key, 1}, .now = Messages::now()}).value().at(0).record;
        },
        [&](std::string_view id) { return backend.get_by_id({.ns = "n", .id = id, .now = Messages::now()}).value().record; }));
  }
  const auto archive = archive_of(backend);
  for (std::uint64_t n = 1; n <= kMessages; ++n) {
    const auto at = time_of(Messages::base() + n * 2'048);
    ASSERT_EQ(
        everything([&](std::string_view key) { return archive->get_history({.ns = "n", .key = key, .id = {}, .at = at}).value().record; },
                   [&](std::string_view id) { return archive->get_history({.ns = "n", .key = {}, .id = id, .at = at}).value().record; }),
        was[n - 1])
        << "seed " << seed << " after message " << n;
  }
}

std::uint64_t rounds() {
  const char* given = std::getenv("SETGET_HISTORY_ROUNDS");
  return given == nullptr ? 3'000 : std::strtoull(given, nullptr, 10);
}

TEST(HistoryOrder, of_messages_in_their_order_every_moment_is_exact) {
  for (std::uint64_t seed = 1; seed <= rounds() / 3 && !HasFatalFailure(); ++seed) look_back(seed);
}

TEST(HistoryOrder, ends_where_the_store_is_with_milliseconds_between) {
  for (std::uint64_t seed = 1; seed <= rounds() && !HasFatalFailure(); ++seed) run(seed, 2'048);
}

TEST(HistoryOrder, ends_where_the_store_is_within_one_millisecond) {
  for (std::uint64_t seed = 1; seed <= rounds() && !HasFatalFailure(); ++seed) run(seed, 1);
}

TEST(HistoryOrder, ends_where_the_store_is_beside_records_that_keep_none) {
  for (std::uint64_t seed = 1; seed <= rounds() && !HasFatalFailure(); ++seed) run(seed, 2'048, true);
}

}  // namespace
