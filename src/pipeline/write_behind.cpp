#include "pipeline/write_behind.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace setget::inline v0::detail {

WriteBehind::Hand::~Hand() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool WriteBehind::Hand::take(std::packaged_task<Timed()>& work) {
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { carry_out(); });
    } catch (const std::system_error&) {
      return false;
    }
  }
  {
    const std::scoped_lock lock(mutex_);
    work_ = std::move(work);
  }
  wake_.notify_one();
  return true;
}

void WriteBehind::Hand::carry_out() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return over_ || work_.valid(); });
    if (!work_.valid()) return;
    auto work = std::exchange(work_, {});
    lock.unlock();
    work();
    lock.lock();
  }
}

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
  std::packaged_task<Timed()> write([this, &entries = writing.batch.entries] {
    return ReadAhead::timed(
        [&] { return turn_.busy_with([&] { return archive_.write({.entries = entries, .deadline = turn_.deadline()}); }); });
  });
  writing.written = write.get_future();
  if (ahead_.waits()) {
    for (const auto& entry : writing.batch.entries) {
      writing.bytes += entry.record.payload.size();
      writing.names.insert(identity_hash(entry.ns, entry.id));
    }
    if (hands_[next_hand_].take(write)) {
      next_hand_ = (next_hand_ + 1) % hands_.size();
      return;
    }
  }
  writing.here = std::move(write);
}

bool WriteBehind::full() const noexcept { return under_way_.size() >= (ahead_.waits() ? kMost : 1); }

WriteBehind::Done WriteBehind::take_first() {
  auto& first = under_way_.front();
  Done done;
  if (first.written.valid()) {
    if (first.here.valid()) first.here();
    auto timed = first.written.get();
    ahead_.wrote(timed.took, timed.worked);
    done.written = std::move(timed.answer);
  }
  done.batch = std::move(first.batch);
  under_way_.pop_front();
  return done;
}

void WriteBehind::forget() {
  for (const auto& writing : under_way_) {
    if (writing.written.valid() && !writing.here.valid()) writing.written.wait();
  }
  under_way_.clear();
}

}  // namespace setget::inline v0::detail
