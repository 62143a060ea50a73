#include <sstream>

#include "command.hpp"

namespace cli_test {
namespace {

class Validate : public Command {
 protected:
  void SetUp() override {
    Command::SetUp();
    write("schema.json", R"({"type":"object","required":["id"],"properties":{"id":{"type":"integer"},"mail":{"format":"email"}}})");
    write("good.json", R"({"id":12345678901234567890123})");
    write("bad.json", "{\"id\":\"x\",\n \"mail\":\"nobody\"}");
  }
  Ran validate(std::vector<std::string> more) {
    std::vector<std::string> all = {"validate", "--schema", "schema.json"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
  static std::vector<nlohmann::json> lines(const Ran& ran) {
    std::istringstream text(ran.out);
    std::vector<nlohmann::json> all;
    for (std::string line; std::getline(text, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
};

TEST_F(Validate, says_of_each_file_whether_it_is_valid_and_where_it_is_not) {
  const Ran good = validate({"good.json"});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(good.out, "good.json: valid\n");
  EXPECT_EQ(good.err, "") << "no progress where nobody watches";
  const Ran both = validate({"bad.json", "good.json"});
  EXPECT_EQ(both.code, 2);
  EXPECT_NE(both.out.find("bad.json: not valid\n  /id: "), std::string::npos) << both.out;
  EXPECT_NE(both.out.find("(schema: /properties/id/type)"), std::string::npos) << both.out;
  EXPECT_EQ(both.out.find("/mail"), std::string::npos) << "a format is an annotation";
  EXPECT_NE(validate({"--formats", "bad.json"}).out.find("  /mail: "), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder / "setget.db")) << "no store is opened";
}

TEST_F(Validate, prints_one_object_a_line_in_the_order_of_the_files) {
  const Ran ran = validate({"--json", "--formats", "good.json", "bad.json", "good.json"});
  EXPECT_EQ(ran.code, 2);
  const auto all = lines(ran);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0], (nlohmann::json{{"file", "good.json"}, {"valid", true}, {"errors", nlohmann::json::array()}}));
  EXPECT_EQ(all[1]["valid"], false);
  ASSERT_EQ(all[1]["errors"].size(), 2u);
  EXPECT_EQ(all[1]["errors"][0]["instanceLocation"], "/id");
  EXPECT_EQ(all[1]["errors"][0]["keywordLocation"], "/properties/id/type");
  EXPECT_EQ(all[1]["errors"][1]["keyword"], "format");
  EXPECT_EQ(all[2]["file"], "good.json");
  EXPECT_EQ(lines(validate({"--json", "--formats", "--max-errors", "1", "bad.json"}))[0]["truncated"], true);
}

TEST_F(Validate, names_what_cannot_be_checked_and_checks_the_rest) {
  write("broken.json", "{\n  \"id\": 1,\n}");
  write("empty.json", "");
  write("bom.json", "\xEF\xBB\xBF{\"id\":1}");
  write("utf8.json", "{\"id\":1,\"a\":\"\xC3\x28\"}");
  write("nul.json", std::string("{\"id\":1}\0", 9));
  write("deep.json", std::string(100'000, '[') + std::string(100'000, ']'));
  write("twice.json", R"({"id":"x","id":1})");
  write("huge.json", R"({"id":1e400})");
  std::filesystem::create_directory(folder / "folder.json");
  const Ran ran = validate({"--json", "broken.json", "empty.json", "bom.json", "utf8.json", "nul.json", "deep.json", "folder.json",
                            "none.json", "twice.json", "huge.json", "good.json"});
  EXPECT_EQ(ran.code, 1);
  const auto all = lines(ran);
  ASSERT_EQ(all.size(), 11u);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_TRUE(all[i]["valid"].is_null()) << all[i];
    EXPECT_EQ(all[i]["errors"].size(), 1u) << all[i];
    EXPECT_NE(ran.err.find("setget: " + all[i]["file"].get<std::string>() + ": "), std::string::npos) << ran.err;
  }
  EXPECT_EQ(all[0]["errors"][0]["line"], 3);
  EXPECT_EQ(all[0]["errors"][0]["column"], 1);
  EXPECT_EQ(all[0]["errors"][0]["position"], 13);
  EXPECT_NE(all[1]["errors"][0]["error"].get<std::string>().find("empty"), std::string::npos);
  EXPECT_NE(all[2]["errors"][0]["error"].get<std::string>().find("byte order mark"), std::string::npos);
  EXPECT_EQ(all[4]["errors"][0]["position"], 8);
  EXPECT_EQ(all[8]["valid"], false) << "each occurrence of a name is checked";
  EXPECT_EQ(all[9]["valid"], true) << "an integer, however large";
  EXPECT_EQ(all[10]["valid"], true);
}

TEST_F(Validate, serves_remote_references_from_a_folder_and_from_nowhere_else) {
  std::filesystem::create_directories(folder / "remotes/sub");
  write("remotes/sub/number.json", R"({"type":"number"})");
  write("schema.json", R"({"$ref":"http://localhost:1234/sub/number.json"})");
  EXPECT_EQ(validate({"--remotes", "remotes", "good.json"}).code, 2);
  const Ran without = validate({"good.json"});
  EXPECT_EQ(without.code, 1);
  EXPECT_NE(without.err.find("http://localhost:1234/sub/number.json"), std::string::npos) << without.err;
  write("schema.json", R"({"$ref":"http://localhost:1234/../good.json"})");
  EXPECT_EQ(validate({"--remotes", "remotes", "good.json"}).code, 1);
}

TEST_F(Validate, takes_the_draft_where_the_schema_names_none) {
  write("schema.json", R"({"minimum":1,"exclusiveMinimum":true})");
  write("one.json", "1");
  EXPECT_EQ(validate({"--draft", "draft4", "one.json"}).code, 2);
  const Ran newer = validate({"one.json"});
  EXPECT_EQ(newer.code, 1);
  EXPECT_NE(newer.err.find("schema.json: #/exclusiveMinimum"), std::string::npos) << newer.err;
  for (const auto* draft : {"draft6", "draft7", "draft2019-09", "draft2020-12"})
    EXPECT_EQ(validate({"--draft", draft, "one.json"}).code, 1);
  EXPECT_EQ(validate({"--draft", "draft3", "one.json"}).code, 64);
  EXPECT_EQ(run({"validate", "one.json"}).code, 64);
  EXPECT_EQ(run({"validate", "--schema", "nowhere.json", "one.json"}).code, 1);
}

TEST_F(Validate, reads_stdin) {
  EXPECT_EQ(run({"validate", "--schema", "schema.json", "-"}, R"({"id":1})").out, "-: valid\n");
  EXPECT_EQ(run({"validate", "--schema", "-", "good.json"}, "false").code, 2);
}

TEST_F(Validate, ends_on_patterns_and_references_made_to_hang) {
  write("schema.json", R"({"pattern":"^(a+)+$","allOf":[{"pattern":"^(?=(a+)+$).*$"}]})");
  write("a.json", "\"" + std::string(50'000, 'a') + "!\"");
  EXPECT_NE(validate({"a.json"}).code, 0);
  write("schema.json", R"({"$ref":"#"})");
  EXPECT_EQ(validate({"good.json"}).code, 1);
}

}  // namespace
}  // namespace cli_test
