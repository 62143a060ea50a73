#include "redis/answer_cache.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace setget::inline v0::redis {
namespace {

std::int64_t ticks(AnswerCache::Time time) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}
std::int64_t ticks(Milliseconds length) noexcept { return std::chrono::duration_cast<std::chrono::nanoseconds>(length).count(); }

// Four counts for each answer that fits: few are put aside because of a neighbour.
std::size_t bucket_count(std::size_t entries) {
  return std::bit_ceil(std::clamp<std::size_t>(entries * 4, std::size_t{1} << 12, std::size_t{1} << 22));
}

std::size_t size_of(const AnswerCache::Answer& answer) {
  constexpr std::size_t kNode = 96;  // of the maps that hold it
  std::size_t bytes = sizeof answer + kNode + answer.ns.size() + answer.key.size();
  if (!answer.lookup.record) return bytes;
  const auto& record = *answer.lookup.record;
  // Keys, attributes and payload share one piece of memory; the rest was copied out of it.
  bytes += record.payload.size() + record.id.size() + record.ns.size() + record.account.size() + record.flow.size() + record.owner.size() +
           record.content_type.size() + 512;
  for (const auto key : record.keys) bytes += key.size() + 2;
  for (const auto& [name, value] : record.attributes) bytes += 2 * (name.size() + value.size()) + kNode;
  return bytes;
}

// Whoever asked will read it in a microsecond or two, from memory where other answers were given since.
void prefetch(std::string_view bytes) {
  constexpr std::size_t kLine = 64;
  constexpr std::size_t kMost = 16;  // lines; the rest follows by itself
  const auto lines = std::min((bytes.size() + kLine - 1) / kLine, kMost);
  for (std::size_t n = 0; n < lines; ++n) __builtin_prefetch(bytes.data() + n * kLine);
}

}  // namespace

AnswerCache::AnswerCache(const CacheOptions& options, std::uint32_t parts)
    : options_(options), mask_(bucket_count(options.max_entries) - 1), changes_(mask_ + 1), parts_(parts) {}

AnswerCache::Seen AnswerCache::look_at(std::uint32_t part, std::uint64_t hash, std::uint64_t generation) const noexcept {
  const auto bucket = static_cast<std::uint32_t>(hash & mask_);
  return {.part = part, .bucket = bucket, .changes = changes_[bucket].load(std::memory_order_acquire), .generation = generation};
}

bool AnswerCache::unchanged(const Seen& seen) const noexcept {
  return changes_[seen.bucket].load(std::memory_order_acquire) == seen.changes;
}

bool AnswerCache::leased(std::uint32_t part, Time at) const noexcept {
  return (parts_[part].generation.load(std::memory_order_acquire) & 1) == 0 &&
         ticks(at) < parts_[part].lease_end.load(std::memory_order_acquire);
}

bool AnswerCache::valid(const Answer& answer, Time at) const noexcept {
  const auto now = ticks(at);
  for (std::uint8_t i = 0; i < answer.sources.count; ++i) {
    const auto& seen = answer.sources.seen[i];
    const auto& part = parts_[seen.part];
    if (now >= part.lease_end.load(std::memory_order_acquire)) return false;
    if (part.generation.load(std::memory_order_acquire) != seen.generation || (seen.generation & 1) != 0) return false;
    if (!unchanged(seen)) return false;
  }
  return answer.sources.count > 0;
}

// --- answers ----------------------------------------------------------------------------------------------------------------------

void AnswerCache::erase(Share& share, std::unordered_map<std::uint64_t, Slot>::iterator at) {
  bytes_.fetch_sub(at->second.answer->bytes, std::memory_order_relaxed);
  entries_.fetch_sub(1, std::memory_order_relaxed);
  const auto place = at->second.place;
  share.slots.erase(at);
  if (place + 1 != share.ring.size()) {
    share.ring[place] = share.ring.back();
    share.slots.find(share.ring[place])->second.place = place;
  }
  share.ring.pop_back();
}

// Second chance: what was used since the hand last came by stays.
bool AnswerCache::evict_one(Share& share) {
  while (!share.ring.empty()) {
    if (share.hand >= share.ring.size()) share.hand = 0;
    const auto at = share.slots.find(share.ring[share.hand]);
    if (!std::exchange(at->second.used, false)) {
      erase(share, at);
      return true;
    }
    ++share.hand;
  }
  return false;
}

void AnswerCache::keep(std::uint64_t hash, Answer answer) {
  answer.bytes = size_of(answer);
  // One must not push out most of the others.
  if (answer.bytes > options_.max_bytes / 4 || answer.sources.count == 0) return;
  for (std::uint8_t i = 0; i < answer.sources.count; ++i) {
    const auto& seen = answer.sources.seen[i];
    if (!unchanged(seen) || (seen.generation & 1) != 0 || parts_[seen.part].generation.load() != seen.generation) return;
  }
  const auto bytes = answer.bytes;
  const auto number = static_cast<std::size_t>((hash >> 48) % kShares);
  {
    auto& share = shares_[number];
    const std::scoped_lock lock(share.mutex);
    if (const auto old = share.slots.find(hash); old != share.slots.end()) erase(share, old);
    share.ring.push_back(hash);
    share.slots.emplace(hash, Slot{.answer = std::make_shared<const Answer>(std::move(answer)), .place = share.ring.size() - 1});
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    entries_.fetch_add(1, std::memory_order_relaxed);
  }
  // Its own share first; others only where that one has nothing left.
  for (std::size_t i = 0; i < kShares; ++i) {
    auto& share = shares_[(number + i) % kShares];
    const std::scoped_lock lock(share.mutex);
    do {
      if (entries_.load(std::memory_order_relaxed) <= options_.max_entries && bytes_.load(std::memory_order_relaxed) <= options_.max_bytes)
        return;
    } while (evict_one(share));
  }
}

AnswerCache::Found AnswerCache::find(std::uint64_t hash, std::string_view ns, std::string_view key, TimePoint now, Time at, Miss miss) {
  auto& share = share_of(hash);
  // Most answers are made of the entry of this name alone. What is said here is waited for anyway, but then one after the other.
  __builtin_prefetch(&changes_[hash & mask_]);
  const std::scoped_lock lock(share.mutex);
  const auto slot = share.slots.find(hash);
  if (slot != share.slots.end()) {
    const auto& answer = *slot->second.answer;
    const auto& record = answer.lookup.record;
    // What was judged by a later clock may not hold by this one.
    if (answer.key == key && answer.ns == ns && (!record || !record->expired(now)) && answer.now <= now && valid(answer, at)) {
      slot->second.used = true;
      ++share.hits;
      if (record) prefetch(record->payload.view());
      return slot->second.answer;
    }
  }
  if (miss == Miss::kCounted) ++share.misses;
  return nullptr;
}

AnswerCache::Found AnswerCache::find_stale(std::uint64_t hash, std::string_view ns, std::string_view key, TimePoint now, Time at,
                                           Milliseconds& age) {
  Found found;
  {
    auto& share = share_of(hash);
    const std::scoped_lock lock(share.mutex);
    const auto slot = share.slots.find(hash);
    if (slot == share.slots.end()) return nullptr;
    found = slot->second.answer;
  }
  const auto& record = found->lookup.record;
  if (found->key != key || found->ns != ns || !record || record->expired(now)) return nullptr;
  auto confirmed = ticks(at);
  for (std::uint8_t i = 0; i < found->sources.count; ++i) {
    const auto& seen = found->sources.seen[i];
    const auto generation = parts_[seen.part].generation.load(std::memory_order_acquire);
    // Of this connection, or of the last one while there is no other.
    if (generation != seen.generation && generation != seen.generation + 1) return nullptr;
    if (!unchanged(seen)) return nullptr;
    confirmed = std::min(confirmed, parts_[seen.part].confirmed.load(std::memory_order_acquire));
  }
  const auto since = ticks(at) - confirmed;
  if (since > ticks(options_.max_stale)) return nullptr;
  age = Milliseconds(since / 1'000'000);
  stale_.fetch_add(1, std::memory_order_relaxed);
  return found;
}

// --- what happens -----------------------------------------------------------------------------------------------------------------

void AnswerCache::changed(std::uint64_t hash) noexcept {
  changes_[hash & mask_].fetch_add(1, std::memory_order_acq_rel);
  invalidations_.fetch_add(1, std::memory_order_relaxed);
}

void AnswerCache::clear() {
  // The counts first: what is on its way must not come in behind.
  for (auto& count : changes_) count.fetch_add(1, std::memory_order_acq_rel);
  invalidations_.fetch_add(1, std::memory_order_relaxed);
  for (auto& share : shares_) {
    const std::scoped_lock lock(share.mutex);
    while (!share.ring.empty()) erase(share, share.slots.find(share.ring.back()));
  }
}

std::uint64_t AnswerCache::begin(std::uint32_t number) {
  const std::scoped_lock lock(parts_mutex_);
  auto& part = parts_[number];
  part.lease_end.store(0, std::memory_order_release);
  const auto generation = part.generation.load(std::memory_order_relaxed);
  const auto next = generation + ((generation & 1) != 0 ? 1 : 2);
  part.generation.store(next, std::memory_order_release);
  return next;
}

void AnswerCache::confirm(std::uint32_t number, std::uint64_t generation, Time sent) {
  const std::scoped_lock lock(parts_mutex_);
  auto& part = parts_[number];
  if (part.generation.load(std::memory_order_relaxed) != generation) return;
  part.confirmed.store(ticks(sent), std::memory_order_release);
  part.lease_end.store(ticks(sent) + ticks(options_.max_silence), std::memory_order_release);
}

void AnswerCache::lost(std::uint32_t number) {
  const std::scoped_lock lock(parts_mutex_);
  auto& part = parts_[number];
  part.lease_end.store(0, std::memory_order_release);
  const auto generation = part.generation.load(std::memory_order_relaxed);
  if ((generation & 1) == 0) part.generation.store(generation + 1, std::memory_order_release);
}

void AnswerCache::sweep(Time at) {
  for (auto& share : shares_) {
    const std::scoped_lock lock(share.mutex);
    for (std::size_t i = 0; i < share.ring.size();) {
      const auto slot = share.slots.find(share.ring[i]);
      const auto& sources = slot->second.answer->sources;
      const bool useless = std::any_of(sources.seen.begin(), sources.seen.begin() + sources.count, [&](const Seen& seen) {
        const auto& part = parts_[seen.part];
        const auto generation = part.generation.load(std::memory_order_acquire);
        if (generation == seen.generation) return false;
        return !options_.serve_stale || generation != seen.generation + 1 ||
               ticks(at) - part.confirmed.load(std::memory_order_acquire) > ticks(options_.max_stale);
      });
      if (useless)
        erase(share, slot);
      else
        ++i;
    }
  }
}

AnswerCache::Counts AnswerCache::counts() const {
  Counts out;
  for (const auto& share : shares_) {
    const std::scoped_lock lock(share.mutex);
    out.hits += share.hits;
    out.misses += share.misses;
  }
  out.invalidations = invalidations_.load(std::memory_order_relaxed);
  out.stale = stale_.load(std::memory_order_relaxed);
  out.entries = entries_.load(std::memory_order_relaxed);
  out.bytes = bytes_.load(std::memory_order_relaxed);
  return out;
}

}  // namespace setget::inline v0::redis
