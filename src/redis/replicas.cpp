#include "redis/replicas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "redis/errors.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr const char* kLife = "60000";  // ms that the barrier's write stays: nobody reads it
constexpr unsigned kMostTries = 8;      // while a slot moves

struct Replication {
  std::string id{};
  std::uint32_t online = 0;
};

Result<Replication> parse_replication(const Reply& reply) {
  if (reply.is_error()) return server_error(reply.text());
  Replication found;
  auto text = reply.text();
  while (!text.empty()) {
    const auto line = text.substr(0, text.find("\r\n"));
    text.remove_prefix(std::min(line.size() + 2, text.size()));
    constexpr std::string_view kId = "master_replid:";
    constexpr std::string_view kReplica = "slave";
    if (line.starts_with(kId)) found.id = line.substr(kId.size());
    const bool replica =
        line.starts_with(kReplica) && line.size() > kReplica.size() && line[kReplica.size()] >= '0' && line[kReplica.size()] <= '9';
    if (replica && line.find("state=online") != std::string_view::npos) ++found.online;
  }
  if (found.id.empty()) return Error(ErrorCode::kUnsupported, "the server does not say its replication id (INFO replication)");
  return found;
}

const std::string kPerhapsLost =
    "it was written, but perhaps to a master that is none any more; whether replicas have it cannot be told: try again";

Error other_master(std::string native) {
  return connection_error(ErrorCode::kUnavailable, Trouble::kOtherMaster, kPerhapsLost, std::move(native));
}

}  // namespace

// Who waits for a master, and the connection for it.
struct Replicas::Master {
  std::mutex mutex;
  std::condition_variable changed;
  std::shared_ptr<Round> next = std::make_shared<Round>();
  bool running = false;
  std::shared_ptr<Connection> connection{};  // of whoever runs

  // Takes the round that is next; precondition: the lock is held and nobody runs.
  void begin() {
    running = true;
    next = std::make_shared<Round>();
  }
};

// One caller's part in one barrier.
struct Replicas::Use {
  std::shared_ptr<Pool> server{};
  std::string_view head{};
  std::shared_ptr<Master> master{};
  std::shared_ptr<Round> round{};
  bool leads = false;
  Connection::Request request{};
  bool under_way = false;
  Deadline::Steady::time_point since{};
  std::optional<Error> failed{};
  bool late = false;  // gave up waiting for the round
};

Replicas::Replicas(Client& client, std::uint32_t wanted, Milliseconds timeout, std::shared_ptr<Metrics> metrics)
    : client_(client), wanted_(wanted), timeout_(timeout), metrics_(std::move(metrics)) {}

Replicas::~Replicas() {
  for (const auto& [endpoint, master] : masters_) {
    if (master->connection != nullptr) master->connection->stop("the client is closing");
  }
}

Replicas::Seen Replicas::seen() const {
  const std::scoped_lock lock(mutex_);
  return seen_;
}

void Replicas::heard(const Endpoint& endpoint, const std::string& id) {
  const std::scoped_lock lock(mutex_);
  if (const auto at = seen_->find(endpoint); at != seen_->end() && at->second == id) return;
  auto now = std::make_shared<std::map<Endpoint, std::string>>(*seen_);
  now->insert_or_assign(endpoint, id);
  seen_ = std::move(now);
}

std::shared_ptr<Replicas::Master> Replicas::master_of(const Endpoint& endpoint) {
  const std::scoped_lock lock(mutex_);
  auto& master = masters_[endpoint];
  if (master == nullptr) master = std::make_shared<Master>();
  return master;
}

Result<std::uint32_t> Replicas::look(Deadline deadline) {
  auto servers = client_.servers(deadline);
  if (!servers) return std::move(servers).error();
  std::optional<std::uint32_t> fewest;
  for (const auto& server : *servers) {
    auto connection = server->connection(deadline);
    if (!connection) return std::move(connection).error();
    auto replies = (*connection)->call(RedisCommand::of("INFO", "replication").wire(), 1, deadline);
    if (!replies) return std::move(replies).error();
    auto found = parse_replication(replies->front());
    if (!found) return std::move(found).error();
    heard(server->endpoint(), found->id);
    fewest = std::min(fewest.value_or(found->online), found->online);
  }
  return fewest.value_or(0);
}

Error Replicas::unconfirmed(const Endpoint& endpoint, std::int64_t had) const {
  return connection_error(
      ErrorCode::kUnavailable, Trouble::kNotReplicated,
      fmt::format("it was written, but {} of the {} replicas asked for (wait_replicas) of Redis at {} had it within {} ms "
                  "(wait_timeout); a failover may lose it: try again",
                  had, wanted_, endpoint.text(), timeout_.count()));
}

// --- one barrier ------------------------------------------------------------------------------------------------------------------

// Sends what a round sends. Nobody else uses the connection.
void Replicas::start(Use& use) {
  auto& connection = use.master->connection;
  const auto deadline = Deadline::in(client_.settings().connect_timeout);
  if (connection != nullptr && !connection->usable()) {
    connection->retire("the connection was lost");
    connection = nullptr;
  }
  if (connection == nullptr) {
    auto made = use.server->own([](const Reply&) {}, deadline);
    if (!made) {
      use.failed = std::move(made).error();
      return;
    }
    connection = *std::move(made);
  }
  std::string wire(RedisCommand::of("SET", std::string(use.head) + "wait", "", "PX", kLife).wire());
  wire.append(RedisCommand::of("WAIT", static_cast<std::int64_t>(wanted_), static_cast<std::int64_t>(timeout_.count())).wire());
  wire.append(RedisCommand::of("INFO", "replication").wire());
  use.since = Deadline::Steady::now();
  auto started = connection->start(use.request, wire, 3, deadline);
  use.under_way = started.has_value();
  if (!started) use.failed = std::move(started).error();
}

// And what it comes to, for all who share it.
void Replicas::finish(Use& use) {
  const auto& endpoint = use.server->endpoint();
  auto& round = *use.round;
  if (use.under_way) {
    auto replies = use.master->connection->finish(use.request, Deadline::in(timeout_ + client_.settings().timeout));
    if (!replies) {
      use.master->connection->close("a barrier was not answered");
      use.failed = std::move(replies).error();
    } else {
      metrics_->observe("setget_redis_wait_seconds", std::chrono::duration<double>(Deadline::Steady::now() - use.since).count(), {});
      const auto& written = (*replies)[0];
      const auto& waited = (*replies)[1];
      auto found = parse_replication((*replies)[2]);
      if (found) {
        heard(endpoint, found->id);
        round.id = std::move(found->id);
      }
      if (written.is_error()) {
        round.failed = server_error(written.text());
      } else if (waited.is_error()) {
        round.failed = server_error(waited.text());
      } else if (!found) {
        round.failed = std::move(found).error();
      } else if (waited.integer() < static_cast<std::int64_t>(wanted_)) {
        round.failed = unconfirmed(endpoint, waited.integer());
      }
    }
  }
  if (use.failed) {
    client_.report(*use.failed, use.server);
    round.failed = other_master(use.failed->describe());
  }
  const std::scoped_lock lock(use.master->mutex);
  round.done = true;
  use.master->running = false;
  use.master->changed.notify_all();
}

// For a round of somebody else; or runs it, if nobody does.
void Replicas::wait(Use& use, Deadline deadline) {
  auto& master = *use.master;
  std::unique_lock lock(master.mutex);
  while (!use.round->done) {
    if (!master.running) {
      master.begin();
      lock.unlock();
      start(use);
      finish(use);
      return;
    }
    if (deadline.passed()) {
      use.late = true;
      use.failed = connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNotReplicated,
                                    "it was written, but whether replicas have it was not known in time; try again");
      return;
    }
    master.changed.wait_until(lock, deadline.time());
  }
}

Result<void> Replicas::once(std::span<const std::string_view> heads, const Seen& before, Deadline deadline) {
  std::vector<std::unique_ptr<Use>> uses;
  for (const auto head : heads) {
    auto server = client_.server_of(key_slot(head), deadline);
    if (!server) return std::move(server).error();
    if (std::ranges::any_of(uses, [&](const auto& use) { return use->server == *server; })) continue;
    auto& use = *uses.emplace_back(std::make_unique<Use>());
    use.server = *std::move(server);
    use.head = head;
  }
  for (auto& use : uses) {
    use->master = master_of(use->server->endpoint());
    const std::scoped_lock lock(use->master->mutex);
    use->round = use->master->next;
    use->leads = !use->master->running;
    if (use->leads) use->master->begin();
  }
  // All that are led here are under way before the first is waited for, and at their end before anybody else's is.
  for (auto& use : uses) {
    if (use->leads) start(*use);
  }
  for (auto& use : uses) {
    if (use->leads) finish(*use);
  }
  for (auto& use : uses) {
    if (!use->leads) wait(*use, deadline);
  }
  for (const auto& use : uses) {
    const auto& endpoint = use->server->endpoint();
    if (use->late) return *std::move(use->failed);
    if (use->round->failed) {
      client_.report(*use->round->failed, use->server);
      return *use->round->failed;
    }
    const auto at = before->find(endpoint);
    if (at == before->end() || at->second != use->round->id) return other_master(endpoint.text() + " restarted, or changed its role");
  }
  return {};
}

Result<void> Replicas::confirm(std::span<const std::string_view> heads, const Seen& before, Deadline deadline) {
  for (unsigned tries = 0;; ++tries) {
    auto sure = once(heads, before, deadline);
    if (sure) return sure;
    const auto trouble = trouble_of(sure.error());
    const bool moved = trouble == Trouble::kMoved || trouble == Trouble::kAsk || trouble == Trouble::kTryAgain;
    if (moved && tries < kMostTries && !deadline.passed()) {
      std::this_thread::sleep_for(Milliseconds(10));
      continue;
    }
    metrics_->add("setget_redis_unconfirmed_total", 1, {});
    const bool said = trouble == Trouble::kNotReplicated || trouble == Trouble::kOtherMaster || !sure.error().retryable();
    if (said) return sure;
    // Of the barrier: it says nothing of what was written before.
    return connection_error(sure.error().code(), Trouble::kOtherMaster, kPerhapsLost, sure.error().describe());
  }
}

}  // namespace setget::inline v0::redis
