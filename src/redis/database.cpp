#include <utility>

#include "redis/doctor.hpp"
#include "redis/drop.hpp"
#include "redis/memory_report.hpp"
#include "redis/place.hpp"
#include "redis/queue.hpp"
#include "redis/store.hpp"

#include <setget/redis.hpp>

namespace setget::inline v0::redis {

struct Database::State {
  std::shared_ptr<Place> place;
  std::shared_ptr<KeyStoreBackend> key_store;
  std::shared_ptr<RedisStore> store;  // the same
  std::shared_ptr<QueueBackend> queues;
};

KeyStore Database::key_store() { return {state_->key_store}; }

std::shared_ptr<QueueBackend> Database::queues() { return state_->queues; }

Result<Queue> Database::queue(const std::string& name, const QueueOptions& options) { return Queue::open(state_->queues, name, options); }

Result<std::vector<Finding>> Database::doctor(Deadline deadline, std::optional<std::uint32_t> wait_replicas) {
  return examine(*state_->place, wait_replicas.value_or(state_->place->options().wait_replicas), deadline);
}

Result<MemoryReport> Database::memory(std::size_t max_names, Deadline deadline) {
  return measure_memory(*state_->place, max_names, deadline);
}

Result<Retrained> Database::retrain(std::string_view ns, std::string_view account, std::string_view flow, Deadline deadline) {
  return state_->store->retrain(ns, account, flow, deadline);
}

Result<std::uint64_t> Database::drop(Deadline deadline) { return drop_store(*state_->place, deadline); }

Result<Database> open(Options options) {
  auto place = Place::open(std::move(options));
  if (!place) return std::move(place).error();
  auto state = std::make_shared<Database::State>();
  state->place = *place;
  state->store = make_key_store(*place);
  state->key_store = state->store;
  state->queues = make_queues(*std::move(place));
  return Database(std::move(state));
}

}  // namespace setget::inline v0::redis
