// StableList: grows at its end, and nothing in it ever moves. Takes no memory while it is empty and for one element as much as that needs:
// most schemas are small, a std::deque takes 512 bytes and more for each kind of part, and a verdict on a tiny document mostly waits for
// the memory that a program is spread over. Private to the validator. Thread rule: as any container.
#pragma once

#include <bit>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace setget::inline v0::detail::schema {

// `kFirstWithin`: the first element stands at the beginning of the list itself.
template <class T, bool kFirstWithin = false>
class StableList {
 public:
  StableList() noexcept {}  // NOLINT(modernize-use-equals-default): first_ stays as it is
  StableList(const StableList&) = delete;
  StableList& operator=(const StableList&) = delete;
  ~StableList() {
    for (std::size_t i = 0; i < size_; ++i) std::destroy_at(&(*this)[i]);
    for (std::size_t i = kFirstWithin ? 1 : 0; i < chunks_.size(); ++i) std::allocator<T>().deallocate(chunks_[i], std::size_t{1} << i);
  }

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t at) noexcept { return *place(at); }
  const T& operator[](std::size_t at) const noexcept { return *place(at); }
  T& back() noexcept { return *place(size_ - 1); }
  template <class... Fields>
  T& emplace_back(Fields&&... fields) {
    if (size_ + 1 == std::size_t{1} << chunks_.size()) {
      chunks_.reserve(chunks_.size() + 1);
      chunks_.push_back(kFirstWithin && size_ == 0 ? reinterpret_cast<T*>(&first_) : std::allocator<T>().allocate(size_ + 1));
    }
    T* const made = std::construct_at(place(size_), std::forward<Fields>(fields)...);
    ++size_;
    return *made;
  }

  // What is added meanwhile is not looked at.
  template <class List, class Element>
  struct Iterator {
    List* list;
    std::size_t at;
    Element& operator*() const noexcept { return (*list)[at]; }
    Iterator& operator++() noexcept { return ++at, *this; }
    bool operator==(const Iterator& other) const noexcept { return at == other.at; }
  };
  auto begin() noexcept { return Iterator<StableList, T>{this, 0}; }
  auto end() noexcept { return Iterator<StableList, T>{this, size_}; }
  auto begin() const noexcept { return Iterator<const StableList, const T>{this, 0}; }
  auto end() const noexcept { return Iterator<const StableList, const T>{this, size_}; }

 private:
  // Of one element, two, four, …
  T* place(std::size_t at) const noexcept {
    const auto chunk = static_cast<std::size_t>(std::bit_width(at + 1)) - 1;
    return chunks_[chunk] + (at + 1 - (std::size_t{1} << chunk));
  }

  struct alignas(T) Room {
    std::byte bytes[sizeof(T)];
  };
  struct None {};
  std::conditional_t<kFirstWithin, Room, None> first_;  // made when it is added
  std::vector<T*> chunks_{};
  std::size_t size_ = 0;
};

}  // namespace setget::inline v0::detail::schema
