// New records, the way most are set: nothing is known of the identity, nor of its keys. Then there is nothing to decide, and nothing to
// read but whether that is so. Two exchanges for each piece of a batch, of which the second goes out with the first of the next piece:
//
//   WATCH and GET of the part's meta (its floor and epoch hold until the second exchange), LLEN of its log, EXISTS of the identities, and
//   the claims on all keys by MSETNX, which either makes all of them or none. A claim counts only once its record has come, so one too many
//   does no harm. MULTI, a SET NX for each record, one line of the change log and of its expiry bucket for each, EXEC.
//
// Whatever turns out not to be new goes the way of all others. What is written is what apply_command() would have decided; the model's
// tests hold both ways against each other.
#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "redis/errors.hpp"
#include "redis/store.hpp"
#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

using State = IdentitySlot::State;

constexpr std::size_t kPieceEntries = 128;
constexpr std::size_t kPieceBytes = 512u << 10;
constexpr std::size_t kClaimsTogether = 64;
constexpr std::size_t kMostKeys = 256;  // of one record; more go the other way

// Which of many names occur only once. May take two names for one, which costs only time.
class Once {
 public:
  explicit Once(std::size_t names) : cells_(std::bit_ceil(std::max<std::size_t>(16, names * 2))) {}
  void add(std::uint64_t hash) noexcept { ++cell(hash).count; }
  bool only(std::uint64_t hash) noexcept { return cell(hash).count == 1; }

 private:
  struct Cell {
    std::uint64_t hash = 0;
    std::uint32_t count = 0;
  };
  Cell& cell(std::uint64_t hash) noexcept {
    for (auto at = hash & (cells_.size() - 1);; at = (at + 1) & (cells_.size() - 1)) {
      auto& one = cells_[at];
      if (one.count == 0) one.hash = hash;
      if (one.hash == hash) return one;
    }
  }
  std::vector<Cell> cells_;
};

bool may_be_fresh(const ApplyEntry& entry, TimePoint now) {
  const auto& c = entry.command;
  return c.kind == CommandKind::kSet && !c.expected_version && entry.revision == 0 && entry.lost_keys.empty() && !entry.history &&
         !c.keys.empty() && c.keys.size() <= kMostKeys && !(entry.expires_at && *entry.expires_at <= now);
}

}  // namespace

class RedisStore::Fresh {
 public:
  Fresh(RedisStore& store, const ApplyCommands& request, std::vector<std::optional<Result<ApplyResult>>>& results,
        std::vector<bool>& unsure)
      : store_(store), request_(request), results_(results), unsure_(unsure), head_(store.shards_->head(0)) {}

  // Takes what may be new; false if that is nothing.
  bool choose() {
    std::size_t names = 0;
    for (const auto& entry : request_.entries) names += 1 + entry.command.keys.size();
    Once once(names);
    // A key that is its record's own id is one name.
    const auto each = [](const Command& c, auto&& with) {
      with(key_hash(c.ns, c.id));
      for (const auto key : c.keys) {
        if (key != c.id) with(key_hash(c.ns, key));
      }
    };
    for (const auto& entry : request_.entries) each(entry.command, [&](std::uint64_t hash) { once.add(hash); });
    for (std::size_t i = 0; i < request_.entries.size(); ++i) {
      const auto& entry = request_.entries[i];
      bool alone = may_be_fresh(entry, request_.now);
      each(entry.command, [&](std::uint64_t hash) { alone = alone && once.only(hash); });
      if (alone) chosen_.push_back(i);
    }
    return !chosen_.empty();
  }

  Result<void> run(Exclusive& connection) {
    Piece now;
    Piece next = take();
    while (now.any() || next.any()) {
      // The records of one piece, and the look at the next one, in one exchange.
      RedisCommands commands;
      commands.reserve(16 + 2 * (now.entries.size() + next.entries.size()), now.bytes + 256 * (now.entries.size() + next.entries.size()));
      if (now.any()) write(now, commands);
      const auto looked_at = commands.size();
      if (next.any()) look(next, commands);
      auto replies = connection.pipeline(commands, next.any(), request_.deadline);
      if (!replies) {
        const bool maybe = maybe_executed(replies.error());
        for (const auto i : now.entries) unsure_[i] = unsure_[i] || maybe;
        return std::move(replies).error();
      }
      if (now.any()) written(now, std::span(*replies).subspan(0, looked_at));
      if (next.any()) {
        if (auto seen = see(next, std::span(*replies).subspan(looked_at)); !seen) return seen;
      }
      now = std::move(next);
      next = take();
    }
    if (claimed_ == 0 && overtaken_ == 0) return {};
    // Claims of what was not new after all: they are there, so they count. Records that others were faster with do not.
    RedisCommands rest;
    rest.add("UNWATCH", 1);
    rest.add("HINCRBY", 4).arg({head_, "c"}).arg("keys").arg(claimed_);
    rest.add("HINCRBY", 4).arg({head_, "c"}).arg("records").arg(-overtaken_);
    for (const auto& [number, uses] : unused_) rest.add("HINCRBY", 4).arg({head_, "u"}).arg(static_cast<std::int64_t>(number)).arg(-uses);
    auto replies = connection.pipeline(rest, false, request_.deadline);
    return replies ? Result<void>() : Result<void>(std::move(replies).error());
  }

  std::size_t chosen() const noexcept { return chosen_.size(); }
  // Of the chosen: those that turned out to be there already.
  std::size_t known() const noexcept { return known_; }

 private:
  struct Piece {
    std::vector<std::size_t> entries{};
    std::size_t bytes = 0;
    std::vector<std::pair<std::size_t, std::size_t>> claims{};  // one for each MSETNX: the first of its entries, and behind the last
    std::vector<std::int64_t> claimed{};                        // how many keys each claims
    std::vector<std::uint32_t> dictionaries{};                  // of each entry that was written, 0: none
    bool any() const noexcept { return !entries.empty(); }
  };

  Piece take() {
    Piece piece;
    for (; at_ < chosen_.size() && piece.entries.size() < kPieceEntries && piece.bytes < kPieceBytes; ++at_) {
      piece.entries.push_back(chosen_[at_]);
      piece.bytes += request_.entries[chosen_[at_]].encoded.size();
    }
    return piece;
  }

  const ApplyEntry& entry(std::size_t number) const { return request_.entries[number]; }

  void look(Piece& piece, RedisCommands& commands) {
    commands.add("WATCH", 2).arg({head_, "m"});
    commands.add("GET", 2).arg({head_, "m"});
    // A transaction goes on behind a command that fails, and the records are in it: whether the log is one must be known before.
    commands.add("LLEN", 2).arg({head_, "l"});
    commands.add("EXISTS", 1 + piece.entries.size());
    for (const auto i : piece.entries) commands.arg({head_, "e:", entry(i).command.ns, "/", entry(i).command.id});
    const auto others = [&](std::size_t i) {
      const auto& c = entry(i).command;
      return c.keys.size() - (c.keys.contains(c.id) ? 1 : 0);
    };
    Entry pointer;
    std::string value;
    for (std::size_t from = 0; from < piece.entries.size();) {
      auto to = from;
      std::size_t keys = 0;
      while (to < piece.entries.size() && (to == from || keys < kClaimsTogether)) keys += others(piece.entries[to++]);
      if (keys > 0) {
        commands.add("MSETNX", 1 + 2 * keys);
        for (auto at = from; at < to; ++at) {
          const auto& one = entry(piece.entries[at]);
          const auto& c = one.command;
          if (others(piece.entries[at]) == 0) continue;
          pointer.key.emplace().pending.push_back({.stamp = one.stamp, .id = c.id, .conditional = true});  // it may be refused yet
          value.clear();
          encode_entry_head(value, pointer, {}, {});
          for (const auto key : c.keys) {
            if (key != c.id) commands.arg({head_, "e:", c.ns, "/", key}).arg(value);
          }
        }
        piece.claims.emplace_back(from, to);
        piece.claimed.push_back(static_cast<std::int64_t>(keys));
      }
      from = to;
    }
  }

  // What the look came to: the piece keeps what is new.
  Result<void> see(Piece& piece, std::span<Reply> replies) {
    const auto drop_all = [&] { piece.entries.clear(); };
    const auto known = store_.place_->known();
    const auto meta = replies[1].is_nil() ? std::nullopt : decode_part_meta(replies[1].text());
    for (auto& reply : replies) {
      if (reply.is_error()) {
        drop_all();
        return server_error(reply.text());
      }
    }
    std::int64_t claimed = 0;
    std::vector<bool> refused(piece.entries.size(), replies[3].integer() != 0);
    for (std::size_t i = 0; i < piece.claims.size(); ++i) {
      if (replies[4 + i].integer() == 1) {
        claimed += piece.claimed[i];
      } else {
        for (auto at = piece.claims[i].first; at < piece.claims[i].second; ++at) refused[at] = true;
      }
    }
    claimed_ += claimed;
    if (!meta || !known || meta->identity != known->identity || !store_.coder_->has_seen(meta->identity, meta->generation)) {
      drop_all();
      store_.forget_meta(0);
      return {};
    }
    std::vector<std::size_t> fresh;
    for (std::size_t at = 0; at < piece.entries.size(); ++at) {
      const bool late = !request_.ignore_floor && entry(piece.entries[at]).stamp < meta->floor;
      if (!refused[at] && !late) fresh.push_back(piece.entries[at]);
    }
    known_ += piece.entries.size() - fresh.size();
    piece.entries = std::move(fresh);
    return {};
  }

  void write(Piece& piece, RedisCommands& commands) {
    commands.add("MULTI", 1);
    std::string value;
    std::int64_t own_keys = 0;
    std::map<std::uint32_t, std::int64_t> uses;  // of dictionaries
    for (const auto i : piece.entries) {
      const auto& one = entry(i);
      const auto& c = one.command;
      Entry stored;
      auto& identity = stored.identity.emplace();
      auto& slot = identity.slot;
      slot.state = State::kLive;
      slot.version = c.version.value_or(one.stamp);
      slot.stamp = one.stamp;
      slot.expires_at = one.expires_at;
      slot.ttl_rule = one.ttl_rule;
      identity.reach = one.stamp;
      if (one.listed) identity.index = c.account + "/" + c.flow;
      store_.coder_->store(one, identity);
      piece.dictionaries.push_back(identity.dictionary);
      if (identity.dictionary != 0) ++uses[identity.dictionary];
      if (c.keys.contains(c.id)) {
        auto& key = stored.key.emplace().slot;
        key.exists = true;
        key.claim_stamp = one.stamp;
        key.claim_id = c.id;
        key.leads = true;
        ++own_keys;
      }
      value.clear();
      encode_entry_head(value, stored, c.id, {.token = store_.place_->random().next()});
      commands.add("SET", 4).arg({head_, "e:", c.ns, "/", c.id}).arg({value, identity.body.view()}).arg("NX");
    }
    commands.add("RPUSH", 2 + piece.entries.size()).arg({head_, "l"});
    for (const auto i : piece.entries) {
      const auto& one = entry(i);
      value.clear();
      encode_log_line_head(value, {.version = one.command.version.value_or(one.stamp),
                                   .revision = 0,
                                   .stamp = one.stamp,
                                   .tombstone = false,
                                   .reason = TombstoneReason::kErased,
                                   .name = {}});
      commands.arg({value, one.command.ns, "/", one.command.id});
    }
    write_buckets(piece, commands);
    write_indexes(piece, commands);
    const auto count = static_cast<std::int64_t>(piece.entries.size());
    commands.add("HINCRBY", 4).arg({head_, "c"}).arg("records").arg(count);
    commands.add("HINCRBY", 4).arg({head_, "c"}).arg("keys").arg(own_keys + std::exchange(claimed_, 0));
    for (const auto& [number, uses_of] : uses) {
      commands.add("HINCRBY", 4).arg({head_, "u"}).arg(static_cast<std::int64_t>(number)).arg(uses_of);
    }
    commands.add("EXEC", 1);
  }

  void write_buckets(const Piece& piece, RedisCommands& commands) {
    std::vector<std::pair<BucketNumber, std::vector<std::size_t>>> buckets;
    for (const auto i : piece.entries) {
      const auto& one = entry(i);
      if (!one.expires_at) continue;
      const auto number = bucket_number(*one.expires_at, time_of(one.stamp));
      auto at = std::ranges::find(buckets, number, [](const auto& bucket) { return bucket.first; });
      if (at == buckets.end()) at = buckets.insert(buckets.end(), {number, {}});
      at->second.push_back(i);
    }
    if (buckets.empty()) return;
    for (const auto& [number, entries] : buckets) {
      commands.add("RPUSH", 2 + entries.size()).arg({head_, bucket_of(number).name});
      for (const auto i : entries) commands.arg({entry(i).command.ns, "/", entry(i).command.id});
    }
    commands.add("ZADD", 2 + 2 * buckets.size()).arg({head_, "x"});
    for (const auto& [number, entries] : buckets) {
      const auto bucket = bucket_of(number);
      commands.arg(static_cast<std::int64_t>(bucket.first.time_since_epoch().count())).arg(bucket.name);
    }
  }

  void write_indexes(const Piece& piece, RedisCommands& commands) {
    std::map<std::string, std::vector<std::size_t>> indexes;
    for (const auto i : piece.entries) {
      const auto& c = entry(i).command;
      if (entry(i).listed) indexes[qualified(c.ns, c.account + "/" + c.flow)].push_back(i);
    }
    for (const auto& [name, entries] : indexes) {
      commands.add("ZADD", 2 + 2 * entries.size()).arg({head_, "L:", name});
      for (const auto i : entries) commands.arg("0").arg(index_member(entry(i).command.ns, entry(i).command.id));
      const auto [ns, index] = split_qualified(name);
      commands.add("SADD", 3).arg({head_, "N:", ns}).arg(index);
    }
  }

  void written(Piece& piece, std::span<Reply> replies) {
    auto& outcome = replies.back();
    if (!outcome.is_list()) return;  // the meta has changed, or the server refused
    const auto answers = outcome.elements();
    for (std::size_t at = 0; at < piece.entries.size() && at < answers.size(); ++at) {
      const auto& one = entry(piece.entries[at]);
      if (answers[at].is_nil() || answers[at].is_error()) {
        ++overtaken_;
        if (const auto dictionary = piece.dictionaries[at]; dictionary != 0) ++unused_[dictionary];
        if (one.command.keys.contains(one.command.id)) --claimed_;
        continue;
      }
      results_[piece.entries[at]] =
          ApplyResult{.outcome = Outcome::kApplied, .reasons = {}, .version = one.command.version.value_or(one.stamp), .revision = 0};
    }
  }

  RedisStore& store_;
  const ApplyCommands& request_;
  std::vector<std::optional<Result<ApplyResult>>>& results_;
  std::vector<bool>& unsure_;
  const std::string_view head_;
  std::vector<std::size_t> chosen_;
  std::size_t at_ = 0;
  std::size_t known_ = 0;
  std::int64_t overtaken_ = 0;                    // records that were counted and not written
  std::int64_t claimed_ = 0;                      // keys that were claimed and are not counted yet
  std::map<std::uint32_t, std::int64_t> unused_;  // dictionaries that were counted for records that were not written
};

Result<void> RedisStore::apply_fresh(const ApplyCommands& request, std::vector<std::optional<Result<ApplyResult>>>& results,
                                     std::vector<bool>& unsure) {
  if (freshness_ <= 0) {
    ++freshness_;
    return {};
  }
  Fresh fresh(*this, request, results, unsure);
  if (!fresh.choose()) return {};
  // What the part belongs to must be known to this process, or all of it would be refused below and go the other way.
  if (auto known = meta(0, request.deadline); !known) return std::move(known).error();
  auto done = place_->client().with_exclusive(shards_->slot(0), request.deadline,
                                              [&](Exclusive& connection) -> Result<void> { return fresh.run(connection); });
  // Where most were not new, a while goes by before the next look. What could not be looked at says nothing of that.
  freshness_ = fresh.known() * 2 <= fresh.chosen() ? 8 : freshness_ - 4 > 0 ? freshness_ - 4 : -32;
  return done;
}

}  // namespace setget::inline v0::redis
