#include "redis/tracker.hpp"

#include <algorithm>
#include <utility>

#include "redis/errors.hpp"
#include "redis/store_names.hpp"

#include <setget/record.hpp>

namespace setget::inline v0::redis {
namespace {

using Steady = std::chrono::steady_clock;

constexpr auto kRefusedPause = std::chrono::seconds(10);  // before a server that does not track is asked again

}  // namespace

Tracker::Tracker(Place& place, const Shards& shards, AnswerCache& cache)
    : place_(place),
      shards_(shards),
      cache_(cache),
      interval_(std::max(Milliseconds(1), place.options().cache.max_silence / 3)),
      entries_(place.prefix() + ":{"),
      sources_(shards.count()),
      thread_([this] { run(); }) {}

Tracker::~Tracker() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
  // Connections that are lost meanwhile are put aside on their own threads: again, until none is left.
  for (;;) {
    std::vector<std::shared_ptr<Connection>> all;
    {
      const std::scoped_lock lock(mutex_);
      all.swap(retired_);
      for (auto& [server, link] : links_) all.push_back(std::move(link.connection));
      links_.clear();
    }
    if (all.empty()) return;
    for (const auto& one : all) one->stop("the client is closing");
  }
}

Tracker::Heard Tracker::connection(std::uint32_t part, AnswerCache::Time at) {
  if (!cache_.leased(part, at)) return {};
  const std::scoped_lock lock(mutex_);
  return {.connection = sources_[part].connection, .generation = sources_[part].generation};
}

void Tracker::refused(std::uint32_t part, const std::shared_ptr<Connection>& on, const Error& error) {
  std::shared_ptr<Pool> server;
  {
    const std::scoped_lock lock(mutex_);
    if (sources_[part].connection != on) return;
    server = sources_[part].server;
    lose_locked(part);
    at_once_ = true;
    changed_.notify_all();
  }
  place_.client().report(error, server);
}

// --- the thread -------------------------------------------------------------------------------------------------------------------

void Tracker::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    at_once_ = false;
    lock.unlock();
    round();
    tell_metrics();
    lock.lock();
    if (!std::exchange(swept_, true)) {
      lock.unlock();
      cache_.sweep(Steady::now());
      lock.lock();
    }
    // A server that is away is tried as often as its breaker lets us; not in a tight loop.
    const auto next = Steady::now() + interval_;
    const auto soonest = Steady::now() + std::min<Milliseconds>(interval_, Milliseconds(20));
    changed_.wait_until(lock, soonest, [&] { return stopping_; });
    changed_.wait_until(lock, next, [&] { return stopping_ || at_once_; });
  }
}

void Tracker::round() {
  if (Steady::now() < refused_until_) return;
  const auto by_server = servers();
  for (const auto& [server, parts] : by_server) {
    if (auto connection = connect(server)) {
      attach(server, connection, parts);
      beat(server, parts);
    }
  }
  // Servers that have no part any more.
  const std::scoped_lock lock(mutex_);
  for (auto at = links_.begin(); at != links_.end();) {
    if (by_server.contains(at->first)) {
      ++at;
      continue;
    }
    for (std::uint32_t part = 0; part < sources_.size(); ++part) {
      if (sources_[part].connection == at->second.connection) lose_locked(part);
    }
    at->second.connection->retire("the server has no part of the store");
    retired_.push_back(std::move(at->second.connection));
    at = links_.erase(at);
  }
  std::erase_if(retired_, [](const auto& one) { return one->finished(); });
}

Tracker::Servers Tracker::servers() {
  Servers out;
  const auto deadline = Deadline::in(std::max(Milliseconds(500), interval_));
  for (std::uint32_t part = 0; part < shards_.count(); ++part) {
    auto server = place_.client().server_of(shards_.slot(part), deadline);
    if (server) out[*std::move(server)].push_back(part);
  }
  return out;
}

std::shared_ptr<Connection> Tracker::connect(const std::shared_ptr<Pool>& server) {
  {
    const std::scoped_lock lock(mutex_);
    if (stopping_) return nullptr;
    if (const auto at = links_.find(server); at != links_.end()) return at->second.connection;
  }
  // Others must not miss their heartbeat because this one takes long.
  const auto deadline = Deadline::in(place_.clustered() ? Milliseconds(500) : place_.client().settings().connect_timeout);
  auto made = server->own([this](const Reply& push) { heard(push); }, deadline);
  if (!made) {
    place_.client().report(made.error(), server);
    return nullptr;
  }
  auto connection = *std::move(made);
  auto tracking = connection->call(RedisCommand::of("CLIENT", "TRACKING", "ON").wire(), 1, deadline);
  if (!tracking || tracking->front().is_error()) {
    connection->retire("tracking could not be switched on");
    const std::scoped_lock lock(mutex_);
    retired_.push_back(connection);
    if (!tracking) return nullptr;
    refused_until_ = Steady::now() + kRefusedPause;
    if (!std::exchange(refusal_told_, true)) {
      place_.logger().log(LogLevel::kWarning, "the server does not say what changes (CLIENT TRACKING), so gets are not cached",
                          {{"server", server->endpoint().text()}, {"why", tracking->front().text()}});
    }
    return nullptr;
  }
  {
    const std::scoped_lock lock(mutex_);
    links_[server] = Link{.connection = connection};
  }
  // Not a shared_ptr: the connection would keep itself.
  connection->listen([this, of = std::weak_ptr(connection)] {
    if (const auto closed = of.lock()) lose(closed);
  });
  return connection;
}

void Tracker::attach(const std::shared_ptr<Pool>& server, const std::shared_ptr<Connection>& connection,
                     const std::vector<std::uint32_t>& parts) {
  const std::scoped_lock lock(mutex_);
  if (const auto at = links_.find(server); at == links_.end() || at->second.connection != connection) return;
  for (const auto part : parts) {
    auto& source = sources_[part];
    if (source.connection == connection) continue;
    source = {.server = server, .connection = connection, .generation = cache_.begin(part)};
    swept_ = false;
  }
}

// --- heartbeats -------------------------------------------------------------------------------------------------------------------

void Tracker::beat(const std::shared_ptr<Pool>& server, const std::vector<std::uint32_t>& parts) {
  std::shared_ptr<Connection> connection;
  {
    const std::scoped_lock lock(mutex_);
    const auto at = links_.find(server);
    if (at == links_.end() || at->second.beating) return;
    at->second.beating = true;
    connection = at->second.connection;
  }
  // Of a name that never is one: a master that is giving the slot away says ASK at once, though it has most of the part still.
  RedisCommands commands;
  for (const auto part : parts) commands.add("EXISTS", 2).key(shards_.name(part, "never"));
  const auto sent = Steady::now();
  // A server that is silent for longer is left, and found again when it is back.
  const auto patience = std::max(place_.client().settings().timeout, place_.options().cache.max_silence);
  auto submitted = connection->submit(commands.wire(), commands.replies(), Deadline::in(patience),
                                      [=, this](Result<Replies> replies) { beaten(connection, server, parts, sent, std::move(replies)); });
  if (!submitted) lose(connection);
}

// On the connection's thread: all that the server said before has been dealt with.
void Tracker::beaten(const std::shared_ptr<Connection>& connection, const std::shared_ptr<Pool>& server,
                     const std::vector<std::uint32_t>& parts, AnswerCache::Time sent, Result<Replies> replies) {
  if (!replies) {
    connection->close("the server was silent for too long");
    return lose(connection);
  }
  std::vector<Error> errors;
  {
    const std::scoped_lock lock(mutex_);
    if (const auto at = links_.find(server); at != links_.end() && at->second.connection == connection) at->second.beating = false;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto& source = sources_[parts[i]];
      if (source.connection != connection) continue;
      const auto& reply = (*replies)[i];
      if (reply.is_error()) {
        errors.push_back(server_error(reply.text()));
        lose_locked(parts[i]);
      } else {
        cache_.confirm(parts[i], source.generation, sent);
      }
    }
  }
  for (const auto& error : errors) place_.client().report(error, server);
}

// --- what comes -------------------------------------------------------------------------------------------------------------------

// ["invalidate", names], or nil instead of the names: all of them. In the order of the stream, before the replies behind it are given out.
void Tracker::heard(const Reply& push) {
  const auto words = push.elements();
  if (words.size() < 2 || words[0].text() != "invalidate") return;
  if (!words[1].is_list()) return cache_.clear();
  for (const auto& name : words[1].elements()) {
    const auto text = name.text();
    if (!text.starts_with(entries_)) continue;
    const auto tag = text.find('}');
    if (tag == std::string_view::npos || !text.substr(tag).starts_with("}:e:")) continue;
    const auto [ns, bytes] = split_qualified(text.substr(tag + 4));
    cache_.changed(key_hash(ns, bytes));
  }
}

void Tracker::lose_locked(std::uint32_t part) {
  cache_.lost(part);
  sources_[part] = {};
  swept_ = false;
}

void Tracker::lose(const std::shared_ptr<Connection>& connection) {
  std::shared_ptr<Pool> server;
  {
    const std::scoped_lock lock(mutex_);
    for (std::uint32_t part = 0; part < sources_.size(); ++part) {
      if (sources_[part].connection == connection) lose_locked(part);
    }
    const auto at = std::ranges::find_if(links_, [&](const auto& one) { return one.second.connection == connection; });
    if (at == links_.end()) return;
    server = at->first;
    connection->retire("the connection was lost");
    retired_.push_back(std::move(at->second.connection));
    links_.erase(at);
    at_once_ = true;
    changed_.notify_all();
  }
  place_.client().report(connection_error(ErrorCode::kUnavailable, Trouble::kNotSent, "the connection was lost"), server);
}

void Tracker::tell_metrics() {
  const auto counts = cache_.counts();
  auto& metrics = place_.metrics();
  const auto tell = [&](std::string_view name, std::uint64_t now, std::uint64_t before) {
    if (now != before) metrics.add(name, static_cast<double>(now - before), {});
  };
  tell("setget_redis_cache_hits_total", counts.hits, told_.hits);
  tell("setget_redis_cache_misses_total", counts.misses, told_.misses);
  tell("setget_redis_cache_invalidations_total", counts.invalidations, told_.invalidations);
  tell("setget_redis_cache_stale_total", counts.stale, told_.stale);
  metrics.set("setget_redis_cache_entries", static_cast<double>(counts.entries), {});
  metrics.set("setget_redis_cache_bytes", static_cast<double>(counts.bytes), {});
  told_ = counts;
}

}  // namespace setget::inline v0::redis
