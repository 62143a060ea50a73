// Random messages over few identities and keys whose whole content follows from (seed, stamp): whoever finds a record can tell whether it
// is whole. None of the model's exceptions to order are among them, so that the state follows from the set of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <setget/key_store.hpp>
#include <setget/memory.hpp>
#include <setget/testing/clock.hpp>
#include <setget/testing/commands.hpp>

namespace redis_test {

using namespace setget;
namespace kit = setget::testing;

class Messages {
 public:
  struct Shape {
    int identities = 4;
    int shared_keys = 3;  // that identities take from each other
    bool erases = true;   // by id and by key
    bool touches = true;
    bool inline_keys = true;  // keys that are called like an identity
    Stamp step = 1;           // between stamps; 2 048 is a millisecond
    bool expiries = false;  // some records end at over(); not together with touches, which could not be told from those that came too late
  };
  explicit Messages(std::uint64_t seed) : Messages(seed, Shape()) {}
  Messages(std::uint64_t seed, Shape shape) : seed_(seed), shape_(shape) {}

  // Of every stamp from 1 up, the same each time.
  ApplyEntry at(std::uint64_t number, const std::string& ns) const {
    kit::SeededRandom dice(seed_ * 1'000'003 + number);
    const auto stamp = base() + number * shape_.step;
    const int identity = static_cast<int>(dice.next() % static_cast<unsigned>(shape_.identities));
    const auto version = version_of(identity, number);
    const auto kind = dice.next() % 20;
    if (shape_.erases && kind == 0)
      return kit::erase_entry({.id = id(identity), .stamp = stamp, .version = version, .expires_at = {}, .ns = ns});
    if (shape_.erases && kind == 1) return kit::erase_key_entry(any_key(dice), stamp, ns);
    if (shape_.touches && kind == 2) {
      return kit::touch_entry({.id = id(identity),
                               .stamp = stamp,
                               .version = {},
                               .expires_at = now() + Milliseconds(3'600'000 + dice.next() % 1000),
                               .ns = ns});
    }
    kit::SetSpec spec;
    spec.id = id(identity);
    spec.keys.push_back(own_key(identity, 0));
    for (auto more = dice.next() % 4; more > 0; --more) {
      auto key = dice.next() % 3 == 0 ? own_key(identity, 1) : any_key(dice);
      if (std::find(spec.keys.begin(), spec.keys.end(), key) == spec.keys.end()) spec.keys.push_back(std::move(key));
    }
    // Now and then none that is surely its own.
    if (spec.keys.size() > 1 && dice.next() % 4 == 0) spec.keys.erase(spec.keys.begin());
    spec.stamp = stamp;
    spec.version = version;
    spec.payload = payload(stamp);
    spec.ns = ns;
    spec.account = "a";
    spec.flow = "f";
    spec.listed = dice.next() % 2 == 0;
    if (shape_.expiries && dice.next() % 3 == 0) spec.expires_at = over();
    return kit::set_entry(spec);
  }

  // Empty: it is what was set. Else what is wrong.
  std::string check(const Record& record, const std::string& ns) const {
    if (record.stamp <= base()) return "a stamp that nobody gave";
    const auto entry = at((record.stamp - base()) / shape_.step, ns);
    const auto& c = entry.command;
    if (c.kind != CommandKind::kSet || c.id != record.id) return "its stamp is of another message";
    if (record.payload.view() != c.payload.view()) return "the payload is of another version";
    if (record.version != c.version.value_or(entry.stamp)) return "the version is another";
    if (std::vector<std::string_view>(record.keys.begin(), record.keys.end()) !=
        std::vector<std::string_view>(c.keys.begin(), c.keys.end()))
      return "the keys are of another version";
    return {};
  }

  std::vector<std::string> ids() const {
    std::vector<std::string> out;
    for (int i = 0; i < shape_.identities; ++i) out.push_back(id(i));
    return out;
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> out;
    for (int i = 0; i < shape_.identities; ++i) {
      out.push_back(own_key(i, 0));
      out.push_back(own_key(i, 1));
      if (shape_.inline_keys) out.push_back(id(i));
    }
    for (int i = 0; i < shape_.shared_keys; ++i) out.push_back("s" + std::to_string(i));
    return out;
  }
  static std::string id(int identity) { return "i" + std::to_string(identity); }
  static std::string own_key(int identity, int which) { return id(identity) + "." + std::to_string(which); }
  static TimePoint now() { return TimePoint(Milliseconds(1'700'000'000'000)); }
  static TimePoint over() { return now() + Milliseconds(60'000); }
  static Stamp base() { return stamp_at(now()); }

 private:
  // Half of the identities bring versions of their own, in another order than their stamps.
  static std::optional<Version> version_of(int identity, std::uint64_t number) {
    if (identity % 2 == 0) return std::nullopt;
    return 1 + number * 7919 % 100'003;
  }
  std::string any_key(kit::SeededRandom& dice) const {
    if (shape_.inline_keys && dice.next() % 3 == 0) return id(static_cast<int>(dice.next() % static_cast<unsigned>(shape_.identities)));
    return "s" + std::to_string(dice.next() % static_cast<unsigned>(shape_.shared_keys));
  }
  static std::string payload(Stamp stamp) {
    kit::SeededRandom dice(stamp);
    return std::to_string(stamp) + "|" + std::string(dice.next() % 30, static_cast<char>('a' + stamp % 26));
  }

  std::uint64_t seed_;
  Shape shape_;
};

inline std::string text_of(const ApplyEntry& entry) {
  const auto& c = entry.command;
  static const char* const kKinds[] = {"?", "set", "erase", "erase by key", "touch"};
  const auto kind = static_cast<std::size_t>(c.kind);
  std::string out = std::string(kind < 5 ? kKinds[kind] : "?") + " " + std::string(c.id) + " v" +
                    std::to_string(c.version.value_or(entry.stamp)) + " s" + std::to_string(entry.stamp) + " [";
  for (const auto key : c.keys) out += std::string(key) + " ";
  return out + "]";
}

// All keys in one request. What is wrong with the answer, whatever is being written meanwhile: a record that is not whole, or that is
// found under some of its keys only. `lag`: whose keys are taken over may learn it a moment later than the one who took them.
struct Look {
  std::vector<Lookup> found;
  std::string wrong;
};
inline std::string describe(const std::vector<std::string>& keys, const std::vector<Lookup>& found) {
  std::string out;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    out += keys[i] + ": ";
    if (found[i].status != Lookup::Status::kFound) {
      out += found[i].status == Lookup::Status::kGone ? "gone\n" : "unknown\n";
      continue;
    }
    const auto& record = *found[i].record;
    out += record.id + " v" + std::to_string(record.version) + " s" + std::to_string(record.stamp) + " r" +
           std::to_string(record.revision) + " [";
    for (const auto key : record.keys) out += (record.lost_keys.contains(key) ? "-" : "") + std::string(key) + " ";
    out += "]\n";
  }
  return out;
}
inline std::string inspect(const Messages& messages, const std::string& ns, const std::vector<std::string>& keys,
                           const std::vector<Lookup>& found, bool lag) {
  std::map<std::string, std::size_t> number;
  for (std::size_t i = 0; i < keys.size(); ++i) number.emplace(keys[i], i);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (found[i].status != Lookup::Status::kFound) continue;
    const auto& record = *found[i].record;
    if (auto wrong = messages.check(record, ns); !wrong.empty()) return "under " + keys[i] + ": " + wrong;
    if (!record.keys.contains(keys[i])) return record.id + " does not list " + keys[i];
    for (const auto key : record.keys) {
      const auto& other = found[number.at(std::string(key))];
      const bool here = other.status == Lookup::Status::kFound && other.record->id == record.id;
      if (here && (other.record->version != record.version || other.record->stamp != record.stamp)) return "two versions of " + record.id;
      const bool own = key.starts_with(record.id + ".");
      if (!here && (own || !lag) && !record.lost_keys.contains(key))
        return record.id + " is found under " + keys[i] + " but not under " + std::string(key);
    }
  }
  return {};
}
inline Result<Look> look(KeyStoreBackend& store, const Messages& messages, const std::string& ns, const std::vector<std::string>& keys,
                         bool lag, Deadline deadline = Deadline::in(Milliseconds(10'000)), TimePoint at = Messages::now()) {
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  auto found = store.get({.ns = ns, .keys = views, .now = at, .deadline = deadline});
  if (!found) return std::move(found).error();
  Look out{.found = *std::move(found), .wrong = {}};
  out.wrong = inspect(messages, ns, keys, out.found, lag);
  if (!out.wrong.empty()) out.wrong += "\n" + describe(keys, out.found);
  return out;
}

// The state that a set of messages amounts to: what the memory backend makes of them in the order of their stamps.
class Reference {
 public:
  Reference() : store_(memory::open().value().key_store()) {}
  void apply(const ApplyEntry& entry) {
    (void)store_.backend()->apply({.entries = std::span(&entry, 1), .now = Messages::now()}).value().at(0).value();
  }
  KeyStoreBackend& store() { return *store_.backend(); }

 private:
  KeyStore store_;
};

inline std::string state_of(KeyStoreBackend& store, const Messages& messages, const std::string& ns, TimePoint at = Messages::now()) {
  return kit::describe_state(store, ns, messages.keys(), messages.ids(), at);
}

// Until a message must have been acknowledged, the servers' own vote included: go_on() measures what is ours.
inline constexpr Milliseconds kRecovery{120'000};

// Asks again while the servers cannot be reached: after a fault each client finds out for itself, and a server that refused a connection
// is left alone for a moment even when it is back.
template <class Ask>
auto answer_of(const Ask& ask) {
  for (const auto until = Deadline::in(kRecovery);;) {
    auto answer = ask();
    if (answer || !answer.error().retryable() || until.passed()) return answer;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// As state_of(), of a store on servers that something happened to.
inline std::string state_when_back(KeyStoreBackend& store, const Messages& messages, const std::string& ns) {
  for (const auto until = Deadline::in(kRecovery);;) {
    try {
      return state_of(store, messages, ns);
    } catch (const BadResult&) {
      if (until.passed()) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
}

}  // namespace redis_test
