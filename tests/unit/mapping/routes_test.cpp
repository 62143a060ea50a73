// The routes under examples/routes: what they make of real payloads, and through a gateway.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <setget/config.hpp>
#include <setget/gateway.hpp>
#include <setget/memory.hpp>
#include <setget/testing/clock.hpp>

#include "schema/fetched.hpp"
#include "support/cases.hpp"

namespace {

using namespace setget;

struct World {
  explicit World(const std::string& file) {
    config = load_config((std::filesystem::path(SETGET_TEST_SOURCE_DIR) / "examples/routes" / file).string()).value();
    auto database = memory::open({.clock = clock, .random = std::make_shared<setget::testing::SeededRandom>(1)}).value();
    PipelineOptions parts;
    parts.queue = database.queue("records");
    parts.key_store = database.key_store();
    parts.archive = database.archive();
    parts.durability = Durability::kMemory;
    parts.clock = clock;
    parts.linger = Milliseconds(0);
    pipeline = Pipeline::create(std::move(parts)).value();
    gateway = Gateway::create({.pipeline = pipeline.get(), .max_wait = Milliseconds(0), .hooks = hook_routes(config).value()}).value();
  }
  GatewayResponse post(const std::string& target, std::vector<std::pair<std::string, std::string>> headers, std::string_view body,
                       const std::string& method = "POST") {
    return gateway->handle({.method = method, .target = target, .headers = std::move(headers), .body = Payload::copy(body)});
  }
  std::optional<Record> get(std::string_view key) {
    while (pipeline->run_once().value() != 0) {
    }
    return pipeline->get(key).value();
  }
  std::shared_ptr<setget::testing::SimulatedClock> clock = std::make_shared<setget::testing::SimulatedClock>();
  Config config;
  std::unique_ptr<Pipeline> pipeline;
  std::unique_ptr<Gateway> gateway;
};

const std::pair<std::string, std::string> kJson{"Content-Type", "application/json"};

TEST(Routes, github_takes_every_event_of_the_public_examples) {
  const auto folder = test_cases::fetch_cases("webhooks");
  SETGET_NEEDS_CASES(folder, "webhooks");
  World world("github.toml");
  const auto events = nlohmann::json::parse(std::ifstream(folder / "webhooks.json"));
  EXPECT_EQ(events.size(), 58u);
  std::size_t sent = 0;
  for (const auto& event : events) {
    const std::string name = event.at("name");
    for (const auto& example : event.at("examples")) {
      const std::string body = example.dump(1);
      const std::string id = "delivery-" + std::to_string(sent++);
      const auto response = world.post("/v1/hooks/github", {kJson, {"X-GitHub-Event", name}, {"X-GitHub-Delivery", id}}, body);
      ASSERT_EQ(response.status, 202) << name << ": " << response.body.view();
      const auto record = world.get("github/" + name);
      ASSERT_TRUE(record) << name;
      EXPECT_EQ(record->id, id);
      EXPECT_EQ(record->payload.view(), body) << "byte for byte";
      EXPECT_EQ(record->attributes.at("event"), name);
      if (example.contains("repository") && example["repository"].is_object() && example["repository"].contains("full_name")) {
        const std::string place = "github/" + example["repository"]["full_name"].get<std::string>();
        ASSERT_TRUE(world.get(place)) << place;
        EXPECT_EQ(world.get(place + "/" + name)->id, id);
      }
    }
  }
  EXPECT_EQ(sent, 329u);
}

TEST(Routes, github_checks_its_events_by_its_own_schema_where_it_is_given) {
  SETGET_FETCH(cache, "webhooks");
  const auto octokit = std::filesystem::path(*cache) / "npm/node_modules/@octokit";
  const auto events = nlohmann::json::parse(std::ifstream(octokit / "webhooks-examples/api.github.com/index.json"));
  World world("github.toml");
  world.config.routes.at("github").schema = PayloadSchema::load({.file = (octokit / "webhooks-schemas/schema.json").string()}).value();
  ASSERT_TRUE(world.gateway->set_hooks(hook_routes(world.config).value()));
  std::map<int, int> answers;
  for (const auto& event : events) {
    for (const auto& example : event.at("examples")) {
      const auto response = world.post("/v1/hooks/github", {kJson, {"X-GitHub-Event", event.at("name")}}, example.dump());
      ++answers[response.status];
      if (response.status != 422) continue;
      const auto violations = nlohmann::json::parse(response.body.view()).at("violations");
      ASSERT_FALSE(violations.empty());
      EXPECT_TRUE(violations[0].at("pointer").get<std::string>().starts_with("/body"));
    }
  }
  // The verdicts that independent validators agree on: tests/schema/webhooks_test.cpp.
  EXPECT_EQ(answers, (std::map<int, int>{{202, 277}, {422, 52}}));
}

TEST(Routes, github_names_its_keys_from_the_general_to_the_particular) {
  World world("github.toml");
  const auto* body = R"({"action":"opened","issue":{"number":7},"repository":{"full_name":"octo/hello"},"sender":{"login":"mira"},)"
                     R"("organization":{"login":"octo"},"installation":{"id":12}})";
  ASSERT_EQ(world.post("/v1/hooks/github", {kJson, {"X-GitHub-Event", "issues"}, {"X-GitHub-Delivery", "d1"}}, body).status, 202);
  for (const auto* key : {"github/octo/hello", "github/octo/hello/issues", "github/issues", "github/issues/opened", "github/org/octo",
                          "github/installation/12", "github/sender/mira", "github/octo/hello/7"}) {
    const auto record = world.get(key);
    ASSERT_TRUE(record) << key;
    EXPECT_EQ(record->id, "d1");
  }
}

TEST(Routes, stripe_and_shopify_events_are_found_by_what_they_are_about) {
  World stripe("stripe.toml");
  const auto* event = R"({"id":"evt_1","object":"event","type":"charge.succeeded","api_version":"2024-06-20","livemode":false,)"
                      R"("data":{"object":{"id":"ch_9","object":"charge","customer":"cus_3"}}})";
  ASSERT_EQ(stripe.post("/v1/hooks/stripe", {{"Content-Type", "application/json; charset=utf-8"}}, event).status, 202);
  for (const auto* key : {"stripe/charge.succeeded", "stripe/ch_9", "stripe/cus_3"}) {
    const auto record = stripe.get(key);
    ASSERT_TRUE(record) << key;
    EXPECT_EQ(record->id, "evt_1");
    EXPECT_EQ(record->payload.view(), event);
  }
  const auto* expanded = R"({"id":"evt_2","type":"x","data":{"object":{"id":"ch_8","customer":{"id":"cus_4"}}}})";
  ASSERT_EQ(stripe.post("/v1/hooks/stripe", {kJson}, expanded).status, 202);
  EXPECT_TRUE(stripe.get("stripe/cus_4"));
  const auto* nobody = R"({"id":"evt_3","type":"balance.available","data":{"object":{"object":"balance"}}})";
  EXPECT_EQ(stripe.post("/v1/hooks/stripe", {kJson}, nobody).status, 202);

  World shopify("shopify.toml");
  ASSERT_EQ(
      shopify
          .post("/v1/hooks/shopify",
                {kJson, {"X-Shopify-Topic", "orders/create"}, {"X-Shopify-Shop-Domain", "tea.example"}, {"X-Shopify-Webhook-Id", "w1"}},
                R"({"id":820982911946154508,"total_price":"4.00"})")
          .status,
      202);
  for (const auto* key :
       {"shopify/orders/create", "shopify/tea.example", "shopify/tea.example/orders/create", "shopify/tea.example/820982911946154508"}) {
    ASSERT_TRUE(shopify.get(key)) << key;
    EXPECT_EQ(shopify.get(key)->id, "w1");
  }
}

TEST(Routes, generic_ones_take_events_and_any_bytes) {
  World world("generic.toml");
  ASSERT_EQ(world.post("/v1/hooks/events?source=shop", {kJson}, R"({"id":5,"type":"paid","subject":"order/7","ttl":"1h"})").status, 202);
  EXPECT_EQ(world.get("shop/paid")->id, "5");
  EXPECT_EQ(world.get("shop/order/7")->expires_at, world.get("shop/paid")->created_at + Milliseconds(3'600'000));
  ASSERT_EQ(world.post("/v1/hooks/bytes?key=logo", {{"Content-Type", "image/png"}}, "\x89PNG\xff", "PUT").status, 202);
  EXPECT_EQ(world.get("logo")->payload.view(), "\x89PNG\xff");
  EXPECT_EQ(world.get("logo")->content_type, "image/png");
}

TEST(Routes, refuse_clearly_what_they_cannot_map) {
  World world("generic.toml");
  const auto no_key = world.post("/v1/hooks/bytes", {{"Content-Type", "text/plain"}}, "x");
  EXPECT_EQ(no_key.status, 422);
  const auto body = nlohmann::json::parse(no_key.body.view());
  EXPECT_EQ(body.at("violations").at(0).at("pointer"), "/mapping/keys");
  EXPECT_NE(body.at("violations").at(0).at("message").get<std::string>().find("query.key"), std::string::npos);
  const auto long_key = world.post("/v1/hooks/bytes?key=" + std::string(513, 'k'), {}, "x");
  EXPECT_EQ(long_key.status, 422);
  EXPECT_NE(long_key.body.view().find("the expression query.key gave"), std::string_view::npos) << long_key.body.view();
  const auto broken = world.post("/v1/hooks/events", {kJson}, "{\"a\":");
  EXPECT_EQ(broken.status, 400);
  EXPECT_EQ(nlohmann::json::parse(broken.body.view()).at("position"), 5);
  EXPECT_EQ(world.post("/v1/hooks/events", {kJson, {"Content-Encoding", "gzip"}}, "x").status, 415);
  EXPECT_EQ(world.post("/v1/hooks/events", {{"Content-Type", "application/json; charset=latin1"}}, "{}").status, 415);
  const auto wrong = world.post("/v1/hooks/events", {}, "", "GET");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.back(), (std::pair<std::string, std::string>{"Allow", "POST"}));
  EXPECT_EQ(world.post("/v1/hooks/nobody", {kJson}, "{}").status, 404);
}

// The flow chooses its schema by an attribute that the client did not send: the client's mistake, not the gateway's.
TEST(Routes, name_the_expression_that_gave_no_version_of_a_schema) {
  World world("generic.toml");
  const auto* routes =
      "[routes.a]\naccount = \"acme\"\nflow = \"orders\"\n[routes.a.mapping]\nkeys = [\"'k'\"]\n"
      "[routes.a.mapping.attributes]\nv = 'headers.\"x-v\"'\n";
  ASSERT_TRUE(world.gateway->set_hooks(hook_routes(parse_config(routes).value()).value()));
  SchemaVersions versions{.by = "attribute:v"};
  versions.schemas.emplace("1", json_schema::Validator::compile("true").value());
  Flows flows;
  flows.flows["orders"].schema = PayloadSchema::of(std::move(versions)).value();
  ASSERT_TRUE(world.pipeline->reload(std::move(flows)));
  const auto missing = world.post("/v1/hooks/a", {kJson}, "{}");
  EXPECT_EQ(missing.status, 422) << missing.body.view();
  EXPECT_NE(missing.body.view().find(R"(the expression headers.\"x-v\" gave null)"), std::string_view::npos) << missing.body.view();
  const auto unknown = world.post("/v1/hooks/a", {kJson, {"X-V", "2"}}, "{}");
  EXPECT_EQ(unknown.status, 422);
  EXPECT_NE(unknown.body.view().find(R"(the expression headers.\"x-v\" gave \"2\")"), std::string_view::npos) << unknown.body.view();
  EXPECT_EQ(world.post("/v1/hooks/a", {kJson, {"X-V", "1"}}, "{}").status, 202);
}

TEST(Routes, bound_a_body_and_answer_a_repetition_with_the_first_answer) {
  World world("stripe.toml");
  EXPECT_EQ(world.post("/v1/hooks/stripe", {kJson}, "\"" + std::string(1u << 20, 'x') + "\"").status, 413);
  const auto* event = R"({"id":"evt_1","type":"a"})";
  const auto first = world.post("/v1/hooks/stripe", {kJson, {"Idempotency-Key", "k1"}}, event);
  const auto second = world.post("/v1/hooks/stripe", {kJson, {"Idempotency-Key", "k1"}}, event);
  EXPECT_EQ(first.status, 202);
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(second.headers.back().first, "Idempotency-Replayed");
}

TEST(Routes, check_bodies_before_they_are_mapped) {
  World world("generic.toml");
  auto hooks = hook_routes(world.config).value();
  for (auto& hook : hooks)
    hook.check = [](const Payload& body) {
      return body.view().find("bad") == std::string_view::npos ? std::vector<Reason>() : std::vector<Reason>{{"schema", "is bad", "/body"}};
    };
  ASSERT_TRUE(world.gateway->set_hooks(std::move(hooks)));
  EXPECT_EQ(world.post("/v1/hooks/events", {kJson}, R"({"bad":1})").status, 422);
  EXPECT_EQ(world.post("/v1/hooks/events", {kJson}, R"({"good":1})").status, 202);
}

TEST(Routes, change_while_the_gateway_runs_and_stay_where_the_new_ones_are_wrong) {
  World world("generic.toml");
  auto hooks = hook_routes(world.config).value();
  hooks[0].path = "/v1/records";
  EXPECT_EQ(world.gateway->set_hooks(hooks).error().field(), "routes.bytes.path");
  hooks[0].path = "/v1/hooks/events";
  EXPECT_EQ(world.gateway->set_hooks(hooks).error().field(), "routes.events.path") << "two routes, one path";
  EXPECT_EQ(world.post("/v1/hooks/events", {kJson}, "{}").status, 202) << "as before";
  hooks[0].path = "/blobs";
  ASSERT_TRUE(world.gateway->set_hooks(hooks));
  EXPECT_EQ(world.post("/v1/hooks/bytes?key=k", {}, "x").status, 404);
  EXPECT_EQ(world.post("/blobs?key=k", {}, "x").status, 202);
  ASSERT_TRUE(world.gateway->set_hooks({}));
  EXPECT_EQ(world.post("/blobs?key=k", {}, "x").status, 404);
}

TEST(Routes, of_a_configuration_name_what_is_wrong_in_them) {
  const auto refused = [](const std::string& text) {
    const auto config = parse_config(text);
    return config ? std::string() : config.error().message();
  };
  const std::string good = "[routes.a]\naccount = \"x\"\nflow = \"y\"\n[routes.a.mapping]\nkeys = [\"'k'\"]\n";
  EXPECT_EQ(refused(good), "");
  EXPECT_NE(refused("[routes.a]\naccount = \"x\"\nflow = \"y\"\n").find("setget.toml:1: routes.a.mapping: a route needs"),
            std::string::npos);
  EXPECT_NE(refused("[routes.a]\naccount = \"x\"\nflow = \"y\"\n[routes.a.mapping]\nkeys = [\"a\",\n \"b ||\"]\n")
                .find("routes.a.mapping.keys: [1]: "),
            std::string::npos);
  EXPECT_NE(refused("[routes.a]\nflow = \"y\"\n[routes.a.mapping]\nkeys = [\"a\"]\n").find("routes.a.account: is required"),
            std::string::npos);
  EXPECT_NE(refused(good + "colour = \"red\"\n").find("routes.a.mapping.colour: unknown key"), std::string::npos);
  EXPECT_NE(refused("[routes.a]\nschema = \"s.json\"\n").find("routes.a.schema: s.json: cannot be opened"), std::string::npos);
  EXPECT_NE(refused("[routes.a]\nmethods = [\"GET\"]\naccount = \"x\"\nflow = \"y\"\n[routes.a.mapping]\nkeys = [\"a\"]\n")
                .find("routes.a.methods"),
            std::string::npos);
  EXPECT_NE(refused("[routes.a]\nmax_body = \"1GiB\"\naccount = \"x\"\nflow = \"y\"\n[routes.a.mapping]\nkeys = [\"a\"]\n")
                .find("routes.a.max_body: must be at most"),
            std::string::npos);
  EXPECT_NE(refused(good + "[routes.b]\npath = \"/v1/hooks/a\"\naccount = \"x\"\nflow = \"y\"\n[routes.b.mapping]\nkeys = [\"a\"]\n")
                .find("is the path of routes.a"),
            std::string::npos);
  EXPECT_NE(refused(good + "[routes.\"b c\"]\naccount = \"x\"\nflow = \"y\"\n[routes.\"b c\".mapping]\nkeys = [\"a\"]\n")
                .find("a route's name is"),
            std::string::npos);
}

}  // namespace
