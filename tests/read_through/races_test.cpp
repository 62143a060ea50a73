// What happens between a miss and the archive's answer.
#include "tiers.hpp"

namespace {

using namespace read_through_test;

class Races : public TiersTest {
 protected:
  void SetUp() override {
    TiersTest::SetUp();
    if (!pipeline_) return;
    archive("x", {"k", "l"});
  }
  // Opened at the latest before the pipeline goes: whatever waits there must end first.
  void TearDown() override {
    gate_->open();
    TiersTest::TearDown();
  }
  // A get of "k" that has its answer from the archive, but has not looked at it.
  std::future<std::string> answered() {
    archive_faults_->add({.verb = "get", .kind = FaultKind::kStallReply, .gate = gate_});
    auto found = ask("k");
    EXPECT_TRUE(gate_->wait_for_callers(1, patience()));
    return found;
  }
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
};

TEST_P(Races, a_key_that_was_set_meanwhile_leads_to_what_was_set) {
  auto found = answered();
  set("y", {"k"});
  gate_->open();
  EXPECT_EQ(found.get(), "y from store");
}

TEST_P(Races, a_newer_version_that_gave_the_key_up_meanwhile_is_respected) {
  auto found = answered();
  set("x", {"l"});
  gate_->open();
  EXPECT_EQ(found.get(), "none");
}

TEST_P(Races, an_erase_meanwhile_is_respected) {
  auto found = answered();
  erase_id("x");
  gate_->open();
  EXPECT_EQ(found.get(), "none");
}

TEST_P(Races, an_erase_by_another_key_meanwhile_is_respected) {
  auto found = answered();
  erase_key("l");
  gate_->open();
  EXPECT_EQ(found.get(), "none");
}

TEST_P(Races, a_record_that_expires_meanwhile_is_gone) {
  archive("e", {"e"}, clock_->now() + Milliseconds(500));
  archive_faults_->add({.verb = "get", .kind = FaultKind::kStallReply, .gate = gate_});
  auto found = ask("e");
  ASSERT_TRUE(gate_->wait_for_callers(1, patience()));
  clock_->advance(Milliseconds(500));
  gate_->open();
  EXPECT_EQ(found.get(), "none");
}

// The first get has looked at everything and is about to answer when the record is erased. One that begins after the erase must not be
// given that answer.
TEST_P(Races, a_get_after_an_erase_does_not_share_an_answer_from_before_it) {
  store_faults_->add({.verb = "get_by_id", .kind = FaultKind::kStallReply, .gate = gate_});
  auto before = ask("k");
  ASSERT_TRUE(gate_->wait_for_callers(1, patience()));
  erase_id("x");
  EXPECT_EQ(by_key("k"), "none");
  gate_->open();
  EXPECT_EQ(before.get(), "x from archive");
}

INSTANTIATE_TEST_SUITE_P(All, Races, ::testing::ValuesIn(all_tiers()), [](const auto& one) { return name_of(one.param); });

}  // namespace
