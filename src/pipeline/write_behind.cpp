#include "pipeline/write_behind.hpp"

#include <algorithm>
#include <utility>

namespace setget::inline v0::detail {

bool WriteBehind::goes_with_others(const ArchiveBatch& batch) const {
  if (under_way_.empty()) return true;
  std::size_t bytes = 0;
  for (const auto& entry : batch.entries) {
    bytes += entry.record.payload.size();
    const auto name = identity_hash(entry.ns, entry.id);
    if (std::ranges::any_of(under_way_, [&](const Writing& other) { return other.names.contains(name); })) return false;
  }
  for (const auto& other : under_way_) bytes += other.bytes;
  return bytes <= most_bytes_;
}

void WriteBehind::begin(ArchiveBatch batch) {
  auto& writing = under_way_.emplace_back();
  writing.batch = std::move(batch);
  if (writing.batch.entries.empty()) return;
  Hand* hand = nullptr;
  if (ahead_.waits()) {
    for (const auto& entry : writing.batch.entries) {
      writing.bytes += entry.record.payload.size();
      writing.names.insert(identity_hash(entry.ns, entry.id));
    }
    hand = &hands_[next_hand_];
    next_hand_ = (next_hand_ + 1) % hands_.size();
  }
  const auto write = [this, &entries = writing.batch.entries] {
    return ReadAhead::timed(
        [&] { return turn_.busy_with([&] { return archive_.write({.entries = entries, .deadline = turn_.deadline()}); }); });
  };
  writing.at_once = static_cast<int>(under_way_.size());
  writing.written = Next<Timed>(write, hand);
}

bool WriteBehind::full() const noexcept { return under_way_.size() >= (ahead_.waits() ? kMost : 1); }

void WriteBehind::forget_places() {
  for (auto& writing : under_way_) {
    writing.batch.scanned_to.reset();
    writing.batch.logged_to.reset();
    writing.batch.skipped = 0;  // they come again
  }
}

WriteBehind::Done WriteBehind::take_first() {
  auto& first = under_way_.front();
  Done done;
  if (first.written.valid()) {
    auto timed = first.written.get();
    // Of a time that it shared with another its part: an archive that works here, one after the other, has not waited.
    ahead_.wrote(timed.took / first.at_once, timed.worked);
    done.written = std::move(timed.answer);
  }
  done.batch = std::move(first.batch);
  under_way_.pop_front();
  return done;
}

}  // namespace setget::inline v0::detail
