#include <algorithm>
#include <map>
#include <queue>
#include <string>

#include "core/check_length.hpp"
#include "sqlite/queue.hpp"

namespace setget::inline v0::sqlite {

namespace {

// What one receive leased. The bodies are read afterwards by the receiver's own thread.
struct Taken {
  std::int64_t queue = 0;
  std::uint64_t token = 0;
  std::int64_t until = 0;
  std::vector<LeaseMember> members;                // by rising stamp
  std::vector<std::pair<Stamp, Stamp>> stretches;  // of stamps that hold all members
  bool full = false;                               // the limit of messages in flight is reached
};

// One ready run as it is stored.
struct Run {
  Stamp first = 0;
  Stamp last = 0;
  std::uint32_t flags = 0;
  Stamp stored_first = 0;
};

// A message that may be taken, and the first of its group that was: that is what tells groups of one lease apart.
struct Place {
  Stamp stamp = 0;
  Stamp head = 0;
  bool operator>(const Place& other) const noexcept { return stamp > other.stamp; }
};

class Receiver {
 public:
  Receiver(WriteTxn& txn, const QueueRow& queue, const ReceiveMessages& request)
      : txn_(txn), db_(txn.db()), queue_(queue), request_(request), now_(txn.now().time_since_epoch().count()) {}

  Taken receive() {
    wake_up(txn_, queue_);
    txn_.book().flush_ready(db_);
    const auto& options = queue_.info.options;
    const auto in_flight = txn_.book().counters(db_, queue_.id).in_flight;
    taken_.queue = queue_.id;
    taken_.full = in_flight >= options.max_in_flight;
    if (taken_.full) return std::move(taken_);
    wanted_ = std::min<std::size_t>(request_.max_messages, static_cast<std::size_t>(options.max_in_flight - in_flight));
    taken_.until = (txn_.now() + request_.visibility_timeout.value_or(options.visibility_timeout)).time_since_epoch().count();
    // Rounds, because dead letters on the way make room for others.
    for (int round = 0; round < 64 && !stopped_ && taken_.members.size() < wanted_; ++round) {
      if (!take_runs()) break;
    }
    for (const auto& [head, group] : beheaded_) {
      if (!holds(head)) group_is_free(txn_, queue_.id, group);
    }
    if (!taken_.members.empty()) lease();
    return std::move(taken_);
  }

 private:
  // False if there was nothing.
  bool take_runs() {
    std::vector<Run> runs;
    const auto asked = wanted_ - taken_.members.size();
    {
      auto row = db_.query("SELECT n, v FROM state WHERE kind=?1 AND queue=?2 ORDER BY n LIMIT ?3");
      row.with(kReadyKind, queue_.id, static_cast<std::int64_t>(asked));
      while (row.step()) {
        const auto value = row.number(1);
        runs.push_back(
            {.first = row.number(0), .last = value >> 2, .flags = static_cast<std::uint32_t>(value & 3), .stored_first = row.number(0)});
      }
    }
    for (auto& run : runs) {
      take_followers_before(run.first);
      while (!done() && run.first <= run.last) {
        const auto end = followers_.empty() ? run.last : std::min(run.last, followers_.top().stamp - 1);
        take_stretch(run, end);
        take_followers_before(run.first);
      }
      store(run);
      if (done()) break;
    }
    // Where more runs may lie behind these, older messages than the followers may be among them.
    while (runs.size() < asked && !done() && !followers_.empty()) take_follower();
    return !runs.empty();
  }

  bool done() const noexcept { return stopped_ || taken_.members.size() >= wanted_; }

  void take_followers_before(Stamp stamp) {
    while (!done() && !followers_.empty() && followers_.top().stamp < stamp) take_follower();
  }

  // Messages of the run up to `end`; run.first becomes the first that was not taken.
  void take_stretch(Run& run, Stamp end) {
    struct Candidate {
      Stamp stamp;
      std::size_t bytes;
      std::string group;
    };
    std::vector<Candidate> candidates;
    {
      auto row = db_.query("SELECT stamp, length(body), grp FROM log WHERE stamp BETWEEN ?1 AND ?2 AND queue=?3 ORDER BY stamp LIMIT ?4");
      row.with(run.first, end, queue_.id, static_cast<std::int64_t>(wanted_ - taken_.members.size()));
      while (row.step()) {
        candidates.push_back({.stamp = row.number(0),
                              .bytes = static_cast<std::size_t>(row.integer(1)),
                              .group = (run.flags & kGrouped) != 0 ? row.text(2) : std::string()});
      }
    }
    const auto first = taken_.members.size();
    const bool whole = candidates.size() < wanted_ - first;
    for (const auto& candidate : candidates) {
      // Who stands in a run is the first of its group: the others wait.
      if (!take({.stamp = candidate.stamp, .head = candidate.stamp}, candidate.bytes, candidate.group, run.flags)) break;
      run.first = candidate.stamp + 1;
    }
    if (!stopped_ && whole) run.first = end + 1;
    if (taken_.members.size() > first) taken_.stretches.emplace_back(taken_.members[first].stamp, run.first - 1);
  }

  void take_follower() {
    const auto follower = followers_.top();
    const auto stamp = follower.stamp;
    followers_.pop();
    std::string group;
    std::size_t bytes = 0;
    {
      auto row = db_.query("SELECT length(body), grp FROM log WHERE stamp=?1");
      if (!row.with(stamp).step()) return bury_lost(follower);
      bytes = static_cast<std::size_t>(row.integer(0));
      group = row.text(1);
    }
    std::uint32_t flags = 0;
    {
      auto row = db_.query("SELECT flags FROM waiting WHERE queue=?1 AND grp=?2 AND stamp=?3");
      if (!row.with(queue_.id, group, stamp).step()) return;
      flags = static_cast<std::uint32_t>(row.integer(0)) | kGrouped;
    }
    const auto before = taken_.members.size();
    follower_ = true;
    take(follower, bytes, group, flags);
    follower_ = false;
    if (taken_.members.size() > before) taken_.stretches.emplace_back(stamp, stamp);
  }

  // A follower whose row is gone: one message's trouble, and not that of its group or the queue.
  void bury_lost(const Place& place) {
    std::string group;
    {
      auto row = db_.query("SELECT grp FROM waiting WHERE queue=?1 AND stamp=?2");
      if (!row.with(queue_.id, place.stamp).step()) return;
      group = row.text(0);
    }
    follower_ = true;
    leave_waiting_room(place.stamp, group);
    follower_ = false;
    bury_message(txn_, queue_.id, place.stamp, load_history(db_, place.stamp).receives, {damaged_reason()});
    beheaded_.emplace(place.head, group);
    follow(group, place);
  }

  // Leases the message or makes it a dead letter; false if it must stay because the batch has enough bytes.
  bool take(const Place& place, std::size_t bytes, const std::string& group, std::uint32_t flags) {
    const auto stamp = place.stamp;
    const auto& options = queue_.info.options;
    MessageHistory history;
    if ((flags & kHasHistory) != 0) history = load_history(db_, stamp);
    const auto since = history.since ? *history.since : time_of(stamp).time_since_epoch().count();
    const bool outlived = since + options.retention.count() <= now_;
    const bool poison = options.max_receives > 0 && history.receives >= options.max_receives;
    const bool lives = !outlived && !poison;
    if (lives && !taken_.members.empty() && bytes_ + bytes > request_.max_bytes) {
      stopped_ = true;
      return false;
    }
    leave_waiting_room(stamp, group);
    if (!lives) {
      bury_message(txn_, queue_.id, stamp, history.receives,
                   {poison ? Reason{.code = "max_receives", .message = "received too often without an ack", .pointer = {}}
                           : Reason{.code = "retention", .message = "not finished within the queue's retention", .pointer = {}}});
      if (group.empty()) return true;
      // Its next message takes its turn by age, in this batch where there is room.
      beheaded_.emplace(place.head, group);
      follow(group, place);
      return true;
    }
    bytes_ += bytes;
    ++txn_.book().counters(db_, queue_.id).in_flight;
    taken_.members.push_back(
        {.stamp = stamp, .until = taken_.until, .group = group.empty() ? 0 : place.head, .receives = history.receives + 1, .flags = flags});
    if (!group.empty()) follow(group, place);
    return true;
  }

  // Takes the message out of where it waited, as far as that is not its run.
  void leave_waiting_room(Stamp stamp, const std::string& group) {
    auto& counters = txn_.book().counters(db_, queue_.id);
    if (!follower_) {
      --counters.ready;
      return;
    }
    const bool delayed =
        db_.find_integer("SELECT due FROM waiting WHERE queue=?1 AND grp=?2 AND stamp=?3", queue_.id, group, stamp).has_value();
    --(delayed ? counters.delayed : counters.ready);
    db_.run("DELETE FROM waiting WHERE queue=?1 AND grp=?2 AND stamp=?3", queue_.id, group, stamp);
  }

  // The next message of a group whose message was just taken may come in the same batch.
  void follow(const std::string& group, const Place& after) {
    auto row = db_.query("SELECT stamp, due FROM waiting WHERE queue=?1 AND grp=?2 AND stamp>?3 ORDER BY stamp LIMIT 1");
    if (!row.with(queue_.id, group, after.stamp).step()) return;
    if (row.is_null(1) || row.integer(1) <= now_) followers_.push({.stamp = row.number(0), .head = after.head});
  }

  bool holds(Stamp head) const {
    return std::any_of(taken_.members.begin(), taken_.members.end(), [&](const LeaseMember& member) { return member.group == head; });
  }

  void store(const Run& run) {
    if (run.first == run.stored_first) return;
    db_.run("DELETE FROM state WHERE kind=?1 AND queue=?2 AND n=?3", kReadyKind, queue_.id, run.stored_first);
    if (run.first > run.last) return;
    db_.run("INSERT INTO state(kind, queue, n, v) VALUES(?1, ?2, ?3, ?4)", kReadyKind, queue_.id, run.first,
            static_cast<std::int64_t>(run.last << 2 | run.flags));
  }

  void lease() {
    std::sort(taken_.members.begin(), taken_.members.end(), [](const LeaseMember& a, const LeaseMember& b) { return a.stamp < b.stamp; });
    taken_.token = ++txn_.book().edit_meta().last_token;
    const auto bytes = encode_members(taken_.members, taken_.until);
    db_.run("INSERT INTO lease(token, queue, until, low, members) VALUES(?1, ?2, ?3, ?4, ?5)", taken_.token, queue_.id, taken_.until,
            taken_.members.front().stamp, bytes);
  }

  WriteTxn& txn_;
  Connection& db_;
  const QueueRow& queue_;
  const ReceiveMessages& request_;
  std::int64_t now_;
  Taken taken_;
  std::size_t wanted_ = 0;
  std::size_t bytes_ = 0;
  bool stopped_ = false;
  bool follower_ = false;
  // By head: groups of which a message was buried; free at the end if none of theirs was leased.
  std::map<Stamp, std::string> beheaded_;
  std::priority_queue<Place, std::vector<Place>, std::greater<>> followers_;
};

// Reads what was leased, as its receiver gets it.
class Reading {
 public:
  Reading(Connection& db, const Taken& taken) : db_(db), taken_(taken) {}

  std::vector<Message> read() {
    messages_.reserve(taken_.members.size());
    for (const auto& [first, last] : taken_.stretches) {
      const auto before = messages_.size();
      try {
        read_stretch(first, last);
      } catch (const SqlError& failed) {
        if (failed.error().code() != ErrorCode::kCorrupted) throw;
        messages_.resize(before);
        read_one_by_one(first, last);
      }
    }
    std::sort(messages_.begin(), messages_.end(), [](const Message& a, const Message& b) { return a.stamp < b.stamp; });
    for (auto& message : messages_) {
      const auto origin = (member_of(message.stamp)->flags & kHasHistory) != 0 ? load_history(db_, message.stamp).origin : std::nullopt;
      message.message_id = message_id_of(taken_.queue, origin.value_or(message.stamp));
    }
    return std::move(messages_);
  }

 private:
  void read_stretch(Stamp first, Stamp last) {
    auto row = db_.query("SELECT stamp, grp, attrs, sum, body FROM log WHERE stamp BETWEEN ?1 AND ?2 AND queue=?3 ORDER BY stamp");
    row.with(first, last, taken_.queue);
    while (row.step()) {
      if (const auto* member = member_of(row.number(0))) messages_.push_back(message_of(row, *member));
    }
  }

  // Those that are damaged are left out.
  void read_one_by_one(Stamp first, Stamp last) {
    for (const auto& member : taken_.members) {
      if (member.stamp < first || member.stamp > last) continue;
      try {
        read_stretch(member.stamp, member.stamp);
      } catch (const SqlError& failed) {
        if (failed.error().code() != ErrorCode::kCorrupted) throw;
      }
    }
  }

  Message message_of(const Query& row, const LeaseMember& member) const {
    Message message;
    message.receipt = receipt_of({.queue = taken_.queue, .stamp = member.stamp, .token = taken_.token});
    message.body = checked_body(row.blob(4), row.integer(3));
    message.attributes = decode_attributes(row.blob(2));
    message.group = row.text(1);
    message.stamp = member.stamp;
    message.sent_at = time_of(member.stamp);
    message.receive_count = member.receives;
    message.visible_at = TimePoint(Milliseconds(member.until));
    return message;
  }

  const LeaseMember* member_of(Stamp stamp) const {
    const auto at =
        std::lower_bound(taken_.members.begin(), taken_.members.end(), stamp, [](const LeaseMember& a, Stamp b) { return a.stamp < b; });
    return at != taken_.members.end() && at->stamp == stamp ? &*at : nullptr;
  }

  Connection& db_;
  const Taken& taken_;
  std::vector<Message> messages_;
};

// What was leased and could not be read can never be.
Result<void> bury_damaged(WriteTxn& txn, const Taken& taken, const std::vector<Message>& read) {
  Leases leases(txn, taken.queue);
  auto next = read.begin();
  for (const auto& leased : taken.members) {  // both by rising stamp
    if (next != read.end() && next->stamp == leased.stamp) {
      ++next;
      continue;
    }
    const Receipt receipt{.queue = taken.queue, .stamp = leased.stamp, .token = taken.token};
    // Not there any more where the lease has ended meanwhile: whoever receives it next does the same.
    if (const auto member = leases.take(receipt)) dead_letter_message(txn, taken.queue, leases, receipt, *member, {damaged_reason()});
  }
  leases.write();
  return {};
}

// Whether a receive would find something to do, without taking part in a commit; and when it will at the latest, where that is known.
struct Outlook {
  bool now = false;
  std::optional<std::int64_t> next;
};
Outlook look_ahead(Connection& db, const QueueRow& queue, std::int64_t now) {
  Outlook outlook;
  outlook.now = db.find_integer("SELECT 1 FROM state WHERE kind=?1 AND queue=?2 LIMIT 1", kReadyKind, queue.id).has_value();
  for (const auto& at : {db.find_integer("SELECT due FROM delayed WHERE queue=?1 ORDER BY due LIMIT 1", queue.id),
                         db.find_integer("SELECT until FROM lease WHERE queue=?1 ORDER BY until LIMIT 1", queue.id)}) {
    if (!at) continue;
    if (*at <= now) outlook.now = true;
    outlook.next = std::min(outlook.next.value_or(*at), *at);
  }
  return outlook;
}

}  // namespace

Result<std::vector<Message>> SqliteQueues::receive(const ReceiveMessages& request) {
  if (request.max_messages == 0) return Error(ErrorCode::kInvalidArgument, "max_messages must be > 0").at_field("max_messages");
  if (request.visibility_timeout) {
    if (auto valid = detail::check_length("visibility_timeout", *request.visibility_timeout, Milliseconds(1)); !valid)
      return std::move(valid).error();
  }
  const auto latest = request.latest();
  const auto end = Deadline::at(std::min(request.wait.time(), latest.time()));
  bool full = false;
  for (;;) {
    const auto seen = engine_->sidecar().seen(Topic::kMessages);
    const auto settled = engine_->sidecar().seen(Topic::kOutcomes);
    auto outlook = engine_->read([&](Connection& db) -> Result<Outlook> {
      for (const auto& queue : read_queues(db)) {
        if (queue.info.name == request.queue) return look_ahead(db, queue, engine_->now().time_since_epoch().count());
      }
      return no_such_queue(request.queue);
    });
    if (!outlook) return std::move(outlook).error();
    if (outlook->now) {
      auto taken = engine_->write(
          [&](WriteTxn& txn) -> Result<Taken> {
            const auto* queue = txn.book().queue(txn.db(), request.queue);
            if (queue == nullptr) return no_such_queue(request.queue);
            return Receiver(txn, *queue, request).receive();
          },
          latest);
      if (!taken) return std::move(taken).error();
      if (!taken->members.empty()) {
        auto messages = engine_->read([&](Connection& db) -> Result<std::vector<Message>> { return Reading(db, *taken).read(); });
        if (!messages || messages->size() == taken->members.size()) return messages;
        const auto damaged = taken->members.size() - messages->size();
        engine_->log(LogLevel::kError, "messages whose stored bytes are damaged became dead letters",
                     {{"queue", request.queue}, {"messages", std::to_string(damaged)}});
        auto buried = engine_->write([&](WriteTxn& txn) { return bury_damaged(txn, *taken, *messages); }, latest);
        if (!messages->empty()) return messages;  // those that are not buried come again when their lease ends
        if (!buried) return std::move(buried).error();
        continue;
      }
      full = taken->full;
    }
    const auto left = end.left();
    if (left <= std::chrono::nanoseconds(0)) return std::vector<Message>{};
    std::chrono::nanoseconds longest = std::min<std::chrono::nanoseconds>(left, engine_->longest_wait());
    if (outlook->next) {
      const auto until = Milliseconds(*outlook->next - engine_->now().time_since_epoch().count());
      longest = std::min<std::chrono::nanoseconds>(longest, std::max<std::chrono::nanoseconds>(until, std::chrono::milliseconds(1)));
    }
    if (full) {
      engine_->sidecar().wait(Topic::kOutcomes, settled, longest);
    } else {
      engine_->sidecar().wait(Topic::kMessages, seen, longest);
    }
  }
}

}  // namespace setget::inline v0::sqlite
