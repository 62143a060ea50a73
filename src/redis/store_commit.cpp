#include "redis/store_commit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

// ARGV: how many checks, and for each the number of its key, its kind and the bytes; how many commands, and for each the number of its
// arguments, its name, the number of its key and the arguments. Three are our own. OUTBOX: the key of its counters, the least position, the
// states. DEALT: a member leaves a sorted set, if its score is still this one. UNLISTED: a member leaves an index, which leaves the set of
// indexes (the number of its key, the index's name) where it was the last.
const Script& commit_script() {
  static const Script script(R"lua(
local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end
local checks = tonumber(take())
for check = 1, checks do
  local key, kind, bytes = KEYS[tonumber(take())], take(), take()
  if kind == 'n' then
    if redis.call('EXISTS', key) ~= 0 then
      redis.call('STRLEN', key) -- WRONGTYPE where something else than an entry has its name: MGET does not say so
      return check
    end
  elseif kind == 'w' then
    if redis.call('GET', key) ~= bytes then return check end
  elseif kind == 'o' then
    local meta, states, room, count, more = string.match(bytes, '(%d+) (%d+) (%d+) (%d+) (%d+)')
    local waiting = redis.call('LLEN', key)
    local held = tonumber(redis.call('HGET', KEYS[tonumber(meta)], 'bytes') or '0')
    local full = waiting + tonumber(count) > tonumber(states) or held + tonumber(more) > tonumber(room)
    if tonumber(states) > 0 and waiting > 0 and full then return -1 end
  else
    if redis.call('GETRANGE', key, 0, #bytes - 1) ~= bytes then return check end
  end
end
local commands = tonumber(take())
for _ = 1, commands do
  local count, name, key = tonumber(take()), take(), KEYS[tonumber(take())]
  if name == 'OUTBOX' then
    local meta = KEYS[tonumber(ARGV[at + 1])]
    local last = math.max(tonumber(ARGV[at + 2]), tonumber(redis.call('HGET', meta, 'last') or '0'))
    local bytes = 0
    for state = at + 3, at + count do
      last = last + 1
      bytes = bytes + #ARGV[state]
      redis.call('RPUSH', key, string.format('%.0f', last) .. ' ' .. ARGV[state])
    end
    redis.call('HSET', meta, 'last', string.format('%.0f', last))
    redis.call('HINCRBY', meta, 'bytes', bytes)
  elseif name == 'UNLISTED' then
    redis.call('ZREM', key, ARGV[at + 1])
    if redis.call('EXISTS', key) == 0 then redis.call('SREM', KEYS[tonumber(ARGV[at + 2])], ARGV[at + 3]) end
  elseif name == 'DEALT' then
    if tonumber(redis.call('ZSCORE', key, ARGV[at + 1]) or -1) == tonumber(ARGV[at + 2]) then redis.call('ZREM', key, ARGV[at + 1]) end
  else
    redis.call(name, key, unpack(ARGV, at + 1, at + count))
  end
  at = at + count
end
return 0
)lua");
  return script;
}

constexpr std::size_t kMostArguments = 4000;  // of one command: Lua's stack ends at about 8000
constexpr const char* kMarkerLife = "60000";  // milliseconds; longer than callers wait for a step

}  // namespace

std::size_t CommitCall::number_of(std::string key) {
  const auto [at, fresh] = numbers_.try_emplace(std::move(key), keys_.size() + 1);
  if (fresh) keys_.push_back(at->first);
  return at->second;
}

void CommitCall::check(std::string key, Check kind, std::string bytes) {
  if (expected_.empty()) meta_first_ = key == shards_->name(shard_, "m");
  expected_.push_back({.key = number_of(std::move(key)), .check = kind, .bytes = std::move(bytes)});
}

void CommitCall::op(std::string_view command, std::string key, std::vector<std::string> arguments) {
  ops_.push_back({.command = command, .key = number_of(std::move(key)), .arguments = std::move(arguments)});
}

void CommitCall::expect_entry(std::string_view qualified_name, const std::optional<Payload>& stored) {
  const auto [ns, bytes] = split_qualified(qualified_name);
  auto key = entry_name(shards_->head(shard_), ns, bytes);
  if (!stored) {
    check(std::move(key), Check::kAbsent, {});
  } else if (has_identity(stored->view())) {
    check(std::move(key), Check::kPrefix, std::string(stored->view().substr(0, kPrefixBytes)));
  } else {
    check(std::move(key), Check::kWhole, stored->str());
  }
}

void CommitCall::write_entry(std::string_view qualified_name, const Entry& entry, WriteMark mark) {
  const auto [ns, bytes] = split_qualified(qualified_name);
  auto key = entry_name(shards_->head(shard_), ns, bytes);
  if (entry.empty()) {
    op("DEL", std::move(key), {});
  } else {
    op("SET", std::move(key), {encode_entry(entry, bytes, mark)});
  }
}

void CommitCall::add_effect(const SideEffect& effect) {
  using Kind = SideEffect::Kind;
  switch (effect.kind) {
    case Kind::kLog:
      lines_.push_back(effect.member);
      return;
    case Kind::kBucket: {
      auto& [score, members] = buckets_[effect.name];
      score = effect.score;
      members.push_back(effect.member);
      return;
    }
    case Kind::kGarbage: {
      auto& score = garbage_[effect.member];
      score = std::max(score, effect.score);
      return;
    }
    case Kind::kNotGarbage:
      op("DEALT", shards_->name(shard_, "g"), {effect.member, effect.name});
      return;
    case Kind::kListed: {
      const auto [ns, index] = split_qualified(effect.name);
      op("ZADD", shards_->name(shard_, "L:" + effect.name), {"0", effect.member});
      op("SADD", shards_->name(shard_, "N:" + std::string(ns)), {std::string(index)});
      return;
    }
    case Kind::kOutbox:
      outbox_.push_back(effect.member);
      return;
    case Kind::kUnlisted: {
      // An index that has nothing any more is not looked at by any list.
      const auto [ns, index] = split_qualified(effect.name);
      const auto indexes = number_of(shards_->name(shard_, "N:" + std::string(ns)));
      op("UNLISTED", shards_->name(shard_, "L:" + effect.name), {effect.member, std::to_string(indexes), std::string(index)});
      return;
    }
  }
}

void CommitCall::add_counts(const Counts& counts) {
  const auto add = [&](const char* field, std::int64_t amount) {
    if (amount != 0) op("HINCRBY", shards_->name(shard_, "c"), {field, std::to_string(amount)});
  };
  add("records", counts.records);
  add("tombstones", counts.tombstones);
  add("keys", counts.keys);
  for (const auto& [number, count] : counts.uses) {
    if (count != 0) op("HINCRBY", shards_->name(shard_, "u"), {std::to_string(number), std::to_string(count)});
  }
}

void CommitCall::leave_marker(std::string_view marker) {
  op("SET", shards_->name(shard_, "w:" + std::string(marker)), {"1", "PX", kMarkerLife});
}

Script::Call CommitCall::call() const {
  auto whole = *this;
  const auto chunked = [&](const char* command, const std::string& key, const std::vector<std::string>& arguments,
                           const char* option = nullptr) {
    for (std::size_t at = 0; at < arguments.size(); at += kMostArguments) {
      const auto end = std::min(arguments.size(), at + kMostArguments);
      std::vector<std::string> piece;
      if (option != nullptr) piece.emplace_back(option);
      piece.insert(piece.end(), arguments.begin() + static_cast<std::ptrdiff_t>(at), arguments.begin() + static_cast<std::ptrdiff_t>(end));
      whole.op(command, key, std::move(piece));
    }
  };
  if (!lines_.empty()) chunked("RPUSH", shards_->name(shard_, "l"), lines_);
  if (!garbage_.empty()) {
    std::vector<std::string> arguments;
    for (const auto& [member, score] : garbage_) {
      arguments.push_back(std::to_string(score));
      arguments.push_back(member);
    }
    // An identity and a key of one name share a place in it. What is looked at too early is taken out and never looked at again.
    chunked("ZADD", shards_->name(shard_, "g"), arguments, "GT");
  }
  if (!buckets_.empty()) {
    std::vector<std::string> firsts;
    for (const auto& [name, bucket] : buckets_) {
      firsts.push_back(std::to_string(bucket.first));
      firsts.push_back(name);
      chunked("RPUSH", shards_->name(shard_, name), bucket.second);
    }
    chunked("ZADD", shards_->name(shard_, "x"), firsts);
  }
  if (!outbox_.empty()) {
    std::size_t more = 0;
    for (const auto& state : outbox_) more += state.size();
    const auto counters = whole.number_of(shards_->name(shard_, "h"));
    // Where something else has the name of the list this fails before anything is written.
    whole.check(shards_->name(shard_, "o"), Check::kOutbox,
                fmt::format("{} {} {} {} {}", counters, outbox_limit_.states, outbox_limit_.bytes, outbox_.size(), more));
    std::vector<std::string> arguments{std::to_string(counters), std::to_string(outbox_from_)};
    arguments.insert(arguments.end(), outbox_.begin(), outbox_.end());
    whole.op("OUTBOX", shards_->name(shard_, "o"), std::move(arguments));
  }
  // A command that fails (another program's value has the name of the log, say) undoes nothing that came before it. So the lists come first
  // and the entries last: a line of the log about something that was not written tells nobody anything, a record without its line would
  // never be archived.
  const auto rank = [](const Op& op) {
    return op.command == "RPUSH" ? 0 : op.command == "SET" || op.command == "DEL" ? 2 : op.command == "OUTBOX" ? 3 : 1;
  };
  std::ranges::stable_sort(whole.ops_, {}, rank);
  // A full server refuses what could need memory until a script has written. This is a write, needs none, and changes nothing.
  if (even_when_full_) {
    whole.ops_.insert(whole.ops_.begin(), {.command = "HDEL", .key = whole.number_of(shards_->name(shard_, "c")), .arguments = {""}});
  }
  Script::Call call(commit_script(), whole.keys_.size());
  for (const auto& key : whole.keys_) call.key(key);
  call.arg(static_cast<std::int64_t>(whole.expected_.size()));
  for (const auto& [key, check, bytes] : whole.expected_) {
    const char kind = static_cast<char>(check);
    call.arg(static_cast<std::int64_t>(key)).arg(std::string_view(&kind, 1)).arg(bytes);
  }
  call.arg(static_cast<std::int64_t>(whole.ops_.size()));
  for (const auto& [command, key, arguments] : whole.ops_) {
    call.arg(static_cast<std::int64_t>(arguments.size())).arg(command).arg(static_cast<std::int64_t>(key));
    for (const auto& argument : arguments) call.arg(argument);
  }
  return call;
}

}  // namespace setget::inline v0::redis
