// Documents: what is JSON, where it stops being it, names that repeat, and texts that end at the end of memory.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <setget/jmespath.hpp>

namespace {

using namespace setget;
using namespace setget::jmespath;

std::string json_of(std::string_view text) {
  const auto document = Document::parse_borrowed(text);
  return document ? document->root().json().value() : "error: " + document.error().message();
}

TEST(JmespathDocument, reads_what_is_json) {
  EXPECT_EQ(json_of(" [ 1 , -0.5e+3 , \"a\\u0041\\/\" , { \"k\" : [ ] , \"\" : { } } , true , false , null ] \n"),
            R"([1,-0.5e+3,"aA/",{"k":[],"":{}},true,false,null])");
  EXPECT_EQ(json_of("\"x\""), "\"x\"");
  EXPECT_EQ(json_of("7"), "7");
  EXPECT_EQ(json_of("\"\\u0000\\ud83d\\ude00\""), "\"\\u0000😀\"");
}

TEST(JmespathDocument, refuses_what_is_not) {
  for (const std::string_view text : {"",
                                      " ",
                                      "[",
                                      "]",
                                      "{",
                                      "}",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{1:1}",
                                      "[1 2]",
                                      "1 2",
                                      "01",
                                      "1.",
                                      ".5",
                                      "+1",
                                      "-",
                                      "1e",
                                      "1e+",
                                      "tru",
                                      "truex",
                                      "true\"\"",
                                      "nul",
                                      "\"",
                                      "\"a",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800\\u0041\"",
                                      "\"\x01\"",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "\"\xed\xa0\x80\"",
                                      "[1}",
                                      "{\"a\":1]",
                                      "\"a\"\"b\"",
                                      "\"a\"x",
                                      "[\"a\"x]",
                                      "\xef\xbb\xbf{}",
                                      "NaN",
                                      "Infinity",
                                      "'a'",
                                      "[1]]",
                                      "{} {}",
                                      "/**/1",
                                      "\"a\" :",
                                      "{\"a\"::1}",
                                      "{\"a\":1,,\"b\":1}"}) {
    const auto document = Document::parse_borrowed(text);
    ASSERT_FALSE(document) << text;
    EXPECT_TRUE(document.error().position()) << text;
  }
}

TEST(JmespathDocument, names_the_position) {
  EXPECT_EQ(Document::parse_borrowed("{\"a\": 1, \"b\" 2}").error().position(), 13u);
  EXPECT_EQ(Document::parse_borrowed("[1, \"ab\\x\"]").error().position(), 7u);
  EXPECT_EQ(Document::parse_borrowed("[1, 2").error().position(), 5u);
}

// What is found before there are tokens: bytes that are no UTF-8, strings that are not closed, control characters in them.
TEST(JmespathDocument, names_the_position_of_what_breaks_its_tokens) {
  const auto problem = [](std::string_view text) {
    const auto document = Document::parse_borrowed(text);
    EXPECT_FALSE(document) << text;
    return std::pair(document.error().position(), document.error().message());
  };
  using Problem = std::pair<std::optional<std::size_t>, std::string>;
  const Problem not_utf8(6, "not JSON: not UTF-8");
  EXPECT_EQ(problem("{\"a\":\"\xff\"}"), not_utf8);
  EXPECT_EQ(problem("{\"a\": \xc3\x28}"), not_utf8);
  EXPECT_EQ(problem("[\"é\",\"\xe2\x82\"]"), Problem(7, "not JSON: not UTF-8")) << "where the broken character begins";
  EXPECT_EQ(problem("[\"abcd\xf0\x9f\x98"), not_utf8) << "cut in a character";
  EXPECT_EQ(problem("[\"\xed\xa0\x80\"]"), Problem(2, "not JSON: not UTF-8"));
  EXPECT_EQ(problem("{\"a\" : \"b"), Problem(7, "not JSON: the string is not closed"));
  EXPECT_EQ(problem("[\"a\",\"b\\\"]"), Problem(5, "not JSON: the string is not closed"));
  EXPECT_EQ(problem("\""), Problem(0, "not JSON: the string is not closed"));
  EXPECT_EQ(problem("[\n\"ab\ncd\"]"), Problem(5, "not JSON: a control character in a string must be escaped"));
  EXPECT_EQ(problem("[\"\\\"\t\"]"), Problem(4, "not JSON: a control character in a string must be escaped"));
  EXPECT_EQ(problem("[\"a\n\",\"\xff\"]").first, 3u) << "the first of several";
  EXPECT_EQ(problem("[\\\"a\"").first, 1u) << "an escape outside of a string";
  EXPECT_EQ(problem("").first, 0u);
  EXPECT_EQ(problem(" \n").first, 2u);
}

TEST(JmespathDocument, keeps_the_last_value_of_a_repeated_name) {
  EXPECT_EQ(json_of(R"({"a":1,"b":2,"a":3})"), R"({"a":3,"b":2})");
  EXPECT_EQ(json_of(R"({"a":1,"\u0061":2})"), R"({"a":2})");
  std::string many = "{";
  for (int i = 0; i < 300; ++i) many += "\"a long name of a member " + std::to_string(i % 150) + "\":" + std::to_string(i) + ",";
  many.back() = '}';
  const auto document = Document::parse_borrowed(many).value();
  EXPECT_EQ(document.root().size(), 150u);
  EXPECT_EQ(document.root().find("a long name of a member 7")->integer(), 157);
  EXPECT_EQ(document.root().name(149), "a long name of a member 149");
}

TEST(JmespathDocument, finds_every_member_whatever_the_length_of_its_name) {
  for (const std::size_t count : {1u, 7u, 8u, 9u, 16u, 17u, 100u, 1000u}) {
    std::string text = "{";
    for (std::size_t i = 0; i < count; ++i) text += "\"" + std::string(i % 40, 'n') + std::to_string(i) + "\":" + std::to_string(i) + ",";
    text.back() = '}';
    const auto document = Document::parse_borrowed(text).value();
    for (std::size_t i = 0; i < count; ++i) {
      const auto found = document.root().find(std::string(i % 40, 'n') + std::to_string(i));
      ASSERT_TRUE(found) << count << " " << i;
      EXPECT_EQ(found->integer(), static_cast<std::int64_t>(i));
    }
    EXPECT_FALSE(document.root().find("nowhere"));
    EXPECT_FALSE(document.root().find(""));
  }
}

TEST(JmespathDocument, tells_names_apart_that_differ_only_in_their_middle) {
  const auto document = Document::parse(R"({"12345678-a-12345678":1,"12345678-b-12345678":2,"12345678-c-12345678":3})").value();
  EXPECT_EQ(document.root().find("12345678-b-12345678")->integer(), 2);
  EXPECT_EQ(document.root().find("12345678-d-12345678"), std::nullopt);
}

TEST(JmespathDocument, reads_nothing_beyond_the_text) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* mapped = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  auto* pages = static_cast<char*>(mapped);
  ASSERT_EQ(mprotect(pages + page, page, PROT_NONE), 0);
  const std::string text =
      R"({"abcdefghijklmnopqrstuvwxyz":["one\ntwo",12345678,true],"x":"0123456789012345678901234567890123456789","y":"z"})";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    char* at = pages + page - size;
    std::memcpy(at, text.data(), size);
    EXPECT_EQ(Document::parse_borrowed({at, size}).has_value(), size == text.size()) << size;
  }
  munmap(mapped, 2 * page);
}

// What is broken at random is JSON to both, or to neither; what is JSON reads back the same.
TEST(JmespathDocument, agrees_with_another_parser_on_damaged_texts) {
  std::mt19937 random(6);
  const std::string seed = R"({"a":[1,-2.5e3,"x\u00e9\n",{"b":null,"c":true}],"long name of a member":[[],{}],"d":"é😀"})";
  std::size_t valid = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seed;
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      constexpr std::string_view kBytes = "{}[]:,\"\\u0123456789eE+-.tfn \n\x01\x80\xffx";
      switch (random() % 3) {
        case 0:
          text[at] = kBytes[random() % kBytes.size()];
          break;
        case 1:
          text.erase(at, 1 + random() % 3);
          break;
        default:
          text.insert(at, 1, kBytes[random() % kBytes.size()]);
      }
    }
    const auto other = nlohmann::json::parse(text, nullptr, false);
    const auto mine = Document::parse_borrowed(text);
    // That library takes numbers beyond doubles for mistakes.
    if (text.find("e3") == std::string::npos && other.is_discarded() && mine) continue;
    ASSERT_EQ(mine.has_value(), !other.is_discarded()) << text;
    if (!mine) continue;
    ++valid;
    ASSERT_EQ(nlohmann::json::parse(mine->root().json().value()), other) << text;
  }
  EXPECT_GT(valid, 500u);
}

}  // namespace
