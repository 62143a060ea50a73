#include "core/varint.hpp"

#include <setget/payload.hpp>

namespace setget::inline v0 {

Payload Payload::copy(std::string_view bytes) { return adopt(std::string(bytes)); }

Payload Payload::adopt(std::string&& bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  const std::string_view view(*owner);
  return {std::move(owner), view};
}

void KeyList::Iterator::load() noexcept {
  if (next_ == end_) {
    current_ = {};
    return;
  }
  detail::ByteReader reader({next_, static_cast<std::size_t>(end_ - next_)});
  const auto key = reader.sized_bytes();
  if (!key) {  // cannot be: packed bytes are checked when they are made
    next_ = end_;
    current_ = {};
    return;
  }
  current_ = *key;
  next_ += reader.position();
}

namespace {
template <class Keys>
Payload pack(const Keys& keys) {
  std::string packed;
  std::size_t size = 0;
  for (const auto& key : keys) size += key.size() + 2;
  packed.reserve(size);
  for (const auto& key : keys) detail::put_bytes(packed, key);
  return Payload::adopt(std::move(packed));
}
}  // namespace

KeyList::KeyList(std::initializer_list<std::string_view> keys) : packed_(pack(keys)), count_(keys.size()) {}
KeyList::KeyList(std::span<const std::string> keys) : packed_(pack(keys)), count_(keys.size()) {}
KeyList::KeyList(std::span<const std::string_view> keys) : packed_(pack(keys)), count_(keys.size()) {}

KeyList KeyList::from_packed(Payload packed, std::size_t count) {
  KeyList list;
  list.packed_ = std::move(packed);
  list.count_ = count;
  return list;
}

bool KeyList::contains(std::string_view key) const noexcept {
  for (const auto listed : *this) {
    if (listed == key) return true;
  }
  return false;
}

}  // namespace setget::inline v0
