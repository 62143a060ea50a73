#include "redis/trial.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "redis/opened_store.hpp"
#include "support/redis_server.hpp"

namespace redis_test {
namespace {

constexpr Milliseconds kPatience{1000};  // of one call, while servers are away
constexpr const char* kCursor = "follower";

}  // namespace

Clients::Clients(std::string where, std::string under, std::uint32_t shards, std::shared_ptr<const Clock> clock)
    : uri(std::move(where)), prefix(std::move(under)), parts(shards) {
  const auto open = [&] { return open_store(uri, prefix, parts, clock); };
  for (int i = 0; i < 3; ++i) writers.push_back(open());
  watcher = open();
  keeper = open();
  follower = open();
}

Trial::Trial(Clients& clients, std::string ns, std::uint64_t seed) : clients_(clients), ns_(std::move(ns)), messages_(seed), seed_(seed) {
  EXPECT_TRUE(eventually([&] { return clients_.follower->open_cursor({.name = kCursor}).has_value(); }));
  for (std::size_t i = 0; i < clients_.writers.size(); ++i) writing_.emplace_back([this, i] { write(i); });
  reading_.emplace_back([this] { watch(); });
  reading_.emplace_back([this] { keep(); });
  reading_.emplace_back([this] { follow(); });
}

Trial::~Trial() { stop_load(); }

void Trial::stop_load() {
  over_ = true;
  writing_.clear();
  quiet_ = true;
  reading_.clear();
}

void Trial::wrong(std::string what) {
  const std::scoped_lock lock(mutex_);
  if (wrong_.empty()) wrong_ = std::move(what);
}

std::set<std::uint64_t> Trial::acknowledged() const {
  const std::scoped_lock lock(mutex_);
  return acknowledged_;
}

void Trial::confirm(const std::set<std::uint64_t>& numbers) {
  const std::scoped_lock lock(mutex_);
  for (const auto number : numbers) {
    if (number > doubtful_ && number > thrown_) confirmed_.insert(number);
  }
}

void Trial::losses_begin() {
  gaps_ = clients_.parts > 1;
  lossy_ = true;
}

void Trial::losses_end() {
  const std::scoped_lock lock(mutex_);
  doubtful_ = numbers_;
  lossy_ = false;
}

void Trial::thrown_away() {
  const std::scoped_lock lock(mutex_);
  thrown_ = numbers_;
  confirmed_.clear();
  lossy_ = false;
}

void Trial::go_on(std::uint64_t more, Milliseconds within) {
  const auto before = acknowledged().size();
  const bool went = eventually(
      [&] {
        const std::scoped_lock lock(mutex_);
        return acknowledged_.size() >= before + more || !wrong_.empty();
      },
      within);
  const std::scoped_lock lock(mutex_);
  EXPECT_TRUE(went) << ns_ << ": " << acknowledged_.size() - before << " acknowledged in " << within.count() << " ms";
}

// --- what is written --------------------------------------------------------------------------------------------------------------

std::vector<std::string> Trial::own_keys(std::uint64_t number) const {
  const auto id = "u" + std::to_string(number);
  std::vector<std::string> keys = {number % 3 == 0 ? id : id + ".0"};
  for (std::uint64_t i = 1; i <= number % 4; ++i) keys.push_back(id + "." + std::to_string(i));
  return keys;
}

ApplyEntry Trial::own(std::uint64_t number) const {
  return kit::set_entry({.id = "u" + std::to_string(number),
                         .keys = own_keys(number),
                         .stamp = Messages::base() + 1'000'000 + number,
                         .payload = "of " + std::to_string(number) + std::string(number % 50, 'x'),
                         .ns = ns_});
}

// Numbers as they come, several in a batch, some of them once more later; each until it is acknowledged.
void Trial::write(std::size_t writer) {
  auto& store = *clients_.writers[writer];
  kit::SeededRandom dice(seed_ * 10 + writer);
  while (!over_) {
    std::vector<std::uint64_t> numbers;
    for (auto more = 1 + dice.next() % 4; more > 0; --more) numbers.push_back(++numbers_);
    if (dice.next() % 3 == 0) numbers.push_back(1 + dice.next() % numbers.front());
    std::vector<std::pair<std::uint64_t, ApplyEntry>> left;
    for (const auto number : numbers) {
      left.emplace_back(0, messages_.at(number, ns_));
      left.emplace_back(number, own(number));
    }
    for (std::size_t i = left.size(); i > 1; --i) std::swap(left[i - 1], left[dice.next() % i]);
    std::set<std::uint64_t> open(numbers.begin(), numbers.end());
    std::string last;
    const auto until = Deadline::in(kRecovery);
    while (!left.empty() && !until.passed()) {
      std::vector<ApplyEntry> batch;
      for (const auto& one : left) batch.push_back(one.second);
      auto results = store.apply({.entries = batch, .now = Messages::now(), .deadline = Deadline::in(kPatience)});
      if (!results) {
        last = results.error().describe();
        if (!results.error().retryable()) wrong("a set was answered: " + last);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        continue;
      }
      std::vector<std::pair<std::uint64_t, ApplyEntry>> again;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const auto& result = (*results)[i];
        if (!result) {
          last = result.error().describe();
          if (!result.error().retryable()) wrong("a set was answered: " + last);
          again.push_back(std::move(left[i]));
        } else if (result->outcome == Outcome::kDeadLettered) {
          wrong("a message was refused: " + (result->reasons.empty() ? std::string() : result->reasons.front().code));
        } else if (left[i].first != 0) {
          const std::scoped_lock lock(mutex_);
          acknowledged_.insert(left[i].first);
        }
      }
      left = std::move(again);
    }
    // A load, not a race: what is written here must be delivered once more in the end.
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (!left.empty()) return wrong("not acknowledged in " + std::to_string(kRecovery.count()) + " ms: " + last);
  }
}

// --- what is seen meanwhile -------------------------------------------------------------------------------------------------------

void Trial::watch() {
  const auto keys = messages_.keys();
  const bool spread = clients_.parts > 1;
  while (!quiet_) {
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    auto found = clients_.watcher->get({.ns = ns_, .keys = views, .now = Messages::now(), .deadline = Deadline::in(kPatience)});
    if (!found) {
      if (!found.error().retryable()) wrong("a get was answered: " + found.error().describe());
      continue;
    }
    // Nothing is ever excused from being whole; only that it is missing under some keys may be.
    auto bad = gaps_ ? std::string() : inspect(messages_, ns_, keys, *found, spread);
    for (std::size_t i = 0; gaps_ && i < keys.size(); ++i) {
      if ((*found)[i].status != Lookup::Status::kFound) continue;
      const auto& record = *(*found)[i].record;
      if (auto mixed = messages_.check(record, ns_); !mixed.empty()) bad = "under " + keys[i] + ": " + mixed;
      if (!record.keys.contains(keys[i])) bad = record.id + " does not list " + keys[i];
    }
    // Losses that began while it was read are excused in this look.
    if (!bad.empty() && !(gaps_ && bad.find("but not under") != std::string::npos)) {
      wrong(bad + "\n" + describe(keys, *found));
    }
    ++looks_;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

bool Trial::excused(std::uint64_t number) const {
  const std::scoped_lock lock(mutex_);
  return number <= thrown_ || ((lossy_ || number <= doubtful_) && !confirmed_.contains(number));
}

bool Trial::gaps_allowed(std::uint64_t number) const { return gaps_ && excused(number); }

// One record of its own, under all of its keys at once.
std::string Trial::look_at(std::uint64_t number, bool& lost) {
  lost = false;
  bool due;
  {
    const std::scoped_lock lock(mutex_);
    due = acknowledged_.contains(number);
  }
  const auto keys = own_keys(number);
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  auto found = clients_.keeper->get({.ns = ns_, .keys = views, .now = Messages::now(), .deadline = Deadline::in(kPatience)});
  if (!found) return found.error().retryable() ? "" : "a get was answered: " + found.error().describe();
  ++kept_looks_;
  const auto entry = own(number);
  std::size_t here = 0;
  for (const auto& lookup : *found) {
    if (lookup.status != Lookup::Status::kFound) continue;
    ++here;
    const auto& record = *lookup.record;
    if (record.id != entry.command.id || record.stamp != entry.stamp || record.payload.view() != entry.command.payload.view() ||
        record.keys.size() != keys.size()) {
      return "u" + std::to_string(number) + " is not as it was set";
    }
  }
  if (here == keys.size()) return {};
  if (here != 0) {
    if (gaps_allowed(number)) {
      lost = true;
      return {};
    }
    return "u" + std::to_string(number) + " is found under " + std::to_string(here) + " of " + std::to_string(keys.size()) + " keys";
  }
  if (!due) return {};
  if (excused(number)) {
    lost = true;
    return {};
  }
  return "u" + std::to_string(number) + " was acknowledged and is lost";
}

void Trial::keep() {
  kit::SeededRandom dice(seed_ * 10 + 7);
  while (!quiet_) {
    const auto most = numbers_.load();
    if (most == 0) continue;
    // The latest are those that something may happen to.
    const auto number = dice.next() % 2 == 0 ? 1 + dice.next() % most : most - dice.next() % std::min<std::uint64_t>(most, 20);
    bool lost = false;
    if (auto bad = look_at(number, lost); !bad.empty()) wrong(std::move(bad));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// One piece of the change log; false at its end.
bool Trial::follow_once(bool commit) {
  auto& store = *clients_.follower;
  auto batch = store.changes({.cursor = kCursor, .after = position_, .limit = 100});
  if (!batch) {
    if (batch.error().retryable()) return true;
    if (batch.error().code() != ErrorCode::kFailedPrecondition || batch.error().field() != "identity") {
      wrong("the reader of the change log was answered: " + batch.error().describe());
      return false;
    }
    // Another content: what was known of the old one means nothing.
    if (store.open_cursor({.name = kCursor})) {
      told_ = true;
      last_told_.clear();
      position_ = 0;
    }
    return true;
  }
  for (const auto& change : batch->changes) {
    if (change.ns != ns_) continue;
    auto& told = last_told_[change.id];
    told = {.live = change.kind == ChangeKind::kRecord, .version = change.version, .revision = change.revision};
    if (change.record) told.stamp = change.record->stamp;
    ++changes_;
  }
  position_ = batch->next;
  if (commit) (void)store.commit_cursor(kCursor, position_);
  return !batch->at_end;
}

void Trial::follow() {
  kit::SeededRandom dice(seed_ * 10 + 8);
  while (!quiet_) {
    if (!follow_once(dice.next() % 4 == 0)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// --- what is there in the end -----------------------------------------------------------------------------------------------------

void Trial::check_kept() {
  for (const auto number : acknowledged()) {
    bool lost = false;
    const auto bad = look_at(number, lost);
    ASSERT_EQ(bad, "") << ns_;
    if (lost) ++lost_;
  }
}

void Trial::check_reference(const char* when) {
  Reference reference;
  for (std::uint64_t n = 1; n <= numbers_; ++n) reference.apply(messages_.at(n, ns_));
  EXPECT_EQ(state_when_back(*clients_.watcher, messages_, ns_), state_of(reference.store(), messages_, ns_)) << ns_ << " " << when;
}

void Trial::redeliver() {
  for (std::uint64_t from = 1; from <= numbers_; from += 50) {
    std::vector<ApplyEntry> batch;
    for (auto n = from; n < from + 50 && n <= numbers_; ++n) {
      batch.push_back(messages_.at(n, ns_));
      batch.push_back(own(n));
    }
    const auto again = [&] {
      return clients_.writers[0]->apply({.entries = batch, .now = Messages::now(), .deadline = Deadline::in(kRecovery)});
    };
    const auto retryable = [](const auto& answer) { return !answer && answer.error().retryable(); };
    auto results = again();
    // A connection that was broken while nobody used it is found out by its next call.
    for (const auto until = Deadline::in(kRecovery); !until.passed(); results = again()) {
      if (!retryable(results) && !(results && std::ranges::any_of(*results, retryable))) break;
    }
    ASSERT_TRUE(results) << results.error().describe();
    for (const auto& result : *results) {
      ASSERT_TRUE(result) << result.error().describe();
      ASSERT_NE(result->outcome, Outcome::kDeadLettered);
    }
  }
}

// What the log told last of each identity is what the store holds of it.
void Trial::check_change_log() {
  const auto until = Deadline::in(kRecovery);
  while (follow_once(false) && !until.passed()) {
  }
  auto ids = messages_.ids();
  for (std::uint64_t n = 1; n <= numbers_; ++n) ids.push_back("u" + std::to_string(n));
  for (const auto& id : ids) {
    const auto found = answer_of([&] { return clients_.watcher->get_by_id({.ns = ns_, .id = id, .now = Messages::now()}); }).value();
    const auto told = last_told_.find(id);
    if (found.status != Lookup::Status::kFound) {
      ASSERT_TRUE(told == last_told_.end() || !told->second.live) << id << " is gone, and the change log's last word is that it lives";
      continue;
    }
    ASSERT_TRUE(told != last_told_.end() && told->second.live) << ns_ << ": the change log does not tell " << id;
    ASSERT_EQ(told->second.version, found.record->version) << id;
    ASSERT_EQ(told->second.revision, found.record->revision) << id;
    ASSERT_EQ(told->second.stamp, found.record->stamp) << id;
  }
}

void Trial::finish() {
  stop_load();
  ASSERT_EQ(wrong_, "") << ns_;
  check_kept();
  if (::testing::Test::HasFatalFailure()) return;
  // Where nothing may be lost the messages that were acknowledged are enough.
  if (doubtful_ == 0 && thrown_ == 0) check_reference("before anything was delivered again");
  redeliver();
  if (::testing::Test::HasFatalFailure()) return;
  lossy_ = gaps_ = false;
  {
    const std::scoped_lock lock(mutex_);
    thrown_ = doubtful_ = 0;
    for (std::uint64_t n = 1; n <= numbers_; ++n) acknowledged_.insert(n);
  }
  const auto lost = lost_;
  check_kept();
  lost_ = lost;
  check_reference("when everything was delivered again");
  if (!::testing::Test::HasFailure()) check_change_log();
}

std::string Trial::report() const {
  return std::to_string(numbers_) + " numbers, " + std::to_string(looks_) + " + " + std::to_string(kept_looks_) + " looks, " +
         std::to_string(changes_) + " changes, " + std::to_string(lost_) + " lost of " + std::to_string(acknowledged_.size()) +
         " (confirmed " + std::to_string(confirmed_.size()) + ")";
}

}  // namespace redis_test
