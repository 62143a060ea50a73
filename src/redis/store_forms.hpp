// What stands beside the entries: buckets of what expires, lines of the change log, members of listing indexes. Thread rule: functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <setget/key_store.hpp>

namespace setget::inline v0::redis {

// The bucket in which something that expires at `at` waits, seen from `now`: fine for short lives, coarse for long ones.
struct Bucket {
  std::string name;
  TimePoint first;  // when the first of it may be due
  TimePoint end;
};
struct BucketNumber {
  unsigned width = 0;  // 2^width milliseconds
  std::int64_t number = 0;
  friend bool operator==(const BucketNumber&, const BucketNumber&) = default;
};
BucketNumber bucket_number(TimePoint at, TimePoint now) noexcept;
Bucket bucket_of(BucketNumber number);
std::optional<Bucket> parse_bucket(std::string_view name);

// A line of the change log.
struct LogLine {
  Version version = 0;
  Revision revision = 0;
  Stamp stamp = 0;
  bool tombstone = false;
  TombstoneReason reason = TombstoneReason::kErased;
  std::string_view name{};  // qualified
};
std::string encode_log_line(const LogLine& line);
// All of it but the name, which follows.
void encode_log_line_head(std::string& out, const LogLine& line);
std::optional<LogLine> decode_log_line(std::string_view bytes);

// A listing index orders by (identity_hash, id).
std::string index_member(std::string_view ns, std::string_view id);

}  // namespace setget::inline v0::redis
