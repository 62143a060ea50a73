// A multi-get answers in order, and what it costs is bounded by the answer, not by what the request could ask for.
#include <mutex>
#include <set>

#include <setget/testing/forwarding.hpp>

#include "gateway_fixture.hpp"
#include "support/allocations.hpp"

namespace {

using setget_test::envelope;
using setget_test::GatewayTest;
using setget_test::Headers;
using setget_test::json;

// Remembers how it was asked.
class AskedStore final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  setget::Result<std::vector<setget::Lookup>> get(const setget::GetRecords& request) override {
    const std::lock_guard lock(mutex_);
    reads.push_back(request.keys.size());
    deadlines.insert(request.deadline.time());
    return ForwardingKeyStore::get(request);
  }
  std::vector<std::size_t> reads;  // keys of each call
  std::set<setget::Deadline::Steady::time_point> deadlines;

 private:
  std::mutex mutex_;
};

class GatewayMultiGet : public GatewayTest {
 protected:
  void SetUp() override {
    decorate_ = [this](setget::KeyStore plain) {
      asked_ = std::make_shared<AskedStore>(plain.backend());
      return setget::KeyStore(asked_);
    };
    open({});
  }
  setget::GatewayResponse get(const json& keys) {
    asked_->reads.clear();
    asked_->deadlines.clear();
    return call("POST", "/v1/records:get", json{{"keys", keys}}.dump(), {{"Content-Type", "application/json"}});
  }
  // One record of `payload` bytes under 64 keys; returns them.
  json set_under_64_keys(std::size_t payload) {
    json keys = json::array();
    for (int i = 0; i < 64; ++i) keys.push_back("key/" + std::to_string(i));
    set_now(json{{"keys", keys}, {"account", "acme"}, {"flow", "f"}, {"payload", std::string(payload, 'x')}}.dump());
    return keys;
  }
  std::shared_ptr<AskedStore> asked_;
};

TEST_F(GatewayMultiGet, a_key_that_is_named_often_is_read_once) {
  set_now(envelope(R"("payload":7)"));
  json keys = json::array();
  for (int i = 0; i < 64; ++i) keys.push_back(i % 2 == 0 ? "order/42" : "missing");
  const auto found = get(keys);
  ASSERT_EQ(found.status, 200) << found.body.view();
  const json records = body_of(found).at("records");
  ASSERT_EQ(records.size(), 64u);
  for (std::size_t i = 0; i < 64; ++i) {
    if (i % 2 == 0)
      EXPECT_EQ(records[i].at("payload"), 7);
    else
      EXPECT_TRUE(records[i].is_null());
  }
  EXPECT_EQ(asked_->reads, std::vector<std::size_t>{2});
}

TEST_F(GatewayMultiGet, no_more_is_read_at_a_time_than_the_answer_may_have) {
  setget::Limits limits;
  limits.max_payload = 1002;
  open({.max_response = 5000}, {}, limits);
  const auto refused = get(set_under_64_keys(1000));
  EXPECT_EQ(refused.status, 413);
  EXPECT_NE(refused.body.view().find("5000"), std::string_view::npos);
  EXPECT_EQ(asked_->reads, std::vector<std::size_t>{4}) << "four of these records are too many already";
  EXPECT_EQ(get(json::array({"key/0", "key/1"})).status, 200);
}

TEST_F(GatewayMultiGet, a_store_with_large_records_is_read_one_by_one) {
  open({.max_response = 4096});
  const auto found = get(json::array({"a", "b", "a", "c"}));
  ASSERT_EQ(found.status, 200) << found.body.view();
  EXPECT_EQ(body_of(found).at("records"), json::parse("[null,null,null,null]"));
  EXPECT_EQ(asked_->reads, (std::vector<std::size_t>{1, 1, 1}));
}

TEST_F(GatewayMultiGet, all_its_reads_have_one_deadline) {
  json keys = json::array();
  for (int i = 0; i < 200; ++i) keys.push_back("missing/" + std::to_string(i));
  ASSERT_EQ(get(keys).status, 200);
  EXPECT_GT(asked_->reads.size(), 1u);
  EXPECT_EQ(asked_->deadlines.size(), 1u);
}

TEST_F(GatewayMultiGet, every_rule_that_its_body_breaks_is_said_with_its_place) {
  const auto refusals = [&](const std::string& body) {
    const auto refused = call("POST", "/v1/records:get", body);
    EXPECT_EQ(refused.status, 422) << body << refused.body.view();
    return violations(refused);
  };
  using Reasons = std::vector<std::string>;
  EXPECT_EQ(refusals("[]"), Reasons{"wrong_type "});
  EXPECT_EQ(refusals("7"), Reasons{"wrong_type "});
  EXPECT_EQ(refusals(R"("keys")"), Reasons{"wrong_type "});
  EXPECT_EQ(refusals("{}"), Reasons{"keys_missing /keys"});
  EXPECT_EQ(refusals(R"({"keys":[],"keys_base64":[]})"), Reasons{"keys_missing /keys"});
  EXPECT_EQ(refusals(R"({"keys":"a"})"), Reasons{"wrong_type /keys"});
  EXPECT_EQ(refusals(R"({"keys":{"keys":["a"]}})"), Reasons{"wrong_type /keys"});
  EXPECT_EQ(refusals(R"({"keys":["a",["b",1],null,1e999]})"), (Reasons{"wrong_type /keys/1", "wrong_type /keys/2", "wrong_type /keys/3"}));
  EXPECT_EQ(refusals(R"({"keys":["a"],"a/b":{"keys":[1]},"keys_base64":["?","YQ=="]})"),
            (Reasons{"unknown_field /a~1b", "bad_base64 /keys_base64/0"}));
  EXPECT_EQ(refusals(R"({"keys":["a"],"keys":["b"]})"), Reasons{"duplicate_name /keys"});
  EXPECT_EQ(refusals(R"({"keys":["a",""]})"), Reasons{"key_empty /keys/1"});
  EXPECT_EQ(refusals(R"({"keys_base64":["YQ==",""],"keys":["a"]})"), Reasons{"key_empty /keys_base64/1"});
  EXPECT_EQ(call("POST", "/v1/records:get", R"({"keys":["a"],"x":1)").status, 400);
  EXPECT_EQ(call("POST", "/v1/records:get", "{\"keys\":[\"\xff\"]}").status, 400);
  const auto ended = call("POST", "/v1/records:get", std::string("{\"keys\":[\"a\"]}\0garbage", 22));
  EXPECT_EQ(ended.status, 400) << "a NUL byte does not end a text";
  EXPECT_EQ(body_of(ended).at("position"), 14);
}

TEST_F(GatewayMultiGet, keys_that_are_not_utf8_come_behind_the_others_wherever_they_stand) {
  set_now(R"({"keys":["a"],"account":"acme","flow":"f","payload":1})");
  set_now(R"({"keys_base64":["/w=="],"account":"acme","flow":"f","payload":2})");
  const auto found = call("POST", "/v1/records:get", R"({"keys_base64":["/w=="],"keys":["a"]})");
  ASSERT_EQ(found.status, 200) << found.body.view();
  EXPECT_EQ(body_of(found).at("records").at(0).at("payload"), 1);
  EXPECT_EQ(body_of(found).at("records").at(1).at("payload"), 2);
}

TEST_F(GatewayMultiGet, a_body_is_read_to_the_first_key_too_many) {
  open({.max_batch = 2});
  const auto refused = call("POST", "/v1/records:get", R"({"keys":["a"],"keys_base64":["Yg==","Yw==",)");
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(violations(refused), std::vector<std::string>{"too_many_keys /keys_base64"});
  EXPECT_EQ(get(json::array({"a", "b"})).status, 200);
}

TEST_F(GatewayMultiGet, a_body_costs_no_memory_for_what_is_no_key) {
  std::string objects;
  std::string fields = R"("keys":["a"])";
  for (int i = 0; i < 10'000; ++i) {
    objects += "{},";
    fields += ",\"a field that is not known here " + std::to_string(i) + "\":{}";
  }
  for (const std::string& body : {R"({"keys":[)" + objects + "0]}", "{" + fields + "}"}) {
    const auto before = allocations();
    if (!before) GTEST_SKIP() << "a sanitizer has its own operator new";
    const auto refused = call("POST", "/v1/records:get", body);
    const auto after = allocations();
    EXPECT_EQ(refused.status, 422);
    EXPECT_LE(violations(refused).size(), 32u);
    EXPECT_LT(*after - *before, 2000u);
  }
}

}  // namespace
