#include "redis/pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "redis/errors.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr auto kBusy = Connection::kBusy;

Error stopped() { return connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the Redis client is closing"); }

// The name of a command in its wire form: "*2\r\n$5\r\nWATCH\r\n…".
std::string_view name_of(const RedisCommand& command) noexcept {
  auto wire = command.wire();
  wire.remove_prefix(std::min(wire.find('\n') + 1, wire.size()));
  wire.remove_prefix(std::min(wire.find('\n') + 1, wire.size()));
  return wire.substr(0, wire.find('\r'));
}

}  // namespace

// --- exclusive use ----------------------------------------------------------------------------------------------------------------

Exclusive::~Exclusive() {
  if (connection_ != nullptr) pool_->give_back(std::move(connection_), !watching_ && !in_multi_ && !refused_);
}

void Exclusive::note(const RedisCommand& command) {
  const auto name = name_of(command);
  if (name == "WATCH") watching_ = true;
  if (name == "MULTI" && command.replies() == 1) in_multi_ = true;
  if (name == "EXEC" || name == "DISCARD" || (name == "MULTI" && command.replies() > 1)) watching_ = in_multi_ = false;
  if (name == "UNWATCH" && !in_multi_) watching_ = false;
}

Result<Replies> Exclusive::pipeline(std::span<const RedisCommand> commands, Deadline deadline) {
  std::string wire;
  std::size_t replies = 0;
  for (const auto& command : commands) {
    wire.append(command.wire());
    replies += command.replies();
    note(command);
  }
  auto answered = call(wire, replies, commands.size(), deadline);
  // Whatever the server still sends has nobody to go to.
  if (!answered) connection_->close("a request on an exclusive connection was not answered");
  return answered;
}

Result<Replies> Exclusive::pipeline(const RedisCommands& commands, bool watching, Deadline deadline) {
  watching_ = true;
  auto answered = call(commands.wire(), commands.replies(), commands.size(), deadline);
  if (!answered) connection_->close("a request on an exclusive connection was not answered");
  watching_ = watching;
  return answered;
}

Result<Replies> Exclusive::call(std::string_view wire, std::size_t replies, std::size_t commands, Deadline deadline) {
  auto& telemetry = *pool_->common_->telemetry;
  const auto since = telemetry.begin();
  auto answered = connection_->call(wire, replies, deadline);
  if (!answered) telemetry.missed(answered.error());
  if (answered && !answered->empty() && answered->back().is_error()) refused_ = true;
  telemetry.answered(since, commands);
  return answered;
}

Result<Reply> Exclusive::call(const RedisCommand& command, Deadline deadline) {
  auto replies = pipeline({&command, 1}, deadline);
  if (!replies) return std::move(replies).error();
  return outcome_of(*replies);
}

// --- the pool ---------------------------------------------------------------------------------------------------------------------

Pool::Pool(Endpoint endpoint, std::shared_ptr<const Common> common)
    : endpoint_(std::move(endpoint)), common_(std::move(common)), breaker_(common_->first_wait, common_->longest_wait) {}

Pool::~Pool() { stop(); }

Result<std::shared_ptr<Connection>> Pool::connection(Deadline deadline) {
  Lock lock(mutex_);
  for (;;) {
    if (stopped_) return stopped();
    auto found = best();
    if (found != nullptr && (found->load() < kBusy || opening_ || shared_.size() >= common_->settings.pool)) return found;
    if (opening_) {
      // Somebody is trying whether it is back: only that one waits.
      if (breaker_.open()) return down_error();
      if (deadline.passed())
        return connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNotSent,
                                "no connection to Redis at " + endpoint_.text() + " in time");
      changed_.wait_until(lock, deadline.time());
      continue;
    }
    opening_ = true;
    const auto& settings = common_->settings;
    auto made = open(lock, {.max_reply = settings.max_reply, .timeout = settings.timeout}, deadline);
    opening_ = false;
    changed_.notify_all();
    if (!made) {
      if (found != nullptr) return found;
      return std::move(made).error();
    }
    if (!stopped_) shared_.push_back(*made);
    return made;
  }
}

Result<std::shared_ptr<Connection>> Pool::own(const OnPush& on_push, Deadline deadline) {
  Lock lock(mutex_);
  if (stopped_) return stopped();
  const auto& settings = common_->settings;
  return open(lock, {.max_reply = settings.max_reply, .timeout = settings.timeout}, deadline, &on_push);
}

std::optional<Error> Pool::unreachable() {
  const Lock lock(mutex_);
  if (stopped_ || !breaker_.open() || best() != nullptr) return std::nullopt;
  return down_error();
}

bool Pool::due() const {
  const Lock lock(mutex_);
  return breaker_.open() && !breaker_.probing() && breaker_.next_try() <= Deadline::Steady::now();
}

std::shared_ptr<Connection> Pool::ready(bool& make_own) {
  const Lock lock(mutex_);
  if (stopped_) return nullptr;
  const auto& loop = EventLoop::current();
  if (loop == nullptr) return best();
  auto* own = of(loop);
  if (own != nullptr && own->connection != nullptr && own->connection->attended()) {
    // One that is busy with something large keeps others waiting.
    return own->connection->load() < kBusy ? own->connection : best();
  }
  auto found = best();  // puts a dead one aside
  own = of(loop);
  if (own == nullptr) own = &of_loops_.emplace_back(OfLoop{.loop = loop});
  if (!own->opening && !breaker_.open() && own->try_at <= Deadline::Steady::now()) make_own = own->opening = true;
  return found;
}

Pool::OfLoop* Pool::of(const std::shared_ptr<EventLoop>& loop) {
  const auto same = [&](const OfLoop& one) { return !one.loop.owner_before(loop) && !loop.owner_before(one.loop); };
  const auto found = std::ranges::find_if(of_loops_, same);
  return found == of_loops_.end() ? nullptr : &*found;
}

void Pool::open_for(const std::shared_ptr<EventLoop>& loop, Deadline deadline, bool cancelled) {
  constexpr auto kPause = std::chrono::seconds(1);
  Lock lock(mutex_);
  Result<std::shared_ptr<Connection>> made = stopped();
  const auto& settings = common_->settings;
  if (!cancelled && !stopped_) made = open(lock, {.max_reply = settings.max_reply, .timeout = settings.timeout}, deadline);
  if (made && !stopped_) (*made)->attend(loop);
  auto* own = of(loop);
  if (own == nullptr || stopped_) {
    if (made) (*made)->retire("the client is closing");
    return;
  }
  own->opening = false;
  if (made) {
    own->connection = *std::move(made);
  } else {
    own->try_at = Deadline::Steady::now() + kPause;
  }
}

// The first that is not busy, else the least busy. Closed ones are put aside on the way.
std::shared_ptr<Connection> Pool::best() {
  drop_dead();
  std::shared_ptr<Connection> least;
  for (const auto& one : shared_) {
    if (one->load() < kBusy) return one;
    if (least == nullptr || one->load() < least->load()) least = one;
  }
  return least;
}

// Puts it aside if it is dead.
bool Pool::gone(const std::shared_ptr<Connection>& connection) {
  if (connection->attended() || connection->usable()) return false;
  connection->retire("the connection was lost");
  retired_.push_back(connection);
  ++lost_;
  return true;
}

// Asking the kernel about connections that nobody uses, for each command of those who use others, would cost more than the commands.
void Pool::drop_idle_dead() {
  constexpr Milliseconds kBetween{50};
  const auto now = Deadline::Steady::now();
  if (now < next_look_) return;
  next_look_ = now + kBetween;
  std::erase_if(idle_, [this](const auto& one) { return gone(one); });
}

void Pool::drop_dead() {
  std::erase_if(shared_, [this](const auto& one) { return gone(one); });
  if (!idle_.empty()) drop_idle_dead();
  for (auto& one : of_loops_) {
    // What a loop leaves behind when it ends still works, but nobody would ask for it.
    if (one.connection != nullptr && one.loop.expired()) one.connection->close("its loop has ended");
    if (one.connection != nullptr && gone(one.connection)) one.connection.reset();
  }
  std::erase_if(of_loops_, [](const auto& one) { return one.loop.expired() && one.connection == nullptr && !one.opening; });
  std::erase_if(retired_, [](const auto& one) { return one->finished(); });
}

Error Pool::down_error() const {
  const auto& last = *last_failure_;
  // A server that answers is not down, and its own words help more: a wrong password, BUSY, too many clients.
  if (!last.retryable() || trouble_of(last) >= Trouble::kMoved) return last;
  const auto wait =
      std::chrono::ceil<Milliseconds>(std::max(breaker_.next_try() - Deadline::Steady::now(), Deadline::Steady::duration::zero()));
  return connection_error(ErrorCode::kUnavailable, Trouble::kDown,
                          fmt::format("Redis at {} cannot be reached; the next attempt is in {} ms", endpoint_.text(), wait.count()),
                          last.describe());
}

// Makes a connection, if the breaker lets it. The lock is open while it dials.
Result<std::shared_ptr<Connection>> Pool::open(Lock& lock, ConnectionLimits limits, Deadline deadline, const OnPush* own_push) {
  if (breaker_.ask(Deadline::Steady::now()) == Breaker::Advice::kWait) return down_error();
  const auto own = Deadline::in(common_->settings.connect_timeout);
  const bool hurried = deadline.time() < own.time();
  const bool known_down = breaker_.open();
  lock.unlock();
  auto made = dial(limits, hurried ? deadline : own, own_push);
  // A connection that was just lost may be lost again in its handshake (CLIENT KILL, a server that is starting): one failure is no proof.
  if (!made && !known_down && made.error().code() == ErrorCode::kUnavailable && trouble_of(made.error()) < Trouble::kMoved &&
      !own.passed() && !deadline.passed())
    made = dial(limits, hurried ? deadline : own, own_push);
  lock.lock();
  if (made) {
    const bool was_down = breaker_.open();
    breaker_.succeeded();
    if (was_down && !stopped_) common_->telemetry->unreachable(false);
    (*made)->hold(common_->telemetry->connected(lost_ > 0));
    if (lost_ > 0) --lost_;
    if (stopped_) {
      (*made)->retire("the client is closing");
      return stopped();
    }
    return made;
  }
  if (hurried && deadline.passed()) {
    breaker_.gave_up();  // says more about this caller's deadline than about the server
    return connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNotSent, "no connection to Redis at " + endpoint_.text() + " in time",
                            made.error().describe());
  }
  last_failure_ = made.error();
  if (!breaker_.open() && !stopped_) common_->telemetry->unreachable(true);
  breaker_.failed(Deadline::Steady::now(), common_->random->next());
  return down_error();
}

Result<std::shared_ptr<Connection>> Pool::dial(ConnectionLimits limits, Deadline deadline, const OnPush* own_push) {
  auto transport = Transport::connect(endpoint_, common_->tls, deadline);
  if (!transport) return std::move(transport).error();
  auto made = Connection::create(*std::move(transport), endpoint_.text(), limits);
  auto settings = common_->settings;
  if (own_push != nullptr) {
    settings.protocol = 3;
    made->on_push(*own_push);
  } else if (common_->on_push) {
    made->on_push(common_->on_push);
  }
  if (auto done = shake_hands(*made, settings, deadline); !done) {
    made->retire("the handshake failed");
    return std::move(done).error();
  }
  bool first = false;
  {
    const Lock lock(mutex_);
    first = !std::exchange(facts_known_, true);
  }
  if (first) {
    auto facts = ask_facts(*made, deadline);
    const Lock lock(mutex_);
    facts_ = std::move(facts);
  }
  return made;
}

Result<Exclusive> Pool::exclusive(Deadline deadline) {
  Lock lock(mutex_);
  const auto& settings = common_->settings;
  while (!stopped_ && lent_ >= settings.exclusive) {
    if (deadline.passed())
      return connection_error(
          ErrorCode::kResourceExhausted, Trouble::kNotSent,
          fmt::format("all {} exclusive connections to Redis at {} are in use (option exclusive)", settings.exclusive, endpoint_.text()));
    changed_.wait_until(lock, deadline.time());
  }
  if (stopped_) return stopped();
  next_look_ = {};  // one of them may be lent now
  drop_dead();
  std::shared_ptr<Connection> connection;
  ++lent_;
  if (!idle_.empty()) {
    connection = std::move(idle_.back());
    idle_.pop_back();
  } else {
    // Blocking commands may take as long as they like: each call has its own deadline.
    auto made = open(lock, {.max_reply = settings.max_reply, .timeout = Milliseconds::max()}, deadline);
    if (!made) {
      --lent_;
      changed_.notify_all();
      return std::move(made).error();
    }
    connection = *std::move(made);
  }
  return Exclusive(shared_from_this(), std::move(connection));
}

void Pool::give_back(std::shared_ptr<Connection> connection, bool clean) noexcept {
  const Lock lock(mutex_);
  --lent_;
  changed_.notify_all();
  if (clean && !stopped_ && connection->usable()) {
    idle_.push_back(std::move(connection));
  } else {
    connection->retire("its user left it in the middle of something");
  }
}

ServerFacts Pool::facts() const {
  const Lock lock(mutex_);
  return facts_;
}

bool Pool::down() const {
  const Lock lock(mutex_);
  return breaker_.open();
}

std::size_t Pool::connections() const {
  const Lock lock(mutex_);
  const auto has_one = [](const OfLoop& one) { return one.connection != nullptr; };
  return shared_.size() + idle_.size() + lent_ + static_cast<std::size_t>(std::ranges::count_if(of_loops_, has_one));
}

void Pool::stop() {
  std::vector<std::shared_ptr<Connection>> all;
  {
    const Lock lock(mutex_);
    if (!std::exchange(stopped_, true) && breaker_.open()) common_->telemetry->unreachable(false);
    for (auto* list : {&shared_, &idle_, &retired_}) {
      all.insert(all.end(), list->begin(), list->end());
      list->clear();
    }
    for (auto& one : of_loops_) {
      if (one.connection != nullptr) all.push_back(std::move(one.connection));
    }
    of_loops_.clear();
    changed_.notify_all();
  }
  for (const auto& one : all) one->retire("the client is closing");
  for (const auto& one : all) one->stop("the client is closing");
}

}  // namespace setget::inline v0::redis
