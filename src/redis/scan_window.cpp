#include "redis/scan_window.hpp"

#include <algorithm>

namespace setget::inline v0::redis {

void FirstPlaces::add(const PlaceView& place) {
  // Behind the last of enough: it never comes into view.
  if (left_some_ && kept_ > 0 && view(items_[kept_ - 1]) < place) return;
  items_.push_back({.hash = place.hash,
                    .begin = static_cast<std::uint32_t>(bytes_.size()),
                    .ns_size = static_cast<std::uint16_t>(place.ns.size()),
                    .id_size = static_cast<std::uint16_t>(place.id.size())});
  bytes_.append(place.ns).append(place.id);
  if (items_.size() >= 2 * most_ || bytes_.size() >= 2 * most_bytes_) cut();
}

void FirstPlaces::cut() {
  std::ranges::sort(items_, [this](const Item& a, const Item& b) { return view(a) < view(b); });
  const auto same = [this](const Item& a, const Item& b) { return !(view(a) < view(b)) && !(view(b) < view(a)); };
  items_.erase(std::unique(items_.begin(), items_.end(), same), items_.end());
  std::string kept;
  kept.reserve(std::min(bytes_.size(), most_bytes_));
  kept_ = 0;
  for (auto& item : items_) {
    if (kept_ == most_ || (kept_ > 0 && kept.size() >= most_bytes_)) break;
    const auto bytes = std::string_view(bytes_).substr(item.begin, std::size_t{item.ns_size} + item.id_size);
    item.begin = static_cast<std::uint32_t>(kept.size());
    kept.append(bytes);
    ++kept_;
  }
  if (kept_ < items_.size()) left_some_ = true;
  items_.resize(kept_);
  bytes_ = std::move(kept);
}

std::size_t FirstPlaces::behind(const PlaceView& place) const {
  const auto at = std::upper_bound(items_.begin(), items_.end(), place, [this](const PlaceView& a, const Item& b) { return a < view(b); });
  return static_cast<std::size_t>(at - items_.begin());
}

}  // namespace setget::inline v0::redis
