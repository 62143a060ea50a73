// What a get takes from the archive, and what it must not: erased, superseded, expired, or under a key that has moved on.
#include "tiers.hpp"

namespace {

using namespace read_through_test;

class Answers : public TiersTest {
 protected:
  // Until the store has forgotten what it knew of an identity and, if one is named, its key.
  bool forgotten(const std::string& id, const std::string& key = {}) {
    auto& store = *stores_.key_store.backend();
    const std::string_view asked = key;
    for (int i = 0; i < 200; ++i) {
      clock_->advance(Milliseconds(2'000));
      work();
      const auto now = clock_->now();
      if (store.get_by_id({.id = id, .now = now}).value().status == Lookup::Status::kUnknown &&
          (key.empty() || store.get({.keys = std::span(&asked, 1), .now = now}).value().front().status == Lookup::Status::kUnknown))
        return true;
    }
    return false;
  }
};

TEST_P(Answers, every_form_of_get_takes_what_the_store_lost_and_says_so) {
  archive("x", {"k", "l"});
  set("y", {"m"});
  EXPECT_EQ(by_key("k"), "x from archive");
  EXPECT_EQ(by_key("m"), "y from store");
  EXPECT_EQ(by_key("nothing"), "none");
  EXPECT_EQ(by_id("x"), "x from archive");
  EXPECT_EQ(by_id("y"), "y from store");
  EXPECT_EQ(ask("l").get(), "x from archive");
  const std::vector<std::string_view> keys{"l", "m", "nothing"};
  const auto found = pipeline_->reader().get(keys).value();
  EXPECT_EQ(shown(found[0]), "x from archive");
  EXPECT_EQ(shown(found[1]), "y from store");
  EXPECT_EQ(shown(found[2]), "none");
  EXPECT_EQ(pipeline_->get("k").value().value().payload.view(), "{}");
}

TEST_P(Answers, an_erase_that_is_not_archived_yet_counts) {
  archive("x", {"k", "l"});
  erase_id("x");
  EXPECT_EQ(by_key("k"), "none");
  EXPECT_EQ(by_id("x"), "none");
  // Not even housekeeping forgets it before the archive knows.
  for (int i = 0; i < 20; ++i) {
    clock_->advance(Milliseconds(10'000));
    work();
  }
  EXPECT_EQ(by_key("l"), "none");
  ASSERT_TRUE(pipeline_->archiver()->run());
  ASSERT_TRUE(forgotten("x", "k")) << "and then it does";
  EXPECT_EQ(by_key("l"), "none");
  EXPECT_EQ(by_id("x"), "none");
}

TEST_P(Answers, an_erase_by_key_reaches_what_only_the_archive_had) {
  set("other", {"o"});
  ASSERT_TRUE(pipeline_->archiver()->run());
  archive("x", {"k", "l"});
  erase_key("k");
  for (const char* key : {"k", "l"}) EXPECT_EQ(by_key(key), "none") << key;
  EXPECT_EQ(by_id("x"), "none");
  ASSERT_TRUE(pipeline_->archiver()->run());
  EXPECT_EQ(stores_.archive->get_by_id({.id = "x", .now = clock_->now()}).value().status, Lookup::Status::kGone);
  ASSERT_TRUE(forgotten("x", "k")) << "nothing of the erase is left in the store";
  for (const char* key : {"k", "l"}) EXPECT_EQ(by_key(key), "none") << key;
  EXPECT_EQ(by_id("x"), "none");
}

TEST_P(Answers, an_erase_by_key_waits_for_an_archive_that_is_away) {
  archive("x", {"k", "l"});
  archive_faults_->add({.verb = "get", .times = 0});  // however soon it is tried again
  const auto receipt = pipeline_->erase({.key = "k"}).value();
  work();
  EXPECT_EQ(pipeline_->message(receipt.message_id).value().outcome, Outcome::kPending);
  archive_faults_->clear();
  clock_->advance(std::chrono::minutes(5));
  work();
  const auto message = pipeline_->message(receipt.message_id).value();
  EXPECT_EQ(message.outcome, Outcome::kApplied);
  EXPECT_EQ(message.receive_count, 1U) << "that the archive was away is not the message's fault";
  EXPECT_EQ(by_key("l"), "none");
}

TEST_P(Answers, a_record_that_lost_its_last_key_is_superseded) {
  archive("x", {"k"});
  set("y", {"k"});
  EXPECT_EQ(by_key("k"), "y from store");
  EXPECT_EQ(by_id("x"), "none");
}

TEST_P(Answers, a_key_that_moved_to_another_record_is_lost) {
  archive("x", {"k", "l"});
  set("y", {"k"});
  EXPECT_EQ(by_key("k"), "y from store");
  EXPECT_EQ(by_key("l"), "x from archive");
  EXPECT_EQ(by_id("x"), "x from archive");
  EXPECT_EQ(pipeline_->reader().find("l").value().record->lost_keys, KeyList{"k"});
  erase_key("k");
  EXPECT_EQ(by_key("k"), "none") << "no falling back to an earlier holder";
}

// While both are known anywhere, the later claim counts: here the archive has it, though the store forgot.
TEST_P(Answers, a_key_that_moved_stays_with_its_later_claim_once_a_run_has_seen_it) {
  archive("x", {"k", "l"});
  set("y", {"k"});
  ASSERT_TRUE(pipeline_->archiver()->run());
  erase_id("y");
  ASSERT_TRUE(pipeline_->archiver()->run());
  ASSERT_TRUE(forgotten("y", "k"));
  EXPECT_EQ(by_key("k"), "none") << "no falling back to an earlier holder";
  EXPECT_EQ(by_key("l"), "x from archive");
}

// docs/read-through.md names the bound: what took over a key, and was gone before a run saw it, is remembered by the store only; restored
// records know what they lost.
TEST_P(Answers, after_a_restore_a_key_stays_with_its_later_claim_whatever_becomes_of_it) {
  archive("x", {"k", "l"});
  ASSERT_TRUE(pipeline_->archiver()->restore());
  set("y", {"k"});
  erase_id("y");
  EXPECT_EQ(by_key("k"), "none");
  ASSERT_TRUE(pipeline_->archiver()->run(patience(), true));
  ASSERT_TRUE(forgotten("y"));
  EXPECT_EQ(by_key("k"), "none");
  EXPECT_EQ(by_key("l"), "x from store");
}

TEST_P(Answers, a_newer_version_that_is_not_archived_yet_counts) {
  archive("x", {"k", "l"});
  set("x", {"l"});
  EXPECT_EQ(by_key("k"), "none");
  EXPECT_EQ(by_key("l"), "x from store");
  EXPECT_EQ(by_id("x"), "x from store");
}

TEST_P(Answers, an_expired_record_is_gone_by_the_readers_clock) {
  archive("x", {"k"}, clock_->now() + Milliseconds(1'000));
  EXPECT_EQ(by_key("k"), "x from archive");
  clock_->advance(Milliseconds(999));
  EXPECT_EQ(by_key("k"), "x from archive");
  clock_->advance(Milliseconds(1));
  EXPECT_EQ(by_key("k"), "none");
  EXPECT_EQ(by_id("x"), "none");
}

TEST_P(Answers, a_set_ends_at_once_what_was_remembered_as_missing) {
  EXPECT_EQ(by_key("k"), "none");
  set("x", {"k"});
  EXPECT_EQ(by_key("k"), "x from store");
}

INSTANTIATE_TEST_SUITE_P(All, Answers, ::testing::ValuesIn(all_tiers()), [](const auto& one) { return name_of(one.param); });

}  // namespace
