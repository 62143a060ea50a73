// MissingNames: what an archive did not have, remembered for a while: bounded by count and by age. Thread rule: one thread at a time.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include <setget/clock.hpp>

namespace setget::inline v0::detail {

class MissingNames {
 public:
  MissingNames(std::size_t most, Milliseconds age) noexcept : most_(age > Milliseconds(0) ? most : 0), age_(age) {}

  void add(std::string_view name, TimePoint now) {
    if (most_ == 0) return;
    erase(name);
    if (order_.size() == most_) erase(order_.front().name);
    order_.push_back({std::string(name), now});
    places_.emplace(order_.back().name, std::prev(order_.end()));
  }
  // One that is too old is dropped; so is one from the future, because the clock has stepped back and nobody knows its age.
  bool has(std::string_view name, TimePoint now) {
    const auto found = places_.find(name);
    if (found == places_.end()) return false;
    const auto since = found->second->since;
    if (since <= now && now - since < age_) return true;
    erase(name);
    return false;
  }
  void erase(std::string_view name) {
    const auto found = places_.find(name);
    if (found == places_.end()) return;
    const auto place = found->second;
    places_.erase(found);  // its key is a view of the entry
    order_.erase(place);
  }
  std::size_t size() const noexcept { return order_.size(); }

 private:
  struct Entry {
    std::string name;
    TimePoint since;
  };
  std::size_t most_;
  Milliseconds age_;
  std::list<Entry> order_;  // the oldest first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> places_;
};

}  // namespace setget::inline v0::detail
