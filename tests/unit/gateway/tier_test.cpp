// Gets that fall back to an archive: which tier answered, and that nobody's thread waits for it.
#include <future>

#include <setget/testing/faults.hpp>

#include "gateway_fixture.hpp"

namespace {

using namespace setget;
using namespace setget_test;
using setget::testing::FaultKind;
using setget::testing::FaultPlan;
using setget::testing::FaultyArchive;
using setget::testing::Gate;

class GatewayTier : public GatewayTest {
 protected:
  void SetUp() override {
    decorate_archive_ = [this](std::shared_ptr<ArchiveBackend> plain) {
      archive_ = plain;
      return std::make_shared<FaultyArchive>(std::move(plain), faults_);
    };
    open({});
  }
  void TearDown() override { gate_->open(); }
  void archive(const std::string& key) {
    ArchiveEntry entry;
    entry.id = "archived";
    entry.version = 5;
    entry.record.id = entry.id;
    entry.record.keys = KeyList{key};
    entry.record.account = "acme";
    entry.record.flow = "orders";
    entry.record.payload = R"({"old":true})";
    entry.record.content_type = "application/json";
    entry.record.version = 5;
    entry.record.stamp = 5;
    const std::vector<ArchiveEntry> entries{entry};
    ASSERT_TRUE(archive_->write({.entries = entries}));
  }
  std::shared_ptr<ArchiveBackend> archive_;
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
};

TEST_F(GatewayTier, every_get_says_which_tier_answered) {
  archive("lost");
  set_now(envelope(R"("payload":1)"));
  for (const std::string method : {"GET", "HEAD"}) {
    const auto stored = call(method, "/v1/records/order%2F42");
    EXPECT_EQ(stored.status, 200);
    EXPECT_EQ(header(stored, "Setget-Tier"), "store");
    const auto archived = call(method, "/v1/records/lost");
    EXPECT_EQ(archived.status, 200);
    EXPECT_EQ(header(archived, "Setget-Tier"), "archive");
    EXPECT_EQ(header(archived, "Setget-Version"), "5");
    EXPECT_EQ(archived.body.view(), R"({"old":true})");
  }
  EXPECT_EQ(body_of(call("GET", "/v1/records/order%2F42?envelope=true")).at("tier"), "store");
  EXPECT_EQ(body_of(call("GET", "/v1/records/lost?envelope=true")).at("tier"), "archive");
  const auto many = body_of(call("POST", "/v1/records:get", R"({"keys":["lost","order/42","no"]})", {{"Content-Type", "application/json"}}))
                        .at("records");
  EXPECT_EQ(many.at(0).at("tier"), "archive");
  EXPECT_EQ(many.at(0).at("payload").at("old"), true);
  EXPECT_EQ(many.at(1).at("tier"), "store");
  EXPECT_TRUE(many.at(2).is_null());
  EXPECT_EQ(call("GET", "/v1/records/no").status, 404);
}

TEST_F(GatewayTier, a_tag_names_the_bytes_that_were_sent) {
  archive("k");
  const auto payload = header(call("GET", "/v1/records/k"), "ETag");
  const auto text = header(call("GET", "/v1/records/k?envelope=true"), "ETag");
  EXPECT_NE(payload, text);
  EXPECT_EQ(call("GET", "/v1/records/k", {}, {{"If-None-Match", payload}}).status, 304);
  EXPECT_EQ(call("GET", "/v1/records/k?envelope=true", {}, {{"If-None-Match", text}}).status, 304);
  set_now(R"({"id":"archived","keys":["k"],"account":"acme","flow":"orders","version":6,"payload":2})");
  EXPECT_EQ(call("GET", "/v1/records/k?envelope=true", {}, {{"If-None-Match", text}}).status, 200);
}

TEST_F(GatewayTier, a_condition_on_an_archived_record_holds_for_the_set) {
  archive("k");
  const auto tag = header(call("GET", "/v1/records/k"), "ETag");
  const std::string next = R"({"id":"archived","keys":["k"],"account":"acme","flow":"orders","payload":2})";
  EXPECT_EQ(set(next, {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(set(next, {{"If-Match", "\"other\""}}).status, 412);
  EXPECT_EQ(set(next, {{"If-Match", tag}}).status, 202);
  drain();
  const auto found = call("GET", "/v1/records/k");
  EXPECT_EQ(found.body.view(), "2");
  EXPECT_EQ(header(found, "Setget-Tier"), "store");
}

TEST_F(GatewayTier, a_delete_reaches_what_only_the_archive_has) {
  archive("k");
  EXPECT_EQ(call("DELETE", "/v1/records/k").status, 202);
  drain();
  EXPECT_EQ(call("GET", "/v1/records/k").status, 404);
}

TEST_F(GatewayTier, says_that_it_could_not_find_out) {
  faults_->add({.verb = "get"});
  const auto refused = call("GET", "/v1/records/k");
  EXPECT_EQ(refused.status, 503);
  EXPECT_FALSE(header(refused, "Retry-After").empty());
  EXPECT_EQ(body_of(refused).at("retryable"), true);
  EXPECT_EQ(call("GET", "/v1/records/k").status, 404);
}

TEST_F(GatewayTier, the_completion_form_returns_while_the_archive_is_asked) {
  archive("k");
  faults_->add({.verb = "get", .kind = FaultKind::kStall, .gate = gate_});
  std::promise<GatewayResponse> answer;
  auto response = answer.get_future();
  gateway_->handle({"GET", "/v1/records/k", {}, {}, ns_}, [&](GatewayResponse found) { answer.set_value(std::move(found)); });
  ASSERT_TRUE(gate_->wait_for_callers(1, Deadline::in(Milliseconds(60'000))));
  EXPECT_EQ(response.wait_for(Milliseconds(0)), std::future_status::timeout);
  gate_->open();
  EXPECT_EQ(header(response.get(), "Setget-Tier"), "archive");
}

}  // namespace
