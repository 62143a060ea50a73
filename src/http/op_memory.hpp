// The memory of one asynchronous operation at a time, kept where its connection is: asio keeps one or two blocks for each thread, and a
// server has a read under way for each of its connections. What finds the place taken, or is larger, comes from the heap.
// Thread rule: one chain of operations.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace setget::inline v0::detail {

class OpMemory {
 public:
  OpMemory() = default;
  OpMemory(const OpMemory&) = delete;
  OpMemory& operator=(const OpMemory&) = delete;

  void* take(std::size_t bytes) {
    if (taken_ || bytes > place_.size()) return ::operator new(bytes);
    taken_ = true;
    return place_.data();
  }
  void give_back(void* memory) noexcept {
    if (memory == place_.data()) {
      taken_ = false;
    } else {
      ::operator delete(memory);
    }
  }

 private:
  alignas(std::max_align_t) std::array<std::byte, 320> place_;
  bool taken_ = false;
};

// What a handler tells asio of it, as its associated allocator.
template <class T>
class OpAllocator {
 public:
  using value_type = T;
  explicit OpAllocator(OpMemory& memory) noexcept : memory_(&memory) {}
  template <class Other>
  explicit OpAllocator(const OpAllocator<Other>& other) noexcept : memory_(other.memory_) {}

  T* allocate(std::size_t count) { return static_cast<T*>(memory_->take(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t) noexcept { memory_->give_back(memory); }
  friend bool operator==(const OpAllocator& a, const OpAllocator& b) noexcept { return a.memory_ == b.memory_; }

 private:
  template <class Other>
  friend class OpAllocator;
  OpMemory* memory_;
};

}  // namespace setget::inline v0::detail
