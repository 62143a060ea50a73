// Writers and a reader whose commands come in every order that dice can think of, one at a time. Nothing happens by the clock, so a round
// comes about the same way again: SETGET_INTERLEAVED_SEED=n runs one and tells its commands. Whatever the order, no reader finds a record
// that is not whole, and in the end the store holds what the messages amount to.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <sstream>
#include <thread>

#include "redis/messages.hpp"
#include "redis/opened_store.hpp"
#include "redis/races.hpp"
#include "redis/stepper.hpp"

namespace redis_test {
namespace {

constexpr std::size_t kMostWriters = 4;
constexpr std::size_t kReader = kMostWriters;

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
  std::size_t last_ = kReader + 1;
};

std::string text_of(const ApplyEntry& entry) {
  const auto& c = entry.command;
  static const char* const kKinds[] = {"?", "set", "erase", "erase by key", "touch"};
  std::ostringstream out;
  out << kKinds[static_cast<std::size_t>(c.kind)] << " " << c.id << " v" << c.version.value_or(entry.stamp) << " s" << entry.stamp << " [";
  for (const auto key : c.keys) out << key << " ";
  out << "]";
  return out.str();
}

// What is done in one round; all of it follows from the seed.
struct Round {
  using Batch = std::vector<std::uint64_t>;
  explicit Round(std::uint64_t number)
      : seed(number),
        ns("n" + std::to_string(number)),
        dice(number),
        messages(number, {.identities = 2 + static_cast<int>(dice.next() % 3),
                          .shared_keys = 1 + static_cast<int>(dice.next() % 3),
                          .erases = dice.next() % 2 == 0,
                          .touches = dice.next() % 4 == 0,
                          .inline_keys = dice.next() % 3 != 0}) {
    std::vector<std::uint64_t> numbers(5 + dice.next() % 9);
    std::iota(numbers.begin(), numbers.end(), 1);
    last = numbers.back();
    for (std::size_t i = numbers.size(); i > 1; --i) std::swap(numbers[i - 1], numbers[dice.next() % i]);
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(dice.next() % (numbers.size() - 3));
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
  }
  std::vector<ApplyEntry> entries(const Batch& batch) const {
    std::vector<ApplyEntry> out;
    for (const auto number : batch) out.push_back(messages.at(number, ns));
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
  const std::string ns;
  kit::SeededRandom dice;
  const Messages messages;
  std::uint64_t last = 0;
  Batch before;                           // are there already
  std::vector<std::vector<Batch>> whose;  // of each writer
  std::optional<std::size_t> dies;
  std::uint64_t life = 0;  // in commands
};

class RedisInterleaved : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    direct_ = open_store(races_server().uri(), prefix_, GetParam());
    stepper_ = std::make_unique<Stepper>(races_server().port(), kReader + 1);
    // They know what they need to know of every part.
    std::vector<ApplyEntry> everywhere;
    for (int n = 0; n < 400; ++n) everywhere.push_back(set_at("w" + std::to_string(n), {"w" + std::to_string(n)}, 1));
    std::vector<std::jthread> opening;
    std::atomic<std::size_t> open = 0;
    stores_.resize(kReader + 1);
    for (std::size_t i = 0; i < stores_.size(); ++i) {
      opening.emplace_back([&, i] {
        stores_[i] = open_store(stepper_->uri(i), prefix_, GetParam());
        EXPECT_TRUE(stores_[i]->apply({.entries = everywhere, .now = kRacesNow}));
        ++open;
      });
    }
    stepper_->let_pass([&] { return open == stores_.size(); });
  }

  void run(Round round, bool tell) {
    const auto keys = round.messages.keys();
    std::ostringstream story;
    if (tell) story << round.plan();
    apply(*direct_, round.entries(round.before));

    std::vector<Round::Batch> left(round.whose.size());
    std::atomic<std::size_t> writing = round.whose.size();
    std::vector<std::function<void()>> clients(kReader + 1, [] {});
    for (std::size_t w = 0; w < round.whose.size(); ++w) {
      clients[w] = [&, w] {
        for (const auto& batch : round.whose[w]) {
          const auto applied = stores_[w]->apply({.entries = round.entries(batch), .now = Messages::now()});
          for (std::size_t i = 0; i < batch.size(); ++i) {
            if (!applied || !(*applied)[i]) left[w].push_back(batch[i]);
          }
        }
        --writing;
      };
    }
    std::string read_wrong;
    clients[kReader] = [&] {
      while (writing > 0 && read_wrong.empty()) {
        if (auto found = look(*stores_[kReader], round.messages, round.ns, keys, true)) read_wrong = found->wrong;
      }
    };
    Order order(round.dice);
    std::string wrong;
    stepper_->run(clients, [&](const std::vector<Stepper::Waiting>& waiting) {
      // Everybody stands still: this is one moment.
      if (wrong.empty() && round.dice.next() % 4 == 0) {
        wrong = look(*direct_, round.messages, round.ns, keys, true).value().wrong;
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
    // Another delivers what the dead one had.
    for (std::size_t w = 0; w < left.size(); ++w) {
      ASSERT_TRUE(left[w].empty() || w == round.dies) << "round " << round.seed;
      apply(*direct_, round.entries(left[w]));
    }
    Reference reference;
    for (std::uint64_t n = 1; n <= round.last; ++n) reference.apply(round.messages.at(n, round.ns));
    ASSERT_EQ(state_of(*direct_, round.messages, round.ns), state_of(reference.store(), round.messages, round.ns))
        << "round " << round.seed << "\n"
        << story.str();
    if (tell) std::puts(story.str().c_str());
  }

 private:
  static void apply(KeyStoreBackend& store, const std::vector<ApplyEntry>& entries) {
    for (const auto& result : store.apply({.entries = entries, .now = Messages::now()}).value()) ASSERT_TRUE(result);
  }

  const std::string prefix_ = new_prefix();
  std::shared_ptr<KeyStoreBackend> direct_;
  std::unique_ptr<Stepper> stepper_;
  std::vector<std::shared_ptr<KeyStoreBackend>> stores_;
};
INSTANTIATE_TEST_SUITE_P(Parts, RedisInterleaved, ::testing::Values(1U, 16U));

TEST_P(RedisInterleaved, writers_in_any_order_come_to_what_their_messages_amount_to) {
  if (const auto seed = number_from("SETGET_INTERLEAVED_SEED", 0)) return run(Round(seed), true);
  const auto from = number_from("SETGET_INTERLEAVED_FROM", 1);
  const auto rounds = number_from("SETGET_CRASH_ROUNDS", 400);
  for (std::uint64_t seed = from; seed < from + rounds && !HasFatalFailure(); ++seed) run(Round(seed), false);
}

}  // namespace
}  // namespace redis_test
