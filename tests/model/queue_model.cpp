// Random sequences of sends, receives, settlements, time and dead-letter work against a queue and against the reference.
#include <algorithm>
#include <map>
#include <ostream>
#include <set>

#include "model/models.hpp"
#include "model/property.hpp"
#include "model/queue_reference.hpp"
#include "model/subject.hpp"

namespace setget_tests {

using namespace setget;

namespace {

enum class Step { kSend, kReceive, kAck, kAckMany, kRelease, kExtend, kDeadLetter, kAdvance, kRedrive, kPurge };

struct Op {
  Step step = Step::kSend;
  int which = 0;      // group of a send; which receipt of all ever given
  int amount = 1;     // messages of a receive, limit of a redrive or purge
  int time = 0;       // delay, extension, step of the clock: in units of 100 ms
  bool flag = false;  // uncounted release; restamping redrive
  int dedup = 0;      // 0 = none
  int batch = 1;      // messages of a send, receipts of an ack of many
};

std::ostream& operator<<(std::ostream& out, const Op& op) {
  static const char* const kNames[] = {"send",   "receive",     "ack",     "ack_many", "release",
                                       "extend", "dead_letter", "advance", "redrive",  "purge"};
  return out << kNames[static_cast<int>(op.step)] << "(which=" << op.which << " amount=" << op.amount << " time=" << op.time
             << " flag=" << op.flag << " dedup=" << op.dedup << " batch=" << op.batch << ")";
}

rc::Gen<Op> any_op() {
  return rc::gen::build<Op>(
      rc::gen::set(&Op::step, rc::gen::weightedElement<Step>({{6, Step::kSend},
                                                              {6, Step::kReceive},
                                                              {4, Step::kAck},
                                                              {3, Step::kAckMany},
                                                              {3, Step::kRelease},
                                                              {2, Step::kExtend},
                                                              {1, Step::kDeadLetter},
                                                              {4, Step::kAdvance},
                                                              {1, Step::kRedrive},
                                                              {1, Step::kPurge}})),
      rc::gen::set(&Op::which, rc::gen::inRange(0, 12)),
      rc::gen::set(&Op::amount, rc::gen::weightedOneOf<int>({{4, rc::gen::inRange(1, 5)}, {2, rc::gen::inRange(5, 33)}})),
      rc::gen::set(&Op::time, rc::gen::weightedOneOf<int>({{2, rc::gen::just(0)}, {3, rc::gen::inRange(1, 30)}})),
      rc::gen::set(&Op::flag, rc::gen::arbitrary<bool>()),
      rc::gen::set(&Op::dedup, rc::gen::weightedElement<int>({{5, 0}, {1, 1}, {1, 2}})),
      rc::gen::set(&Op::batch,
                   rc::gen::weightedOneOf<int>({{3, rc::gen::just(1)}, {3, rc::gen::inRange(2, 9)}, {1, rc::gen::inRange(9, 70)}})));
}

// Uneven, so that a sum of steps of the clock never falls exactly on it.
constexpr Milliseconds kVisibility{1'007};
constexpr Milliseconds kRetention{9'013};
constexpr Milliseconds kDedupWindow{2'003};

class Sequence {
 public:
  Sequence(Subject& subject, QueueKind kind, Parts parts)
      : subject_(subject), name_(subject.fresh_name()), options_(options_of(kind)), parts_(parts), reference_(options_) {
    subject_.queues().create({.name = name_, .options = options_}).value();
  }
  ~Sequence() { (void)subject_.queues().remove(name_); }
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  void run(const Op& op) {
    switch (op.step) {
      case Step::kSend:
        send(op);
        break;
      case Step::kReceive:
        receive(static_cast<std::size_t>(op.amount));
        break;
      case Step::kAckMany:
        ack_many(op);
        break;
      case Step::kAdvance:
        subject_.advance(Milliseconds(op.time * 100));
        reference_.lapse(subject_.now());
        break;
      case Step::kRedrive:
        redrive(op);
        break;
      case Step::kPurge: {
        const auto limit = static_cast<std::size_t>(op.amount);
        const auto purged = subject_.queues().purge({.queue = name_, .filter = {}, .limit = limit}).value();
        RC_ASSERT(purged == reference_.purge(limit));
        break;
      }
      default:
        settle(op);
    }
    compare();
  }

  void compare() {
    const auto now = subject_.now();
    const auto stats = subject_.queues().stats(name_).value();
    const auto counts = reference_.counts(now);
    RC_ASSERT(stats.depth == counts.depth);
    RC_ASSERT(stats.in_flight == counts.in_flight);
    RC_ASSERT(stats.delayed == counts.delayed);
    RC_ASSERT(stats.accepted == reference_.messages().size());
    for (std::size_t i = 1; i < kOutcomeCount; ++i) RC_ASSERT(stats.outcomes[i] == counts.outcomes[i]);
    RC_ASSERT(stats.dead_letters == counts.outcomes[static_cast<std::size_t>(Outcome::kDeadLettered)]);
  }

  void compare_everything() {
    compare();
    for (const auto& message : reference_.messages()) {
      const auto found = subject_.queues().find({.message_id = message.message_id}).value();
      RC_ASSERT(found.outcome == message.outcome);
      RC_ASSERT(found.stamp == message.stamp);
      if (message.outcome == Outcome::kPending) RC_ASSERT(found.receive_count == message.receives);
    }
    const auto unfinished = reference_.unfinished();
    const auto peeked = subject_.queues().peek({.queue = name_, .limit = 1000}).value();
    RC_ASSERT(peeked.size() == unfinished.size());
    for (std::size_t i = 0; i < peeked.size(); ++i) RC_ASSERT(peeked[i].body.str() == unfinished[i]->body);
    const auto dead = reference_.dead();
    const auto letters = subject_.queues().dead_letters({.queue = name_, .filter = {}, .cursor = {}, .limit = 1000}).value().letters;
    RC_ASSERT(letters.size() == dead.size());
    for (std::size_t i = 0; i < letters.size(); ++i) {
      RC_ASSERT(letters[i].body.str() == dead[i]->body);
      RC_ASSERT(dead[i]->code.find(letters[i].reasons.at(0).code) != std::string::npos);
    }
    const auto oldest = subject_.queues().oldest_unfinished().value();
    if (const auto expected = reference_.oldest_unfinished()) {
      RC_ASSERT(oldest == *expected);
    } else {
      for (const auto& message : reference_.messages()) RC_ASSERT(oldest > message.stamp);
    }
  }

 private:
  static QueueOptions options_of(QueueKind kind) {
    QueueOptions options;
    options.kind = kind;
    options.visibility_timeout = kVisibility;
    options.retention = kRetention;
    options.max_receives = 2;
    options.dedup_window = kDedupWindow;
    return options;
  }

  // A batch; what the operation says of delay and deduplication holds for its first message and every seventh.
  void send(const Op& op) {
    static const std::vector<std::string> kGroups{"", "a", "b"};
    const Milliseconds delay(op.time > 15 ? op.time * 100 : 0);
    std::vector<OutgoingMessage> messages(static_cast<std::size_t>(op.batch));
    for (std::size_t i = 0; i < messages.size(); ++i) {
      messages[i].body = Payload("body" + std::to_string(bodies_++));
      messages[i].group = kGroups[(static_cast<std::size_t>(op.which) + i / 2) % kGroups.size()];
      if (i % 7 != 0) continue;
      if (delay > Milliseconds(0)) messages[i].delay = delay;
      if (op.dedup != 0) messages[i].dedup_id = std::to_string(op.dedup + static_cast<int>(i));
    }
    const auto results = subject_.queues().send({.queue = name_, .messages = messages}).value();
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const auto& message = messages[i];
      const auto& sent = results[i].value();
      RC_ASSERT(sent.deduplicated == known_duplicate(message.dedup_id, sent));
      if (sent.deduplicated) continue;
      RC_ASSERT(sent.stamp > last_stamp_);
      last_stamp_ = sent.stamp;
      if (!message.dedup_id.empty()) dedup_[message.dedup_id] = {subject_.now() + kDedupWindow, sent.message_id};
      reference_.sent(sent, message.body.str(), message.group, message.delay.value_or(Milliseconds(0)), subject_.now());
    }
  }

  bool known_duplicate(const std::string& dedup, const SentMessage& sent) const {
    const auto found = dedup_.find(dedup);
    if (dedup.empty() || found == dedup_.end() || found->second.first <= subject_.now()) return false;
    RC_ASSERT(sent.message_id == found->second.second);
    return true;
  }

  void receive(std::size_t amount) {
    const auto got = subject_.queues().receive({.queue = name_, .max_messages = amount, .visibility_timeout = {}}).value();
    std::string bodies;
    for (const auto& message : got) bodies += message.body.str() + " ";
    const auto expected = reference_.receive(amount, subject_.now());
    std::string expected_bodies;
    for (const auto index : expected) expected_bodies += reference_.messages()[index].body + " ";
    if (bodies != expected_bodies) RC_FAIL("received " + bodies + "instead of " + expected_bodies);
    if (parts_ == Parts::kSeveral) {
      for (const auto index : reference_.doomed(subject_.now())) {
        const auto found = subject_.queues().find({.message_id = reference_.messages()[index].message_id}).value();
        if (found.outcome == Outcome::kDeadLettered) reference_.buried(index, subject_.now());
      }
    }
    for (std::size_t i = 0; i < got.size(); ++i) {
      reference_.leased(expected[i], got[i].receipt, subject_.now() + kVisibility);
      const auto& message = reference_.messages()[expected[i]];
      RC_ASSERT(got[i].message_id == message.message_id);
      RC_ASSERT(got[i].stamp == message.stamp);
      RC_ASSERT(got[i].group == message.group);
      RC_ASSERT(got[i].receive_count == message.receives);
      RC_ASSERT(got[i].visible_at == message.visible_at);
      RC_ASSERT(std::find(receipts_.begin(), receipts_.end(), got[i].receipt) == receipts_.end());
      receipts_.push_back(got[i].receipt);
    }
  }

  void settle(const Op& op) {
    if (receipts_.empty()) return;
    // Mostly the recent ones, but lost ones too.
    const auto back = static_cast<std::size_t>(op.which) % receipts_.size();
    Settlement settlement;
    settlement.receipt = receipts_[receipts_.size() - 1 - back];
    settlement.delay = Milliseconds(op.time * 100);
    switch (op.step) {
      case Step::kAck:
        settlement.action = SettleAction::kAck;
        settlement.outcome = static_cast<Outcome>(1 + op.amount % 4);
        break;
      case Step::kRelease:
        settlement.action = SettleAction::kRelease;
        settlement.uncounted = op.flag;
        break;
      case Step::kExtend:
        settlement.action = SettleAction::kExtend;
        settlement.delay += Milliseconds(50);
        break;
      default:
        settlement.action = SettleAction::kDeadLetter;
        settlement.reasons = {{.code = "invalid", .message = {}, .pointer = {}}};
    }
    const auto result = subject_.queues().settle({.queue = name_, .settlements = std::span(&settlement, 1)}).value().at(0);
    const bool expected = reference_.settle(settlement, subject_.now());
    RC_ASSERT(result.has_value() == expected);
    if (!result) RC_ASSERT(result.error().code() == ErrorCode::kLeaseLost);
  }

  // Several receipts in one call, in the order in which they were given; with one of them twice, if the operation says so.
  void ack_many(const Op& op) {
    if (receipts_.empty()) return;
    const auto back = std::min(static_cast<std::size_t>(op.which + op.batch), receipts_.size());
    const auto count = std::min(static_cast<std::size_t>(op.batch), back);
    const auto first = receipts_.end() - static_cast<std::ptrdiff_t>(back);
    std::vector<Settlement> settlements;
    for (std::size_t i = 0; i < count; ++i) {
      settlements.push_back({.receipt = first[static_cast<std::ptrdiff_t>(i)],
                             .action = SettleAction::kAck,
                             .outcome = static_cast<Outcome>(1 + op.amount % 4)});
    }
    if (op.flag) settlements.push_back(settlements[count / 2]);
    const auto results = subject_.queues().settle({.queue = name_, .settlements = settlements}).value();
    for (std::size_t i = 0; i < settlements.size(); ++i) {
      RC_ASSERT(results[i].has_value() == reference_.settle(settlements[i], subject_.now()));
    }
  }

  void redrive(const Op& op) {
    const auto limit = static_cast<std::size_t>(op.amount);
    const bool restamp = op.flag;
    const auto moved = subject_.queues().redrive({.queue = name_, .filter = {}, .limit = limit, .restamp = restamp}).value();
    RC_ASSERT(moved == reference_.redrive(limit, restamp, subject_.now()));
    if (!restamp || moved == 0) return;
    std::map<std::string, Stamp> stamps;
    for (const auto& message : subject_.queues().peek({.queue = name_, .limit = 1000}).value()) stamps[message.body.str()] = message.stamp;
    for (const auto& message : reference_.messages()) {
      if (message.stamp != 0) continue;
      RC_ASSERT(stamps.count(message.body) == 1u);
      RC_ASSERT(stamps[message.body] > last_stamp_);
    }
    reference_.restamped(stamps);
    for (const auto& message : reference_.messages()) last_stamp_ = std::max(last_stamp_, message.stamp);
  }

  Subject& subject_;
  std::string name_;
  QueueOptions options_;
  Parts parts_;
  QueueReference reference_;
  std::vector<std::string> receipts_;
  std::map<std::string, std::pair<TimePoint, std::string>> dedup_;
  Stamp last_stamp_ = 0;
  int bodies_ = 0;
};

}  // namespace

void queue_agrees(const ConformanceParams& params, QueueKind kind, int cases, Parts parts) {
  Subject subject(params);
  check_property(cases, [&] {
    const auto ops = *rc::gen::container<std::vector<Op>>(any_op());
    Sequence sequence(subject, kind, parts);
    for (const auto& op : ops) sequence.run(op);
    sequence.compare_everything();
  });
}

}  // namespace setget_tests
