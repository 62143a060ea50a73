#include "sqlite/store.hpp"

#include <algorithm>
#include <limits>

#include "sqlite/book.hpp"
#include "sqlite/codec.hpp"
#include "sqlite/queue.hpp"
#include "sqlite/store_txn.hpp"

namespace setget::inline v0::sqlite {

KeyStoreCapabilities SqliteStore::capabilities() const {
  return {.durability = engine_->options().durable ? Durability::kDisk : Durability::kMemory,
          .listing = true,
          .change_log = true,
          .scan = true,
          .history = true,
          .goes_back = !engine_->options().durable};
}

Result<StoreIdentity> SqliteStore::identity(Deadline) {
  return engine_->read([](Connection& db) -> Result<StoreIdentity> {
    StoreIdentity identity;
    auto row = db.query("SELECT (SELECT value FROM meta WHERE name='uuid'), (SELECT value FROM meta WHERE name='epoch')");
    if (!row.step() || row.is_null(0) || row.is_null(1)) throw_damaged("its identity is missing");
    identity.uuid = row.text(0);
    identity.epoch = row.number(1);
    return identity;
  });
}

Result<std::vector<Result<ApplyResult>>> SqliteStore::apply(const ApplyCommands& request) {
  using Answers = std::vector<Result<ApplyResult>>;
  return engine_->write(
      [&](WriteTxn& txn) -> Result<Answers> {
        const auto logged = txn.book().meta().last_position;
        const ApplyContext context{.now = request.now, .floor = request.ignore_floor ? 0 : txn.book().meta().floor};
        StoreTxn store(txn);
        Answers answers;
        answers.reserve(request.entries.size());
        for (const auto& entry : request.entries) {
          // What is restored is back from now on, whenever it was accepted. The outbox does not hold it up.
          const auto accepted = time_of(entry.stamp);
          if (request.ignore_floor) {
            store.keep_history({.states = std::numeric_limits<std::size_t>::max(), .bytes = std::numeric_limits<std::size_t>::max()},
                               request.now);
          } else {
            store.keep_history(outbox_limit(), accepted);
          }
          answers.push_back(txn.isolated([&] { return apply_command(store, entry, context); }));
        }
        if (txn.book().meta().last_position != logged) drop_slow_cursors(txn, *engine_);
        return answers;
      },
      request.deadline);
}

FusedStore* SqliteStore::fused_with(QueueBackend& queue) {
  const auto* ours = dynamic_cast<SqliteQueues*>(&queue);
  return ours != nullptr && ours->engine() == engine_ ? this : nullptr;
}

Result<FusedStore::Results> SqliteStore::apply_and_settle(std::string_view queue_name, std::span<const FusedEntry> entries,
                                                          std::span<const Settlement> others, TimePoint now, Deadline deadline) {
  return engine_->write(
      [&](WriteTxn& txn) -> Result<Results> {
        const auto* queue = txn.book().queue(txn.db(), queue_name);
        if (queue == nullptr) return no_such_queue(queue_name);
        const auto logged = txn.book().meta().last_position;
        const ApplyContext context{.now = now, .floor = txn.book().meta().floor};
        StoreTxn store(txn);
        Leases leases(txn, queue->id);
        Results results;
        results.applied.reserve(entries.size());
        for (const auto& entry : entries) {
          const auto receipt = parse_receipt(entry.receipt);
          if (!receipt || !leases.holds(*receipt)) {
            results.applied.emplace_back(Error(ErrorCode::kLeaseLost, "the receipt no longer holds its message"));
            continue;
          }
          store.offer_row(receipt->stamp);
          store.keep_history(outbox_limit(), time_of(entry.entry.stamp));
          auto applied = txn.isolated([&] { return apply_command(store, entry.entry, context); });
          const bool taken = store.row_was_taken();
          if (applied) {
            const auto member = *leases.take(*receipt);
            if (applied->outcome == Outcome::kDeadLettered) {
              dead_letter_message(txn, queue->id, leases, *receipt, member, applied->reasons);
            } else {
              finish_message(txn, queue->id, leases, *receipt, member, applied->outcome, applied->reasons, taken);
            }
          }
          results.applied.push_back(std::move(applied));
        }
        results.settled.reserve(others.size());
        for (const auto& settlement : others) results.settled.push_back(settle_one(txn, *queue, leases, settlement));
        leases.write();
        if (txn.book().meta().last_position != logged) drop_slow_cursors(txn, *engine_);
        return results;
      },
      deadline);
}

Result<std::vector<Result<bool>>> SqliteStore::set_expiry(std::span<const SetExpiry> entries, Deadline deadline) {
  using Answers = std::vector<Result<bool>>;
  return engine_->write(
      [&](WriteTxn& txn) -> Result<Answers> {
        StoreTxn store(txn);
        Answers answers;
        answers.reserve(entries.size());
        for (const auto& entry : entries) {
          store.keep_history(outbox_limit(), txn.now());
          answers.push_back(txn.isolated([&] { return change_expiry(store, entry); }));
        }
        drop_slow_cursors(txn, *engine_);
        return answers;
      },
      deadline);
}

OutboxLimit SqliteStore::outbox_limit() const {
  return {.states = engine_->options().outbox_states, .bytes = engine_->options().outbox_bytes};
}

Result<HistoryBatch> SqliteStore::history(const ReadHistory& request) {
  std::vector<Position> damaged;
  auto batch = engine_->read([&](Connection& db) { return read_outbox(db, request, damaged); });
  for (const auto position : damaged) {
    if (outbox_complaints_.first(position)) {
      engine_->log(LogLevel::kError, "a state of a history is damaged and lost", {{"position", std::to_string(position)}});
    }
  }
  return batch;
}

Result<void> SqliteStore::confirm_history(std::span<const OutboxPlace> places, Deadline deadline) {
  return engine_->write(
      [&](WriteTxn& txn) -> Result<void> {
        for (const auto& place : places) {
          if (place.part == 0) drop_from_outbox(txn.db(), place.position);
        }
        return {};
      },
      deadline);
}

Result<std::vector<Result<bool>>> SqliteStore::begin_history(std::span<const BeginHistory> entries, Deadline deadline) {
  using Answers = std::vector<Result<bool>>;
  return engine_->write(
      [&](WriteTxn& txn) -> Result<Answers> {
        StoreTxn store(txn);
        Answers answers;
        answers.reserve(entries.size());
        for (const auto& entry : entries) {
          store.keep_history(outbox_limit(), TimePoint{});
          answers.push_back(txn.isolated([&] { return store.begin_history(entry); }));
        }
        return answers;
      },
      deadline);
}

Result<StoreStats> SqliteStore::stats(Deadline) {
  return engine_->read([](Connection& db) -> Result<StoreStats> {
    const auto meta = read_meta(db);
    StoreStats stats;
    stats.records = meta.records;
    stats.tombstones = meta.tombstones;
    stats.keys = meta.keys;
    stats.changes = meta.changes;
    stats.floor = meta.floor;
    stats.outbox = outbox_size(db);
    const auto bytes = db.find_integer("SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)");
    stats.bytes = static_cast<std::uint64_t>(bytes.value_or(0));
    return stats;
  });
}

}  // namespace setget::inline v0::sqlite
