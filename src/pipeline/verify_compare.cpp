#include "pipeline/verify_compare.hpp"

#include <fmt/format.h>

namespace setget::inline v0::detail {

namespace {

using Is = SideState::Is;

std::string at(const SideState& state) { return fmt::format("version {} revision {}", state.version, state.revision); }

std::string when(const std::optional<TimePoint>& time) {
  return time ? fmt::format("{} ms since 1970", time->time_since_epoch().count()) : std::string("never");
}

}  // namespace

SideState state_of(const Summary& summary, TimePoint now) {
  SideState state;
  state.version = summary.version;
  state.revision = summary.revision;
  if (summary.tombstone || (summary.expires_at && *summary.expires_at <= now)) {
    state.is = Is::kGone;
    return state;
  }
  state.is = Is::kLive;
  state.expires_at = summary.expires_at;
  state.stamp = summary.stamp;
  state.ttl_rule = summary.ttl_rule;
  // Where the record itself was read, its bytes count and not what the side remembers of them.
  state.content = summary.record ? content_digest(*summary.record) : summary.content;
  return state;
}

SideState damaged(const Error& error) {
  SideState state;
  state.is = Is::kDamaged;
  state.damage = error.message();
  state.later = error.code() == ErrorCode::kUnsupported;
  return state;
}

SideState state_of(const Lookup& lookup, TimePoint now) {
  SideState state;
  if (lookup.status == Lookup::Status::kUnknown) return state;
  state.is = Is::kGone;
  if (!lookup.record) return state;
  state.version = lookup.record->version;
  state.revision = lookup.record->revision;
  if (lookup.record->expired(now)) return state;
  state.is = Is::kLive;
  state.expires_at = lookup.record->expires_at;
  state.stamp = lookup.record->stamp;
  state.ttl_rule = lookup.record->ttl_rule;
  state.content = content_digest(*lookup.record);
  return state;
}

void fill_in(SideState& state, Version version, Revision revision) {
  if (state.is != Is::kGone || state.version != 0) return;
  state.version = version;
  state.revision = revision;
}

std::optional<DifferenceFound> compare(const SideState& store, const SideState& archive) {
  using Kind = Difference::Kind;
  if (store.is == Is::kDamaged) return DifferenceFound{Kind::kContent, "in the store: " + store.damage};
  if (archive.is == Is::kDamaged) return DifferenceFound{Kind::kContent, "in the archive: " + archive.damage};
  if (store.is == Is::kLive && archive.is == Is::kLive) {
    if (store.version != archive.version || store.revision != archive.revision) {
      const bool older = archive.version < store.version || (archive.version == store.version && archive.revision < store.revision);
      return DifferenceFound{older ? Kind::kOlderInArchive : Kind::kNewerInArchive,
                             fmt::format("store has {}, archive has {}", at(store), at(archive))};
    }
    if (store.content != archive.content) return DifferenceFound{Kind::kContent, fmt::format("the bytes of {} differ", at(store))};
    if (store.stamp != archive.stamp) {
      return DifferenceFound{Kind::kContent,
                             fmt::format("store accepted {} at stamp {}, archive at {}", at(store), store.stamp, archive.stamp)};
    }
    if (store.expires_at != archive.expires_at) {
      return DifferenceFound{Kind::kExpiry,
                             fmt::format("store expires it at {}, archive at {}", when(store.expires_at), when(archive.expires_at))};
    }
    if (store.ttl_rule != archive.ttl_rule) {
      return DifferenceFound{Kind::kExpiry, fmt::format(R"(the expiry of {} is by the rule "{}" in the store, "{}" in the archive)",
                                                        at(store), to_string(store.ttl_rule), to_string(archive.ttl_rule))};
    }
    return std::nullopt;
  }
  if (store.is == Is::kLive) {
    if (archive.is == Is::kUnknown) return DifferenceFound{Kind::kMissingInArchive, fmt::format("store has {}", at(store))};
    const bool newer = archive.version > store.version || (archive.version == store.version && archive.revision > store.revision);
    return DifferenceFound{newer ? Kind::kNewerInArchive : Kind::kOlderInArchive,
                           fmt::format("store has {}, in the archive it is gone", at(store))};
  }
  if (archive.is != Is::kLive) return std::nullopt;
  if (store.is == Is::kUnknown) return DifferenceFound{Kind::kOnlyInArchive, fmt::format("archive has {}", at(archive))};
  const bool newer =
      store.version != 0 && (archive.version > store.version || (archive.version == store.version && archive.revision > store.revision));
  return DifferenceFound{newer ? Kind::kNewerInArchive : Kind::kOlderInArchive,
                         fmt::format("gone in the store, archive has {}", at(archive))};
}

}  // namespace setget::inline v0::detail
