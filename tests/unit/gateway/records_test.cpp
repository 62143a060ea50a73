#include "gateway_fixture.hpp"

namespace {

using setget_test::envelope;
using setget_test::GatewayTest;
using setget_test::Headers;
using setget_test::json;

class GatewayRecords : public GatewayTest {};

TEST_F(GatewayRecords, a_set_is_accepted_and_readable_under_every_key) {
  const auto accepted = set(R"({"keys":["order/42","crm/9"],"account":"acme","flow":"orders","id":"o1","payload":{"total": 12}})");
  ASSERT_EQ(accepted.status, 202) << accepted.body.view();
  const json receipt = body_of(accepted);
  EXPECT_EQ(receipt.at("id"), "o1");
  EXPECT_GT(receipt.at("version").get<std::uint64_t>(), 0u);
  EXPECT_EQ(header(accepted, "Location"), "/v1/messages/" + receipt.at("message_id").get<std::string>());
  drain();
  for (const std::string target : {"/v1/records/order%2F42", "/v1/records/order/42", "/v1/records/crm%2f9", "/v1/records?key=crm/9"}) {
    const auto found = call("GET", target);
    ASSERT_EQ(found.status, 200) << target << found.body.view();
    EXPECT_EQ(found.body.view(), R"({"total": 12})");
    EXPECT_EQ(header(found, "Content-Type"), "application/json");
    EXPECT_EQ(header(found, "Setget-Id"), "o1");
    EXPECT_EQ(header(found, "Setget-Version"), std::to_string(receipt.at("version").get<std::uint64_t>()));
    EXPECT_EQ(header(found, "Setget-Expires-At"), "never");
  }
}

TEST_F(GatewayRecords, head_carries_what_get_carries) {
  set_now(envelope(R"("payload":[1,2])"));
  const auto get = call("GET", "/v1/records/order%2F42");
  const auto head = call("HEAD", "/v1/records/order%2F42");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers, get.headers);
  EXPECT_EQ(head.body.size(), get.body.size());
}

TEST_F(GatewayRecords, envelope_true_gives_the_whole_record) {
  set_now(envelope(R"("payload":{"a": 1},"owner":"me","attributes":{"source":"web"},"ttl":60)"));
  const auto found = call("GET", "/v1/records/order%2F42?envelope=true");
  ASSERT_EQ(found.status, 200);
  const json record = body_of(found);
  EXPECT_EQ(record.at("keys"), json::array({"order/42"}));
  EXPECT_EQ(record.at("owner"), "me");
  EXPECT_EQ(record.at("attributes").at("source"), "web");
  EXPECT_EQ(record.at("ttl_rule"), "message");
  EXPECT_EQ(record.at("payload").at("a"), 1);
  EXPECT_NE(record.at("expires_at"), "never");
  EXPECT_EQ(header(found, "Setget-Expires-At"), record.at("expires_at").get<std::string>());
}

TEST_F(GatewayRecords, an_expired_record_is_gone) {
  set_now(envelope(R"("payload":1,"ttl":60)"));
  EXPECT_EQ(call("GET", "/v1/records/order%2F42").status, 200);
  clock_->advance(setget::Milliseconds(60'000));
  EXPECT_EQ(call("GET", "/v1/records/order%2F42").status, 404);
}

TEST_F(GatewayRecords, payloads_keep_every_byte_and_their_type) {
  const std::string bytes("\x00\xFF\r\n\x1A{", 6);
  const auto accepted = call("POST", "/v1/payloads?account=acme&flow=files&key=a%20b&key=c%2Bd+e&ttl=1h&id=f1&owner=me&version=3", bytes,
                             {{"Content-Type", "image/x-thing; v=1"}});
  ASSERT_EQ(accepted.status, 202) << accepted.body.view();
  EXPECT_EQ(body_of(accepted).at("version"), 3);
  drain();
  for (const std::string target : {"/v1/records/a%20b", "/v1/records/c+d%20e", "/v1/records?key=c%2Bd+e"}) {
    const auto found = call("GET", target);
    ASSERT_EQ(found.status, 200) << target;
    EXPECT_EQ(found.body.view(), bytes);
    EXPECT_EQ(header(found, "Content-Type"), "image/x-thing; v=1");
  }
}

TEST_F(GatewayRecords, an_empty_payload_is_a_payload) {
  const auto accepted =
      call("POST", "/v1/payloads?account=acme&flow=files&key=empty", "", {{"Content-Length", "0"}, {"Content-Type", "text/plain"}});
  ASSERT_EQ(accepted.status, 202) << accepted.body.view();
  drain();
  const auto found = call("GET", "/v1/records/empty");
  EXPECT_EQ(found.status, 200);
  EXPECT_TRUE(found.body.empty());
}

TEST_F(GatewayRecords, keys_may_be_any_bytes) {
  set_now(R"({"keys_base64":["/wAv"],"account":"acme","flow":"orders","payload":1})");
  EXPECT_EQ(call("GET", "/v1/records/%FF%00%2F").status, 200);
  const json many = body_of(call("POST", "/v1/records:get", R"({"keys":["none"],"keys_base64":["/wAv"]})"));
  EXPECT_TRUE(many.at("records").at(0).is_null());
  EXPECT_EQ(many.at("records").at(1).at("keys_base64"), json::array({"/wAv"}));
}

TEST_F(GatewayRecords, many_keys_are_answered_in_order) {
  set_now(R"({"keys":["a"],"account":"acme","flow":"f","payload":1})");
  set_now(R"({"keys":["b"],"account":"acme","flow":"f","payload":2})");
  json keys = json::array();
  for (int i = 0; i < 200; ++i) keys.push_back(i % 3 == 0 ? "a" : i % 3 == 1 ? "missing" : "b");
  const auto found = call("POST", "/v1/records:get", json{{"keys", keys}}.dump(), {{"Content-Type", "application/json"}});
  ASSERT_EQ(found.status, 200) << found.body.view();
  const json records = body_of(found).at("records");
  ASSERT_EQ(records.size(), 200u);
  for (std::size_t i = 0; i < 200; ++i) {
    if (i % 3 == 1)
      EXPECT_TRUE(records[i].is_null());
    else
      EXPECT_EQ(records[i].at("payload"), i % 3 == 0 ? 1 : 2);
  }
}

TEST_F(GatewayRecords, the_answer_of_a_multi_get_is_bounded) {
  open({.max_response = 4096});
  set_now(envelope("\"payload\":\"" + std::string(1000, 'x') + "\""));
  EXPECT_EQ(call("POST", "/v1/records:get", R"({"keys":["order/42"]})").status, 200);
  EXPECT_EQ(call("POST", "/v1/records:get", R"({"keys":["order/42","order/42","order/42","order/42","order/42"]})").status, 413);
}

TEST_F(GatewayRecords, an_erase_by_key_is_durable_like_a_set) {
  set_now(R"({"keys":["a/1","b"],"account":"acme","flow":"f","payload":1})");
  const auto erased = call("DELETE", "/v1/records/a%2F1");
  ASSERT_EQ(erased.status, 202) << erased.body.view();
  EXPECT_FALSE(body_of(erased).at("message_id").get<std::string>().empty());
  drain();
  EXPECT_EQ(call("GET", "/v1/records/a%2F1").status, 404);
  EXPECT_EQ(call("GET", "/v1/records/b").status, 404);
  EXPECT_EQ(call("DELETE", "/v1/records?key=never-there").status, 202);
}

TEST_F(GatewayRecords, a_listeners_namespace_separates_what_it_stores) {
  ns_ = "tenant-a";
  set_now(envelope(R"("payload":1)"));
  EXPECT_EQ(call("GET", "/v1/records/order%2F42").status, 200);
  ns_ = "tenant-b";
  EXPECT_EQ(call("GET", "/v1/records/order%2F42").status, 404);
}

TEST_F(GatewayRecords, isolated_accounts_are_named_when_reading) {
  setget::Flows flows;
  flows.isolate_accounts = true;
  open({}, flows);
  set_now(envelope(R"("payload":1)"));
  EXPECT_EQ(call("GET", "/v1/records/order%2F42?account=acme").status, 200);
  EXPECT_EQ(call("GET", "/v1/records/order%2F42?account=other").status, 404);
  const auto unnamed = call("GET", "/v1/records/order%2F42");
  EXPECT_EQ(unnamed.status, 422);
  EXPECT_EQ(violations(unnamed), std::vector<std::string>{"account_missing /account"});
}

// Nobody reaches into another account through a listener that is bound to one, whatever the request names.
TEST_F(GatewayRecords, a_listener_that_is_bound_to_an_account_reaches_no_other) {
  setget::Flows flows;
  flows.isolate_accounts = true;
  open({}, flows);
  const auto of_globex = set(R"({"keys":["k"],"id":"i","account":"globex","flow":"f","payload":1})");
  ASSERT_EQ(of_globex.status, 202) << of_globex.body.view();
  ns_ = "acme";
  EXPECT_EQ(call("GET", header(of_globex, "Location")).status, 404);
  ns_ = "globex";
  EXPECT_EQ(call("GET", header(of_globex, "Location")).status, 200);
  drain();
  ns_ = "acme";
  const std::vector<std::string> not_allowed{"account_not_allowed /account"};
  EXPECT_EQ(violations(call("GET", "/v1/records/k?account=globex")), not_allowed);
  EXPECT_EQ(violations(call("POST", "/v1/records:get?account=globex", R"({"keys":["k"]})")), not_allowed);
  EXPECT_EQ(violations(call("DELETE", "/v1/records/k?account=globex")), not_allowed);
  EXPECT_FALSE(gateway_->answer_at_hand({"GET", "/v1/records/k?account=globex", {}, {}, ns_}));
  const std::string conditional = R"({"keys":["k"],"id":"i","account":"globex","flow":"f","payload":2})";
  EXPECT_EQ(violations(set(conditional, {{"If-None-Match", "*"}})), not_allowed) << "which records there are is not told either";

  set_now(R"({"keys":["k"],"account":"acme","flow":"f","payload":3})");
  EXPECT_EQ(call("GET", "/v1/records/k?account=acme").body.view(), "3");
  EXPECT_EQ(violations(call("GET", "/v1/records/k")), std::vector<std::string>{"account_missing /account"});
  ns_ = "globex";
  EXPECT_EQ(call("GET", "/v1/records/k?account=globex").body.view(), "1");
}

TEST_F(GatewayRecords, a_stored_type_cannot_forge_a_header) {
  const auto refused = call("POST", "/v1/payloads?account=a&flow=f&key=k", "x", {{"Content-Type", "text/plain\r\nSet-Cookie: a=b"}});
  EXPECT_EQ(refused.status, 422);
}

}  // namespace
