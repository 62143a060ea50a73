// The steps that move one message from where it stands to where it goes next. Each keeps the counters right.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "sqlite/queue.hpp"

namespace setget::inline v0::sqlite {

namespace {

constexpr std::size_t kMaxHistory = 16;  // reasons kept of earlier releases

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (problem != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

Error no_such_queue(std::string_view name) {
  return Error(ErrorCode::kNotFound, fmt::format("there is no queue \"{}\"", name)).at_field("queue");
}

std::string message_id_of(std::int64_t queue, Stamp stamp) { return fmt::format("{:x}-{:x}", queue, stamp); }

std::optional<MessageName> parse_message_id(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto queue = parse_hex(text.substr(0, dash));
  const auto stamp = parse_hex(text.substr(dash + 1));
  if (!queue || !stamp || *stamp > kMaxVersion || *queue > kMaxVersion) return std::nullopt;
  return MessageName{.queue = static_cast<std::int64_t>(*queue), .stamp = *stamp};
}

std::string receipt_of(const Receipt& receipt) { return fmt::format("{:x}-{:x}-{:x}", receipt.queue, receipt.stamp, receipt.token); }

std::optional<Receipt> parse_receipt(std::string_view text) {
  const auto dash = text.rfind('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto message = parse_message_id(text.substr(0, dash));
  const auto token = parse_hex(text.substr(dash + 1));
  if (!message || !token) return std::nullopt;
  return Receipt{.queue = message->queue, .stamp = message->stamp, .token = *token};
}

MessageHistory load_history(Connection& db, Stamp stamp) {
  MessageHistory history;
  auto row = db.query("SELECT receives, since, origin, reasons FROM history WHERE stamp=?1");
  if (!row.with(stamp).step()) return history;
  history.receives = static_cast<std::uint32_t>(row.integer(0));
  if (!row.is_null(1)) history.since = row.integer(1);
  if (!row.is_null(2)) history.origin = row.number(2);
  history.reasons = decode_reasons(row.blob(3));
  return history;
}

void store_history(Connection& db, Stamp stamp, const MessageHistory& history) {
  auto reasons = history.reasons;
  if (reasons.size() > kMaxHistory) reasons.erase(reasons.begin(), reasons.end() - kMaxHistory);
  db.run("REPLACE INTO history(stamp, receives, since, origin, reasons) VALUES(?1, ?2, ?3, ?4, ?5)", stamp,
         static_cast<std::int64_t>(history.receives), history.since, history.origin, encode_reasons(reasons));
}

void make_ready(WriteTxn& txn, std::int64_t queue, Stamp stamp, std::uint32_t flags) {
  txn.db().run("REPLACE INTO state(kind, queue, n, v) VALUES(?1, ?2, ?3, ?4)", kReadyKind, queue, stamp,
               static_cast<std::int64_t>(stamp << 2 | flags));
  ++txn.book().counters(txn.db(), queue).ready;
  txn.announce(Topic::kMessages);
}

void make_delayed(WriteTxn& txn, std::int64_t queue, Stamp stamp, std::uint32_t flags, std::int64_t due) {
  txn.db().run("INSERT INTO delayed(queue, due, stamp, flags) VALUES(?1, ?2, ?3, ?4)", queue, due, stamp, static_cast<std::int64_t>(flags));
  ++txn.book().counters(txn.db(), queue).delayed;
  txn.announce(Topic::kMessages);  // whoever waits may have to wake up earlier
}

void make_waiting(WriteTxn& txn, std::int64_t queue, std::string_view group, Stamp stamp, std::uint32_t flags,
                  std::optional<std::int64_t> due) {
  txn.db().run("INSERT INTO waiting(queue, grp, stamp, due, flags) VALUES(?1, ?2, ?3, ?4, ?5)", queue, group, stamp, due,
               static_cast<std::int64_t>(flags));
  auto& counters = txn.book().counters(txn.db(), queue);
  ++(due ? counters.delayed : counters.ready);
}

namespace {

// If the group's head is still ready or delayed, it steps back among those who wait. True if it did.
bool displace_head(WriteTxn& txn, std::int64_t queue, std::string_view group, Stamp head) {
  auto& db = txn.db();
  auto& counters = txn.book().counters(db, queue);
  const auto step_back = [&](std::uint32_t flags, std::optional<std::int64_t> due) {
    make_waiting(txn, queue, group, head, flags & ~std::uint32_t{kGrouped}, due);
    return true;
  };
  if (const auto run = db.find_integer("SELECT v FROM state WHERE kind=?1 AND queue=?2 AND n=?3", kReadyKind, queue, head)) {
    db.run("DELETE FROM state WHERE kind=?1 AND queue=?2 AND n=?3", kReadyKind, queue, head);
    --counters.ready;
    return step_back(static_cast<std::uint32_t>(*run & 3), std::nullopt);
  }
  const auto due = db.find_integer("SELECT due FROM delayed WHERE queue=?1 AND stamp=?2", queue, head);
  if (!due) return false;  // leased, and nobody overtakes what is in flight
  const auto flags = db.find_integer("SELECT flags FROM delayed WHERE queue=?1 AND due=?2 AND stamp=?3", queue, *due, head).value_or(0);
  db.run("DELETE FROM delayed WHERE queue=?1 AND due=?2 AND stamp=?3", queue, *due, head);
  --counters.delayed;
  return step_back(static_cast<std::uint32_t>(flags), due);
}

}  // namespace

void join_group(WriteTxn& txn, std::int64_t queue, std::string_view group, Stamp stamp, std::uint32_t flags,
                std::optional<std::int64_t> due) {
  bool busy = false;
  Stamp head = 0;
  {
    auto row = txn.db().query("SELECT head FROM grp WHERE queue=?1 AND name=?2");
    busy = row.with(queue, group).step();
    if (busy && !row.is_null(0)) head = row.number(0);
  }
  if (busy && !(head > stamp && displace_head(txn, queue, group, head))) return make_waiting(txn, queue, group, stamp, flags, due);
  txn.db().run("REPLACE INTO grp(queue, name, head) VALUES(?1, ?2, ?3)", queue, group, stamp);
  if (due) {
    make_delayed(txn, queue, stamp, flags | kGrouped, *due);
  } else {
    make_ready(txn, queue, stamp, flags | kGrouped);
  }
}

void group_is_free(WriteTxn& txn, std::int64_t queue, std::string_view group) {
  auto& db = txn.db();
  Stamp stamp = 0;
  std::optional<std::int64_t> due;
  std::uint32_t flags = 0;
  {
    auto row = db.query("SELECT stamp, due, flags FROM waiting WHERE queue=?1 AND grp=?2 ORDER BY stamp LIMIT 1");
    if (row.with(queue, group).step()) {
      stamp = row.number(0);
      if (!row.is_null(1)) due = row.integer(1);
      flags = static_cast<std::uint32_t>(row.integer(2));
    }
  }
  if (stamp == 0) {
    db.run("DELETE FROM grp WHERE queue=?1 AND name=?2", queue, group);
    return;
  }
  db.run("DELETE FROM waiting WHERE queue=?1 AND grp=?2 AND stamp=?3", queue, group, stamp);
  db.run("UPDATE grp SET head=?3 WHERE queue=?1 AND name=?2", queue, group, stamp);
  auto& counters = txn.book().counters(db, queue);
  --(due ? counters.delayed : counters.ready);
  if (due && *due > txn.now().time_since_epoch().count()) {
    make_delayed(txn, queue, stamp, flags | kGrouped, *due);
  } else {
    make_ready(txn, queue, stamp, flags | kGrouped);
  }
}

std::optional<std::string> find_group(Connection& db, Stamp stamp) {
  auto row = db.query("SELECT grp FROM log WHERE stamp=?1");
  if (!row.with(stamp).step()) return std::nullopt;
  return row.text(0);
}

std::string group_of(Connection& db, Stamp stamp) {
  auto group = find_group(db, stamp);
  if (!group) throw_damaged("a message without its body");
  return *std::move(group);
}

Reason damaged_reason() {
  return {.code = "corrupted", .message = "what is stored of the message is damaged and cannot be read", .pointer = {}};
}

void mark_damaged(std::vector<Reason>& reasons) {
  auto mark = damaged_reason();
  if (std::none_of(reasons.begin(), reasons.end(), [&](const Reason& known) { return known.code == mark.code; }))
    reasons.push_back(std::move(mark));
}

std::optional<MessageContent> read_content(Connection& db, Stamp stamp) {
  try {
    auto row = db.query("SELECT grp, attrs, sum, body FROM log WHERE stamp=?1");
    if (!row.with(stamp).step()) return std::nullopt;
    return MessageContent{
        .body = checked_body(row.blob(3), row.integer(2)), .attributes = decode_attributes(row.blob(1)), .group = row.text(0)};
  } catch (const SqlError& failed) {
    if (failed.error().code() != ErrorCode::kCorrupted) throw;
    return MessageContent{.damaged = true};
  }
}

void bury_message(WriteTxn& txn, std::int64_t queue, Stamp stamp, std::uint32_t receives, const std::vector<Reason>& reasons) {
  txn.db().run("REPLACE INTO dead(queue, stamp, at, receives, reasons) VALUES(?1, ?2, ?3, ?4, ?5)", queue, stamp,
               txn.now().time_since_epoch().count(), static_cast<std::int64_t>(receives), encode_reasons(reasons));
  ++txn.book().counters(txn.db(), queue).outcomes[static_cast<std::size_t>(Outcome::kDeadLettered)];
  txn.announce(Topic::kOutcomes);
}

void wake_up(WriteTxn& txn, const QueueRow& queue) {
  constexpr std::int64_t kLeasesAtATime = 256;
  constexpr std::int64_t kDelaysAtATime = 4096;
  auto& db = txn.db();
  const auto now = txn.now().time_since_epoch().count();

  std::vector<std::pair<std::uint64_t, std::vector<LeaseMember>>> ended;
  {
    auto row = db.query("SELECT token, until, members FROM lease WHERE queue=?1 AND until<=?2 ORDER BY until LIMIT ?3");
    row.with(queue.id, now, kLeasesAtATime);
    while (row.step()) ended.emplace_back(row.number(0), decode_members(row.blob(2), row.integer(1)));
  }
  if (!ended.empty()) {
    Leases leases(txn, queue.id);
    for (const auto& [token, members] : ended) {
      for (const auto& member : members) {
        if (member.until > now) continue;
        const Receipt receipt{.queue = queue.id, .stamp = member.stamp, .token = token};
        // Not there any more if an earlier message of its group has taken it along.
        if (const auto taken = leases.take_ended(receipt)) {
          release_message(txn, queue.id, leases, receipt, *taken, Milliseconds(0), {}, false);
        }
      }
    }
    leases.write();
  }

  struct Due {
    std::int64_t due;
    Stamp stamp;
    std::uint32_t flags;
  };
  std::vector<Due> over;
  {
    auto row = db.query("SELECT due, stamp, flags FROM delayed WHERE queue=?1 AND due<=?2 ORDER BY due LIMIT ?3");
    row.with(queue.id, now, kDelaysAtATime);
    while (row.step()) over.push_back({.due = row.integer(0), .stamp = row.number(1), .flags = static_cast<std::uint32_t>(row.integer(2))});
  }
  for (const auto& message : over) {
    db.run("DELETE FROM delayed WHERE queue=?1 AND due=?2 AND stamp=?3", queue.id, message.due, message.stamp);
    --txn.book().counters(db, queue.id).delayed;
    make_ready(txn, queue.id, message.stamp, message.flags);
  }
}

}  // namespace setget::inline v0::sqlite
