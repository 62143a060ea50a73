#include <algorithm>

#include "gateway/base64.hpp"
#include "gateway/envelope.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/media_type.hpp"

namespace setget::inline v0::detail {
namespace {

// Records that came through the door were checked; those of a restore or of a host's own validator may not have been.
bool is_json_payload(const Record& record) {
  if (record.payload.empty() || !is_json_type(record.content_type) || !is_utf8(record.payload.view())) return false;
  Limits limits;
  limits.reject_duplicate_names = false;
  limits.reject_inexact_integers = false;
  return check_json(record.payload.view(), limits).empty();
}

}  // namespace

void append_bytes(JsonObject& object, std::string_view name, std::string_view bytes) {
  if (is_utf8(bytes)) {
    object.text(name, bytes);
    return;
  }
  std::string& out = object.raw(std::string(name) + "_base64");
  out += '"';
  append_base64(out, bytes);
  out += '"';
}

void append_keys(JsonObject& object, std::string_view name, const KeyList& keys) {
  bool binary = false;
  {
    JsonArray array(object.raw(name));
    for (const auto key : keys) {
      if (is_utf8(key))
        array.text(key);
      else
        binary = true;
    }
  }
  if (!binary) return;
  JsonArray array(object.raw(std::string(name) + "_base64"));
  for (const auto key : keys) {
    if (is_utf8(key)) continue;
    std::string& out = array.raw();
    out += '"';
    append_base64(out, key);
    out += '"';
  }
}

void append_envelope(std::string& out, const Record& record, std::optional<Tier> tier) {
  JsonObject object(out);
  append_bytes(object, "id", record.id);
  append_keys(object, "keys", record.keys);
  if (!record.lost_keys.empty()) append_keys(object, "lost_keys", record.lost_keys);
  object.text("account", record.account).text("flow", record.flow);
  if (!record.owner.empty()) object.text("owner", record.owner);
  object.text("content_type", record.content_type);
  if (!record.attributes.empty()) {
    JsonObject attributes(object.raw("attributes"));
    for (const auto& [name, value] : record.attributes) attributes.text(name, value);
  }
  object.number("version", record.version).number("revision", record.revision);
  object.text("created_at", rfc3339(record.created_at));
  object.text("expires_at", record.expires_at ? rfc3339(*record.expires_at) : "never");
  object.text("ttl_rule", to_string(record.ttl_rule));
  if (tier) object.text("tier", to_string(*tier));
  if (is_json_payload(record)) {
    object.raw("payload").append(record.payload.view());
    return;
  }
  std::string& base64 = object.raw("payload_base64");
  base64 += '"';
  append_base64(base64, record.payload.view());
  base64 += '"';
}

}  // namespace setget::inline v0::detail

namespace setget::inline v0 {

std::string write_envelope(const Record& record, std::optional<Tier> tier) {
  std::string out;
  out.reserve(record.payload.size() + 512);
  detail::append_envelope(out, record, tier);
  return out;
}

}  // namespace setget::inline v0
