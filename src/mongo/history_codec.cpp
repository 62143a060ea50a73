#include "mongo/history_codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/check_length.hpp"
#include "mongo/codec.hpp"
#include "mongo/errors.hpp"
#include "mongo/fields.hpp"
#include "mongo/names.hpp"

namespace setget::inline v0::mongo {
namespace {

using Kind = HistoryState::Kind;

// Room beside a body for what a document says behind it, and for what the driver puts around it.
constexpr std::size_t kRest = 1024;

std::string content_of(std::string_view body) {
  const auto digest = digest_of(body);
  return fmt::format("{:016x}{:016x}", digest.high, digest.low);
}

// What a record says beside its body, and the body where it has room.
void add_record(PlannedState& out, const Record& record, std::size_t max_inline_bytes) {
  auto& document = out.whole;
  document.add("ttl_rule", static_cast<std::int32_t>(record.ttl_rule));
  if (!record.lost_keys.empty()) document.add_binary("lost", record.lost_keys.packed().view());
  auto encoded = encoded_of(record);
  out.bytes += static_cast<std::int64_t>(encoded.size());
  document.add_utf8("content", content_of(encoded.view()));
  if (encoded.size() <= max_inline_bytes && document.bytes() + encoded.size() + kRest < kMaxDocument) {
    document.add_binary("body", encoded.view());
    return;
  }
  out.link.pieces = static_cast<std::int64_t>((encoded.size() + max_inline_bytes - 1) / max_inline_bytes);
  document.add("pieces", out.link.pieces);
  out.pieces = std::move(encoded);
}

// What every document says, whether a state is in it or only its place.
void add_frame(Document& document, const PlannedState& planned, Kind kind, std::span<const std::string> keys) {
  const auto& state = planned.given->state;
  document.add_utf8("_id", planned.link.document).add("format", kFormat).add_utf8("ident", planned.ident);
  document.add_text("ns", state.ns).add_text("id", state.id);
  document.add("kind", static_cast<std::int32_t>(kind)).add("reason", static_cast<std::int32_t>(state.reason));
  document.add("version", state.version).add("revision", state.revision).add("position", state.position);
  document.add_date("since", planned.link.since).add_date("until", kForever).add_date("live_until", planned.live_until);
  Document list;
  for (std::size_t i = 0; i < keys.size(); ++i) list.push_text(i, keys[i]);
  document.add_array("keys", list).add("stamp", planned.link.stamp);
  if (keys.size() == 1 && keys.front() == kAnyKey) document.add("any_key", true);
  if (planned.link.keep) document.add("keep", static_cast<std::int64_t>(planned.link.keep->count()));
  if (planned.drop_at) document.add_date("drop_at", *planned.drop_at).add_date("purge_at", *planned.drop_at + kGrace);
}

}  // namespace

std::string part_name(const StoreIdentity& source, std::uint32_t part) {
  return fmt::format("{} {:08x} ", document_id(source.epoch, {}, source.uuid), part);
}

std::string state_name(const std::string& part, Position position) { return fmt::format("{}{:016x}", part, position); }

PlannedState plan_state(const ArchivedState& given, std::string name, const Link* before, std::size_t max_inline_bytes) {
  const auto& state = given.state;
  PlannedState out;
  out.given = &given;
  out.ident = document_id(state.ns, state.id);
  auto& link = out.link;
  link.document = std::move(name);
  link.since = state.at;
  link.keep = detail::bounded_age(given.keep);
  if (before != nullptr) {
    link.stamp = before->stamp;
    if (state.kind == Kind::kTombstone) link.keys = before->keys;
  }
  if (state.record) {
    link.stamp = state.record->stamp;
    link.keys.clear();
    for (const auto key : state.record->keys) link.keys.emplace_back(key);
    out.live_until = state.record->expires_at.value_or(kForever);
  }
  // A tombstone is only the memory of an end; a record that expires ends by itself.
  if (link.keep && state.kind == Kind::kTombstone) {
    out.drop_at = link.since + *link.keep;
  } else if (link.keep && out.live_until != kForever) {
    out.drop_at = std::max(out.live_until, link.since) + *link.keep;
  }
  add_frame(out.whole, out, state.kind, link.keys);
  out.bytes = static_cast<std::int64_t>(state.ns.size() + state.id.size());
  if (state.record) add_record(out, *state.record, max_inline_bytes);
  out.whole.add("bytes", out.bytes);
  return out;
}

Document place_of(const PlannedState& planned, std::string_view why, bool with_keys) {
  const std::vector<std::string> any{std::string(kAnyKey)};
  Document place;
  add_frame(place, planned, kNeverTaken, with_keys ? std::span<const std::string>(planned.link.keys) : any);
  const auto& record = planned.given->state.record;
  if (with_keys && record && !record->lost_keys.empty()) place.add_binary("lost", record->lost_keys.packed().view());
  return std::move(place.add_text("why", why).add("bytes", std::int64_t{0}));
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
  if (name == "any_key") {
    out.any_key = field.truth().value_or(true);
    return true;
  }
  if (name == "why") return take_text(field, out.why);
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
  const bool dated = find(document, "since").has_value() && find(document, "until").has_value();
  const auto wrong = first_wrong_field(document, [&](const Value& field) { return take(out, field, format); });
  if (!wrong) return corrupted("a state of a history is not BSON");
  if (!wrong->empty()) {
    return corrupted(fmt::format("state \"{}\" of a history: the field {} is not what it must be", out.document, *wrong));
  }
  if (out.ident.empty() || !dated) return corrupted(fmt::format("state \"{}\" of a history does not say of what or when", out.document));
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
          .keep = detail::bounded_age(state.keep),
          .pieces = state.pieces};
}

Link link_of_damaged(const bson_t* document) {
  const auto time = [&](const char* name, TimePoint fallback) {
    const auto value = find(document, name);
    return value ? value->time().value_or(fallback) : fallback;
  };
  Link link{.document = text_or_empty(document, "_id"), .since = time("since", TimePoint{}), .until = time("until", kForever)};
  link.stamp = static_cast<Stamp>(integer_or(document, "stamp", 0));
  link.pieces = integer_or(document, "pieces", 0);
  if (const auto keep = find(document, "keep"); keep && keep->integer()) link.keep = detail::bounded_age(Milliseconds(*keep->integer()));
  if (const auto keys = find(document, "keys")) (void)take_keys(*keys, link.keys);
  return link;
}

Error never_taken(const StoredState& state) {
  return corrupted(fmt::format("state \"{}\" of a history was refused when it was to be written: {}", state.document, state.why));
}

Result<Record> record_of(StoredState&& state) {
  if (state.kind == kNeverTaken) return never_taken(state);
  if (content_of(state.body) != state.content) {
    return corrupted(fmt::format("state \"{}\" of a history: its payload is not what was written", state.document));
  }
  return make_record(Payload::adopt(std::move(state.body)), state.meta);
}

}  // namespace setget::inline v0::mongo
