#include "splitter.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

struct Split {
  std::vector<std::string> envelopes;
  std::vector<std::uint64_t> lines;
  setget::Result<void> result;
};

Split split(std::string_view text, std::size_t piece, std::size_t max_bytes = 1000) {
  Split got;
  cli::EnvelopeSplitter splitter(max_bytes, [&](std::string&& envelope, std::uint64_t line) {
    got.envelopes.push_back(std::move(envelope));
    got.lines.push_back(line);
    return setget::Result<void>();
  });
  for (std::size_t at = 0; at < text.size() && got.result; at += piece) got.result = splitter.feed(text.substr(at, piece));
  if (got.result) got.result = splitter.finish();
  return got;
}

TEST(EnvelopeSplitter, finds_the_same_borders_however_the_stream_is_cut) {
  const std::string array = " [\n{\"a\":\"}]\\\"\\\\\"},\n\n {\"b\":[{},[1]]}\n] \n";
  const std::string lines = "\n{\"a\":1}\r\n\n  {\"b\":2}";
  for (std::size_t piece = 1; piece < 40; ++piece) {
    const Split from_array = split(array, piece);
    ASSERT_TRUE(from_array.result) << piece;
    EXPECT_EQ(from_array.envelopes, (std::vector<std::string>{"{\"a\":\"}]\\\"\\\\\"}", "{\"b\":[{},[1]]}"}));
    EXPECT_EQ(from_array.lines, (std::vector<std::uint64_t>{2, 4}));
    const Split from_lines = split(lines, piece);
    ASSERT_TRUE(from_lines.result);
    EXPECT_EQ(from_lines.envelopes, (std::vector<std::string>{"{\"a\":1}\r", "{\"b\":2}"}));
    EXPECT_EQ(from_lines.lines, (std::vector<std::uint64_t>{2, 4}));
  }
}

TEST(EnvelopeSplitter, refuses_arrays_that_are_none) {
  for (const char* text : {"[", "[{}", "[{},", "[{},]", "[,{}]", "[{} {}]", "[1]", "[{}]]", "[{}] x", "[{\"a\":\"}]"}) {
    EXPECT_FALSE(split(text, 2).result) << text;
  }
  EXPECT_TRUE(split("[]", 1).result);
  EXPECT_TRUE(split("", 1).result);
}

TEST(EnvelopeSplitter, holds_at_most_its_limit) {
  const std::string long_line(101, 'x');
  EXPECT_EQ(split(long_line, 7, 100).result.error().code(), setget::ErrorCode::kTooLarge);
  EXPECT_EQ(split("[{\"a\":\"" + long_line, 7, 100).result.error().code(), setget::ErrorCode::kTooLarge);
}

}  // namespace
