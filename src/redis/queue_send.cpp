// Sending. Messages of a FIFO group go where the group lives, those with a deduplication id where that lives, all others of a batch go to
// one part, another one each time.
//
// A deduplication id that comes with different groups, or with and without one, must still be decided in one place. So the id's home says
// which part decides (a pin), and that part decides in the step that sends. Only if that part is not the one of the group, and still does
// not know the id after a while, is it told to refuse this pin from now on, and the id is pinned anew.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "redis/queue_backend.hpp"
#include "redis/queue_checks.hpp"
#include "redis/queue_scripts.hpp"

namespace setget::inline v0::redis {

namespace {

constexpr std::size_t kMostMessages = 1000;  // of one script: so long it may keep its server busy
constexpr std::size_t kMostBytes = 8U << 20;
constexpr std::size_t kBlockMessages = 32;  // at most: a receive that takes fewer stores them one by one
constexpr std::size_t kBlockBytes = 128U << 10;
constexpr std::int64_t kPinMargin = 3'600'000;  // ms that a pin outlives what it decides
constexpr std::int64_t kPinGrace = 5'000;       // ms: so long somebody else's pin may be on its way
constexpr int kPinAsks = 50;                    // at most, 10 ms apart

std::size_t size_of(const OutgoingMessage& message) {
  std::size_t size = message.body.size();
  for (const auto& [name, value] : message.attributes) size += name.size() + value.data.size();
  return size;
}

Error too_large(std::size_t size, std::size_t limit) {
  return Error(ErrorCode::kTooLarge, fmt::format("the message has {} bytes, limit {}", size, limit)).at_field("body");
}

}  // namespace

class RedisSender {
 public:
  RedisSender(RedisQueues& queues, QueuePtr queue, const SendMessages& request)
      : queues_(queues), queue_(std::move(queue)), request_(request), now_(queues.now()), lane_(queues) {}

  std::vector<Result<SentMessage>> send() {
    const auto count = request_.messages.size();
    results_.assign(count, Result<SentMessage>(SentMessage{}));
    std::vector<std::vector<std::size_t>> waiting(queue_->parts());
    const auto any = queue_->next_send.fetch_add(1, std::memory_order_relaxed) % queue_->parts();
    for (std::size_t i = 0; i < count; ++i) {
      if (auto valid = check(request_.messages[i]); !valid) {
        results_[i] = std::move(valid).error();
      } else if (auto part = part_of(i, any); !part) {
        results_[i] = std::move(part).error();
      } else if (*part) {
        waiting[**part].push_back(i);
      }
    }
    // Rounds, so that what goes to one part is in order even where something has to be repeated.
    std::vector<std::size_t> at(queue_->parts(), 0);
    for (;;) {
      std::vector<Chunk> chunks;
      for (std::uint32_t part = 0; part < queue_->parts(); ++part) {
        if (at[part] < waiting[part].size()) chunks.push_back(next_chunk(part, waiting[part], at[part]));
      }
      if (chunks.empty()) break;
      round(chunks);
    }
    return std::move(results_);
  }

 private:
  struct Chunk {
    std::uint32_t part = 0;
    std::vector<std::size_t> messages;
  };

  Result<void> check(const OutgoingMessage& message) const {
    return message.delay ? check_length("delay", *message.delay, Milliseconds(0)) : Result<void>();
  }

  // Empty: decided already.
  Result<std::optional<std::uint32_t>> part_of(std::size_t i, std::uint32_t any) {
    const auto& message = request_.messages[i];
    const auto& shards = *queue_->shards;
    if (queue_->parts() == 1) return std::optional<std::uint32_t>(0);
    const bool deduplicates = !message.dedup_id.empty() && queue_->info.options.dedup_window > Milliseconds(0);
    const bool grouped = queue_->fifo() && !message.group.empty();
    if (!grouped && !deduplicates) return std::optional(any);
    const auto part = shards.of(queue_->name(), grouped ? message.group : message.dedup_id);
    // Without groups an id has one part. With them also what has no group is pinned: the id may have come with one.
    if (!deduplicates || !queue_->fifo()) return std::optional(part);
    return pinned(i, part);
  }

  Result<std::optional<std::uint32_t>> pinned(std::size_t i, std::uint32_t wanted) {
    const std::string& id = request_.messages[i].dedup_id;
    const auto home = queue_->shards->of(queue_->name(), id);
    const auto until = now_ + queue_->info.options.dedup_window.count() + kPinMargin;
    const auto token = hex(queues_.place_->random().next());
    std::string wrong;
    for (int attempt = 0; attempt < 8; ++attempt) {
      auto answer =
          ask(home, queue_scripts::pin(), {std::to_string(now_), std::to_string(until), std::to_string(wanted), id, token, wrong});
      if (!answer) return std::move(answer).error();
      const auto pin = answer->elements();
      if (pin.size() != 3) return Error(ErrorCode::kCorrupted, "not the answer of this script").from(ErrorSource::kRedis, 0, {});
      if (pin[0].integer() == wanted || pin[0].integer() >= queue_->parts()) {
        pins_[i] = pin[1].text();
        return std::optional(wanted);
      }
      // Another group's part decides. Whoever pinned it is about to send, or has been gone for long; then it is refused.
      const auto part = static_cast<std::uint32_t>(pin[0].integer());
      wrong = pin[1].text();
      const int patience = now_ - pin[2].integer() < kPinGrace ? kPinAsks : 0;
      for (int asked = 0; asked <= patience; ++asked) {
        const bool last = asked == patience;
        answer = ask(part, queue_scripts::refuse(), {std::to_string(now_), std::to_string(until), id, wrong, last ? "1" : "0"});
        if (!answer) return std::move(answer).error();
        const auto fields = answer->elements();
        if (fields.size() == 4 && fields[2].integer() != 0) {
          results_[i] = sent(part, fields[1].text(), fields[2].integer(), fields[3].integer(), true);
          return std::optional<std::uint32_t>();
        }
        if (request_.deadline.passed()) return Error(ErrorCode::kDeadlineExceeded, "nothing was sent in time");
        if (!last) queues_.pause(0, request_.deadline);
      }
    }
    return Error(ErrorCode::kUnavailable, "others send the same deduplication id with other groups; ask again").at_field("dedup_id");
  }

  Result<Reply> ask(std::uint32_t part, const Script& script, const std::vector<std::string>& arguments) {
    auto answers = queues_.run_surely(
        queue_, 1,
        [&](std::size_t, bool) {
          auto call = RedisQueues::on_part(script, *queue_, part);
          for (const auto& argument : arguments) call.arg(argument);
          return call;
        },
        request_.deadline);
    return std::move(answers[0]);
  }

  Chunk next_chunk(std::uint32_t part, const std::vector<std::size_t>& waiting, std::size_t& at) const {
    Chunk chunk{.part = part, .messages = {}};
    std::size_t bytes = 0;
    while (at < waiting.size() && chunk.messages.size() < kMostMessages && (bytes < kMostBytes || chunk.messages.empty())) {
      bytes += size_of(request_.messages[waiting[at]]);
      chunk.messages.push_back(waiting[at++]);
    }
    return chunk;
  }

  void round(std::vector<Chunk>& chunks) {
    ++lane_->number;
    first_ = chunks.front().messages.front();
    for (const auto& chunk : chunks) first_ = std::min(first_, chunk.messages.front());
    const auto after = queues_.last_stamp_.load(std::memory_order_relaxed);
    auto answers = queues_.run_surely(
        queue_, chunks.size(), [&](std::size_t i, bool) { return call_for(chunks[i], after); }, request_.deadline);
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const auto& messages = chunks[i].messages;
      if (!answers[i]) {
        for (const auto message : messages) results_[message] = answers[i].error();
        continue;
      }
      const auto fields = answers[i]->elements();
      if (fields.size() == 2 && fields[0].text() == "large") {
        refuse_large(chunks[i], std::strtoull(std::string(fields[1].text()).c_str(), nullptr, 10));
        continue;
      }
      read(chunks[i], fields);
    }
  }

  Script::Call call_for(const Chunk& chunk, Stamp after) const {
    std::size_t largest = 0;
    std::size_t longest = 0;
    for (const auto i : chunk.messages) {
      largest = std::max(largest, size_of(request_.messages[i]));
      longest = std::max(longest, record_size(request_.messages[i]));
    }
    const auto blocks = blocks_of(chunk);
    auto call = RedisQueues::on_part_with_stamps(queue_scripts::send(), *queue_, chunk.part);
    call.arg(now_).arg(static_cast<std::int64_t>(after)).arg(chunk.part).arg(queue_->parts());
    call.arg(lane_.view().id).arg(static_cast<std::int64_t>(lane_.view().number));
    call.arg(static_cast<std::int64_t>(largest)).arg(static_cast<std::int64_t>(longest));
    call.arg(static_cast<std::int64_t>(blocks.size()));
    for (const auto& messages : blocks) {
      const auto i = static_cast<std::size_t>(messages.data() - request_.messages.data());
      const auto& message = messages.front();
      call.arg(message.delay ? std::string_view(std::to_string(message.delay->count())) : std::string_view());
      call.arg(message.group).arg(message.dedup_id);
      call.arg(messages.size() == 1 ? encode_record(message) : encode_block(messages));
      if (queue_->parts() > 1) call.arg(static_cast<std::int64_t>(i - first_)).arg(pins_.contains(i) ? pins_.at(i) : std::string());
    }
    return call;
  }

  // What stays together in the queue: messages in a row of the batch, of which nothing but this must be known.
  std::vector<std::span<const OutgoingMessage>> blocks_of(const Chunk& chunk) const {
    const std::span all(request_.messages);
    std::vector<std::span<const OutgoingMessage>> blocks;
    std::size_t bytes = 0;
    for (const auto i : chunk.messages) {
      const auto size = record_size(all[i]);
      const bool joins = !blocks.empty() && &blocks.back().back() + 1 == &all[i] && blocks.back().size() < kBlockMessages &&
                         bytes + size <= kBlockBytes && is_plain(blocks.back().front()) && is_plain(all[i]);
      if (joins) {
        blocks.back() = std::span(blocks.back().data(), blocks.back().size() + 1);
        bytes += size;
      } else {
        blocks.push_back(all.subspan(i, 1));
        bytes = size;
      }
    }
    return blocks;
  }

  bool is_plain(const OutgoingMessage& message) const { return !queue_->fifo() && !message.delay && message.dedup_id.empty(); }

  // Some are over the limit that the server knows; the others are sent without them.
  void refuse_large(Chunk& chunk, std::size_t limit) {
    Chunk rest{.part = chunk.part, .messages = {}};
    for (const auto i : chunk.messages) {
      if (const auto size = size_of(request_.messages[i]); size > limit) {
        results_[i] = too_large(size, limit);
      } else {
        rest.messages.push_back(i);
      }
    }
    if (rest.messages.empty() || rest.messages.size() == chunk.messages.size()) return;
    std::vector<Chunk> once;
    once.push_back(std::move(rest));
    round(once);
  }

  void read(const Chunk& chunk, std::span<const Reply> fields) {
    if (fields.size() < 5) {
      for (const auto i : chunk.messages) results_[i] = Error(ErrorCode::kCorrupted, "not the answer of this script");
      return;
    }
    const auto born = fields[1].text();
    auto number = fields[2].integer();
    const auto stamp = fields[3].integer();
    const auto stamps = fields[4].elements();
    std::size_t known = 5;
    std::int64_t fresh = 0;
    Stamp last = 0;
    for (std::size_t k = 0; k < chunk.messages.size(); ++k) {
      auto& result = results_[chunk.messages[k]];
      if (known + 2 < fields.size() && fields[known].integer() == static_cast<std::int64_t>(k) + 1) {
        if (fields[known + 1].integer() == 0) {
          result = Error(ErrorCode::kUnavailable, "the deduplication id was sent with another group at this moment; ask again");
        } else {
          result = sent(chunk.part, born, fields[known + 1].integer(), fields[known + 2].integer(), true);
        }
        known += 3;
        continue;
      }
      const auto its = stamps.empty() ? stamp + fresh : stamps[static_cast<std::size_t>(fresh)].integer();
      result = sent(chunk.part, born, number, its, false);
      last = static_cast<Stamp>(its);
      ++number;
      ++fresh;
    }
    queues_.saw(last);
  }

  SentMessage sent(std::uint32_t part, std::string_view born, std::int64_t number, std::int64_t stamp, bool deduplicated) const {
    const MessageName name{.queue = queue_->name(),
                           .part = part,
                           .number = static_cast<std::uint64_t>(number),
                           .stamp = static_cast<Stamp>(stamp),
                           .born = born};
    return {.message_id = message_id_of(name), .stamp = name.stamp, .deduplicated = deduplicated};
  }

  RedisQueues& queues_;
  QueuePtr queue_;
  const SendMessages& request_;
  std::int64_t now_;
  RedisQueues::LaneUse lane_;
  std::size_t first_ = 0;                    // of the messages of this round
  std::map<std::size_t, std::string> pins_;  // token of the pin
  std::vector<Result<SentMessage>> results_;
};

Result<std::vector<Result<SentMessage>>> RedisQueues::send(const SendMessages& request) {
  return with_queue(request.queue, request.deadline, [&](const QueuePtr& queue) -> Result<std::vector<Result<SentMessage>>> {
    if (request.messages.empty()) return std::vector<Result<SentMessage>>{};
    auto results = RedisSender(*this, queue, request).send();
    queue->bell->ring();
    // What concerns no single message is the whole call's error.
    const auto whole = [](const Result<SentMessage>& result) {
      return !result && (result.error().code() == ErrorCode::kNotFound || result.error().source() == ErrorSource::kRedis);
    };
    if (std::all_of(results.begin(), results.end(), whole)) return std::move(results.front()).error();
    return results;
  });
}

}  // namespace setget::inline v0::redis
