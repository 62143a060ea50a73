#include "sqlite/outbox.hpp"

#include <algorithm>
#include <limits>

#include "core/varint.hpp"
#include "sqlite/archive_codec.hpp"
#include "sqlite/book.hpp"
#include "sqlite/codec.hpp"
#include "sqlite/slot.hpp"

namespace setget::inline v0::sqlite {

namespace {

using detail::ByteReader;
using detail::put_bytes;
using detail::put_varint;
using Kind = HistoryState::Kind;

constexpr char kFormat = 2;
constexpr char kUncheckedFormat = 1;  // the same without a checksum
constexpr char kNextFormats = 16;     // of newer versions; anything beyond is damage
constexpr std::string_view kWhat = "the outbox";
constexpr std::int64_t kPositionsOfMillisecond = 4096;

std::uint64_t ms_of(TimePoint time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }
TimePoint time_from(std::uint64_t ms) { return TimePoint(Milliseconds(static_cast<std::int64_t>(ms))); }

// Of an entry's bytes so far: the body has a checksum beside it, and says nothing of when it was and what followed.
std::uint64_t entry_checksum(std::string_view entry) noexcept { return static_cast<std::uint64_t>(checksum_of(entry)); }

std::string encode(const OutboxState& state) {
  std::string out(1, kFormat);
  out.push_back(static_cast<char>(state.kind));
  out.push_back(static_cast<char>(state.reason));
  put_varint(out, ms_of(state.at));
  put_bytes(out, state.name);
  put_varint(out, state.meta.version);
  put_varint(out, state.meta.revision);
  put_varint(out, state.meta.stamp);
  put_varint(out, state.meta.expires_at ? ms_of(*state.meta.expires_at) + 1 : 0);  // 0 = never
  out.push_back(static_cast<char>(state.meta.ttl_rule));
  put_bytes(out, state.meta.lost_keys.packed().view());
  put_varint(out, entry_checksum(out));
  return out;
}

OutboxState decode(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto need = [](auto value) {
    if (!value) throw_damaged(kWhat);
    return *value;
  };
  const auto format = need(reader.byte());
  if (format > kFormat && format <= kNextFormats) {
    throw SqlError(Error(ErrorCode::kUnsupported, "a state of a history was written by a newer version of setget"));
  }
  if (format != kFormat && format != kUncheckedFormat) throw_damaged(kWhat);
  OutboxState state;
  const auto kind = need(reader.byte());
  if (kind < static_cast<int>(Kind::kRecord) || kind > static_cast<int>(Kind::kNotKept)) throw_damaged(kWhat);
  state.kind = static_cast<Kind>(kind);
  state.reason = static_cast<TombstoneReason>(need(reader.byte()));
  state.at = time_from(need(reader.varint()));
  state.name = std::string(need(reader.sized_bytes()));
  (void)split_qualified(state.name);  // or it is damaged
  state.meta.version = need(reader.varint());
  state.meta.revision = need(reader.varint());
  state.meta.stamp = need(reader.varint());
  if (const auto expires = need(reader.varint()); expires != 0) state.meta.expires_at = time_from(expires - 1);
  state.meta.ttl_rule = static_cast<TtlRule>(need(reader.byte()));
  auto lost = unpack_keys(need(reader.sized_bytes()));
  if (format == kFormat) {
    const auto checked = bytes.substr(0, reader.position());
    if (need(reader.varint()) != entry_checksum(checked)) throw_damaged(kWhat);
  }
  if (!lost || reader.left() != 0) throw_damaged(kWhat);
  state.meta.lost_keys = *std::move(lost);
  return state;
}

}  // namespace

Result<void> add_to_outbox(Connection& db, const OutboxLimit& limit, TimePoint now, const OutboxState& state, std::string_view body) {
  const auto entry = encode(state);
  const auto size = static_cast<std::int64_t>(entry.size() + body.size());
  {
    auto total = db.query("SELECT states, bytes FROM outbox_total WHERE one = 1");
    if (!total.step()) throw_damaged(kWhat);
    const auto states = total.number(0);
    const auto bytes = total.number(1);
    if (states > 0 && (states >= limit.states || bytes + static_cast<std::uint64_t>(size) > limit.bytes)) {
      return Error(ErrorCode::kResourceExhausted, "the outbox for histories is full; it empties when the archiver runs")
          .at_field("history");
    }
  }
  const auto last = db.find_integer("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").value_or(0);
  const auto position = std::max(last + 1, static_cast<std::int64_t>(now.time_since_epoch().count()) * kPositionsOfMillisecond);
  db.run("INSERT INTO outbox(position, entry, sum, body) VALUES(?1, ?2, ?3, ?4)", position, entry, checksum_of(body), body);
  db.run("UPDATE outbox_total SET states = states + 1, bytes = bytes + ?1 WHERE one = 1", size);
  return {};
}

namespace {

template <class Read>
auto unless_damaged(const Read& read) -> std::optional<decltype(read())> {
  try {
    return read();
  } catch (const SqlError& failed) {
    if (failed.error().code() != ErrorCode::kCorrupted) throw;
    return std::nullopt;
  }
}

// What the archive keeps of a state whose record is damaged: that there was one, under the keys that can be told. So nothing else is taken
// for what was there then.
Record place_of(const OutboxState& kept, std::string_view ns, std::string_view id, std::string_view stored) {
  Record place;
  place.ns = ns;
  place.id = id;
  place.version = kept.meta.version;
  place.revision = kept.meta.revision;
  place.stamp = kept.meta.stamp;
  place.lost_keys = kept.meta.lost_keys;
  auto remains = decode_command(Payload::copy(stored));
  if (remains && remains->ns == ns && remains->id == id) place.keys = std::move(remains->keys);
  return place;
}

}  // namespace

// A state that cannot be read must not hold up those behind it, and with a full outbox every set of their flows.
Result<HistoryBatch> read_outbox(Connection& db, const ReadHistory& request, std::vector<Position>& damaged) {
  HistoryBatch batch;
  std::size_t bytes = 0;
  auto row = db.query("SELECT position, entry, sum, body FROM outbox WHERE position > ?1 ORDER BY position");
  row.with(static_cast<std::int64_t>(std::min<Position>(request.after, std::numeric_limits<std::int64_t>::max())));
  while (row.step()) {
    const auto stored = row.blob(3);
    bytes += stored.size();
    if (batch.states.size() >= request.limit || (bytes > request.max_bytes && !batch.states.empty())) return batch;
    const auto kept = unless_damaged([&] { return decode(row.blob(1)); });
    if (!kept) {
      damaged.push_back(row.number(0));
      continue;
    }
    const auto name = split_qualified(kept->name);
    HistoryState state;
    state.position = row.number(0);
    state.kind = kept->kind;
    state.at = kept->at;
    state.ns = name.ns;
    state.id = name.name;
    state.version = kept->meta.version;
    state.revision = kept->meta.revision;
    state.reason = kept->reason;
    if (kept->kind != Kind::kTombstone) {
      auto record = unless_damaged([&] { return make_record(checked_body(stored, row.integer(2)), kept->meta); });
      if (record && *record) {
        state.record = **std::move(record);
      } else if (record && record->error().code() != ErrorCode::kCorrupted) {
        return std::move(*record).error();
      } else {
        damaged.push_back(state.position);
        state.kind = Kind::kNotKept;
        state.record = place_of(*kept, state.ns, state.id, stored);
      }
    }
    batch.states.push_back(std::move(state));
  }
  batch.at_end = true;
  return batch;
}

void drop_from_outbox(Connection& db, Position position) {
  const auto upto = static_cast<std::int64_t>(std::min<Position>(position, std::numeric_limits<std::int64_t>::max()));
  db.run(
      "UPDATE outbox_total SET states = states - (SELECT COUNT(*) FROM outbox WHERE position <= ?1), bytes = bytes - "
      "(SELECT IFNULL(SUM(LENGTH(entry) + LENGTH(body)), 0) FROM outbox WHERE position <= ?1) WHERE one = 1",
      upto);
  db.run("DELETE FROM outbox WHERE position <= ?1", upto);
}

std::uint64_t outbox_size(Connection& db) {
  return static_cast<std::uint64_t>(db.find_integer("SELECT states FROM outbox_total WHERE one = 1").value_or(0));
}

}  // namespace setget::inline v0::sqlite
