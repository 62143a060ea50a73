#include <fmt/format.h>

#include "core/check_length.hpp"
#include "sqlite/queue.hpp"

namespace setget::inline v0::sqlite {

namespace {

// What needs no transaction is done by the caller's own thread, not by the one that commits for all.
struct Prepared {
  std::string attributes;
  std::int64_t checksum = 0;
  std::size_t bytes = 0;
};

std::vector<Prepared> prepare(std::span<const OutgoingMessage> messages) {
  std::vector<Prepared> prepared(messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto& message = messages[i];
    if (!message.attributes.empty()) prepared[i].attributes = encode_attributes(message.attributes);
    prepared[i].checksum = checksum_of(message.body.view());
    prepared[i].bytes = message.body.size() + prepared[i].attributes.size();
  }
  return prepared;
}

std::optional<std::string_view> or_null(std::string_view bytes) {
  return bytes.empty() ? std::nullopt : std::optional<std::string_view>(bytes);
}

class Sender {
 public:
  Sender(WriteTxn& txn, const QueueRow& queue) : txn_(txn), db_(txn.db()), queue_(queue) {}

  Result<SentMessage> send(const OutgoingMessage& message, const Prepared& prepared) {
    const auto& options = queue_.info.options;
    const auto delay = message.delay.value_or(options.delay);
    if (auto valid = detail::check_length("delay", delay, Milliseconds(0)); !valid) return std::move(valid).error();
    if (prepared.bytes > options.max_message_bytes) {
      return Error(ErrorCode::kTooLarge, fmt::format("the message has {} bytes, the limit of queue \"{}\" is {}", prepared.bytes,
                                                     queue_.info.name, options.max_message_bytes))
          .at_field("body");
    }
    const bool deduplicate = !message.dedup_id.empty() && options.dedup_window > Milliseconds(0);
    if (deduplicate) {
      if (const auto earlier = sent_before(message.dedup_id)) {
        return SentMessage{.message_id = message_id_of(queue_.id, *earlier), .stamp = *earlier, .deduplicated = true};
      }
    }
    const auto stamp = txn_.book().give_stamp(txn_.now());
    if (stamp > kMaxVersion) return Error(ErrorCode::kResourceExhausted, "the store has given its last stamp");
    db_.run("INSERT INTO log(stamp, queue, grp, attrs, sum, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6)", stamp, queue_.id, or_null(message.group),
            or_null(prepared.attributes), prepared.checksum, message.body.view());
    if (deduplicate) {
      db_.run("REPLACE INTO dedup(queue, id, stamp, until) VALUES(?1, ?2, ?3, ?4)", queue_.id, message.dedup_id, stamp,
              (txn_.now() + options.dedup_window).time_since_epoch().count());
    }
    place(message, stamp, delay);
    ++txn_.book().counters(db_, queue_.id).accepted;
    txn_.announce(Topic::kMessages);
    return SentMessage{.message_id = message_id_of(queue_.id, stamp), .stamp = stamp};
  }

 private:
  std::optional<Stamp> sent_before(std::string_view dedup_id) {
    auto row = db_.query("SELECT stamp FROM dedup WHERE queue=?1 AND id=?2 AND until>?3");
    if (!row.with(queue_.id, dedup_id, txn_.now().time_since_epoch().count()).step()) return std::nullopt;
    return row.number(0);
  }

  void place(const OutgoingMessage& message, Stamp stamp, Milliseconds delay) {
    const bool grouped = queue_.info.options.kind == QueueKind::kFifo && !message.group.empty();
    const std::optional<std::int64_t> due =
        delay > Milliseconds(0) ? std::optional((txn_.now() + delay).time_since_epoch().count()) : std::nullopt;
    if (!grouped && !due) {
      txn_.book().add_ready(queue_.id, stamp);
      ++txn_.book().counters(db_, queue_.id).ready;
      return;
    }
    txn_.book().end_run(queue_.id);
    if (grouped) return join_group(txn_, queue_.id, message.group, stamp, 0, due);
    make_delayed(txn_, queue_.id, stamp, 0, *due);
  }

  WriteTxn& txn_;
  Connection& db_;
  const QueueRow& queue_;
};

}  // namespace

Result<std::vector<Result<SentMessage>>> SqliteQueues::send(const SendMessages& request) {
  using Results = std::vector<Result<SentMessage>>;
  const auto prepared = prepare(request.messages);
  return engine_->write(
      [&](WriteTxn& txn) -> Result<Results> {
        const auto* queue = txn.book().queue(txn.db(), request.queue);
        if (queue == nullptr) return no_such_queue(request.queue);
        Sender sender(txn, *queue);
        Results results;
        results.reserve(request.messages.size());
        for (std::size_t i = 0; i < prepared.size(); ++i) results.push_back(sender.send(request.messages[i], prepared[i]));
        return results;
      },
      request.deadline);
}

}  // namespace setget::inline v0::sqlite
