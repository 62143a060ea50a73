// Tracker: keeps an AnswerCache true. To each server that has parts of a store it holds one connection of its own (RESP3, CLIENT TRACKING
// ON), on which everything is read that the cache keeps, and on which the server says what changed. Every third of max_silence it reads
// one name of each part there: the reply proves that the server still has the part, and that everything it had to say before has been
// heard. Thread rule: any thread; not destroyed from a callback of a connection.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "redis/answer_cache.hpp"
#include "redis/place.hpp"
#include "redis/shards.hpp"

namespace setget::inline v0::redis {

class Tracker {
 public:
  // All must outlive it.
  Tracker(Place& place, const Shards& shards, AnswerCache& cache);
  ~Tracker();
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  struct Heard {
    std::shared_ptr<Connection> connection;
    std::uint64_t generation = 0;  // of the cache, that this connection began
  };
  // Where entries of this part are read for the cache; no connection while there is none that has been heard of lately.
  Heard connection(std::uint32_t part, AnswerCache::Time at);
  // A read on that connection was refused by the server.
  void refused(std::uint32_t part, const std::shared_ptr<Connection>& on, const Error& error);

 private:
  struct Link {
    std::shared_ptr<Connection> connection;
    bool beating = false;  // a heartbeat is under way
  };
  struct Source {
    std::shared_ptr<Pool> server;
    std::shared_ptr<Connection> connection;
    std::uint64_t generation = 0;
  };
  using Servers = std::map<std::shared_ptr<Pool>, std::vector<std::uint32_t>>;

  void run();
  void round();
  Servers servers();
  std::shared_ptr<Connection> connect(const std::shared_ptr<Pool>& server);
  void attach(const std::shared_ptr<Pool>& server, const std::shared_ptr<Connection>& connection, const std::vector<std::uint32_t>& parts);
  void beat(const std::shared_ptr<Pool>& server, const std::vector<std::uint32_t>& parts);
  void beaten(const std::shared_ptr<Connection>& connection, const std::shared_ptr<Pool>& server, const std::vector<std::uint32_t>& parts,
              AnswerCache::Time sent, Result<Replies> replies);
  void heard(const Reply& push);
  void lose(const std::shared_ptr<Connection>& connection);
  void lose_locked(std::uint32_t part);
  void tell_metrics();

  Place& place_;
  const Shards& shards_;
  AnswerCache& cache_;
  const Milliseconds interval_;
  const std::string entries_;  // how the names of entries begin, up to the tag

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool at_once_ = false;
  bool swept_ = true;
  std::vector<Source> sources_;  // of each part
  std::map<std::shared_ptr<Pool>, Link> links_;
  std::vector<std::shared_ptr<Connection>> retired_;

  // Of the thread.
  AnswerCache::Counts told_;
  AnswerCache::Time refused_until_{};
  bool refusal_told_ = false;
  std::thread thread_;
};

}  // namespace setget::inline v0::redis
