// Histories and an archive that refuses single states, cannot read them, or fails with all of them: what is lost is seen, and no record
// waits.
#include "archive_support.hpp"

#include <setget/testing/forwarding.hpp>

namespace {

using namespace setget_test;

Flows all_kept() {
  Flows flows;
  flows.flows["orders"].history = true;
  flows.flows["orders"].archive = ArchiveMode::kAlways;
  return flows;
}

// As an archive does that cannot take, or read, the states of some identities.
class Choosy final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<std::size_t> write_history(const WriteHistory& request) override {
    if (broken) return Error(ErrorCode::kInternal, "histories are broken");
    std::vector<ArchivedState> others;
    for (const auto& one : request.states) {
      if (!refused.contains(one.state.id)) {
        others.push_back(one);
        continue;
      }
      const Error why(ErrorCode::kTooLarge, "too large");
      if (!request.refused) return why;
      if (auto noted = request.refused(one, why); !noted) return std::move(noted).error();
      kept.push_back({.ns = {}, .id = one.state.id, .version = one.state.version, .reason = why.describe(), .state_at = one.state.at});
    }
    auto rest = request;
    rest.states = others;
    auto written = ForwardingArchive::write_history(rest);
    if (!written) return written;
    return request.states.size();
  }
  Result<QuarantinePage> quarantined(const ListQuarantine& request) override {
    auto page = ForwardingArchive::quarantined(request);
    if (page && request.cursor.empty()) page->entries.insert(page->entries.end(), kept.begin(), kept.end());
    return page;
  }
  Result<HistoryLookup> get_history(const GetHistory& request) override {
    asked_within = request.deadline.left();
    if (damaged.contains(request.id)) return Error(ErrorCode::kCorrupted, "the state is damaged");
    return ForwardingArchive::get_history(request);
  }
  Result<SummaryPage> scan_history(const ScanHistory& request) override {
    auto page = ForwardingArchive::scan_history(request);
    if (!page) return page;
    for (auto& item : page->items) {
      if (!damaged.contains(item.id)) continue;
      if (!request.over_damaged) return Error(ErrorCode::kCorrupted, "the state is damaged");
      page->damaged.push_back({.hash = item.hash, .ns = item.ns, .id = item.id, .name = {}, .reason = "the state is damaged"});
    }
    std::erase_if(page->items, [&](const Summary& item) { return damaged.contains(item.id); });
    return page;
  }

  std::set<std::string, std::less<>> refused{};
  std::set<std::string, std::less<>> damaged{};
  std::vector<QuarantinedEntry> kept{};
  bool broken = false;
  Deadline::Steady::duration asked_within{};
};

struct Kept : ArchiveWorld {
  std::shared_ptr<Choosy> choosy;
  explicit Kept(std::size_t max_quarantined = 1000) : ArchiveWorld(all_kept()) {
    EXPECT_TRUE(archiver->move_history());
    choosy = std::make_shared<Choosy>(archive);
    archive = choosy;
    ArchiverOptions options;
    options.key_store = key_store;
    options.archive = archive;
    options.policy = policy;
    options.clock = clock;
    options.max_quarantined = max_quarantined;
    archiver = Archiver::create(std::move(options)).value();
  }
  TimePoint put(const std::string& id) {
    clock->advance(Milliseconds(1000));
    set(request(id, {"k/" + id}, "\"" + id + "\""));
    return clock->now();
  }
  std::uint64_t outbox() { return key_store.backend()->stats().value().outbox; }
};

TEST(HistoryRefused, one_state_leaves_the_outbox_once_it_is_in_quarantine_and_the_others_are_moved) {
  Kept world;
  world.choosy->refused = {"b"};
  world.put("a");
  world.put("b");
  const auto last = world.put("c");
  const auto report = world.archiver->run();
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(report->quarantined, 1u);
  EXPECT_EQ(report->written, 3u);
  EXPECT_EQ(world.outbox(), 0u);
  EXPECT_TRUE(world.archiver->get_at({.ns = {}, .key = "k/c", .id = {}, .at = last}).value());
  // Nothing tries it again, nor takes it out because its record was written.
  world.put("b");
  EXPECT_EQ(world.archiver->run().value().quarantined, 2u);
  EXPECT_EQ(world.archived("b").status, Lookup::Status::kFound);
}

TEST(HistoryRefused, nothing_leaves_the_outbox_for_a_quarantine_that_is_full) {
  for (const std::size_t most : {0u, 1u}) {
    Kept world(most);
    world.choosy->refused = {"a", "b"};
    world.put("a");
    world.put("b");
    world.put("c");
    const auto moved = world.archiver->move_history();
    ASSERT_FALSE(moved);
    EXPECT_EQ(moved.error().code(), ErrorCode::kTooLarge);
    EXPECT_EQ(world.outbox(), 3u);
    EXPECT_EQ(world.choosy->kept.size(), most);
  }
}

TEST(HistoryRefused, a_history_that_fails_holds_up_no_record) {
  Kept world;
  world.choosy->broken = true;
  world.put("a");
  const auto failed = world.archiver->run();
  ASSERT_FALSE(failed) << "it is said";
  EXPECT_EQ(failed.error().code(), ErrorCode::kInternal);
  EXPECT_EQ(world.archived("a").status, Lookup::Status::kFound);
  const auto checkpoint = world.archiver->checkpoint().value().value();
  EXPECT_NE(checkpoint.last_error.find("histories are broken"), std::string::npos);
  EXPECT_EQ(checkpoint.last_success_at, TimePoint{});
  EXPECT_FALSE(checkpoint.full_copy);
  world.choosy->broken = false;
  EXPECT_TRUE(world.archiver->run());
  EXPECT_EQ(world.outbox(), 0u);
}

TEST(HistoryRefused, a_restore_of_the_past_passes_over_what_is_damaged_and_names_it) {
  Kept world;
  world.put("a");
  world.put("b");
  const auto moment = world.put("c");
  ASSERT_TRUE(world.archiver->run());
  world.choosy->damaged = {"b"};
  Kept fresh;
  fresh.clock->set(world.clock->now());
  ArchiverOptions options;
  options.key_store = fresh.key_store;
  options.archive = world.archive;
  options.policy = fresh.policy;
  options.clock = fresh.clock;
  const auto report = Archiver::create(std::move(options)).value()->restore({.at = moment});
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(report->restored, 2u);
  EXPECT_EQ(report->damaged, 1u);
  ASSERT_EQ(report->damaged_list.size(), 1u);
  EXPECT_EQ(report->damaged_list[0].id, "b");
  EXPECT_TRUE(fresh.get("k/a"));
  EXPECT_FALSE(fresh.get("k/b"));
  EXPECT_EQ(world.archiver->get_at({.ns = {}, .key = {}, .id = "b", .at = moment}).error().code(), ErrorCode::kCorrupted);
}

TEST(HistoryRefused, a_get_of_the_past_asks_the_archive_within_its_own_deadline) {
  Kept world;
  const auto moment = world.put("a");
  ASSERT_TRUE(world.archiver->get_at({.ns = {}, .key = "k/a", .id = {}, .at = moment}, Deadline::in(Milliseconds(5'000))).value());
  EXPECT_LE(world.choosy->asked_within, Milliseconds(5'000));
}

}  // namespace
