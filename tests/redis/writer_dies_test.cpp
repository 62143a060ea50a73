// A writer dies between any two commands: for each scenario its connections are cut after the first command, after the second, and so on
// until it gets through. Each time readers see what was there before or what is there afterwards, the redelivery of its message by another
// process brings the store to what the messages amount to, and so it does when others have gone on meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "redis/command_cutter.hpp"
#include "redis/messages.hpp"
#include "redis/opened_store.hpp"
#include "support/redis_server.hpp"

namespace redis_test {
namespace {

RedisServer& server() {
  static RedisServer one;
  return one;
}

std::uint64_t rounds() {
  const char* given = std::getenv("SETGET_CRASH_ROUNDS");
  return given == nullptr ? 0 : std::strtoull(given, nullptr, 10);
}

std::string fresh_ns() {
  static int count = 0;
  return "n" + std::to_string(++count);
}

struct Scenario {
  std::vector<ApplyEntry> before;  // undisturbed
  std::vector<ApplyEntry> batch;   // of the writer that dies
  std::vector<ApplyEntry> after;   // by others, before the redelivery
};
// Of a namespace.
using Script = std::function<Scenario(const std::string& ns)>;

void apply(KeyStoreBackend& store, const std::vector<ApplyEntry>& entries) {
  const auto results = store.apply({.entries = entries, .now = Messages::now()}).value();
  for (const auto& result : results) ASSERT_TRUE(result) << result.error().message();
}

// What a reader sees under each key, without what only the record itself says of lost keys.
std::vector<std::string> seen(KeyStoreBackend& store, const std::string& ns, const std::vector<std::string>& keys) {
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<std::string> out;
  for (const auto& lookup : store.get({.ns = ns, .keys = views, .now = Messages::now()}).value()) {
    out.push_back(lookup.status == Lookup::Status::kFound
                      ? lookup.record->id + " " + std::to_string(lookup.record->version) + " " + lookup.record->payload.str()
                      : "-");
  }
  return out;
}

// Every record is seen under all keys of before or under all keys of afterwards. `strict`: all of them of the same moment.
bool whole(const std::vector<std::string>& now, const std::vector<std::string>& before, const std::vector<std::string>& after,
           bool strict) {
  if (now == before || now == after) return true;
  if (strict) return false;
  std::set<std::string> records(now.begin(), now.end());
  records.insert(before.begin(), before.end());
  records.insert(after.begin(), after.end());
  records.erase("-");
  const auto keys_of = [](const std::vector<std::string>& view, const std::string& record) {
    std::set<std::size_t> keys;
    for (std::size_t i = 0; i < view.size(); ++i) {
      if (view[i] == record) keys.insert(i);
    }
    return keys;
  };
  return std::ranges::all_of(records, [&](const auto& record) {
    const auto keys = keys_of(now, record);
    return keys == keys_of(before, record) || keys == keys_of(after, record);
  });
}

std::string joined(const std::vector<std::string>& keys, const std::vector<std::string>& view) {
  std::string out;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (view[i] != "-") out += keys[i] + "=" + view[i].substr(0, 40) + " ";
  }
  return out;
}

struct Bench {
  explicit Bench(std::uint32_t parts)
      : shards(parts), prefix(new_prefix()), direct(open_store(server().uri(), prefix, parts)), cutter(server().port()) {}

  // How many commands it took undisturbed.
  std::size_t run(const Messages& messages, const Script& script, bool strict) {
    const auto keys = messages.keys();
    for (std::size_t n = 0;; ++n) {
      const auto ns = fresh_ns();
      const auto scenario = script(ns);
      apply(*direct, scenario.before);
      const auto before = seen(*direct, ns, keys);
      Reference reference;
      for (const auto& entry : scenario.before) reference.apply(entry);
      for (const auto& entry : scenario.batch) reference.apply(entry);
      const auto after = seen(reference.store(), ns, keys);

      cutter.revive();
      auto writer = open_store(cutter.uri(), prefix, shards);
      (void)writer->get_by_id({.ns = ns, .id = "nobody", .now = Messages::now()});
      cutter.cut_after(n);
      auto applied = writer->apply({.entries = scenario.batch, .now = Messages::now(), .deadline = Deadline::in(Milliseconds(5000))});
      const bool cut = cutter.cut();
      bool acknowledged = applied.has_value();
      if (applied) {
        for (const auto& one : *applied) acknowledged = acknowledged && one.has_value();
      }
      const auto now = seen(*direct, ns, keys);
      if (acknowledged ? now != after : !whole(now, before, after, strict)) {
        ADD_FAILURE() << "after command " << n << (acknowledged ? " (acknowledged)" : "") << "\n  before " << joined(keys, before)
                      << "\n  after  " << joined(keys, after) << "\n  now    " << joined(keys, now);
        return n;
      }
      if (!cut && !acknowledged) {
        ADD_FAILURE() << (applied ? "an entry failed" : applied.error().message());
        return n;
      }
      apply(*direct, scenario.after);
      for (const auto& entry : scenario.after) reference.apply(entry);
      apply(*direct, scenario.batch);
      const auto state = state_of(*direct, messages, ns);
      const auto expected = state_of(reference.store(), messages, ns);
      if (state != expected) {
        ADD_FAILURE() << "redelivered after command " << n << ":\n" << state << "--- expected\n" << expected;
        return n;
      }
      if (!cut) return n;
    }
  }

  std::uint32_t shards;
  std::string prefix;
  std::shared_ptr<KeyStoreBackend> direct;
  CommandCutter cutter;
};

ApplyEntry set_of(const std::string& ns, const std::string& id, std::vector<std::string> keys, std::uint64_t number) {
  return kit::set_entry(
      {.id = id, .keys = std::move(keys), .stamp = Messages::base() + number, .payload = "p" + std::to_string(number), .ns = ns});
}

class WriterDies : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  Messages messages{1};
};
INSTANTIATE_TEST_SUITE_P(Parts, WriterDies, ::testing::Values(1, 16));

TEST_P(WriterDies, while_a_set_takes_keys_over_from_two_others) {
  Bench bench(GetParam());
  const auto commands = bench.run(
      messages,
      [](const std::string& ns) {
        return Scenario{
            .before = {set_of(ns, "i0", {"i0.0", "s0", "i2"}, 1), set_of(ns, "i1", {"i1.0", "s1"}, 2), set_of(ns, "i2", {"i2.0", "s2"}, 3)},
            .batch = {set_of(ns, "i2", {"i2", "i2.1", "s0", "s1", "s2"}, 9)},
            .after = {}};
      },
      true);
  EXPECT_GE(commands, GetParam() == 1 ? 3u : 8u);
}

TEST_P(WriterDies, while_new_records_are_set_in_a_batch) {
  Bench bench(GetParam());
  const auto commands = bench.run(
      messages,
      [](const std::string& ns) {
        return Scenario{.before = {set_of(ns, "i3", {"i3.0", "s2"}, 1)},
                        .batch = {set_of(ns, "i0", {"i0.0", "s0", "i0.1"}, 5), set_of(ns, "i1", {"i1", "i1.0"}, 6),
                                  set_of(ns, "i2", {"i2.0", "s2"}, 7)},
                        .after = {}};
      },
      false);
  EXPECT_GE(commands, 3u);
}

TEST_P(WriterDies, while_a_key_is_erased) {
  Bench bench(GetParam());
  bench.run(
      messages,
      [](const std::string& ns) {
        return Scenario{.before = {set_of(ns, "i0", {"i0.0", "s0", "s1"}, 1), set_of(ns, "i1", {"i1.0", "s0"}, 2),
                                   set_of(ns, "i2", {"i2.0", "s0", "s2"}, 3)},
                        .batch = {kit::erase_key_entry("s0", Messages::base() + 9, ns)},
                        .after = {}};
      },
      false);
}

TEST_P(WriterDies, while_a_record_is_erased) {
  Bench bench(GetParam());
  bench.run(
      messages,
      [](const std::string& ns) {
        return Scenario{.before = {set_of(ns, "i0", {"i0", "i0.0", "s0", "s1"}, 1), set_of(ns, "i1", {"i1.0", "s1"}, 2)},
                        .batch = {kit::erase_entry({.id = "i0", .stamp = Messages::base() + 9, .version = {}, .expires_at = {}, .ns = ns})},
                        .after = {}};
      },
      true);
}

// Scenarios by chance: what was there, what the writer that dies is about, and what others do before it is delivered again.
TEST_P(WriterDies, in_the_middle_of_anything) {
  Bench bench(GetParam());
  const auto scenarios = rounds() != 0 ? rounds() / 2 : 60;
  std::size_t cuts = 0;
  for (std::uint64_t seed = 1; seed <= scenarios; ++seed) {
    kit::SeededRandom dice(seed);
    const Messages random(seed);
    const auto pick = [&](std::size_t most) {
      std::vector<std::uint64_t> numbers(dice.next() % (most + 1));
      for (auto& one : numbers) one = 1 + dice.next() % 40;
      return numbers;
    };
    const auto before = pick(6);
    const auto batch = std::vector<std::uint64_t>{1 + dice.next() % 40};
    const auto after = pick(2);
    std::string told = "seed " + std::to_string(seed);
    const auto tell = [&](const char* when, const std::vector<std::uint64_t>& numbers) {
      for (const auto n : numbers) told += std::string("\n") + when + text_of(random.at(n, "x"));
    };
    tell("  before: ", before);
    tell("  cut:    ", batch);
    tell("  after:  ", after);
    SCOPED_TRACE(told);
    cuts += bench.run(
        random,
        [&](const std::string& ns) {
          Scenario scenario;
          for (const auto n : before) scenario.before.push_back(random.at(n, ns));
          for (const auto n : batch) scenario.batch.push_back(random.at(n, ns));
          for (const auto n : after) scenario.after.push_back(random.at(n, ns));
          return scenario;
        },
        random.at(batch[0], "x").command.kind != CommandKind::kEraseKey);
    if (HasFailure()) return;
  }
  RecordProperty("cuts", static_cast<int>(cuts));
  std::printf("%zu cuts in %llu scenarios, %u parts\n", cuts, static_cast<unsigned long long>(scenarios), GetParam());
}

// Evicting what has expired, likewise.
TEST_P(WriterDies, while_records_are_evicted) {
  Bench bench(GetParam());
  for (std::size_t n = 0;; ++n) {
    const auto ns = fresh_ns();
    auto first = kit::set_entry({.id = "i0",
                                 .keys = {"i0.0", "s0", "i0"},
                                 .stamp = Messages::base() + 1,
                                 .expires_at = Messages::now() + Milliseconds(10),
                                 .ns = ns});
    const auto second = set_of(ns, "i1", {"i1.0", "s1"}, 2);
    auto third = kit::set_entry(
        {.id = "i2", .keys = {"i2.0", "s1"}, .stamp = Messages::base() + 3, .expires_at = Messages::now() + Milliseconds(10), .ns = ns});
    apply(*bench.direct, {first, second, third});
    const auto later = Messages::now() + Milliseconds(100'000);
    bench.cutter.revive();
    auto writer = open_store(bench.cutter.uri(), bench.prefix, bench.shards);
    bench.cutter.cut_after(n);
    const auto reclaimed = writer->reclaim({.now = later, .floor = 0, .grace = Milliseconds(0), .max_steps = 1000});
    const bool cut = bench.cutter.cut();
    if (!cut) {
      EXPECT_TRUE(reclaimed) << reclaimed.error().message();
    }
    const std::vector<std::string_view> keys = {"i0.0", "s0", "i0", "i2.0", "i1.0"};
    const auto found = bench.direct->get({.ns = ns, .keys = keys, .now = later}).value();
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NE(found[i].status, Lookup::Status::kFound) << n;
    ASSERT_EQ(found[4].status, Lookup::Status::kFound) << n;
    (void)bench.direct->reclaim({.now = later, .floor = 0, .grace = Milliseconds(0), .max_steps = 1000}).value();
    // No falling back, and the record that lost a key stays.
    EXPECT_EQ(bench.direct->get({.ns = ns, .keys = std::vector<std::string_view>{"s1"}, .now = later}).value()[0].status,
              Lookup::Status::kGone)
        << n;
    for (const auto* id : {"i0", "i2"}) {
      EXPECT_EQ(bench.direct->get_by_id({.ns = ns, .id = id, .now = Messages::now()}).value().status, Lookup::Status::kGone)
          << n << " " << id;
    }
    if (HasFailure() || !cut) break;
  }
}

}  // namespace
}  // namespace redis_test
