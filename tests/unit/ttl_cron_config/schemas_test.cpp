// Schemas of flows and routes as files: what a configuration says, and what it is told where it is wrong.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <setget/config.hpp>

using namespace setget;

namespace {

class Schemas : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "setget-schemas-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    std::filesystem::create_directories(folder_ / "schemas/parts");
    write("schemas/order.json", R"({"type":"object","required":["total"],"properties":{"total":{"type":"integer","minimum":1}}})");
    write("schemas/text.json", R"({"type":"string"})");
    write("schemas/mail.json", R"({"format":"email"})");
    write("schemas/refers.json", R"({"$ref":"https://example.com/parts/money.json"})");
    write("schemas/near.json", R"({"$ref":"money.json"})");
    write("schemas/parts/money.json", R"({"type":"number","minimum":0})");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name, std::ios::binary) << text; }
  Result<Flows> flows(const std::string& toml) {
    write("setget.toml", toml);
    return load_flows((folder_ / "setget.toml").string());
  }
  struct Refused {
    std::string field;
    std::string message;
  };
  // With the folder's name cut out, wherever the test runs.
  Refused refused(const std::string& toml) {
    write("setget.toml", toml);
    const auto config = load_config((folder_ / "setget.toml").string());
    if (config) return {"accepted", "accepted"};
    EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_FALSE(config.error().position()) << "a line is no byte";
    auto message = config.error().message();
    const auto path = folder_.string() + "/";
    for (auto at = message.find(path); at != std::string::npos; at = message.find(path)) message.erase(at, path.size());
    return {config.error().field(), std::move(message)};
  }
  static std::string first(const Flows& flows, std::string_view flow, const std::string& payload, Command command = {}) {
    command.kind = CommandKind::kSet;
    command.flow = flow;
    command.payload = Payload(std::string(payload));
    command.content_type = "application/json";
    const auto reasons = flows.violations(command);
    return reasons.empty() ? "valid" : reasons[0].code + " " + reasons[0].pointer;
  }
  std::filesystem::path folder_;
};

TEST_F(Schemas, are_files_beside_the_configuration_and_are_compiled_when_it_is_read) {
  const auto read =
      flows("[flows.orders]\nschema = \"schemas/order.json\"\n[accounts.acme.flows.orders]\nschema = \"schemas/text.json\"\n");
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(first(*read, "orders", R"({"total":5})"), "valid");
  EXPECT_EQ(first(*read, "orders", R"({"total":0})"), "schema_minimum /payload/total");
  EXPECT_EQ(first(*read, "orders", "{}"), "schema_required /payload");
  EXPECT_EQ(first(*read, "other", "{}"), "valid") << "a flow without a schema";
  EXPECT_EQ(first(*read, "orders", "\"x\"", {.account = "acme"}), "valid") << "an account's own flow is stronger";
  Command text{.flow = "orders", .payload = Payload(std::string("{\"total\":5}")), .content_type = "text/plain"};
  ASSERT_EQ(read->violations(text).size(), 1u);
  EXPECT_EQ(read->violations(text)[0].code, "schema_content_type") << "nobody leaves a schema by another content type";
  text.kind = CommandKind::kTouch;
  EXPECT_TRUE(read->violations(text).empty());
}

TEST_F(Schemas, list_every_violation_with_the_place_of_its_keyword_up_to_a_limit) {
  write("schemas/many.json", R"({"properties":{"a":{"type":"string"},"b":{"maximum":3},"c":{"enum":[1]}},"required":["d"]})");
  const auto read = flows("[flows.f]\nschema = \"schemas/many.json\"\n");
  ASSERT_TRUE(read) << read.error().describe();
  const Command command{.flow = "f", .payload = Payload(std::string(R"({"a":1,"b":4,"c":2})")), .content_type = "application/json"};
  const auto all = read->violations(command);
  ASSERT_EQ(all.size(), 4u);
  std::string said;
  for (const auto& reason : all) said += reason.pointer + " " + reason.message + "\n";
  for (const auto* part : {"/payload/a ", "/payload/b ", "/payload/c ", "(schema: /properties/a/type)", "(schema: /properties/b/maximum)",
                           "(schema: /properties/c/enum)", "(schema: /required)"})
    EXPECT_NE(said.find(part), std::string::npos) << part << " in\n" << said;
  EXPECT_EQ(read->violations(command, 2).size(), 2u);
}

TEST_F(Schemas, stand_side_by_side_and_an_attribute_chooses) {
  const auto read = flows(
      "[flows.f]\nschema = { by = \"attribute:schema-version\", versions = { 1 = \"schemas/order.json\", 2 = \"schemas/text.json\" } }\n"
      "[flows.g.schema]\nby = \"attribute:v\"\notherwise = \"1\"\n[flows.g.schema.versions]\n1 = \"schemas/order.json\"\n");
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(first(*read, "f", "\"x\"", {.attributes = {{"schema-version", "2"}}}), "valid");
  EXPECT_EQ(first(*read, "f", "\"x\"", {.attributes = {{"schema-version", "1"}}}), "schema_type /payload");
  EXPECT_EQ(first(*read, "f", "\"x\"", {.attributes = {{"schema-version", "3"}}}), "schema_version_unknown /attributes/schema-version");
  EXPECT_EQ(first(*read, "f", "\"x\""), "schema_version_missing /attributes/schema-version");
  EXPECT_EQ(first(*read, "g", R"({"total":1})"), "valid") << "otherwise";
  EXPECT_EQ(first(*read, "g", "\"x\""), "schema_type /payload");
  EXPECT_EQ(first(*read, "g", "\"x\"", {.attributes = {{"v", "2"}}}), "schema_version_unknown /attributes/v")
      << "a wrong name is no missing one";
}

TEST_F(Schemas, stand_side_by_side_and_a_field_chooses) {
  const auto read = flows(
      "[flows.f]\nschema = { by = \"field:/meta/a~1b/0\", versions = { 1 = \"schemas/order.json\", two = \"schemas/order.json\" } }\n");
  ASSERT_TRUE(read) << read.error().describe();
  const auto with = [&](const std::string& version) { return first(*read, "f", R"({"meta":{"a/b":[)" + version + R"(]},"total":0})"); };
  EXPECT_EQ(with("1"), "schema_minimum /payload/total");
  EXPECT_EQ(with("\"1\""), "schema_minimum /payload/total");
  EXPECT_EQ(with("\"two\""), "schema_minimum /payload/total");
  EXPECT_EQ(with("2"), "schema_version_unknown /payload/meta/a~1b/0");
  EXPECT_EQ(with("{}"), "schema_version_unknown /payload/meta/a~1b/0");
  EXPECT_EQ(with("null"), "schema_version_missing /payload/meta/a~1b/0");
  EXPECT_EQ(with(""), "schema_version_missing /payload/meta/a~1b/0");
  EXPECT_EQ(first(*read, "f", "[]"), "schema_version_missing /payload/meta/a~1b/0");
  EXPECT_EQ(first(*read, "f", "{"), "json_syntax /payload");
}

TEST_F(Schemas, refer_only_to_files_that_are_named) {
  const auto nowhere = refused("[flows.f]\nschema = \"schemas/refers.json\"\n");
  EXPECT_EQ(nowhere.field, "flows.f.schema");
  EXPECT_NE(nowhere.message.find("setget.toml:2: flows.f.schema: schemas/refers.json: "), std::string::npos) << nowhere.message;
  EXPECT_NE(nowhere.message.find("https://example.com/parts/money.json"), std::string::npos) << nowhere.message;
  for (const auto* files : {"{ \"https://example.com/parts/money.json\" = \"schemas/parts/money.json\" }",
                            "{ \"https://example.com/parts/\" = \"schemas/parts\" }", "{ \"https://example.com/\" = \"schemas\" }"}) {
    const auto read = flows(std::string("[flows.f]\nschema = \"schemas/refers.json\"\nschema_files = ") + files + "\n");
    ASSERT_TRUE(read) << files << read.error().describe();
    EXPECT_EQ(first(*read, "f", "-1"), "schema_minimum /payload");
  }
  const auto near = flows("[flows.f]\nschema = \"schemas/near.json\"\nschema_files = { \"money.json\" = \"schemas/parts/money.json\" }\n");
  ASSERT_TRUE(near) << near.error().describe();
  EXPECT_EQ(first(*near, "f", "-1"), "schema_minimum /payload") << "relative to the schema";

  write("schemas/climbs.json", R"({"$ref":"https://example.com/parts/%2e%2e/text.json"})");
  EXPECT_EQ(
      refused("[flows.f]\nschema = \"schemas/climbs.json\"\nschema_files = { \"https://example.com/parts/\" = \"schemas/parts\" }\n").field,
      "flows.f.schema")
      << "nothing outside of the folder";
  EXPECT_EQ(
      refused("[flows.f]\nschema = \"schemas/text.json\"\nschema_files = { \"https://example.com/\" = \"schemas/text.json\" }\n").message,
      "setget.toml:3: flows.f.schema_files: \"https://example.com/\": schemas/text.json is no folder");
}

TEST_F(Schemas, assert_formats_and_take_a_draft_where_they_are_told_to) {
  const auto read = flows(
      "[flows.plain]\nschema = \"schemas/mail.json\"\n[flows.strict]\nschema = \"schemas/mail.json\"\nschema_formats = true\n"
      "[flows.old]\nschema = \"schemas/order.json\"\nschema_draft = \"draft4\"\n");
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(first(*read, "plain", "\"nobody\""), "valid");
  EXPECT_EQ(first(*read, "strict", "\"nobody\""), "schema_format /payload");
  EXPECT_EQ(first(*read, "plain", "1.0"), "valid");
  EXPECT_EQ(first(*read, "old", R"({"total":1.0})"), "schema_type /payload/total") << "no integer in draft 4";
  EXPECT_EQ(refused("[flows.f]\nschema = \"schemas/text.json\"\nschema_draft = \"draft5\"\n").field, "flows.f.schema_draft");
}

TEST_F(Schemas, that_do_not_compile_name_key_line_file_and_place) {
  write("schemas/typo.json", R"({"properties":{"a":{"type":"strin"}}})");
  write("schemas/broken.json", "{\n  \"type\": \"string\",\n}");
  write("schemas/empty.json", "");
  const auto typo = refused("[ttl]\ndefault = 5\n[flows.orders]\nschema = \"schemas/typo.json\"\n");
  EXPECT_EQ(typo.field, "flows.orders.schema");
  EXPECT_NE(typo.message.find("setget.toml:4: flows.orders.schema: schemas/typo.json: #/properties/a/type: "), std::string::npos)
      << typo.message;
  const auto broken = refused("[flows.f]\nschema = \"schemas/broken.json\"\n");
  EXPECT_NE(broken.message.find("schemas/broken.json: "), std::string::npos) << broken.message;
  EXPECT_NE(broken.message.find("(line 3, column 1)"), std::string::npos) << broken.message;
  EXPECT_NE(refused("[flows.f]\nschema = \"schemas/empty.json\"\n").message.find("schemas/empty.json: "), std::string::npos);
  EXPECT_EQ(refused("[flows.f]\nschema = \"schemas/none.json\"\n").message,
            "setget.toml:2: flows.f.schema: schemas/none.json: cannot be opened");
  EXPECT_EQ(refused("[flows.f]\nschema = \"schemas\"\n").message, "setget.toml:2: flows.f.schema: schemas: is a folder");
  EXPECT_EQ(refused("[flows.f]\nschema = \"/dev/zero\"\n").message, "setget.toml:2: flows.f.schema: /dev/zero: is no regular file");
  const auto version =
      refused("[flows.f.schema]\nby = \"attribute:v\"\n[flows.f.schema.versions]\n1 = \"schemas/text.json\"\n2 = \"schemas/typo.json\"\n");
  EXPECT_EQ(version.field, "flows.f.schema.versions.2");
  EXPECT_NE(version.message.find("setget.toml:5: flows.f.schema.versions.2: schemas/typo.json: #/properties/a/type"), std::string::npos)
      << version.message;
}

TEST_F(Schemas, keys_that_make_no_sense_are_refused) {
  const std::string versions = "versions = { 1 = \"schemas/text.json\" }";
  for (const auto& [text, field] : std::map<std::string, std::string>{
           {"schema = 5", "flows.f.schema"},
           {"schema = \"\"", "flows.f.schema"},
           {"schema = { " + versions + " }", "flows.f.schema.by"},
           {"schema = { by = \"v\", " + versions + " }", "flows.f.schema.by"},
           {"schema = { by = \"attribute:\", " + versions + " }", "flows.f.schema.by"},
           {"schema = { by = \"field:v\", " + versions + " }", "flows.f.schema.by"},
           {"schema = { by = \"header:v\", " + versions + " }", "flows.f.schema"},
           {"schema = { by = \"attribute:v\" }", "flows.f.schema.versions"},
           {"schema = { by = \"attribute:v\", otherwise = \"2\", " + versions + " }", "flows.f.schema.otherwise"},
           {"schema = { by = \"attribute:v\", default = \"1\", " + versions + " }", "flows.f.schema.default"},
           {"schema_formats = true", "flows.f.schema_formats"},
           {"schema_draft = \"draft7\"", "flows.f.schema_draft"},
           {"schema_files = { a = \"b\" }", "flows.f.schema_files"}}) {
    EXPECT_EQ(refused("[flows.f]\n" + text + "\n").field, field) << text;
  }
}

TEST_F(Schemas, of_routes_are_read_the_same_way) {
  const std::string rest = "account = \"a\"\nflow = \"f\"\n[routes.r.mapping]\nkeys = [\"'k'\"]\n";
  write("setget.toml", "[routes.r]\nschema = { by = \"header:X-Event\", versions = { push = \"schemas/order.json\" } }\n" + rest);
  const auto config = load_config((folder_ / "setget.toml").string());
  ASSERT_TRUE(config) << config.error().describe();
  const auto routes = hook_routes(*config);
  ASSERT_TRUE(routes) << routes.error().describe();
  const auto found = [&](std::vector<std::pair<std::string, std::string>> headers, const std::string& body) {
    const auto reasons = (*routes)[0].violations({.headers = std::move(headers), .body = Payload(std::string(body))}, 32);
    return reasons.empty() ? "valid" : reasons[0].code + " " + reasons[0].pointer;
  };
  EXPECT_EQ(found({{"x-event", "push"}}, R"({"total":1})"), "valid");
  EXPECT_EQ(found({{"X-EVENT", "push"}}, R"({"total":0})"), "schema_minimum /body/total");
  EXPECT_EQ(found({{"X-Event", "pull"}}, "{}"), "schema_version_unknown /headers/X-Event");
  EXPECT_EQ(found({}, "{}"), "schema_version_missing /headers/X-Event");
  EXPECT_EQ(refused("[routes.r]\nschema = { by = \"attribute:v\", versions = { 1 = \"schemas/text.json\" } }\n" + rest).field,
            "routes.r.schema");
  EXPECT_NE(refused("[routes.r]\nschema = \"none.json\"\n" + rest).message.find("setget.toml:2: routes.r.schema: none.json"),
            std::string::npos);
}

}  // namespace
