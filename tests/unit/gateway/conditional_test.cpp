#include "gateway_fixture.hpp"

namespace {

using setget_test::GatewayTest;

class GatewayConditional : public GatewayTest {
 protected:
  static std::string of(int value) {
    return R"({"keys":["k"],"account":"acme","flow":"f","id":"one","payload":)" + std::to_string(value) + "}";
  }
  std::string tag() { return header(call("GET", "/v1/records/k"), "ETag"); }
};

TEST_F(GatewayConditional, a_known_tag_answers_not_modified_without_a_body) {
  set_now(of(1));
  const std::string known = tag();
  ASSERT_FALSE(known.empty());
  for (const std::string& list : {known, "W/" + known, "\"other\", " + known, std::string("*")}) {
    const auto response = call("GET", "/v1/records/k", "", {{"If-None-Match", list}});
    EXPECT_EQ(response.status, 304) << list;
    EXPECT_TRUE(response.body.empty());
    EXPECT_EQ(header(response, "ETag"), known);
  }
  EXPECT_EQ(call("GET", "/v1/records/k", "", {{"If-None-Match", "\"other\""}}).status, 200);
  set_now(of(2));
  EXPECT_EQ(call("GET", "/v1/records/k", "", {{"If-None-Match", known}}).status, 200);
}

TEST_F(GatewayConditional, several_lines_of_a_condition_are_one_list) {
  set_now(of(1));
  const std::string known = tag();
  const auto get = [&](const std::string& name, const std::string& first, const std::string& second) {
    return call("GET", "/v1/records/k", "", {{name, first}, {"Accept", "*/*"}, {name, second}}).status;
  };
  for (const std::string& last : {known, "W/" + known, "\"one\", W/" + known, std::string("*")}) {
    for (const std::string first : {"\"other\"", "W/\"other\"", "\"a, b\", \"c\"", ""}) {
      EXPECT_EQ(get("If-None-Match", first, last), 304) << first << " and " << last;
      EXPECT_EQ(get("if-none-match", last, first), 304) << last << " and " << first;
    }
  }
  EXPECT_EQ(get("If-None-Match", "\"other\"", "W/\"another\""), 200);
  EXPECT_EQ(get("If-Match", "\"other\"", known), 200);
  EXPECT_EQ(get("If-Match", "\"other\"", "*"), 200);
  EXPECT_EQ(get("If-Match", "\"other\"", "W/" + known), 412) << "a weak tag names no bytes";
  EXPECT_EQ(get("If-Match", "\"other\"", "\"another\""), 412);
}

TEST_F(GatewayConditional, several_lines_of_a_condition_hold_for_sets_and_erases) {
  set_now(of(1));
  const std::string first = tag();
  EXPECT_EQ(set(of(2), {{"If-None-Match", ""}, {"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(set(of(2), {{"If-None-Match", "*"}, {"If-None-Match", "\"other\""}}).status, 422);
  EXPECT_EQ(set(of(2), {{"If-None-Match", "*"}, {"If-None-Match", first}}).status, 422);
  EXPECT_EQ(set(of(2), {{"If-Match", "\"other\""}, {"If-Match", first}}).status, 202);
  drain();
  EXPECT_EQ(set(of(3), {{"If-Match", "\"other\""}, {"If-Match", first}}).status, 412);
  EXPECT_EQ(call("DELETE", "/v1/records/k", "", {{"If-Match", ""}, {"If-Match", first}}).status, 412);
  EXPECT_EQ(call("DELETE", "/v1/records/k", "", {{"If-Match", first}, {"If-Match", tag()}}).status, 202);
}

TEST_F(GatewayConditional, payload_and_envelope_have_tags_of_their_own) {
  set_now(of(1));
  EXPECT_NE(tag(), header(call("GET", "/v1/records/k?envelope=true"), "ETag"));
}

TEST_F(GatewayConditional, records_of_equal_version_under_one_key_have_different_tags) {
  set_now(R"({"keys":["k"],"account":"a","flow":"f","id":"one","version":1,"payload":1})");
  const std::string first = tag();
  set_now(R"({"keys":["k"],"account":"a","flow":"f","id":"two","version":1,"payload":2})");
  EXPECT_NE(tag(), first);
}

TEST_F(GatewayConditional, a_get_with_if_match_is_refused_at_another_version) {
  set_now(of(1));
  const std::string known = tag();
  EXPECT_EQ(call("GET", "/v1/records/k", "", {{"If-Match", known}}).status, 200);
  EXPECT_EQ(call("GET", "/v1/records/k", "", {{"If-Match", "\"x\""}}).status, 412);
  EXPECT_EQ(call("GET", "/v1/records/none", "", {{"If-Match", "*"}}).status, 412);
}

TEST_F(GatewayConditional, if_none_match_star_sets_only_what_is_not_there) {
  EXPECT_EQ(set(of(1), {{"If-None-Match", "*"}}).status, 202);
  // Accepted before the first was applied: the store decides, and says so in the outcome.
  const auto racing = set(of(2), {{"If-None-Match", "*"}});
  ASSERT_EQ(racing.status, 202);
  drain();
  EXPECT_EQ(call("GET", "/v1/records/k").body.view(), "1");
  const auto outcome = body_of(call("GET", header(racing, "Location")));
  EXPECT_EQ(outcome.at("outcome"), "dead-lettered");
  EXPECT_EQ(outcome.at("reasons").at(0).at("code"), "precondition_failed");
  EXPECT_EQ(set(of(3), {{"If-None-Match", "*"}}).status, 412);
}

TEST_F(GatewayConditional, if_match_sets_only_over_the_version_it_names) {
  EXPECT_EQ(set(of(1), {{"If-Match", "*"}}).status, 412);
  set_now(of(1));
  const std::string first = tag();
  EXPECT_EQ(set(of(2), {{"If-Match", first}}).status, 202);
  drain();
  EXPECT_EQ(call("GET", "/v1/records/k").body.view(), "2");
  EXPECT_EQ(set(of(3), {{"If-Match", first}}).status, 412);
}

TEST_F(GatewayConditional, an_erase_with_if_match_is_refused_at_another_version) {
  set_now(of(1));
  const std::string first = tag();
  set_now(of(2));
  EXPECT_EQ(call("DELETE", "/v1/records/k", "", {{"If-Match", first}}).status, 412);
  EXPECT_EQ(call("DELETE", "/v1/records/k", "", {{"If-Match", tag()}}).status, 202);
}

TEST_F(GatewayConditional, two_ways_of_one_condition_are_refused) {
  const auto refused =
      set(R"({"keys":["k"],"account":"a","flow":"f","id":"one","payload":1,"expected_version":3})", {{"If-None-Match", "*"}});
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(violations(refused), std::vector<std::string>{"field_conflict /expected_version"});
}

}  // namespace
