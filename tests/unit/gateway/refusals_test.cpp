#include "gateway_fixture.hpp"

namespace {

using setget::Error;
using setget::ErrorCode;
using setget_test::envelope;
using setget_test::GatewayTest;
using setget_test::json;

class GatewayRefusals : public GatewayTest {};

TEST_F(GatewayRefusals, are_problems_that_list_every_violation_with_its_limit) {
  const auto refused = set(R"({"keys":["", ")" + std::string(600, 'k') + R"("],"flow":"a b","payload":1,"ttl":"soon","nonsense":true})");
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(header(refused, "Content-Type"), "application/problem+json");
  const json problem = body_of(refused);
  EXPECT_EQ(problem.at("status"), 422);
  EXPECT_FALSE(problem.at("title").get<std::string>().empty());
  EXPECT_FALSE(problem.at("detail").get<std::string>().empty());
  const auto found = violations(refused);
  for (const std::string expected : {"bad_ttl /ttl", "unknown_field /nonsense", "key_empty /keys/0", "key_too_long /keys/1",
                                     "account_missing /account", "invalid_flow /flow"})
    EXPECT_NE(std::find(found.begin(), found.end(), expected), found.end()) << expected << problem.dump();
  EXPECT_NE(refused.body.view().find("512"), std::string_view::npos);
}

TEST_F(GatewayRefusals, violations_of_binary_keys_point_at_the_list_they_stand_in) {
  const auto refused = set(R"({"keys":["a"],"keys_base64":["Yg==",""],"account":"a","flow":"f","payload":1})");
  EXPECT_EQ(violations(refused), std::vector<std::string>{"key_empty /keys_base64/1"});
}

TEST_F(GatewayRefusals, syntax_errors_carry_their_byte) {
  // The last two: a string that is nobody's name, with what would be its value.
  for (const std::string& body : {envelope(R"("payload":{"a":tru})"), envelope(R"("payload":[1,2)"), std::string("{\"keys\""),
                                  envelope(R"("payload":"x":1)"), envelope(R"("payload":"{x":[1,2.5,"y"]})")}) {
    const auto refused = set(body);
    EXPECT_EQ(refused.status, 400) << body << refused.body.view();
    EXPECT_TRUE(body_of(refused).contains("position")) << refused.body.view();
  }
  const auto raw = call("POST", "/v1/payloads?account=a&flow=f&key=k", R"({"a":})", {{"Content-Type", "application/json"}});
  EXPECT_EQ(raw.status, 400);
  EXPECT_EQ(body_of(raw).at("position"), 5);
}

TEST_F(GatewayRefusals, payload_rules_point_into_the_payload) {
  const auto refused = set(envelope(R"("payload":{"a":{"b":1,"b":2}})"));
  EXPECT_EQ(refused.status, 422);
  ASSERT_EQ(violations(refused).size(), 1u);
  EXPECT_EQ(violations(refused)[0].substr(0, 29), "json_duplicate_name /payload/");
}

TEST_F(GatewayRefusals, methods_and_paths) {
  const auto put = call("PUT", "/v1/records/a");
  EXPECT_EQ(put.status, 405);
  EXPECT_EQ(header(put, "Allow"), "GET, HEAD, DELETE");
  EXPECT_EQ(header(call("GET", "/v1/records:batch"), "Allow"), "POST");
  EXPECT_EQ(call("get", "/v1/records/a").status, 405);
  for (const std::string path : {"/", "", "*", "/v1", "/v1/recordsX", "/v2/records", "//v1/records", "/v1/records%3Abatch"})
    EXPECT_EQ(call("GET", path).status, 404) << path;
  EXPECT_EQ(call("GET", "http://host:1/v1/records/none").status, 404);
  EXPECT_EQ(call("GET", "http://host:1/healthz").status, 200);
}

TEST_F(GatewayRefusals, targets) {
  for (const std::string target : {"/v1/records/a%", "/v1/records/a%4", "/v1/records/%zz", "/v1/records?key=%GG"}) {
    const auto refused = call("GET", target);
    EXPECT_EQ(refused.status, 400) << target;
    EXPECT_EQ(body_of(refused).at("position"), target.find('%')) << target;
  }
  EXPECT_EQ(violations(call("GET", "/v1/records?key=a&key=b")), std::vector<std::string>{"repeated_parameter /key"});
  EXPECT_EQ(violations(call("GET", "/v1/records/a?envelop=true")), std::vector<std::string>{"unknown_parameter /envelop"});
  EXPECT_EQ(violations(call("GET", "/v1/records")), std::vector<std::string>{"key_missing /key"});
  EXPECT_EQ(violations(call("GET", "/v1/records/")), std::vector<std::string>{"key_empty /key"});
  EXPECT_EQ(violations(call("GET", "/v1/records/" + std::string(513, 'k'))), std::vector<std::string>{"key_too_long /key"});
  EXPECT_EQ(call("GET", "/v1/records/" + std::string(512, 'k')).status, 404);
  const auto typo = call("POST", "/v1/payloads?account=a&flow=f&key=k&tll=90", "x");
  EXPECT_EQ(violations(typo), std::vector<std::string>{"unknown_parameter /tll"});
}

TEST_F(GatewayRefusals, media_types_and_codings) {
  const std::string body = envelope(R"("payload":1)");
  EXPECT_EQ(call("POST", "/v1/records", body, {{"Content-Type", "application/x-www-form-urlencoded"}}).status, 415);
  EXPECT_EQ(call("POST", "/v1/records", body, {{"Content-Type", "application/json; charset=latin1"}}).status, 415);
  EXPECT_EQ(call("POST", "/v1/records", body, {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}).status, 415);
  EXPECT_EQ(call("POST", "/v1/payloads?account=a&flow=f&key=k", "x", {{"Content-Encoding", "br"}}).status, 415);
  EXPECT_EQ(call("POST", "/v1/records", body, {{"Content-Type", "Application/JSON;charset=\"UTF-8\""}}).status, 202);
  EXPECT_EQ(call("POST", "/v1/records", body).status, 202);
}

TEST_F(GatewayRefusals, bodies_that_are_missing) {
  for (const std::string target : {"/v1/records", "/v1/records:batch", "/v1/records:get", "/v1/payloads?account=a&flow=f&key=k"})
    EXPECT_EQ(call("POST", target).status, 411) << target;
  EXPECT_EQ(call("POST", "/v1/records", "", {{"Content-Length", "0"}}).status, 400);
}

TEST_F(GatewayRefusals, payloads_over_the_limit) {
  setget::Limits limits;
  limits.max_payload = 100;
  open({}, {}, limits);
  const auto raw = call("POST", "/v1/payloads?account=a&flow=f&key=k", std::string(101, 'x'), {{"Content-Type", "text/plain"}});
  EXPECT_EQ(raw.status, 413);
  EXPECT_EQ(violations(raw), std::vector<std::string>{"payload_too_large /payload"});
  EXPECT_NE(raw.body.view().find("100"), std::string_view::npos);
  EXPECT_EQ(set(envelope("\"payload\":\"" + std::string(99, 'x') + "\"")).status, 413);
  EXPECT_EQ(set(envelope("\"payload\":\"" + std::string(98, 'x') + "\"")).status, 202);
}

TEST(GatewayProblem, every_code_has_its_status) {
  EXPECT_EQ(setget::http_status(Error(ErrorCode::kInvalidArgument, "x")), 422);
  EXPECT_EQ(setget::http_status(Error(ErrorCode::kInvalidArgument, "x").at_position(3)), 400);
  EXPECT_EQ(setget::http_status(Error(ErrorCode::kNotFound, "x")), 404);
  EXPECT_EQ(setget::http_status(Error(ErrorCode::kFailedPrecondition, "x")), 412);
  EXPECT_EQ(setget::http_status(Error(ErrorCode::kTooLarge, "x")), 413);
  EXPECT_EQ(setget::http_status(Error(ErrorCode::kResourceExhausted, "x")), 429);
  EXPECT_EQ(setget::http_status(Error(ErrorCode::kUnavailable, "x")), 503);
  EXPECT_EQ(setget::http_status(Error(ErrorCode::kCancelled, "x")), 503);
  EXPECT_EQ(setget::http_status(Error(ErrorCode::kOutOfSpace, "x")), 507);
  for (const auto code : {ErrorCode::kFailedPrecondition, ErrorCode::kInvalidArgument, ErrorCode::kNotFound, ErrorCode::kUnsupported}) {
    EXPECT_EQ(setget::http_status(Error(code, "NOAUTH").from(setget::ErrorSource::kRedis, 0, "NOAUTH")), 503) << "not about the request";
    EXPECT_NE(setget::http_status(Error(code, "x").from(setget::ErrorSource::kHost, 0, "x")), 503);
  }
  for (const auto code : {ErrorCode::kResourceExhausted, ErrorCode::kUnavailable, ErrorCode::kDeadlineExceeded}) {
    const Error error(code, "busy");
    const auto response = setget::problem(setget::http_status(error), error);
    EXPECT_TRUE(std::any_of(response.headers.begin(), response.headers.end(), [](const auto& h) { return h.first == "Retry-After"; }));
  }
}

TEST_F(GatewayRefusals, a_stopped_pipeline_is_unavailable) {
  ASSERT_TRUE(pipeline_->stop(setget::Deadline::in(setget::Milliseconds(5000))));
  const auto refused = set(envelope(R"("payload":1)"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_FALSE(header(refused, "Retry-After").empty());
}

TEST_F(GatewayRefusals, options_are_checked) {
  EXPECT_FALSE(setget::Gateway::create({}));
  setget::GatewayOptions options;
  options.pipeline = pipeline_.get();
  options.public_routes = false;
  EXPECT_FALSE(setget::Gateway::create(options));
}

}  // namespace
