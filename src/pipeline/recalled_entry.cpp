#include "pipeline/recalled_entry.hpp"

#include <utility>

namespace setget::inline v0::detail {

ApplyEntry recalled_entry(Record&& record, const Flows& flows) {
  ApplyEntry entry;
  entry.stamp = record.stamp;
  entry.expires_at = record.expires_at;
  entry.ttl_rule = record.ttl_rule;
  entry.listed = flows.effective(record.account, record.flow).index.value_or(false);
  entry.revision = record.revision;
  entry.lost_keys = std::move(record.lost_keys);
  auto& command = entry.command;
  // A redelivery of the original set then is a duplicate and no conflict.
  if (record.ttl_rule == TtlRule::kMessage)
    command.ttl = record.expires_at ? Ttl::after(*record.expires_at - record.created_at) : Ttl::never();
  if (record.version != record.stamp) command.version = record.version;
  command.ns = std::move(record.ns);
  command.id = std::move(record.id);
  command.keys = std::move(record.keys);
  command.account = std::move(record.account);
  command.flow = std::move(record.flow);
  command.owner = std::move(record.owner);
  command.payload = std::move(record.payload);
  command.content_type = std::move(record.content_type);
  command.attributes = std::move(record.attributes);
  entry.encoded = encode_command(command);
  return entry;
}

}  // namespace setget::inline v0::detail
