// The encoded forms of what queue rows keep beside a body. Every form starts with a format byte. Decoders throw SqlError(kCorrupted).
// Thread rule: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/queue.hpp>
#include <setget/record.hpp>

namespace setget::inline v0::sqlite {

std::string encode_attributes(const MessageAttributes& attributes);
MessageAttributes decode_attributes(std::string_view bytes);
// Empty for none.
std::string encode_reasons(const std::vector<Reason>& reasons);
std::vector<Reason> decode_reasons(std::string_view bytes);
std::string encode_options(const QueueOptions& options);
QueueOptions decode_options(std::string_view bytes);

// Checksum of a stored body: finds damage on disk that SQLite itself cannot see.
std::int64_t checksum_of(std::string_view body) noexcept;
// Of a stored body; throws SqlError(kCorrupted) where it is not what was written.
Digest checked_digest(std::string_view body, std::int64_t checksum);
// A copy of it; throws as well.
Payload checked_body(std::string_view body, std::int64_t checksum);

// The highest byte first.
inline constexpr std::size_t kDigestBytes = 16;
std::string encode_digest(const Digest& digest);
// Empty where these are not so many bytes.
std::optional<Digest> decode_digest(std::string_view bytes);

// One message of a lease.
struct LeaseMember {
  Stamp stamp = 0;
  std::int64_t until = 0;  // ms
  // Its FIFO group, told apart from the others of the lease by the stamp of the group's first message in it; 0 = none. In leases of older
  // versions a hash of the group's name, which another group can have, too: Leases goes by the names then.
  std::uint64_t group = 0;
  bool exact_group = true;
  std::uint32_t receives = 1;
  std::uint32_t flags = 0;  // WaitFlags
};
// Members by rising stamp.
std::string encode_members(const std::vector<LeaseMember>& members, std::int64_t until);
std::vector<LeaseMember> decode_members(std::string_view bytes, std::int64_t until);

}  // namespace setget::inline v0::sqlite
