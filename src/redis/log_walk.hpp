// LogWalk: the way that was handed out through the logs of a store's parts. A position of the store is how many lines of all parts lie
// before it; which ones, and what they said, is kept here, so that a reader goes on from where it was, and finds out when that is gone: a
// replica that takes over may lack the end of a log, and others then write other lines at the same positions. Thread rule: values.
#pragma once

#include <cstdint>
#include <deque>
#include <numeric>
#include <optional>
#include <string_view>
#include <vector>

#include <setget/key_store.hpp>
#include <setget/record.hpp>

namespace setget::inline v0::redis {

class LogWalk {
 public:
  // Tells one line from another.
  using Digest = std::uint32_t;
  static Digest digest_of(std::string_view line) noexcept { return static_cast<Digest>(key_hash({}, line)); }

  struct Step {
    std::uint32_t part;
    Digest digest;  // of the line
  };
  // Where a position lies in each part, and the line before it there; empty where none was handed out.
  struct Place {
    std::vector<Position> positions{};
    std::vector<std::optional<Digest>> last{};
  };

  explicit LogWalk(std::vector<Position> from) : from_(std::move(from)), begin_(std::accumulate(from_.begin(), from_.end(), Position{0})) {}
  Position begin() const noexcept { return begin_; }
  Position end() const noexcept { return begin_ + steps_.size(); }
  // Precondition of those that take a position: begin() <= position <= end().
  Place at(Position position) const {
    Place place{.positions = from_, .last = std::vector<std::optional<Digest>>(from_.size())};
    const auto count = static_cast<std::size_t>(position - begin_);
    if (from_.size() == 1) {
      place.positions[0] = position;
      if (count > 0) place.last[0] = steps_[count - 1].digest;
      return place;
    }
    for (std::size_t i = 0; i < count; ++i) {
      ++place.positions[steps_[i].part];
      place.last[steps_[i].part] = steps_[i].digest;
    }
    return place;
  }
  // The step behind a position. Precondition: position < end().
  Step behind(Position position) const { return steps_[static_cast<std::size_t>(position - begin_)]; }
  void add(Step step) { steps_.push_back(step); }
  // Forgets what lies behind a position, or the steps before it that are more than `most`.
  void cut(Position position) { steps_.resize(static_cast<std::size_t>(position - begin_)); }
  void shorten(Position position, std::size_t most) {
    while (steps_.size() > most && begin_ < position) {
      ++from_[steps_.front().part];
      steps_.pop_front();
      ++begin_;
    }
  }

 private:
  std::vector<Position> from_;
  Position begin_ = 0;  // the sum of from_
  std::deque<Step> steps_;
};

}  // namespace setget::inline v0::redis
