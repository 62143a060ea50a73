#include "gateway_fixture.hpp"

namespace {

using setget_test::GatewayTest;
using setget_test::json;

class GatewayBatch : public GatewayTest {
 protected:
  static std::string entry(const std::string& key) {
    return R"({"keys":[")" + key + R"("],"account":"acme","flow":"f","payload":")" + key + "\"}";
  }
  setget::GatewayResponse batch(const std::string& body, const std::string& type = "application/json") {
    return call("POST", "/v1/records:batch", body, {{"Content-Type", type}});
  }
};

TEST_F(GatewayBatch, answers_per_entry_in_order) {
  const auto response =
      batch("[" + entry("a") + R"(, {"keys":[],"account":"acme","flow":"f","payload":1},)" + entry("c") + R"(,7,{"keys":["k"]}])");
  ASSERT_EQ(response.status, 200) << response.body.view();
  const json results = body_of(response).at("results");
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(results[0].at("status"), 202);
  EXPECT_EQ(results[1].at("status"), 422);
  EXPECT_EQ(results[1].at("violations").at(0).at("pointer"), "/keys");
  EXPECT_EQ(results[2].at("status"), 202);
  EXPECT_LT(results[0].at("version").get<std::uint64_t>(), results[2].at("version").get<std::uint64_t>());
  EXPECT_EQ(results[3].at("status"), 422) << results[3].dump();
  EXPECT_EQ(results[4].at("status"), 422);
  drain();
  EXPECT_EQ(call("GET", "/v1/records/a").body.view(), "\"a\"");
  EXPECT_EQ(call("GET", "/v1/records/c").body.view(), "\"c\"");
}

TEST_F(GatewayBatch, with_a_name_in_its_array_is_not_json) {
  for (const std::string& body :
       {R"(["a":)" + entry("a") + "]", "[" + entry("a") + R"(,"b":1])", "[" + entry("a") + R"(,"x":)" + entry("b") + "]]"}) {
    const auto response = batch(body);
    EXPECT_EQ(response.status, 400) << body << response.body.view();
    EXPECT_TRUE(body_of(response).contains("position")) << response.body.view();
  }
  drain();
  EXPECT_EQ(call("GET", "/v1/records/a").status, 404);
}

TEST_F(GatewayBatch, reads_ndjson_and_says_which_byte_of_the_body_is_wrong) {
  const std::string first = entry("a") + "\r\n\n";
  const auto response = batch(first + "{\"keys\":\n" + entry("c"), "application/x-ndjson; charset=UTF-8");
  ASSERT_EQ(response.status, 200) << response.body.view();
  const json results = body_of(response).at("results");
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].at("status"), 202);
  EXPECT_EQ(results[1].at("status"), 400);
  EXPECT_GE(results[1].at("position").get<std::size_t>(), first.size());
  EXPECT_LE(results[1].at("position").get<std::size_t>(), first.size() + 9);
  EXPECT_EQ(results[2].at("status"), 202);
}

TEST_F(GatewayBatch, a_broken_array_accepts_nothing) {
  for (const std::string& body :
       {"[" + entry("a"), "[" + entry("a") + ",]", "[" + entry("a") + "] x", std::string("{"), entry("a"), std::string("[")}) {
    const auto response = batch(body);
    EXPECT_TRUE(response.status == 400 || response.status == 422) << body << response.body.view();
  }
  drain();
  EXPECT_EQ(call("GET", "/v1/records/a").status, 404);
}

TEST_F(GatewayBatch, a_payload_that_is_not_json_fails_alone) {
  const auto response = batch("[" + entry("a") + R"(,{"keys":["b"],"account":"acme","flow":"f","payload":{"x":tru}}])");
  ASSERT_EQ(response.status, 200) << response.body.view();
  EXPECT_EQ(body_of(response).at("results").at(0).at("status"), 202);
  EXPECT_EQ(body_of(response).at("results").at(1).at("status"), 400);
}

TEST_F(GatewayBatch, an_empty_batch_is_answered_empty) {
  EXPECT_EQ(body_of(batch("[]")).at("results").size(), 0u);
  EXPECT_EQ(body_of(batch("\n", "application/x-ndjson")).at("results").size(), 0u);
}

TEST_F(GatewayBatch, the_number_of_entries_is_bounded) {
  open({.max_batch = 2});
  const std::string three = entry("a") + "," + entry("b") + "," + entry("c");
  EXPECT_EQ(batch("[" + three + "]").status, 413);
  EXPECT_EQ(batch("[" + entry("a") + "," + entry("b") + "]").status, 200);
  EXPECT_EQ(batch(entry("a") + "\n" + entry("b") + "\n" + entry("c"), "application/x-ndjson").status, 413);
}

}  // namespace
