#include "gateway_fixture.hpp"

namespace {

using setget_test::envelope;
using setget_test::GatewayTest;
using setget_test::Headers;
using setget_test::json;

class GatewayAdmin : public GatewayTest {
 protected:
  // Two sets of one version with different bytes: the second is a dead letter.
  std::string make_dead_letter(const std::string& id) {
    set_now(envelope(R"("payload":1,"version":1,"id":")" + id + "\""));
    const auto conflict = set(envelope(R"("payload":2,"version":1,"id":")" + id + "\""));
    EXPECT_EQ(conflict.status, 202);
    drain();
    return body_of(conflict).at("message_id").get<std::string>();
  }
};

TEST_F(GatewayAdmin, the_queue_shows_its_depth_and_its_ledger) {
  ASSERT_EQ(set(envelope(R"("payload":1)")).status, 202);
  clock_->advance(setget::Milliseconds(1500));
  json stats = body_of(call("GET", "/v1/queue"));
  EXPECT_EQ(stats.at("depth"), 1);
  EXPECT_EQ(stats.at("oldest_age_ms"), 1500);
  drain();
  stats = body_of(call("GET", "/v1/queue"));
  EXPECT_EQ(stats.at("depth"), 0);
  EXPECT_TRUE(stats.at("oldest_age_ms").is_null());
  EXPECT_EQ(stats.at("accepted"), 1);
  EXPECT_EQ(stats.at("outcomes").at("applied"), 1);
}

TEST_F(GatewayAdmin, dead_letters_are_listed_page_by_page_and_shown_with_their_bytes) {
  std::vector<std::string> dead;
  for (const char* id : {"a", "b", "c"}) dead.push_back(make_dead_letter(id));
  std::vector<std::string> listed;
  std::string next;
  do {
    const json page = body_of(call("GET", "/v1/dead-letters?limit=1" + (next.empty() ? "" : "&cursor=" + next)));
    for (const auto& letter : page.at("dead_letters")) {
      listed.push_back(letter.at("message_id").get<std::string>());
      EXPECT_EQ(letter.at("reasons").at(0).at("code"), "version_conflict");
      EXPECT_FALSE(letter.contains("payload_base64"));
    }
    next = page.at("next").is_null() ? "" : page.at("next").get<std::string>();
  } while (!next.empty() && listed.size() < 10);
  EXPECT_EQ(listed, dead);
  const json shown = body_of(call("GET", "/v1/dead-letters/" + dead[1]));
  EXPECT_EQ(shown.at("id"), "b");
  EXPECT_EQ(shown.at("payload_base64"), "Mg==");
  EXPECT_EQ(shown.at("keys"), json::array({"order/42"}));
  EXPECT_EQ(call("GET", "/v1/dead-letters/none").status, 404);
  EXPECT_EQ(body_of(call("GET", "/v1/dead-letters?reason=max_receives")).at("dead_letters").size(), 0u);
}

TEST_F(GatewayAdmin, dead_letters_are_redriven_and_purged_by_selection) {
  const std::string first = make_dead_letter("a");
  make_dead_letter("b");
  const auto redriven = call("POST", "/v1/dead-letters:redrive", json{{"message_ids", {first}}}.dump());
  ASSERT_EQ(redriven.status, 200) << redriven.body.view();
  EXPECT_EQ(body_of(redriven).at("redriven"), 1);
  EXPECT_EQ(body_of(call("GET", "/v1/queue")).at("depth"), 1);
  const auto purged = call("POST", "/v1/dead-letters:purge");
  EXPECT_EQ(body_of(purged).at("purged"), 1);
  EXPECT_EQ(body_of(call("GET", "/v1/queue")).at("dead_letters"), 0);
}

TEST_F(GatewayAdmin, a_selection_that_is_not_understood_selects_nothing) {
  make_dead_letter("a");
  for (const std::string verb : {"purge", "redrive"})
    EXPECT_EQ(call("POST", "/v1/dead-letters:" + verb + "?reason=none&limit=1").status, 422) << "conditions stand in the body";
  for (const std::string body : {R"({"mesage_ids":["x"]})", R"({"message_ids":[]})", R"({"limit":-1})", R"([])", R"({"reason":5})",
                                 R"({"restamp":true})", R"({"reason":""})"})
    EXPECT_EQ(call("POST", "/v1/dead-letters:purge", body).status, 422) << body;
  EXPECT_EQ(violations(call("GET", "/v1/dead-letters?reason=")), std::vector<std::string>{"empty_reason /reason"});
  // A name twice says two things.
  for (const std::string verb : {"purge", "redrive"}) {
    for (const std::string body : {R"({"reason":"x","reason":"invalid"})", R"({"limit":0,"limit":9})",
                                   R"({"message_ids":["x"],"message_ids":["y"]})", R"({"reason":"x","re\u0061son":"invalid"})"})
      EXPECT_EQ(call("POST", "/v1/dead-letters:" + verb, body).status, 422) << verb << body;
  }
  EXPECT_EQ(violations(call("GET", "/v1/dead-letters?reason=a&reason=b")), std::vector<std::string>{"repeated_parameter /reason"});
  EXPECT_EQ(call("POST", "/v1/dead-letters:purge", "{").status, 400);
  const auto ended = call("POST", "/v1/dead-letters:purge", std::string("{}\0{\"reason\":\"x\"}", 16));
  EXPECT_EQ(ended.status, 400) << "a NUL byte does not end a text";
  EXPECT_EQ(body_of(ended).at("position"), 2);
  EXPECT_EQ(body_of(call("GET", "/v1/queue")).at("dead_letters"), 1);
}

TEST_F(GatewayAdmin, readiness_ends_with_draining_and_health_does_not) {
  EXPECT_EQ(call("GET", "/healthz").status, 200);
  EXPECT_EQ(call("GET", "/readyz").status, 200);
  gateway_->set_draining();
  EXPECT_EQ(call("GET", "/healthz").status, 200);
  EXPECT_EQ(call("GET", "/readyz").status, 503);
  EXPECT_EQ(call("POST", "/v1/archive:run").status, 503) << "nor does an archive run begin";
}

TEST_F(GatewayAdmin, metrics_and_reload_exist_where_the_host_gives_them) {
  EXPECT_EQ(call("GET", "/metrics").status, 404);
  EXPECT_EQ(call("POST", "/v1/reload").status, 404);
  int reloads = 0;
  setget::GatewayOptions options;
  options.metrics_text = [] { return std::string("setget_up 1\n"); };
  options.reload = [&reloads]() -> setget::Result<void> {
    if (++reloads > 1) return setget::Error(setget::ErrorCode::kInvalidArgument, "line 3: unknown key").at_field("accounts.acme.tll");
    return {};
  };
  open(std::move(options));
  EXPECT_EQ(call("GET", "/metrics").body.view(), "setget_up 1\n");
  EXPECT_EQ(call("POST", "/v1/reload").status, 200);
  const auto refused = call("POST", "/v1/reload");
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.body.view().find("line 3"), std::string_view::npos);
}

TEST_F(GatewayAdmin, explains_which_ttl_rule_wins) {
  setget::Flows flows;
  flows.accounts["acme"].ttl = setget::Ttl::after(std::chrono::hours(720));
  flows.accounts["acme"].flows["orders"].ttl = setget::Ttl::after(std::chrono::seconds(90));
  open({}, flows);
  json decision = body_of(call("GET", "/v1/ttl:explain?account=acme&flow=orders"));
  EXPECT_EQ(decision.at("rule"), "account_flow");
  EXPECT_FALSE(decision.at("explanation").get<std::string>().empty());
  decision = body_of(call("GET", "/v1/ttl:explain?account=acme&flow=orders&ttl=5s"));
  EXPECT_EQ(decision.at("rule"), "message");
  EXPECT_EQ(call("GET", "/v1/ttl:explain?account=acme").status, 422);
  EXPECT_EQ(call("GET", "/v1/ttl:explain?account=acme&flow=orders&ttl=x").status, 422);
}

TEST_F(GatewayAdmin, runs_the_archive_on_request_and_lists_schedules) {
  set_now(envelope(R"("payload":1)"));
  const auto run = call("POST", "/v1/archive:run");
  ASSERT_EQ(run.status, 200) << run.body.view();
  EXPECT_EQ(body_of(run).at("written"), 1);
  EXPECT_EQ(body_of(run).at("already_there"), 0);
  EXPECT_EQ(body_of(run).at("quarantined"), 0);
  EXPECT_EQ(body_of(run).at("reconciled"), false);
  const json schedules = body_of(call("GET", "/v1/schedules")).at("schedules");
  ASSERT_FALSE(schedules.empty());
  EXPECT_EQ(schedules.at(0).at("name"), "archive");
  EXPECT_FALSE(schedules.at(0).at("next_due").is_null());
}

TEST_F(GatewayAdmin, routes_of_the_other_door_do_not_exist) {
  setget::GatewayOptions options;
  options.pipeline = pipeline_.get();
  auto only_public = setget::Gateway::create(options);
  ASSERT_TRUE(only_public);
  EXPECT_EQ((*only_public)->handle({.method = "GET", .target = "/v1/queue", .headers = {}, .body = {}, .ns = {}}).status, 404);
  options.public_routes = false;
  options.admin_routes = true;
  auto only_admin = setget::Gateway::create(options);
  ASSERT_TRUE(only_admin);
  EXPECT_EQ((*only_admin)->handle({.method = "GET", .target = "/v1/records/a", .headers = {}, .body = {}, .ns = {}}).status, 404);
}

TEST_F(GatewayAdmin, a_web_page_gets_nothing_done) {
  make_dead_letter("a");
  const std::vector<Headers> pages = {{{"Origin", "https://evil.example"}},
                                      {{"Origin", "null"}},
                                      {{"origin", ""}},
                                      {{"Sec-Fetch-Site", "cross-site"}},
                                      {{"sec-fetch-site", "same-site"}},
                                      {{"Sec-Fetch-Site", "none"}, {"Origin", "http://127.0.0.1:8081"}}};
  for (const auto& headers : pages) {
    for (const std::string target : {"/v1/dead-letters:purge", "/v1/dead-letters:redrive", "/v1/archive:run", "/v1/reload"}) {
      const auto refused = call("POST", target, {}, headers);
      EXPECT_EQ(refused.status, 403) << target;
      EXPECT_EQ(header(refused, "Content-Type"), "application/problem+json");
      EXPECT_EQ(body_of(refused).at("title"), "Forbidden");
      EXPECT_EQ(body_of(refused).at("retryable"), false);
    }
    EXPECT_EQ(call("GET", "/v1/dead-letters", {}, headers).status, 403);
  }
  EXPECT_EQ(body_of(call("GET", "/v1/queue")).at("dead_letters"), 1);
  EXPECT_EQ(call("GET", "/v1/queue", {}, {{"Sec-Fetch-Site", "none"}}).status, 200) << "typed into a browser by its user";
  EXPECT_EQ(call("GET", "/v1/queue", {}, {{"Sec-Fetch-Site", "same-origin"}}).status, 200);
  // Who may use the public listener is for whoever stands in front of it to say.
  EXPECT_EQ(call("GET", "/v1/records/none", {}, {{"Origin", "https://app.example"}, {"Sec-Fetch-Site", "cross-site"}}).status, 404);
}

}  // namespace
