// The quick answer and the report are two ways through one schema, and the quick one takes shortcuts: schemas are fused, objects are looked
// at by their names, sets by their values. Schemas and documents at random, some with more names than a word has bits: both agree.
#include <setget/json_schema.hpp>

#include <cstdlib>
#include <functional>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include <setget/testing/clock.hpp>

namespace {

class Made {
 public:
  explicit Made(std::uint64_t seed) : random_(seed) {}

  // With two definitions that refer to nothing, so that there are no loops.
  std::string whole_schema() {
    const auto schema = this->schema(3);
    if (!schema.starts_with('{') || schema == "{}") return schema;
    refers_ = false;
    const auto definitions = R"(,"$defs":{"x":)" + this->schema(1) + R"(,"y":)" + this->schema(1) + "}}";
    refers_ = true;
    return schema.substr(0, schema.size() - 1) + definitions;
  }

  std::string value(int depth) {
    switch (roll(depth > 0 ? 9 : 6)) {
      case 0:
        return "null";
      case 1:
        return "true";
      case 2:
        return std::to_string(static_cast<int>(roll(20)) - 5);
      case 3:
        return "1.5";
      case 4:
        return "2.0";
      case 5:
        return "\"" + name() + "\"";
      case 6:
        return list(roll(4), [&] { return value(depth - 1); });
      default: {
        const bool wide = roll(3) == 0;
        return members(wide ? roll(120) : roll(5), [&] { return value(wide ? 0 : depth - 1); });
      }
    }
  }

 private:
  std::uint64_t roll(std::uint64_t sides) { return random_.next() % sides; }
  // Of a few, mostly, so that schemas speak of the same ones.
  std::string name() { return roll(3) > 0 ? std::string(1, "abcd"[roll(4)]) : "n" + std::to_string(roll(90)); }
  std::string list(std::uint64_t count, const std::function<std::string()>& item) {
    std::string out = "[";
    for (std::uint64_t i = 0; i < count; ++i) out += (i > 0 ? "," : "") + item();
    return out + "]";
  }
  std::set<std::string> names(std::uint64_t count) {
    std::set<std::string> out;
    for (std::uint64_t i = 0; i < count; ++i) out.insert("\"" + name() + "\"");
    return out;
  }
  std::string listed_names(std::uint64_t count) {
    const auto all = names(count);
    auto next = all.begin();
    return list(all.size(), [&] { return *next++; });
  }
  std::string members(std::uint64_t count, const std::function<std::string()>& value) {
    std::string out;
    for (const auto& one : names(count)) out += (out.empty() ? "" : ",") + one + ":" + value();
    return "{" + out + "}";
  }
  std::string type() {
    const char* const types[] = {R"("object")",  R"("array")",           R"("string")",  R"("number")",
                                 R"("integer")", R"(["object","null"])", R"("boolean")", R"(["integer","string","array"])"};
    return types[roll(std::size(types))];
  }
  std::string properties(int depth) {
    const bool wide = roll(4) == 0;
    return members(wide ? roll(80) : roll(5), [&] { return schema(wide ? 0 : depth - 1); });
  }

  std::string schema(int depth) {
    if (roll(20) == 0) return roll(2) > 0 ? "true" : "false";
    std::string out;
    const auto add = [&](const char* keyword, const std::string& value) {
      out += std::string(out.empty() ? "\"" : ",\"") + keyword + "\":" + value;
    };
    const auto below = [&] { return schema(depth - 1); };
    std::set<std::uint64_t> said;
    for (auto left = 1 + roll(4); left > 0; --left) {
      const auto keyword = roll(depth > 0 ? 24 : 9);
      if (said.insert(keyword).second) say(keyword, depth, add, below);
    }
    return "{" + out + "}";
  }

  void say(std::uint64_t keyword, int depth, const std::function<void(const char*, const std::string&)>& add,
           const std::function<std::string()>& below) {
    switch (keyword) {
      case 0:
        return add("type", type());
      case 1:
        return add("minimum", std::to_string(static_cast<int>(roll(10)) - 3));
      case 2:
        return add("maximum", std::to_string(roll(10)));
      case 3:
        return add("required", listed_names(roll(3) > 0 ? roll(4) : roll(80)));
      case 4:
        return add("enum", list(3, [&] { return value(1); }));
      case 5:
        return add("const", value(1));
      case 6:
        return add("minLength", std::to_string(roll(3)));
      case 7:
        return add("multipleOf", roll(2) > 0 ? "2" : "0.5");
      case 8:
        return add(roll(2) > 0 ? "minProperties" : "maxProperties", std::to_string(roll(6)));
      case 9:
        return add("uniqueItems", "true");
      case 10:
      case 11:
        return add(keyword == 10 ? "properties" : "patternProperties", keyword == 10 ? properties(depth) : R"({"^[a-c]":)" + below() + "}");
      case 12:
        return add("additionalProperties", below());
      case 13:
      case 14:
      case 15: {
        const char* const several[] = {"allOf", "anyOf", "oneOf"};
        return add(several[keyword - 13], list(1 + roll(3), below));
      }
      case 16:
        return add("not", below());
      case 17:
        add("if", below());
        add("then", below());
        return add("else", below());
      case 18:
        return add("items", below());
      case 19:
        return add("prefixItems", list(1 + roll(2), below));
      case 20:
        return refers_ ? add("$ref", roll(2) > 0 ? R"("#/$defs/x")" : R"("#/$defs/y")") : add("title", "\"none\"");
      case 21:
        return add("unevaluatedProperties", roll(2) > 0 ? "false" : below());
      case 22:
        return add("dependentRequired", "{\"" + name() + "\":" + listed_names(roll(3)) + "}");
      default:
        return add("contains", below());
    }
  }

  setget::testing::SeededRandom random_;
  bool refers_ = true;
};

TEST(RandomSchemas, have_one_verdict_however_they_are_asked) {
  const char* rounds = std::getenv("SETGET_SCHEMA_ROUNDS");
  const std::uint64_t most = rounds != nullptr ? std::strtoull(rounds, nullptr, 10) : 3'000;
  std::uint64_t valid = 0;
  std::uint64_t invalid = 0;
  for (std::uint64_t seed = 0; seed < most; ++seed) {
    Made made(seed);
    const auto schema = made.whole_schema();
    const auto validator = setget::json_schema::Validator::compile(schema);
    ASSERT_TRUE(validator) << seed << ": " << validator.error().describe() << "\n" << schema;
    for (int i = 0; i < 12; ++i) {
      const auto document = made.value(3);
      const auto quick = validator->is_valid(document);
      const auto report = validator->validate(document);
      ASSERT_TRUE(quick && report) << seed << ": " << schema << "\n" << document;
      ASSERT_EQ(*quick, report->valid) << seed << ": " << schema << "\n" << document << "\n" << report->basic();
      ++(*quick ? valid : invalid);
    }
  }
  EXPECT_GT(valid, most * 2);
  EXPECT_GT(invalid, most * 2);
}

// A base and its extension: as many names as one word has bits, and more.
TEST(RandomSchemas, take_together_names_that_several_schemas_require_however_many) {
  const auto names = [](char prefix, int count, const char* behind) {
    std::string all;
    for (int i = 0; i < count; ++i) all += (i > 0 ? ",\"" : "\"") + std::string(1, prefix) + std::to_string(i) + "\"" + behind;
    return all;
  };
  for (const int more : {0, 1, 31, 32, 33, 40, 200}) {
    const auto a = R"({"required": [)" + names('a', 32, "") + "]}";
    const auto b = R"("required": [)" + names('b', more, "") + "]";
    const auto full = "{" + names('a', 32, ": 1") + (more > 0 ? "," : "") + names('b', more, ": 1") + "}";
    for (const auto& schema :
         {R"({"allOf": [)" + a + ", {" + b + "}]}", R"({"type": "object", )" + b + R"(, "allOf": [)" + a + "]}",
          R"({"$ref": "#/$defs/a", )" + b + R"(, "properties": {"b0": {"type": "integer"}}, "$defs": {"a": )" + a + "}}",
          R"({"items": {"allOf": [)" + a + ", {" + b + "}]}}"}) {
      const auto compiled = setget::json_schema::Validator::compile(schema);
      ASSERT_TRUE(compiled) << compiled.error().describe();
      const auto& validator = *compiled;
      const bool in_array = schema.starts_with(R"({"items")");
      const auto agrees = [&](const std::string& object, bool expected) {
        const auto document = in_array ? "[" + object + "]" : object;
        EXPECT_EQ(*validator.is_valid(document), expected) << more << document;
        EXPECT_EQ(validator.validate(document).value().valid, expected) << more << document;
      };
      agrees(full, true);
      agrees(R"({"a0": 1})", false);
      agrees(R"({"other": 1})", false);
      agrees("{}", false);
      agrees("{" + names('a', 31, ": 1") + (more > 0 ? "," : "") + names('b', more, ": 1") + "}", false);
      if (more > 0) agrees("{" + names('a', 32, ": 1") + "}", false);
    }
  }
}

}  // namespace
