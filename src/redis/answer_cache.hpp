// AnswerCache: what gets by key answered, kept until something that the answer came from changes (docs/adr/0016-redis-cache.md). An answer
// notes the entries that it was made of, each with the count of changes that was known before it was read; it holds while the counts are
// the same. So it does not matter whether an invalidation or the reply that it is about is dealt with first, or on which thread: an answer
// is either put aside or was never valid.
//
// Answers hold only while the server they came from is heard of: each part has a lease that ends unless it is renewed, and a generation
// that ends with the connection. Pure: told what happened and when. Thread rule: any thread. A hit takes one lock out of many for a few
// instructions; an invalidation takes none.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <setget/clock.hpp>
#include <setget/key_store.hpp>
#include <setget/redis.hpp>

namespace setget::inline v0::redis {

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): what different threads write stands on cache lines of its own
class AnswerCache {
 public:
  using Time = std::chrono::steady_clock::time_point;

  AnswerCache(const CacheOptions& options, std::uint32_t parts);
  AnswerCache(const AnswerCache&) = delete;
  AnswerCache& operator=(const AnswerCache&) = delete;

  // --- what an answer is made of ---------------------------------------------------------------------------------------------------
  // One entry: how often it was known to change when it was about to be read. Entries share counts, so that memory has a bound; an answer
  // may be put aside for nothing, never kept for nothing.
  struct Seen {
    std::uint32_t part = 0;
    std::uint32_t bucket = 0;
    std::uint64_t changes = 0;
    std::uint64_t generation = 0;
  };
  // Before the entry is asked for, on the connection of its part that began this generation: what another one said of it since does not
  // make its answer one of that.
  Seen look_at(std::uint32_t part, std::uint64_t hash, std::uint64_t generation) const noexcept;
  static constexpr std::size_t kMostSeen = 3;
  struct Sources {
    std::array<Seen, kMostSeen> seen{};
    std::uint8_t count = 0;
    // False if there is no room for another: the answer is not kept then.
    bool add(const Seen& one) noexcept {
      if (count == kMostSeen) return false;
      seen[count++] = one;
      return true;
    }
  };

  // --- answers ---------------------------------------------------------------------------------------------------------------------
  struct Answer {
    std::string ns{};
    std::string key{};
    Lookup lookup{};
    TimePoint now{};  // by which it was judged
    Sources sources{};
    std::size_t bytes = 0;
  };
  using Found = std::shared_ptr<const Answer>;

  // `hash` is key_hash(ns, key). Kept unless it is too large, or nothing is known of the parts any more.
  void keep(std::uint64_t hash, Answer answer);
  // nullptr: unknown, put aside, expired by `now`, or not heard of the server for too long.
  // A miss is counted, unless the same is asked for again.
  enum class Miss { kCounted, kAskedAgain };
  Found find(std::uint64_t hash, std::string_view ns, std::string_view key, TimePoint now, Time at, Miss miss = Miss::kCounted);
  // Still as it was found. Several answers that are all valid after the last of them was found were so at one moment.
  bool valid(const Answer& answer, Time at) const noexcept;
  // The last known answer while the server is away: a record that has not expired and is not known to have changed, confirmed no longer
  // than max_stale ago. `age` gets how long ago that was.
  Found find_stale(std::uint64_t hash, std::string_view ns, std::string_view key, TimePoint now, Time at, Milliseconds& age);

  // --- what happens ----------------------------------------------------------------------------------------------------------------
  // An entry has changed, or may have.
  void changed(std::uint64_t hash) noexcept;
  // Everything has.
  void clear();
  // A connection to the part's server, new to it: nothing that was known of it holds. Returns the generation, for confirm().
  std::uint64_t begin(std::uint32_t part);
  // The server answered on this connection to what was sent then. Ignored if the generation is over.
  void confirm(std::uint32_t part, std::uint64_t generation, Time sent);
  void lost(std::uint32_t part);
  // True while answers for the part can be kept.
  bool leased(std::uint32_t part, Time at) const noexcept;
  // Drops what cannot be used any more: all if nothing may be served stale.
  void sweep(Time at);

  struct Counts {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t invalidations = 0;
    std::uint64_t stale = 0;
    std::size_t entries = 0;
    std::size_t bytes = 0;
  };
  Counts counts() const;

 private:
  struct Slot {
    Found answer;
    std::size_t place = 0;  // in the ring
    bool used = false;
  };
  // A share of the answers, with a lock and a clock hand of its own.
  struct alignas(64) Share {
    mutable std::mutex mutex;
    std::unordered_map<std::uint64_t, Slot> slots;
    std::vector<std::uint64_t> ring;
    std::size_t hand = 0;
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
  };
  // Odd generations are without a connection.
  struct alignas(64) Part {
    std::atomic<std::uint64_t> generation{1};
    std::atomic<std::int64_t> lease_end{0};  // of the steady clock
    std::atomic<std::int64_t> confirmed{0};
  };
  static constexpr std::size_t kShares = 32;

  Share& share_of(std::uint64_t hash) noexcept { return shares_[(hash >> 48) % kShares]; }
  bool unchanged(const Seen& seen) const noexcept;
  void erase(Share& share, std::unordered_map<std::uint64_t, Slot>::iterator at);
  bool evict_one(Share& share);

  const CacheOptions options_;
  const std::size_t mask_;
  std::vector<std::atomic<std::uint64_t>> changes_;
  std::vector<Part> parts_;
  std::mutex parts_mutex_;  // of whoever changes them
  std::array<Share, kShares> shares_;
  std::atomic<std::size_t> entries_{0};
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::uint64_t> invalidations_{0};
  std::atomic<std::uint64_t> stale_{0};
};

}  // namespace setget::inline v0::redis
