// PATH-lock: the file beside the database that processes meet at. A lock held around every write transaction and every checkpoint, and a
// page of shared words on which long polls of all processes sleep. It holds no data: deleting it while nobody has the database open is
// safe. Thread rule: lock and unlock from one thread at a time (the engine's leader); the rest from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::sqlite {

// What a waiter can wait for.
enum class Topic : std::uint8_t { kMessages = 0, kOutcomes = 1, kChanges = 2 };
inline constexpr std::size_t kTopicCount = 3;

// Sleeps while *word == seen, at most `longest`; may wake early. `shared`: the word lies in memory that other processes map.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t seen, std::chrono::nanoseconds longest, bool shared) noexcept;
void futex_wake(std::atomic<std::uint32_t>& word, int count, bool shared) noexcept;

class Sidecar {
 public:
  static Result<std::unique_ptr<Sidecar>> open(const std::string& database_path);
  ~Sidecar();
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;

  // False if somebody else kept it for `longest`.
  Result<bool> lock(Milliseconds longest);
  void unlock() noexcept;

  std::uint32_t seen(Topic topic) const noexcept;
  void announce(Topic topic) noexcept;
  // Until somebody announces after `seen` was taken, at most `longest`; may wake early.
  void wait(Topic topic, std::uint32_t seen, std::chrono::nanoseconds longest) noexcept;

  // Whether the database beside it was ever complete: tells a new empty file from one that was cut to nothing.
  bool initialised() const noexcept;
  void set_initialised(bool value) noexcept;

 private:
  struct Shared;
  Sidecar(int file, Shared* shared) noexcept : file_(file), shared_(shared) {}
  int file_;
  Shared* shared_;
};

}  // namespace setget::inline v0::sqlite
