#include <thread>

#include "gateway_fixture.hpp"

namespace {

using setget_test::envelope;
using setget_test::GatewayTest;
using setget_test::json;

class GatewayMessages : public GatewayTest {};

TEST_F(GatewayMessages, a_message_is_pending_until_it_is_applied) {
  const auto accepted = set(envelope(R"("payload":1,"id":"o1")"));
  const std::string target = header(accepted, "Location");
  json status = body_of(call("GET", target));
  EXPECT_EQ(status.at("outcome"), "pending");
  EXPECT_EQ(status.at("id"), "o1");
  EXPECT_EQ(status.at("version"), body_of(accepted).at("version"));
  drain();
  status = body_of(call("GET", target));
  EXPECT_EQ(status.at("outcome"), "applied");
  EXPECT_EQ(status.at("message_id"), body_of(accepted).at("message_id"));
  EXPECT_TRUE(status.at("reasons").empty());
}

TEST_F(GatewayMessages, a_wait_ends_when_the_message_is_finished) {
  const std::string target = header(set(envelope(R"("payload":1)")), "Location");
  std::thread worker([this] { drain(); });
  const json status = body_of(call("GET", target + "?wait=30s"));
  worker.join();
  EXPECT_EQ(status.at("outcome"), "applied");
}

TEST_F(GatewayMessages, a_wait_ends_with_its_time) {
  const std::string target = header(set(envelope(R"("payload":1)")), "Location");
  const auto response = call("GET", target + "?wait=20ms");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(body_of(response).at("outcome"), "pending");
}

TEST_F(GatewayMessages, waits_are_bounded_in_length_and_number) {
  open({.max_wait = setget::Milliseconds(60'000), .max_waiters = 0});
  const std::string target = header(set(envelope(R"("payload":1)")), "Location");
  for (const std::string bad : {"61s", "never", "soon", "-1"}) EXPECT_EQ(call("GET", target + "?wait=" + bad).status, 422) << bad;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(body_of(call("GET", target + "?wait=60s")).at("outcome"), "pending");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST_F(GatewayMessages, a_draining_gateway_ends_waits) {
  const std::string target = header(set(envelope(R"("payload":1)")), "Location");
  gateway_->set_draining();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(body_of(call("GET", target + "?wait=30s")).at("outcome"), "pending");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
}

TEST_F(GatewayMessages, an_unknown_message_is_not_found) {
  EXPECT_EQ(call("GET", "/v1/messages/nothing").status, 404);
  EXPECT_EQ(call("GET", "/v1/messages/%zz").status, 400);
}

TEST_F(GatewayMessages, a_stale_set_says_so) {
  set_now(envelope(R"("payload":2,"id":"o1","version":2)"));
  const auto stale = set(envelope(R"("payload":1,"id":"o1","version":1)"));
  drain();
  EXPECT_EQ(body_of(call("GET", header(stale, "Location"))).at("outcome"), "stale");
}

TEST_F(GatewayMessages, another_namespace_does_not_see_a_message) {
  ns_ = "a";
  const std::string target = header(set(envelope(R"("payload":1)")), "Location");
  ns_ = "b";
  EXPECT_EQ(call("GET", target).status, 404);
}

}  // namespace
