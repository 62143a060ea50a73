// Receiving. With one part a receive is one script. With several, a small one first asks all parts what they would give, and so takes the
// oldest wherever they are; a large one takes what it can from one part, another one each time, and looks further only if that is little.
#include <algorithm>

#include "redis/queue_backend.hpp"
#include "redis/queue_checks.hpp"
#include "redis/queue_scripts.hpp"

namespace setget::inline v0::redis {

namespace {

constexpr std::size_t kExact = 32;           // up to here a receive from several parts is exactly oldest first
constexpr std::size_t kMostMessages = 1000;  // of one script

}  // namespace

class RedisReceiver {
 public:
  RedisReceiver(RedisQueues& queues, QueuePtr queue, const ReceiveMessages& request, Deadline deadline)
      : queues_(queues), queue_(std::move(queue)), request_(request), deadline_(deadline) {}

  // What can be taken now.
  Result<std::vector<Message>> receive() {
    for (bool first = true; first || (more_ && taken_.empty() && !failed_); first = false) {
      more_ = false;
      damaged_.clear();
      if (queue_->parts() == 1) {
        take({{0, wanted()}}, {}, room());
      } else if (request_.max_messages <= kExact) {
        take_oldest();
      } else {
        take_many();
      }
      if (!damaged_.empty()) bury_damaged();
    }
    if (taken_.empty() && failed_) return *std::move(failed_);
    std::sort(taken_.begin(), taken_.end(), [](const Message& a, const Message& b) { return a.stamp < b.stamp; });
    return std::move(taken_);
  }

 private:
  struct Share {
    std::uint32_t part = 0;
    std::size_t messages = 0;
  };
  struct Mode {
    bool dry = false;     // only tells what it would take
    bool strict = false;  // not even one message may be over the limit of bytes
  };
  struct Head {
    Stamp stamp = 0;
    std::size_t bytes = 0;
    std::uint32_t part = 0;
  };

  std::size_t wanted() const { return std::min(request_.max_messages - taken_.size(), kMostMessages); }
  std::size_t room() const { return request_.max_bytes > bytes_ ? request_.max_bytes - bytes_ : 0; }

  RedisQueues::Replies ask(const std::vector<Share>& shares, std::size_t room, std::string_view in_flight, Mode mode,
                           std::vector<std::string>& tokens) {
    const auto now = queues_.now();
    // What Lua's numbers hold exactly; more than that is no limit.
    const auto bytes = static_cast<std::int64_t>(std::min<std::uint64_t>(room, kMaxVersion));
    for (std::size_t i = 0; i < shares.size(); ++i) tokens.push_back(hex(queues_.place_->random().next()));
    return queues_.run(
        queue_, shares.size(),
        [&](std::size_t i, bool again) {
          auto call = RedisQueues::on_part(queue_scripts::receive(), *queue_, shares[i].part);
          call.arg(now).arg(tokens[i]).arg(static_cast<std::int64_t>(shares[i].messages)).arg(bytes);
          call.arg(request_.visibility_timeout ? std::to_string(request_.visibility_timeout->count()) : std::string());
          call.arg(in_flight).arg(again ? "1" : "0").arg(mode.dry ? "1" : "0").arg(mode.strict ? "1" : "0");
          return call;
        },
        deadline_);
  }

  // Answers how many came from each.
  std::vector<std::size_t> take(const std::vector<Share>& shares, std::string_view in_flight, std::size_t room, bool strict = false) {
    std::vector<std::string> tokens;
    std::vector<std::size_t> counts(shares.size(), 0);
    auto replies = ask(shares, room, in_flight, Mode{.dry = false, .strict = strict || bytes_ > 0}, tokens);
    std::vector<Leased> leased;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (!replies[i]) {
        failed_ = std::move(replies[i]).error();
        continue;
      }
      auto some = read(shares[i].part, tokens[i], replies[i]->elements());
      counts[i] = some.messages.size() + some.framed.size();
      if (counts[i] > 0) leased.push_back(std::move(some));
    }
    fetch(leased);
    return counts;
  }

  // What one part leased: messages without what their records hold, and the commands that get those. Where the script did without the
  // headers (a "bare" answer), stamps come the same way. Only a bare answer has frames.
  struct Leased {
    std::uint32_t part = 0;
    std::string born{};
    RedisCommand blocks{"HMGET"};
    std::vector<Frame> frames{};
    std::vector<Message> framed{};
    RedisCommand records{"HMGET"};
    std::optional<RedisCommand> headers{};
    std::vector<std::uint64_t> numbers{};
    std::vector<Message> messages{};
  };

  Leased read(std::uint32_t part, std::string_view token, std::span<const Reply> fields) {
    constexpr std::size_t kHead = 6;
    Leased leased;
    if (fields.size() < kHead) {
      failed_ = Error(ErrorCode::kCorrupted, "not the answer of this script").from(ErrorSource::kRedis, 0, {});
      return leased;
    }
    leased.part = part;
    leased.born = fields[1].text();
    const TimePoint until{Milliseconds(fields[2].integer())};
    more_ = more_ || fields[3].integer() != 0;
    const auto odd = fields[5].elements();  // index, receives, origin of those that are not here for the first time
    std::size_t next_odd = 0;
    const bool bare = fields[0].text() == "bare";
    const std::size_t stride = bare ? 1 : 2;
    leased.blocks.key(queue_->shards->name(part, queue_->name() + ":a"));
    leased.records.key(queue_->shards->name(part, queue_->name() + ":b"));
    if (bare) leased.headers.emplace("HMGET").key(queue_->shards->name(part, queue_->name() + ":h"));
    leased.messages.reserve((fields.size() - kHead) / stride);
    for (std::size_t at = kHead; at + stride <= fields.size(); at += stride) {
      if (const auto frame = bare ? parse_frame(fields[at].text()) : std::nullopt) {
        leased.blocks.arg(static_cast<std::int64_t>(frame->first));
        for (std::uint64_t k = 0; k < frame->count; ++k) {
          auto& message = leased.framed.emplace_back();
          message.receipt = receipt_of(queue_->name(), part, frame->first + k, token);
          message.receive_count = 1;
          message.visible_at = until;
          stamp_message(message, leased, frame->first + k, frame->stamp + k * frame->step, 0);
        }
        leased.frames.push_back(*frame);
        continue;
      }
      std::int64_t receives = 1;
      Stamp origin = 0;
      if (next_odd + 2 < odd.size() && static_cast<std::size_t>(odd[next_odd].integer()) == leased.messages.size() + 1) {
        receives = odd[next_odd + 1].integer();
        origin = static_cast<Stamp>(odd[next_odd + 2].integer());
        next_odd += 3;
      }
      const auto number = number_in(fields[at].text());
      leased.records.arg(fields[at].text());
      Message message;
      message.receipt = receipt_of(queue_->name(), part, number, token);
      message.receive_count = static_cast<std::uint32_t>(receives);
      message.visible_at = until;
      if (bare) {
        leased.headers->arg(fields[at].text());
        leased.numbers.push_back(number);
      } else {
        stamp_message(message, leased, number, stamp_in(fields[at + 1].text()), origin);
      }
      leased.messages.push_back(std::move(message));
    }
    return leased;
  }

  void stamp_message(Message& message, const Leased& leased, std::uint64_t number, Stamp stamp, Stamp origin) {
    message.message_id = message_id_of(
        {.queue = queue_->name(), .part = leased.part, .number = number, .stamp = origin != 0 ? origin : stamp, .born = leased.born});
    message.stamp = stamp;
    message.sent_at = time_of(stamp);
    queues_.saw(stamp);
  }

  // The records come past the script (queue_scripts.cpp says why). What cannot be had stays leased until its time is over.
  void fetch(std::vector<Leased>& leased) {
    std::vector<RedisCommand> commands;
    commands.reserve(leased.size() * 3);
    for (auto& some : leased) {
      if (!some.frames.empty()) commands.push_back(std::move(some.blocks).idempotent());
      if (some.messages.empty()) continue;
      commands.push_back(std::move(some.records).idempotent());
      if (some.headers) commands.push_back(std::move(*some.headers).idempotent());
    }
    if (commands.empty()) return;
    auto replies = queues_.place_->client().pipeline(commands, deadline_);
    std::size_t next = 0;
    for (auto& some : leased) {
      if (!some.frames.empty()) take_frames(some, replies[next++]);
      if (some.messages.empty()) continue;
      auto& got = replies[next++];
      auto* headers = some.headers ? &replies[next++] : nullptr;
      if (!got || (headers != nullptr && !*headers)) {
        failed_ = !got ? got.error() : headers->error();
        continue;
      }
      const auto records = got->elements();
      const auto stamps = headers != nullptr ? (*headers)->elements() : std::span<const Reply>();
      for (std::size_t k = 0; k < some.messages.size() && k < records.size(); ++k) {
        if (records[k].is_nil()) continue;  // its lease was over before we got here
        if (headers != nullptr) {
          if (k >= stamps.size() || stamps[k].is_nil()) continue;
          stamp_message(some.messages[k], some, some.numbers[k], stamp_in(stamps[k].text()), 0);
        }
        add(std::move(some.messages[k]), records[k].take_payload());
      }
    }
  }

  void take_frames(Leased& some, Result<Reply>& got) {
    if (!got) {
      failed_ = got.error();
      return;
    }
    const auto blocks = got->elements();
    auto message = some.framed.begin();
    for (std::size_t k = 0; k < some.frames.size() && k < blocks.size(); ++k) {
      const auto its = message;
      message += static_cast<std::ptrdiff_t>(some.frames[k].count);
      if (blocks[k].is_nil()) continue;  // its lease was over before we got here
      const auto records = records_in(blocks[k].take_payload(), some.frames[k].count);
      for (std::size_t n = 0; n < records.size(); ++n) add(std::move(its[static_cast<std::ptrdiff_t>(n)]), records[n]);
    }
  }

  void add(Message message, const Payload& bytes) {
    auto record = decode_record(bytes);
    if (!record) {
      damaged_.push_back({.receipt = std::move(message.receipt), .action = SettleAction::kDeadLetter, .reasons = {damaged_reason()}});
      return;
    }
    message.body = std::move(record->body);
    message.attributes = std::move(record->attributes);
    message.group = std::move(record->group);
    bytes_ += message.body.size();
    taken_.push_back(std::move(message));
  }

  // What was leased and could not be read can never be. Where the lease has ended meanwhile, whoever receives it next does the same.
  void bury_damaged() {
    auto buried = queues_.settle({.queue = queue_->name(), .settlements = damaged_, .deadline = deadline_});
    if (!buried) failed_ = std::move(buried).error();
    more_ = true;  // what they stood before
  }

  void take_oldest() {
    std::vector<Share> all;
    for (std::uint32_t part = 0; part < queue_->parts(); ++part) all.push_back({part, wanted()});
    std::vector<std::string> tokens;
    const auto replies = ask(all, room(), {}, Mode{.dry = true, .strict = false}, tokens);
    std::vector<Head> heads;
    // As the parts know it: somebody may have changed it since this process looked.
    std::int64_t limit = 0;
    std::int64_t in_flight = 0;
    for (const auto& share : all) {
      const auto& reply = replies[share.part];
      if (!reply) {
        failed_ = reply.error();
        continue;
      }
      const auto fields = reply->elements();
      if (fields.size() < 6) continue;
      more_ = more_ || fields[3].integer() != 0;
      limit = std::max(limit, fields[2].integer());
      in_flight += fields[2].integer() - fields[4].integer();
      for (std::size_t at = 6; at + 1 < fields.size(); at += 2) {
        heads.push_back({.stamp = static_cast<Stamp>(fields[at].integer()),
                         .bytes = static_cast<std::size_t>(fields[at + 1].integer()),
                         .part = share.part});
      }
    }
    std::sort(heads.begin(), heads.end(), [](const Head& a, const Head& b) { return a.stamp < b.stamp; });
    heads.resize(std::min({heads.size(), wanted(), static_cast<std::size_t>(std::max<std::int64_t>(limit - in_flight, 0))}));
    std::vector<Share> shares;
    std::size_t bytes = 0;
    for (const auto& head : heads) {
      bytes += head.bytes;
      if (bytes > request_.max_bytes && !shares.empty()) break;
      const auto at = std::find_if(shares.begin(), shares.end(), [&](const Share& share) { return share.part == head.part; });
      if (at == shares.end()) {
        shares.push_back({head.part, 1});
      } else {
        ++at->messages;
      }
    }
    if (!shares.empty()) take(shares, {}, room());
  }

  void take_many() {
    const auto parts = queue_->parts();
    const auto in_flight = std::to_string((queue_->info.options.max_in_flight + parts - 1) / parts);
    const auto start = queue_->next_receive.fetch_add(1, std::memory_order_relaxed) % parts;
    take({{start, wanted()}}, in_flight, room());
    if (taken_.size() * 2 >= std::min(request_.max_messages, kMostMessages) || room() == 0) return;
    const auto share = std::max<std::size_t>(wanted() / (parts - 1), 1);
    const auto rest = wanted();
    std::vector<Share> others;
    for (std::uint32_t i = 1; i < parts && others.size() < rest; ++i) others.push_back({(start + i) % parts, share});
    const auto counts = take(others, in_flight, room() / others.size(), true);
    for (std::size_t i = 0; i < others.size() && taken_.size() < request_.max_messages && room() > 0; ++i) {
      if (counts[i] == share || bytes_ == 0) take({{others[i].part, wanted()}}, in_flight, room());
    }
  }

  RedisQueues& queues_;
  QueuePtr queue_;
  const ReceiveMessages& request_;
  Deadline deadline_;
  std::vector<Message> taken_;
  std::size_t bytes_ = 0;
  std::vector<Settlement> damaged_;
  bool more_ = false;  // a part had more to do than one step does
  std::optional<Error> failed_;
};

Result<std::vector<Message>> RedisQueues::receive(const ReceiveMessages& request) {
  constexpr Milliseconds kFirstWait{1};
  constexpr Milliseconds kLongestWait{20};
  constexpr Milliseconds kLastLook{20};  // so long before the deadline nothing more is asked: an answer cut off would leave leases
  if (auto valid = check_positive("max_messages", request.max_messages); !valid) return std::move(valid).error();
  if (request.visibility_timeout) {
    if (auto valid = check_length("visibility_timeout", *request.visibility_timeout, Milliseconds(1)); !valid)
      return std::move(valid).error();
  }
  // Those in this process who wait are rung for; what others send, and what time brings, is asked for.
  const auto deadline = request.latest();
  const auto end = std::min(request.wait.time(), std::max(deadline.time(), Deadline::Steady::now()) - kLastLook);
  return with_queue(request.queue, deadline, [&](const QueuePtr& queue) -> Result<std::vector<Message>> {
    for (auto wait = kFirstWait;;) {
      const auto seen = queue->bell->count();
      auto taken = RedisReceiver(*this, queue, request, deadline).receive();
      if (!taken || !taken->empty() || end <= Deadline::Steady::now()) return taken;
      queue->bell->wait(seen, std::min(end, Deadline::Steady::now() + wait));
      wait = queue->bell->count() != seen ? kFirstWait : std::min(wait * 2, kLongestWait);
    }
  });
}

}  // namespace setget::inline v0::redis
