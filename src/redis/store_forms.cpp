#include "redis/store_forms.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "core/varint.hpp"

#include <setget/key_store.hpp>

namespace setget::inline v0::redis {
namespace {

using setget::detail::ByteReader;
using setget::detail::put_varint;

constexpr char kLogFormat = 1;

}  // namespace

BucketNumber bucket_number(TimePoint at, TimePoint now) noexcept {
  const auto life = static_cast<std::uint64_t>(std::clamp<std::int64_t>((at - now).count() / 64, 1000, std::int64_t{1} << 40));
  const unsigned width = static_cast<unsigned>(std::bit_width(life)) - 1;
  const auto ms = at.time_since_epoch().count();
  return {.width = width, .number = (ms < 0 ? 0 : ms) >> width};
}

Bucket bucket_of(BucketNumber bucket) {
  return {.name = fmt::format("x:{}.{}", bucket.width, bucket.number),
          .first = TimePoint(Milliseconds(bucket.number << bucket.width)),
          .end = TimePoint(Milliseconds((bucket.number + 1) << bucket.width))};
}

std::optional<Bucket> parse_bucket(std::string_view name) {
  if (!name.starts_with("x:")) return std::nullopt;
  unsigned width = 0;
  std::int64_t number = 0;
  const auto* end = name.data() + name.size();
  auto [dot, failed] = std::from_chars(name.data() + 2, end, width);
  if (failed != std::errc() || dot == end || *dot != '.' || width > 60) return std::nullopt;
  auto [last, bad] = std::from_chars(dot + 1, end, number);
  if (bad != std::errc() || last != end) return std::nullopt;
  return bucket_of({.width = width, .number = number});
}

std::string encode_log_line(const LogLine& line) {
  std::string out;
  encode_log_line_head(out, line);
  out.append(line.name);
  return out;
}

void encode_log_line_head(std::string& out, const LogLine& line) {
  out.push_back(kLogFormat);
  put_varint(out, line.version);
  put_varint(out, line.revision);
  put_varint(out, line.stamp);
  out.push_back(static_cast<char>(line.tombstone ? static_cast<std::uint8_t>(line.reason) : 0));
}

std::optional<LogLine> decode_log_line(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.byte() != static_cast<std::uint8_t>(kLogFormat)) return std::nullopt;
  const auto version = in.varint();
  const auto revision = in.varint();
  const auto stamp = in.varint();
  const auto reason = in.byte();
  if (!version || !revision || !stamp || !reason || *reason > static_cast<std::uint8_t>(TombstoneReason::kExpired)) return std::nullopt;
  return LogLine{.version = *version,
                 .revision = *revision,
                 .stamp = *stamp,
                 .tombstone = *reason != 0,
                 .reason = static_cast<TombstoneReason>(*reason == 0 ? 1 : *reason),
                 .name = bytes.substr(in.position())};
}

std::string index_member(std::string_view ns, std::string_view id) {
  const auto hash = identity_hash(ns, id);
  std::string out;
  out.reserve(8 + id.size());
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(hash >> shift & 0xff));
  out.append(id);
  return out;
}

}  // namespace setget::inline v0::redis
