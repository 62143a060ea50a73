// One Redis server of a bench, and what is needed around it: commands on it, redis-benchmark, records to apply. The server has one
// thread for commands and keeps nothing on disk, listens on a free loopback port, and ends with the bench.
// Thread rule: one thread.
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/candidate.hpp"

#include <setget/redis.hpp>

struct redisContext;

namespace bench {

// What a program printed; empty optional where it is not there or failed.
std::optional<std::string> output_of(const std::vector<std::string>& command);
bool is_installed(const std::string& program);
// A program in the background, ended by its process id; it ends with the bench, whatever happens to that.
class Program {
 public:
  explicit Program(const std::vector<std::string>& command);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

 private:
  pid_t pid_ = -1;
};
std::uint16_t free_port();

class RedisServer {
 public:
  explicit RedisServer(const Settings& settings);
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string uri(const std::string& options = {}) const { return "redis://127.0.0.1:" + std::to_string(port_) + options; }
  void flush();
  std::uint64_t used_memory();
  // Plain SETs, many in one write.
  void fill(std::uint64_t count, const std::function<std::string(std::uint64_t)>& key,
            const std::function<std::string_view(std::uint64_t)>& value);
  // One GET, the bare hiredis way; its length.
  std::size_t get(const std::string& key);
  // Requests a second of redis-benchmark as issue 4 defines R and G: -P 64 -c 50 -r 100000, on an empty server and on filled keys.
  double measure_sets(std::size_t bytes, double seconds);
  double measure_gets(std::size_t bytes, double seconds);

 private:
  double measure(std::vector<std::string> command, std::size_t bytes, double seconds) const;
  std::uint16_t port_;
  Program program_;
  redisContext* context_ = nullptr;
};

// A JSON document of this many bytes; neighbouring numbers give different ones. Made once, so that nobody is timed making it.
std::string_view sized_payload(std::uint64_t n, std::size_t bytes);

// What records of a line look like.
struct Shape {
  std::size_t bytes = 1024;
  std::size_t keys = 1;
  bool inline_id = false;  // the only key is the id: one entry holds all
  bool indexed = false;    // listed, and with a time to live
};
// The key of a record that is asked for by it.
std::string record_key(std::uint64_t n);
// Numbered from `first`.
std::vector<setget::ApplyEntry> make_entries(const Shape& shape, std::size_t count, std::size_t first = 0);
// A new store on a flushed server.
setget::redis::Database open_fresh(RedisServer& server, const std::string& options = {});
// Applies all, in batches of 256 by two threads; ends the process unless each is applied. Records a second.
double apply_all(setget::redis::Database& database, std::span<const setget::ApplyEntry> entries);
// Gets a second in completion form, of random keys among record_key(0) to record_key(99 999). `bytes`: of each payload; 0: any.
double get_rate(setget::KeyStoreBackend& store, double seconds, std::size_t bytes);

}  // namespace bench
