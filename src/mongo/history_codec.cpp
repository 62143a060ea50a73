#include "mongo/history_codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mongo/codec.hpp"
#include "mongo/errors.hpp"
#include "mongo/fields.hpp"
#include "mongo/names.hpp"

namespace setget::inline v0::mongo {
namespace {

using Kind = HistoryState::Kind;

std::string content_of(std::string_view body) {
  const auto digest = digest_of(body);
  return fmt::format("{:016x}{:016x}", digest.high, digest.low);
}

// What a record says beside its body.
void add_record(PlannedState& out, const Record& record, std::size_t max_inline_bytes) {
  out.link.stamp = record.stamp;
  out.link.keys.clear();
  for (const auto key : record.keys) out.link.keys.emplace_back(key);
  auto& document = out.whole;
  document.add("ttl_rule", static_cast<std::int32_t>(record.ttl_rule));
  if (!record.lost_keys.empty()) document.add_binary("lost", record.lost_keys.packed().view());
  auto encoded = encoded_of(record);
  out.bytes += static_cast<std::int64_t>(encoded.size());
  document.add_utf8("content", content_of(encoded.view()));
  if (encoded.size() <= max_inline_bytes) {
    document.add_binary("body", encoded.view());
    return;
  }
  out.link.pieces = static_cast<std::int64_t>((encoded.size() + max_inline_bytes - 1) / max_inline_bytes);
  document.add("pieces", out.link.pieces);
  out.pieces = std::move(encoded);
}

}  // namespace

std::string part_name(const StoreIdentity& source, std::uint32_t part) {
  return fmt::format("{} {:08x} ", document_id(source.epoch, {}, source.uuid), part);
}

std::string state_name(const std::string& part, Position position) { return fmt::format("{}{:016x}", part, position); }

PlannedState plan_state(const ArchivedState& given, std::string name, const Link* before, std::size_t max_inline_bytes) {
  const auto& state = given.state;
  PlannedState out;
  out.ident = document_id(state.ns, state.id);
  out.link.document = std::move(name);
  out.link.since = state.at;
  out.link.keep = given.keep;
  if (before != nullptr) {
    out.link.stamp = before->stamp;
    if (state.kind == Kind::kTombstone) out.link.keys = before->keys;
  }
  auto& document = out.whole;
  document.add_utf8("_id", out.link.document).add("format", kFormat).add_utf8("ident", out.ident);
  document.add_text("ns", state.ns).add_text("id", state.id);
  document.add("kind", static_cast<std::int32_t>(state.kind)).add("reason", static_cast<std::int32_t>(state.reason));
  document.add("version", state.version).add("revision", state.revision).add("position", state.position);
  document.add_date("since", out.link.since).add_date("until", kForever);
  out.bytes = static_cast<std::int64_t>(state.ns.size() + state.id.size());
  auto live_until = kForever;
  if (state.record) {
    add_record(out, *state.record, max_inline_bytes);
    live_until = state.record->expires_at.value_or(kForever);
  }
  document.add_date("live_until", live_until);
  Document keys;
  for (std::size_t i = 0; i < out.link.keys.size(); ++i) keys.push_text(i, out.link.keys[i]);
  document.add_array("keys", keys).add("stamp", out.link.stamp).add("bytes", out.bytes);
  if (!given.keep) return out;
  document.add("keep", static_cast<std::int64_t>(given.keep->count()));
  // A tombstone is only the memory of an end; a record that expires ends by itself.
  if (state.kind == Kind::kTombstone) {
    out.drop_at = out.link.since + *given.keep;
  } else if (live_until != kForever) {
    out.drop_at = std::max(live_until, out.link.since) + *given.keep;
  }
  if (out.drop_at) document.add_date("drop_at", *out.drop_at).add_date("purge_at", *out.drop_at + kGrace);
  return out;
}

namespace {

// One field of a document; false if it has another type than it must have.
bool take(StoredState& out, const Value& field, std::int64_t& format) {
  const auto name = field.name();
  if (name == "_id") return take_text(field, out.document);
  if (name == "format") return take_number(field, format);
  if (name == "ident") return take_text(field, out.ident);
  if (name == "ns") return take_text(field, out.ns);
  if (name == "kind") return take_number(field, out.kind);
  if (name == "reason") return take_number(field, out.reason);
  if (name == "version") return take_number(field, out.meta.version);
  if (name == "revision") return take_number(field, out.meta.revision);
  if (name == "stamp") return take_number(field, out.meta.stamp);
  if (name == "ttl_rule") return take_number(field, out.meta.ttl_rule);
  if (name == "position") return take_number(field, out.position);
  if (name == "since") return take_moment(field, out.since);
  if (name == "until") return take_moment(field, out.until);
  if (name == "body") return take_text(field, out.body);
  if (name == "content") return take_text(field, out.content);
  if (name == "pieces") return take_number(field, out.pieces);
  if (name == "live_until") {
    auto time = kForever;
    if (!take_moment(field, time)) return false;
    if (time != kForever) out.meta.expires_at = time;
    return true;
  }
  if (name == "keep") {
    const auto ms = field.integer();
    if (ms) out.keep = Milliseconds(*ms);
    return ms.has_value();
  }
  if (name == "keys") return take_keys(field, out.keys);
  if (name == "lost") return take_packed_keys(field, out.meta.lost_keys);
  return true;
}

}  // namespace

Result<StoredState> read_state(const bson_t* document) {
  StoredState out;
  std::int64_t format = kFormat;
  const auto wrong = first_wrong_field(document, [&](const Value& field) { return take(out, field, format); });
  if (!wrong) return corrupted("a state of a history is not BSON");
  if (!wrong->empty()) {
    return corrupted(fmt::format("state \"{}\" of a history: the field {} is not what it must be", out.document, *wrong));
  }
  if (format > kFormat) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("state \"{}\" of a history has format {}; this version reads {}", out.document, format, kFormat));
  }
  return out;
}

Link link_of(StoredState&& state) {
  return {.document = std::move(state.document),
          .since = state.since,
          .until = state.until,
          .keys = std::move(state.keys),
          .stamp = state.meta.stamp,
          .keep = state.keep,
          .pieces = state.pieces};
}

Result<Record> record_of(StoredState&& state) {
  if (content_of(state.body) != state.content) {
    return corrupted(fmt::format("state \"{}\" of a history: its payload is not what was written", state.document));
  }
  return make_record(Payload::adopt(std::move(state.body)), state.meta);
}

}  // namespace setget::inline v0::mongo
