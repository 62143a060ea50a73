#include "memory/tables.hpp"

namespace setget::inline v0::memory::detail {

StoredMeta IdentityRow::meta() const {
  return {.version = slot.version,
          .revision = slot.revision,
          .stamp = slot.stamp,
          .expires_at = slot.expires_at,
          .ttl_rule = slot.ttl_rule,
          .lost_keys = lost_keys};
}

// --- rows -----------------------------------------------------------------------------------------------------------------------

const IdentityRow* Tables::find(const IdentityView& name) const {
  const auto found = identities_.find(name);
  return found == identities_.end() ? nullptr : &found->second;
}

const KeyRow* Tables::find(const KeyView& name) const {
  const auto found = keys_.find(name);
  return found == keys_.end() ? nullptr : &found->second;
}

const IdentityRow* Tables::holder(const KeyView& name, const KeyRow& row) const {
  if (!row.slot.leads) return nullptr;
  const auto* held = find(IdentityView(name.ns, row.slot.claim_id));
  return held != nullptr && held->live() ? held : nullptr;
}

void Tables::put(const IdentityView& name, IdentityRow row) {
  auto at = identities_.lower_bound(name);
  if (at == identities_.end() || IdentityLess{}(name, at->first)) {
    at = identities_.emplace_hint(at, IdentityName(name), std::move(row));
  } else {
    unindex(*at);
    if (row.encoded.data() != at->second.encoded.data()) row.content.reset();
    at->second = std::move(row);
  }
  index(*at);
  watch(gone_identities_, *at);
}

void Tables::put(const KeyView& name, KeyRow row) {
  auto at = keys_.find(name);
  if (at == keys_.end()) {
    at = keys_.emplace(KeyName(name), std::move(row)).first;
    bytes_ += sizeof(*at) + name.ns.size() + name.key.size();
  } else {
    row.silent_listers = at->second.silent_listers;
    at->second = std::move(row);
  }
}

void Tables::know_content(const IdentityView& name, const Payload& encoded, const Digest& content) {
  const auto at = identities_.find(name);
  if (at != identities_.end() && at->second.encoded.data() == encoded.data()) at->second.content = content;
}

std::vector<std::string> Tables::silent_listers(const KeyView& name) const {
  const auto found = silent_listers_.find(name);
  if (found == silent_listers_.end()) return {};
  return {found->second.begin(), found->second.end()};
}

bool Tables::set_silent_lister(const KeyView& name, std::string_view id, bool listed) {
  auto at = silent_listers_.find(name);
  const bool was_listed = at != silent_listers_.end() && at->second.contains(id);
  if (was_listed == listed) return false;
  if (listed) {
    if (at == silent_listers_.end()) at = silent_listers_.try_emplace(KeyName(name)).first;
    at->second.emplace(id);
  } else {
    at->second.erase(at->second.find(id));
  }
  if (!keys_.contains(name)) put(name, KeyRow());
  keys_.find(name)->second.silent_listers = at->second.size();
  if (at->second.empty()) silent_listers_.erase(at);
  return true;
}

void Tables::seal(const KeyView& name) {
  const auto at = keys_.find(name);
  if (at == keys_.end()) return;
  at->second.position = last_position_;
  watch(gone_keys_, *at);
}

// --- indexes --------------------------------------------------------------------------------------------------------------------

void Tables::index(const Identities::value_type& row) {
  const auto& [name, identity] = row;
  bytes_ += sizeof(row) + name.ns.size() + name.id.size() + identity.encoded.size() + identity.lost_keys.packed().size();
  if (identity.position != 0) log_.emplace(identity.position, &row);
  if (identity.slot.state == IdentitySlot::State::kTombstone) ++tombstones_;
  if (!identity.live()) return;
  ++live_;
  if (identity.slot.expires_at) expiry_.emplace(*identity.slot.expires_at, &row);
  for (auto& scope : scopes_of(row)) listings_[std::move(scope)].emplace(name, &row);
}

void Tables::unindex(const Identities::value_type& row) {
  const auto& [name, identity] = row;
  bytes_ -= sizeof(row) + name.ns.size() + name.id.size() + identity.encoded.size() + identity.lost_keys.packed().size();
  if (identity.position != 0) log_.erase(identity.position);
  if (identity.slot.state == IdentitySlot::State::kTombstone) --tombstones_;
  if (!identity.live()) return;
  --live_;
  if (identity.slot.expires_at) expiry_.erase({*identity.slot.expires_at, &row});
  for (const auto& scope : scopes_of(row)) {
    const auto listing = listings_.find(scope);
    if (listing == listings_.end()) continue;
    listing->second.erase(IdentityView(name));
    if (listing->second.empty()) listings_.erase(listing);
  }
}

std::vector<Tables::Scope> Tables::scopes_of(const Identities::value_type& row) {
  std::vector<Scope> scopes;
  const auto& listed = row.second.listed;
  if (!listed) return scopes;
  scopes.push_back({.ns = row.first.ns, .account = {}, .flow = {}, .owner = {}});
  // Each field doubles the scopes: with it, and with "any" in its place.
  const auto widen = [&](std::string Scope::*field, const std::string& value) {
    if (value.empty()) return;
    for (std::size_t i = 0, end = scopes.size(); i < end; ++i) {
      auto narrower = scopes[i];
      narrower.*field = value;
      scopes.push_back(std::move(narrower));
    }
  };
  widen(&Scope::account, listed->account);
  widen(&Scope::flow, listed->flow);
  widen(&Scope::owner, listed->owner);
  return scopes;
}

std::vector<const Identities::value_type*> Tables::list(const ListRecords& request, const std::optional<IdentityView>& after) const {
  std::vector<const Identities::value_type*> found;
  const auto listing =
      listings_.find(Scope{std::string(request.ns), std::string(request.account), std::string(request.flow), std::string(request.owner)});
  if (listing == listings_.end()) return found;
  auto at = after ? listing->second.upper_bound(*after) : listing->second.begin();
  for (; at != listing->second.end() && found.size() < request.limit; ++at) found.push_back(at->second);
  return found;
}

// --- housekeeping ---------------------------------------------------------------------------------------------------------------

const Identities::value_type* Tables::first_expiring() const { return expiry_.empty() ? nullptr : expiry_.begin()->second; }

bool Tables::trim_one(Position passed) {
  if (log_.empty() || log_.begin()->first > passed) return false;
  const auto& [name, identity] = *log_.begin()->second;
  auto trimmed = identity;
  trimmed.position = 0;
  put(name, std::move(trimmed));
  return true;
}

template <class Row>
void Tables::watch(Gone<Row>& gone, Row& row) {
  if (row.second.gone() && gone.queued.insert(&row).second) gone.for_cursors.emplace(row.second.position, &row);
}

template <class Row>
bool Tables::collect(Gone<Row>& gone, Position passed, Stamp floor, std::size_t& forgotten) {
  Row* row = nullptr;
  if (!gone.for_cursors.empty() && gone.for_cursors.top().first <= passed) {
    row = gone.for_cursors.top().second;
    gone.for_cursors.pop();
  } else if (!gone.for_floor.empty() && gone.for_floor.top().first < floor) {
    row = gone.for_floor.top().second;
    gone.for_floor.pop();
  } else {
    return false;
  }
  const auto position = row->second.position;
  const auto stamp = row->second.remembered_for();
  if (!row->second.gone()) {
    gone.queued.erase(row);
  } else if (position > passed) {
    gone.for_cursors.emplace(position, row);
  } else if (stamp >= floor) {
    gone.for_floor.emplace(stamp, row);
  } else {
    gone.queued.erase(row);
    erase(*row);
    ++forgotten;
  }
  return true;
}

bool Tables::collect_one(Position passed, Stamp floor, std::size_t& forgotten) {
  return collect(gone_identities_, passed, floor, forgotten) || collect(gone_keys_, passed, floor, forgotten);
}

void Tables::erase(Identities::value_type& row) {
  unindex(row);
  identities_.erase(identities_.find(IdentityView(row.first)));
}

void Tables::erase(Keys::value_type& row) {
  bytes_ -= sizeof(row) + row.first.ns.size() + row.first.key.size();
  keys_.erase(keys_.find(KeyView(row.first)));
}

}  // namespace setget::inline v0::memory::detail
