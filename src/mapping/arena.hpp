// Arena: memory that is given back all at once. Pointers stay where they are until then. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <setget/jmespath.hpp>

namespace setget::inline v0::jmespath::detail {

class Arena {
 public:
  // `count` objects, not constructed: only for types that need no destructor.
  template <class T>
  T* take(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= kAlignment);
    return static_cast<T*>(bytes(count * sizeof(T)));
  }
  const char* copy(std::string_view text) {
    auto* out = take<char>(text.size());
    if (!text.empty()) std::memcpy(out, text.data(), text.size());
    return out;
  }
  // So much will be wanted: one chunk for all of it.
  void reserve(std::size_t size) {
    if (static_cast<std::size_t>(end_ - at_) < size) grow(size);
  }
  // Bytes given out since the last clear, as they were asked for.
  std::size_t used() const noexcept { return used_; }
  // What used() is once so many more were given out; no wrap where that is without a bound.
  std::size_t used_after(std::size_t more) const noexcept {
    const std::size_t sum = used_ + more;
    return sum < used_ ? std::numeric_limits<std::size_t>::max() : sum;
  }
  void clear() noexcept {
    stack.clear();
    if (used_ == 0) return;
    // The last chunk is the largest.
    if (chunks_.back().size <= kKeptBytes) {
      if (chunks_.size() > 1) std::swap(chunks_.front(), chunks_.back());
      chunks_.erase(chunks_.begin() + 1, chunks_.end());
      at_ = chunks_.front().bytes.get();
      end_ = at_ + chunks_.front().size;
    } else {
      chunks_.clear();
      at_ = end_ = nullptr;
    }
    used_ = 0;
    if (stack.capacity() * sizeof(Value) > kKeptBytes) std::vector<Value>().swap(stack);
  }

  // Where projections collect before they know how many they have.
  std::vector<Value> stack;

  // What all evaluations in this arena may take together, where there is such a bound: a mapping has one for its expressions.
  struct Budget {
    std::uint64_t steps = 0;    // that are left
    std::size_t most_used = 0;  // of used()
  };
  std::optional<Budget> budget;

 private:
  static constexpr std::size_t kAlignment = 16;  // what operator new gives
  static constexpr std::size_t kFirstBytes = 4096;
  static constexpr std::size_t kKeptBytes = 1u << 20;
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
  };

  void* bytes(std::size_t size) {
    if (size == 0) return nullptr;
    const std::size_t rounded = (size + kAlignment - 1) & ~(kAlignment - 1);
    if (static_cast<std::size_t>(end_ - at_) < rounded) grow(rounded);
    char* out = at_;
    at_ += rounded;
    used_ += rounded;
    return out;
  }
  void grow(std::size_t least) {
    std::size_t size = chunks_.empty() ? kFirstBytes : chunks_.back().size * 2;
    if (size < least) size = least;
    chunks_.push_back({std::unique_ptr<char[]>(new char[size]), size});
    at_ = chunks_.back().bytes.get();
    end_ = at_ + size;
  }

  std::vector<Chunk> chunks_;
  char* at_ = nullptr;
  char* end_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace setget::inline v0::jmespath::detail
