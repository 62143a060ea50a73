#include "sqlite/cross_check.hpp"

#include <fmt/format.h>

#include <map>

#include "sqlite/book.hpp"
#include "sqlite/codec.hpp"
#include "sqlite/slot.hpp"
#include "sqlite/store_damage.hpp"
#include "sqlite/store_txn.hpp"

namespace setget::inline v0::sqlite {

namespace {

using State = IdentitySlot::State;

constexpr std::size_t kListed = 20;

std::string printable(std::string_view name) {
  std::string text;
  for (const char c : name) text.push_back(c >= ' ' && c <= '~' ? c : '.');
  return text;
}

class Checker {
 public:
  explicit Checker(Connection& db) : db_(db), meta_(read_meta(db)) {}

  CrossCheck run() {
    check_bodies();
    check_identities();
    check_keys();
    check_changes();
    equal("the change log's length", count("SELECT coalesce(sum(n), 0) FROM change"), meta_.changes);
    equal("expiry rows", count("SELECT count(*) FROM expiry"), expiring_);
    equal("listing rows", count("SELECT count(*) FROM listing"), listed_);
    equal("listed records", listed_, meta_.listed);
    check_queues();
    return std::move(found_);
  }

 private:
  // Runs `step`; what it throws of damage is one problem of many.
  template <class Step>
  void noting(const Step& step) {
    try {
      step();
    } catch (const SqlError& failed) {
      if (failed.error().code() != ErrorCode::kCorrupted) throw;
      problem(failed.error().message());
    }
  }
  void problem(std::string what) {
    if (++found_.problem_count <= kListed) found_.problems.push_back(std::move(what));
  }
  void equal(std::string_view what, std::uint64_t is, std::uint64_t should_be) {
    if (is != should_be) problem(fmt::format("{}: {} by the rows, {} by the count that is kept", what, is, should_be));
  }
  std::uint64_t count(const char* sql) { return static_cast<std::uint64_t>(db_.find_integer(sql).value_or(0)); }

  // Each body is a live record's or a message's. In the order of the file; what leads to a record are narrow rows.
  void check_bodies() {
    auto row = db_.query("SELECT stamp, queue, sum, body FROM log ORDER BY stamp");
    while (row.step()) {
      const auto at = row.integer(0);
      noting([&] {
        const auto body = row.blob(3);
        if (checksum_of(body) != row.integer(2)) return damaged_body(at, row.integer(1));
        const auto command = decode_command(Payload::copy(body));
        if (command && command->kind == CommandKind::kSet) {
          const auto ident = find_ident(db_, command->ns, command->id);
          if (ident && ident->slot.state == State::kLive && row_of(ident->slot) == at) return check_record(*command, *ident);
        }
        if (row.integer(1) == 0) return problem(fmt::format("body {} belongs to no record", at));
        ++found_.messages;
      });
    }
    equal("records that are found by their names", found_.records, meta_.records);
  }

  void damaged_body(std::int64_t at, std::int64_t queue) {
    const auto of = remains_of(db_, at);
    const auto whose = of ? "record " + printable(of->id) : queue != 0 ? std::string("a message, or its record") : std::string("a record");
    problem(fmt::format("body {} ({}): what is stored does not match its checksum", at, whose));
  }

  void check_record(const Command& command, const IdentRow& ident) {
    ++found_.records;
    const auto& slot = ident.slot;
    const auto row = row_of(slot);
    const auto name = printable(command.id);
    if (slot.version != command.version.value_or(slot.stamp)) problem(fmt::format("record {}: its version is not what was set", name));
    if (ident.content && *ident.content != content_digest(command)) {
      problem(fmt::format("record {}: its digest, which verification compares, is of other content", name));
    }
    if (slot.revision != 0) revised_[row] = slot.revision;
    if (slot.stamp > meta_.last_stamp && row > 0) problem(fmt::format("record {}: accepted later than anything", name));
    if (slot.expires_at) {
      ++expiring_;
      if (!db_.find_integer("SELECT 1 FROM expiry WHERE at=?1 AND row=?2", slot.expires_at->time_since_epoch().count(), row)) {
        problem(fmt::format("record {}: it expires and nothing will reclaim it", name));
      }
    }
    if (ident.listed) {
      ++listed_;
      const auto hash = static_cast<std::int64_t>(identity_hash(command.ns, command.id));
      const auto listed = db_.find_integer("SELECT row FROM listing WHERE ns=?1 AND h=?2 AND id=?3", command.ns, hash, command.id);
      if (listed != row) problem(fmt::format("record {}: lists do not show it", name));
    }
    for (const auto key : command.keys) check_key(command, ident, key);
    for (const auto key : ident.lost_keys) {
      if (!command.keys.contains(key)) problem(fmt::format("record {}: lost key {}, which it never had", name, printable(key)));
    }
  }

  void check_key(const Command& command, const IdentRow& ident, std::string_view key) {
    const auto named = [&](std::string_view what) {
      problem(fmt::format("record {}, key {}: {}", printable(command.id), printable(key), what));
    };
    const auto name = qualified(command.ns, key);
    auto found = db_.query("SELECT row, more FROM keys WHERE nskey=?1");
    const bool there = found.with(Text{name}).step();
    const bool leads = there && !found.is_null(0) && found.integer(0) == row_of(ident.slot);
    if (ident.lost_keys.contains(key)) {
      if (leads) named("it is lost, and leads here");
      if (!db_.find_integer("SELECT 1 FROM silent WHERE nskey=?1 AND id=?2", Text{name}, std::string_view(command.id))) {
        named("an erase by it would not find the record");
      }
      return;
    }
    if (!leads) return named(there ? "it leads elsewhere" : "there is no such key");
    ++leading_;
    const auto stored = decode_key(row_of(ident.slot), found.blob(1));
    if (stored.expires_at != ident.slot.expires_at || stored.ttl_rule != ident.slot.ttl_rule) named("it says another expiry");
    if (stored.plain != is_plain(ident.slot, ident.lost_keys)) named("it says another version");
  }

  void check_identities() {
    std::uint64_t live = 0;
    std::uint64_t tombstones = 0;
    auto row = db_.query("SELECT h, nsid, row, more FROM ident ORDER BY h, nsid");
    while (row.step()) {
      noting([&] {
        const auto name = split_qualified(row.blob(1));
        const auto ident = decode_ident(row_column(row, 2), row.blob(3));
        if (row.number(0) != identity_hash(name.ns, name.name)) problem(fmt::format("identity {} cannot be found", printable(name.name)));
        live += ident.slot.state == State::kLive ? 1U : 0U;
        tombstones += ident.slot.state == State::kTombstone ? 1U : 0U;
      });
    }
    equal("records", live, meta_.records);
    equal("tombstones", tombstones, meta_.tombstones);
  }

  void check_keys() {
    std::uint64_t all = 0;
    std::uint64_t leading = 0;
    auto row = db_.query("SELECT nskey, row, more FROM keys ORDER BY nskey");
    while (row.step()) {
      noting([&] {
        ++all;
        leading += row.is_null(1) ? 0U : 1U;
        split_qualified(row.blob(0));
        decode_key(row_column(row, 1), row.blob(2));
      });
    }
    equal("keys", all, meta_.keys);
    if (leading != leading_) problem(fmt::format("{} keys lead to records, which list {} keys that they hold", leading, leading_));
  }

  // What the log says last of a record is what the record says of itself, as far as the log goes back.
  void check_changes() {
    std::map<std::int64_t, Revision> last;
    auto row = db_.query("SELECT n, entries FROM change ORDER BY seq");
    while (row.step()) {
      noting([&] {
        ChangeEntries entries(row.blob(1));
        std::uint64_t number = 0;
        while (const auto entry = entries.next()) {
          ++number;
          if (entry->tombstone) continue;
          if (entry->revision != 0 || revised_.contains(entry->row)) last[entry->row] = entry->revision;
        }
        if (number != row.number(0)) problem("the change log: a part of it has another length than it says");
      });
    }
    for (const auto& [at, revision] : last) {
      const auto known = revised_.find(at);
      if (known == revised_.end() && !db_.find_integer("SELECT 1 FROM log WHERE stamp=?1", at)) continue;  // replaced or gone since
      if (known == revised_.end() || known->second != revision)
        problem(fmt::format("record {}: its revision is not the one that was logged", at));
    }
  }

  // Every accepted message is where the counters say.
  void check_queues() {
    std::uint64_t bodies = 0;
    std::vector<QueueRow> queues;
    noting([&] { queues = read_queues(db_); });
    for (const auto& queue : queues) {
      noting([&] {
        const auto counters = read_counters(db_, queue.id);
        const auto of_queue = [&](const char* sql) { return static_cast<std::uint64_t>(db_.find_integer(sql, queue.id).value_or(0)); };
        auto ready = of_queue("SELECT count(*) FROM waiting WHERE queue=?1 AND due IS NULL");
        const auto delayed = of_queue("SELECT count(*) FROM waiting WHERE queue=?1 AND due IS NOT NULL") +
                             of_queue("SELECT count(*) FROM delayed WHERE queue=?1");
        ready += static_cast<std::uint64_t>(
            db_.find_integer("SELECT sum((SELECT count(*) FROM log WHERE stamp BETWEEN s.n AND s.v >> 2 AND queue=s.queue)) FROM state s "
                             "WHERE kind=?1 AND queue=?2",
                             kReadyKind, queue.id)
                .value_or(0));
        std::uint64_t leased = 0;
        auto row = db_.query("SELECT until, members FROM lease WHERE queue=?1");
        row.with(queue.id);
        while (row.step()) leased += decode_members(row.blob(1), row.integer(0)).size();
        const auto dead = of_queue("SELECT count(*) FROM dead WHERE queue=?1");
        const auto what = [&](std::string_view state) { return fmt::format("queue {}, {} messages", queue.info.name, state); };
        equal(what("ready"), ready, counters.ready);
        equal(what("delayed"), delayed, counters.delayed);
        equal(what("leased"), leased, counters.in_flight);
        equal(what("dead"), dead, counters.outcomes[static_cast<std::size_t>(Outcome::kDeadLettered)]);
        std::uint64_t accepted = counters.ready + counters.delayed + counters.in_flight;
        for (std::size_t i = 1; i < counters.outcomes.size(); ++i) accepted += counters.outcomes[i];
        equal(what("accepted"), accepted, counters.accepted);
        bodies += ready + delayed + leased + dead;
      });
    }
    // What a removed queue still holds is counted nowhere.
    if (count("SELECT count(*) FROM queue WHERE gone<>0") == 0) equal("bodies of messages", found_.messages, bodies);
  }

  Connection& db_;
  Meta meta_;
  CrossCheck found_;
  std::uint64_t expiring_ = 0;
  std::uint64_t listed_ = 0;
  std::uint64_t leading_ = 0;
  std::map<std::int64_t, Revision> revised_;  // records by row: uncommon, so few
};

}  // namespace

CrossCheck cross_check(Connection& db) { return Checker(db).run(); }

}  // namespace setget::inline v0::sqlite
