// IdempotencyStore: the seam behind Idempotency-Key. Offered by memory (bounded) and by durable stores.
// Thread rule: any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/record.hpp>

namespace setget::inline v0 {

class SETGET_API IdempotencyStore {
 public:
  virtual ~IdempotencyStore();
  struct Entry {
    Digest request;
    int status = 0;  // 0: still in progress
    std::string response;
    TimePoint expires_at{};
  };
  // The entry that is there and not expired, else stores `entry` and returns empty. One atomic step.
  virtual Result<std::optional<Entry>> begin(std::string_view key, const Entry& entry, TimePoint now) = 0;
  // Puts `entry` there; one without an answer (status 0) takes the place of none that has one.
  virtual Result<void> finish(std::string_view key, const Entry& entry) = 0;
  // Removes what has no answer yet.
  virtual Result<void> abandon(std::string_view key) = 0;
};
SETGET_API std::shared_ptr<IdempotencyStore> memory_idempotency_store(std::size_t max_entries = 100'000);

}  // namespace setget::inline v0
