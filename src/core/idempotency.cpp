#include <fmt/format.h>

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include <setget/idempotency.hpp>

namespace setget::inline v0 {

IdempotencyStore::~IdempotencyStore() = default;

namespace {

// Refuses new keys at its limit instead of forgetting old ones early: a forgotten key would let a repetition through.
class MemoryIdempotencyStore final : public IdempotencyStore {
 public:
  explicit MemoryIdempotencyStore(std::size_t max_entries) : max_entries_(max_entries) {}

  Result<std::optional<Entry>> begin(std::string_view key, const Entry& entry, TimePoint now) override {
    const std::lock_guard lock(mutex_);
    while (!by_expiry_.empty() && by_expiry_.begin()->first <= now) forget(entries_.find(by_expiry_.begin()->second));
    if (const auto found = entries_.find(key); found != entries_.end()) return std::optional(found->second);
    if (entries_.size() >= max_entries_) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("{} idempotency keys are remembered, limit {}", entries_.size(), max_entries_));
    }
    remember(key, entry);
    return std::optional<Entry>();
  }

  Result<void> finish(std::string_view key, const Entry& entry) override {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found != entries_.end() && found->second.status != 0 && entry.status == 0) return {};
    if (found != entries_.end()) forget(found);
    remember(key, entry);
    return {};
  }

  Result<void> abandon(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end() && found->second.status == 0) forget(found);
    return {};
  }

 private:
  using Entries = std::map<std::string, Entry, std::less<>>;

  void remember(std::string_view key, const Entry& entry) {
    const auto at = entries_.emplace(key, entry).first;
    by_expiry_.emplace(entry.expires_at, at->first);
  }
  void forget(Entries::iterator at) {
    by_expiry_.erase({at->second.expires_at, at->first});
    entries_.erase(at);
  }

  const std::size_t max_entries_;
  std::mutex mutex_;
  Entries entries_;
  std::set<std::pair<TimePoint, std::string_view>> by_expiry_;  // views of the names in entries_
};

}  // namespace

std::shared_ptr<IdempotencyStore> memory_idempotency_store(std::size_t max_entries) {
  return std::make_shared<MemoryIdempotencyStore>(max_entries);
}

}  // namespace setget::inline v0
