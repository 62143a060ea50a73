// Verification's decision: what two sides say of one identity, and whether that is a difference. Pure. Thread rule: any thread.
#pragma once

#include <optional>
#include <string>

#include <setget/archiver.hpp>

namespace setget::inline v0::detail {

// What one side knows of an identity at a moment. Expired records count as gone: neither side serves them.
struct SideState {
  enum class Is : std::uint8_t { kUnknown, kGone, kLive, kDamaged };
  Is is = Is::kUnknown;
  Version version = 0;  // kGone: 0 where the side did not say
  Revision revision = 0;
  std::optional<TimePoint> expires_at;
  Stamp stamp = 0;  // kLive: of the record, as the rule that gave its expiry
  TtlRule ttl_rule = TtlRule::kDefault;
  Digest content;
  std::string damage;  // kDamaged: what is wrong
  bool later = false;  // kDamaged: it is whole, and of a format that a later version writes
  friend bool operator==(const SideState&, const SideState&) = default;
};

SideState state_of(const Summary& summary, TimePoint now);
// Of an answer that could not be given because the bytes are not what they were; other errors are the caller's.
SideState damaged(const Error& error);
SideState state_of(const Lookup& lookup, TimePoint now);
// A lookup does not tell which version of an identity is gone, and its line does.
void fill_in(SideState& state, Version version, Revision revision);

struct DifferenceFound {
  Difference::Kind kind;
  std::string detail;
};
// Empty where both agree. A store that has a record and an archive that knows nothing of it is kMissingInArchive; whether it had to be
// archived is the caller's question.
std::optional<DifferenceFound> compare(const SideState& store, const SideState& archive);

}  // namespace setget::inline v0::detail
