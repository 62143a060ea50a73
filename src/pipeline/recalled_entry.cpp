#include "pipeline/recalled_entry.hpp"

#include <utility>

namespace setget::inline v0::detail {

Command command_of(Record&& record) {
  Command command;
  command.ns = std::move(record.ns);
  command.id = std::move(record.id);
  command.keys = std::move(record.keys);
  command.account = std::move(record.account);
  command.flow = std::move(record.flow);
  command.owner = std::move(record.owner);
  command.payload = std::move(record.payload);
  command.content_type = std::move(record.content_type);
  command.attributes = std::move(record.attributes);
  return command;
}

ApplyEntry recalled_entry(Record&& record, const Flows& flows, Payload encoded) {
  ApplyEntry entry;
  entry.stamp = record.stamp;
  entry.expires_at = record.expires_at;
  entry.ttl_rule = record.ttl_rule;
  const auto flow = flows.effective(record.account, record.flow);
  entry.listed = flow.index.value_or(false);
  entry.history = flow.history.value_or(false);
  entry.revision = record.revision;
  entry.lost_keys = std::move(record.lost_keys);
  // A redelivery of the original set then is a duplicate and no conflict.
  std::optional<Ttl> ttl;
  if (record.ttl_rule == TtlRule::kMessage) ttl = record.expires_at ? Ttl::after(*record.expires_at - record.created_at) : Ttl::never();
  const auto version = record.version;
  entry.command = command_of(std::move(record));
  entry.command.ttl = ttl;
  if (version != entry.stamp) entry.command.version = version;
  // What a set says beyond its record stands between the record's own bytes.
  const bool as_record = !entry.command.ttl && !entry.command.version && !encoded.empty();
  entry.encoded = as_record ? std::move(encoded) : encode_command(entry.command);
  return entry;
}

}  // namespace setget::inline v0::detail
