// Random sequences of commands against a key store and against the reference; and the same commands in many orders.
#include <algorithm>
#include <map>
#include <ostream>

#include <setget/testing/commands.hpp>

#include "model/key_store_reference.hpp"
#include "model/models.hpp"
#include "model/property.hpp"
#include "model/subject.hpp"

namespace setget_tests {

using namespace setget;
namespace kit = setget::testing;

namespace {

const std::vector<std::string> kIds{"a", "b", "c"};
const std::vector<std::string> kKeys{"k", "l", "a"};  // one is called like an identity: backends may keep both in one place
constexpr Stamp kWindow = 60;                         // stamps of a sequence lie this close together, in any order

enum class Step { kSet, kErase, kEraseKey, kTouch, kSetExpiry, kAgain, kTooLate, kAdvance, kReclaim };

// One random step, in numbers that shrink well.
struct Op {
  Step step = Step::kSet;
  int id = 0;
  int keys = 1;     // bit set over kKeys, never empty
  int version = 0;  // 0 = assigned
  int payload = 0;
  int stamp = 0;
  int life = 0;       // 0 = never, 1 = short, 2 = long, 3 = over
  int expected = -1;  // conditional set: -1 = not, 0 = absent, 1 = the current version, 2 = another; new expiry: 2 = not the current one
};

std::ostream& operator<<(std::ostream& out, const Op& op) {
  static const char* const kNames[] = {"set", "erase", "erase_key", "touch", "set_expiry", "again", "too_late", "advance", "reclaim"};
  return out << kNames[static_cast<int>(op.step)] << "(id=" << op.id << " keys=" << op.keys << " version=" << op.version
             << " payload=" << op.payload << " stamp=" << op.stamp << " life=" << op.life << " expected=" << op.expected << ")";
}

rc::Gen<Op> any_op() {
  return rc::gen::build<Op>(rc::gen::set(&Op::step, rc::gen::weightedElement<Step>({{12, Step::kSet},
                                                                                    {2, Step::kErase},
                                                                                    {2, Step::kEraseKey},
                                                                                    {3, Step::kTouch},
                                                                                    {2, Step::kSetExpiry},
                                                                                    {4, Step::kAgain},
                                                                                    {1, Step::kTooLate},
                                                                                    {2, Step::kAdvance},
                                                                                    {1, Step::kReclaim}})),
                            rc::gen::set(&Op::id, rc::gen::inRange(0, 3)), rc::gen::set(&Op::keys, rc::gen::inRange(1, 8)),
                            rc::gen::set(&Op::version, rc::gen::inRange(0, 5)), rc::gen::set(&Op::payload, rc::gen::inRange(0, 2)),
                            rc::gen::set(&Op::stamp, rc::gen::inRange(1, static_cast<int>(kWindow))),
                            rc::gen::set(&Op::life, rc::gen::weightedElement<int>({{5, 0}, {2, 1}, {2, 2}, {1, 3}})),
                            rc::gen::set(&Op::expected, rc::gen::weightedElement<int>({{8, -1}, {1, 0}, {1, 1}, {1, 2}})));
}

std::optional<TimePoint> life_of(int life, TimePoint now) {
  if (life == 0) return std::nullopt;
  return now + Milliseconds(life == 1 ? 30 : life == 2 ? 1000 : -1);
}

std::optional<ReferenceRecord> seen(const Lookup& lookup) {
  if (lookup.status != Lookup::Status::kFound) return std::nullopt;
  const auto& record = *lookup.record;
  ReferenceRecord out;
  out.id = record.id;
  out.version = record.version;
  out.stamp = record.stamp;
  out.payload = record.payload.str();
  out.keys.assign(record.keys.begin(), record.keys.end());
  out.lost_keys.insert(record.lost_keys.begin(), record.lost_keys.end());
  out.expires_at = record.expires_at;
  return out;
}

std::string text(const std::optional<ReferenceRecord>& record) {
  if (!record) return "nothing";
  std::string out =
      record->id + " v" + std::to_string(record->version) + " s" + std::to_string(record->stamp) + " \"" + record->payload + "\" [";
  for (const auto& key : record->keys) out += (record->lost_keys.contains(key) ? "-" : "") + key + " ";
  return out + "] until " + (record->expires_at ? std::to_string(record->expires_at->time_since_epoch().count()) : "never");
}

// One sequence: applies each step to the store and to the reference and compares all that can be seen.
class Sequence {
 public:
  explicit Sequence(Subject& subject) : subject_(subject), ns_(subject.fresh_name()), reference_(subject.floor) {}
  ~Sequence() { subject_.base += 2 * kWindow; }
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  void run(const Op& op) {
    switch (op.step) {
      case Step::kAdvance:
        subject_.advance(Milliseconds(op.stamp));
        break;
      case Step::kReclaim:
        reclaim();
        break;
      case Step::kSetExpiry:
        set_expiry(op);
        break;
      case Step::kAgain:
        if (!entries_.empty()) apply(entries_[static_cast<std::size_t>(op.stamp) % entries_.size()]);
        break;
      case Step::kTooLate: {
        if (subject_.floor == 0) break;
        auto entry = command_of({.step = op.payload == 0 ? Step::kSet : Step::kTouch});
        entry.command.id = "stranger";
        entry.encoded = encode_command(entry.command);
        entry.stamp = subject_.floor - 1;
        apply(entry);
        break;
      }
      default: {
        auto entry = command_of(op);
        if (left_open(entry)) break;
        entries_.push_back(std::move(entry));
        apply(entries_.back());
      }
    }
    compare();
  }

  void compare() {
    const auto now = subject_.now();
    const std::vector<std::string_view> keys(kKeys.begin(), kKeys.end());
    const auto found = subject_.store().get({.ns = ns_, .keys = keys, .now = now}).value();
    for (std::size_t i = 0; i < kKeys.size(); ++i) {
      expect_same("key " + kKeys[i], seen(found[i]), reference_.by_key(kKeys[i], now));
    }
    for (const auto& id : kIds) {
      const auto lookup = subject_.store().get_by_id({.ns = ns_, .id = id, .now = now}).value();
      expect_same("id " + id, seen(lookup), reference_.by_id(id, now));
      if (reference_.known().contains(id) && lookup.status == Lookup::Status::kUnknown) RC_FAIL("the store has forgotten id " + id);
      if (!reference_.known().contains(id) && lookup.status == Lookup::Status::kGone) RC_FAIL("the store remembers id " + id);
    }
  }

  void compare_listing() {
    std::set<std::string> expected;
    for (const auto& id : kIds) {
      if (reference_.by_id(id, subject_.now())) expected.insert(id);
    }
    const auto page = subject_.store()
                          .list({.ns = ns_, .account = {}, .flow = {}, .owner = {}, .now = subject_.now(), .cursor = {}, .limit = 10})
                          .value();
    std::set<std::string> listed;
    for (const auto& record : page.records) listed.insert(record.id);
    RC_ASSERT(listed == expected);
  }

  // What verification of an archive sees: each record and tombstone once; and as many as the store's bookkeeping says.
  void compare_scan() {
    std::map<std::string, Summary> scanned;
    std::string cursor;
    std::uint64_t records = 0;
    std::uint64_t tombstones = 0;
    do {
      const auto page = subject_.store().scan({.cursor = cursor, .limit = 7}).value();
      for (const auto& item : page.items) {
        ++(item.tombstone ? tombstones : records);
        if (item.ns == ns_) RC_ASSERT(scanned.emplace(item.id, item).second);
      }
      cursor = page.next;
    } while (!cursor.empty());
    std::set<std::string> ids;
    for (const auto& [id, item] : scanned) {
      ids.insert(id);
      const auto expected = reference_.by_id(id, subject_.now());
      if (expected) {
        RC_ASSERT(!item.tombstone);
        RC_ASSERT(item.version == expected->version);
        RC_ASSERT(item.expires_at == expected->expires_at);
      } else {
        RC_ASSERT(item.tombstone || (item.expires_at && *item.expires_at <= subject_.now()));
      }
    }
    RC_ASSERT(ids == reference_.known());
    const auto stats = subject_.store().stats().value();
    RC_ASSERT(stats.records == records);
    RC_ASSERT(stats.tombstones == tombstones);
  }

  const std::string& ns() const { return ns_; }
  const KeyStoreReference& reference() const { return reference_; }

  ApplyEntry command_of(const Op& op) {
    const auto& id = kIds[static_cast<std::size_t>(op.id)];
    const Stamp stamp = subject_.base + static_cast<Stamp>(op.stamp);
    const auto version = op.version == 0 ? std::optional<Version>() : static_cast<Version>(op.version);
    const auto life = life_of(op.life, subject_.now());
    if (op.step == Step::kErase) return kit::erase_entry({.id = id, .stamp = stamp, .version = version, .expires_at = {}, .ns = ns_});
    if (op.step == Step::kTouch) return kit::touch_entry({.id = id, .stamp = stamp, .version = {}, .expires_at = life, .ns = ns_});
    if (op.step == Step::kEraseKey) return kit::erase_key_entry(kKeys[static_cast<std::size_t>(op.id)], stamp, ns_);
    kit::SetSpec spec;
    spec.id = id;
    for (std::size_t i = 0; i < kKeys.size(); ++i) {
      if ((op.keys >> i & 1) != 0) spec.keys.push_back(kKeys[i]);
    }
    spec.stamp = stamp;
    spec.payload = "p" + std::to_string(op.payload);
    spec.version = version;
    spec.expires_at = life;
    spec.ns = ns_;
    spec.listed = true;
    if (op.expected >= 0) {
      const auto current = reference_.by_id(id, subject_.now());
      spec.expected_version = op.expected == 0 ? 0 : op.expected == 1 && current ? current->version : 99;
    }
    return kit::set_entry(spec);
  }

  void apply(const ApplyEntry& entry) {
    const auto expected = reference_.apply(entry, subject_.now());
    const auto got = subject_.store().apply({.entries = std::span(&entry, 1), .now = subject_.now()}).value().at(0).value();
    if (got.outcome != expected.outcome) {
      RC_FAIL("the store says " + std::string(to_string(got.outcome)) + ", the reference " + std::string(to_string(expected.outcome)));
    }
    if (!expected.code.empty()) {
      RC_ASSERT(!got.reasons.empty());
      RC_ASSERT(got.reasons[0].code == expected.code);
    }
  }

 private:
  // A policy that is applied again: to a record that is still what it was when it was looked at, and to none else.
  void set_expiry(const Op& op) {
    const auto& id = kIds[static_cast<std::size_t>(op.id)];
    const auto there = subject_.store().get_by_id({.ns = ns_, .id = id, .now = subject_.now()}).value();
    if (!there.record) return;
    const SetExpiry request{.ns = ns_,
                            .id = id,
                            .version = there.record->version,
                            .revision = there.record->revision + (op.expected == 2 ? 1 : 0),
                            .expires_at = life_of(op.life, subject_.now()),
                            .now = subject_.now()};
    const bool changed = subject_.store().set_expiry(std::span(&request, 1)).value().at(0).value();
    RC_ASSERT(changed == (op.expected != 2));
    if (changed) reference_.set_expiry(id, request.expires_at);
  }

  // Where a key was lost to somebody who is forgotten since, a stale set may win it back for good or only until the record has lost all
  // others: that depends on how much a store has forgotten.
  bool left_open(const ApplyEntry& entry) const {
    if (!reclaimed_ || entry.command.kind != CommandKind::kSet) return false;
    const auto live = reference_.by_id(entry.command.id, subject_.now());
    return live && !live->lost_keys.empty() && entry.command.version.value_or(entry.stamp) <= live->version;
  }

  // Everything accepted so far is finished, so the floor is above it; what comes now is accepted later.
  void reclaim() {
    subject_.base += 2 * kWindow;
    const Stamp floor = subject_.base;
    for (int i = 0; i < 1000; ++i) {
      if (subject_.store().reclaim({.now = subject_.now(), .floor = floor, .grace = Milliseconds(0), .max_steps = 50}).value().steps < 50)
        break;
    }
    reference_.reclaim(subject_.now(), floor);
    subject_.floor = floor;
    reclaimed_ = true;
    entries_.clear();  // a redelivery of what is finished cannot be
  }

  static void expect_same(const std::string& what, const std::optional<ReferenceRecord>& got,
                          const std::optional<ReferenceRecord>& expected) {
    if (got != expected) RC_FAIL(what + ": the store has " + text(got) + ", the reference " + text(expected));
  }

  Subject& subject_;
  std::string ns_;
  KeyStoreReference reference_;
  std::vector<ApplyEntry> entries_;
  bool reclaimed_ = false;
};

}  // namespace

void key_store_agrees(const ConformanceParams& params, int cases) {
  constexpr std::size_t kTogether = 5;  // sequences in one store: a scan walks over all of them
  std::optional<Subject> subject;
  check_property(cases, [&] {
    const auto ops = *rc::gen::container<std::vector<Op>>(any_op());
    if (!subject || subject->sequences >= kTogether) subject.emplace(params);
    Sequence sequence(*subject);
    for (const auto& op : ops) sequence.run(op);
    sequence.compare_listing();
    sequence.compare_scan();
  });
}

void log_rebuilds_the_state(const ConformanceParams& params, int cases) {
  check_property(cases, [&] {
    // A store each: what backends learn of their use, such as how often a record is new, begins anew.
    Subject subject(params);
    auto ops = *rc::gen::container<std::vector<Op>>(any_op());
    std::erase_if(ops, [](const Op& op) { return op.step == Step::kReclaim || op.step == Step::kTooLate; });
    subject.store().open_cursor({.name = "mirror", .from_now = true}).value();
    Sequence sequence(subject);
    std::map<std::string, Record> mirror;
    std::map<std::string, std::pair<Version, Revision>> heard;
    Position at = 0;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      sequence.run(ops[i]);
      if (i % 3 != 0 && i + 1 != ops.size()) continue;
      const auto batch = subject.store().changes({.cursor = "mirror", .after = at, .limit = 1000}).value();
      at = batch.next;
      for (const auto& change : batch.changes) {
        if (change.ns != sequence.ns()) continue;
        const std::pair now(change.version, change.revision);
        const auto [last, first] = heard.try_emplace(change.id, now);
        if (!first && now <= last->second) RC_FAIL("the log says the same of id " + change.id + " twice, or goes back");
        last->second = now;
        mirror.erase(change.id);
        if (change.record) mirror.emplace(change.id, *change.record);
      }
    }
    subject.store().drop_cursor("mirror").value();
    for (const auto& id : kIds) {
      const auto expected = sequence.reference().by_id(id, subject.now());
      std::optional<ReferenceRecord> mirrored;
      if (const auto found = mirror.find(id); found != mirror.end() && !found->second.expired(subject.now())) {
        mirrored = seen({.status = Lookup::Status::kFound, .record = found->second});
      }
      if (mirrored != expected) RC_FAIL("id " + id + ": the log gives " + text(mirrored) + ", the reference " + text(expected));
    }
  });
}

namespace {

// A set of messages without the named exceptions to order: no two contents for one version, no conditional sets, no touch that is over.
// Equal sets have equal lives, counted from when each was accepted.
std::vector<ApplyEntry> order_free(Sequence& sequence, TimePoint now, std::vector<Op> ops) {
  std::vector<ApplyEntry> entries;
  std::map<std::pair<std::string, Version>, ApplyEntry> contents;
  std::set<std::pair<std::string, Stamp>> touches;
  std::set<std::string> over;
  for (auto& op : ops) {
    if (op.step > Step::kTouch) op.step = Step::kSet;
    op.expected = -1;
    if (op.step == Step::kTouch && op.life == 3) op.life = 2;
    auto entry = sequence.command_of(op);
    const auto& id = entry.command.id;
    if (op.step == Step::kTouch && !touches.emplace(id, entry.stamp).second) continue;
    if (op.step == Step::kSet || op.step == Step::kErase) {
      const auto version = entry.command.version.value_or(entry.stamp);
      const auto [found, fresh] = contents.try_emplace({id, version}, entry);
      const auto& first = found->second;
      if (!fresh && !(first.encoded == entry.encoded)) continue;
      entry.expires_at = first.expires_at;
      if (entry.expires_at)
        *entry.expires_at += Milliseconds(static_cast<std::int64_t>(entry.stamp) - static_cast<std::int64_t>(first.stamp));
      if (entry.expires_at && *entry.expires_at <= now) over.insert(id);
    }
    entries.push_back(std::move(entry));
  }
  // Whether a record that is over can still be touched is a matter of time, not of order: leave touches of such identities out.
  std::erase_if(entries, [&](const auto& entry) { return entry.command.kind == CommandKind::kTouch && over.contains(entry.command.id); });
  return entries;
}

}  // namespace

void every_order_gives_the_same_state(const ConformanceParams& params, int cases) {
  constexpr int kOrders = 6;
  Subject subject(params);
  check_property(cases, [&] {
    const auto ops = *rc::gen::container<std::vector<Op>>(any_op());
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    kit::SeededRandom dice(seed);
    std::optional<std::string> first;
    std::vector<ApplyEntry> commands;
    {
      Sequence sequence(subject);
      commands = order_free(sequence, subject.now(), ops);
    }
    for (int order = 0; order < kOrders; ++order) {
      const auto ns = subject.fresh_name();
      auto mine = commands;
      const auto copies = commands.size();
      for (std::size_t i = 0; i < copies; ++i) {
        if (dice.next() % 3 == 0) mine.push_back(commands[i]);
      }
      for (std::size_t i = mine.size(); i > 1; --i) std::swap(mine[i - 1], mine[dice.next() % i]);
      KeyStoreReference reference;
      for (auto& entry : mine) {
        entry.command.ns = ns;
        entry.encoded = encode_command(entry.command);
        reference.apply(entry, subject.now());
      }
      for (auto& result : subject.store().apply({.entries = mine, .now = subject.now()}).value()) {
        RC_ASSERT(result.value().outcome != Outcome::kDeadLettered);
      }
      const auto state = kit::describe_state(subject.store(), ns, kKeys, kIds, subject.now());
      if (!first) first = state;
      if (state != *first) RC_FAIL("another order gives another state:\n" + *first + "---\n" + state);
      for (const auto& id : kIds) {
        const auto got = seen(subject.store().get_by_id({.ns = ns, .id = id, .now = subject.now()}).value());
        const auto expected = reference.by_id(id, subject.now());
        if (got != expected) RC_FAIL("id " + id + ": the store has " + text(got) + ", the reference " + text(expected));
      }
    }
  });
}

}  // namespace setget_tests
