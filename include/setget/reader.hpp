// Reader: the consumer's door. Asks the key store, and on request the archive on a miss.
// Thread rule: any thread. Blocking rule: at most until the deadline; the completion forms not at all where async_gets() says so.
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

struct ReaderOptions {
  KeyStore key_store{};                       // required
  std::shared_ptr<ArchiveBackend> archive{};  // for read_through
  bool read_through = false;                  // ask the archive for keys that the store does not know
  std::shared_ptr<const Clock> clock{};
  std::shared_ptr<Metrics> metrics{};
  SETGET_API Result<void> validate() const;
};

enum class Tier : std::uint8_t { kStore, kArchive };

struct Found {
  std::optional<Record> record{};  // empty: no live record under this key
  Tier tier = Tier::kStore;        // which one answered
};

class SETGET_API Reader {
 public:
  static Result<std::unique_ptr<Reader>> create(ReaderOptions options);
  ~Reader();
  // Never an expired, erased or superseded record, by the reader's clock. Missing is a value.
  Result<std::optional<Record>> get(std::string_view key, std::string_view ns = {},
                                    Deadline deadline = Deadline::in(Milliseconds(30'000))) const;
  Result<std::vector<Found>> get(std::span<const std::string_view> keys, std::string_view ns = {},
                                 Deadline deadline = Deadline::in(Milliseconds(30'000))) const;

  // The completion forms, for callers that must not wait: `done` is called exactly once with what get() would answer, on any thread,
  // perhaps before this returns. It must neither block nor throw. Views need only live until this returns; the reader may be gone when
  // `done` runs, its key store may not. Where async_gets() is false they block like get() and then call `done`.
  using GetDone = std::function<void(Result<std::optional<Record>>)>;
  using GetAllDone = std::function<void(Result<std::vector<Found>>)>;
  void get_async(std::string_view key, std::string_view ns, Deadline deadline, GetDone done) const;
  void get_async(std::span<const std::string_view> keys, std::string_view ns, Deadline deadline, GetAllDone done) const;
  // True if the key store answers without a thread that waits, and no archive (which has no such form) has to be asked on a miss.
  bool async_gets() const noexcept { return async_gets_; }

  Result<std::optional<Record>> get_by_id(std::string_view id, std::string_view ns = {},
                                          Deadline deadline = Deadline::in(Milliseconds(30'000))) const;

 private:
  explicit Reader(ReaderOptions options);
  ReaderOptions options_;
  bool async_gets_ = false;
};

}  // namespace setget::inline v0
