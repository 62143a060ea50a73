#include "http/hot_gets.hpp"

#include <functional>
#include <utility>

namespace setget::inline v0::detail {
namespace {

constexpr std::size_t kPlaces = 4096;  // a power of two

thread_local HotGets* current = nullptr;

std::uint64_t hash_of(std::string_view head) noexcept { return std::hash<std::string_view>{}(head); }

std::size_t size_of(const HotGets::Hot& hot) noexcept {
  return sizeof hot + hot.head.capacity() + hot.repeat.key.capacity() + hot.repeat.ns.capacity() + hot.response.capacity();
}

}  // namespace

HotGets* HotGets::of_this_thread() noexcept { return current; }
HotGets::Scope::Scope(HotGets& hot) noexcept { current = &hot; }
HotGets::Scope::~Scope() { current = nullptr; }

std::string_view HotGets::head_in(std::string_view bytes) noexcept {
  constexpr std::string_view kEnd = "\r\n\r\n";
  if (!bytes.starts_with("GET ")) return {};
  const auto end = bytes.find(kEnd);
  return end == std::string_view::npos ? std::string_view() : bytes.substr(0, end + kEnd.size());
}

HotGets::Place& HotGets::place_of(std::uint64_t hash) {
  if (places_.empty()) places_.resize(kPlaces);
  return places_[hash % kPlaces];
}

void HotGets::clear(Place& place) noexcept {
  if (place.hot == nullptr) return;
  bytes_ -= size_of(*place.hot);
  place.hot.reset();
}

const HotGets::Hot* HotGets::find(std::string_view head, bool& worth_keeping) {
  const auto hash = hash_of(head);
  auto& place = place_of(hash);
  if (place.hot != nullptr && place.hot->head == head) return place.hot.get();
  worth_keeping = std::exchange(place.asked, hash) == hash;
  return nullptr;
}

void HotGets::forget(std::string_view head) noexcept {
  if (places_.empty()) return;
  auto& place = places_[hash_of(head) % kPlaces];
  if (place.hot != nullptr && place.hot->head == head) clear(place);
}

void HotGets::keep(Hot hot) {
  // A string that was used before can have room for far more than it holds.
  for (auto* text : {&hot.head, &hot.repeat.key, &hot.repeat.ns, &hot.response}) text->shrink_to_fit();
  const auto more = size_of(hot);
  if (more > kLargest) return;
  const auto hash = hash_of(hot.head);
  auto& place = place_of(hash);
  clear(place);
  if (bytes_ + more > kMostBytes) {
    for (auto& one : places_) clear(one);
  }
  place.hot = std::make_unique<const Hot>(std::move(hot));
  place.asked = hash;
  bytes_ += more;
}

}  // namespace setget::inline v0::detail
