// Gets with the cache on: from the cache, else on the connection that the server tells of changes, else as without it.
#include <condition_variable>
#include <utility>

#include "redis/errors.hpp"
#include "redis/store.hpp"
#include "redis/store_lookup.hpp"
#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

using Steady = std::chrono::steady_clock;

}  // namespace

// A get whose answers are to be kept.
struct RedisStore::CachedGet {
  RedisStore& store;
  std::shared_ptr<void> under_way;
  std::string ns;
  std::vector<std::string> keys;
  TimePoint now;
  LookupSteps steps;
  Deadline deadline;
  GetDone done;
  std::vector<std::pair<std::string, AnswerCache::Seen>> seen{};

  const AnswerCache::Seen* seen_of(std::string_view name) const {
    for (const auto& [asked, one] : seen) {
      if (asked == name) return &one;
    }
    return nullptr;
  }
};

// From the cache, if all of it is there and was valid at one moment.
std::optional<std::vector<Lookup>> RedisStore::cached(const GetRecords& request) {
  const auto at = Steady::now();
  const auto several = request.keys.size() > 1;
  // What several servers said is not of one moment.
  if (several && shards_->count() > 1) return std::nullopt;
  std::vector<Lookup> out;
  if (!several && !request.keys.empty()) {
    const auto key = request.keys.front();
    const auto found = cache_->find(key_hash(request.ns, key), request.ns, key, request.now, at);
    if (found == nullptr) return std::nullopt;
    out.push_back(found->lookup);
    return out;
  }
  std::vector<AnswerCache::Found> all;
  for (const auto key : request.keys) {
    all.push_back(cache_->find(key_hash(request.ns, key), request.ns, key, request.now, at));
    if (all.back() == nullptr) return std::nullopt;
  }
  for (const auto& one : all) {
    if (!cache_->valid(*one, at)) return std::nullopt;
  }
  for (const auto& one : all) out.push_back(one->lookup);
  return out;
}

// A miss is counted by the get that follows.
std::shared_ptr<const Lookup> RedisStore::share_at_hand(std::string_view ns, std::string_view key, TimePoint now) {
  if (!ready_ || cache_ == nullptr) return nullptr;
  auto found = cache_->find(key_hash(ns, key), ns, key, now, Steady::now(), AnswerCache::Miss::kAskedAgain);
  if (found == nullptr) return nullptr;
  const auto& lookup = found->lookup;
  return {std::move(found), &lookup};
}

std::optional<Lookup> RedisStore::get_at_hand(std::string_view ns, std::string_view key, TimePoint now) {
  const auto found = share_at_hand(ns, key, now);
  if (found == nullptr) return std::nullopt;
  return *found;
}

// The last known records, if the store is away and all of them are there.
std::optional<std::vector<Lookup>> RedisStore::stale(const GetRecords& request) {
  std::vector<Lookup> out;
  for (const auto key : request.keys) {
    Milliseconds age{0};
    const auto found = cache_->find_stale(key_hash(request.ns, key), request.ns, key, request.now, Steady::now(), age);
    if (found == nullptr) return std::nullopt;
    out.push_back(found->lookup);
    out.back().record->stale = age;
  }
  return out;
}

void RedisStore::get_cached(const GetRecords& request, GetDone done) {
  if (auto found = cached(request)) return done(*std::move(found));
  if (place_->options().cache.serve_stale) {
    done = [this, ns = std::string(request.ns), keys = std::vector<std::string>(request.keys.begin(), request.keys.end()),
            now = request.now, done = std::move(done), kept = keep_open()](Result<std::vector<Lookup>> answer) {
      if (answer || (answer.error().code() != ErrorCode::kUnavailable && answer.error().code() != ErrorCode::kDeadlineExceeded)) {
        return done(std::move(answer));
      }
      const std::vector<std::string_view> views(keys.begin(), keys.end());
      if (auto known = stale({.ns = ns, .keys = views, .now = now})) return done(*std::move(known));
      done(std::move(answer));
    };
  }
  if (request.keys.empty() || (request.keys.size() > 1 && shards_->count() > 1)) return get_from_servers(request, std::move(done));
  ask_tracked(std::make_shared<CachedGet>(
      CachedGet{.store = *this,
                .under_way = keep_open(),
                .ns = std::string(request.ns),
                .keys = {request.keys.begin(), request.keys.end()},
                .now = request.now,
                .steps = LookupSteps(*coder_, request.ns, request.keys, request.now, shards_->count() > 1, request.deadline),
                .deadline = request.deadline,
                .done = std::move(done)}));
}

// As if there were no cache.
void RedisStore::ask_without(const std::shared_ptr<CachedGet>& get) {
  const std::vector<std::string_view> keys(get->keys.begin(), get->keys.end());
  get->store.get_from_servers({.ns = get->ns, .keys = keys, .now = get->now, .deadline = get->deadline}, std::move(get->done));
}

void RedisStore::ask_tracked(std::shared_ptr<CachedGet> get) {
  const auto& names = get->steps.wanted();
  const auto part_of = [this](const std::string& name) {
    const auto [ns, bytes] = split_qualified(name);
    return shards_->of(ns, bytes);
  };
  const auto part = part_of(names.front());
  const auto heard = tracker_->connection(part, Steady::now());
  const auto& connection = heard.connection;
  if (connection == nullptr) return ask_without(get);
  RedisCommands commands;
  commands.add(names.size() == 1 ? "GET" : "MGET", 1 + names.size());
  for (const auto& name : names) {
    if (part_of(name) != part) return ask_without(get);
    // How it was when it was first asked for: what changed since makes the answer one that is not kept.
    const auto [ns, bytes] = split_qualified(name);
    if (get->seen_of(name) == nullptr) get->seen.emplace_back(name, cache_->look_at(part, key_hash(ns, bytes), heard.generation));
    commands.arg({shards_->head(part), "e:", name});
  }
  auto submitted = connection->submit(commands.wire(), 1, get->deadline, [get, part, connection](Result<Replies> replies) mutable {
    auto& store = get->store;
    if (!replies && replies.error().code() == ErrorCode::kDeadlineExceeded) return get->done(std::move(replies).error());
    if (!replies) return store.ask_without(get);
    auto& reply = replies->front();
    if (reply.is_error()) return store.refused_tracked(get, server_error(reply.text()), part, connection);
    store.answered_tracked(std::move(get), reply, part, connection);
  });
  if (!submitted) ask_without(get);
}

void RedisStore::refused_tracked(const std::shared_ptr<CachedGet>& get, Error error, std::uint32_t part,
                                 const std::shared_ptr<Connection>& connection) {
  // Of what was asked for, and not of the connection: something of another program has the name of an entry.
  if (trouble_of(error) == Trouble::kWrongType) return get->done(std::move(error));
  tracker_->refused(part, connection, error);
  ask_without(get);
}

void RedisStore::answered_tracked(std::shared_ptr<CachedGet> get, Reply& reply, std::uint32_t part,
                                  const std::shared_ptr<Connection>& connection) {
  const auto count = get->steps.wanted().size();
  std::vector<std::optional<Payload>> values(count);
  if (!reply.is_list()) {
    if (!reply.is_nil()) values.front() = reply.take_payload();
    return feed_tracked(std::move(get), std::move(values));
  }
  auto elements = reply.elements();
  if (elements.size() != count) return get->done(Error(ErrorCode::kCorrupted, "MGET answered with another number of values"));
  for (std::size_t i = 0; i < count; ++i) {
    if (!elements[i].is_nil()) values[i] = elements[i].take_payload();
  }
  see_missing_tracked(std::move(get), std::move(values), part, connection, false);
}

void RedisStore::see_missing_tracked(std::shared_ptr<CachedGet> get, std::vector<std::optional<Payload>> values, std::uint32_t part,
                                     const std::shared_ptr<Connection>& connection, bool closely) {
  RedisCommands looks;
  for (const auto& look : looks_at_missing(get->steps.wanted(), values, closely)) looks.add(look);
  if (looks.empty()) return feed_tracked(std::move(get), std::move(values));
  auto submitted = connection->submit(looks.wire(), looks.size(), get->deadline,
                                      [get, part, connection, closely, values = std::move(values)](Result<Replies> found) mutable {
                                        auto& store = get->store;
                                        if (!found && found.error().code() == ErrorCode::kDeadlineExceeded)
                                          return get->done(std::move(found).error());
                                        if (!found) return store.ask_without(get);
                                        bool there = false;
                                        for (const auto& look : *found) {
                                          if (look.is_error())
                                            return store.refused_tracked(get, server_error(look.text()), part, connection);
                                          there = there || look.integer() != 0;
                                        }
                                        if (there && !closely)
                                          return store.see_missing_tracked(std::move(get), std::move(values), part, connection, true);
                                        store.feed_tracked(std::move(get), std::move(values));
                                      });
  if (!submitted) ask_without(get);
}

void RedisStore::feed_tracked(std::shared_ptr<CachedGet> get, std::vector<std::optional<Payload>> values) {
  if (auto fed = get->steps.feed(std::move(values)); !fed) return get->done(std::move(fed).error());
  if (!get->steps.wanted().empty()) return ask_tracked(std::move(get));
  // A dictionary that this process has not read yet: the next get has it.
  if (!get->steps.done()) return ask_without(get);
  std::vector<AnswerCache::Sources> sources(get->keys.size());
  for (std::size_t i = 0; i < get->keys.size(); ++i) {
    bool all = true;
    get->steps.each_source(i, [&](std::string_view bytes) {
      const auto* seen = get->seen_of(qualified(get->ns, bytes));
      all = all && seen != nullptr && sources[i].add(*seen);
    });
    if (!all) sources[i].count = 0;
  }
  auto lookups = get->steps.take();
  for (std::size_t i = 0; i < get->keys.size(); ++i) {
    if (sources[i].count == 0) continue;
    const auto& key = get->keys[i];
    cache_->keep(key_hash(get->ns, key),
                 AnswerCache::Answer{.ns = get->ns, .key = key, .lookup = lookups[i], .now = get->now, .sources = sources[i]});
  }
  get->done(std::move(lookups));
}

// The blocking form.
Result<std::vector<Lookup>> RedisStore::wait_for_cached(const GetRecords& request) {
  if (auto found = cached(request)) return *std::move(found);
  struct Waiting {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<std::vector<Lookup>>> answer;
  };
  const auto waiting = std::make_shared<Waiting>();
  get_cached(request, [waiting](Result<std::vector<Lookup>> answer) {
    const std::scoped_lock lock(waiting->mutex);
    waiting->answer = std::move(answer);
    waiting->changed.notify_one();
  });
  std::unique_lock lock(waiting->mutex);
  waiting->changed.wait(lock, [&] { return waiting->answer.has_value(); });
  return *std::move(waiting->answer);
}

void RedisStore::forget_answers(std::span<const std::string> names) {
  if (!ready_ || cache_ == nullptr) return;
  for (const auto& name : names) {
    const auto [ns, bytes] = split_qualified(name);
    cache_->changed(key_hash(ns, bytes));
  }
}

void RedisStore::forget_answers(const ApplyCommands& request) {
  if (!ready_ || cache_ == nullptr) return;
  for (const auto& entry : request.entries) {
    const auto& c = entry.command;
    if (c.kind != CommandKind::kEraseKey) cache_->changed(key_hash(c.ns, c.id));
    for (const auto key : c.keys) cache_->changed(key_hash(c.ns, key));
  }
}

}  // namespace setget::inline v0::redis
