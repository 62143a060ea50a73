// Whole rounds of a Worker under faults: acks whose replies are lost, messages that are delivered twice, stores that fail before or after
// the effect, and a consumer that goes on after its lease has ended. Whatever happens: once all is finished, the state is the reference's.
#include <ostream>

#include <setget/setget.hpp>
#include <setget/testing/commands.hpp>
#include <setget/testing/faults.hpp>

#include "model/key_store_reference.hpp"
#include "model/models.hpp"
#include "model/property.hpp"
#include "model/subject.hpp"

namespace setget_tests {

using namespace setget;
namespace kit = setget::testing;

namespace {

const std::vector<std::string> kIds{"a", "b", "c"};
const std::vector<std::string> kKeys{"k", "l", "m"};

struct Sent {
  int kind = 0;  // 0..5 set, 6 erase, 7 erase by key, 8 touch
  int id = 0;
  int keys = 1;
  int version = 0;  // 0 = assigned
  bool grouped = true;
};

struct Trouble {
  int fault = 0;  // of kFaults; beyond: a consumer takes messages and stalls
  int after = 0;
  int times = 1;
};

std::ostream& operator<<(std::ostream& out, const Sent& sent) {
  return out << "{kind=" << sent.kind << " id=" << sent.id << " keys=" << sent.keys << " version=" << sent.version
             << " grouped=" << sent.grouped << "}";
}
std::ostream& operator<<(std::ostream& out, const Trouble& trouble) {
  return out << "{fault=" << trouble.fault << " after=" << trouble.after << " times=" << trouble.times << "}";
}

struct Choice {
  const char* verb;
  kit::FaultKind kind;
};
constexpr Choice kFaults[] = {{"settle", kit::FaultKind::kLoseReply},
                              {"settle", kit::FaultKind::kFail},
                              {"settle", kit::FaultKind::kTwice},
                              {"receive", kit::FaultKind::kTwice},
                              {"receive", kit::FaultKind::kLoseReply},
                              {"apply", kit::FaultKind::kFail},
                              {"apply", kit::FaultKind::kLoseReply},
                              {"apply", kit::FaultKind::kTwice},
                              {"apply_and_settle", kit::FaultKind::kFail},
                              {"apply_and_settle", kit::FaultKind::kTwice},
                              {"apply_and_settle", kit::FaultKind::kLoseReply}};
constexpr int kFaultCount = static_cast<int>(std::size(kFaults));

rc::Gen<Sent> any_sent() {
  return rc::gen::build<Sent>(rc::gen::set(&Sent::kind, rc::gen::inRange(0, 9)), rc::gen::set(&Sent::id, rc::gen::inRange(0, 3)),
                              rc::gen::set(&Sent::keys, rc::gen::inRange(1, 8)), rc::gen::set(&Sent::version, rc::gen::inRange(0, 4)),
                              rc::gen::set(&Sent::grouped, rc::gen::arbitrary<bool>()));
}
rc::Gen<Trouble> any_trouble() {
  return rc::gen::build<Trouble>(rc::gen::set(&Trouble::fault, rc::gen::inRange(0, kFaultCount + 3)),
                                 rc::gen::set(&Trouble::after, rc::gen::inRange(0, 4)),
                                 rc::gen::set(&Trouble::times, rc::gen::inRange(1, 3)));
}

// The command that a producer sends. What a caller's version holds depends on the version only, so that equal ones are duplicates.
ApplyEntry command_of(const Sent& sent, const std::string& ns) {
  const auto& id = kIds[static_cast<std::size_t>(sent.id)];
  if (sent.kind == 6) return kit::erase_entry({.id = id, .stamp = 0, .version = {}, .expires_at = {}, .ns = ns});
  if (sent.kind == 7) return kit::erase_key_entry(kKeys[static_cast<std::size_t>(sent.id)], 0, ns);
  if (sent.kind == 8) return kit::touch_entry({.id = id, .stamp = 0, .version = {}, .expires_at = {}, .ns = ns});
  kit::SetSpec spec;
  spec.id = id;
  const int keys = sent.version == 0 ? sent.keys : 1 + (sent.version * 3 + sent.id) % 7;
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    if ((keys >> i & 1) != 0) spec.keys.push_back(kKeys[i]);
  }
  spec.payload = std::to_string(sent.version == 0 ? sent.keys : 100 + sent.version);
  if (sent.version != 0) spec.version = static_cast<Version>(sent.version);
  spec.ns = ns;
  spec.account = "acme";
  spec.flow = "orders";
  return kit::set_entry(spec);
}

class World {
 public:
  World(Subject& subject, bool fused, const std::vector<Trouble>& troubles) : subject_(subject), name_(subject.fresh_name()) {
    for (const auto& trouble : troubles) {
      if (trouble.fault >= kFaultCount) {
        ++stalls_;
        continue;
      }
      const auto& choice = kFaults[trouble.fault];
      plan_->add({.verb = choice.verb,
                  .kind = choice.kind,
                  .after = static_cast<std::size_t>(trouble.after),
                  .times = static_cast<std::size_t>(trouble.times)});
    }
    auto queues = std::make_shared<kit::FaultyQueue>(subject.stores.queues, plan_);
    auto store = std::make_shared<kit::FaultyKeyStore>(subject.stores.key_store.backend(), plan_);
    bare_ = Queue::open(subject.stores.queues, name_, {.kind = QueueKind::kFifo, .max_receives = 0}).value();
    WorkerOptions options;
    options.queue = Queue(queues, name_);
    options.key_store = fused ? KeyStore(store) : KeyStore(std::make_shared<Unfused>(store));
    options.policy = policy_;
    options.clock = subject.environment.clock;
    options.random = subject.environment.random;
    options.batch_messages = 3;
    options.prefetch_batches = 0;
    options.linger = Milliseconds(0);
    options.require_durable_store = false;
    worker_ = Worker::create(std::move(options)).value();
  }
  ~World() {
    worker_.reset();
    (void)subject_.queues().remove(name_);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void send(const Sent& sent) {
    auto entry = command_of(sent, name_);
    OutgoingMessage message;
    message.body = entry.encoded;
    if (sent.grouped) message.group = entry.command.id;
    entry.stamp = bare_.send(message).value().stamp;
    with_life(entry);
    reference_.apply(entry, subject_.now());
  }

  // Rounds until all is finished; leases that were lost come back with time.
  void work() {
    for (int round = 0; round < 200; ++round) {
      if (stalls_ > 0 && round % 2 == 0) stall();
      (void)worker_->run_once();
      if (round % 3 == 2) {
        subject_.advance(Milliseconds(31'000));
        wake_up();
      }
      const auto stats = bare_.stats().value();
      if (stats.depth + stats.in_flight + stats.delayed == 0 && held_.empty()) return;
    }
    RC_FAIL("the queue is not empty after 200 rounds");
  }

  void compare() {
    for (const auto& id : kIds) {
      const auto lookup = subject_.store().get_by_id({.ns = name_, .id = id, .now = subject_.now()}).value();
      const auto expected = reference_.by_id(id, subject_.now());
      RC_ASSERT(lookup.record.has_value() == expected.has_value());
      if (!expected) continue;
      RC_ASSERT(lookup.record->version == expected->version);
      RC_ASSERT(lookup.record->stamp == expected->stamp);
      RC_ASSERT(lookup.record->payload.str() == expected->payload);
      RC_ASSERT(lookup.record->lost_keys.size() == expected->lost_keys.size());
    }
    for (const auto& key : kKeys) {
      const std::string_view view = key;
      const auto lookup = subject_.store().get({.ns = name_, .keys = std::span(&view, 1), .now = subject_.now()}).value().at(0);
      const auto expected = reference_.by_key(key, subject_.now());
      RC_ASSERT(lookup.record.has_value() == expected.has_value());
      if (expected) RC_ASSERT(lookup.record->id == expected->id);
    }
    const auto stats = bare_.stats().value();
    std::uint64_t finished = 0;
    for (const auto outcome : {Outcome::kApplied, Outcome::kDuplicate, Outcome::kStale, Outcome::kExpired}) {
      finished += stats.outcomes[static_cast<std::size_t>(outcome)];
    }
    RC_ASSERT(stats.accepted == finished);
  }

 private:
  // Hides that store and queue could settle in one step.
  class Unfused final : public kit::ForwardingKeyStore {
   public:
    using ForwardingKeyStore::ForwardingKeyStore;
    FusedStore* fused_with(QueueBackend&) override { return nullptr; }
  };

  void with_life(ApplyEntry& entry) const {
    const auto decision = policy_->resolve(entry.command.account, entry.command.flow, entry.command.ttl);
    entry.expires_at = TtlPolicy::expires_at(time_of(entry.stamp), decision.ttl);
  }

  // Another consumer takes messages and does not come back before its leases have ended…
  void stall() {
    --stalls_;
    for (auto& message : bare_.receive(2).value()) held_.push_back(std::move(message));
  }

  // …and then goes on as if nothing had happened.
  void wake_up() {
    for (const auto& message : held_) {
      ApplyEntry entry;
      entry.command = decode_command(message.body).value();
      entry.encoded = message.body;
      entry.stamp = message.stamp;
      with_life(entry);
      (void)subject_.store().apply({.entries = std::span(&entry, 1), .now = subject_.now()}).value().at(0).value();
      const auto acked = bare_.ack(message);
      RC_ASSERT(!acked);
      RC_ASSERT(acked.error().code() == ErrorCode::kLeaseLost);
    }
    held_.clear();
  }

  Subject& subject_;
  std::string name_;
  std::shared_ptr<kit::FaultPlan> plan_ = std::make_shared<kit::FaultPlan>();
  std::shared_ptr<TtlPolicy> policy_ = std::make_shared<TtlPolicy>();
  Queue bare_;
  std::unique_ptr<Worker> worker_;
  KeyStoreReference reference_;
  std::vector<Message> held_;
  int stalls_ = 0;
};

}  // namespace

void faults_do_not_show(const ConformanceParams& params, bool fused, int cases) {
  Subject subject(params);
  check_property(cases, [&] {
    const auto sends = *rc::gen::container<std::vector<Sent>>(any_sent());
    const auto troubles = *rc::gen::resize(8, rc::gen::container<std::vector<Trouble>>(any_trouble()));
    World world(subject, fused, troubles);
    for (const auto& sent : sends) world.send(sent);
    world.work();
    world.compare();
  });
}

}  // namespace setget_tests
