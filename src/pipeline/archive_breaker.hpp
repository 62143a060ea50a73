// ArchiveBreaker: when to ask an archive that has failed. Pure: told what happened and when, it says what to do. After some failures in a
// row nobody asks for a while; then one question tries, and its end decides. Thread rule: one thread at a time.
#pragma once

#include <cstddef>

#include <setget/clock.hpp>

namespace setget::inline v0::detail {

class ArchiveBreaker {
 public:
  ArchiveBreaker(std::size_t failures, Milliseconds pause) noexcept : limit_(failures), pause_(pause) {}

  // Whether a question may be asked; then its end is to be reported. `now` may step backwards: a pause is over then.
  bool admit(TimePoint now) noexcept {
    if (!open()) return true;
    if (trying_ || (now >= since_ && now - since_ < pause_)) return false;
    trying_ = true;
    return true;
  }
  void succeeded() noexcept {
    failures_ = 0;
    trying_ = false;
  }
  void failed(TimePoint now) noexcept {
    // Those that were under way when it opened do not lengthen the pause.
    if (!open() || trying_) since_ = now;
    if (!open()) ++failures_;
    trying_ = false;
  }
  bool open() const noexcept { return failures_ >= limit_; }

 private:
  std::size_t limit_;
  Milliseconds pause_;
  std::size_t failures_ = 0;
  bool trying_ = false;
  TimePoint since_{};
};

}  // namespace setget::inline v0::detail
