#include <nlohmann/json.hpp>

#include "http/server_process.hpp"

namespace {

using nlohmann::json;
using setget_test::post_envelope;
using setget_test::RawClient;
using setget_test::ServerTest;

class Server : public ServerTest {
 protected:
  void start(std::vector<std::string> arguments = {}) { ASSERT_TRUE(server_.start(std::move(arguments))) << server_.first_line(); }
};

constexpr std::string_view kJson = "Content-Type: application/json\r\n";

TEST_F(Server, needs_no_file_and_says_where_it_listens) {
  start();
  EXPECT_EQ(server_.first_line(), "setget-server listening on http://127.0.0.1:" + std::to_string(server_.port()) +
                                      " admin http://127.0.0.1:" + std::to_string(server_.admin_port()) + "\n");
  EXPECT_TRUE(std::filesystem::exists(folder_.path() / "setget.db"));
}

TEST_F(Server, sets_gets_and_erases) {
  start();
  RawClient client(server_.port());
  EXPECT_NE(set(client, "order/42", "{\"total\": 12}").find("\"applied\""), std::string::npos);
  const auto found = client.request("GET", "/v1/records/order%2F42");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->status, 200);
  EXPECT_EQ(found->body, "{\"total\": 12}");
  EXPECT_EQ(client.request("GET", "/v1/records?key=order/42", {}, "If-None-Match: " + found->headers.at("etag") + "\r\n")->status, 304);
  const auto erased = client.request("DELETE", "/v1/records/order%2F42");
  ASSERT_EQ(erased->status, 202);
  ASSERT_EQ(client.request("GET", erased->headers.at("location") + "?wait=30s")->status, 200);
  EXPECT_EQ(client.request("GET", "/v1/records/order%2F42")->status, 404);
}

TEST_F(Server, answers_operators_on_a_door_of_their_own) {
  start();
  RawClient client(server_.port());
  EXPECT_NE(set(client, "k", "1").find("\"applied\""), std::string::npos);
  EXPECT_EQ(client.request("GET", "/v1/queue")->status, 404);
  EXPECT_EQ(client.request("GET", "/metrics")->status, 404);
  RawClient admin(server_.admin_port());
  EXPECT_EQ(admin.request("GET", "/v1/records/k")->status, 404);
  EXPECT_EQ(admin.request("GET", "/healthz")->status, 200);
  EXPECT_EQ(admin.request("GET", "/readyz")->status, 200);
  const json stats = json::parse(admin.request("GET", "/v1/queue")->body);
  EXPECT_EQ(stats.at("outcomes").at("applied"), 1);
  const auto metrics = admin.request("GET", "/metrics");
  EXPECT_EQ(metrics->status, 200);
  EXPECT_NE(metrics->body.find("setget_http_requests_total"), std::string::npos);
  const json archived = json::parse(admin.request("POST", "/v1/archive:run")->body);
  EXPECT_EQ(archived.at("written"), 1);
  const json schedules = json::parse(admin.request("GET", "/v1/schedules")->body);
  EXPECT_EQ(schedules.at("schedules").at(0).at("name"), "archive");
}

TEST_F(Server, reads_accounts_and_flows_again_on_request_and_keeps_the_old_ones_on_a_mistake) {
  write_file("setget.toml", "[accounts.acme]\nttl = \"1h\"\n");
  start({"--config", "setget.toml"});
  RawClient admin(server_.admin_port());
  const auto rule = [&admin] {
    return json::parse(admin.request("GET", "/v1/ttl:explain?account=acme&flow=orders")->body).at("ttl").get<std::string>();
  };
  const std::string before = rule();
  write_file("setget.toml", "[accounts.acme]\nttl = \"2h\"\n");
  EXPECT_EQ(admin.request("POST", "/v1/reload")->status, 200);
  const std::string after = rule();
  EXPECT_NE(after, before);
  write_file("setget.toml", "[accounts.acme]\ntll = \"3h\"\n");
  const auto refused = admin.request("POST", "/v1/reload");
  EXPECT_EQ(refused->status, 422) << refused->body;
  EXPECT_EQ(rule(), after);

  write_file("setget.toml", "[accounts.acme]\nttl = \"1h\"\n");
  server_.signal(SIGHUP);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (rule() != before) ASSERT_LT(std::chrono::steady_clock::now(), until) << "SIGHUP had no effect";
}

TEST_F(Server, goes_on_where_a_folder_is_in_the_place_of_its_file) {
  write_file("setget.toml", "[accounts.acme]\nttl = \"1h\"\n");
  start({"--config", "setget.toml"});
  RawClient admin(server_.admin_port());
  std::filesystem::remove(folder_.path() / "setget.toml");
  std::filesystem::create_directory(folder_.path() / "setget.toml");
  server_.signal(SIGHUP);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (;;) {
    const auto metrics = admin.request("GET", "/metrics");
    ASSERT_TRUE(metrics) << "the server has ended";
    if (metrics->body.find("setget_reloads_total{result=\"refused\"} 1") != std::string::npos) break;
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "SIGHUP had no effect";
  }
  EXPECT_EQ(admin.request("POST", "/v1/reload")->status, 422);
  std::filesystem::remove(folder_.path() / "setget.toml");
  write_file("setget.toml", "[accounts.acme]\nttl = \"2h\"\n");
  EXPECT_EQ(admin.request("POST", "/v1/reload")->status, 200);
}

TEST_F(Server, keeps_its_routes_where_the_pipeline_refuses_the_flows_of_the_same_file) {
  const auto route = [](const std::string& name) {
    return "[routes." + name + "]\naccount = \"acme\"\nflow = \"hooks\"\n[routes." + name + ".mapping]\nkeys = [\"body.id\"]\n";
  };
  write_file("setget.toml", route("old"));
  start({"--config", "setget.toml", "--archive", "none"});
  RawClient client(server_.port());
  RawClient admin(server_.admin_port());
  write_file("setget.toml", route("new") + "[flows.hooks]\nhistory = true\n");
  const auto refused = admin.request("POST", "/v1/reload");
  EXPECT_EQ(refused->status, 422) << refused->body;
  EXPECT_EQ(client.request("POST", "/v1/hooks/old", R"({"id":"i"})")->status, 202);
  EXPECT_EQ(client.request("POST", "/v1/hooks/new", R"({"id":"i"})")->status, 404);
  EXPECT_NE(admin.request("GET", "/metrics")->body.find("setget_reloads_total{result=\"refused\"} 1"), std::string::npos);
}

TEST_F(Server, takes_webhooks_on_the_routes_of_its_file_and_reads_them_again) {
  const std::string route = "account = \"acme\"\nflow = \"hooks\"\n";
  write_file("setget.toml", "[routes.shop]\n" + route + "[routes.shop.mapping]\nkeys = [\"body.order\"]\n");
  start({"--config", "setget.toml"});
  RawClient client(server_.port());
  RawClient admin(server_.admin_port());
  const auto post = [&client](const std::string& path, const std::string& body) { return client.request("POST", path, body)->status; };
  EXPECT_EQ(post("/v1/hooks/shop", R"({"order":"o-1"})"), 202);
  EXPECT_EQ(post("/v1/hooks/shop", R"({"order":{}})"), 422);
  EXPECT_EQ(admin.request("POST", "/v1/hooks/shop", "{}")->status, 404) << "not for operators";
  write_file("setget.toml", "[routes.shop]\n" + route + "[routes.shop.mapping]\nkeys = [\"body.\"]\n");
  EXPECT_EQ(admin.request("POST", "/v1/reload")->status, 422);
  EXPECT_EQ(post("/v1/hooks/shop", R"({"order":"o-2"})"), 202) << "a mistake changes nothing";
  write_file("setget.toml", "[routes.other]\n" + route + "[routes.other.mapping]\nkeys = [\"body.id\"]\n");
  EXPECT_EQ(admin.request("POST", "/v1/reload")->status, 200);
  EXPECT_EQ(post("/v1/hooks/shop", R"({"order":"o-3"})"), 404);
  EXPECT_EQ(post("/v1/hooks/other", R"({"id":"i"})"), 202);
}

TEST_F(Server, checks_flows_and_routes_by_their_schemas_and_keeps_them_where_new_ones_do_not_compile) {
  const std::string config =
      "[flows.orders]\nschema = \"order.json\"\n[routes.shop]\naccount = \"acme\"\nflow = \"hooks\"\nschema = \"order.json\"\n"
      "[routes.shop.mapping]\nkeys = [\"body.id\"]\n";
  write_file("setget.toml", config);
  write_file("order.json", R"({"required":["id"],"properties":{"id":{"type":"string"},"n":{"maximum":3}}})");
  start({"--config", "setget.toml"});
  RawClient client(server_.port());
  RawClient admin(server_.admin_port());
  const auto set = [&client](const std::string& payload) {
    return *client.request("POST", "/v1/records", R"({"keys":["k"],"account":"a","flow":"orders","payload":)" + payload + "}", kJson);
  };
  EXPECT_EQ(set(R"({"id":"x","n":3})").status, 202);
  const auto refused = set(R"({"id":5,"n":4})");
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.headers.at("content-type"), "application/problem+json");
  const json violations = json::parse(refused.body).at("violations");
  ASSERT_EQ(violations.size(), 2u) << "every violation";
  EXPECT_EQ(violations[0].at("pointer"), "/payload/id");
  EXPECT_EQ(violations[0].at("code"), "schema_type");
  EXPECT_NE(violations[0].at("message").get<std::string>().find("(schema: /properties/id/type)"), std::string::npos);
  EXPECT_EQ(violations[1].at("pointer"), "/payload/n");
  const auto hook = client.request("POST", "/v1/hooks/shop", R"({"id":"o-1","n":4})", kJson);
  EXPECT_EQ(hook->status, 422);
  EXPECT_EQ(json::parse(hook->body).at("violations").at(0).at("pointer"), "/body/n");
  EXPECT_EQ(client.request("POST", "/v1/hooks/shop", "{", kJson)->status, 400);
  EXPECT_EQ(client.request("POST", "/v1/hooks/shop", R"({"id":"o-1"})", kJson)->status, 202);

  write_file("order.json", R"({"required":["id"],"properties":{"n":{"maximum":"9"}}})");
  const auto reload = admin.request("POST", "/v1/reload");
  EXPECT_EQ(reload->status, 422);
  EXPECT_NE(reload->body.find("order.json: #/properties/n/maximum"), std::string::npos) << reload->body;
  EXPECT_EQ(set(R"({"id":"x","n":4})").status, 422) << "the old one stays";
  EXPECT_NE(admin.request("GET", "/metrics")->body.find("setget_reloads_total{result=\"refused\"} 1"), std::string::npos);
  write_file("order.json", R"({"required":["id"],"properties":{"n":{"maximum":9}}})");
  server_.signal(SIGHUP);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (set(R"({"id":"x","n":4})").status != 202) ASSERT_LT(std::chrono::steady_clock::now(), until) << "SIGHUP had no effect";
}

TEST_F(Server, leaves_threads_for_others_where_many_wait_for_outcomes) {
  write_file("setget.toml", "[server]\nthreads = 2\n[queue]\ndelay = \"1h\"\n");
  start({"--config", "setget.toml"});
  RawClient client(server_.port());
  const auto pending = client.request("POST", "/v1/records", post_envelope("a", "1"), kJson);
  ASSERT_EQ(pending->status, 202) << pending->body;
  const std::string wait = "GET " + pending->headers.at("location") + "?wait=60s HTTP/1.1\r\nHost: t\r\n\r\n";
  const auto begin = std::chrono::steady_clock::now();
  RawClient first(server_.port());
  RawClient second(server_.port());
  ASSERT_TRUE(first.send(wait) && second.send(wait));
  for (int i = 0; i < 20; ++i) {
    const auto other = client.request("POST", "/v1/records", post_envelope("b", "1"), kJson);
    ASSERT_TRUE(other);
    EXPECT_EQ(other->status, 202) << other->body;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(45)) << "both threads waited";
}

TEST_F(Server, a_drain_does_not_wait_for_an_archive_run) {
  write_file("setget.toml", "[archive]\nrate = 1\n");  // with what is there, a run takes two minutes
  start({"--config", "setget.toml"});
  RawClient client(server_.port());
  for (int i = 0; i < 120; ++i) EXPECT_NE(set(client, "k" + std::to_string(i), "1").find("\"applied\""), std::string::npos);
  RawClient run(server_.admin_port());
  ASSERT_TRUE(run.send("POST /v1/archive:run HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
  RawClient admin(server_.admin_port());
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (admin.request("GET", "/metrics")->body.find("\nsetget_archive_run_read ") == std::string::npos)
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "the run has not begun";
  server_.signal(SIGTERM);
  const auto answer = run.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503) << answer->body;
  EXPECT_EQ(server_.wait(), 0);
}

TEST_F(Server, drains_and_exits_with_0_on_sigterm) {
  start();
  RawClient busy(server_.port());
  const std::string body = post_envelope("late", "\"accepted while draining\"");
  ASSERT_TRUE(busy.send("POST /v1/records HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: " + std::to_string(body.size()) +
                        "\r\n\r\n"));
  ASSERT_EQ(busy.read()->status, 100);
  RawClient idle(server_.port());
  ASSERT_TRUE(idle.request("GET", "/v1/records/none"));
  server_.signal(SIGTERM);
  EXPECT_TRUE(idle.closed());
  ASSERT_TRUE(busy.send(body));
  const auto answer = busy.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202) << answer->body;
  EXPECT_EQ(answer->headers.at("connection"), "close");
  busy.close();
  EXPECT_EQ(server_.wait(), 0);
  start();
  RawClient client(server_.port());
  ASSERT_EQ(client.request("GET", answer->headers.at("location") + "?wait=30s")->status, 200);
  EXPECT_EQ(client.request("GET", "/v1/records/late")->body, "\"accepted while draining\"");
}

TEST_F(Server, ends_at_once_on_sigint_when_nothing_is_in_flight) {
  start({"--store", "memory:", "--queue", "memory:", "--archive", "none"});
  server_.signal(SIGINT);
  EXPECT_EQ(server_.wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "setget.db"));
}

TEST_F(Server, refuses_a_command_line_or_a_file_it_does_not_understand) {
  EXPECT_EQ(server_.run({"--help"}), 0);
  EXPECT_NE(server_.first_line().find("--store"), std::string::npos);
  EXPECT_EQ(server_.run({"--version"}), 0);
  EXPECT_EQ(server_.run({"--nonsense"}), 2);
  EXPECT_EQ(server_.run({"--config", "missing.toml"}), 2);
  write_file("bad.toml", "[serverr]\n");
  EXPECT_EQ(server_.run({"--config", "bad.toml"}), 2);
  EXPECT_EQ(server_.run({"--listen", "nonsense"}), 1);
  EXPECT_EQ(server_.run({"--store", "floppy:a"}), 1);
}

TEST_F(Server, limits_come_from_the_file_and_flags_win_over_it) {
  write_file("setget.toml", "[server]\nmax_header = \"2KiB\"\n[limits]\nmax_payload = 1000\n[store]\nuri = \"sqlite:from-file.db\"\n");
  start({"--config", "setget.toml", "--store", "sqlite:from-flag.db"});
  EXPECT_TRUE(std::filesystem::exists(folder_.path() / "from-flag.db"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "from-file.db"));
  RawClient client(server_.port());
  const auto large = client.request("POST", "/v1/records", post_envelope("k", "\"" + std::string(1000, 'x') + "\""), kJson);
  EXPECT_EQ(large->status, 413) << large->body;
  RawClient wide(server_.port());
  EXPECT_EQ(wide.request("GET", "/v1/records/k", {}, "X: " + std::string(4096, 'x') + "\r\n")->status, 431);
}

TEST_F(Server, an_idempotency_key_survives_a_restart) {
  start();
  const std::string body = post_envelope("k", "1");
  RawClient before(server_.port());
  const auto first = before.request("POST", "/v1/records", body, "Idempotency-Key: one\r\n");
  ASSERT_EQ(first->status, 202);
  server_.signal(SIGKILL);
  EXPECT_EQ(server_.wait(), -SIGKILL);
  start();
  RawClient after(server_.port());
  const auto again = after.request("POST", "/v1/records", body, "Idempotency-Key: one\r\n");
  EXPECT_EQ(again->status, 202);
  EXPECT_EQ(again->body, first->body);
  EXPECT_EQ(after.request("POST", "/v1/records", post_envelope("k", "2"), "Idempotency-Key: one\r\n")->status, 422);
}

}  // namespace
