#include "sqlite/archive_history.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/check_length.hpp"
#include "core/past_holder.hpp"
#include "core/scan_cursor.hpp"
#include "sqlite/archive_codec.hpp"
#include "sqlite/codec.hpp"

namespace setget::inline v0::sqlite {

namespace {

using Kind = HistoryState::Kind;
using Status = HistoryLookup::Status;

// NULL, on its way into a column.
constexpr std::int64_t kNever = -1;

std::int64_t ms_of(TimePoint time) { return time.time_since_epoch().count(); }

// What add_state needs of the state before.
struct Before {
  std::int64_t stamp = 0;
  std::string keys;
};

// The one that was applied last: it has no end yet.
std::optional<Before> last_state(Connection& db, std::uint64_t hash, const HistoryState& state) {
  auto row = db.query(
      "SELECT stamp, keys FROM archive_state_kept WHERE h = ? AND ns = ? AND id = ? AND until IS NULL ORDER BY since DESC, row DESC LIMIT "
      "1");
  row.with(hash, std::string_view(state.ns), std::string_view(state.id));
  if (!row.step()) return std::nullopt;
  return Before{.stamp = row.integer(0), .keys = row.text(1)};
}

// Ends what was in force at `since`, or would have been later: what was accepted later and applied before never was.
void end_states(Connection& db, std::uint64_t hash, const HistoryState& state, std::int64_t since) {
  std::vector<std::int64_t> rows;
  const auto collect = [&](const char* sql) {
    auto row = db.query(sql);
    row.with(hash, std::string_view(state.ns), std::string_view(state.id), since);
    while (row.step()) rows.push_back(row.integer(0));
  };
  collect("SELECT row FROM archive_state_kept WHERE h = ?1 AND ns = ?2 AND id = ?3 AND since > ?4 AND (until IS NULL OR until > ?4)");
  collect(
      "SELECT row FROM archive_state_kept WHERE h = ?1 AND ns = ?2 AND id = ?3 AND since <= ?4 AND (until IS NULL OR until > ?4) "
      "ORDER BY since DESC, row DESC LIMIT 1");
  for (const auto row : rows) db.run("UPDATE archive_state_kept SET until = ?1, drop_at = ?1 + keep WHERE row = ?2", since, row);
}

Result<void> add_state(Connection& db, const ArchivedState& given) {
  const auto& state = given.state;
  const auto hash = identity_hash(state.ns, state.id);
  const auto age = detail::bounded_age(given.keep);
  const std::int64_t keep = age ? age->count() : kNever;
  const auto since = ms_of(state.at);
  std::int64_t stamp = 0;
  std::string keys;
  if (auto before = last_state(db, hash, state)) {
    stamp = before->stamp;
    if (state.kind == Kind::kTombstone) keys = std::move(before->keys);
  }
  end_states(db, hash, state, since);
  std::int64_t ends = kNever;
  std::int64_t expires_at = kNever;
  std::string body;
  std::string lost;
  int rule = 0;
  if (state.record) {
    const auto& record = *state.record;
    stamp = static_cast<std::int64_t>(record.stamp);
    keys = record.keys.packed().str();
    lost = record.lost_keys.packed().str();
    rule = static_cast<int>(record.ttl_rule);
    body = encoded_of(record).str();
    if (record.expires_at) {
      expires_at = ms_of(*record.expires_at);
      ends = std::max(expires_at, since);
    }
  }
  // A tombstone is only the memory of an end.
  if (state.kind == Kind::kTombstone) ends = since;
  const auto drop_at = ends == kNever || keep == kNever ? kNever : ends + keep;
  db.run(
      "INSERT INTO archive_state_kept(h, ns, id, since, kind, reason, version, revision, stamp, expires_at, ttl_rule, keep, drop_at, lost, "
      "keys, sum, body) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, NULLIF(?, -1), ?, NULLIF(?, -1), NULLIF(?, -1), ?, ?, ?, ?)",
      hash, std::string_view(state.ns), std::string_view(state.id), since, static_cast<int>(state.kind), static_cast<int>(state.reason),
      state.version, state.revision, stamp, expires_at, rule, keep, drop_at, std::string_view(lost), std::string_view(keys),
      checksum_of(body), std::string_view(body));
  const std::int64_t row = sqlite3_last_insert_rowid(db.handle());
  const auto listed = unpack_keys(keys);
  if (!listed) return listed.error();
  for (const auto key : *listed) {
    db.run("INSERT OR IGNORE INTO archive_state_key(h, ns, key, row) VALUES(?, ?, ?, ?)", key_hash(state.ns, key),
           std::string_view(state.ns), key, row);
  }
  db.run("UPDATE archive_state_total SET states = states + 1, bytes = bytes + ? WHERE one = 1",
         static_cast<std::int64_t>(state.ns.size() + state.id.size() + body.size()));
  return {};
}

// The columns of what answers a read, in the order of Column.
#define SETGET_STATE "s.kind, s.reason, s.version, s.revision, s.stamp, s.expires_at, s.ttl_rule, s.lost, s.sum, s.body, s.ns, s.id"
enum Column : int { kKind, kReason, kVersion, kRevision, kStamp, kExpiresAt, kTtlRule, kLost, kSum, kBody, kNs, kId };

Result<Record> record_of(const Query& row) {
  // An error and no exception: it is this state's trouble, and a scan may go on behind it.
  if (checksum_of(row.blob(kBody)) != row.integer(kSum)) {
    return Error(ErrorCode::kCorrupted,
                 "a state of the history of '" + row.text(kNs) + "/" + row.text(kId) + "' is damaged: its payload is not what was written");
  }
  StoredMeta meta;
  meta.version = row.number(kVersion);
  meta.revision = row.number(kRevision);
  meta.stamp = row.number(kStamp);
  if (!row.is_null(kExpiresAt)) meta.expires_at = TimePoint(Milliseconds(row.integer(kExpiresAt)));
  meta.ttl_rule = static_cast<TtlRule>(row.integer(kTtlRule));
  auto lost = unpack_keys(row.blob(kLost));
  if (!lost) return std::move(lost).error();
  meta.lost_keys = *std::move(lost);
  return make_record(Payload::copy(row.blob(kBody)), meta);
}

Result<HistoryLookup> answer_of(const Query& row, TimePoint at) {
  const auto kind = static_cast<Kind>(row.integer(kKind));
  if (kind == Kind::kNotKept) return HistoryLookup{.status = Status::kNotKept, .record = {}};
  if (kind == Kind::kTombstone) return HistoryLookup{.status = Status::kGone, .record = {}};
  auto record = record_of(row);
  if (!record) return std::move(record).error();
  if (record->expired(at)) return HistoryLookup{.status = Status::kGone, .record = {}};
  return HistoryLookup{.status = Status::kFound, .record = *std::move(record)};
}

Result<HistoryLookup> find_by_id(Connection& db, const GetHistory& request) {
  auto row = db.query("SELECT " SETGET_STATE
                      " FROM archive_state_kept s WHERE s.h = ?1 AND s.ns = ?2 AND s.id = ?3 AND s.since <= ?4 AND "
                      "(s.until IS NULL OR s.until > ?4) ORDER BY s.since DESC, s.row DESC LIMIT 1");
  row.with(identity_hash(request.ns, request.id), request.ns, request.id, ms_of(request.at));
  if (!row.step()) return HistoryLookup();
  return answer_of(row, request.at);
}

Result<HistoryLookup> find_by_key(Connection& db, const GetHistory& request) {
  std::vector<detail::PastClaim> claims;
  std::vector<std::int64_t> rows;
  std::map<std::string, std::size_t> identities;
  const auto at = ms_of(request.at);
  {
    auto row = db.query(
        "SELECT s.row, s.kind, s.reason, s.stamp, s.since, s.until, s.lost, s.id FROM archive_state_key k JOIN archive_state_kept s ON "
        "s.row = k.row WHERE k.h = ?1 AND k.ns = ?2 AND k.key = ?3");
    row.with(key_hash(request.ns, request.key), request.ns, request.key);
    while (row.step()) {
      auto& claim = claims.emplace_back();
      rows.push_back(row.integer(0));
      claim.identity = identities.try_emplace(row.text(7), identities.size()).first->second;
      claim.record = static_cast<Kind>(row.integer(1)) != Kind::kTombstone;
      claim.stamp = row.number(3);
      claim.since = TimePoint(Milliseconds(row.integer(4)));
      claim.applied = row.number(0);
      claim.in_force = row.integer(4) <= at && (row.is_null(5) || row.integer(5) > at);
      claim.open = row.is_null(5);
      claim.lost = !claim.record && static_cast<TombstoneReason>(row.integer(2)) == TombstoneReason::kSuperseded;
      if (!claim.record) continue;
      const auto keys = unpack_keys(row.blob(6));
      if (!keys) return keys.error();
      claim.lost = keys->contains(request.key);
    }
  }
  const auto holder = detail::past_holder(claims, request.at);
  if (holder.status != Status::kFound) return HistoryLookup{.status = holder.status, .record = {}};
  auto row = db.query("SELECT " SETGET_STATE " FROM archive_state_kept s WHERE s.row = ?");
  row.with(rows[holder.claim]);
  if (!row.step()) return HistoryLookup();
  return answer_of(row, request.at);
}

void drop_state(Connection& db, std::int64_t row) {
  std::string ns;
  std::string packed;
  std::int64_t bytes = 0;
  {
    auto found = db.query("SELECT ns, keys, LENGTH(ns) + LENGTH(id) + LENGTH(body) FROM archive_state_kept WHERE row = ?");
    if (!found.with(row).step()) return;
    ns = found.text(0);
    packed = found.text(1);
    bytes = found.integer(2);
  }
  if (const auto keys = unpack_keys(packed)) {
    for (const auto key : *keys) {
      db.run("DELETE FROM archive_state_key WHERE h = ? AND ns = ? AND key = ? AND row = ?", key_hash(ns, key), std::string_view(ns), key,
             row);
    }
  }
  db.run("DELETE FROM archive_state_kept WHERE row = ?", row);
  db.run("UPDATE archive_state_total SET states = states - 1, bytes = bytes - ? WHERE one = 1", bytes);
}

// Of moments before it, only what is found can be told.
void forget_before(Connection& db, std::int64_t moment) {
  db.run("UPDATE archive_state_total SET known_from = MAX(IFNULL(known_from, ?1), ?1) WHERE one = 1", moment);
}

}  // namespace

Result<std::size_t> write_states(Connection& db, const WriteHistory& request) {
  const std::string_view uuid = request.source.uuid;
  std::map<std::uint32_t, std::int64_t> written;  // of each part the last position
  std::size_t fresh = 0;
  TimePoint first{};
  for (const auto& given : request.states) {
    const auto position = static_cast<std::int64_t>(given.state.position);
    const auto [at, unread] = written.try_emplace(given.state.part);
    if (unread) {
      at->second = db.find_integer("SELECT position FROM archive_state_source WHERE uuid = ? AND epoch = ? AND part = ?", uuid,
                                   request.source.epoch, static_cast<std::int64_t>(given.state.part))
                       .value_or(0);
    }
    if (position <= at->second) continue;
    if (fresh == 0) first = given.state.at;
    if (auto added = add_state(db, given); !added) return added.error();
    at->second = position;
    ++fresh;
  }
  if (fresh > 0) {
    db.run("UPDATE archive_state_total SET known_from = IFNULL(known_from, ?1) WHERE one = 1", ms_of(first));
    for (const auto& [part, position] : written) {
      db.run("INSERT OR REPLACE INTO archive_state_source(uuid, epoch, part, position) VALUES(?, ?, ?, ?)", uuid, request.source.epoch,
             static_cast<std::int64_t>(part), position);
    }
  }
  if (!request.of.empty()) {
    forget_before(db, ms_of(request.since));
    db.run("UPDATE archive_state_total SET known_of = ? WHERE one = 1", request.of);
  }
  return fresh;
}

Result<HistoryLookup> find_state(Connection& db, const GetHistory& request) {
  auto found = request.key.empty() ? find_by_id(db, request) : find_by_key(db, request);
  if (!found || (found->status != Status::kGone && found->status != Status::kUnknown)) return found;
  auto row = db.query("SELECT known_from FROM archive_state_total WHERE one = 1");
  if (row.step() && !row.is_null(0)) found->known_from = TimePoint(Milliseconds(row.integer(0)));
  return found;
}

Result<SummaryPage> scan_states(Connection& db, const ScanHistory& request) {
  detail::ScanCursor from;
  if (!request.cursor.empty()) {
    auto decoded = detail::decode_scan_cursor(request.cursor);
    if (!decoded) return std::move(decoded).error();
    from = *std::move(decoded);
  }
  const auto limit = std::clamp<std::size_t>(request.limit, 1, 1u << 20);
  const auto at = ms_of(request.at);
  auto row = db.query("SELECT " SETGET_STATE
                      " FROM archive_state_kept s WHERE (s.h, s.ns, s.id) > (?1, ?2, ?3) AND s.since <= ?4 AND (s.until IS NULL OR "
                      "s.until > ?4) AND s.kind = 1 AND (s.expires_at IS NULL OR s.expires_at > ?4) ORDER BY s.h, s.ns, s.id LIMIT ?5");
  row.with(from.hash, std::string_view(from.ns), std::string_view(from.id), at, limit + 1);
  SummaryPage page;
  for (std::size_t rows = 0; row.step(); ++rows) {
    if (rows == limit) {
      page.next = detail::encode_scan_cursor(from.hash, from.ns, from.id);
      break;
    }
    from = {.hash = identity_hash(row.blob(kNs), row.blob(kId)), .ns = row.text(kNs), .id = row.text(kId)};
    auto record = record_of(row);
    if (!record && request.over_damaged) {
      page.damaged.push_back(
          {.hash = from.hash, .ns = from.ns, .id = from.id, .name = {}, .reason = std::string(record.error().message())});
      continue;
    }
    if (!record) return std::move(record).error();
    Summary summary;
    summary.hash = identity_hash(record->ns, record->id);
    summary.ns = record->ns;
    summary.id = record->id;
    summary.version = record->version;
    summary.revision = record->revision;
    summary.expires_at = record->expires_at;
    summary.account = record->account;
    summary.flow = record->flow;
    summary.content = content_digest(*record);
    summary.stamp = record->stamp;
    summary.ttl_rule = record->ttl_rule;
    summary.record = *std::move(record);
    page.items.push_back(std::move(summary));
  }
  return page;
}

std::size_t purge_states(Connection& db, const ReclaimArchive& request, std::size_t limit) {
  std::vector<std::int64_t> rows;
  std::optional<std::int64_t> lost_until;
  {
    auto row = db.query("SELECT row, kind, drop_at - keep FROM archive_state_kept WHERE drop_at <= ? ORDER BY drop_at LIMIT ?");
    row.with(ms_of(request.now), limit);
    while (row.step()) {
      rows.push_back(row.integer(0));
      // Without a tombstone the answer is the same.
      if (static_cast<Kind>(row.integer(1)) != Kind::kTombstone) lost_until = std::max(lost_until.value_or(0), row.integer(2));
    }
  }
  for (const auto row : rows) drop_state(db, row);
  if (lost_until) forget_before(db, *lost_until);
  auto steps = rows.size();
  while (steps < limit && request.max_history_bytes > 0) {
    const auto bytes = db.find_integer("SELECT bytes FROM archive_state_total WHERE one = 1").value_or(0);
    if (static_cast<std::uint64_t>(bytes) <= request.max_history_bytes) break;
    std::int64_t first = 0;
    std::int64_t until = 0;
    {
      auto row = db.query("SELECT row, until FROM archive_state_kept WHERE until IS NOT NULL ORDER BY until, row LIMIT 1");
      if (!row.step()) break;
      first = row.integer(0);
      until = row.integer(1);
    }
    drop_state(db, first);
    forget_before(db, until);
    ++steps;
  }
  return steps;
}

void add_state_totals(Connection& db, ArchiveStats& stats) {
  auto row = db.query("SELECT states, bytes, known_from, known_of FROM archive_state_total WHERE one = 1");
  if (!row.step()) return;
  stats.history_states = row.number(0);
  stats.history_bytes = row.number(1);
  if (!row.is_null(2)) stats.history_from = TimePoint(Milliseconds(row.integer(2)));
  stats.history_of = row.text(3);
}

#undef SETGET_STATE

}  // namespace setget::inline v0::sqlite
