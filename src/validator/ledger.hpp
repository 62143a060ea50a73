// Ledger: words one after another, until all are cleared; what a report keeps of its violations before their texts are written. Places are
// numbers, for the words move as it grows. Private to the validator. Thread rule: as any value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace setget::inline v0::detail::schema {

class Ledger {
 public:
  Ledger() = default;
  // As large as it is full.
  Ledger(const Ledger& other) : size_(other.size_), capacity_(other.size_) {
    if (size_ == 0) return;
    words_ = std::make_unique_for_overwrite<std::uint64_t[]>(size_);
    std::memcpy(words_.get(), other.words_.get(), size_ * sizeof(std::uint64_t));
  }
  Ledger(Ledger&& other) noexcept
      : words_(std::move(other.words_)), size_(std::exchange(other.size_, 0)), capacity_(std::exchange(other.capacity_, 0)) {}
  Ledger& operator=(Ledger other) noexcept {
    words_ = std::move(other.words_);
    size_ = other.size_;
    capacity_ = other.capacity_;
    return *this;
  }
  ~Ledger() = default;

  void clear() noexcept { size_ = 0; }
  std::size_t bytes() const noexcept { return capacity_ * sizeof(std::uint64_t); }
  // The place of so many words, whose content is anything.
  std::size_t take(std::size_t words) {
    const auto place = size_;
    if (capacity_ - place < words) grow(words);
    size_ = place + words;
    return place;
  }
  std::uint64_t* at(std::size_t place) noexcept { return words_.get() + place; }
  const std::uint64_t* at(std::size_t place) const noexcept { return words_.get() + place; }

  template <class T>
  static constexpr std::size_t kWordsOf = (sizeof(T) + 7) / 8;
  // Made in place: a copy of what was just made elsewhere would wait for it.
  template <class T, class... Fields>
  void make(std::size_t place, const Fields&... fields) noexcept {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T> && alignof(T) <= alignof(std::uint64_t));
    ::new (static_cast<void*>(at(place))) T{fields...};
  }
  // What was made there; until the ledger grows.
  template <class T>
  const T& read(std::size_t place) const noexcept {
    return *std::launder(reinterpret_cast<const T*>(at(place)));
  }
  // A text as tapes have it: its size in four bytes, then itself.
  std::size_t put_text(std::string_view text) {
    const auto place = take((text.size() + 4 + 7) / 8);
    auto* const to = reinterpret_cast<char*>(at(place));
    const auto size = static_cast<std::uint32_t>(text.size());
    std::memcpy(to, &size, sizeof size);
    copy(to + sizeof size, text);
    return place;
  }
  const std::uint8_t* texts() const noexcept { return reinterpret_cast<const std::uint8_t*>(words_.get()); }

 private:
  // Without a call where it is short.
  static void copy(char* to, std::string_view text) noexcept {
    const auto size = text.size();
    if (size >= 8 && size <= 16) {
      std::uint64_t ends[2];
      std::memcpy(&ends[0], text.data(), 8);
      std::memcpy(&ends[1], text.data() + size - 8, 8);
      std::memcpy(to, &ends[0], 8);
      std::memcpy(to + size - 8, &ends[1], 8);
    } else if (size < 8) {
      for (std::size_t i = 0; i < size; ++i) to[i] = text[i];
    } else {
      std::memcpy(to, text.data(), size);
    }
  }
  void grow(std::size_t words) {
    const auto larger = std::max({capacity_ * 2, size_ + words, std::size_t{64}});
    auto moved = std::make_unique_for_overwrite<std::uint64_t[]>(larger);
    if (size_ > 0) std::memcpy(moved.get(), words_.get(), size_ * sizeof(std::uint64_t));
    words_ = std::move(moved);
    capacity_ = larger;
  }

  std::unique_ptr<std::uint64_t[]> words_{};
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace setget::inline v0::detail::schema
