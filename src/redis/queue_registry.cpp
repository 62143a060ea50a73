// Which queues there are: one hash, "PREFIX:{q0}:queues" or alike, name -> "format id created options". Its field "" says how many parts
// all queues of the store have: the first queue decides, because stamps of parts are apart by their number modulo that. Beside it stands
// a random word that was written when the registry was made, so that a queue that is not entered was removed where the word is still the
// same, and lost with the whole registry where it is another one.
//
// A queue is entered first and then installed in its parts. One that is removed is entered as leaving ("0 id"), then dropped from the
// parts, then taken out, so that whoever got no further can be followed by somebody else. A part that does not know its queue means that
// somebody is in between, or that its content is lost; the registry tells which.
//
// Whoever finds another queue in a part asks the registry afterwards. If that names his own, the other was there before and can be
// replaced; never the other way round, however long a call was on its way.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "redis/errors.hpp"
#include "redis/queue_backend.hpp"
#include "redis/queue_scripts.hpp"

namespace setget::inline v0::redis {

namespace {

// KEYS: the registry, its word. ARGV: name, kind, options, now, parts, id, a word. Answers {parts, entry, word}, or "kind".
const Script& enter_script() {
  static const Script script(R"lua(
local registry, name = KEYS[1], ARGV[1]
local parts = redis.call('HGET', registry, '')
local id, created = ARGV[6], ARGV[4]
local entry = redis.call('HGET', registry, name)
if entry and string.sub(entry, 1, 2) ~= '0 ' then
  local format, its, at, kind = string.match(entry, '^(%d+) (%S+) (%d+) (%d+) ')
  if format ~= '1' then return 'format' end
  if kind ~= ARGV[2] then return 'kind' end
  id, created = its, at
end
if not parts then
  parts = ARGV[5]
  redis.call('HSET', registry, '', parts)
end
entry = '1 ' .. id .. ' ' .. created .. ' ' .. ARGV[3]
redis.call('HSET', registry, name, entry)
redis.call('SETNX', KEYS[2], ARGV[7])
return {parts, entry, redis.call('GET', KEYS[2])}
)lua");
  return script;
}

// KEYS: the registry. ARGV: name, id. A queue that was made anew meanwhile has another id and stays.
const Script& leave_script() {
  static const Script script(R"lua(
local entry = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[1], ' ') -- no queue's name; a full server takes what follows a write, and to remove a queue gives memory back
if entry and string.match(entry, '^%d+ (%S+) ') == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], '0 ' .. ARGV[2]) end
return 'ok'
)lua");
  return script;
}
const Script& left_script() {
  static const Script script(R"lua(
if redis.call('HGET', KEYS[1], ARGV[1]) == '0 ' .. ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 'ok'
)lua");
  return script;
}

// Of an entry.
constexpr std::string_view kLeaving = "0 ";

Result<void> check_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
  if (good) return {};
  return Error(ErrorCode::kInvalidArgument, "a queue's name has 1 to 64 bytes of [A-Za-z0-9._-]").at_field("name");
}

std::string joined(const std::vector<std::string>& fields) { return fmt::format("{}", fmt::join(fields, " ")); }

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool good_count(std::uint32_t parts) { return parts != 0 && parts <= 256 && (parts & (parts - 1)) == 0; }
Error damaged_registry() { return Error(ErrorCode::kCorrupted, "the registry of queues is damaged").from(ErrorSource::kRedis, 0, {}); }

struct Entry {
  std::string id;
  QueueInfo info;
};

Result<Entry> parse_entry(std::string_view name, std::string_view text) {
  const auto corrupted = [&] {
    return Error(ErrorCode::kCorrupted, fmt::format("the registry's entry of queue \"{}\" is damaged", name))
        .from(ErrorSource::kRedis, 0, {});
  };
  const auto next = [&text] {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    return word;
  };
  if (const auto format = next(); format != "1") {
    if (!number(format)) return corrupted();
    return Error(ErrorCode::kUnsupported, fmt::format("queue \"{}\" needs a newer version of setget", name)).at_field("queue");
  }
  Entry entry;
  entry.id = next();
  const auto created = number(next());
  auto options = parse_options(text);
  if (!created || !options || entry.id.empty()) return corrupted();
  entry.info = {.name = std::string(name), .options = *options, .created_at = TimePoint(Milliseconds(*created))};
  return entry;
}

}  // namespace

std::string RedisQueues::registry_key() const { return Shards(place_->prefix(), 1, 'q').name(0, "queues"); }
std::string RedisQueues::registry_word_key() const { return Shards(place_->prefix(), 1, 'q').name(0, "queues:word"); }

Result<RedisQueues::Registered> RedisQueues::look_up(std::string_view name, Deadline deadline) {
  std::vector<RedisCommand> ask;
  ask.push_back(RedisCommand("GET").key(registry_word_key()).idempotent());
  ask.push_back(RedisCommand("HMGET").key(registry_key()).arg("").arg(name).idempotent());
  auto replies = place_->client().pipeline(ask, deadline);
  for (auto& reply : replies) {
    if (!reply) return std::move(reply).error();
  }
  Registered found;
  const auto fields = replies[1]->elements();
  if (fields.size() != 2) return Error(ErrorCode::kCorrupted, "the registry of queues is not a hash").from(ErrorSource::kRedis, 0, {});
  found.parts = static_cast<std::uint32_t>(number(fields[0].text()).value_or(0));
  found.word = replies[0]->text();
  const auto text = fields[1].text();
  (text.starts_with(kLeaving) ? found.leaving : found.text) = text.starts_with(kLeaving) ? text.substr(kLeaving.size()) : text;
  return found;
}

Result<QueuePtr> RedisQueues::remember(std::string_view name, const Registered& found) {
  auto entry = parse_entry(name, found.text);
  if (!entry) return std::move(entry).error();
  if (!good_count(found.parts)) return damaged_registry();
  const std::scoped_lock lock(mutex_);
  auto& known = queues_[std::string(name)];
  auto fresh = std::make_shared<KnownQueue>();
  fresh->info = std::move(entry->info);
  fresh->id = std::move(entry->id);
  fresh->tag = fmt::format("{} {}", fresh->id, joined(option_fields(fresh->info.options)));
  fresh->word = found.word;
  fresh->shards =
      known && known->parts() == found.parts ? known->shards : std::make_shared<const Shards>(place_->prefix(), found.parts, 'q');
  fresh->bell = known ? known->bell : std::make_shared<Bell>();
  known = std::move(fresh);
  return known;
}

Result<QueuePtr> RedisQueues::enter(std::string_view name, const QueueOptions& options, std::string_view id, std::uint32_t parts,
                                    Deadline deadline) {
  const auto fields = option_fields(options);
  Script::Call call(enter_script(), 2);
  call.key(registry_key()).key(registry_word_key());
  call.arg(name).arg(fields[0]).arg(joined(fields)).arg(now()).arg(parts).arg(id).arg(hex(place_->random().next()));
  auto replies = run_steadily({&call, 1}, deadline);
  if (!replies) return std::move(replies).error();
  const auto* reply = &replies->front();
  if (reply->text() == "kind") {
    return Error(ErrorCode::kAlreadyExists, fmt::format("queue \"{}\" exists with another kind", name)).at_field("kind");
  }
  const auto answer = reply->elements();
  if (answer.size() != 3) return parse_entry(name, "2").error();
  return remember(name, {.parts = static_cast<std::uint32_t>(number(answer[0].text()).value_or(0)),
                         .text = std::string(answer[1].text()),
                         .word = std::string(answer[2].text())});
}

Result<std::vector<Reply>> RedisQueues::run_steadily(std::span<const Script::Call> calls, Deadline deadline) {
  for (std::size_t attempt = 0;; ++attempt) {
    std::optional<Error> failed;
    std::vector<Reply> answers;
    for (auto& reply : run_scripts(place_->client(), calls, deadline)) {
      if (!reply) {
        failed = std::move(reply).error();
      } else {
        answers.push_back(*std::move(reply));
      }
    }
    if (!failed) return answers;
    if (!maybe_executed(*failed) || attempt == 3 || deadline.passed()) return *std::move(failed);
    pause(attempt, deadline);
  }
}

Result<void> RedisQueues::install(const KnownQueue& queue, Deadline deadline) {
  const auto fields = option_fields(queue.info.options);
  std::vector<std::string> replaced(queue.parts());
  std::vector<std::uint32_t> open(queue.parts());
  std::iota(open.begin(), open.end(), 0U);
  for (;;) {
    std::vector<Script::Call> calls;
    for (const auto part : open) {
      auto& call = calls.emplace_back(on_part(queue_scripts::install(), queue, part));
      call.arg(queue.id).arg(replaced[part]).arg(fmt::format("{:08x}", static_cast<std::uint32_t>(place_->random().next())));
      call.arg(queue.tag).arg(queue.info.created_at.time_since_epoch().count());
      for (const auto& field : fields) call.arg(field);
    }
    std::vector<std::uint32_t> again;
    if (!calls.empty()) {
      auto answers = run_steadily(calls, deadline);
      if (!answers) return std::move(answers).error();
      for (std::size_t i = 0; i < open.size(); ++i) {
        const auto other = (*answers)[i].elements();
        if (other.size() != 2) continue;
        replaced[open[i]] = other[1].text();
        again.push_back(open[i]);
      }
    }
    auto found = look_up(queue.name(), deadline);
    if (!found) return std::move(found).error();
    std::string its;
    if (!found->text.empty()) {
      auto entry = parse_entry(queue.name(), found->text);
      if (!entry) return std::move(entry).error();
      its = std::move(entry->id);
    }
    if (its != queue.id) {
      // It was removed on the way.
      if (auto done = drop(queue, deadline); !done) return done;
      return other_queue(queue.name());
    }
    if (again.empty()) return {};
    open = std::move(again);
  }
}

Result<void> RedisQueues::drop(const KnownQueue& queue, Deadline deadline) {
  std::vector<Script::Call> calls;
  for (std::uint32_t part = 0; part < queue.parts(); ++part) {
    calls.push_back(on_part(queue_scripts::drop(), queue, part));
    calls.back().arg(queue.id);
  }
  if (auto done = run_steadily(calls, deadline); !done) return std::move(done).error();
  return {};
}

Result<QueueInfo> RedisQueues::create(const CreateQueue& request) {
  if (auto valid = check_name(request.name); !valid) return std::move(valid).error();
  if (auto valid = request.options.validate(); !valid) return std::move(valid).error();
  const auto deadline = request.deadline;
  if (auto facts = place_->facts(deadline); !facts) return std::move(facts).error();
  const auto wanted = place_->options().partitions;
  const auto parts = wanted != 0 ? wanted : place_->clustered() ? 16U : 1U;
  const auto before = place_->began();
  Result<QueuePtr> queue = QueuePtr();
  for (;;) {
    queue = enter(request.name, request.options, hex(place_->random().next()), parts, deadline);
    if (!queue) return std::move(queue).error();
    auto done = install(**queue, deadline);
    if (done) break;
    if (trouble_of(done.error()) != Trouble::kOtherQueue || deadline.passed()) return std::move(done).error();
  }
  if (auto sure = confirm(**queue, before, deadline); !sure) return std::move(sure).error();
  const std::scoped_lock lock(mutex_);
  ours_.insert_or_assign(std::string(request.name), request.options);
  return (*queue)->info;
}

Result<std::vector<QueueInfo>> RedisQueues::list(Deadline deadline) {
  auto reply = place_->client().call(RedisCommand("HGETALL").key(registry_key()).idempotent(), deadline);
  if (!reply) return std::move(reply).error();
  std::vector<QueueInfo> infos;
  const auto fields = reply->elements();
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
    if (fields[i].text().empty() || fields[i + 1].text().starts_with(kLeaving)) continue;
    auto entry = parse_entry(fields[i].text(), fields[i + 1].text());
    if (!entry) return std::move(entry).error();
    infos.push_back(std::move(entry->info));
  }
  std::sort(infos.begin(), infos.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return infos;
}

Result<void> RedisQueues::remove(std::string_view name, Deadline deadline) {
  auto found = look_up(name, deadline);
  if (!found) return std::move(found).error();
  if (found->text.empty() && found->leaving.empty()) {
    forget(name);
    return no_such_queue(name);
  }
  KnownQueue queue;
  queue.info.name = name;
  queue.id = found->leaving;
  if (queue.id.empty()) {
    auto entry = parse_entry(name, found->text);
    if (!entry) return std::move(entry).error();
    queue.id = std::move(entry->id);
  }
  if (!good_count(found->parts)) return damaged_registry();
  queue.shards = std::make_shared<const Shards>(place_->prefix(), found->parts, 'q');
  const auto before = place_->began();
  const auto registry = registry_key();
  const auto say = [&](const Script& script) -> Result<void> {
    Script::Call call(script, 1);
    call.key(registry).arg(name).arg(queue.id);
    if (auto done = run_steadily({&call, 1}, deadline); !done) return std::move(done).error();
    return {};
  };
  if (auto done = say(leave_script()); !done) return done;
  const auto bell = forget(name);
  if (bell) bell->ring();
  if (auto done = drop(queue, deadline); !done) return done;
  if (auto done = say(left_script()); !done) return done;
  return confirm(queue, before, deadline);
}

std::shared_ptr<Bell> RedisQueues::forget(std::string_view name) {
  const std::scoped_lock lock(mutex_);
  std::shared_ptr<Bell> bell;
  if (const auto at = queues_.find(name); at != queues_.end()) {
    bell = at->second->bell;
    queues_.erase(at);
  }
  if (const auto at = ours_.find(name); at != ours_.end()) ours_.erase(at);
  return bell;
}

Result<QueuePtr> RedisQueues::known(std::string_view name, Deadline deadline) {
  {
    const std::scoped_lock lock(mutex_);
    if (const auto at = queues_.find(name); at != queues_.end()) return at->second;
  }
  if (!check_name(name)) return no_such_queue(name);
  auto found = look_up(name, deadline);
  if (!found) return std::move(found).error();
  if (found->text.empty()) return no_such_queue(name);
  return remember(name, *found);
}

Result<QueuePtr> RedisQueues::heal(const QueuePtr& queue, bool missing, Deadline deadline) {
  auto turn = take_turn(healing_, deadline);
  if (!turn) return std::move(turn).error();
  auto found = look_up(queue->name(), deadline);
  if (!found) return std::move(found).error();
  std::optional<QueueOptions> ours;
  {
    const std::scoped_lock lock(mutex_);
    if (const auto at = ours_.find(queue->name()); at != ours_.end()) ours = at->second;
  }
  // The registry went too. (A store of before there was a word: only who finds nothing at all can tell.)
  const bool lost = found->parts == 0 || (!queue->word.empty() && found->word != queue->word);
  if (found->text.empty() && (!lost || !ours)) {
    // Removed by somebody; or lost, and not ours to make again.
    if (lost) {
      place_->logger().log(LogLevel::kError, "the store's queues are gone (a flush, or a server that restarted without persistence)",
                           {{"queue", queue->name()}});
    }
    forget(queue->name());
    return no_such_queue(queue->name());
  }
  Result<QueuePtr> fresh = queue;
  if (found->text.empty()) {
    place_->logger().log(LogLevel::kError,
                         "the store's queues are gone (a flush, or a server that restarted without persistence); the queue is made again, "
                         "and all messages it held are lost",
                         {{"queue", queue->name()}});
    // Who makes the first queue again begins the epoch.
    if (const auto facts = place_->known(); facts && found->parts == 0) {
      if (auto begun = place_->begin_epoch(facts->identity, deadline); !begun) return std::move(begun).error();
    }
    // Under its old id: parts on other servers may have kept what they hold.
    fresh = enter(queue->name(), *ours, queue->id, queue->parts(), deadline);
  } else {
    fresh = remember(queue->name(), *found);
    if (fresh && (*fresh)->tag != queue->tag) {
      place_->logger().log(LogLevel::kInfo, "another process changed the queue, or made it anew", {{"queue", queue->name()}});
    } else if (missing) {
      place_->logger().log(LogLevel::kError, "a part of the queue had no content (a lost server, or a queue that was made at this moment)",
                           {{"queue", queue->name()}});
    }
  }
  if (!fresh) return std::move(fresh).error();
  if (auto done = install(**fresh, deadline); !done) return std::move(done).error();
  return fresh;
}

}  // namespace setget::inline v0::redis
