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
  if (count == 1) return feed(std::move(get), std::move(values));
  see_missing(std::move(get), std::move(values), false);
}

void RedisStore::see_missing(std::shared_ptr<AsyncGet> get, std::vector<std::optional<Payload>> values, bool closely) {
  RedisCommands looks;
  for (const auto& look : get->store.looks_at_missing(get->steps.wanted(), values, closely)) looks.add(look);
  if (looks.empty()) return feed(std::move(get), std::move(values));
  const auto deadline = get->deadline;
  auto submitted = get->store.place_->client().submit(std::move(looks), deadline,
                                                      [get, closely, values = std::move(values)](std::vector<Result<Reply>> found) mutable {
                                                        bool there = false;
                                                        for (auto& reply : found) {
                                                          if (!reply) return get->done(std::move(reply).error());
                                                          there = there || reply->integer() != 0;
                                                        }
                                                        if (there && !closely) return see_missing(std::move(get), std::move(values), true);
                                                        feed(std::move(get), std::move(values));
                                                      });
  if (!submitted) get->done(std::move(submitted).error());
}

void RedisStore::feed(std::shared_ptr<AsyncGet> get, std::vector<std::optional<Payload>> values) {
  if (auto fed = get->steps.feed(std::move(values)); !fed) return get->done(std::move(fed).error());
  go_on(std::move(get));
}

void RedisStore::go_on(std::shared_ptr<AsyncGet> get) {
  if (get->steps.done()) return get->done(get->steps.take());
  auto& store = get->store;
  if (get->steps.wanted().empty()) return store.ask_dictionaries(std::move(get));
  store.ask(std::move(get));
}

// Bodies that this process cannot read yet: their dictionaries are asked for like entries.
void RedisStore::ask_dictionaries(std::shared_ptr<AsyncGet> get) {
  const Dictionaries dictionaries(*place_, *shards_);
  RedisCommands commands;
  std::vector<std::size_t> whose;
  const auto count = get->steps.dictionaries().size();
  for (std::size_t i = 0; i < count; ++i) {
    for (const auto& name : dictionaries.bytes_names(get->steps.dictionaries()[i])) {
      commands.add("GET", 2).key(name).idempotent();
      whose.push_back(i);
    }
  }
  const auto deadline = get->deadline;
  auto submitted = place_->client().submit(std::move(commands), deadline,
                                           [get, count, whose = std::move(whose)](std::vector<Result<Reply>> replies) mutable {
                                             auto values = found_dictionaries(replies, whose, count);
                                             if (!values) return get->done(std::move(values).error());
                                             if (auto fed = get->steps.feed_dictionaries(*values); !fed)
                                               return get->done(std::move(fed).error());
                                             go_on(std::move(get));
                                           });
  if (!submitted) get->done(std::move(submitted).error());
}

// One get of one key, as most are: the key's entry, and the record's where it is another one. Whatever is not plainly there goes the way of
// all others, from the beginning. Owned by the request that is under way: a pointer is what a callback holds without an allocation.
struct RedisStore::LoneGet {
  UnderWay under_way;
  RedisStore& store;
  std::string ns;
  std::string key;
  TimePoint now;
  Deadline deadline;
  GetDone done;
  std::optional<PendingClaim> claim{};  // which the record that was asked for must have reached
  Stamp mark = 0;
  bool asked_record = false;

  static void ask(std::unique_ptr<LoneGet> get, std::string_view bytes) {
    auto& parts = *get->store.shards_;
    const auto shard = parts.of(get->ns, bytes);
    auto command = RedisCommand::of("GET", entry_name(parts.head(shard), get->ns, bytes)).at_slot(parts.slot(shard)).idempotent();
    auto* const under_way = get.release();
    auto submitted = under_way->store.place_->client().submit(std::move(command), under_way->deadline, [under_way](Result<Reply> reply) {
      answered(std::unique_ptr<LoneGet>(under_way), std::move(reply));
    });
    if (submitted) return;
    get.reset(under_way);
    get->done(std::move(submitted).error());
  }

  static void answered(std::unique_ptr<LoneGet> get, Result<Reply> reply) {
    if (!reply) return get->done(std::move(reply).error());
    if (reply->is_nil()) return get->asked_record ? in_full(std::move(get)) : get->done(std::vector<Lookup>(1));
    auto entry = decode_entry(reply->take_payload(), get->asked_record ? std::string_view(get->claim->id) : std::string_view(get->key));
    if (!entry) return get->done(std::move(entry).error());
    if (!get->asked_record) {
      if (!entry->key) return in_full(std::move(get));
      auto& part = *entry->key;
      get->mark = part.slot.mark;
      if (part.pending.empty() && part.slot.leads) {
        get->claim = PendingClaim{.stamp = 0, .id = std::move(part.slot.claim_id)};
      } else if (part.pending.size() == 1 && part.slot.claim_stamp == 0) {
        get->claim = std::move(part.pending.front());
      } else {
        return in_full(std::move(get));
      }
      if (get->claim->id != get->key) {
        get->asked_record = true;
        const auto id = get->claim->id;
        return ask(std::move(get), id);
      }
    }
    found(std::move(get), *entry);
  }

  static void found(std::unique_ptr<LoneGet> get, const Entry& entry) {
    const auto& identity = entry.identity;
    const auto& claim = *get->claim;
    const bool there = identity && identity->slot.state == IdentitySlot::State::kLive && identity->reach >= claim.stamp &&
                       (!claim.conditional || identity->slot.stamp == claim.stamp) && get->mark <= identity->slot.stamp &&
                       !(identity->slot.expires_at && *identity->slot.expires_at <= get->now) && !identity->lost_keys.contains(get->key);
    if (!there) return in_full(std::move(get));
    auto encoded = get->store.coder_->try_load(*identity);
    if (!encoded) return get->done(std::move(encoded).error());
    if (!*encoded) return in_full(std::move(get));
    auto record = record_from(**encoded, *identity);
    if (!record) return get->done(std::move(record).error());
    if (!record->keys.contains(get->key)) return in_full(std::move(get));
    std::vector<Lookup> lookups(1);
    lookups.front().status = Lookup::Status::kFound;
    lookups.front().record = *std::move(record);
    get->done(std::move(lookups));
  }

  static void in_full(std::unique_ptr<LoneGet> get) {
    const std::string_view key = get->key;
    auto& store = get->store;
    store.get_in_steps({.ns = get->ns, .keys = {&key, 1}, .now = get->now, .deadline = get->deadline}, std::move(get->done));
  }
};

void RedisStore::get_async(const GetRecords& request, GetDone done) {
  if (!ready_) {
    find_in_background();
    return done(connection_error(ErrorCode::kUnavailable, Trouble::kDown, "the store on Redis has not been found yet; try again"));
  }
  if (cache_ != nullptr) return get_cached(request, std::move(done));
  get_from_servers(request, std::move(done));
}

std::shared_ptr<void> RedisStore::keep_open() { return std::make_shared<UnderWay>(under_way_); }

void RedisStore::get_from_servers(const GetRecords& request, GetDone done) {
  if (request.keys.size() != 1) return get_in_steps(request, std::move(done));
  auto get = std::make_unique<LoneGet>(LoneGet{.under_way = UnderWay(under_way_),
                                               .store = *this,
                                               .ns = std::string(request.ns),
                                               .key = std::string(request.keys.front()),
                                               .now = request.now,
                                               .deadline = request.deadline,
                                               .done = std::move(done)});
  LoneGet::ask(std::move(get), request.keys.front());
}

void RedisStore::get_in_steps(const GetRecords& request, GetDone done) {
  auto get = std::make_shared<AsyncGet>(
      AsyncGet{.under_way = UnderWay(under_way_),
               .store = *this,
               .steps = LookupSteps(*coder_, request.ns, request.keys, request.now, shards_->count() > 1, request.deadline),
               .deadline = request.deadline,
               .done = std::move(done)});
  go_on(std::move(get));
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
