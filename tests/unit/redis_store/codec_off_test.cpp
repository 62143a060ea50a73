// A build without zstd: it says so where the codec is asked for, and where it meets what another build compressed.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "redis/zstd_door.hpp"

#include <setget/redis.hpp>

namespace {

using namespace setget;

TEST(WithoutZstd, the_codec_is_refused_with_what_to_do) {
  ASSERT_FALSE(redis::zstd_available()) << "this program is built without it on purpose";
  redis::CodecOptions options;
  EXPECT_TRUE(options.validate().has_value()) << "off, it asks for nothing";
  options.enabled = true;
  const auto refused = options.validate();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(refused.error().field(), "codec");
  EXPECT_NE(refused.error().message().find("SETGET_WITH_ZSTD"), std::string::npos) << refused.error().message();
}

TEST(WithoutZstd, compressed_bodies_are_an_error_and_nothing_is_made_smaller) {
  const std::string text(1000, 'x');
  EXPECT_FALSE(redis::shrink(text, nullptr, 3, text.size()).has_value());
  const redis::ZstdDictionary dictionary(text, 3);
  EXPECT_FALSE(redis::shrink(text, &dictionary, 3, text.size()).has_value());
  const auto body = redis::expand("frame", nullptr);
  ASSERT_FALSE(body.has_value());
  EXPECT_EQ(body.error().code(), ErrorCode::kUnsupported);
  EXPECT_NE(body.error().message().find("zstd"), std::string::npos) << body.error().message();
  EXPECT_FALSE(redis::train_dictionary(std::vector<Payload>(100, Payload(text)), 32 << 10, 3).has_value());
}

}  // namespace
