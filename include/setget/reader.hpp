// Reader: the consumer's door. Asks the key store, and the archive for what the store does not know where the host wants that
// (read-through). Thread rule: any thread. Blocking rule: at most until the deadline; the completion forms wait for a key store at most,
// and not at all where async_gets() says so.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <setget/archive.hpp>
#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/key_store.hpp>
#include <setget/observe.hpp>

namespace setget::inline v0 {

// How an archive is asked. Threads of the reader's own do it, started by the first miss; concurrent misses of one key are one question.
struct ReadThroughOptions {
  // From a miss to its answer, the wait for a thread included: a get lasts at most so much longer than the store alone. > 0
  Milliseconds timeout{500};
  // What a get answers where the archive fails, is too slow, or is not asked because it failed or too many wait. false: an error, which is
  // retryable (kUnavailable; kResourceExhausted where too many wait): whether there is a record could not be found out. true: no record, as
  // the store alone would. Damage (kCorrupted, kUnsupported of one record) is an error either way.
  bool miss_when_away = false;
  std::size_t threads = 4;         // questions at a time; 1 to 64
  std::size_t max_waiting = 4096;  // keys that callers wait for at a time; one call is always let in. > 0
  // Keys and ids that the archive did not have are not asked for again: so many are remembered, and each for so long by the reader's clock.
  // A set that a worker of the pipeline applies, or that it accepts, ends it at once. So what others bring into the archive (no set, but a
  // restore into it) is seen after negative_age at the latest. 0 of either: nothing is remembered.
  std::size_t negative_entries = 10'000;
  Milliseconds negative_age{10'000};
  std::size_t failures = 5;   // in a row: then the archive is not asked any more; > 0
  Milliseconds pause{1'000};  // for so long, by the reader's clock; after it one question tries. > 0
  SETGET_API Result<void> validate() const;
};

struct ReaderOptions {
  KeyStore key_store{};                       // required
  std::shared_ptr<ArchiveBackend> archive{};  // for read_through
  bool read_through = false;                  // ask the archive for keys that the store does not know
  ReadThroughOptions through{};
  std::shared_ptr<const Clock> clock{};
  std::shared_ptr<Metrics> metrics{};
  SETGET_API Result<void> validate() const;
};

enum class Tier : std::uint8_t { kStore, kArchive };
SETGET_API std::string_view to_string(Tier tier) noexcept;  // "store", "archive"

struct Found {
  std::optional<Record> record{};  // empty: no live record under this key
  Tier tier = Tier::kStore;        // which one answered
};

namespace detail {
class ReadThrough;
}

// What the archive has counts only where the store knows nothing of the key, nor of the identity, and nothing of its other keys that speaks
// against it. It is asked again after the archive has answered, so that a set, an erase or a key that moved meanwhile wins, whether
// archived or not. A record whose key was lost to another one lists it in lost_keys; if one of its keys is gone in the store (erased by
// key, or its newer holder is gone), it is not answered until the store has forgotten that.
class SETGET_API Reader {
 public:
  static Result<std::unique_ptr<Reader>> create(ReaderOptions options);
  // What waits for the archive is answered kCancelled. Blocks until questions on their way have ended: `timeout` at most where the archive
  // keeps deadlines.
  ~Reader();

  // Never an expired, erased or superseded record, by the reader's clock. Missing is a value. find() also says which tier answered.
  Result<Found> find(std::string_view key, std::string_view ns = {}, Deadline deadline = Deadline::in(Milliseconds(30'000))) const;
  Result<std::optional<Record>> get(std::string_view key, std::string_view ns = {},
                                    Deadline deadline = Deadline::in(Milliseconds(30'000))) const;
  Result<std::vector<Found>> get(std::span<const std::string_view> keys, std::string_view ns = {},
                                 Deadline deadline = Deadline::in(Milliseconds(30'000))) const;

  // The completion forms, for callers that must not wait: `done` is called exactly once with what find() and get() would answer, on any
  // thread, perhaps before this returns. It must neither block nor throw. Views need only live until this returns; the reader may be gone
  // when `done` runs, its key store may not. Where async_gets() is false the store is asked on the calling thread; an archive never is.
  using FindDone = std::function<void(Result<Found>)>;
  using GetDone = std::function<void(Result<std::optional<Record>>)>;
  using GetAllDone = std::function<void(Result<std::vector<Found>>)>;
  void find_async(std::string_view key, std::string_view ns, Deadline deadline, FindDone done) const;
  void get_async(std::string_view key, std::string_view ns, Deadline deadline, GetDone done) const;
  void get_async(std::span<const std::string_view> keys, std::string_view ns, Deadline deadline, GetAllDone done) const;
  // What find() would answer, where the key store has it at hand (KeyStoreBackend::get_at_hand); empty elsewhere. Never waits. Pays only
  // where has_at_hand(): a store with a cache of its own.
  std::optional<Found> find_at_hand(std::string_view key, std::string_view ns) const;
  // Its record alone, shared with the key store (KeyStoreBackend::share_at_hand). Empty: not at hand. nullptr: there is none.
  std::optional<std::shared_ptr<const Record>> record_at_hand(std::string_view key, std::string_view ns) const;
  // Whether record_at_hand() would still give this one. Only then has anything been read, as far as metrics go.
  bool still_at_hand(std::string_view key, std::string_view ns, const std::weak_ptr<const Record>& record) const;
  bool has_at_hand() const noexcept { return at_hand_; }
  // True if the key store answers without a thread that waits.
  bool async_gets() const noexcept { return async_gets_; }
  // True if the archive is asked on a miss.
  bool reads_through() const noexcept { return through_ != nullptr; }

  Result<Found> find_by_id(std::string_view id, std::string_view ns = {}, Deadline deadline = Deadline::in(Milliseconds(30'000))) const;
  Result<std::optional<Record>> get_by_id(std::string_view id, std::string_view ns = {},
                                          Deadline deadline = Deadline::in(Milliseconds(30'000))) const;

  // That the archive did not have these is not remembered any longer: they were set, or are about to be. Never blocks for long.
  void forget_missing(std::string_view ns, std::string_view id, const KeyList& keys) const;
  // The live record that a key leads to in the archive, where the store does not know its identity, whatever the store says of the key: for
  // what must not overlook it, such as an erase by key. Empty: none, or no read-through. Blocks: `timeout` at most where the archive keeps
  // deadlines. An archive that could not be asked is an error, whatever `miss_when_away` says.
  Result<std::optional<Record>> only_archived(std::string_view key, std::string_view ns, Deadline deadline) const;

 private:
  explicit Reader(ReaderOptions options);
  std::optional<std::shared_ptr<const Record>> shared_record(std::string_view key, std::string_view ns) const;
  ReaderOptions options_;
  bool async_gets_ = false;
  bool at_hand_ = false;
  std::shared_ptr<detail::ReadThrough> through_;
};

}  // namespace setget::inline v0
