// Writers, a reader and one who keeps house, whose commands come in every order that dice can think of, one at a time. Nothing happens by
// the clock, so a round comes about the same way again: SETGET_INTERLEAVED_SEED=n runs one and tells its commands. Whatever the order, no
// reader finds a record that is not whole, and in the end the store holds what the messages amount to; where a history is kept, it ends
// there.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <map>
#include <numeric>
#include <regex>
#include <sstream>
#include <thread>

#include "redis/messages.hpp"
#include "redis/opened_store.hpp"
#include "redis/races.hpp"
#include "redis/shards.hpp"
#include "redis/stepper.hpp"

namespace redis_test {
namespace {

constexpr std::size_t kMostWriters = 4;
constexpr std::size_t kReader = kMostWriters;
constexpr std::size_t kHousekeeper = kReader + 1;
constexpr std::size_t kClients = kHousekeeper + 2;  // of whom there are two
constexpr std::size_t kMasters = 3;                 // which hold a third of the parts each
// Records that end at over() have; those that were touched have not.
const TimePoint kAfterwards = Messages::over() + Milliseconds(60'000);

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* given = std::getenv(name);
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

// Who goes on: anybody each time, or one for long, with a few changes at moments that nobody expects.
class Order {
 public:
  explicit Order(kit::SeededRandom& dice) : dice_(dice), change_one_in_(dice.next() % 2 == 0 ? 2 : 4 + dice.next() % 24) {}
  std::pair<std::size_t, std::size_t> choose(const std::vector<Stepper::Waiting>& waiting) {
    auto at = std::ranges::find(waiting, last_, &Stepper::Waiting::client);
    if (at == waiting.end() || dice_.next() % change_one_in_ == 0) {
      at = waiting.begin() + static_cast<std::ptrdiff_t>(dice_.next() % waiting.size());
      last_ = at->client;
    }
    return {last_, dice_.next() % at->commands};
  }

 private:
  kit::SeededRandom& dice_;
  const std::uint64_t change_one_in_;
  std::size_t last_ = kClients;
};

// What masters lose: all that they hold (FLUSHALL, a restart without persistence), or what came of late (a replica that had not followed
// so far takes their place).
enum class Losses { kNone, kAll, kLatest };

// What is done in one round; all of it follows from the seed.
struct Round {
  using Batch = std::vector<std::uint64_t>;
  // `old`: so many messages that are there already can be forgotten, and are by the housekeeper.
  // `keeps`: the sets are of a flow that keeps a history.
  Round(std::uint64_t number, std::uint64_t old, bool keeps, Losses losses)
      : seed(number),
        history(keeps),
        expires(old == 0 && number % 4 == 1),
        shared(number % 3 != 0),
        ns("n" + std::to_string(number)),
        dice(number),
        messages(number, {.identities = 2 + static_cast<int>(dice.next() % 3),
                          .shared_keys = 1 + static_cast<int>(dice.next() % 3),
                          .erases = dice.next() % 2 == 0,
                          .touches = old == 0 && number % 4 == 0,
                          .inline_keys = shared,
                          .expiries = expires}) {
    std::vector<std::uint64_t> numbers(5 + dice.next() % 9);
    std::iota(numbers.begin(), numbers.end(), 1);
    last = numbers.back();
    for (std::size_t i = numbers.size(); i > old + 1; --i) std::swap(numbers[i - 1], numbers[old + dice.next() % (i - old)]);
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(std::max(old, dice.next() % (numbers.size() - 3)));
    before.assign(numbers.begin(), begin);
    whose.resize(2 + dice.next() % (kMostWriters - 1));
    const bool in_batches = dice.next() % 3 == 0;
    for (auto at = begin; at != numbers.end(); ++at) {
      auto& batches = whose[dice.next() % whose.size()];
      if (batches.empty() || !in_batches || dice.next() % 2 == 0) batches.emplace_back();
      batches.back().push_back(*at);
    }
    // One of them may die on its way.
    if (dice.next() % 3 == 0) dies = dice.next() % whose.size();
    life = dice.next() % 60;
    for (std::size_t master = 0; master < kMasters; ++master) {
      if (losses == Losses::kNone || dice.next() % 4 == 0) continue;
      const auto moment = 1 + dice.next() % 120;
      lost[master] = moment;
      if (losses == Losses::kLatest) kept[master] = dice.next() % moment;
    }
  }
  bool loses() const {
    return std::ranges::any_of(lost, [](const auto& moment) { return moment.has_value(); });
  }
  std::vector<ApplyEntry> entries(const Batch& batch) const {
    std::vector<ApplyEntry> out;
    for (const auto number : batch) {
      auto& entry = out.emplace_back(messages.at(number, ns));
      entry.history = history && entry.command.kind == CommandKind::kSet;
    }
    return out;
  }
  std::string plan() const {
    std::ostringstream out;
    for (const auto& entry : entries(before)) out << "before: " << text_of(entry) << "\n";
    for (std::size_t w = 0; w < whose.size(); ++w) {
      for (const auto& batch : whose[w]) {
        out << "writer " << w << (dies == w ? " (dies): " : ": ");
        for (const auto& entry : entries(batch)) out << text_of(entry) << "; ";
        out << "\n";
      }
    }
    return out.str();
  }

  const std::uint64_t seed;
  const bool history;
  const bool expires;
  const bool shared;  // names that are a key's and an identity's
  const std::string ns;
  kit::SeededRandom dice;
  const Messages messages;
  std::uint64_t last = 0;
  Batch before;                           // are there already
  std::vector<std::vector<Batch>> whose;  // of each writer
  std::optional<std::size_t> dies;
  std::uint64_t life = 0;  // in commands
  // After so many commands a master loses all that it holds, or all since the moment that was kept.
  std::array<std::optional<std::uint64_t>, kMasters> lost{};
  std::array<std::optional<std::uint64_t>, kMasters> kept{};
};

class RedisInterleaved : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    direct_ = open_store(races_server().uri(), prefix_, GetParam());
    stepper_ = std::make_unique<Stepper>(races_server().port(), kClients);
    // They know what they need to know of every part.
    std::vector<ApplyEntry> everywhere;
    for (int n = 0; n < 400; ++n) everywhere.push_back(set_at("w" + std::to_string(n), {"w" + std::to_string(n)}, 1));
    std::vector<std::jthread> opening;
    std::atomic<std::size_t> open = 0;
    stores_.resize(kClients);
    for (std::size_t i = 0; i < stores_.size(); ++i) {
      opening.emplace_back([&, i] {
        stores_[i] = open_store(stepper_->uri(i), prefix_, GetParam());
        EXPECT_TRUE(stores_[i]->apply({.entries = everywhere, .now = kRacesNow}));
        ++open;
      });
    }
    stepper_->let_pass([&] { return open == stores_.size(); });
  }

  // Those that found something before come first.
  void run_all(std::uint64_t old, std::initializer_list<std::uint64_t> found, bool history = false, Losses losses = Losses::kNone) {
    if (old != 0) {
      floor_ = Messages::base() + old + 1;
      EXPECT_TRUE(direct_->reclaim({.now = Messages::now(), .floor = floor_}));
    }
    const auto told = number_from("SETGET_INTERLEAVED_SEED", 0);
    const auto from = number_from("SETGET_INTERLEAVED_FROM", std::max<std::uint64_t>(told, 1));
    const auto end = told != 0 ? told + 1 : from + number_from("SETGET_CRASH_ROUNDS", losses == Losses::kNone ? 400 : 150);
    for (const auto seed : found) {
      if (told == 0 && !HasFatalFailure()) run(Round(seed, old, history, losses), false);
    }
    for (auto seed = from; seed < end && !HasFatalFailure(); ++seed) run(Round(seed, old, history, losses), seed == told);
  }

  void run(Round round, bool tell) {
    const auto keys = round.messages.keys();
    // To the housekeeper it is later already, so it must be to those who look at what it leaves.
    const auto seen_by = [&, at = round.expires ? kAfterwards : Messages::now()](KeyStoreBackend& store) {
      auto seen = look(store, round.messages, round.ns, keys, true, Deadline::in(Milliseconds(10'000)), at);
      // What a master lost may be missing under some keys; each record is whole all the same.
      if (seen && round.loses() && seen->wrong.find("but not under") != std::string::npos) seen->wrong.clear();
      return seen;
    };
    std::ostringstream story;
    if (tell) story << round.plan();
    apply(*direct_, round.entries(round.before), true);

    std::vector<Round::Batch> left(round.whose.size());
    std::vector<std::string> why(round.whose.size());
    std::atomic<std::size_t> writing = round.whose.size();
    std::vector<std::function<void()>> clients(kClients, [] {});
    for (std::size_t w = 0; w < round.whose.size(); ++w) {
      clients[w] = [&, w] {
        for (auto batch : round.whose[w]) {
          // Another content is an answer that one tries again after.
          for (int tries = round.loses() ? 20 : 1; tries > 0 && !batch.empty(); --tries) {
            const auto applied = stores_[w]->apply({.entries = round.entries(batch), .now = Messages::now()});
            Round::Batch again;
            for (std::size_t i = 0; i < batch.size(); ++i) {
              if (applied && (*applied)[i]) continue;
              again.push_back(batch[i]);
              why[w] = (applied ? (*applied)[i].error() : applied.error()).describe();
            }
            batch = std::move(again);
          }
          left[w].insert(left[w].end(), batch.begin(), batch.end());
        }
        --writing;
      };
    }
    std::string read_wrong;
    clients[kReader] = [&] {
      while (writing > 0 && read_wrong.empty()) {
        if (auto found = seen_by(*stores_[kReader])) read_wrong = found->wrong;
      }
    };
    const Reclaim house{.now = round.expires ? kAfterwards : Messages::now(), .floor = floor_, .max_steps = 1'000'000};
    for (const auto which : {kHousekeeper, kHousekeeper + 1}) {
      clients[which] = [&, which] {
        if (!round.expires && floor_ == 0) return;
        reclaim(*stores_[which], house);
      };
    }
    Order order(round.dice);
    std::string wrong;
    std::uint64_t commands = 0;
    stepper_->run(clients, [&](const std::vector<Stepper::Waiting>& waiting) {
      for (std::size_t master = 0; master < kMasters; ++master) {
        if (round.kept[master] == commands) keep(master);
        if (round.lost[master] != commands) continue;
        lose(master, round.kept[master].has_value());
        if (tell) story << "master " << master << " loses " << (round.kept[master] ? "what came of late\n" : "everything\n");
      }
      ++commands;
      // Everybody stands still: this is one moment.
      if (wrong.empty() && round.dice.next() % 4 == 0) {
        const auto seen = seen_by(*direct_);
        if (seen || !round.loses()) wrong = seen.value().wrong;
        if (tell && !wrong.empty()) story << "wrong: " << wrong;
      }
      const auto chosen = order.choose(waiting);
      if (chosen.first == round.dies && round.life-- == 0) {
        stepper_->refuse(chosen.first);
        if (tell) story << chosen.first << " dies\n";
      }
      if (tell) story << chosen.first << ": " << stepper_->command(chosen.first, chosen.second) << "\n";
      return chosen;
    });
    ASSERT_EQ(wrong, "") << "round " << round.seed << "\n" << story.str();
    ASSERT_EQ(read_wrong, "") << "round " << round.seed << ", of the reader\n" << story.str();
    if (round.loses()) deliver_all(round);
    // Another delivers what the dead one had.
    for (std::size_t w = 0; w < left.size(); ++w) {
      if (round.loses()) continue;
      ASSERT_TRUE(left[w].empty() || w == round.dies) << "round " << round.seed << ": " << why[w];
      apply(*direct_, round.entries(left[w]));
    }
    Reference reference;
    for (std::uint64_t n = 1; n <= round.last; ++n) reference.apply(round.messages.at(n, round.ns));
    for (auto* store : {direct_.get(), &reference.store()}) reclaim(*store, house);
    ASSERT_EQ(state(*direct_, round), state(reference.store(), round)) << "round " << round.seed << "\n" << story.str();
    if (round.history) expect_history_ends_here(round, story.str());
    if (tell) std::puts(story.str().c_str());
  }

 private:
  // With each name that a master holds.
  void with_all(std::size_t master, const std::string& before, const std::string& what) {
    const redis::Shards shards(prefix_, GetParam(), 'k');
    std::vector<std::string> words = {
        "EVAL", before + "for _, which in ipairs(ARGV) do for _, name in ipairs(redis.call('KEYS', which)) do " + what + " end end", "0"};
    for (auto part = static_cast<std::uint32_t>(master); part < shards.count(); part += kMasters) {
      words.push_back(std::string(shards.head(part)) + "*");
    }
    if (master == 0) words.push_back(prefix_ + ":m");
    ASSERT_EQ(races_server().cli(std::move(words)), "");
  }
  // Each master's in a database of its own.
  void keep(std::size_t master) {
    const auto number = std::to_string(master + 1);
    with_all(master, "redis.call('SELECT', " + number + ") redis.call('FLUSHDB') redis.call('SELECT', 0) ",
             "redis.call('COPY', name, name, 'DB', " + number + ")");
  }
  void lose(std::size_t master, bool since_kept) {
    with_all(master, "", "redis.call('UNLINK', name)");
    if (since_kept)
      with_all(master, "redis.call('SELECT', " + std::to_string(master + 1) + ") ", "redis.call('COPY', name, name, 'DB', 0)");
  }
  // From the first message to the last.
  void deliver_all(const Round& round) {
    for (std::uint64_t n = 1; n <= round.last; ++n) apply(*direct_, round.entries({n}));
  }

  // Whoever finds out first that something was lost is told so, and tries again.
  static void apply(KeyStoreBackend& store, const std::vector<ApplyEntry>& entries, bool ignore_floor = false) {
    std::string why;
    for (int tries = 20; tries > 0; --tries) {
      const auto applied = store.apply({.entries = entries, .now = Messages::now(), .ignore_floor = ignore_floor});
      if (applied && std::ranges::all_of(*applied, [](const auto& result) { return result.has_value(); })) return;
      const auto& error = applied ? std::ranges::find_if(*applied, [](const auto& one) { return !one; })->error() : applied.error();
      ASSERT_TRUE(error.retryable()) << error.describe();
      why = error.describe();
    }
    FAIL() << why;
  }
  static void reclaim(KeyStoreBackend& store, const Reclaim& house) {
    auto done = store.reclaim(house);
    for (int tries = 20; !done && done.error().retryable() && tries > 0; --tries) done = store.reclaim(house);
    EXPECT_TRUE(done) << done.error().describe();
  }

  // What the outbox holds, archived: of every key and identity it must say what is there now. All of it is confirmed.
  void expect_history_ends_here(const Round& round, const std::string& story) {
    const auto archive = memory::open({}).value().archive();
    auto states = direct_->history({.limit = 100'000}).value().states;
    std::vector<ArchivedState> archived;
    std::map<std::uint32_t, Position> places;
    for (auto& state : states) {
      places[state.part] = state.position;
      archived.push_back({.state = std::move(state), .keep = {}});
    }
    ASSERT_EQ(archive->write_history({.source = {.uuid = "s", .epoch = 1}, .states = archived}).value(), archived.size());
    const auto text = [](const std::optional<Record>& record) {
      return record ? record->id + " v" + std::to_string(record->version) + " " + record->payload.str() : std::string("none");
    };
    std::ostringstream past, present;
    for (const auto& key : round.messages.keys()) {
      const std::string_view view = key;
      past << key << ": " << text(archive->get_history({.ns = round.ns, .key = key, .id = {}, .at = kAfterwards}).value().record) << "\n";
      present << key << ": " << text(direct_->get({.ns = round.ns, .keys = {&view, 1}, .now = kAfterwards}).value().at(0).record) << "\n";
    }
    for (const auto& id : round.messages.ids()) {
      past << id << ": " << text(archive->get_history({.ns = round.ns, .key = {}, .id = id, .at = kAfterwards}).value().record) << "\n";
      present << id << ": " << text(direct_->get_by_id({.ns = round.ns, .id = id, .now = kAfterwards}).value().record) << "\n";
    }
    ASSERT_EQ(past.str(), present.str()) << "round " << round.seed << "\n" << story;
    std::vector<OutboxPlace> done;
    for (const auto& [part, position] : places) done.push_back({.part = part, .position = position});
    ASSERT_TRUE(direct_->confirm_history(done));
  }

  // What is forgotten of a name is forgotten at once: later, where a key and an identity share it.
  std::string state(KeyStoreBackend& store, const Round& round) const {
    auto text = state_of(store, round.messages, round.ns, kAfterwards);
    return floor_ != 0 && round.shared ? std::regex_replace(text, std::regex(": gone\n"), ": unknown\n") : text;
  }

  const std::string prefix_ = new_prefix();
  Stamp floor_ = 0;
  std::shared_ptr<KeyStoreBackend> direct_;
  std::unique_ptr<Stepper> stepper_;
  std::vector<std::shared_ptr<KeyStoreBackend>> stores_;
};
INSTANTIATE_TEST_SUITE_P(Parts, RedisInterleaved, ::testing::Values(1U, 16U));

TEST_P(RedisInterleaved, writers_in_any_order_come_to_what_their_messages_amount_to) { run_all(0, {377, 675, 925, 4988, 8621}); }

TEST_P(RedisInterleaved, histories_end_where_the_store_is) { run_all(0, {}, true); }

// Masters that lose what they hold, one after the other, or only some of them: when everything has been delivered once more, all is there.
TEST_P(RedisInterleaved, what_masters_lost_meanwhile_comes_back_with_its_delivery) {
  run_all(0, {224, 410, 517, 812}, false, Losses::kAll);
}
TEST_P(RedisInterleaved, what_masters_lost_of_late_comes_back_with_its_delivery) { run_all(0, {}, false, Losses::kLatest); }

// Tombstones, marks and claims that no message on its way can care about any more.
TEST_P(RedisInterleaved, what_is_forgotten_meanwhile_is_not_missed) { run_all(4, {}); }

}  // namespace
}  // namespace redis_test
