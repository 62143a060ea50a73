#include "memory/transaction.hpp"

#include <algorithm>

namespace setget::inline v0::memory::detail {

namespace {

// Steps touch a handful of rows: looking through them beats any index.
template <class Rows, class View>
bool remembers(const Rows& rows, const View& view) {
  return std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return View(row.first) == view; });
}

}  // namespace

Transaction::~Transaction() {
  if (!committed_) {
    // NOLINTNEXTLINE(modernize-loop-convert): clang 14 cannot compile the views of libstdc++ 12
    for (auto at = changed_listers_.rbegin(); at != changed_listers_.rend(); ++at) tables_.set_silent_lister(at->key, at->id, !at->listed);
    for (auto& [name, row] : old_identities_) tables_.put(name, std::move(row));
    for (auto& [name, row] : old_keys_) tables_.put(name, std::move(row));
    if (outbox_ != nullptr) outbox_->cut(outbox_size_);
  }
  for (const auto& old : old_keys_) tables_.seal(old.first);
}

IdentityRow Transaction::open(const IdentityView& name) {
  const auto* found = tables_.find(name);
  auto row = found != nullptr ? *found : IdentityRow();
  if (!remembers(old_identities_, name)) old_identities_.emplace_back(name, row);
  return row;
}

KeyRow Transaction::open(const KeyView& name) {
  const auto* found = tables_.find(name);
  auto row = found != nullptr ? *found : KeyRow();
  if (!remembers(old_keys_, name)) old_keys_.emplace_back(name, row);
  return row;
}

Result<IdentitySlot> Transaction::load_identity(std::string_view ns, std::string_view id) {
  const auto* row = tables_.find(IdentityView(ns, id));
  return row != nullptr ? row->slot : IdentitySlot();
}

Result<Payload> Transaction::load_encoded(std::string_view ns, std::string_view id, const IdentitySlot&) {
  const auto* row = tables_.find(IdentityView(ns, id));
  if (row == nullptr || !row->live()) return Error(ErrorCode::kInternal, "the command of an identity that is not live was asked for");
  return row->encoded;
}

Result<KeySlot> Transaction::load_key(std::string_view ns, std::string_view key) {
  const auto* row = tables_.find(KeyView{ns, key});
  return row != nullptr ? row->slot : KeySlot();
}

Result<std::vector<std::string>> Transaction::silent_listers(std::string_view ns, std::string_view key) {
  return tables_.silent_listers({ns, key});
}

Result<void> Transaction::set_silent_lister(std::string_view ns, std::string_view key, std::string_view id, bool listed) {
  const KeyView name{ns, key};
  open(name);
  if (tables_.set_silent_lister(name, id, listed)) changed_listers_.push_back({KeyName(name), std::string(id), listed});
  return {};
}

Result<void> Transaction::store_record(const ApplyEntry& entry, const IdentitySlot&, IdentitySlot& slot) {
  const auto& command = entry.command;
  const IdentityView name(command.ns, command.id);
  auto row = open(name);
  if (row.history && !entry.history) leaving_.emplace_back(name);
  if (entry.history && !row.history && row.live()) {
    auto old = decode_command(row.encoded);
    if (!old) return std::move(old).error();
    if (auto kept = keep_first(name, row, old->account == command.account && old->flow == command.flow); !kept) return kept;
  }
  row.history = entry.history;
  row.slot = slot;
  row.encoded = entry.encoded;
  row.lost_keys = {};
  row.listed = entry.listed ? std::make_shared<const ListedAs>(ListedAs{command.account, command.flow, command.owner}) : nullptr;
  tables_.put(name, std::move(row));
  return {};
}

Result<void> Transaction::update_slot(std::string_view ns, std::string_view id, const IdentitySlot&, const IdentitySlot& slot,
                                      const KeyList* lost_keys) {
  const IdentityView name(ns, id);
  auto row = open(name);
  row.slot = slot;
  if (lost_keys != nullptr) row.lost_keys = *lost_keys;
  tables_.put(name, std::move(row));
  return {};
}

Result<void> Transaction::store_tombstone(std::string_view ns, std::string_view id, const IdentitySlot&, const IdentitySlot& slot) {
  const IdentityView name(ns, id);
  auto row = open(name);
  row.slot = slot;
  row.encoded = {};
  row.lost_keys = {};
  row.listed = nullptr;
  tables_.put(name, std::move(row));
  return {};
}

Result<void> Transaction::store_key(std::string_view ns, std::string_view key, const KeySlot&, const KeySlot& slot, const IdentitySlot*) {
  const KeyView name{ns, key};
  auto row = open(name);
  row.slot = slot;
  tables_.put(name, std::move(row));
  return {};
}

Result<void> Transaction::log_change(std::string_view ns, std::string_view id, const IdentitySlot&) {
  const IdentityView name(ns, id);
  auto row = open(name);
  row.position = tables_.next_position();
  auto kept = keep(name, row, at_);
  tables_.put(name, std::move(row));
  return kept;
}

Result<void> Transaction::keep_first(const IdentityView& name, IdentityRow row, bool whole) {
  row.history = whole;
  if (!whole) leaving_.emplace_back(name);
  auto kept = keep(name, row, time_of(row.slot.stamp));
  if (!whole) leaving_.pop_back();
  return kept;
}

Result<bool> Transaction::begin_history(const BeginHistory& request) {
  const IdentityView name(request.ns, request.id);
  const auto* found = tables_.find(name);
  if (found == nullptr || !found->live() || found->history || found->slot.version != request.version) return false;
  auto row = open(name);
  if (auto kept = keep_first(name, row, true); !kept) return std::move(kept).error();
  row.history = true;
  tables_.put(name, std::move(row));
  return true;
}

Result<void> Transaction::keep(const IdentityView& name, const IdentityRow& row, TimePoint at) {
  const bool left = std::any_of(leaving_.begin(), leaving_.end(), [&](const IdentityName& one) { return IdentityView(one) == name; });
  if (outbox_ == nullptr || (!row.history && !left)) return {};
  Outbox::Item item;
  auto& state = item.state;
  state.at = at;
  state.ns = name.ns;
  state.id = name.id;
  state.version = row.slot.version;
  state.revision = row.slot.revision;
  item.meta = row.meta();
  if (!row.live()) {
    state.kind = HistoryState::Kind::kTombstone;
    state.reason = row.slot.reason;
  } else if (row.history) {
    item.encoded = row.encoded;
  } else {
    state.kind = HistoryState::Kind::kNotKept;
    auto command = decode_command(row.encoded);
    if (!command) return std::move(command).error();
    command->payload = {};
    item.encoded = encode_command(*command);
  }
  return outbox_->add(std::move(item), bounded_);
}

}  // namespace setget::inline v0::memory::detail
