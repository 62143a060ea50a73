// Hash slots as the Redis Cluster specification has them, and the map from slots to nodes. Pure. Thread rule: values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "redis/reply.hpp"
#include "redis/uri.hpp"

#include <setget/error.hpp>

namespace setget::inline v0::redis {

inline constexpr std::uint32_t kSlots = 16384;

// CRC-16/XMODEM: polynomial 0x1021, start 0, not reflected; "123456789" gives 0x31C3.
std::uint16_t crc16(std::string_view bytes) noexcept;

// The slot of a key. Only what stands between the first '{' and the next '}' counts, if there is anything between them.
std::uint32_t key_slot(std::string_view key) noexcept;

// Which master serves which slot.
class SlotMap {
 public:
  // From the reply of CLUSTER SLOTS or of CLUSTER SHARDS. `asked` answers for nodes without a host. With `tls` the TLS port of CLUSTER
  // SHARDS counts. Error: kCorrupted where the reply is neither.
  static Result<SlotMap> from_slots(const Reply& reply, const Endpoint& asked);
  static Result<SlotMap> from_shards(const Reply& reply, const Endpoint& asked, bool tls);

  // nullptr: nobody serves it.
  const Endpoint* master_of(std::uint32_t slot) const noexcept {
    const auto at = owner_[slot];
    return at == kNobody ? nullptr : &masters_[at];
  }
  std::span<const Endpoint> masters() const noexcept { return masters_; }
  // Slots that somebody serves.
  std::uint32_t covered() const noexcept;
  // What MOVED said.
  void move(std::uint32_t slot, const Endpoint& to);

  SlotMap() { owner_.fill(kNobody); }

 private:
  static constexpr std::uint16_t kNobody = 0xffff;
  std::uint16_t number_of(const Endpoint& master);
  bool assign(std::int64_t first, std::int64_t last, const Endpoint& master);
  std::array<std::uint16_t, kSlots> owner_;
  std::vector<Endpoint> masters_;
};

}  // namespace setget::inline v0::redis
