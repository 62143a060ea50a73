// The completion form of gets: the steps of LookupSteps, fed by replies on whatever thread reads them.
#include <utility>

#include "redis/errors.hpp"
#include "redis/store.hpp"
#include "redis/store_lookup.hpp"
#include "redis/store_names.hpp"

namespace setget::inline v0::redis {

// How many gets are under way; the store waits for them before it goes. Shared, because the last of them still tells it so when the store
// may be gone already.
class RedisStore::UnderWay {
 public:
  explicit UnderWay(std::shared_ptr<std::atomic<std::size_t>> count) : count_(std::move(count)) { count_->fetch_add(1); }
  UnderWay(UnderWay&&) noexcept = default;
  UnderWay& operator=(UnderWay&&) = delete;
  ~UnderWay() {
    if (count_ != nullptr && count_->fetch_sub(1) == 1) count_->notify_all();
  }

 private:
  std::shared_ptr<std::atomic<std::size_t>> count_;
};

struct RedisStore::AsyncGet {
  UnderWay under_way;
  RedisStore& store;
  LookupSteps steps;
  Deadline deadline;
  GetDone done;
  // Where the names asked for stand in the answers: one command for each part, or one for all.
  std::vector<std::vector<std::size_t>> order{};
};

void RedisStore::ask(std::shared_ptr<AsyncGet> get) {
  const auto& names = get->steps.wanted();
  RedisCommands commands;
  get->order.clear();
  if (shards_->count() == 1 || names.size() == 1) {
    const auto [first_ns, first] = split_qualified(names.front());
    const auto shard = shards_->of(first_ns, first);
    commands.reserve(1, 48 + 64 * names.size());
    commands.add(names.size() == 1 ? "GET" : "MGET", 1 + names.size());
    for (const auto& name : names) commands.arg({shards_->head(shard), "e:", name});
    commands.at_slot(shards_->slot(shard)).idempotent();
  } else {
    std::map<std::uint32_t, std::vector<std::size_t>> by_part;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto [ns, bytes] = split_qualified(names[i]);
      by_part[shards_->of(ns, bytes)].push_back(i);
    }
    for (auto& [shard, numbers] : by_part) {
      commands.add("MGET", 1 + numbers.size());
      for (const auto i : numbers) commands.arg({shards_->head(shard), "e:", names[i]});
      commands.at_slot(shards_->slot(shard)).idempotent();
      get->order.push_back(std::move(numbers));
    }
  }
  const auto deadline = get->deadline;
  auto submitted = place_->client().submit(
      std::move(commands), deadline, [get](std::vector<Result<Reply>> replies) mutable { answered(std::move(get), std::move(replies)); });
  if (!submitted) get->done(std::move(submitted).error());
}

void RedisStore::answered(std::shared_ptr<AsyncGet> get, std::vector<Result<Reply>> replies) {
  const auto count = get->steps.wanted().size();
  std::vector<std::optional<Payload>> values(count);
  for (std::size_t c = 0; c < replies.size(); ++c) {
    auto& reply = replies[c];
    if (!reply) return get->done(std::move(reply).error());
    if (!reply->is_list()) {
      if (!reply->is_nil()) values[0] = reply->take_payload();
      continue;
    }
    auto elements = reply->elements();
    if (elements.size() != (get->order.empty() ? count : get->order[c].size())) {
      return get->done(Error(ErrorCode::kCorrupted, "MGET answered with another number of values"));
    }
    for (std::size_t i = 0; i < elements.size(); ++i) {
      if (!elements[i].is_nil()) values[get->order.empty() ? i : get->order[c][i]] = elements[i].take_payload();
    }
  }
  if (auto fed = get->steps.feed(std::move(values)); !fed) return get->done(std::move(fed).error());
  if (get->steps.wanted().empty()) return get->done(get->steps.take());
  auto& store = get->store;
  store.ask(std::move(get));
}

void RedisStore::get_async(const GetRecords& request, GetDone done) {
  if (!ready_) {
    find_in_background();
    return done(connection_error(ErrorCode::kUnavailable, Trouble::kDown, "the store on Redis has not been found yet; try again"));
  }
  auto get = std::make_shared<AsyncGet>(
      AsyncGet{.under_way = UnderWay(under_way_),
               .store = *this,
               .steps = LookupSteps(*coder_, request.ns, request.keys, request.now, shards_->count() > 1, request.deadline),
               .deadline = request.deadline,
               .done = std::move(done)});
  if (get->steps.wanted().empty()) return get->done(get->steps.take());
  ask(std::move(get));
}

// For hosts that only read in this form: nothing else would find a store that was away when it was opened.
void RedisStore::find_in_background() {
  const std::scoped_lock lock(finder_mutex_);
  if (finding_.exchange(true)) return;
  if (finder_.joinable()) finder_.join();
  finder_ = std::thread([this] {
    (void)shards(Deadline::in(place_->client().settings().connect_timeout * 2));
    finding_ = false;
  });
}

RedisStore::~RedisStore() {
  while (const auto left = under_way_->load()) under_way_->wait(left);
  const std::scoped_lock lock(finder_mutex_);
  if (finder_.joinable()) finder_.join();
}

}  // namespace setget::inline v0::redis
