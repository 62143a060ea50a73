// Schemas of flows at work: the door refuses with every violation, the worker dead-letters with the same list, a reload keeps what was
// good.
#include "support.hpp"

namespace {

using namespace setget_test;

PayloadSchema schema_of(std::string_view text) { return PayloadSchema::of(json_schema::Validator::compile(text).value()); }

Flows flows_with(std::string_view schema) {
  Flows flows;
  flows.flows["orders"].schema = schema_of(schema);
  return flows;
}

constexpr const char* kStrict = R"({"properties":{"n":{"maximum":0},"m":{"type":"string"}},"required":["k"]})";
constexpr const char* kPayload = R"({"n":1,"m":2})";

TEST(FlowSchema, the_door_refuses_with_every_violation) {
  World world;
  auto pipeline = world.pipeline(flows_with(kStrict));
  const auto refused = pipeline->set(request("x", {"k"}, kPayload));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument);
  ASSERT_EQ(refused.error().reasons().size(), 3u);
  for (const auto& reason : refused.error().reasons()) {
    EXPECT_TRUE(reason.pointer.starts_with("/payload"));
    EXPECT_NE(reason.message.find("(schema: /"), std::string::npos) << reason.message;
  }
  EXPECT_EQ(pipeline->ingress().check(request("x", {"k"}, kPayload)), refused.error().reasons());
  EXPECT_TRUE(pipeline->set(request("x", {"k"}, R"({"n":0,"m":"","k":1})")));
  auto other = request("y", {"k"}, kPayload);
  other.flow = "others";
  EXPECT_TRUE(pipeline->set(other));
  EXPECT_EQ(world.stats().accepted, 2u);
}

TEST(FlowSchema, the_worker_dead_letters_with_the_same_list) {
  World world;
  auto pipeline = world.pipeline();
  ASSERT_TRUE(pipeline->set(request("x", {"k"}, kPayload))) << "accepted before the flow had a schema";
  ASSERT_TRUE(pipeline->reload(flows_with(kStrict)));
  const auto at_the_door = pipeline->set(request("x", {"k"}, kPayload)).error().reasons();
  ASSERT_EQ(at_the_door.size(), 3u);
  drain(*pipeline);
  EXPECT_FALSE(world.get("k"));
  const auto letters = world.plain_queue.backend()->dead_letters({.queue = "records"}).value().letters;
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].reasons, at_the_door);
  world.expect_ledger_adds_up();
}

TEST(FlowSchema, both_report_no_more_than_the_limit) {
  World world;
  auto options = world.pipeline_options();
  options.limits.max_reasons = 2;
  auto pipeline = Pipeline::create(std::move(options)).value();
  ASSERT_TRUE(pipeline->set(request("x", {"k"}, kPayload)));
  ASSERT_TRUE(pipeline->reload(flows_with(kStrict)));
  EXPECT_EQ(pipeline->set(request("x", {"k"}, kPayload)).error().reasons().size(), 2u);
  drain(*pipeline);
  const auto letters = world.plain_queue.backend()->dead_letters({.queue = "records"}).value().letters;
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].reasons.size(), 2u);
}

TEST(FlowSchema, an_attribute_chooses_among_the_versions_that_a_host_compiled) {
  SchemaVersions versions{.by = "attribute:v"};
  versions.schemas.emplace("1", json_schema::Validator::compile(R"({"type":"object"})").value());
  versions.schemas.emplace("2", json_schema::Validator::compile(R"({"type":"array"})").value());
  Flows flows;
  flows.flows["orders"].schema = PayloadSchema::of(std::move(versions)).value();
  World world;
  auto pipeline = world.pipeline(flows);
  auto set = request("x", {"k"}, "[]");
  set.attributes["v"] = "2";
  EXPECT_TRUE(pipeline->set(set));
  set.attributes["v"] = "1";
  EXPECT_EQ(pipeline->set(set).error().reasons().at(0).code, "schema_type");
  set.attributes.clear();
  EXPECT_EQ(pipeline->set(set).error().reasons().at(0).code, "schema_version_missing");
}

TEST(FlowSchema, a_reload_that_does_not_load_keeps_the_old_schema_and_is_logged_and_counted) {
  struct Lines final : Logger {
    bool enabled(LogLevel) const noexcept override { return true; }
    void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) noexcept override {
      if (level != LogLevel::kError) return;
      text += message;
      for (const auto& field : fields) text.append(" ").append(field.value);
    }
    std::string text;
  };
  World world;
  auto options = world.pipeline_options(flows_with(kStrict));
  const auto logger = std::make_shared<Lines>();
  const auto metrics = std::make_shared<PrometheusMetrics>();
  options.logger = logger;
  options.metrics = metrics;
  auto pipeline = Pipeline::create(std::move(options)).value();

  const auto broken = pipeline->reload(parse_flows("[flows.orders]\nschema = \"/nonexistent/orders.json\"\n"));
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message().find("/nonexistent/orders.json"), std::string::npos);
  EXPECT_EQ(pipeline->set(request("x", {"k"}, kPayload)).error().reasons().size(), 3u) << "the old one stays";
  EXPECT_NE(logger->text.find("the old flows stay"), std::string::npos);
  EXPECT_NE(logger->text.find("/nonexistent/orders.json"), std::string::npos) << logger->text;
  EXPECT_NE(metrics->expose().find("setget_reloads_total{result=\"refused\"} 1"), std::string::npos) << metrics->expose();

  ASSERT_TRUE(pipeline->reload(flows_with("{}")));
  EXPECT_TRUE(pipeline->set(request("x", {"k"}, kPayload)));
  EXPECT_NE(metrics->expose().find("setget_reloads_total{result=\"ok\"} 1"), std::string::npos);
}

}  // namespace
