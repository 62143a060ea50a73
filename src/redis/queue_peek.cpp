// A look at what is unfinished, without a lease. The script tells which messages those are; what they hold comes past it, each in a reply
// of its own: together they could be larger than any reply may be.
#include <algorithm>
#include <map>

#include "redis/queue_backend.hpp"
#include "redis/queue_scripts.hpp"

namespace setget::inline v0::redis {

namespace {

constexpr std::size_t kMostMessages = 1000;  // of one part

RedisCommand get(const KnownQueue& queue, std::uint32_t part, std::string_view hash, std::uint64_t number) {
  RedisCommand command("HGET");
  command.key(queue.shards->name(part, queue.name() + ":" + std::string(hash))).arg(static_cast<std::int64_t>(number));
  return std::move(command).idempotent();
}

void fill(Message& message, const Payload& bytes) {
  auto record = decode_record(bytes);
  if (!record) {
    message.damaged = true;
    return;
  }
  message.body = std::move(record->body);
  message.attributes = std::move(record->attributes);
  message.group = std::move(record->group);
}

}  // namespace

Result<std::vector<RedisQueues::Peeked>> RedisQueues::unfinished(const QueuePtr& queue, std::size_t limit, Deadline deadline) {
  auto replies = on_all_parts(
      queue,
      [&](std::uint32_t part) {
        auto call = on_part(queue_scripts::peek(), *queue, part);
        call.arg(static_cast<std::int64_t>(std::min(limit, kMostMessages)));
        return call;
      },
      deadline);
  if (!replies) return std::move(replies).error();
  std::vector<Peeked> found;
  for (std::uint32_t part = 0; part < queue->parts(); ++part) {
    const auto fields = (*replies)[part].elements();
    for (std::size_t at = 2; at + 5 < fields.size(); at += 6) {
      auto& [its, number, frame, message] = found.emplace_back();
      its = part;
      number = static_cast<std::uint64_t>(fields[at].integer());
      frame = static_cast<std::uint64_t>(fields[at + 5].integer());
      message.stamp = static_cast<Stamp>(fields[at + 1].integer());
      const auto origin = static_cast<Stamp>(fields[at + 3].integer());
      message.message_id = message_id_of({.queue = queue->name(),
                                          .part = part,
                                          .number = number,
                                          .stamp = origin != 0 ? origin : message.stamp,
                                          .born = fields[1].text()});
      message.sent_at = time_of(message.stamp);
      message.receive_count = static_cast<std::uint32_t>(fields[at + 2].integer());
      message.visible_at = TimePoint(Milliseconds(fields[at + 4].integer()));
    }
  }
  std::sort(found.begin(), found.end(), [](const Peeked& a, const Peeked& b) { return a.message.stamp < b.message.stamp; });
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<std::vector<Message>> RedisQueues::with_records(const KnownQueue& queue, std::vector<Peeked> found, Deadline deadline) {
  // A block once for all messages of its frame.
  std::vector<RedisCommand> ask;
  std::vector<std::size_t> answer_of(found.size());
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::size_t> frames;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto& one = found[i];
    answer_of[i] = ask.size();
    if (one.frame == 0) {
      ask.push_back(get(queue, one.part, "b", one.number));
    } else if (const auto [at, first] = frames.try_emplace({one.part, one.frame}, ask.size()); first) {
      ask.push_back(get(queue, one.part, "a", one.frame));
    } else {
      answer_of[i] = at->second;
    }
  }
  if (ask.empty()) return std::vector<Message>{};
  auto replies = place_->client().pipeline(ask, deadline);
  std::map<std::size_t, std::vector<Payload>> blocks;
  for (const auto& [frame, at] : frames) {
    if (!replies[at]) return std::move(replies[at]).error();
    if (replies[at]->is_nil()) continue;
    blocks.emplace(at, records_in(replies[at]->take_payload()));
  }

  // Whose frame is gone meanwhile is stored by itself; who has no record either was finished.
  std::vector<std::size_t> moved;
  std::vector<Payload> bytes(found.size());
  std::vector<bool> gone(found.size(), false);
  for (std::size_t i = 0; i < found.size(); ++i) {
    auto& reply = replies[answer_of[i]];
    if (found[i].frame == 0) {
      if (!reply) return std::move(reply).error();
      gone[i] = reply->is_nil();
      if (!gone[i]) bytes[i] = reply->take_payload();
    } else if (const auto block = blocks.find(answer_of[i]); block == blocks.end()) {
      moved.push_back(i);
    } else if (const auto nth = found[i].number - found[i].frame; nth < block->second.size()) {
      bytes[i] = block->second[nth];
    }
  }
  if (!moved.empty()) {
    ask.clear();
    for (const auto i : moved) ask.push_back(get(queue, found[i].part, "b", found[i].number));
    replies = place_->client().pipeline(ask, deadline);
    for (std::size_t k = 0; k < moved.size(); ++k) {
      if (!replies[k]) return std::move(replies[k]).error();
      gone[moved[k]] = replies[k]->is_nil();
      if (!gone[moved[k]]) bytes[moved[k]] = replies[k]->take_payload();
    }
  }

  std::vector<Message> messages;
  messages.reserve(found.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (gone[i]) continue;
    fill(found[i].message, bytes[i]);
    messages.push_back(std::move(found[i].message));
  }
  return messages;
}

Result<std::vector<Message>> RedisQueues::peek(const PeekMessages& request) {
  return with_queue(request.queue, request.deadline, [&](const QueuePtr& queue) -> Result<std::vector<Message>> {
    auto found = unfinished(queue, request.limit, request.deadline);
    if (!found) return std::move(found).error();
    return with_records(*queue, *std::move(found), request.deadline);
  });
}

}  // namespace setget::inline v0::redis
