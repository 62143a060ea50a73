// ReadAhead: the store reads the next batch while the archive writes this one, where that is to the good. While the archive waits for its
// server or its disk the processor is free; a run then has its writes on other threads (WriteBehind) and reads itself. Where it works in
// this process, reading takes a second one; on a machine that has but two, whoever wakes up to answer a get would then wait until one of
// both threads has had its turn. Private to the archiver. Thread rule: one thread, but timed() is any thread's.
#pragma once

#include <chrono>
#include <ctime>
#include <thread>
#include <utility>

#include "pipeline/hand.hpp"

namespace setget::inline v0::detail {

// How long writes took, and how much of that their threads were at work.
struct WritePace {
  std::chrono::nanoseconds took{0};
  std::chrono::nanoseconds worked{0};
};

class ReadAhead {
 public:
  // What must have been written for to tell anything.
  static constexpr std::chrono::milliseconds kEnough{10};
  // `before`: the pace of the run before, by which this one begins. `processors`: 0 = unknown.
  explicit ReadAhead(const WritePace& before = {}, unsigned processors = std::thread::hardware_concurrency()) noexcept
      : processors_(processors), before_(before.took >= kEnough ? scaled_to_enough(before) : WritePace{}) {}

  // What `write` answers, how long it took, and how much of that its thread was at work.
  template <class Answer>
  struct Timed {
    Answer answer;
    std::chrono::nanoseconds took;
    std::chrono::nanoseconds worked;
  };
  template <class Write>
  static auto timed(Write write) -> Timed<decltype(write())> {
    const auto began = now();
    const auto worked_before = worked();
    auto answer = write();
    return {.answer = std::move(answer), .took = now() - began, .worked = worked() - worked_before};
  }
  void wrote(std::chrono::nanoseconds took, std::chrono::nanoseconds worked) noexcept {
    pace_.took += took;
    pace_.worked += worked;
  }
  const WritePace& pace() const noexcept { return pace_; }

  // What is read next: at once on another thread, or when it is asked for.
  template <class Read>
  auto next(Read read) -> Next<decltype(read())> {
    return {std::move(read), pays() ? &reader_ : nullptr};
  }

  bool pays() const noexcept { return processors_ > 2 || waits(); }
  // Whether the archive has waited for a third of the time at least, as far as that is known.
  bool waits() const noexcept {
    const auto took = before_.took + pace_.took;
    return took >= kEnough && before_.worked + pace_.worked < took / 3 * 2;
  }

 private:
  static std::chrono::nanoseconds now() noexcept { return std::chrono::steady_clock::now().time_since_epoch(); }
  // Of this thread.
  static std::chrono::nanoseconds worked() noexcept {
    timespec time{};
    (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  // Of no more weight than the least that tells anything: another archive may be on the same server, or the server on another machine.
  static WritePace scaled_to_enough(const WritePace& pace) noexcept {
    const std::chrono::duration<double, std::nano> enough = kEnough;
    return {.took = kEnough,
            .worked = std::chrono::duration_cast<std::chrono::nanoseconds>(
                enough * (static_cast<double>(pace.worked.count()) / static_cast<double>(pace.took.count())))};
  }

  unsigned processors_;
  WritePace before_;
  WritePace pace_{};
  Hand reader_;
};

}  // namespace setget::inline v0::detail
