#include "redis/dictionaries.hpp"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "redis/script.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr std::int64_t kUnusedLifeMs = 3'600'000;  // of a dictionary that nobody has come to use

// KEYS: d. ARGV: a first number, the family, now. Takes a number for what is to become the family's dictionary.
const Script& number_script() {
  static const Script script(R"lua(
redis.call('HSETNX', KEYS[1], 'n', ARGV[1])
local number = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'o:' .. number, ARGV[2], 'a:' .. number, ARGV[3])
return number
)lua");
  return script;
}

// KEYS: d, dg. ARGV: the family, its dictionary as it was, as it becomes ('0': none), now. 0 where it was another.
const Script& replace_script() {
  static const Script script(R"lua(
local family, old, new = ARGV[1], ARGV[2], ARGV[3]
if (redis.call('HGET', KEYS[1], 'f:' .. family) or '0') ~= old then return 0 end
if new ~= '0' and redis.call('HDEL', KEYS[1], 'o:' .. new) == 0 then return 0 end
if old ~= '0' then redis.call('HSET', KEYS[1], 'o:' .. old, family) end
if new == '0' then redis.call('HDEL', KEYS[1], 'f:' .. family) else redis.call('HSET', KEYS[1], 'f:' .. family, new) end
local generation = math.max(tonumber(redis.call('HGET', KEYS[1], 'g') or '0') + 1, tonumber(ARGV[4]))
local text = string.format('%.0f', generation)
redis.call('HSET', KEYS[1], 'g', text)
redis.call('ZADD', KEYS[2], text, family)
return 1
)lua");
  return script;
}

// KEYS: a part's meta. ARGV: the generation.
const Script& generation_script() {
  static const Script script(R"lua(
local text = redis.call('GET', KEYS[1])
if not text then return 0 end
local head, generation = string.match(text, '^(1 %S+ %d+ %d+) ?(%d*)$')
if not head or tonumber(generation ~= '' and generation or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], head .. ' ' .. ARGV[1])
return 1
)lua");
  return script;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::int64_t ms(TimePoint time) { return time.time_since_epoch().count(); }

}  // namespace

std::vector<std::string> Dictionaries::bytes_names(std::uint32_t number) const {
  const auto name = fmt::format("d:{}", number);
  const auto part = number & (shards_.count() - 1);
  // Parts are spread evenly over the slots, and masters have ranges of them.
  const auto other = part ^ (shards_.count() / 2);
  if (other == part) return {shards_.name(part, name)};
  return {shards_.name(part, name), shards_.name(other, name)};
}

Result<std::optional<std::string>> Dictionaries::bytes(std::uint32_t number, Deadline deadline) {
  std::vector<RedisCommand> commands;
  for (const auto& name : bytes_names(number)) commands.push_back(RedisCommand("GET").key(name).idempotent());
  std::optional<Error> failed;
  for (auto& reply : place_.client().pipeline(commands, deadline)) {
    if (!reply) {
      failed = std::move(reply).error();
    } else if (!reply->is_nil()) {
      return std::optional(reply->take_text());
    }
  }
  if (failed) return *std::move(failed);
  return std::optional<std::string>();
}

Result<std::vector<std::uint32_t>> Dictionaries::current(std::span<const std::string> families, Deadline deadline) {
  std::vector<std::uint32_t> out;
  if (families.empty()) return out;
  RedisCommand command("HMGET");
  command.key(shards_.name(0, "d"));
  for (const auto& family : families) command.arg("f:" + family);
  auto reply = place_.client().call(std::move(command).idempotent(), deadline);
  if (!reply) return std::move(reply).error();
  for (const auto& element : reply->elements()) out.push_back(static_cast<std::uint32_t>(number(element.text())));
  out.resize(families.size());
  return out;
}

Result<Dictionaries::Changes> Dictionaries::changes_since(std::uint64_t generation, Deadline deadline) {
  const std::vector<RedisCommand> commands = {
      RedisCommand("HGET").key(shards_.name(0, "d")).arg("g").idempotent(),
      RedisCommand("ZRANGEBYSCORE").key(shards_.name(0, "dg")).arg(fmt::format("({}", generation)).arg("+inf").idempotent()};
  auto replies = place_.client().pipeline(commands, deadline);
  for (auto& reply : replies) {
    if (!reply) return std::move(reply).error();
  }
  Changes changes;
  changes.generation = number(replies[0]->text());
  for (const auto& element : replies[1]->elements()) changes.families.emplace_back(element.text());
  return changes;
}

// The parts get the store's generation, as it is now, before anybody relies on their having it.
Result<void> Dictionaries::tell_parts(Deadline deadline) {
  auto generation = place_.client().call(RedisCommand("HGET").key(shards_.name(0, "d")).arg("g").idempotent(), deadline);
  if (!generation) return std::move(generation).error();
  if (generation->is_nil()) return {};
  std::vector<Script::Call> calls;
  for (std::uint32_t shard = 0; shard < shards_.count(); ++shard) {
    calls.emplace_back(generation_script(), 1).key(shards_.name(shard, "m")).arg(generation->text());
  }
  for (auto& told : run_scripts(place_.client(), calls, deadline)) {
    if (!told) return std::move(told).error();
  }
  return {};
}

Result<std::optional<std::uint32_t>> Dictionaries::replace(const std::string& family, std::uint32_t expected,
                                                           std::optional<std::string_view> bytes, Deadline deadline) {
  const auto now = ms(place_.now());
  const auto root = shards_.name(0, "d");
  std::uint32_t made = 0;
  if (bytes) {
    // Numbers begin anywhere, so that those of one epoch are not those of the next.
    Script::Call call(number_script(), 1);
    call.key(root).arg(static_cast<std::int64_t>(place_.random().next() >> 37)).arg(family).arg(now);
    auto numbered = run_script(place_.client(), call, deadline);
    if (!numbered) return std::move(numbered).error();
    made = static_cast<std::uint32_t>(numbered->integer());
    for (const auto& name : bytes_names(made)) {
      auto stored = place_.client().call(RedisCommand("SET").key(name).arg(*bytes).idempotent(), deadline);
      if (!stored) return std::move(stored).error();
    }
  }
  Script::Call call(replace_script(), 2);
  call.key(root).key(shards_.name(0, "dg")).arg(family).arg(static_cast<std::int64_t>(expected)).arg(static_cast<std::int64_t>(made));
  call.arg(now);
  auto replaced = run_script(place_.client(), call, deadline);
  if (!replaced) return std::move(replaced).error();
  if (replaced->integer() == 0) {
    if (made != 0) {
      if (auto dropped = drop(made, true, false, deadline); !dropped) return std::move(dropped).error();
    }
    return std::optional<std::uint32_t>();
  }
  if (auto told = tell_parts(deadline); !told) return std::move(told).error();
  return std::optional(made);
}

Result<std::vector<Dictionaries::Use>> Dictionaries::uses(std::span<const std::uint32_t> numbers, Deadline deadline) {
  std::vector<Use> out(numbers.size());
  // Part by part: most are in use in the first one that is asked.
  for (std::uint32_t shard = 0; shard < shards_.count(); ++shard) {
    RedisCommand command("HMGET");
    command.key(shards_.name(shard, "u"));
    std::vector<std::size_t> asked;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (out[i].now) continue;
      command.arg(static_cast<std::int64_t>(numbers[i]));
      asked.push_back(i);
    }
    if (asked.empty()) break;
    auto reply = place_.client().call(std::move(command).idempotent(), deadline);
    if (!reply) return std::move(reply).error();
    const auto counts = reply->elements();
    for (std::size_t i = 0; i < asked.size() && i < counts.size(); ++i) {
      auto& use = out[asked[i]];
      if (counts[i].is_nil()) continue;
      use.ever = true;
      use.now = use.now || counts[i].text() != "0";
    }
  }
  return out;
}

Result<bool> Dictionaries::drop(std::uint32_t number, bool unused_too, bool surely, Deadline deadline) {
  // Whoever still takes it for current must be told before the uses count.
  if (auto told = tell_parts(deadline); !told) return std::move(told).error();
  auto used = uses({&number, 1}, deadline);
  if (!used) return std::move(used).error();
  if (!surely && (used->front().now || (!used->front().ever && !unused_too))) return false;
  for (const auto& name : bytes_names(number)) {
    auto gone = place_.client().call(RedisCommand("DEL").key(name).idempotent(), deadline);
    if (!gone) return std::move(gone).error();
  }
  std::vector<RedisCommand> commands;
  for (std::uint32_t shard = 0; shard < shards_.count(); ++shard) {
    commands.push_back(RedisCommand("HDEL").key(shards_.name(shard, "u")).arg(static_cast<std::int64_t>(number)).idempotent());
  }
  commands.push_back(
      RedisCommand("HDEL").key(shards_.name(0, "d")).arg(fmt::format("o:{}", number)).arg(fmt::format("a:{}", number)).idempotent());
  for (auto& reply : place_.client().pipeline(commands, deadline)) {
    if (!reply) return std::move(reply).error();
  }
  return true;
}

Result<std::vector<std::uint32_t>> Dictionaries::old_ones(const std::string& family, Deadline deadline) {
  std::vector<std::uint32_t> out;
  std::string cursor = "0";
  do {
    auto page = place_.client().call(
        RedisCommand("HSCAN").key(shards_.name(0, "d")).arg(cursor).arg("MATCH").arg("o:*").arg("COUNT").arg(500).idempotent(), deadline);
    if (!page) return std::move(page).error();
    const auto parts = page->elements();
    if (parts.size() != 2) return Error(ErrorCode::kCorrupted, "HSCAN answered what is not a page");
    cursor = std::string(parts[0].text());
    const auto fields = parts[1].elements();
    for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
      const auto field = fields[i].text();
      if (field.starts_with("o:") && fields[i + 1].text() == family) out.push_back(static_cast<std::uint32_t>(number(field.substr(2))));
    }
  } while (cursor != "0");
  return out;
}

Result<std::size_t> Dictionaries::sweep(std::string& cursor, Deadline deadline) {
  auto page = place_.client().call(RedisCommand("HSCAN").key(shards_.name(0, "d")).arg(cursor).arg("COUNT").arg(64).idempotent(), deadline);
  if (!page) return std::move(page).error();
  const auto parts = page->elements();
  if (parts.size() != 2) return Error(ErrorCode::kCorrupted, "HSCAN answered what is not a page");
  cursor = std::string(parts[0].text());
  struct One {
    std::string family;  // empty: not current
  };
  std::vector<One> ones;
  std::vector<std::uint32_t> numbers;
  const auto fields = parts[1].elements();
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
    const auto field = fields[i].text();
    const auto value = fields[i + 1].text();
    if (field.starts_with("f:")) {
      ones.push_back({std::string(field.substr(2))});
      numbers.push_back(static_cast<std::uint32_t>(number(value)));
    } else if (field.starts_with("o:")) {
      ones.push_back({});
      numbers.push_back(static_cast<std::uint32_t>(number(field.substr(2))));
    }
  }
  if (numbers.empty()) return std::size_t{0};
  auto used = uses(numbers, deadline);
  if (!used) return std::move(used).error();
  std::size_t gone = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto& use = (*used)[i];
    if (use.now) continue;
    if (!use.ever) {
      // Made a moment ago, perhaps.
      auto made =
          place_.client().call(RedisCommand("HGET").key(shards_.name(0, "d")).arg(fmt::format("a:{}", numbers[i])).idempotent(), deadline);
      if (!made) return std::move(made).error();
      if (ms(place_.now()) - static_cast<std::int64_t>(number(made->text())) < kUnusedLifeMs) continue;
    }
    if (!ones[i].family.empty()) {
      auto replaced = replace(ones[i].family, numbers[i], std::nullopt, deadline);
      if (!replaced) return std::move(replaced).error();
      if (!*replaced) continue;
    }
    auto dropped = drop(numbers[i], !use.ever, false, deadline);
    if (!dropped) return std::move(dropped).error();
    gone += *dropped ? 1 : 0;
  }
  return gone;
}

}  // namespace setget::inline v0::redis
