// A trial: writers, readers and a follower of the change log that go on while something is done to the servers, and the oracle that says
// what must hold meanwhile and afterwards. Its clients outlive it: they recover without a restart. Thread rule: one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "redis/messages.hpp"

#include <setget/clock.hpp>

namespace redis_test {

// Each a process of its own, as far as Redis can tell.
struct Clients {
  Clients(std::string where, std::string under, std::uint32_t shards, std::shared_ptr<const Clock> clock = {});
  const std::string uri;
  const std::string prefix;
  const std::uint32_t parts;
  std::vector<std::shared_ptr<KeyStoreBackend>> writers{};
  std::shared_ptr<KeyStoreBackend> watcher{};
  std::shared_ptr<KeyStoreBackend> keeper{};
  std::shared_ptr<KeyStoreBackend> follower{};
};

class Trial {
 public:
  // Begins. Each number from 1 stands for two sets: a message of Messages(seed), and a record of its own with one to four keys of its own,
  // of which it can be told whether it was lost.
  Trial(Clients& clients, std::string ns, std::uint64_t seed);
  ~Trial();
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  // Waits until so many more numbers were acknowledged. Before a fault: there is load. After it: clients have recovered, in time.
  void go_on(std::uint64_t more = 60, Milliseconds within = Milliseconds(20'000));
  // What was acknowledged so far.
  std::set<std::uint64_t> acknowledged() const;
  // These have reached a replica: they may not be lost, whatever else is.
  void confirm(const std::set<std::uint64_t>& numbers);
  // From now on what was acknowledged and is not confirmed may be lost; with several parts also a part of its keys.
  void losses_begin();
  // Nothing more is lost of what is handed out from now on.
  void losses_end();
  // What was handed out so far has been thrown away; what comes from now on may not be lost.
  void thrown_away();
  // Ends the load and asserts everything.
  void finish();

  // The change log's reader was told that the content was replaced.
  bool told() const noexcept { return told_; }
  std::uint64_t lost() const noexcept { return lost_; }
  std::string report() const;

 private:
  void write(std::size_t writer);
  void watch();
  void keep();
  void follow();
  bool follow_once(bool commit);
  // What is wrong with it; empty: nothing.
  std::string look_at(std::uint64_t number, bool& lost);
  ApplyEntry own(std::uint64_t number) const;
  std::vector<std::string> own_keys(std::uint64_t number) const;
  bool excused(std::uint64_t number) const;
  bool gaps_allowed(std::uint64_t number) const;
  void wrong(std::string what);
  void stop_load();
  void check_kept();
  void check_reference(const char* when);
  void redeliver();
  void check_change_log();

  Clients& clients_;
  const std::string ns_;
  const Messages messages_;
  const std::uint64_t seed_;

  mutable std::mutex mutex_;
  std::string wrong_;
  std::set<std::uint64_t> acknowledged_;
  std::set<std::uint64_t> confirmed_;
  std::uint64_t thrown_ = 0;    // numbers up to here were thrown away
  std::uint64_t doubtful_ = 0;  // and those up to here may be lost, unless they are confirmed
  std::atomic<std::uint64_t> numbers_{0};
  std::atomic<bool> lossy_{false};
  std::atomic<bool> gaps_{false};
  std::atomic<bool> over_{false};
  std::atomic<bool> quiet_{false};  // readers end
  std::atomic<bool> told_{false};
  std::atomic<std::uint64_t> looks_{0};
  std::atomic<std::uint64_t> kept_looks_{0};
  std::atomic<std::uint64_t> changes_{0};
  std::uint64_t lost_ = 0;

  struct Told {
    bool live = false;
    Version version = 0;
    Revision revision = 0;
    Stamp stamp = 0;
  };
  std::map<std::string, Told> last_told_;  // of the follower's thread until it has ended
  Position position_ = 0;

  std::vector<std::jthread> writing_;
  std::vector<std::jthread> reading_;
};

}  // namespace redis_test
