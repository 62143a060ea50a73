#include <fstream>
#include <sstream>

#include "command.hpp"

namespace cli_test {
namespace {

class Map : public Command {
 protected:
  void SetUp() override {
    Command::SetUp();
    write("setget.toml", R"([routes.shop]
account = "acme"
flow = "orders"
methods = ["POST", "PUT"]
max_body = 1000
[routes.shop.mapping]
id = 'body.id'
keys = ['''join('/', ['order', to_string(body.number)])''', 'headers."x-tag"', 'query.key']
ttl = 'body.ttl'
payload = 'body.order'
[routes.shop.mapping.attributes]
method = 'method'
)");
    write("good.json", R"({"id":"a1","number":7,"ttl":"7d","order":{"total" : 12}})");
    write("bad.json", R"({"id":{},"number":7})");
  }
  Ran map(std::vector<std::string> more) {
    std::vector<std::string> all = {"map", "--config", "setget.toml", "--route", "shop"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
};

TEST_F(Map, prints_the_record_that_a_route_makes) {
  const Ran ran = map({"--header", "X-Tag: blue", "--query", "key=k=1", "--method", "PUT", "good.json"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  for (const char* line :
       {"good.json\n", "  id            a1\n", "  key           order/7\n", "  key           blue\n", "  key           k=1\n",
        "  account       acme\n", "  ttl           7d\n", "  attribute     method=PUT\n", "  payload       14 bytes\n"})
    EXPECT_NE(ran.out.find(line), std::string::npos) << line << ran.out;
  EXPECT_FALSE(std::filesystem::exists(folder / "setget.db")) << "no store is opened";
}

TEST_F(Map, prints_one_object_a_line_in_the_order_of_the_files) {
  const Ran ran = map({"--json", "good.json", "bad.json", "good.json"});
  EXPECT_EQ(ran.code, 2);
  std::istringstream lines(ran.out);
  std::vector<nlohmann::json> all;
  for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]["file"], "good.json");
  EXPECT_EQ(all[0]["valid"], true);
  EXPECT_EQ(all[0]["record"]["keys"], nlohmann::json{"order/7"});
  EXPECT_EQ(all[0]["record"]["payload"], (nlohmann::json{{"total", 12}}));
  EXPECT_EQ(all[1]["valid"], false);
  EXPECT_EQ(all[1]["errors"].size(), 2u);
  EXPECT_EQ(all[1]["errors"][0]["pointer"], "/mapping/id");
  EXPECT_EQ(all[1]["errors"][1]["pointer"], "/mapping/payload");
  EXPECT_EQ(all[2]["valid"], true);
}

TEST_F(Map, takes_several_headers_and_several_parameters) {
  const Ran ran =
      map({"--header", "X-Other: 1", "--header", "X-Tag: blue", "--query", "other=1", "--query", "key=k=1", "good.json", "good.json"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("  key           blue\n"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("  key           k=1\n"), std::string::npos) << ran.out;
}

TEST_F(Map, has_an_object_for_each_file_that_cannot_be_read) {
  const Ran ran = map({"--json", "nowhere.json", "good.json", "."});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err.find("basic_filebuf"), std::string::npos) << ran.err;
  std::istringstream lines(ran.out);
  std::vector<nlohmann::json> all;
  for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(all.size(), 3u) << ran.out;
  EXPECT_EQ(all[0]["file"], "nowhere.json");
  EXPECT_TRUE(all[0]["valid"].is_null());
  EXPECT_EQ(all[0]["errors"][0]["code"], "not_found");
  EXPECT_EQ(all[1]["valid"], true);
  EXPECT_EQ(all[2]["file"], ".");
  EXPECT_EQ(all[2]["errors"][0]["message"], "is a folder");
  const Ran text = map({".", "good.json"});
  EXPECT_EQ(text.code, 1);
  EXPECT_NE(text.err.find(".: is a folder"), std::string::npos) << text.err;
}

TEST_F(Map, says_what_an_ingress_would_refuse_and_where_it_came_from) {
  const Ran ran = map({"--header", "X-Tag: " + std::string(513, 't'), "good.json"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.out.find("/keys/1 key_too_long"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("the expression headers.\"x-tag\" gave"), std::string::npos) << ran.out;
  write("long.json", "{\"x\":\"" + std::string(1000, 'x') + "\"}");
  EXPECT_NE(map({"long.json"}).out.find("payload_too_large"), std::string::npos);
}

TEST_F(Map, refuses_what_the_server_refuses_before_it_reads_a_body) {
  const Ran method = map({"--method", "PATCH", "good.json"});
  EXPECT_EQ(method.code, 2);
  EXPECT_NE(method.out.find("unsupported: this resource allows POST, PUT"), std::string::npos) << method.out;
  const Ran encoded = map({"--header", "Content-Encoding: gzip", "good.json"});
  EXPECT_EQ(encoded.code, 2);
  EXPECT_NE(encoded.out.find("Content-Encoding"), std::string::npos) << encoded.out;
  const Ran charset = map({"--header", "Content-Type: application/json; charset=latin1", "--json", "good.json"});
  EXPECT_EQ(charset.code, 2);
  EXPECT_EQ(nlohmann::json::parse(charset.out)["errors"][0],
            (nlohmann::json{{"code", "unsupported"}, {"message", "texts are read in UTF-8 only"}, {"pointer", ""}}));
}

TEST_F(Map, refuses_records_without_a_version_where_the_flow_wants_the_callers) {
  std::ofstream(folder / "setget.toml", std::ios::app) << "[flows.orders]\nversions = \"caller\"\n";
  const Ran ran = map({"good.json"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.out.find("/version version_missing"), std::string::npos) << ran.out;
}

TEST_F(Map, shows_as_json_only_what_is_of_that_type) {
  write("setget.toml", "[routes.shop]\naccount = \"a\"\nflow = \"f\"\n[routes.shop.mapping]\nkeys = [\"'k'\"]\n");
  write("deep", std::string(100'000, '[') + std::string(100'000, ']'));
  const Ran deep = map({"--json", "--header", "Content-Type: text/plain", "deep"});
  ASSERT_EQ(deep.code, 0) << deep.err;
  EXPECT_TRUE(nlohmann::json::parse(deep.out)["record"]["payload_base64"].get<std::string>().starts_with("W1tb"));
  write("number", "12");
  const auto record = [&](const std::string& type) {
    return nlohmann::json::parse(map({"--json", "--header", "Content-Type: " + type, "number"}).out)["record"];
  };
  EXPECT_EQ(record("text/plain")["payload_base64"], "MTI=");
  EXPECT_EQ(record("Application/JSON ; a=b")["payload"], 12);
  EXPECT_EQ(record("application/x+json")["payload"], 12);
}

TEST_F(Map, checks_the_schemas_of_the_route_and_of_the_flow) {
  write("body.json", R"({"required":["number"]})");
  write("order.json", R"({"properties":{"total":{"maximum":10}}})");
  write("setget.toml", R"([flows.orders]
schema = "order.json"
[routes.shop]
account = "acme"
flow = "orders"
schema = "body.json"
[routes.shop.mapping]
keys = ['to_string(body.number)']
payload = 'body.order'
)");
  const Ran flow = map({"good.json"});
  EXPECT_EQ(flow.code, 2);
  EXPECT_NE(flow.out.find("/payload/total schema_maximum"), std::string::npos) << flow.out;
  write("bad.json", "{}");
  const Ran body = map({"bad.json"});
  EXPECT_EQ(body.code, 2);
  EXPECT_NE(body.out.find("/body schema_required"), std::string::npos) << body.out;
  write("good.json", R"({"number":7,"order":{"total":9}})");
  EXPECT_EQ(map({"good.json"}).code, 0);
}

TEST_F(Map, fails_where_there_is_nothing_to_map) {
  EXPECT_EQ(map({"nowhere.json"}).code, 1);
  EXPECT_EQ(map({"nowhere.json", "good.json"}).code, 1);
  const Ran unknown = run({"map", "--config", "setget.toml", "--route", "other", "good.json"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_NE(unknown.err.find("known: shop"), std::string::npos) << unknown.err;
  EXPECT_EQ(run({"map", "--route", "shop"}).code, 64);
  EXPECT_EQ(map({"--header", "no colon", "good.json"}).code, 64);
  write("setget.toml", "[routes.shop]\naccount = \"a\"\nflow = \"f\"\n[routes.shop.mapping]\nkeys = [\"a ||\"]\n");
  const Ran broken = map({"good.json"});
  EXPECT_EQ(broken.code, 1);
  EXPECT_NE(broken.err.find("setget.toml:5: routes.shop.mapping.keys: [0]: "), std::string::npos) << broken.err;
}

}  // namespace
}  // namespace cli_test
