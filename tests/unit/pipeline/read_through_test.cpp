// How an archive is asked on a miss: once for many, in time, not for what it did not have, and not while it is away.
#include "through_support.hpp"

#include <setget/testing/forwarding.hpp>

#include "pipeline/archive_breaker.hpp"
#include "pipeline/missing_names.hpp"

namespace {

using namespace setget_test;
using setget::detail::ArchiveBreaker;
using setget::detail::MissingNames;

class ReadThroughTest : public ThroughTest {};

TEST_F(ReadThroughTest, concurrent_misses_of_one_key_are_one_question) {
  archive("x", {"k"});
  open();
  Hold hold;
  faults_->add(hold.at("get"));
  std::vector<std::future<Result<Found>>> gets;
  for (int i = 0; i < 20; ++i) gets.push_back(ask("k"));
  ASSERT_TRUE(hold.reached());
  hold.open();
  for (auto& one : gets) EXPECT_EQ(id_of(one.get()), "x");
  EXPECT_EQ(questions(), 1U);
  EXPECT_TRUE(told("setget_read_through_shared_total 19"));
  EXPECT_TRUE(told(R"(setget_reads_total{result="archive"} 20)"));
  EXPECT_TRUE(told(R"(setget_read_through_queries_total{result="ok"} 1)"));
  EXPECT_EQ(get("k"), "x") << "a later get asks again";
  EXPECT_EQ(questions(), 2U);
}

TEST_F(ReadThroughTest, a_completion_form_never_asks_on_the_calling_thread) {
  archive("x", {"k"});
  open();
  ASSERT_FALSE(reader_->async_gets()) << "the store of this test blocks; the archive must not";
  Hold hold;
  faults_->add(hold.at("get"));
  auto found = ask("k");  // would wait at the gate for ever
  ASSERT_TRUE(hold.reached());
  EXPECT_EQ(found.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  hold.open();
  EXPECT_EQ(id_of(found.get()), "x");
}

TEST_F(ReadThroughTest, many_keys_are_asked_for_together_and_each_says_its_tier) {
  archive("x", {"k"});
  archive("y", {"l"});
  apply(request("live", {"m"}));
  open();
  const std::vector<std::string_view> keys{"k", "m", "none", "l", "k"};
  const auto found = reader_->get(keys).value();
  ASSERT_EQ(found.size(), 5U);
  EXPECT_EQ(found[0].record->id, "x");
  EXPECT_EQ(found[0].tier, Tier::kArchive);
  EXPECT_EQ(found[1].record->id, "live");
  EXPECT_EQ(found[1].tier, Tier::kStore);
  EXPECT_FALSE(found[2].record);
  EXPECT_EQ(found[2].tier, Tier::kStore);
  EXPECT_EQ(found[3].record->id, "y");
  EXPECT_EQ(found[4].record->id, "x");
  EXPECT_EQ(questions(), 1U);
}

TEST_F(ReadThroughTest, a_get_of_very_many_keys_is_several_questions) {
  archive("x", {"k199"});
  open();
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i) names.push_back("k" + std::to_string(i));
  const std::vector<std::string_view> keys(names.begin(), names.end());
  const auto found = reader_->get(keys).value();
  EXPECT_EQ(found.back().record.value().id, "x");
  EXPECT_EQ(questions(), 4U);
}

TEST_F(ReadThroughTest, an_archive_that_is_too_slow_ends_in_an_error_that_may_be_repeated) {
  archive("x", {"k"});
  through_.timeout = Milliseconds(30);
  open();
  Hold hold;
  faults_->add(hold.at("get"));
  const auto started = Deadline::Steady::now();
  const auto found = reader_->find("k");
  EXPECT_LT(Deadline::Steady::now() - started, std::chrono::seconds(20)) << "the archive itself would never have answered";
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(found.error().retryable());
  hold.open();
  EXPECT_TRUE(told(R"(setget_read_through_refused_total{reason="late"} 1)"));
}

TEST_F(ReadThroughTest, a_late_archive_may_count_as_a_miss) {
  archive("x", {"k"});
  through_.timeout = Milliseconds(1'000);
  through_.miss_when_away = true;
  through_.failures = 1;
  open();
  Hold hold;
  faults_->add(hold.at("get"));
  EXPECT_EQ(get("k"), "none");
  hold.open();
  EXPECT_EQ(get("k"), "none") << "it is left alone";
  EXPECT_EQ(questions(), 1U);
  world_.clock->advance(through_.pause);
  EXPECT_EQ(get("k"), "x") << "what could not be found out is not remembered as missing";
}

TEST_F(ReadThroughTest, a_get_ends_at_its_own_deadline_and_leaves_the_others_waiting) {
  archive("x", {"k"});
  open();
  Hold hold;
  faults_->add(hold.at("get"));
  auto patient = ask("k");
  auto hasty = ask("k", Deadline::in(Milliseconds(20)));
  EXPECT_EQ(hasty.get().error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(ask("k", Deadline::immediate()).get().error().code(), ErrorCode::kDeadlineExceeded);
  hold.open();
  EXPECT_EQ(id_of(patient.get()), "x");
}

TEST_F(ReadThroughTest, an_archive_that_fails_is_left_alone_until_the_pause_is_over) {
  archive("x", {"k"});
  through_.failures = 3;
  open();
  faults_->add({.verb = "get", .times = 3});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(reader_->find("k").error().code(), ErrorCode::kUnavailable);
  const auto refused = reader_->find("k");
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(refused.error().retryable());
  EXPECT_EQ(questions(), 3U) << "the fourth was not asked";
  EXPECT_TRUE(told("setget_read_through_paused 1"));
  EXPECT_TRUE(told(R"(setget_read_through_refused_total{reason="paused"} 1)"));
  world_.clock->advance(through_.pause);
  EXPECT_EQ(get("k"), "x");
  EXPECT_TRUE(told("setget_read_through_paused 0"));
}

TEST_F(ReadThroughTest, whatever_is_wrong_with_the_archive_is_an_error_that_may_be_repeated) {
  open();
  for (const auto code :
       {ErrorCode::kFailedPrecondition, ErrorCode::kInvalidArgument, ErrorCode::kInternal, ErrorCode::kDeadlineExceeded}) {
    faults_->add({.verb = "get", .code = code});
    const auto failed = reader_->find("k");
    ASSERT_FALSE(failed);
    EXPECT_TRUE(failed.error().retryable()) << failed.error().describe();
  }
}

TEST_F(ReadThroughTest, after_the_pause_one_question_tries_and_the_others_do_not_wait_for_it) {
  archive("x", {"k"});
  through_.failures = 1;
  open();
  faults_->add({.verb = "get"});
  EXPECT_FALSE(reader_->find("k"));
  world_.clock->advance(through_.pause);
  Hold hold;
  faults_->add(hold.at("get"));
  auto first = ask("k");
  ASSERT_TRUE(hold.reached());
  EXPECT_EQ(reader_->find("other").error().code(), ErrorCode::kUnavailable);
  hold.open();
  EXPECT_EQ(id_of(first.get()), "x");
}

TEST_F(ReadThroughTest, what_the_store_has_is_answered_while_the_archive_hangs) {
  apply(request("live", {"m"}));
  through_.threads = 1;
  open();
  Hold hold;
  faults_->add(hold.at("get", FaultKind::kStall, 0));
  std::vector<std::future<Result<Found>>> stuck;
  for (int i = 0; i < 10; ++i) stuck.push_back(ask("missing" + std::to_string(i)));
  ASSERT_TRUE(hold.reached());
  EXPECT_EQ(get("m"), "live");
  hold.open();
  for (auto& one : stuck) EXPECT_EQ(id_of(one.get()), "none");
}

TEST_F(ReadThroughTest, at_most_so_many_keys_wait) {
  through_.max_waiting = 2;
  open();
  Hold hold;
  faults_->add(hold.at("get", FaultKind::kStall, 0));
  auto first = ask("a");
  auto second = ask("b");
  for (const auto* key : {"a", "c"}) {
    const auto third = reader_->find(key);
    ASSERT_FALSE(third) << key;
    EXPECT_EQ(third.error().code(), ErrorCode::kResourceExhausted);
  }
  hold.open();
  EXPECT_EQ(id_of(first.get()), "none");
  EXPECT_EQ(id_of(second.get()), "none");
  EXPECT_EQ(get("c"), "none");
}

TEST_F(ReadThroughTest, what_the_archive_did_not_have_is_not_asked_for_again_for_a_while) {
  open();
  EXPECT_EQ(get("k"), "none");
  EXPECT_FALSE(reader_->get_by_id("x").value());
  archive("x", {"k"});
  EXPECT_EQ(get("k"), "none");
  EXPECT_FALSE(reader_->get_by_id("x").value());
  EXPECT_EQ(questions(), 2U);
  EXPECT_TRUE(told("setget_read_through_negative_hits_total 2"));
  EXPECT_TRUE(told(R"(setget_reads_total{result="missing"} 4)"));
  world_.clock->advance(through_.negative_age);
  EXPECT_EQ(get("k"), "x");
  EXPECT_EQ(reader_->find_by_id("x").value().tier, Tier::kArchive);
}

TEST_F(ReadThroughTest, a_key_that_is_set_is_asked_for_again_at_once) {
  open();
  EXPECT_EQ(get("k"), "none");
  EXPECT_FALSE(reader_->get_by_id("x").value());
  archive("x", {"k"});
  reader_->forget_missing("", "x", KeyList{"k"});
  EXPECT_EQ(get("k"), "x");
  EXPECT_TRUE(reader_->get_by_id("x").value());
}

TEST_F(ReadThroughTest, a_key_that_is_set_while_it_is_asked_for_is_not_remembered_as_missing) {
  open();
  Hold hold;
  faults_->add(hold.at("get", FaultKind::kStallReply));
  auto found = ask("k");
  ASSERT_TRUE(hold.reached());
  archive("x", {"k"});
  reader_->forget_missing("", "x", KeyList{"k"});
  hold.open();
  EXPECT_EQ(id_of(found.get()), "none") << "as it was";
  EXPECT_EQ(get("k"), "x");
}

TEST_F(ReadThroughTest, nothing_is_remembered_where_the_host_says_so) {
  through_.negative_entries = 0;
  open();
  EXPECT_EQ(get("k"), "none");
  archive("x", {"k"});
  EXPECT_EQ(get("k"), "x");
}

TEST_F(ReadThroughTest, a_reader_that_closes_answers_those_who_wait) {
  archive("x", {"k"});
  open();
  Hold hold;
  faults_->add(hold.at("get"));
  auto found = ask("k");
  ASSERT_TRUE(hold.reached());
  auto closing = std::async(std::launch::async, [this] { reader_.reset(); });
  EXPECT_EQ(found.get().error().code(), ErrorCode::kCancelled);
  hold.open();
  closing.get();
}

TEST_F(ReadThroughTest, a_callback_may_close_the_reader) {
  archive("x", {"k"});
  open();
  std::promise<void> closed;
  Hold hold;
  faults_->add(hold.at("get"));
  reader_->find_async("k", {}, patience(), [&](const Result<Found>& found) {
    EXPECT_EQ(id_of(found), "x");
    reader_.reset();
    closed.set_value();
  });
  hold.open();
  closed.get_future().get();
  EXPECT_FALSE(reader_);
}

// An archive in which one document is damaged, and one is of a later version.
class Damaged final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<std::vector<Lookup>> get(const GetRecords& request) override {
    for (const auto key : request.keys) {
      if (key == "bad") return Error(ErrorCode::kCorrupted, "a byte is wrong");
      if (key == "new") return Error(ErrorCode::kUnsupported, "a later version wrote it");
    }
    return inner()->get(request);
  }
};

// An archive of a later version, that was away when it was opened.
class Newer final : public setget::testing::ForwardingArchive {
 public:
  using ForwardingArchive::ForwardingArchive;
  Result<std::vector<Lookup>> get(const GetRecords&) override {
    ++asked;
    return Error(ErrorCode::kUnsupported, "written by a newer version").at_field("archive");
  }
  int asked = 0;
};

TEST_F(ReadThroughTest, an_archive_that_cannot_be_read_at_all_is_away) {
  const auto newer = std::make_shared<Newer>(world_.archive);
  archive_ = newer;
  through_.failures = 2;
  open();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(reader_->find("k").error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(newer->asked, 2) << "and is left alone";
}

TEST_F(ReadThroughTest, a_damaged_document_is_an_error_of_its_key_only) {
  archive("x", {"k"});
  archive_ = std::make_shared<Damaged>(world_.archive);
  through_.failures = 1;
  through_.miss_when_away = true;
  open();
  const std::vector<std::string_view> keys{"k", "bad"};
  EXPECT_EQ(reader_->get(keys).error().code(), ErrorCode::kCorrupted);
  EXPECT_EQ(reader_->find("bad").error().code(), ErrorCode::kCorrupted) << "damage is no miss, and no outage";
  EXPECT_EQ(reader_->find("new").error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(get("k"), "x");
}

TEST(ReadThrough, refuses_options_that_cannot_work) {
  World world;
  const auto field = [&](auto change) {
    ReadThroughOptions through;
    change(through);
    const auto made = Reader::create({.key_store = world.key_store, .archive = world.archive, .read_through = true, .through = through});
    return made ? std::string() : made.error().field();
  };
  EXPECT_EQ(field([](auto& through) { through.timeout = Milliseconds(0); }), "timeout");
  EXPECT_EQ(field([](auto& through) { through.threads = 0; }), "threads");
  EXPECT_EQ(field([](auto& through) { through.threads = 65; }), "threads");
  EXPECT_EQ(field([](auto& through) { through.max_waiting = 0; }), "max_waiting");
  EXPECT_EQ(field([](auto& through) { through.negative_age = Milliseconds(-1); }), "negative_age");
  EXPECT_EQ(field([](auto& through) { through.failures = 0; }), "failures");
  EXPECT_EQ(field([](auto& through) { through.pause = Milliseconds(0); }), "pause");
  EXPECT_EQ(field([](auto&) {}), "");
}

TEST(ArchiveBreaker, opens_after_failures_in_a_row_and_lets_one_try_after_each_pause) {
  const TimePoint start{Milliseconds(1'000'000)};
  ArchiveBreaker breaker(2, Milliseconds(100));
  breaker.failed(start);
  breaker.succeeded();
  breaker.failed(start);
  EXPECT_TRUE(breaker.admit(start)) << "not in a row";
  breaker.failed(start);
  EXPECT_TRUE(breaker.open());
  EXPECT_FALSE(breaker.admit(start + Milliseconds(99)));
  EXPECT_TRUE(breaker.admit(start + Milliseconds(100)));
  EXPECT_FALSE(breaker.admit(start + Milliseconds(100))) << "one is trying";
  breaker.failed(start + Milliseconds(150));
  EXPECT_FALSE(breaker.admit(start + Milliseconds(249)));
  EXPECT_TRUE(breaker.admit(start + Milliseconds(250)));
  breaker.succeeded();
  EXPECT_TRUE(breaker.admit(start + Milliseconds(250)));
  EXPECT_TRUE(breaker.admit(start + Milliseconds(250)));
}

TEST(ArchiveBreaker, does_not_wait_for_ever_where_the_clock_steps_back) {
  const TimePoint start{Milliseconds(1'000'000)};
  ArchiveBreaker breaker(1, Milliseconds(100));
  breaker.failed(start);
  EXPECT_TRUE(breaker.admit(start - Milliseconds(500'000)));
}

TEST(MissingNames, are_bounded_by_count_and_age) {
  const TimePoint start{Milliseconds(1'000'000)};
  MissingNames names(2, Milliseconds(100));
  names.add("a", start);
  names.add("b", start + Milliseconds(1));
  names.add("c", start + Milliseconds(2));
  EXPECT_EQ(names.size(), 2U);
  EXPECT_FALSE(names.has("a", start + Milliseconds(2))) << "the oldest went";
  EXPECT_TRUE(names.has("b", start + Milliseconds(100)));
  EXPECT_FALSE(names.has("b", start + Milliseconds(101)));
  EXPECT_FALSE(names.has("c", start)) << "from the future: the clock stepped back";
  EXPECT_EQ(names.size(), 0U);
  names.add("a", start);
  names.add("a", start + Milliseconds(50));
  EXPECT_EQ(names.size(), 1U);
  EXPECT_TRUE(names.has("a", start + Milliseconds(149)));
  MissingNames none(0, Milliseconds(100));
  none.add("a", start);
  EXPECT_FALSE(none.has("a", start));
}

}  // namespace
