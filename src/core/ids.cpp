#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <mutex>

#include <setget/record.hpp>

namespace setget::inline v0 {

namespace {

constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kUlidSize = 26;
constexpr std::size_t kUlidTimeSize = 10;

constexpr auto kCrockfordValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kCrockford.size(); ++i) values[static_cast<unsigned char>(kCrockford[i])] = static_cast<std::int8_t>(i);
  return values;
}();

std::uint64_t namespace_seed(std::string_view ns) noexcept { return ns.empty() ? 0 : XXH3_64bits(ns.data(), ns.size()); }

// The milliseconds of a canonical ULID, or -1.
std::int64_t ulid_time(std::string_view id) noexcept {
  if (id.size() != kUlidSize || id[0] > '7') return -1;
  std::int64_t ms = 0;
  for (std::size_t i = 0; i < kUlidSize; ++i) {
    const auto value = kCrockfordValues[static_cast<unsigned char>(id[i])];
    if (value < 0) return -1;
    if (i < kUlidTimeSize) ms = ms << 5 | value;
  }
  return ms;
}

}  // namespace

Digest digest_of(std::string_view bytes) noexcept {
  const auto hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

Digest digest_of(std::initializer_list<std::string_view> parts) noexcept {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  for (const auto part : parts) XXH3_128bits_update(&state, part.data(), part.size());
  const auto hash = XXH3_128bits_digest(&state);
  return {hash.high64, hash.low64};
}

std::uint64_t key_hash(std::string_view ns, std::string_view key) noexcept {
  return XXH3_64bits_withSeed(key.data(), key.size(), namespace_seed(ns)) >> 1;
}

std::uint64_t identity_hash(std::string_view ns, std::string_view id) noexcept {
  const std::uint64_t spread = XXH3_64bits_withSeed(id.data(), id.size(), namespace_seed(ns));
  const std::int64_t ms = ulid_time(id);
  if (ms < 0) return spread >> 1;
  constexpr std::uint64_t kLow = (std::uint64_t{1} << 21) - 1;
  return ((static_cast<std::uint64_t>(ms) << 21) & (~std::uint64_t{0} >> 1)) | (spread & kLow);
}

std::string make_ulid(TimePoint now, Random& random) {
  static std::mutex mutex;
  static std::int64_t last_ms = -1;
  static std::uint64_t high = 0;  // 16 bits
  static std::uint64_t low = 0;

  std::int64_t ms = now.time_since_epoch().count();
  std::uint64_t h = 0;
  std::uint64_t l = 0;
  {
    const std::lock_guard lock(mutex);
    if (ms == last_ms) {
      // Monotonic within the millisecond: the next number of 80 bits; wrapping it around is out of reach.
      if (++low == 0) high = (high + 1) & 0xffff;
    } else {
      last_ms = ms;
      high = random.next() & 0xffff;
      low = random.next();
    }
    h = high;
    l = low;
  }
  std::string id(kUlidSize, '0');
  for (std::size_t i = kUlidTimeSize; i-- > 0; ms >>= 5) id[i] = kCrockford[static_cast<std::size_t>(ms & 31)];
  for (std::size_t i = kUlidSize; i-- > kUlidTimeSize;) {
    id[i] = kCrockford[l & 31];
    l = l >> 5 | (h & 31) << 59;
    h >>= 5;
  }
  return id;
}

}  // namespace setget::inline v0
