#include <fmt/format.h>

#include "memory/state.hpp"

#include <setget/memory.hpp>

namespace setget::inline v0::memory {

namespace {

// A random UUID (RFC 9562, version 4).
std::string make_uuid(Random& random) {
  const auto high = (random.next() & 0xffffffffffff0fffULL) | 0x4000ULL;
  const auto low = (random.next() & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48,
                     low & 0xffffffffffffULL);
}

}  // namespace

Result<Database> open(Options options) {
  auto state = std::make_shared<Database::State>();
  state->clock = options.clock ? std::move(options.clock) : system_clock();
  state->random = options.random ? std::move(options.random) : system_random();
  state->identity.uuid = make_uuid(*state->random);
  state->queued.limit = options.max_bytes;
  state->outbox.limit(options.outbox_states, options.outbox_bytes);
  state->archive = detail::make_archive();
  state->schedules = memory_schedule_store();
  return Database(std::move(state));
}

Queue Database::queue(const std::string& name, const QueueOptions& options) {
  Queue bound(queues(), name);
  const auto known = bound.stats();
  // A queue that cannot be made is bound all the same: its first verb says why it is not there.
  if (!known && known.error().code() == ErrorCode::kNotFound) (void)bound.backend()->create({.name = name, .options = options});
  return bound;
}

std::shared_ptr<QueueBackend> Database::queues() { return detail::make_queues(state_); }
KeyStore Database::key_store() { return KeyStore(detail::make_key_store(state_)); }
std::shared_ptr<ArchiveBackend> Database::archive() { return state_->archive; }
std::shared_ptr<ScheduleStore> Database::schedules() { return state_->schedules; }

}  // namespace setget::inline v0::memory
