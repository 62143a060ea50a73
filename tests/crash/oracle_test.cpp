// The oracle itself: it finds each kind of loss when there is one, so that its silence elsewhere means something.
#include "crash/oracle.hpp"

#include <gtest/gtest.h>

#include "crash/temporary_folder.hpp"

#include <setget/testing/forwarding.hpp>

namespace {

using namespace setget;

class OracleOf : public ::testing::Test {
 protected:
  OracleOf() : pipeline_(crash::make_pipeline(sqlite::open({.path = folder_.path("oracle.db")}).value()).value()) {}

  Version set(int identity, std::uint64_t n) {
    const auto version = pipeline_->set(crash::request_of(identity, n)).value().version;
    oracle_.acknowledged_set(identity, n, version);
    return version;
  }
  std::string check() { return oracle_.check(*pipeline_); }

  crash::TemporaryFolder folder_;
  std::unique_ptr<Pipeline> pipeline_;
  crash::Oracle oracle_;
};

TEST_F(OracleOf, a_sound_store_is_content) {
  for (std::uint64_t n = 1; n < 50; ++n) set(static_cast<int>(n) % crash::kIdentities, n);
  EXPECT_EQ(check(), "");
}

TEST_F(OracleOf, a_lost_set_is_noticed_by_the_ledger) {
  set(1, 1);
  oracle_.acknowledged_set(2, 2, set(2, 2) + 1);
  EXPECT_NE(check().find("ledger"), std::string::npos);
}

TEST_F(OracleOf, a_lost_record_is_noticed) {
  set(1, 1);
  pipeline_->set(crash::request_of(2, 2)).value();
  oracle_.acknowledged_set(3, 3, 1);
  EXPECT_NE(check().find("record-3: lost"), std::string::npos);
}

TEST_F(OracleOf, a_version_that_went_back_is_noticed) {
  const auto version = set(1, 1);
  oracle_.seen(1, version + 1);
  EXPECT_NE(check().find("seen before"), std::string::npos);
}

TEST_F(OracleOf, an_erase_that_did_not_last_is_noticed) {
  const auto version = set(1, 1);
  pipeline_->set(crash::request_of(2, 2)).value();
  oracle_.acknowledged_erase(1, version);
  EXPECT_NE(check().find("erase was acknowledged"), std::string::npos);
}

TEST_F(OracleOf, a_payload_that_nobody_set_is_noticed) {
  auto request = crash::request_of(1, 1);
  auto payload = request.payload.str();
  payload.back() = payload.back() == 'a' ? 'b' : 'a';
  request.payload = Payload(payload);
  pipeline_->set(std::move(request)).value();
  EXPECT_NE(check().find("payload is not what was set"), std::string::npos);
}

TEST_F(OracleOf, keys_that_nobody_set_are_noticed) {
  auto request = crash::request_of(1, 2);
  request.keys = KeyList({"own/1", "part/1/2"});
  pipeline_->set(std::move(request)).value();
  EXPECT_NE(check().find("keys are not what was set"), std::string::npos);
}

TEST_F(OracleOf, a_version_that_a_reader_was_taken_back_from_is_noticed) {
  EXPECT_TRUE(oracle_.line("G 1 12"));
  EXPECT_TRUE(oracle_.line("G 1 12"));
  EXPECT_FALSE(oracle_.line("G 1 11"));
}

// What an apply that is not settled by its version would leave.
class TellsTwice final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  Result<ChangeBatch> changes(const ReadChanges& request) override {
    auto batch = ForwardingKeyStore::changes(request);
    if (batch && !batch->changes.empty()) batch->changes.push_back(batch->changes.front());
    return batch;
  }
};

TEST_F(OracleOf, a_change_that_is_logged_twice_is_noticed) {
  const auto database = sqlite::open({.path = folder_.path("twice.db")}).value();
  auto options = crash::pipeline_options();
  options.queue = sqlite::Database(database).queue("records", crash::queue_options()).value();
  options.key_store = KeyStore(std::make_shared<TellsTwice>(sqlite::Database(database).key_store().backend()));
  const auto pipeline = Pipeline::create(std::move(options)).value();
  ASSERT_EQ(oracle_.check(*pipeline), "") << "from now on its cursor keeps the log";
  oracle_.acknowledged_set(1, 1, pipeline->set(crash::request_of(1, 1)).value().version);
  EXPECT_NE(oracle_.check(*pipeline).find("the log says version"), std::string::npos);
}

}  // namespace
