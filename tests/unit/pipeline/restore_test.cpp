#include "archive_support.hpp"
#include "pipeline/recalled_entry.hpp"

namespace {

using namespace setget_test;

// Another, empty store over the archive of `from`.
struct Fresh : ArchiveWorld {
  explicit Fresh(ArchiveWorld& from, Flows flows = {}) : ArchiveWorld(std::move(flows)) {
    clock->set(from.clock->now());
    archive = from.archive;
    archiver = make_archiver();
  }
};

void expect_same(const Record& a, const Record& b) {
  EXPECT_EQ(content_digest(a), content_digest(b));
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.revision, b.revision);
  EXPECT_EQ(a.stamp, b.stamp);
  EXPECT_EQ(a.expires_at, b.expires_at);
  EXPECT_EQ(a.ttl_rule, b.ttl_rule);
  EXPECT_EQ(a.lost_keys, b.lost_keys);
}

TEST(Restore, brings_an_empty_store_back_exactly_as_it_was) {
  ArchiveWorld world(flows_with_default(Ttl::after(days(90))));
  world.set_many(40);
  auto versioned = request("versioned", {"v"});
  versioned.version = 17;
  versioned.ttl = Ttl::after(days(9));
  world.set(versioned);
  TouchRequest touch;
  touch.id = "r1";
  touch.ttl = Ttl::never();
  ASSERT_TRUE(world.door->touch(touch));
  world.set(request("two", {"t1", "t2"}));
  world.set(request("thief", {"t1"}));
  ASSERT_TRUE(world.archiver->run());

  Fresh fresh(world);
  const auto report = fresh.archiver->restore().value();
  EXPECT_TRUE(report.into_empty_store);
  EXPECT_EQ(report.restored, 43u);
  for (const auto* id : {"r0", "r1", "versioned", "two", "thief"}) {
    const auto before = world.key_store.get_by_id(id, world.clock->now()).value().value();
    const auto after = fresh.key_store.get_by_id(id, fresh.clock->now()).value();
    ASSERT_TRUE(after) << id;
    expect_same(before, *after);
  }
  EXPECT_EQ(fresh.get("t1").value().id, "thief");
  // The archive goes on with the restored store, and both agree.
  ASSERT_TRUE(fresh.archiver->run(patience(), true));
  const auto verified = fresh.archiver->verify({.deep = true}).value();
  EXPECT_TRUE(verified.equal()) << verified.differences.at(0).id << verified.differences.at(0).detail;
}

TEST(Restore, does_not_fall_back_to_an_earlier_holder_whose_key_was_taken_by_a_record_that_is_gone) {
  ArchiveWorld world;
  world.set(request("first", {"k", "own"}));
  world.set(request("second", {"k"}));
  world.erase("second");
  ASSERT_TRUE(world.archiver->run());
  Fresh fresh(world);
  ASSERT_TRUE(fresh.archiver->restore());
  EXPECT_EQ(fresh.get("own").value().id, "first");
  EXPECT_FALSE(fresh.get("k"));
  fresh.clock->advance(Milliseconds(1));
  fresh.set(request("third", {"k"}));
  EXPECT_EQ(fresh.get("k").value().id, "third");
}

TEST(Restore, works_in_a_store_whose_floor_has_moved_on) {
  ArchiveWorld world;
  world.set_many(5);
  ASSERT_TRUE(world.archiver->run());
  Fresh fresh(world);
  fresh.clock->advance(days(1));
  fresh.set(request("passing", {"p"}));
  fresh.erase("passing");
  fresh.clock->advance(days(1));
  fresh.reclaim();
  fresh.reclaim();
  ASSERT_GT(fresh.key_store.backend()->stats().value().floor, stamp_at(world.clock->now()));
  EXPECT_EQ(fresh.archiver->restore().value().restored, 5u);
  EXPECT_TRUE(fresh.get("r/3"));
}

TEST(Restore, a_redelivered_original_is_a_duplicate_after_it) {
  ArchiveWorld world;
  auto original = request("x", {"k"});
  original.ttl = Ttl::after(days(3));
  const auto receipt = world.set(original);
  ASSERT_TRUE(world.archiver->run());
  Fresh fresh(world);
  ASSERT_TRUE(fresh.archiver->restore());
  ApplyEntry again;
  again.command.id = "x";
  again.command.keys = KeyList{"k"};
  again.command.account = "acme";
  again.command.flow = "orders";
  again.command.payload = R"({"n":1})";
  again.command.content_type = "application/json";
  again.command.ttl = Ttl::after(days(3));
  again.encoded = encode_command(again.command);
  again.stamp = receipt.version;
  again.expires_at = time_of(again.stamp) + days(3);
  EXPECT_EQ(fresh.key_store.apply(again, fresh.clock->now()).value().outcome, Outcome::kDuplicate);
}

// Whether the archive has its bytes at hand or not.
TEST(Restore, brings_a_record_back_as_its_producer_gave_it) {
  const auto at = TimePoint(Milliseconds(1'790'000'000'000));
  for (const auto rule : {TtlRule::kDefault, TtlRule::kMessage}) {
    for (const bool numbered : {false, true}) {
      for (const bool expires : {false, true}) {
        Record record;
        record.id = "x";
        record.keys = KeyList{"k"};
        record.account = "acme";
        record.attributes["a"] = "b";
        record.payload = Payload::copy("payload");
        record.stamp = stamp_at(at);
        record.created_at = at;
        record.version = numbered ? 7 : record.stamp;
        record.ttl_rule = rule;
        if (expires) record.expires_at = at + days(3);
        const auto bytes = encoded_of(record);
        const auto entry = detail::recalled_entry(Record(record), Flows{}, bytes);
        EXPECT_EQ(entry.encoded.view(), detail::recalled_entry(Record(record), Flows{}).encoded.view());
        EXPECT_EQ(entry.encoded.view(), encode_command(entry.command).view());
        const bool as_record = rule == TtlRule::kDefault && !numbered;
        EXPECT_EQ(entry.encoded.view() == bytes.view(), as_record);
        EXPECT_EQ(entry.command.ttl.has_value(), rule == TtlRule::kMessage);
        EXPECT_EQ(entry.command.version.has_value(), numbered);
      }
    }
  }
}

TEST(Restore, an_older_set_that_a_surviving_queue_delivers_cannot_undo_an_erase) {
  ArchiveWorld world;
  const auto receipt = world.set(request("x", {"k"}));
  world.erase("x");
  ASSERT_TRUE(world.archiver->run());
  Fresh fresh(world);
  ASSERT_TRUE(fresh.archiver->restore());
  ApplyEntry late;
  late.command.id = "x";
  late.command.keys = KeyList{"k"};
  late.encoded = encode_command(late.command);
  late.stamp = receipt.version;
  EXPECT_EQ(fresh.key_store.apply(late, fresh.clock->now()).value().outcome, Outcome::kStale);
  EXPECT_FALSE(fresh.get("k"));
}

TEST(Restore, brings_back_what_a_live_store_has_lost_and_leaves_the_rest_alone) {
  ArchiveWorld world;
  world.set_many(10);
  ASSERT_TRUE(world.archiver->run());
  Fresh fresh(world);
  fresh.clock->advance(days(1));
  fresh.set(request("r1", {"r/1"}, R"("newer")"));
  fresh.set(request("r2", {"r/2"}));
  fresh.erase("r2");
  const auto report = fresh.archiver->restore().value();
  EXPECT_FALSE(report.into_empty_store);
  EXPECT_EQ(report.restored, 8u);
  EXPECT_EQ(report.skipped_present, 2u);
  EXPECT_EQ(fresh.get("r/1").value().payload.view(), R"("newer")");
  EXPECT_FALSE(fresh.get("r/2"));
  EXPECT_TRUE(fresh.get("r/3"));
  const auto again = fresh.archiver->restore().value();
  EXPECT_EQ(again.restored, 0u);
  EXPECT_EQ(again.skipped_present, 10u);
}

TEST(Restore, overwrites_live_data_with_fresh_versions_only_when_asked) {
  ArchiveWorld world;
  auto numbered = request("numbered", {"n"}, R"("archived")");
  numbered.version = 5;
  world.set(numbered);
  world.set(request("assigned", {"a"}, R"("archived")"));
  ASSERT_TRUE(world.archiver->run());
  world.clock->advance(days(1));
  numbered.version = 9;
  numbered.payload = R"("live")";
  world.set(numbered);
  const auto live = world.set(request("assigned", {"a"}, R"("live")"));
  world.clock->advance(days(1));
  EXPECT_EQ(world.archiver->restore({.overwrite = true, .dry_run = true}).value().restored, 2u);
  EXPECT_EQ(world.get("a").value().payload.view(), R"("live")");
  EXPECT_EQ(world.archiver->restore({.overwrite = true}).value().restored, 2u);
  EXPECT_EQ(world.get("n").value().payload.view(), R"("archived")");
  EXPECT_EQ(world.get("n").value().version, 10u);
  EXPECT_EQ(world.get("a").value().payload.view(), R"("archived")");
  EXPECT_GT(world.get("a").value().version, live.version);
  // The caller's next number is not stale.
  numbered.version = 11;
  numbered.payload = R"("next")";
  world.set(numbered);
  EXPECT_EQ(world.get("n").value().payload.view(), R"("next")");
  ASSERT_TRUE(world.archiver->run());
  EXPECT_TRUE(world.archiver->verify().value().equal());
}

TEST(Restore, a_fresh_version_says_where_it_came_from_and_a_later_set_stays) {
  ArchiveWorld world;
  const auto first = world.set(request("x", {"k"}, R"("archived")"));
  world.set(request("y", {"l"}, R"("archived")"));
  ASSERT_TRUE(world.archiver->run());
  world.clock->advance(days(1));
  world.set(request("x", {"k"}, R"("live")"));
  world.clock->advance(days(1));
  RestoreOptions options{.overwrite = true};
  RestoreProgress last;
  options.on_progress = [&](const RestoreProgress& progress) { last = progress; };
  const auto report = world.archiver->restore(options).value();
  EXPECT_EQ(report.restored, 2u);
  EXPECT_EQ(report.overwritten, 2u);
  EXPECT_EQ(world.get("k").value().payload.view(), R"("archived")");
  EXPECT_EQ(world.get("k").value().attributes.at(std::string(kRestoredFrom)), "version " + std::to_string(first.version) + ", revision 0");
  // The same restore once more, as after a kill before its progress was kept, with a set in between.
  world.clock->advance(days(1));
  world.set(request("x", {"k"}, R"("later")"));
  world.set(request("z", {"l"}, R"("took its key")"));
  options.resume = RestoreProgress{.store = last.store, .started_at = last.started_at, .report = {}};
  world.archiver->restore(options).value();
  EXPECT_EQ(world.get("k").value().payload.view(), R"("later")");
  EXPECT_EQ(world.get("l").value().id, "z");
  world.erase("y");
  world.archiver->restore(options).value();
  EXPECT_EQ(world.key_store.get_by_id("y", world.clock->now()).value(), std::nullopt) << "erased since it began";
  options.resume->store.uuid = "another";
  EXPECT_EQ(world.archiver->restore(options).error().code(), ErrorCode::kFailedPrecondition);
}

TEST(Restore, goes_on_where_an_earlier_one_stopped_also_into_a_store_that_was_empty_then) {
  ArchiveWorld world;
  world.set_many(40);
  world.erase("r3");
  ASSERT_TRUE(world.archiver->run());
  Fresh fresh(world);
  std::vector<RestoreProgress> seen;
  RestoreOptions options;
  options.on_progress = [&](const RestoreProgress& progress) {
    seen.push_back(progress);
    throw std::runtime_error("killed");
  };
  EXPECT_EQ(fresh.archiver->restore(options).error().code(), ErrorCode::kInternal);
  ASSERT_EQ(seen.size(), 1u);
  options.resume = seen[0];
  options.on_progress = {};
  const auto report = fresh.archiver->restore(options).value();
  EXPECT_TRUE(report.into_empty_store);
  EXPECT_EQ(report.restored, 39u);
  EXPECT_EQ(report.considered, 39u);
  EXPECT_EQ(fresh.key_store.get_by_id("r3", fresh.clock->now()).value(), std::nullopt);
}

TEST(Restore, ends_with_what_its_host_throws) {
  ArchiveWorld world;
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  Fresh fresh(world);
  RestoreOptions options;
  options.on_progress = [](const RestoreProgress&) { throw 42; };
  EXPECT_EQ(fresh.archiver->restore(options).error().code(), ErrorCode::kInternal);
  options.on_progress = [](const RestoreProgress&) { throw std::runtime_error("no"); };
  EXPECT_EQ(fresh.archiver->restore(options).error().code(), ErrorCode::kInternal);
}

TEST(Restore, counts_once_from_whatever_progress_it_goes_on) {
  ArchiveWorld world;
  world.set_many(40);
  ASSERT_TRUE(world.archiver->run());
  Fresh fresh(world);
  std::vector<RestoreProgress> seen;
  RestoreOptions options;
  options.on_progress = [&](const RestoreProgress& progress) { seen.push_back(progress); };
  ASSERT_EQ(fresh.archiver->restore(options).value().restored, 40u);
  ASSERT_FALSE(seen.empty());
  options.on_progress = {};
  for (const auto& progress : seen) {
    options.resume = progress;
    const auto report = fresh.archiver->restore(options).value();
    EXPECT_EQ(report.considered, 40u);
    EXPECT_EQ(report.restored + report.skipped_present, 40u);
  }
}

TEST(Restore, overwrites_erased_records_too) {
  ArchiveWorld world;
  world.set(request("x", {"k"}));
  ASSERT_TRUE(world.archiver->run());
  const auto archived = world.archived("x").record.value();
  world.erase("x");
  EXPECT_EQ(world.archiver->restore({.overwrite = true}).value().restored, 1u);
  EXPECT_EQ(world.get("k").value().id, "x");
}

TEST(Restore, selects_by_namespace_account_flow_and_key) {
  ArchiveWorld world;
  auto other = request("other", {"o1", "o2"});
  other.account = "globex";
  other.flow = "invoices";
  other.owner = "ann";
  world.set(other);
  auto tenant = request("tenant", {"t"});
  tenant.ns = "tenant-1";
  world.set(tenant);
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  const auto restored = [&](const RestoreOptions& options) { return Fresh(world).archiver->restore(options).value().restored; };
  EXPECT_EQ(restored({.account = "globex"}), 1u);
  EXPECT_EQ(restored({.flow = "orders"}), 4u);
  EXPECT_EQ(restored({.ns = "tenant-1"}), 1u);
  EXPECT_EQ(restored({.key = "o2"}), 1u);
  EXPECT_EQ(restored({.owner = "ann"}), 1u);
  EXPECT_EQ(restored({.account = "globex", .key = "t"}), 0u);
}

TEST(Restore, leaves_expired_records_out_unless_they_are_asked_for_and_then_gives_them_a_fresh_life) {
  ArchiveWorld world(flows_with_default(Ttl::after(days(5))));
  world.set(request("x", {"k"}));
  ASSERT_TRUE(world.archiver->run());
  world.clock->advance(days(6));
  Fresh without(world, flows_with_default(Ttl::after(days(7))));
  EXPECT_EQ(without.archiver->restore().value().skipped_expired, 1u);
  EXPECT_FALSE(without.get("k"));
  EXPECT_EQ(without.archiver->restore({.ttl = Ttl::after(days(2))}).error().field(), "ttl");
  Fresh shorter(world, flows_with_default(Ttl::after(days(7))));
  EXPECT_EQ(shorter.archiver->restore({.include_expired = true, .ttl = Ttl::after(days(2))}).value().restored, 1u);
  EXPECT_EQ(shorter.get("k").value().expires_at, shorter.clock->now() + days(2));
  EXPECT_EQ(without.archiver->restore({.include_expired = true}).value().restored, 1u);
  EXPECT_EQ(without.get("k").value().expires_at, without.clock->now() + days(7));
}

TEST(Restore, an_erase_that_comes_meanwhile_wins_also_where_callers_number_their_records) {
  ArchiveWorld world({}, 1);
  for (const auto* id : {"before", "between", "unnumbered", "alive"}) {
    auto numbered = request(id, {std::string("k/") + id});
    numbered.version = 7;
    world.set(numbered);
  }
  ASSERT_TRUE(world.archiver->run());
  const auto erase = [&](const std::string& id, std::optional<Version> version) {
    EraseRequest wanted;
    wanted.id = id;
    wanted.version = version;
    ASSERT_TRUE(world.door->erase(wanted));
    drain(*world.hands);
  };
  erase("before", 9);
  world.clock->advance(days(1));
  RestoreOptions options{.overwrite = true};
  bool first = true;
  options.on_progress = [&](const RestoreProgress&) {
    if (!std::exchange(first, false)) return;
    world.clock->advance(Milliseconds(5));
    erase("between", 8);  // the number that the fresh version would have as well
    erase("unnumbered", std::nullopt);
  };
  const auto report = world.archiver->restore(options).value();
  EXPECT_TRUE(world.get("k/before")) << "erased before it began: that is what a restore is for";
  EXPECT_EQ(world.get("k/before")->version, 10u);
  EXPECT_TRUE(world.get("k/alive"));
  EXPECT_FALSE(world.get("k/between"));
  EXPECT_FALSE(world.get("k/unnumbered"));
  EXPECT_EQ(report.restored, 2u);
  EXPECT_EQ(report.skipped_present, 2u);
}

// Nothing is asked of a store that was empty: what is set or erased there meanwhile is the model's to decide.
TEST(Restore, what_comes_while_an_empty_store_is_brought_back_ends_as_if_it_had_come_afterwards) {
  ArchiveWorld world;
  const auto numbered = [](const std::string& id, Version version, const std::string& payload) {
    auto wanted = request(id, {"k/" + id, "l/" + id}, payload);
    wanted.version = version;
    return wanted;
  };
  for (const auto* id : {"newer", "older", "equal", "unnumbered", "erased", "alive"}) world.set(numbered(id, 7, R"({"n":7})"));
  ASSERT_TRUE(world.archiver->run());
  const auto traffic = [&](Fresh& fresh) {
    fresh.clock->advance(Milliseconds(5));
    fresh.set(numbered("newer", 9, R"({"n":9})"));
    fresh.set(numbered("older", 3, R"({"n":3})"));
    fresh.set(numbered("equal", 7, R"({"n":7})"));
    fresh.set(request("unnumbered", {"k/unnumbered"}, R"({"n":10})"));
    fresh.erase("erased");
  };
  Fresh meanwhile(world);
  Fresh afterwards(world);
  RestoreOptions options;
  bool first = true;
  options.on_progress = [&](const RestoreProgress&) {
    if (std::exchange(first, false)) traffic(meanwhile);
  };
  const auto report = meanwhile.archiver->restore(options).value();
  EXPECT_EQ(report.considered, 6u);
  EXPECT_EQ(report.restored, 2u) << "alive and older";
  EXPECT_EQ(report.skipped_present, 4u);
  EXPECT_EQ(afterwards.archiver->restore().value().restored, 6u);
  traffic(afterwards);
  for (const auto* id : {"newer", "older", "equal", "unnumbered", "erased", "alive"}) {
    const auto one = meanwhile.key_store.get_by_id(id, meanwhile.clock->now()).value();
    const auto other = afterwards.key_store.get_by_id(id, afterwards.clock->now()).value();
    ASSERT_EQ(one.has_value(), other.has_value()) << id;
    EXPECT_EQ(one.has_value(), id != std::string_view("erased"));
    if (!one) continue;
    EXPECT_EQ(content_digest(*one), content_digest(*other)) << id;
    EXPECT_EQ(one->lost_keys, other->lost_keys) << id;
    if (id != std::string_view("unnumbered")) {
      EXPECT_EQ(one->version, other->version) << id;
    }
  }
  EXPECT_EQ(meanwhile.get("k/older")->version, 7u);
  EXPECT_EQ(meanwhile.get("k/newer")->version, 9u);
}

// Nothing is written that the model could decide of, so the store is asked, however empty it once was.
TEST(Restore, a_dry_run_that_goes_on_counts_what_has_been_brought_back_since) {
  ArchiveWorld world;
  world.set_many(3);
  ASSERT_TRUE(world.archiver->run());
  Fresh fresh(world);
  std::optional<RestoreProgress> begun;
  RestoreOptions options;
  options.on_progress = [&](const RestoreProgress& progress) {
    if (!begun) begun = progress;
  };
  ASSERT_EQ(fresh.archiver->restore(options).value().restored, 3u);
  ASSERT_TRUE(begun && begun->report.into_empty_store && begun->cursor.empty());
  const auto report = fresh.archiver->restore({.dry_run = true, .resume = begun}).value();
  EXPECT_EQ(report.restored, begun->report.restored);
  EXPECT_EQ(report.skipped_present, 3u);
}

TEST(Restore, does_not_go_on_out_of_another_archive) {
  ArchiveWorld world;
  world.set_many(10);
  ASSERT_TRUE(world.archiver->run());
  ArchiveWorld another;
  another.set_many(10, "other");
  ASSERT_TRUE(another.archiver->run());
  Fresh fresh(world);
  RestoreProgress last;
  RestoreOptions options;
  options.on_progress = [&](const RestoreProgress& progress) { last = progress; };
  ASSERT_TRUE(fresh.archiver->restore(options));
  EXPECT_FALSE(last.archive.empty());
  options.resume = last;
  options.resume->cursor.clear();
  EXPECT_TRUE(fresh.archiver->restore(options));
  fresh.archive = another.archive;
  const auto refused = fresh.make_archiver()->restore(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(refused.error().field(), "resume");
  // Kept by a version that did not know of archives' ids.
  options.resume->archive.clear();
  EXPECT_TRUE(fresh.make_archiver()->restore(options));
}

TEST(Restore, brings_back_what_is_healthy_and_tells_what_is_damaged) {
  for (const bool told : {true, false}) {
    SCOPED_TRACE(told ? "an archive that tells it" : "an archive that does not");
    ArchiveWorld world;
    world.set_many(40);
    ASSERT_TRUE(world.archiver->run());
    world.fragile->tells_damaged = told;
    world.fragile->damaged_records = {"r3", "r17", "r39"};
    if (told) world.fragile->damaged_lines = {"r20"};
    const std::uint64_t damaged = told ? 4 : 3;

    Fresh fresh(world);
    EXPECT_EQ(fresh.archiver->restore({.dry_run = true}).value().damaged, damaged);
    const auto other = fresh.archiver->restore({.key = "r/5"}).value();
    EXPECT_EQ(other.restored, 1u);
    EXPECT_EQ(other.damaged, damaged);
    EXPECT_EQ(fresh.archiver->restore({.ns = "elsewhere"}).value().damaged, 0u);
    const auto report = fresh.archiver->restore({.max_damaged = 2}).value();
    EXPECT_EQ(report.restored, 39u - damaged);
    EXPECT_EQ(report.damaged, damaged);
    ASSERT_EQ(report.damaged_list.size(), 2u);
    for (const auto& item : report.damaged_list) EXPECT_EQ(item.reason, "document " + item.id + " is damaged");
    EXPECT_TRUE(fresh.get("r/38"));
    EXPECT_FALSE(fresh.get("r/17"));
  }
}

// However many there are: what was set a moment after the beginning may be applied only when the restore has come to it.
TEST(Restore, over_live_data_is_no_later_than_its_beginning) {
  ArchiveWorld world;
  constexpr int kMany = 5'000;  // a millisecond has 2048 stamps
  world.set_many(kMany);
  ASSERT_TRUE(world.archiver->run());
  world.clock->advance(std::chrono::hours(1));
  const auto began = world.clock->now();
  ASSERT_EQ(world.archiver->restore({.overwrite = true}).value().restored, static_cast<std::uint64_t>(kMany));
  for (int i = 0; i < kMany; ++i) {
    const auto record = world.key_store.backend()->get_by_id({.id = "r" + std::to_string(i), .now = began}).value().record.value();
    ASSERT_GE(record.stamp, stamp_at(began));
    ASSERT_LT(record.stamp, stamp_at(began + Milliseconds(2))) << i;
  }
}

}  // namespace
