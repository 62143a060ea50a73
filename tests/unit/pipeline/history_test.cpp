#include "archive_support.hpp"

#include <algorithm>
#include <array>

#include <setget/testing/commands.hpp>

#include "support/sanitized.hpp"

namespace {

using namespace setget_test;

// "orders" keeps history, "plain" does not.
Flows flows_with_history(Ttl age = Ttl::after(days(30))) {
  Flows flows;
  flows.flows["orders"].history = true;
  flows.flows["orders"].history_age = age;
  flows.flows["orders"].archive = ArchiveMode::kAlways;
  flows.flows["plain"].archive = ArchiveMode::kAlways;
  return flows;
}

struct Past : ArchiveWorld {
  explicit Past(Flows flows = flows_with_history(), std::size_t batch = 500) : ArchiveWorld(std::move(flows), batch) {
    // As the first maintenance of a pipeline does.
    EXPECT_TRUE(archiver->move_history());
  }

  // Sets at a fresh moment, a second after the last, and returns it.
  TimePoint put(const std::string& id, std::vector<std::string> keys, const std::string& payload, const std::string& flow = "orders") {
    clock->advance(Milliseconds(1000));
    auto wanted = request(id, std::move(keys));
    wanted.flow = flow;
    wanted.payload = Payload(payload);
    wanted.content_type = "text/plain";
    const auto moment = clock->now();
    set(std::move(wanted));
    return moment;
  }
  TimePoint drop(const std::string& id) {
    clock->advance(Milliseconds(1000));
    const auto moment = clock->now();
    erase(id);
    return moment;
  }
  Result<std::optional<Record>> at(const std::string& key, TimePoint moment) {
    return archiver->get_at({.ns = {}, .key = key, .id = {}, .at = moment});
  }
  // The payload; "none"; or the code of a refusal.
  std::string said(const std::string& key, TimePoint moment) {
    const auto found = at(key, moment);
    if (!found) return std::string(to_string(found.error().code())) + " " + found.error().field();
    return *found ? (*found)->payload.str() : "none";
  }
};

constexpr Milliseconds kMs{1};

TEST(History, a_get_of_the_past_is_exact_to_the_millisecond) {
  Past past;
  const auto one = past.put("a", {"k"}, "one");
  const auto two = past.put("a", {"k"}, "two");
  const auto gone = past.drop("a");
  const auto three = past.put("a", {"k"}, "three");
  EXPECT_EQ(past.said("k", one), "one");
  EXPECT_EQ(past.said("k", two - kMs), "one");
  EXPECT_EQ(past.said("k", two), "two");
  EXPECT_EQ(past.said("k", gone - kMs), "two");
  EXPECT_EQ(past.said("k", gone), "none");
  EXPECT_EQ(past.said("k", three - kMs), "none");
  EXPECT_EQ(past.said("k", three), "three");
  EXPECT_EQ(past.said("other", three), "none");
  EXPECT_EQ(past.archiver->get_at({.ns = {}, .key = {}, .id = "a", .at = two}).value()->payload.str(), "two");
}

TEST(History, a_late_worker_does_not_move_a_state) {
  Past past;
  past.put("a", {"k"}, "one");
  past.clock->advance(Milliseconds(1000));
  auto wanted = request("a", {"k"});
  wanted.flow = "orders";
  wanted.payload = Payload("two");
  wanted.content_type = "text/plain";
  const auto accepted = past.clock->now();
  ASSERT_TRUE(past.door->set(wanted));
  past.clock->advance(Milliseconds(60'000));
  drain(*past.hands);
  EXPECT_EQ(past.said("k", accepted - kMs), "one");
  EXPECT_EQ(past.said("k", accepted), "two");
}

TEST(History, is_refused_where_no_flow_keeps_it) {
  Past past{Flows{}};
  const auto moment = past.put("a", {"k"}, "one");
  EXPECT_EQ(past.said("k", moment), "failed_precondition at");
  EXPECT_EQ(past.archiver->restore({.at = moment}).error().code(), ErrorCode::kFailedPrecondition);
}

TEST(History, is_refused_for_what_lies_ahead_or_before_all_states) {
  Past past;
  const auto begun = past.clock->now();
  EXPECT_EQ(past.said("k", begun), "none");
  const auto one = past.put("a", {"k"}, "one");
  EXPECT_EQ(past.said("k", one - kMs), "none");
  EXPECT_EQ(past.said("k", begun - kMs), "failed_precondition at") << "nobody knows whether there was something";
  EXPECT_EQ(past.said("k", past.clock->now() + kMs), "invalid_argument at");
}

TEST(History, is_refused_for_a_key_that_a_record_without_history_held) {
  Past past;
  past.put("a", {"k", "mine"}, "one");
  const auto moved = past.put("b", {"k"}, "plain", "plain");
  const auto alone = past.put("c", {"lone"}, "plain", "plain");
  EXPECT_EQ(past.said("k", moved - kMs), "one");
  EXPECT_EQ(past.said("k", moved), "failed_precondition at");
  EXPECT_EQ(past.said("mine", moved), "one");
  EXPECT_EQ(past.said("lone", alone), "failed_precondition at") << "it is there, and nobody kept how";
}

TEST(History, is_refused_also_for_the_time_before_the_present_version_of_a_record_without_history) {
  Past past;
  past.put("a", {"other"}, "kept");
  const auto first = past.put("c", {"lone"}, "one", "plain");
  const auto second = past.put("c", {"lone"}, "two", "plain");
  EXPECT_EQ(past.said("lone", second), "failed_precondition at");
  EXPECT_EQ(past.said("lone", first), "failed_precondition at") << "there was one, and nobody kept it";
  EXPECT_EQ(past.said("nobody", first), "none");
}

// Other flows, as a reload or a restart brings them.
void switch_to(Past& past, Flows flows) { ASSERT_TRUE(past.policy->reload(std::move(flows))); }

TEST(History, begins_with_what_was_there_when_it_was_switched_on) {
  Past past{Flows{}};
  const auto one = past.put("a", {"k"}, "one");
  past.put("b", {"l"}, "b-one");
  past.put("c", {"m"}, "c-one", "plain");
  switch_to(past, flows_with_history());
  past.clock->advance(Milliseconds(1000));
  const auto before = past.clock->now();
  // Nothing has changed since, and no pass was made yet.
  EXPECT_EQ(past.said("k", before), "one");
  EXPECT_EQ(past.said("k", one), "one") << "nor before";
  EXPECT_EQ(past.said("k", one - kMs), "failed_precondition at");
  EXPECT_EQ(past.said("m", before), "failed_precondition at") << "of a flow without";
  past.clock->advance(Milliseconds(1000));
  const auto known = past.clock->now();
  const auto two = past.put("a", {"k"}, "two");
  const auto gone = past.drop("b");
  EXPECT_EQ(past.said("k", known), "one");
  EXPECT_EQ(past.said("k", two - kMs), "one");
  EXPECT_EQ(past.said("k", two), "two");
  EXPECT_EQ(past.said("l", known), "b-one");
  EXPECT_EQ(past.said("l", gone - kMs), "b-one");
  EXPECT_EQ(past.said("l", gone), "none");
  EXPECT_EQ(past.said("never", known), "none");
}

TEST(History, begins_with_the_set_before_where_a_worker_is_faster) {
  Past past{Flows{}};
  const auto one = past.put("a", {"k"}, "one");
  switch_to(past, flows_with_history());
  const auto two = past.put("a", {"k"}, "two");
  EXPECT_EQ(past.said("k", one), "one");
  EXPECT_EQ(past.said("k", two - kMs), "one");
  EXPECT_EQ(past.said("k", two), "two");
}

TEST(History, does_not_say_that_there_was_nothing_before_it_was_switched_on) {
  Past past;
  const auto other = past.put("other", {"o"}, "one");
  ASSERT_TRUE(past.archiver->move_history());
  const auto lost = past.put("x", {"gone"}, "secret", "late");
  past.drop("x");
  past.reclaim();
  auto flows = flows_with_history();
  flows.flows["late"].history = true;
  switch_to(past, std::move(flows));
  past.clock->advance(Milliseconds(1000));
  ASSERT_TRUE(past.archiver->move_history());
  EXPECT_EQ(past.said("gone", lost), "failed_precondition at") << "late kept no history then";
  EXPECT_EQ(past.said("o", lost), "one") << "orders did";
  EXPECT_EQ(past.said("o", other), "one");
  past.clock->advance(Milliseconds(1000));
  EXPECT_EQ(past.said("gone", past.clock->now()), "none");
}

TEST(History, that_was_off_for_a_while_has_a_gap_and_says_so) {
  Past past;
  past.put("other", {"o"}, "one");
  ASSERT_TRUE(past.archiver->move_history());
  switch_to(past, Flows{});
  ASSERT_TRUE(past.archiver->move_history());
  const auto lost = past.put("x", {"gone"}, "secret");
  past.drop("x");
  past.reclaim();
  switch_to(past, flows_with_history());
  past.clock->advance(Milliseconds(1000));
  ASSERT_TRUE(past.archiver->move_history());
  EXPECT_EQ(past.said("gone", lost), "failed_precondition at");
}

TEST(History, of_many_records_begins_in_pages_though_the_outbox_is_small) {
  Past past{Flows{}, 7};
  past.db = memory::open({.clock = past.clock, .random = std::make_shared<SeededRandom>(1), .outbox_states = 3}).value();
  past.key_store = past.db.key_store();
  past.hands = past.worker();
  past.archiver = past.make_archiver(7);
  TimePoint last;
  for (int i = 0; i < 40; ++i) last = past.put("r" + std::to_string(i), {"k" + std::to_string(i)}, "v" + std::to_string(i));
  switch_to(past, flows_with_history());
  EXPECT_EQ(past.archiver->move_history().value(), 40u);
  EXPECT_EQ(past.archive_stats().history_states, 40u);
  for (int i = 0; i < 40; ++i) {
    past.drop("r" + std::to_string(i));
    ASSERT_TRUE(past.archiver->move_history());
    EXPECT_EQ(past.said("k" + std::to_string(i), last), "v" + std::to_string(i));
  }
}

TEST(History, only_the_outbox_is_behind_until_it_is_moved) {
  Past past;
  const auto one = past.put("a", {"k"}, "one");
  EXPECT_EQ(past.key_store.backend()->stats().value().outbox, 1u);
  EXPECT_EQ(past.archive_stats().history_states, 0u);
  EXPECT_EQ(past.archiver->move_history().value(), 1u);
  EXPECT_EQ(past.key_store.backend()->stats().value().outbox, 0u);
  EXPECT_EQ(past.archive_stats().history_states, 1u);
  past.put("a", {"k"}, "two");
  ASSERT_TRUE(past.archiver->run());
  EXPECT_EQ(past.archive_stats().history_states, 2u) << "a run moves it, too";
  EXPECT_EQ(past.said("k", one), "one");
}

TEST(History, an_outbox_that_could_not_be_confirmed_is_written_once) {
  // Loses its confirmations, as a process does that is killed between the archive and the store.
  struct Forgetful final : setget::testing::ForwardingKeyStore {
    using ForwardingKeyStore::ForwardingKeyStore;
    Result<void> confirm_history(std::span<const OutboxPlace> places, Deadline deadline) override {
      if (!lose) return ForwardingKeyStore::confirm_history(places, deadline);
      return Error(ErrorCode::kUnavailable, "the store is away");
    }
    bool lose = true;
  };
  Past past;
  const auto forgetful = std::make_shared<Forgetful>(past.key_store.backend());
  past.key_store = KeyStore(forgetful);
  past.archiver = past.make_archiver();
  const auto one = past.put("a", {"k"}, "one");
  const auto two = past.put("a", {"k"}, "two");
  EXPECT_FALSE(past.archiver->move_history());
  forgetful->lose = false;
  EXPECT_EQ(past.archiver->move_history().value(), 0u);
  EXPECT_EQ(past.archive_stats().history_states, 2u);
  EXPECT_EQ(past.said("k", one), "one");
  EXPECT_EQ(past.said("k", two), "two");
}

TEST(History, goes_by_the_age_of_its_flow) {
  Past past(flows_with_history(Ttl::after(days(1))));
  const auto one = past.put("a", {"k"}, "one");
  const auto two = past.put("a", {"k"}, "two");
  ASSERT_TRUE(past.archiver->run());
  past.clock->advance(days(1));
  EXPECT_EQ(past.said("k", one), "one");
  ASSERT_TRUE(past.archiver->run());
  EXPECT_EQ(past.said("k", one), "failed_precondition at");
  EXPECT_EQ(past.said("k", two), "two") << "what is in force stays";
}

TEST(History, a_full_outbox_makes_the_worker_wait_and_nothing_is_lost) {
  auto clock = std::make_shared<SimulatedClock>();
  auto database = memory::open({.clock = clock, .random = std::make_shared<SeededRandom>(1), .outbox_states = 3}).value();
  auto store = database.key_store();
  const auto apply = [&](std::uint64_t n) {
    setget::testing::SetSpec spec;
    spec.id = "a";
    spec.keys = {"k"};
    spec.stamp = stamp_at(clock->now()) + n;
    spec.payload = std::to_string(n);
    auto entry = setget::testing::set_entry(spec);
    entry.history = true;
    return store.apply(entry, clock->now());
  };
  for (std::uint64_t n = 1; n <= 3; ++n) ASSERT_TRUE(apply(n));
  const auto refused = apply(4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(refused.error().retryable());
  EXPECT_EQ(store.get("k", clock->now()).value()->payload.str(), "3") << "nothing of it was done";
  const auto waiting = store.backend()->history({}).value();
  ASSERT_EQ(waiting.states.size(), 3u);
  const OutboxPlace first{.part = 0, .position = waiting.states.front().position};
  ASSERT_TRUE(store.backend()->confirm_history({&first, 1}));
  EXPECT_TRUE(apply(4));
  EXPECT_EQ(store.get("k", clock->now()).value()->payload.str(), "4");
}

TEST(History, a_restore_brings_back_what_was_in_force_at_a_moment) {
  Past past;
  past.put("a", {"k"}, "one");
  past.put("b", {"l"}, "b-one");
  const auto moment = past.put("c", {"m"}, "c-one");
  past.put("a", {"k"}, "two");
  past.drop("b");
  past.put("d", {"n"}, "late");
  ASSERT_TRUE(past.archiver->run());

  Past fresh;
  fresh.clock->set(past.clock->now());
  fresh.archive = past.archive;
  fresh.archiver = fresh.make_archiver();
  const auto report = fresh.archiver->restore({.at = moment}).value();
  EXPECT_EQ(report.restored, 3u);
  EXPECT_EQ(fresh.get("k")->payload.str(), "one");
  EXPECT_EQ(fresh.get("l")->payload.str(), "b-one");
  EXPECT_EQ(fresh.get("m")->payload.str(), "c-one");
  EXPECT_FALSE(fresh.get("n"));
}

TEST(History, of_what_a_restore_brings_back_begins_when_it_is_back) {
  Past past;
  for (const char* id : {"a", "b", "c", "d", "e"}) past.put(id, {std::string("k") + id}, id);
  ASSERT_TRUE(past.archiver->run());

  Past fresh;
  fresh.clock->set(past.clock->now());
  fresh.archive = past.archive;
  fresh.archiver = fresh.make_archiver(2);
  std::vector<TimePoint> pages;
  const auto tell = [&](const RestoreProgress&) {
    fresh.clock->advance(Milliseconds(1000));
    pages.push_back(fresh.clock->now());
  };
  ASSERT_EQ(fresh.archiver->restore({.on_progress = tell}).value().restored, 5u);
  ASSERT_EQ(pages.size(), 3u);
  const auto waiting = fresh.key_store.backend()->history({}).value().states;
  ASSERT_EQ(waiting.size(), 5u);
  for (std::size_t i = 0; i < waiting.size(); ++i) EXPECT_EQ(waiting[i].at, pages[i / 2]) << i;
}

// Of two sets the one that was accepted later takes a key and is applied first, as workers do with different groups.
TEST(History, is_exact_and_restorable_where_a_later_claim_was_applied_first) {
  Past past;
  past.put("a", {"k", "l"}, "one");
  const auto first = past.clock->now() + Milliseconds(10);
  const auto apply = [&](const std::string& id, KeyList keys, TimePoint accepted, const std::string& payload) {
    ApplyEntry entry;
    entry.command.id = id;
    entry.command.keys = std::move(keys);
    entry.command.account = "acme";
    entry.command.flow = "orders";
    entry.command.payload = Payload(payload);
    entry.encoded = encode_command(entry.command);
    entry.stamp = stamp_at(accepted);
    entry.history = true;
    const auto done = past.key_store.backend()->apply({.entries = {&entry, 1}, .now = accepted});
    ASSERT_TRUE(done && done->front());
  };
  const auto second = first + Milliseconds(5);
  apply("b", {"l"}, second, "b-one");
  apply("a", {"k", "l"}, first, "two");
  past.clock->advance(Milliseconds(1000));
  EXPECT_EQ(past.said("l", first - kMs), "one");
  for (const char* key : {"k", "l"}) EXPECT_EQ(past.said(key, first), "two") << key;
  EXPECT_EQ(past.said("l", second - kMs), "two");
  EXPECT_EQ(past.said("l", second), "b-one");
  EXPECT_EQ(past.said("k", second), "two");
  EXPECT_TRUE(past.at("k", first).value()->lost_keys.empty());
  EXPECT_TRUE(past.at("k", second).value()->lost_keys.contains("l"));
  ASSERT_TRUE(past.archiver->run());

  for (const auto& [moment, holder] : {std::pair(second - kMs, "two"), std::pair(second, "b-one")}) {
    Past fresh;
    fresh.clock->set(past.clock->now());
    fresh.archive = past.archive;
    fresh.archiver = fresh.make_archiver();
    ASSERT_TRUE(fresh.archiver->restore({.at = moment}));
    EXPECT_EQ(fresh.get("l")->payload.str(), holder);
    EXPECT_EQ(fresh.get("k")->payload.str(), "two");
  }
}

TEST(History, a_restore_over_live_data_is_a_state_of_its_own) {
  Past past;
  const auto one = past.put("a", {"k"}, "one");
  const auto two = past.put("a", {"k"}, "two");
  past.clock->advance(Milliseconds(1000));
  const auto restored = past.clock->now();
  EXPECT_EQ(past.archiver->restore({.overwrite = true, .at = one}).value().restored, 1u);
  EXPECT_EQ(past.get("k")->payload.str(), "one");
  EXPECT_EQ(past.said("k", restored - kMs), "two");
  EXPECT_EQ(past.said("k", restored), "one");
  EXPECT_EQ(past.said("k", two), "two");
}

// Sets, moves of keys, erases, touches and short lives at random; what a reader saw at each moment is what the history says of it. With
// `plain`, a flow without history takes part: then it may refuse, but says nothing wrong of what such a record held.
void compare_with_what_was_read(std::uint64_t seed, bool plain) {
  SeededRandom dice(seed);
  const auto roll = [&](std::uint64_t sides) { return dice.next() % sides; };
  Past past;
  constexpr int kKeys = 4;
  struct Seen {
    TimePoint at;
    std::array<std::string, kKeys> payloads;
    std::array<bool, kKeys> of_plain{};
  };
  std::vector<Seen> seen;
  const auto key = [](std::uint64_t n) { return "k" + std::to_string(n); };
  const auto look = [&] {
    auto& now = seen.emplace_back();
    now.at = past.clock->now();
    for (std::size_t k = 0; k < kKeys; ++k) {
      const auto found = past.get(key(k));
      now.payloads[k] = found ? found->payload.str() : "none";
      now.of_plain[k] = found && found->flow == "plain";
    }
  };
  for (int step = 0; step < 120; ++step) {
    past.clock->advance(Milliseconds(1 + static_cast<std::int64_t>(roll(40))));
    const auto id = "r" + std::to_string(roll(5));
    const auto what = roll(10);
    if (what < 6) {
      auto wanted = request(id, {});
      std::vector<std::string> keys{key(roll(kKeys))};
      if (roll(2) == 0) keys.push_back(key((roll(kKeys - 1) + 1 + static_cast<std::uint64_t>(keys[0][1] - '0')) % kKeys));
      std::sort(keys.begin(), keys.end());
      keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
      wanted.keys = KeyList(std::span<const std::string>(keys));
      wanted.flow = plain && roll(4) == 0 ? "plain" : "orders";
      wanted.payload = Payload("v" + std::to_string(step));
      wanted.content_type = "text/plain";
      if (roll(4) == 0) wanted.ttl = Ttl::after(Milliseconds(30 + static_cast<std::int64_t>(roll(200))));
      past.set(std::move(wanted));
    } else if (what < 8) {
      EraseRequest wanted;
      if (roll(2) == 0) {
        wanted.id = id;
      } else {
        wanted.key = key(roll(kKeys));
      }
      ASSERT_TRUE(past.door->erase(wanted));
      drain(*past.hands);
    } else {
      TouchRequest wanted;
      wanted.id = id;
      wanted.account = "acme";
      wanted.flow = "orders";
      wanted.ttl = Ttl::after(Milliseconds(50 + static_cast<std::int64_t>(roll(300))));
      ASSERT_TRUE(past.door->touch(wanted));
      drain(*past.hands);
    }
    look();
    if (roll(3) == 0) {
      past.clock->advance(Milliseconds(static_cast<std::int64_t>(roll(100))));
      look();  // what has expired meanwhile
    }
    if (roll(8) == 0) past.reclaim();
    if (roll(5) == 0) {
      ASSERT_TRUE(past.archiver->move_history());
    }
  }
  for (const auto& moment : seen) {
    for (std::size_t k = 0; k < kKeys; ++k) {
      const auto said = past.said(key(k), moment.at);
      if (plain && (said == "failed_precondition at" || moment.of_plain[k])) {
        EXPECT_TRUE(said == "failed_precondition at" || !moment.of_plain[k] || said == "none") << said;
        continue;
      }
      ASSERT_EQ(said, moment.payloads[k]) << "seed " << seed << " key " << key(k) << " at " << moment.at.time_since_epoch().count();
    }
  }
}

constexpr std::uint64_t kSeeds = setget_test::kSanitized ? 8 : 40;

TEST(History, agrees_with_what_was_read_at_each_moment) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    compare_with_what_was_read(seed, false);
    if (HasFatalFailure()) return;
  }
}

TEST(History, says_nothing_wrong_where_flows_without_history_share_keys) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    compare_with_what_was_read(seed, true);
    if (HasFatalFailure()) return;
  }
}

TEST(History, moments_are_read_as_rfc_3339_writes_them) {
  const auto ms = [](std::string_view text) { return parse_moment(text).value().time_since_epoch().count(); };
  EXPECT_EQ(ms("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(ms("2026-11-27T14:00:00.123Z"), 1'795'788'000'123);
  EXPECT_EQ(ms("2026-11-27T15:00:00.123+01:00"), 1'795'788'000'123);
  EXPECT_EQ(ms("2026-11-27t09:30:00.123456789-04:30"), 1'795'788'000'123);
  EXPECT_EQ(ms("2026-11-27T14:00:00.1Z"), 1'795'788'000'100);
  for (const auto* wrong :
       {"", "now", "2026-11-27", "2026-11-27T14:00:00", "2026-02-29T00:00:00Z", "2026-11-27T24:00:00Z", "2026-11-27T14:60:00Z",
        "2026-11-27T14:00:00.Z", "2026-11-27T14:00:00Z ", "2026-11-27T14:00:00+24:00", "-026-11-27T14:00:00Z"}) {
    EXPECT_EQ(parse_moment(wrong).error().code(), ErrorCode::kInvalidArgument) << wrong;
  }
}

// Somebody cancels while the outbox is read.
class CancelledReading final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  Result<HistoryBatch> history(const ReadHistory& request) override {
    if (++reads == 3 && archiver != nullptr) archiver->cancel();
    return ForwardingKeyStore::history(request);
  }
  int reads = 0;
  Archiver* archiver = nullptr;
};

TEST(History, a_cancelled_run_does_not_move_all_of_the_outbox_first) {
  Past past;
  for (int i = 0; i < 8; ++i) past.put("x" + std::to_string(i), {"k" + std::to_string(i)}, "text");
  const auto store = std::make_shared<CancelledReading>(past.key_store.backend());
  past.key_store = KeyStore(store);
  const auto archiver = past.make_archiver(1);
  store->archiver = archiver.get();
  EXPECT_EQ(archiver->run().error().code(), ErrorCode::kCancelled);
  EXPECT_LT(store->reads, 6);
  store->archiver = nullptr;
  EXPECT_EQ(archiver->run().value().written, 8u);
}

}  // namespace
