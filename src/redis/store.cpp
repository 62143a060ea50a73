// What must be known of a store before anything is read or written: its parts, and what each of them says it belongs to.
#include "redis/store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/apply_content.hpp"
#include "redis/errors.hpp"
#include "redis/script.hpp"
#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

// KEYS: the root. ARGV: the epoch in which all parts have their meta. A root that is gone meanwhile (a flush) must not come back with
// nothing but this in it: it would be taken for a damaged one ever after.
const Script& ready_script() {
  static const Script script(R"lua(
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'ready', ARGV[1])
return 1
)lua");
  return script;
}

// KEYS: a part's meta. ARGV: uuid and epoch of the store. Makes the meta where it is missing, takes it over into a new epoch, and leaves
// one that is right (or of an epoch that this process has not heard of) alone.
const Script& part_script() {
  static const Script script(R"lua(
local text = redis.call('GET', KEYS[1])
local rest = '0'
if text then
  local uuid, epoch, r = string.match(text, '^1 (%S+) (%d+) (%d+ ?%d*)$')
  if uuid == ARGV[1] and tonumber(epoch) >= tonumber(ARGV[2]) then return text end
  if uuid == ARGV[1] then rest = r end
end
text = '1 ' .. ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. rest
redis.call('SET', KEYS[1], text)
return text
)lua");
  return script;
}

Error keeps_changing() { return Error(ErrorCode::kUnavailable, "the store keeps changing its identity"); }

}  // namespace

std::string encode_part_meta(const StoreIdentity& identity, Stamp floor, std::uint64_t generation) {
  auto text = fmt::format("1 {} {} {}", identity.uuid, identity.epoch, floor);
  if (generation != 0) text += fmt::format(" {}", generation);
  return text;
}

std::optional<PartMeta> decode_part_meta(std::string_view text) {
  if (!text.starts_with("1 ")) return std::nullopt;
  const auto uuid_end = text.find(' ', 2);
  if (uuid_end == std::string_view::npos) return std::nullopt;
  PartMeta meta;
  meta.text = std::string(text);
  meta.identity.uuid = std::string(text.substr(2, uuid_end - 2));
  const auto* end = text.data() + text.size();
  auto [space, failed] = std::from_chars(text.data() + uuid_end + 1, end, meta.identity.epoch);
  if (failed != std::errc() || space == end || *space != ' ') return std::nullopt;
  auto [last, bad] = std::from_chars(space + 1, end, meta.floor);
  if (bad != std::errc() || (last != end && *last != ' ')) return std::nullopt;
  if (last == end) return meta;
  auto [rest, worse] = std::from_chars(last + 1, end, meta.generation);
  if (worse != std::errc() || rest != end) return std::nullopt;
  return meta;
}

RedisStore::RedisStore(std::shared_ptr<Place> place) : place_(std::move(place)), coder_(std::make_unique<Coder>(*place_)) {}

KeyStoreCapabilities RedisStore::capabilities() const {
  const auto known = place_->known();
  return {.durability = known ? known->durability : Durability::kMemory,
          .listing = true,
          .change_log = true,
          .scan = true,
          .async_gets = true,
          .at_hand = place_->options().cache.enabled,
          .history = true,
          .goes_back = true};
}

// All parts, whichever were written: what was found done already counts as well, and may have been done by an attempt that was not
// confirmed.
Result<void> RedisStore::confirm(const Replicas::Seen& before, Deadline deadline) {
  if (!place_->waits()) return {};
  const auto root = fmt::format("{0}:{{{0}:m}}:", place_->prefix());  // in the slot of the store's root
  std::vector<std::string_view> heads{root};
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) heads.push_back(shards_->head(shard));
  return place_->confirm(heads, before, deadline);
}

// Asked anew each time: whoever compares identities wants to know what is there now.
Result<StoreIdentity> RedisStore::identity(Deadline deadline) {
  if (auto parts = shards(deadline); !parts) return std::move(parts).error();
  // Each part: on a cluster one master can lose what it held while the others have theirs.
  if (auto checked = check_parts(deadline); !checked) return std::move(checked).error();
  auto facts = place_->facts(deadline);
  if (!facts) return std::move(facts).error();
  return facts->identity;
}

void RedisStore::find() { (void)shards(Deadline::in(place_->client().settings().connect_timeout * 2)); }

Result<const Shards*> RedisStore::shards(Deadline deadline) {
  if (ready_) return shards_.get();
  auto facts = place_->facts(deadline);
  if (!facts) return std::move(facts).error();
  if (auto prepared = prepare(*facts, deadline); !prepared) return std::move(prepared).error();
  const std::scoped_lock lock(mutex_);
  return shards_.get();
}

// Every part has its meta from the beginning, so that one that has none later has lost what it held.
Result<void> RedisStore::prepare(const Facts& facts, Deadline deadline) {
  auto parts = std::make_unique<Shards>(place_->prefix(), facts.shards, 'k');
  const auto root = place_->prefix() + ":m";
  const auto epoch = std::to_string(facts.identity.epoch);
  auto ready = place_->client().call(RedisCommand("HGET").key(root).arg("ready").idempotent(), deadline);
  if (!ready) return std::move(ready).error();
  if (ready->text() != epoch) {
    std::vector<Script::Call> calls;
    for (std::uint32_t shard = 0; shard < facts.shards; ++shard) {
      calls.emplace_back(part_script(), 1).key(parts->name(shard, "m")).arg(facts.identity.uuid).arg(epoch);
    }
    for (auto& made : run_scripts(place_->client(), calls, deadline)) {
      if (!made) return std::move(made).error();
    }
    auto done = run_script(place_->client(), Script::Call(ready_script(), 1).key(root).arg(epoch), deadline);
    if (!done) return std::move(done).error();
  }
  const std::scoped_lock lock(mutex_);
  metas_.assign(facts.shards, std::nullopt);
  if (shards_ == nullptr) {
    shards_ = std::move(parts);
    if (const auto& cache = place_->options().cache; cache.enabled) {
      cache_ = std::make_unique<AnswerCache>(cache, shards_->count());
      tracker_ = std::make_unique<Tracker>(*place_, *shards_, *cache_);
    }
  }
  coder_->attach(*shards_);
  ready_ = true;
  return {};
}

void RedisStore::forget_meta(std::uint32_t shard) {
  const std::scoped_lock lock(mutex_);
  metas_[shard].reset();
}

Result<PartMeta> RedisStore::meta(std::uint32_t shard, Deadline deadline) {
  for (int attempt = 0;; ++attempt) {
    {
      const std::scoped_lock lock(mutex_);
      if (metas_[shard]) return *metas_[shard];
    }
    auto reply = place_->client().call(RedisCommand("GET").key(shards_->name(shard, "m")).idempotent(), deadline);
    if (!reply) return std::move(reply).error();
    auto found = reply->is_nil() ? std::nullopt : decode_part_meta(reply->text());
    if (!reply->is_nil() && !found) {
      return Error(ErrorCode::kCorrupted, fmt::format("{} is not the meta of a part of a store", shards_->name(shard, "m")));
    }
    const auto known = place_->known();
    if (found && known && found->identity == known->identity) {
      // Whoever has this meta writes under it, with nothing that it took away.
      if (auto seen = coder_->see(found->identity, found->generation, deadline); !seen) return std::move(seen).error();
      const std::scoped_lock lock(mutex_);
      metas_[shard] = found;
      return *std::move(found);
    }
    if (attempt == 3) return keeps_changing();
    if (auto again = find_again(deadline); !again) return std::move(again).error();
  }
}

Result<bool> RedisStore::is_current(std::uint32_t shard, const Reply& meta) {
  if (meta.is_nil()) return false;
  const auto found = decode_part_meta(meta.text());
  if (!found) return Error(ErrorCode::kCorrupted, fmt::format("{} is not the meta of a part of a store", shards_->name(shard, "m")));
  const auto known = place_->known();
  return known && found->identity == known->identity;
}

Result<void> RedisStore::check_parts(Deadline deadline) {
  for (int attempt = 0;; ++attempt) {
    std::vector<RedisCommand> commands;
    for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
      commands.push_back(RedisCommand("GET").key(shards_->name(shard, "m")).idempotent());
    }
    auto replies = place_->client().pipeline(commands, deadline);
    bool all = true;
    for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
      if (!replies[shard]) return std::move(replies[shard]).error();
      auto current = is_current(shard, *replies[shard]);
      if (!current) return std::move(current).error();
      all = all && *current;
    }
    if (all) return {};
    if (attempt == 3) return keeps_changing();
    if (auto again = find_again(deadline); !again) return again;
  }
}

Result<void> RedisStore::find_again(Deadline deadline) {
  const auto known = place_->known();
  auto facts = known ? place_->refresh(deadline) : place_->facts(deadline);
  if (!facts) return std::move(facts).error();
  if (known && facts->identity == known->identity) {
    // The root is as it was, yet a part has lost what it held.
    facts = place_->begin_epoch(known->identity, deadline);
    if (!facts) return std::move(facts).error();
  }
  if (facts->shards != shards_->count()) {
    return Error(ErrorCode::kFailedPrecondition, fmt::format("the store under \"{}\" has {} parts now and had {}; open it again",
                                                             place_->prefix(), facts->shards, shards_->count()));
  }
  return prepare(*facts, deadline);
}

// One MGET for each part: all that a part has is of one moment.
Result<std::vector<std::optional<Payload>>> RedisStore::load_entries(std::span<const std::string> names, Deadline deadline) {
  if (names.size() == 1) {
    const auto [ns, bytes] = split_qualified(names[0]);
    auto reply =
        place_->client().call(RedisCommand("GET").key(entry_name(shards_->head(shards_->of(ns, bytes)), ns, bytes)).idempotent(), deadline);
    if (!reply) return std::move(reply).error();
    std::vector<std::optional<Payload>> only(1);
    if (!reply->is_nil()) only[0] = reply->take_payload();
    return only;
  }
  auto loaded = load_together(names, names.size(), deadline);
  if (!loaded) return loaded;
  for (const auto closely : {false, true}) {
    const auto looks = looks_at_missing(names, *loaded, closely);
    if (looks.empty()) break;
    bool there = false;
    for (auto& reply : place_->client().pipeline(looks, deadline)) {
      if (!reply) return std::move(reply).error();
      there = there || reply->integer() != 0;
    }
    if (!there) break;
  }
  return loaded;
}

// MGET has nothing to say of what is there and no entry, as something of another program under an entry's name. EXISTS tells of a whole
// part that nothing is there, which is nearly always so; where something is, a close look fails at what is no entry.
std::vector<RedisCommand> RedisStore::looks_at_missing(std::span<const std::string> names, std::span<const std::optional<Payload>> loaded,
                                                       bool closely) {
  std::vector<RedisCommand> looks;
  std::map<std::uint32_t, RedisCommand> by_part;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (loaded[i]) continue;
    const auto [ns, bytes] = split_qualified(names[i]);
    const auto part = shards_->of(ns, bytes);
    const auto name = entry_name(shards_->head(part), ns, bytes);
    if (closely) {
      looks.push_back(RedisCommand("STRLEN").key(name).idempotent());
    } else {
      auto& look = by_part.try_emplace(part, RedisCommand("EXISTS").idempotent()).first->second;
      look.slot() ? look.arg(name) : look.key(name);
    }
  }
  for (auto& [part, look] : by_part) looks.push_back(std::move(look));
  return looks;
}

Result<std::vector<std::optional<Payload>>> RedisStore::load_in_pieces(std::span<const std::string> names, Deadline deadline) {
  return load_together(names, kPieceNames, deadline);
}

Result<std::vector<std::optional<Payload>>> RedisStore::load_together(std::span<const std::string> names, std::size_t most,
                                                                      Deadline deadline) {
  std::vector<std::optional<Payload>> out(names.size());
  std::map<std::uint32_t, std::vector<std::size_t>> by_part;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto [ns, bytes] = split_qualified(names[i]);
    by_part[shards_->of(ns, bytes)].push_back(i);
  }
  std::vector<RedisCommand> commands;
  std::vector<std::span<const std::size_t>> whose;
  for (const auto& [shard, of_part] : by_part) {
    for (std::span<const std::size_t> left(of_part); !left.empty(); left = left.subspan(whose.back().size())) {
      const auto numbers = left.first(std::min(most, left.size()));
      RedisCommand command("MGET");
      bool first = true;
      for (const auto i : numbers) {
        const auto [ns, bytes] = split_qualified(names[i]);
        const auto name = entry_name(shards_->head(shard), ns, bytes);
        std::exchange(first, false) ? command.key(name) : command.arg(name);
      }
      commands.push_back(std::move(command).idempotent());
      whose.push_back(numbers);
    }
  }
  auto replies = place_->client().pipeline(commands, deadline);
  for (std::size_t c = 0; c < replies.size(); ++c) {
    if (!replies[c]) return std::move(replies[c]).error();
    auto values = replies[c]->elements();
    if (values.size() != whose[c].size()) return Error(ErrorCode::kCorrupted, "MGET answered with another number of values");
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!values[i].is_nil()) out[whose[c][i]] = values[i].take_payload();
    }
  }
  return out;
}

Result<std::vector<std::size_t>> RedisStore::sizes_of(std::span<const std::string> names, Deadline deadline) {
  std::vector<RedisCommand> commands;
  commands.reserve(names.size());
  for (const auto& name : names) {
    const auto [ns, bytes] = split_qualified(name);
    commands.push_back(RedisCommand("STRLEN").key(entry_name(shards_->head(shards_->of(ns, bytes)), ns, bytes)).idempotent());
  }
  std::vector<std::size_t> sizes;
  sizes.reserve(names.size());
  for (auto& reply : place_->client().pipeline(commands, deadline)) {
    if (!reply) return std::move(reply).error();
    sizes.push_back(static_cast<std::size_t>(std::max<std::int64_t>(0, reply->integer())));
  }
  return sizes;
}

void BodyCoder::store(const ApplyEntry& entry, IdentityPart& identity) {
  identity.codec = BodyCodec::kNone;
  identity.dictionary = 0;
  identity.content = setget::detail::content_of(entry);
  identity.body = entry.encoded;
}

namespace {
constexpr std::string_view kDictionary = "dictionary";
}

Error without_dictionary(std::uint32_t number) {
  return Error(
             ErrorCode::kUnavailable,
             fmt::format("the record's dictionary {} has just been replaced: read it again; if it stays so, the store has lost it", number))
      .at_field(std::string(kDictionary));
}

Error lost_dictionary(std::uint32_t number) {
  return Error(ErrorCode::kCorrupted, fmt::format("a record needs dictionary {}, which the store has lost", number));
}

bool is_without_dictionary(const Error& error) noexcept { return error.code() == ErrorCode::kUnavailable && error.field() == kDictionary; }

Result<Payload> BodyCoder::load(const IdentityPart& identity, Deadline) {
  auto loaded = try_load(identity);
  if (!loaded) return std::move(loaded).error();
  return **std::move(loaded);
}

Result<std::optional<Payload>> BodyCoder::try_load(const IdentityPart& identity) {
  if (identity.codec == BodyCodec::kNone) return std::optional(identity.body);
  return Error(ErrorCode::kUnsupported, fmt::format("a body of codec {}, which this build cannot read", static_cast<int>(identity.codec)));
}

std::shared_ptr<RedisStore> make_key_store(std::shared_ptr<Place> place) {
  const bool found = place->known().has_value();
  auto store = std::make_shared<RedisStore>(std::move(place));
  if (found) store->find();
  return store;
}

}  // namespace setget::inline v0::redis
