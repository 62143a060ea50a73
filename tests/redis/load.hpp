// What the fault tests do to a store, whatever is done to its servers or the way there: deliver messages as a worker would, look all the
// time, and compare with what the messages amount to.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "redis/messages.hpp"

namespace redis_test {

// Applies messages in random order and batches until each is acknowledged, as a worker would. What gets no answer is given more time: a
// busy machine, too, is slow.
inline void deliver(KeyStoreBackend& store, const Messages& messages, const std::string& ns, std::vector<std::uint64_t> numbers,
                    std::uint64_t seed, Milliseconds patience, std::string& failed) {
  kit::SeededRandom dice(seed);
  for (std::size_t i = numbers.size(); i > 1; --i) std::swap(numbers[i - 1], numbers[dice.next() % i]);
  std::string last;
  const auto until = Deadline::in(Milliseconds(60'000));
  while (!numbers.empty() && !until.passed()) {
    const auto count = std::min<std::size_t>(numbers.size(), 1 + dice.next() % 8);
    std::vector<ApplyEntry> batch;
    for (std::size_t i = 0; i < count; ++i) batch.push_back(messages.at(numbers[i], ns));
    auto results = store.apply({.entries = batch, .now = Messages::now(), .deadline = Deadline::in(patience)});
    if (!results) {
      last = results.error().message();
      patience = std::max(patience, std::min(patience * 2, Milliseconds(3'000)));
      continue;
    }
    std::vector<std::uint64_t> left(numbers.begin() + static_cast<std::ptrdiff_t>(count), numbers.end());
    for (std::size_t i = 0; i < count; ++i) {
      if (!(*results)[i]) {
        left.push_back(numbers[i]);
        last = (*results)[i].error().message();
      } else if ((*results)[i]->outcome == Outcome::kDeadLettered) {
        failed = "a message was refused";
      }
    }
    numbers = std::move(left);
  }
  if (!numbers.empty()) failed = "not acknowledged in 60 s: " + last;
}

// Looks at all keys until it is told to stop.
inline void watch(KeyStoreBackend& store, const Messages& messages, const std::string& ns, bool lag, const std::atomic<bool>& over,
                  std::atomic<std::uint64_t>& looks, std::string& wrong) {
  const auto keys = messages.keys();
  while (!over && wrong.empty()) {
    auto found = look(store, messages, ns, keys, lag, Deadline::in(Milliseconds(500)));
    if (!found) continue;  // busy, or away
    wrong = found->wrong;
    ++looks;
  }
}

inline void expect_reference(KeyStoreBackend& store, const Messages& messages, const std::string& ns, std::uint64_t count) {
  Reference reference;
  for (std::uint64_t n = 1; n <= count; ++n) reference.apply(messages.at(n, ns));
  EXPECT_EQ(state_when_back(store, messages, ns), state_of(reference.store(), messages, ns)) << ns;
}

}  // namespace redis_test
