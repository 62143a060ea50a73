// The queue seam over QueueState: locking, waiting and checking of input. Everything else is in queue_state.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "memory/checks.hpp"
#include "memory/state.hpp"

namespace setget::inline v0::memory::detail {

namespace {

using Lock = std::unique_lock<std::mutex>;
using QueuePtr = std::shared_ptr<QueueState>;

Error no_such_queue(std::string_view name) {
  return Error(ErrorCode::kNotFound, fmt::format("there is no queue named \"{}\"", name)).at_field("queue");
}

Result<void> check_positive(std::string_view field, std::size_t value) {
  if (value > 0) return {};
  return Error(ErrorCode::kInvalidArgument, fmt::format("{} must be > 0", field)).at_field(std::string(field));
}

std::size_t size_of(const OutgoingMessage& message) {
  std::size_t size = message.body.size();
  for (const auto& [name, value] : message.attributes) size += name.size() + value.data.size();
  return size;
}

class MemoryQueues final : public QueueBackend {
 public:
  explicit MemoryQueues(std::shared_ptr<Database::State> state) : state_(std::move(state)) {}

  const Database::State* state() const noexcept { return state_.get(); }

  QueueCapabilities capabilities() const override {
    return {.durability = Durability::kMemory,
            .stamps = true,
            .ledger = true,
            .fifo = true,
            .dedup = true,
            .delay = true,
            .dead_letters = true,
            .oldest_unfinished = true,
            .cross_process = false};
  }

  Result<QueueInfo> create(const CreateQueue& request) override {
    if (auto valid = check_name("queue", request.name); !valid) return std::move(valid).error();
    if (auto valid = request.options.validate(); !valid) return std::move(valid).error();
    const Lock lock(state_->mutex);
    auto& queue = state_->queues[std::string(request.name)];
    if (!queue) {
      const QueueInfo info{.name = std::string(request.name), .options = request.options, .created_at = state_->clock->now()};
      queue = std::make_shared<QueueState>(info, state_->queued);
    } else if (queue->info().options.kind != request.options.kind) {
      return Error(ErrorCode::kAlreadyExists, fmt::format("queue \"{}\" exists with another kind", request.name)).at_field("kind");
    }
    queue->replace_options(request.options);
    return queue->info();
  }

  Result<std::vector<QueueInfo>> list(Deadline) override {
    const Lock lock(state_->mutex);
    std::vector<QueueInfo> infos;
    for (const auto& [name, queue] : state_->queues) infos.push_back(queue->info());
    return infos;
  }

  Result<void> remove(std::string_view name, Deadline) override {
    const Lock lock(state_->mutex);
    const auto found = state_->queues.find(name);
    if (found == state_->queues.end()) return no_such_queue(name);
    found->second->close();
    state_->queues.erase(found);
    return {};
  }

  Result<std::vector<Result<SentMessage>>> send(const SendMessages& request) override {
    const Lock lock(state_->mutex);
    const auto queue = find_queue(request.queue);
    if (!queue) return no_such_queue(request.queue);
    std::vector<Result<SentMessage>> sent;
    sent.reserve(request.messages.size());
    for (const auto& message : request.messages) sent.push_back(send_one(*queue, message));
    queue->arrivals.notify_all();
    return sent;
  }

  Result<std::vector<Message>> receive(const ReceiveMessages& request) override {
    if (auto valid = check_positive("max_messages", request.max_messages); !valid) return std::move(valid).error();
    if (request.visibility_timeout) {
      if (auto valid = check_length("visibility_timeout", *request.visibility_timeout, Milliseconds(1)); !valid)
        return std::move(valid).error();
    }
    const auto end = std::min(request.wait.time(), request.latest().time());
    Lock lock(state_->mutex);
    const auto queue = find_queue(request.queue);
    if (!queue) return no_such_queue(request.queue);
    while (true) {
      if (queue->closed()) return no_such_queue(request.queue);
      const auto now = state_->clock->now();
      queue->advance(now);
      auto taken = queue->take(request, now, state_->next_token);
      if (!taken.empty() || end <= Deadline::Steady::now()) return taken;
      auto until = std::min(end, Deadline::Steady::now() + kWaitSlice);
      if (const auto next = queue->next_event()) until = std::min(until, Deadline::Steady::now() + std::max(*next - now, Milliseconds(1)));
      queue->arrivals.wait_until(lock, until);
    }
  }

  Result<std::vector<Result<void>>> settle(const SettleMessages& request) override {
    const Lock lock(state_->mutex);
    const auto queue = find_queue(request.queue);
    if (!queue) return no_such_queue(request.queue);
    const auto now = state_->clock->now();
    queue->advance(now);
    std::vector<Result<void>> results;
    results.reserve(request.settlements.size());
    for (const auto& settlement : request.settlements) results.push_back(queue->settle(settlement, now));
    queue->arrivals.notify_all();
    return results;
  }

  Result<MessageStatus> find(const FindMessage& request) override {
    const auto unknown = [&] {
      return Error(ErrorCode::kNotFound, fmt::format("message \"{}\" was never accepted, or is forgotten", request.message_id));
    };
    const auto id = parse_message_id(request.message_id);
    if (!id) return unknown();
    const auto end = std::min(request.wait.time(), request.latest().time());
    Lock lock(state_->mutex);
    const auto queue = find_queue(id->queue);
    if (!queue) return unknown();
    std::condition_variable finished;
    const Watch watch(*queue, id->number, finished);
    while (true) {
      auto status = queue->closed() ? std::nullopt : queue->find(id->number);
      if (!status) return unknown();
      if (status->outcome != Outcome::kPending || end <= Deadline::Steady::now()) return std::move(*status);
      finished.wait_until(lock, end);
    }
  }

  Result<QueueStats> stats(std::string_view name, Deadline) override {
    return with_queue(name, [](QueueState& queue, TimePoint now) -> Result<QueueStats> { return queue.stats(now); });
  }

  Result<std::vector<Message>> peek(const PeekMessages& request) override {
    return with_queue(request.queue,
                      [&](QueueState& queue, TimePoint) -> Result<std::vector<Message>> { return queue.peek(request.limit); });
  }

  Result<DeadLetterPage> dead_letters(const ListDeadLetters& request) override {
    if (auto valid = check_positive("limit", request.limit); !valid) return std::move(valid).error();
    return with_queue(request.queue, [&](QueueState& queue, TimePoint) { return queue.dead_letters(request); });
  }

  Result<std::size_t> redrive(const RedriveDeadLetters& request) override {
    return with_queue(request.queue, [&](QueueState& queue, TimePoint now) -> Result<std::size_t> {
      const auto moved = queue.redrive(request, now, [&] { return state_->take_stamp(); });
      queue.arrivals.notify_all();
      return moved;
    });
  }

  Result<std::size_t> purge(const PurgeDeadLetters& request) override {
    return with_queue(request.queue, [&](QueueState& queue, TimePoint now) -> Result<std::size_t> { return queue.purge(request, now); });
  }

  Result<Stamp> oldest_unfinished(Deadline) override {
    const Lock lock(state_->mutex);
    Stamp oldest = state_->last_stamp + 1;
    for (const auto& [name, queue] : state_->queues) oldest = std::min(oldest, queue->oldest_unfinished().value_or(oldest));
    return oldest;
  }

  Result<std::size_t> maintain(const MaintainQueue& request) override {
    return with_queue(request.queue, [&](QueueState& queue, TimePoint now) -> Result<std::size_t> {
      const auto steps = queue.maintain(request.max_steps, now);
      queue.arrivals.notify_all();  // a dead letter may have freed its group
      return steps;
    });
  }

 private:
  // Registered for the end of one message as long as it lives. Call with the lock held.
  class Watch {
   public:
    Watch(QueueState& queue, MessageNumber number, std::condition_variable& finished)
        : queue_(queue), at_(queue.watchers.emplace(number, &finished)) {}
    ~Watch() { queue_.watchers.erase(at_); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    QueueState& queue_;
    std::unordered_multimap<MessageNumber, std::condition_variable*>::iterator at_;
  };

  QueuePtr find_queue(std::string_view name) const {
    const auto found = state_->queues.find(name);
    return found == state_->queues.end() ? nullptr : found->second;
  }

  // Runs `verb` on the queue under the lock, with leases and delays brought up to date.
  template <class Verb>
  auto with_queue(std::string_view name, Verb verb) -> decltype(verb(std::declval<QueueState&>(), TimePoint())) {
    const Lock lock(state_->mutex);
    const auto queue = find_queue(name);
    if (!queue) return no_such_queue(name);
    const auto now = state_->clock->now();
    queue->advance(now);
    return verb(*queue, now);
  }

  Result<SentMessage> send_one(QueueState& queue, const OutgoingMessage& message) {
    const auto size = size_of(message);
    const auto limit = queue.info().options.max_message_bytes;
    if (size > limit) {
      return Error(ErrorCode::kTooLarge, fmt::format("the message has {} bytes, limit {}", size, limit)).at_field("body");
    }
    if (message.delay) {
      if (auto valid = check_length("delay", *message.delay, Milliseconds(0)); !valid) return std::move(valid).error();
    }
    const auto now = state_->clock->now();
    if (auto earlier = queue.find_duplicate(message.dedup_id, now)) return std::move(*earlier);
    if (!state_->queued.admits(size)) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("the queues hold {} of at most {} bytes", state_->queued.used, state_->queued.limit));
    }
    return queue.accept(message, state_->take_stamp(), now);
  }

  std::shared_ptr<Database::State> state_;
};

}  // namespace

std::shared_ptr<QueueBackend> make_queues(std::shared_ptr<Database::State> state) {
  return std::make_shared<MemoryQueues>(std::move(state));
}

bool belongs_to(QueueBackend& backend, const Database::State& state) {
  const auto* ours = dynamic_cast<const MemoryQueues*>(&backend);
  return ours != nullptr && ours->state() == &state;
}

}  // namespace setget::inline v0::memory::detail
