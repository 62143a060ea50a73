// Text: bytes one after another, as the texts of a report are written. Most of what is added is a few bytes, for which a call takes longer
// than the copy; so that is done here. Private to the validator. Thread rule: as any value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace setget::inline v0::detail::schema {

class Text {
 public:
  void clear() noexcept { size_ = 0; }
  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  std::string_view view() const noexcept { return {bytes_.get(), size_}; }
  std::string str() const { return std::string(view()); }
  const char& operator[](std::size_t at) const noexcept { return bytes_[at]; }
  // Not above size().
  void cut(std::size_t size) noexcept { size_ = size; }

  Text& operator+=(char one) {
    *room(1) = one;
    ++size_;
    return *this;
  }
  Text& operator+=(std::string_view text) {
    auto* const to = room(text.size());
    copy(to, text.data(), text.size());
    size_ += text.size();
    return *this;
  }
  // A literal, whose size is known where it is written.
  template <std::size_t N>
  Text& operator+=(const char (&literal)[N]) {
    return add<N - 1>(literal);
  }
  template <std::size_t N>
  Text& add(const char* text) {
    std::memcpy(room(N), text, N);
    size_ += N;
    return *this;
  }

 private:
  char* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    return bytes_.get() + size_;
  }
  static void copy(char* to, const char* from, std::size_t size) noexcept {
    const auto ends = [&]<class Word>(Word first, Word last) {
      std::memcpy(&first, from, sizeof(Word));
      std::memcpy(&last, from + size - sizeof(Word), sizeof(Word));
      std::memcpy(to, &first, sizeof(Word));
      std::memcpy(to + size - sizeof(Word), &last, sizeof(Word));
    };
    if (size > 16) {
      std::memcpy(to, from, size);
    } else if (size >= 8) {
      ends(std::uint64_t{}, std::uint64_t{});
    } else if (size >= 4) {
      ends(std::uint32_t{}, std::uint32_t{});
    } else {
      for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
    }
  }
  [[gnu::noinline]] void grow(std::size_t bytes) {
    const auto larger = std::max({capacity_ * 2, size_ + bytes, std::size_t{256}});
    auto moved = std::make_unique_for_overwrite<char[]>(larger);
    if (size_ > 0) std::memcpy(moved.get(), bytes_.get(), size_);
    bytes_ = std::move(moved);
    capacity_ = larger;
  }

  std::unique_ptr<char[]> bytes_{};
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace setget::inline v0::detail::schema
