// What backends share that digest ranges of identities; inline, because they are libraries of their own. Thread rule: any thread.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <setget/archive.hpp>
#include <setget/key_store.hpp>

namespace setget::inline v0::detail {

inline bool counts(bool tombstone, const std::optional<TimePoint>& expires_at, TimePoint now) {
  return !tombstone && (!expires_at || *expires_at > now);
}
inline bool counts(const Summary& summary, TimePoint now) { return counts(summary.tombstone, summary.expires_at, now); }

// What an entry_digest() is of, where it stands.
struct EntryView {
  std::string_view ns{};
  std::string_view id{};
  Version version = 0;
  Revision revision = 0;
  Stamp stamp = 0;
  TtlRule ttl_rule{};
  std::optional<TimePoint> expires_at{};
  Digest content{};
};

inline Digest entry_digest(const EntryView& entry) {
  // Both texts with their lengths before them, then numbers, the lowest byte first: for nearly all of them this is room enough.
  constexpr std::size_t kMostNumbers = 80;
  std::array<char, 256> near{};
  std::string far;
  char* out = near.data();
  if (entry.ns.size() + entry.id.size() + kMostNumbers > near.size()) {
    far.resize(entry.ns.size() + entry.id.size() + kMostNumbers);
    out = far.data();
  }
  char* at = out;
  const auto put = [&at](std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) *at++ = static_cast<char>(value >> shift & 0xff);
  };
  for (const auto text : {entry.ns, entry.id}) {
    auto size = text.size();
    for (; size >= 0x80; size >>= 7) *at++ = static_cast<char>(size | 0x80);
    *at++ = static_cast<char>(size);
    at += text.copy(at, text.size());
  }
  put(entry.version);
  put(entry.revision);
  put(entry.stamp);
  *at++ = static_cast<char>(entry.ttl_rule);
  *at++ = entry.expires_at ? '\1' : '\0';
  if (entry.expires_at) put(static_cast<std::uint64_t>(entry.expires_at->time_since_epoch().count()));
  put(entry.content.high);
  put(entry.content.low);
  return digest_of(std::string_view(out, static_cast<std::size_t>(at - out)));
}

// Empty ranges at `starts`; kInvalidArgument where they do not rise from 0.
inline Result<std::vector<RangeDigest>> ranges_at(std::span<const std::uint64_t> starts) {
  std::vector<RangeDigest> ranges;
  ranges.reserve(starts.size());
  for (const auto start : starts) {
    if (ranges.empty() ? start != 0 : start <= ranges.back().first) {
      return Error(ErrorCode::kInvalidArgument, "ranges must rise from 0").at_field("starts");
    }
    ranges.push_back({.first = start, .count = 0, .sum = {}});
  }
  if (ranges.empty()) return Error(ErrorCode::kInvalidArgument, "there must be a range").at_field("starts");
  return ranges;
}

// Of two parts of one range.
inline void add_part(RangeDigest& to, const RangeDigest& part) {
  const auto count = to.count + part.count;
  to.add(part.sum);
  to.count = count;
}

// Cuts ranges out of entries that come in rising order of their hashes: each ends behind `size` of them, and at the end of their hash. With
// more than `most` ranges two become one, and each takes twice as many.
class RangeCutter {
 public:
  RangeCutter(std::size_t size, std::size_t most) : size_(std::max<std::uint64_t>(size, 1)), most_(most), ranges_(1) {}

  void add(std::uint64_t hash, const Digest& entry) {
    if (ranges_.back().count >= size_ && hash != last_) {
      if (ranges_.size() >= most_ && ranges_.size() > 1) {
        halve();
        size_ *= 2;
      }
      if (ranges_.back().count >= size_ && ranges_.size() < most_) ranges_.push_back({.first = hash, .count = 0, .sum = {}});
    }
    last_ = hash;
    ranges_.back().add(entry);
  }
  std::vector<RangeDigest> take() { return std::move(ranges_); }

 private:
  // Half as many ranges, each twice as large.
  void halve() {
    std::size_t kept = 0;
    for (std::size_t at = 0; at < ranges_.size(); at += 2) {
      auto both = ranges_[at];
      if (at + 1 < ranges_.size()) add_part(both, ranges_[at + 1]);
      ranges_[kept++] = both;
    }
    ranges_.resize(kept);
  }

  std::uint64_t size_;
  std::size_t most_;
  std::uint64_t last_ = 0;
  std::vector<RangeDigest> ranges_;
};

inline RangeDigest& range_of(std::vector<RangeDigest>& ranges, std::uint64_t hash) {
  return *(std::ranges::upper_bound(ranges, hash, {}, &RangeDigest::first) - 1);
}

// The ranges that were asked for, of entries that come in rising order of their hashes.
class RangeSums {
 public:
  // Errors: kInvalidArgument with the field.
  static Result<RangeSums> of(const DigestRecords& request) {
    if (request.max_ranges == 0) return Error(ErrorCode::kInvalidArgument, "max_ranges must be > 0").at_field("max_ranges");
    RangeSums sums(RangeCutter(request.entries, request.max_ranges));
    if (request.starts.empty()) return sums;
    auto given = ranges_at(request.starts);
    if (!given) return std::move(given).error();
    sums.given_ = *std::move(given);
    return sums;
  }

  void add(std::uint64_t hash, const Digest& entry) {
    if (given_.empty()) {
      cut_.add(hash, entry);
    } else {
      range_of(given_, hash).add(entry);
    }
  }
  std::vector<RangeDigest> take() { return given_.empty() ? cut_.take() : std::move(given_); }

 private:
  explicit RangeSums(RangeCutter cut) : cut_(std::move(cut)) {}
  RangeCutter cut_;
  std::vector<RangeDigest> given_;
};

// Starts of ranges of `entries` each, were `count` entries spread evenly over all hashes; at most `most`.
inline std::vector<std::uint64_t> even_ranges(std::uint64_t count, std::uint64_t entries, std::uint64_t most) {
  const auto ranges = std::clamp<std::uint64_t>(count / entries, 1, most);
  const auto width = ~std::uint64_t{0} / ranges;
  std::vector<std::uint64_t> starts(ranges);
  for (std::uint64_t i = 0; i < ranges; ++i) starts[i] = i * width;
  return starts;
}

}  // namespace setget::inline v0::detail
