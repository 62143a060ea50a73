// The outbox: states of identities whose flow keeps history, until the archive has them. Bounded, and never lossy: at a limit the step
// that would add to it fails. Thread rule: the caller holds the lock of the database.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include <setget/key_store.hpp>

namespace setget::inline v0::memory::detail {

class Outbox {
 public:
  struct Item {
    HistoryState state;  // without its record, which is decoded outside of the lock
    Payload encoded;     // of kRecord and kNotKept
    StoredMeta meta;
    std::size_t bytes() const noexcept { return encoded.size() + state.ns.size() + state.id.size(); }
  };

  void limit(std::size_t states, std::size_t bytes) noexcept { max_states_ = states, max_bytes_ = bytes; }

  Result<void> add(Item item, bool bounded) {
    const auto bytes = bytes_ + item.bytes();
    if (bounded && !items_.empty() && (items_.size() >= max_states_ || bytes > max_bytes_)) {
      return Error(ErrorCode::kResourceExhausted, "the outbox for histories is full; it empties when the archiver runs")
          .at_field("history");
    }
    item.state.position = ++last_;
    bytes_ = bytes;
    items_.push_back(std::move(item));
    return {};
  }
  // Takes back what a step that failed has added: everything behind the first `kept` of `size()`.
  void cut(std::size_t kept) noexcept {
    for (; items_.size() > kept; items_.pop_back()) bytes_ -= items_.back().bytes();
  }
  void drop(Position upto) noexcept {
    for (; !items_.empty() && items_.front().state.position <= upto; items_.pop_front()) bytes_ -= items_.front().bytes();
  }
  std::size_t size() const noexcept { return items_.size(); }
  const std::deque<Item>& items() const noexcept { return items_; }

 private:
  std::deque<Item> items_;
  Position last_ = 0;
  std::size_t bytes_ = 0;
  std::size_t max_states_ = 0;
  std::size_t max_bytes_ = 0;
};

}  // namespace setget::inline v0::memory::detail
