// What every subcommand shares: the flags that name the stores, and an opened pipeline on them. Thread rule: one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <setget/config.hpp>

namespace cli {

struct Common {
  std::string config;  // file; empty: built-in defaults
  std::optional<std::string> store;
  std::optional<std::string> queue;
  std::optional<std::string> archive;
  std::optional<std::string> ns;
  bool json = false;
  bool read_through = false;  // whatever the file says
};

// The file (or the defaults) with the flags over it: as the server does it.
setget::Result<setget::Config> resolve_config(const Common& common);
// The path of a "sqlite:" URI; empty for any other.
std::string sqlite_path(const std::string& uri);

// What to do where the store's file is not there. kPretend: an empty store in memory stands in for it.
enum class Missing { kMake, kRefuse, kPretend };
// Nothing, or kNotFound where the archive is a file that is not there: a typing error must not become an empty archive.
setget::Result<void> archive_is_there(const Common& common);
// Whether the command itself asks the archive. If not, an archive on a server of its own is left alone, unless reads, sets or histories
// lead there by the file: a server that says nothing must not hold up who wants nothing of it.
enum class ArchiveUse { kUsed, kUnused };
// Whether the command works with the queue: then it is made where it is missing, and what the file names of its options holds from now on.
// Who only looks leaves it as it is.
enum class QueueUse { kLooks, kWorks };

class Session {
 public:
  // Opens, but starts no thread and no scheduled run: a command line that comes and goes must not take the nightly job.
  static setget::Result<Session> open(const Common& common, Missing missing, ArchiveUse archive = ArchiveUse::kUsed,
                                      QueueUse queue = QueueUse::kLooks);

  setget::Pipeline& pipeline() { return *pipeline_; }
  const setget::Config& config() const { return config_; }
  setget::Stores& stores() { return stores_; }
  // The namespace that records of this account live in. kInvalidArgument with the field --account where accounts are isolated and it is
  // none, or another one than --namespace: what is asked there would be answered with "no record", whatever there is.
  setget::Result<std::string> ns_of(const std::string& account) const;

  // Runs the worker in this process until the message is finished or the deadline passes (then kPending). Safe beside a server: leases
  // decide who works on what.
  setget::Result<setget::MessageStatus> finish(const std::string& message_id, setget::Deadline deadline);
  // The same until nothing is left that could be worked on now.
  setget::Result<void> drain(setget::Deadline deadline);

  // Commands that work without a server see to histories themselves: the outbox into the archive. Says on stderr what did not work.
  void move_history();
  // The same all the time until it goes, on a thread; none where no flow keeps history.
  std::jthread history_mover();

 private:
  setget::Config config_;
  setget::Stores stores_;
  std::unique_ptr<setget::Pipeline> pipeline_;
};

// "5s", "1m", "250ms" or whole seconds; kInvalidArgument for "never".
setget::Result<setget::Milliseconds> parse_wait(const std::string& text);

}  // namespace cli
