// CharSet: a set of code points as sorted ranges. Private to the validator.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace setget::inline v0::detail::schema {

class CharSet {
 public:
  using Range = std::pair<std::uint32_t, std::uint32_t>;
  static constexpr std::uint32_t kMax = 0x10FFFF;

  void add(std::uint32_t first, std::uint32_t last) { ranges_.emplace_back(first, last), sorted_ = false; }
  void add(const CharSet& other) {
    ranges_.insert(ranges_.end(), other.ranges().begin(), other.ranges().end());
    sorted_ = false;
  }
  const std::vector<Range>& ranges() const {
    if (!sorted_) sort();
    return ranges_;
  }
  CharSet complement() const {
    CharSet out;
    std::uint32_t next = 0;
    for (const auto& [first, last] : ranges()) {
      if (first > next) out.add(next, first - 1);
      next = last + 1;
    }
    if (next <= kMax) out.add(next, kMax);
    return out;
  }
  bool has(std::uint32_t code) const {
    const auto& all = ranges();
    auto after = std::upper_bound(all.begin(), all.end(), Range{code, kMax + 1});
    return after != all.begin() && (--after)->second >= code;
  }
  bool meets(const CharSet& other) const {
    return std::ranges::any_of(ranges(), [&](const Range& mine) {
      return std::ranges::any_of(other.ranges(), [&](const Range& its) { return mine.first <= its.second && its.first <= mine.second; });
    });
  }
  bool empty() const { return ranges_.empty(); }

 private:
  void sort() const {
    std::ranges::sort(ranges_);
    std::vector<Range> merged;
    for (const auto& range : ranges_) {
      if (!merged.empty() && range.first <= merged.back().second + 1) {
        merged.back().second = std::max(merged.back().second, range.second);
      } else {
        merged.push_back(range);
      }
    }
    ranges_ = std::move(merged);
    sorted_ = true;
  }
  mutable std::vector<Range> ranges_;
  mutable bool sorted_ = true;
};

// \d, \w and \s of ECMA-262.
CharSet digits();
CharSet word_characters();
CharSet spaces();
CharSet line_ends();

}  // namespace setget::inline v0::detail::schema
