#include <string>
#include <utility>

#include "redis/zstd_door.hpp"

#include <setget/redis.hpp>

namespace setget::inline v0::redis {
namespace {

Error invalid(std::string_view field, std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message)).at_field(std::string(field));
}

}  // namespace

Result<void> CodecOptions::validate() const {
  if (enabled && !zstd_available()) {
    return Error(ErrorCode::kUnsupported, "this build has no zstd: build it with SETGET_WITH_ZSTD").at_field("codec");
  }
  if (level < 1 || level > 19) return invalid("codec_level", "a level of zstd is 1 to 19");
  if (max_percent < 1 || max_percent > 100) return invalid("codec_max_percent", "must be 1 to 100");
  if (dictionary_bytes != 0 && (dictionary_bytes < 1024 || dictionary_bytes > (1u << 20))) {
    return invalid("dictionary_bytes", "a dictionary has 1 KiB to 1 MiB; 0 = none");
  }
  if (sample_records < 10 || sample_records > 1'000'000) return invalid("dictionary_sample_records", "must be 10 to 1000000");
  if (sample_bytes < 1024 || sample_bytes > (64u << 20)) return invalid("dictionary_sample_bytes", "must be 1 KiB to 64 MiB");
  return {};
}

}  // namespace setget::inline v0::redis
