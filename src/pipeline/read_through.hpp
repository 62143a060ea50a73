// ReadThrough: asks the archive for what the store does not know, on threads of its own, and never longer than its timeout. One question
// for concurrent misses of one name; names that it does not have are remembered; an archive that fails is left alone for a while. Thread
// rule: any thread. Nothing of a caller's runs under its lock.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <setget/reader.hpp>

#include "pipeline/archive_breaker.hpp"
#include "pipeline/missing_names.hpp"

namespace setget::inline v0::detail {

// What a get of the store left open.
struct Misses {
  bool by_id = false;
  std::string ns{};
  std::vector<std::string> names{};   // keys or ids that the store does not know
  std::vector<std::size_t> places{};  // theirs in `found`
  std::vector<Found> found{};         // the whole answer so far
};

class ReadThrough : public std::enable_shared_from_this<ReadThrough> {
 public:
  using Done = std::function<void(Result<std::vector<Found>>)>;

  explicit ReadThrough(const ReaderOptions& options);
  ~ReadThrough();

  // Calls `done` once, by the deadline or soon after. Never blocks for long.
  void ask(Misses&& misses, Deadline deadline, Done done);
  void forget_missing(std::string_view ns, std::string_view id, const KeyList& keys);
  // On the calling thread.
  Result<std::optional<Record>> only_archived(std::string_view key, std::string_view ns, Deadline deadline);
  // Everybody who waits is told kCancelled; the threads end.
  void stop();

 private:
  using Moment = Deadline::Steady::time_point;
  struct Call;
  struct Flight;
  struct Job;
  struct Ended;
  struct Timer {
    std::shared_ptr<Call> call;
    std::shared_ptr<Job> job;
  };
  using Timers = std::multimap<Moment, Timer>;
  using Batch = std::vector<Ended>;
  struct Asked;

  struct Tally;
  std::optional<Error> take(Misses&& misses, const std::shared_ptr<Call>& call, Tally& tally);
  std::optional<Error> start();
  void work();
  void keep_time();
  void run(const std::shared_ptr<Job>& job);
  Asked ask_archive(const Job& job);
  void settle(Job& job, Asked&& asked);
  Result<Lookup> look_up(const Job& job, const std::string& name);

  void attach(const std::shared_ptr<Call>& call, std::size_t place, const std::shared_ptr<Flight>& flight);
  void answer(Flight& flight, const Result<Found>& found, Batch& ended);
  void end(const std::shared_ptr<Call>& call, Result<std::vector<Found>>&& result, Batch& ended);
  void seal(Flight& flight);
  void failed();
  void publish_breaker();
  // Whether an archive's error says that it is away, and not that a document is damaged.
  static bool is_away(const Error& error) noexcept;
  static Error could_not_ask(const Error& error);
  // What a get says of an archive that is away: the error, or nothing.
  Result<Found> away(const Error& error) const;
  Error left_alone() const;
  void deliver(Batch&& ended);
  void tell_refused(std::string_view reason) const;

  const ReadThroughOptions limits_;
  const std::shared_ptr<ArchiveBackend> archive_;
  const std::shared_ptr<KeyStoreBackend> store_;
  const std::shared_ptr<const Clock> clock_;
  const std::shared_ptr<Metrics> metrics_;

  std::mutex mutex_;
  std::condition_variable work_there_;
  std::condition_variable timers_changed_;
  std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;  // that may be joined
  std::deque<std::shared_ptr<Job>> jobs_;
  Timers timers_;
  MissingNames missing_;
  ArchiveBreaker breaker_;
  std::optional<Error> last_failure_;
  std::size_t waiting_ = 0;  // names that calls wait for
  bool stopping_ = false;
  std::vector<std::thread> threads_;
  std::atomic<bool> interested_{false};  // whether forgetting could change anything
};

}  // namespace setget::inline v0::detail
