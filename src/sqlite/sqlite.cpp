// The public face of the sqlite backend.
#include <setget/sqlite.hpp>

#include <fmt/format.h>

#include <array>
#include <bit>

#include "sqlite/archive.hpp"
#include "sqlite/doctor.hpp"
#include "sqlite/engine.hpp"
#include "sqlite/idempotency.hpp"
#include "sqlite/queue.hpp"
#include "sqlite/schedules.hpp"
#include "sqlite/schema.hpp"
#include "sqlite/store.hpp"

namespace setget::inline v0::sqlite {

struct Database::State {
  explicit State(std::shared_ptr<Engine> opened)
      : engine(std::move(opened)), queues(std::make_shared<SqliteQueues>(engine)), store(std::make_shared<SqliteStore>(engine)) {}
  std::shared_ptr<Engine> engine;
  std::shared_ptr<SqliteQueues> queues;
  std::shared_ptr<SqliteStore> store;
};

constexpr std::size_t kMostMapped = 0x7fff0000;

Result<void> Options::validate() const {
  const auto bad = [](std::string_view field, std::string_view rule) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("sqlite option {} must {}", field, rule)).at_field(std::string(field));
  };
  if (path.empty()) return bad("path", "not be empty");
  if (!std::has_single_bit(page_size) || page_size < 512 || page_size > 65536) return bad("page_size", "be a power of two in [512, 65536]");
  if (map_bytes > kMostMapped) return bad("map_bytes", "be at most 2 GiB less 64 KiB, SQLite's limit");
  if (reader_connections == 0 || reader_connections > 1024) return bad("reader_connections", "be in [1, 1024]");
  if (checkpoint_pages == 0 || checkpoint_pages > (1u << 24)) return bad("checkpoint_pages", "be in [1, 2^24]");
  if (max_batch == 0) return bad("max_batch", "be > 0");
  if (outbox_states == 0) return bad("outbox_states", "be > 0");
  if (outbox_bytes == 0) return bad("outbox_bytes", "be > 0");
  if (busy_timeout < Milliseconds(0) || busy_timeout > std::chrono::hours(1)) return bad("busy_timeout", "be in [0, 1 hour]");
  return {};
}

Result<Database> open(Options options) {
  const std::array<const Room*, 4> rooms{&kCoreRoom, &kArchiveRoom, &kScheduleRoom, &kIdempotencyRoom};
  auto engine = Engine::open(std::move(options), rooms);
  if (!engine) return std::move(engine).error();
  return Database(std::make_shared<Database::State>(std::move(*engine)));
}

Queue Database::queue(const std::string& name) {
  // A queue that cannot be made answers with that error from its first verb on.
  if (const auto info = state_->queues->find_queue(name); info && !*info) {
    // Who asks for no options leaves those of another that has made it since as they are.
    const auto as_it_is = [](const QueueOptions* stored) { return stored == nullptr ? QueueOptions{} : *stored; };
    if (const auto made = state_->queues->create_by(name, as_it_is, CreateQueue{}.deadline); !made) {
      state_->engine->log(LogLevel::kError, "cannot make the queue", {{"queue", name}, {"error", made.error().message()}});
    }
  }
  return Queue(state_->queues, name);
}

Result<Queue> Database::queue(const std::string& name, const QueueOptions& options) { return Queue::open(state_->queues, name, options); }
std::shared_ptr<QueueBackend> Database::queues() { return state_->queues; }
KeyStore Database::key_store() { return KeyStore(state_->store); }
std::shared_ptr<ArchiveBackend> Database::archive() { return make_archive(state_->engine); }
std::shared_ptr<ScheduleStore> Database::schedules() { return make_schedules(state_->engine); }
std::shared_ptr<IdempotencyStore> Database::idempotency() { return make_idempotency(state_->engine); }
Result<std::vector<Finding>> Database::doctor() { return examine(*state_->engine); }
Result<bool> Database::checkpoint() { return state_->engine->checkpoint(); }

}  // namespace setget::inline v0::sqlite
