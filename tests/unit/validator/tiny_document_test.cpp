// Tiny documents have a reader and a room of their own: what they are is what they would be to the other readers, which a text meets that
// is made long by spaces.
#include <setget/json_schema.hpp>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace {

using setget::ErrorCode;
using setget::json_schema::Document;
using setget::json_schema::Validator;

std::string long_one(const std::string& text) { return text + std::string(100, ' '); }

Validator only(const std::string& text) { return Validator::compile(R"({"const":)" + text + "}").value(); }

const std::vector<std::string>& texts() {
  static const std::vector<std::string> all = {"0",
                                               "-0",
                                               "7",
                                               "-12",
                                               "123456789012345678",
                                               "1234567890123456789",
                                               "18446744073709551615",
                                               "1.5",
                                               "-0.0",
                                               "1.0",
                                               "0.1e1",
                                               "1E+2",
                                               "12345678901234.5",
                                               "123456789012345.6",
                                               "1234567890123456e2",
                                               "1e99",
                                               "1e100",
                                               "-1.25e-7",
                                               "null",
                                               "true",
                                               "false",
                                               R"("")",
                                               R"("a")",
                                               R"("abcdefgh")",
                                               R"("abcdefghijklmnopq")",
                                               R"("\u00e9\n")",
                                               R"("é")",
                                               "[]",
                                               "{}",
                                               " [ ] ",
                                               "\t{ }\n",
                                               "[1]",
                                               "[1,2,3]",
                                               "[[],{},[[]]]",
                                               R"({"a":1})",
                                               R"({"foo":"bar","quux":[1.5,null]})",
                                               R"({"":{"":[]}})",
                                               R"({"a":1,"a":2})",
                                               "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]",
                                               R"(["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"])"};
  return all;
}

TEST(TinyDocument, is_what_it_is_to_the_other_readers) {
  for (const auto& text : texts()) {
    SCOPED_TRACE(text);
    const auto same = only(text);
    for (const auto& other : texts()) {
      Document tiny;
      Document large;
      ASSERT_TRUE(tiny.parse(other));
      ASSERT_TRUE(large.parse(long_one(other)));
      const bool expected = same.is_valid(large).value();
      EXPECT_EQ(same.is_valid(tiny).value(), expected) << other;
      EXPECT_EQ(same.is_valid(other).value(), expected) << other;
      EXPECT_EQ(same.is_valid(tiny.view()).value(), expected) << other;
      const auto of_tiny = same.validate(tiny).value().basic();
      EXPECT_EQ(of_tiny, same.validate(large).value().basic()) << other;
      EXPECT_EQ(of_tiny, same.validate(other).value().basic()) << other;
    }
  }
}

TEST(TinyDocument, is_refused_where_the_other_readers_refuse_it) {
  const auto any = Validator::compile("{}").value();
  std::mt19937 random(20261129);
  const std::string letters = "{}[]\":,0123456789.eE+-truefalsn \\u\x01\xC3\xA9";
  for (int i = 0; i < 20'000; ++i) {
    std::string text = texts()[random() % texts().size()];
    for (auto edits = random() % 3; edits > 0 && !text.empty(); --edits) {
      const auto at = random() % text.size();
      const char letter = letters[random() % letters.size()];
      switch (random() % 3) {
        case 0:
          text[at] = letter;
          break;
        case 1:
          text.insert(at, 1, letter);
          break;
        default:
          text.erase(at, 1);
      }
    }
    Document tiny;
    Document large;
    const auto expected = large.parse(long_one(text));
    const auto parsed = tiny.parse(text);
    ASSERT_EQ(parsed.has_value(), expected.has_value()) << text;
    ASSERT_EQ(any.is_valid(text).has_value(), expected.has_value()) << text;
    if (!expected) {
      ASSERT_EQ(parsed.error().code(), expected.error().code()) << text;
      continue;
    }
    // As a constant it is read by the exact reader.
    ASSERT_TRUE(only(text).is_valid(tiny).value()) << text;
    ASSERT_TRUE(only(text).is_valid(large).value()) << text;
  }
}

TEST(TinyDocument, keeps_to_limits) {
  Document document;
  EXPECT_EQ(document.parse("[[[1]]]", 2).error().code(), ErrorCode::kTooLarge);
  EXPECT_TRUE(document.parse("[[1]]", 2));
  setget::json_schema::Options options;
  options.limits.max_document_bytes = 3;
  const auto validator = Validator::compile("{}", options).value();
  EXPECT_TRUE(validator.is_valid("[1]").value());
  EXPECT_EQ(validator.is_valid("[12]").error().code(), ErrorCode::kTooLarge);
}

TEST(TinyDocument, moves_with_its_content_and_is_written_again) {
  const auto one = only(R"({"a":"b"})");
  const auto null = only("null");
  Document first;
  ASSERT_TRUE(first.parse(R"({"a":"b"})"));
  Document second(std::move(first));
  EXPECT_TRUE(null.is_valid(first).value());  // NOLINT(bugprone-use-after-move): says so
  EXPECT_TRUE(one.is_valid(second).value());
  ASSERT_TRUE(first.parse(long_one(R"(["long"])")));
  first = std::move(second);
  EXPECT_TRUE(one.is_valid(first).value());
  std::vector<Document> many;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(many.emplace_back().parse(R"({"a":"b"})"));
  }
  for (const auto& document : many) EXPECT_TRUE(one.is_valid(document).value());
  // Large, tiny, broken, tiny.
  ASSERT_TRUE(first.parse(long_one("12345678901234567890123")));
  ASSERT_TRUE(first.parse(R"({"a":"b"})"));
  EXPECT_TRUE(one.is_valid(first).value());
  EXPECT_FALSE(first.parse("{"));
  EXPECT_TRUE(null.is_valid(first).value());
  ASSERT_TRUE(first.parse(R"({"a":"b"})"));
  EXPECT_EQ(first.root_tag(), '{');
  EXPECT_TRUE(one.is_valid(first).value());
}

}  // namespace
