// ReadAhead: the store reads the next batch while the archive writes this one, so that two are in memory at most, where that is to the
// good. While the archive waits for its server or its disk the processor is free. Where it works in this process, reading takes a second
// one; on a machine that has but two, whoever wakes up to answer a get would then wait until one of both threads has had its turn. Private
// to the archiver. Thread rule: one thread.
#pragma once

#include <chrono>
#include <ctime>
#include <future>
#include <thread>
#include <utility>

namespace setget::inline v0::detail {

class ReadAhead {
 public:
  // `processors`: 0 = unknown.
  explicit ReadAhead(unsigned processors = std::thread::hardware_concurrency()) noexcept : processors_(processors) {}

  // Calls `write` and keeps in mind how much of its time this thread was at work.
  template <class Write>
  auto writing(Write write) {
    struct Timing {
      ReadAhead& all;
      std::chrono::nanoseconds began = now();
      std::chrono::nanoseconds worked_before = worked();
      ~Timing() { all.wrote(now() - began, worked() - worked_before); }
    };
    const Timing timing{*this};
    return write();
  }
  void wrote(std::chrono::nanoseconds took, std::chrono::nanoseconds worked) noexcept {
    took_ += took;
    worked_ += worked;
  }

  // What is read next: at once on another thread, or when it is asked for, as it is where no thread can be had. The end of the future waits
  // for what is under way.
  template <class Read>
  auto next(Read read) const {
    return std::async(pays() ? std::launch::async | std::launch::deferred : std::launch::deferred, std::move(read));
  }

  bool pays() const noexcept { return processors_ > 2 || worked_ < took_ / 3; }

 private:
  static std::chrono::nanoseconds now() noexcept { return std::chrono::steady_clock::now().time_since_epoch(); }
  // Of this thread.
  static std::chrono::nanoseconds worked() noexcept {
    timespec time{};
    (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  unsigned processors_;
  std::chrono::nanoseconds took_{0};
  std::chrono::nanoseconds worked_{0};
};

}  // namespace setget::inline v0::detail
