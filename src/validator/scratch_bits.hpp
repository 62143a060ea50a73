// ScratchBits: a stack of words that a thread keeps, so that evaluation needs no allocation. Private to the validator. One per thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace setget::inline v0::detail::schema {

class ScratchBits {
 public:
  // Words of zero, valid until released; addressed by offset, because the stack may move.
  std::size_t take(std::size_t words) {
    const auto offset = top_;
    top_ += words;
    if (words_.size() < top_) words_.resize(top_ * 2);
    for (auto i = offset; i < top_; ++i) words_[i] = 0;
    return offset;
  }
  void release(std::size_t offset) noexcept { top_ = offset; }
  std::uint64_t* at(std::size_t offset) noexcept { return words_.data() + offset; }
  void set(std::size_t offset, std::size_t bit) noexcept { words_[offset + bit / 64] |= std::uint64_t{1} << (bit % 64); }
  bool test(std::size_t offset, std::size_t bit) const noexcept { return ((words_[offset + bit / 64] >> (bit % 64)) & 1) != 0; }
  // Hashes and places of an array's elements; used by one array at a time.
  std::vector<std::pair<std::uint64_t, std::size_t>>& places() noexcept { return places_; }
  // After an evaluation: what a giant document needed is given back.
  void reset() {
    top_ = 0;
    if (words_.size() > (std::size_t{1} << 17)) words_ = std::vector<std::uint64_t>(1024);
    if (places_.capacity() > (std::size_t{1} << 16)) places_ = {};
  }

 private:
  std::vector<std::uint64_t> words_ = std::vector<std::uint64_t>(1024);
  std::size_t top_ = 0;
  std::vector<std::pair<std::uint64_t, std::size_t>> places_;
};

// The thread's own.
ScratchBits& scratch_of_thread();

}  // namespace setget::inline v0::detail::schema
