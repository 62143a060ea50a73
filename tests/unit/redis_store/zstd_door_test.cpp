#include "redis/zstd_door.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <setget/redis.hpp>

namespace setget::redis {
namespace {

#ifdef SETGET_WITH_ZSTD

std::uint64_t next(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  return z ^ (z >> 27);
}

std::string document(std::uint64_t number) {
  auto state = number;
  return R"({"customer":{"name":"customer )" + std::to_string(next(state) % 1000) + R"(","address":"Main Street )" +
         std::to_string(next(state) % 100) + R"(","country":"Freedonia"},"lines":[{"article":"socks, grey, large","price":)" +
         std::to_string(next(state) % 10'000) + R"(}],"reference":")" + std::to_string(next(state)) + R"("})";
}

std::vector<Payload> documents(std::size_t count) {
  std::vector<Payload> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(Payload::adopt(document(i)));
  return out;
}

std::string noise(std::size_t size) {
  std::uint64_t state = size;
  std::string out(size, '\0');
  for (auto& c : out) c = static_cast<char>(next(state));
  return out;
}

TEST(ZstdDoor, Every_size_comes_back_as_it_was) {
  for (std::size_t size = 1; size < 3'000'000; size = size * 3 / 2 + 1) {
    std::string text;
    while (text.size() < size) text += document(text.size());
    text.resize(size);
    const auto shrunk = shrink(text, nullptr, 3, text.size() + 64);
    ASSERT_TRUE(shrunk) << size;
    const auto back = expand(*shrunk, nullptr);
    ASSERT_TRUE(back) << size << ": " << back.error().message();
    ASSERT_EQ(back->view(), text);
  }
}

TEST(ZstdDoor, What_cannot_be_made_smaller_stays) {
  EXPECT_FALSE(shrink(noise(5000), nullptr, 3, 5000));
  EXPECT_FALSE(shrink("{}", nullptr, 3, 2));
  EXPECT_FALSE(shrink("", nullptr, 3, 0));
}

TEST(ZstdDoor, A_dictionary_makes_small_documents_much_smaller) {
  const auto trained = train_dictionary(documents(500), 16 << 10, 3);
  ASSERT_TRUE(trained);
  const ZstdDictionary dictionary(*trained, 3);
  const auto text = document(123'456);
  const auto with = shrink(text, &dictionary, 3, text.size());
  const auto without = shrink(text, nullptr, 3, text.size());
  ASSERT_TRUE(with && without);
  EXPECT_LT(with->size() * 2, without->size());
  const auto back = expand(*with, &dictionary);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->view(), text);
  // Another dictionary, or none, is noticed.
  const auto others = train_dictionary(documents(300), 8 << 10, 3);
  ASSERT_TRUE(others);
  const ZstdDictionary other(*others, 3);
  EXPECT_EQ(expand(*with, nullptr).error().code(), ErrorCode::kCorrupted);
  const auto wrong = expand(*with, &other);
  EXPECT_TRUE(!wrong || wrong->view() == text);
}

TEST(ZstdDoor, Nothing_is_trained_from_nothing) {
  EXPECT_FALSE(train_dictionary({}, 16 << 10, 3));
  EXPECT_FALSE(train_dictionary(documents(5), 16 << 10, 3));
  std::vector<Payload> different;
  for (std::size_t i = 0; i < 100; ++i) different.push_back(Payload::adopt(noise(200 + i)));
  EXPECT_FALSE(train_dictionary(different, 16 << 10, 3));
  EXPECT_FALSE(train_dictionary(documents(500), 0, 3));
}

TEST(ZstdDoor, Every_damaged_byte_is_noticed) {
  const auto trained = train_dictionary(documents(500), 16 << 10, 3);
  ASSERT_TRUE(trained);
  const ZstdDictionary dictionary(*trained, 3);
  for (const auto* with : {static_cast<const ZstdDictionary*>(nullptr), &dictionary}) {
    const auto text = document(7) + document(8);
    const auto shrunk = shrink(text, with, 3, text.size());
    ASSERT_TRUE(shrunk);
    const auto check = [&](const std::string& bytes) {
      const auto back = expand(bytes, with);
      if (back) {
        EXPECT_EQ(back->view(), text);
      } else {
        EXPECT_EQ(back.error().code(), ErrorCode::kCorrupted);
      }
    };
    for (std::size_t at = 0; at < shrunk->size(); ++at) {
      for (int flip = 1; flip < 256; ++flip) {
        auto bytes = *shrunk;
        bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ flip);
        check(bytes);
      }
    }
    for (std::size_t size = 0; size < shrunk->size(); ++size) {
      EXPECT_FALSE(expand(shrunk->substr(0, size), with)) << size;
    }
    EXPECT_FALSE(expand(*shrunk + "x", with));
    EXPECT_FALSE(expand(*shrunk + *shrunk, with));
  }
  for (std::size_t size = 0; size < 2000; ++size) EXPECT_FALSE(expand(noise(size), nullptr));
}

TEST(ZstdDoor, A_frame_that_claims_to_be_huge_is_refused_before_memory_is_taken) {
  // A header with an eight-byte content size of 2^40, single segment.
  std::string frame("\xe0", 1);
  frame.append(std::string("\0\0\0\0\0\1\0\0", 8)).append("\1\0\0", 3);
  const auto back = expand(frame, nullptr);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code(), ErrorCode::kCorrupted);
  EXPECT_NE(back.error().message().find("larger than any body"), std::string::npos) << back.error().message();
}

#else

TEST(ZstdDoor, Without_zstd_the_codec_is_refused_and_nothing_else) {
  EXPECT_FALSE(zstd_available());
  EXPECT_TRUE(CodecOptions{}.validate());
  EXPECT_EQ(CodecOptions{.enabled = true}.validate().error().code(), ErrorCode::kUnsupported);
  EXPECT_FALSE(shrink("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", nullptr, 3, 40));
  EXPECT_EQ(expand("x", nullptr).error().code(), ErrorCode::kUnsupported);
}

#endif

TEST(CodecOptions, Fields_out_of_range_are_named) {
  EXPECT_EQ(CodecOptions{.level = 0}.validate().error().field(), "codec_level");
  EXPECT_EQ(CodecOptions{.level = 20}.validate().error().field(), "codec_level");
  EXPECT_EQ(CodecOptions{.max_percent = 101}.validate().error().field(), "codec_max_percent");
  EXPECT_EQ(CodecOptions{.dictionary_bytes = 100}.validate().error().field(), "dictionary_bytes");
  EXPECT_EQ(CodecOptions{.sample_records = 1}.validate().error().field(), "dictionary_sample_records");
  EXPECT_EQ(CodecOptions{.sample_bytes = 1}.validate().error().field(), "dictionary_sample_bytes");
}

}  // namespace
}  // namespace setget::redis
