// Gets that come again byte for byte, as those of hot keys do. What such a request asks for was found out once and its response is written
// already, so neither parser nor router are needed: the gateway says each time whether the answer still is that one, by what its store has
// at hand. One of these for each thread for sockets. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <setget/gateway.hpp>

namespace setget::inline v0::detail {

class HotGets {
 public:
  struct Hot {
    std::string head{};  // of the request, with the empty line that ends it
    Gateway::Repeat repeat{};
    std::string response{};  // whole; of a connection that is kept
  };
  // What this thread knows; nullptr on threads that are not for sockets.
  static HotGets* of_this_thread() noexcept;
  class Scope {
   public:
    explicit Scope(HotGets& hot) noexcept;
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

  // The head that these bytes begin with, if it is one of a GET and whole; else empty.
  static std::string_view head_in(std::string_view bytes) noexcept;

  // nullptr: not known. `worth_keeping`: it was asked for the last time, too, that anything was in its place, so that it may well come
  // again.
  const Hot* find(std::string_view head, bool& worth_keeping);
  // What find() gave is no longer the answer.
  void forget(std::string_view head) noexcept;
  // Bounded: at most kMostBytes of heads and responses.
  void keep(Hot hot);

  static constexpr std::size_t kMostBytes = std::size_t{8} << 20;
  static constexpr std::size_t kLargest = 16'384;  // of one, all in all: none takes the room of many others
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Place {
    std::uint64_t asked = 0;  // hash of the last head that was looked for here, or is kept
    std::unique_ptr<const Hot> hot{};
  };
  Place& place_of(std::uint64_t hash);
  void clear(Place& place) noexcept;

  std::vector<Place> places_;  // empty until the first is looked for
  std::size_t bytes_ = 0;
};

}  // namespace setget::inline v0::detail
