// Work that benches share: payloads, keys, producers, timing. Thread rule: as said per function.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <setget/pipeline.hpp>

namespace bench {

inline constexpr std::size_t kPayloadBytes = 1024;
using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A JSON document of exactly kPayloadBytes; neighbouring numbers give different ones.
const std::string& payload(std::uint64_t n);
// "order/000000000042"
std::string key(std::uint64_t n);
setget::SetRequest request(std::uint64_t n);

// `threads` producers call set with `per_call` requests each, numbered from `first`, until `seconds` are over (0: no limit) or `limit` sets
// were made (0: no limit). Returns how many were accepted; the numbers used are [first, first + result).
std::uint64_t produce(setget::Pipeline& pipeline, std::size_t threads, std::size_t per_call, std::uint64_t first, double seconds,
                      std::uint64_t limit);

// The same for any step that takes [first, first + per_call).
std::uint64_t run_threads(std::size_t threads, std::size_t per_call, std::uint64_t first, double seconds, std::uint64_t limit,
                          const std::function<void(std::uint64_t from, std::size_t count)>& step);

// Raw SQLite inserts of (integer, 1 KiB blob), `per_transaction` a transaction, for `seconds`: rows per second.
double raw_insert_rate(const std::string& path, std::size_t per_transaction, double seconds);

// splitmix64, so that both sides of a ratio read the same keys in the same order.
struct Sequence {
  std::uint64_t state = 1;
  std::uint64_t next() {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
};

}  // namespace bench
