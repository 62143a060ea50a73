#include <fmt/format.h>

#include <setget/testing/commands.hpp>

namespace setget::inline v0::testing {

namespace {

ApplyEntry entry_of(Command command, Stamp stamp, std::optional<TimePoint> expires_at) {
  ApplyEntry entry;
  entry.encoded = encode_command(command);
  entry.command = std::move(command);
  entry.stamp = stamp;
  entry.expires_at = expires_at;
  return entry;
}

std::string text_of(const Lookup& lookup) {
  switch (lookup.status) {
    case Lookup::Status::kUnknown:
      return "unknown";
    case Lookup::Status::kGone:
      return "gone";
    case Lookup::Status::kFound:
      break;
  }
  const auto& record = *lookup.record;
  std::string keys;
  for (const auto key : record.keys) keys += fmt::format("{}{},", record.lost_keys.contains(key) ? "-" : "", key);
  return fmt::format("{} v{} s{} [{}] \"{}\" until {}", record.id, record.version, record.stamp, keys, record.payload.view(),
                     record.expires_at ? record.expires_at->time_since_epoch().count() : -1);
}

}  // namespace

ApplyEntry set_entry(const SetSpec& spec) {
  Command command;
  command.kind = CommandKind::kSet;
  command.ns = spec.ns;
  command.id = spec.id;
  command.keys = KeyList(std::span<const std::string>(spec.keys));
  command.account = spec.account;
  command.flow = spec.flow;
  command.owner = spec.owner;
  command.payload = Payload(spec.payload);
  command.content_type = "application/json";
  command.version = spec.version;
  command.expected_version = spec.expected_version;
  auto entry = entry_of(std::move(command), spec.stamp, spec.expires_at);
  entry.listed = spec.listed;
  return entry;
}

ApplyEntry erase_entry(const IdSpec& spec) {
  Command command;
  command.kind = CommandKind::kErase;
  command.ns = spec.ns;
  command.id = spec.id;
  command.version = spec.version;
  return entry_of(std::move(command), spec.stamp, {});
}

ApplyEntry touch_entry(const IdSpec& spec) {
  Command command;
  command.kind = CommandKind::kTouch;
  command.ns = spec.ns;
  command.id = spec.id;
  auto entry = entry_of(std::move(command), spec.stamp, spec.expires_at);
  entry.ttl_rule = TtlRule::kMessage;
  return entry;
}

ApplyEntry erase_key_entry(std::string_view key, Stamp stamp, std::string_view ns) {
  Command command;
  command.kind = CommandKind::kEraseKey;
  command.ns = std::string(ns);
  command.keys = KeyList({key});
  return entry_of(std::move(command), stamp, {});
}

std::string describe_state(KeyStoreBackend& store, std::string_view ns, const std::vector<std::string>& keys,
                           const std::vector<std::string>& ids, TimePoint now) {
  std::string text;
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  const auto found = store.get({.ns = ns, .keys = views, .now = now}).value();
  for (std::size_t i = 0; i < keys.size(); ++i) text += fmt::format("key {}: {}\n", keys[i], text_of(found[i]));
  for (const auto& id : ids) text += fmt::format("id {}: {}\n", id, text_of(store.get_by_id({.ns = ns, .id = id, .now = now}).value()));
  return text;
}

}  // namespace setget::inline v0::testing
