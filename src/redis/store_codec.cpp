// The codec's dictionaries: trained once enough of a family was stored, trained anew where what they were made from must go, and dropped
// when nothing uses them any more; see docs/adr/0015-redis-codec.md.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "redis/errors.hpp"
#include "redis/scan.hpp"
#include "redis/store_bodies.hpp"
#include "redis/store_commit.hpp"
#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr std::size_t kTogether = 32;  // records that are encoded anew in one step
constexpr std::size_t kMostTries = 50;
constexpr std::size_t kLostAfter = 5;                 // tries until a dictionary that is not there counts as lost
constexpr std::size_t kMostSampleBytes = 128u << 10;  // of one record: its first so many

using State = IdentitySlot::State;
bool live(const std::optional<Entry>& entry) { return entry && entry->identity && entry->identity->slot.state == State::kLive; }
// A sample less.
bool is_unreadable(const Error& error) { return is_damage(error) || is_without_dictionary(error); }

}  // namespace

// One that is found anywhere is there, whatever became of its other place.
Result<std::vector<std::optional<Payload>>> RedisStore::found_dictionaries(std::span<Result<Reply>> replies,
                                                                           std::span<const std::size_t> whose, std::size_t count) {
  std::vector<std::optional<Payload>> out(count);
  std::vector<std::optional<Error>> failed(count);
  for (std::size_t i = 0; i < replies.size(); ++i) {
    auto& reply = replies[i];
    if (!reply) {
      failed[whose[i]] = std::move(reply).error();
    } else if (!reply->is_nil()) {
      out[whose[i]] = reply->take_payload();
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (!out[i] && failed[i]) return *std::move(failed[i]);
  }
  return out;
}

Result<std::vector<std::optional<Payload>>> RedisStore::load_dictionaries(std::span<const std::uint32_t> numbers, Deadline deadline) {
  const Dictionaries dictionaries(*place_, *shards_);
  std::vector<RedisCommand> commands;
  std::vector<std::size_t> whose;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    for (const auto& name : dictionaries.bytes_names(numbers[i])) {
      commands.push_back(RedisCommand("GET").key(name).idempotent());
      whose.push_back(i);
    }
  }
  auto replies = place_->client().pipeline(commands, deadline);
  return found_dictionaries(replies, whose, numbers.size());
}

// A part of reclaim(): one family's training, and one page of dictionaries that may be of no more use.
Result<void> RedisStore::tend_dictionaries(Deadline deadline) {
  const std::unique_lock lock(tending_mutex_, std::try_to_lock);
  if (!lock) return {};
  Dictionaries dictionaries(*place_, *shards_);
  if (auto sampled = coder_->take_sampled()) {
    std::vector<Payload> samples;
    std::size_t bytes = 0;
    for (std::size_t at = 0; at < sampled->names.size() && bytes < coder_->options().sample_bytes; at += kTogether) {
      const auto names = std::span(sampled->names).subspan(at, std::min(kTogether, sampled->names.size() - at));
      auto entries = decoded_entries(names, deadline);
      if (!entries) return std::move(entries).error();
      for (const auto& entry : *entries) {
        if (!entry || !live(*entry)) continue;
        auto body = coder_->load(*(*entry)->identity, deadline);
        if (!body && is_unreadable(body.error())) continue;
        if (!body) return std::move(body).error();
        samples.push_back(body->slice(0, std::min(body->size(), kMostSampleBytes)));
        bytes += samples.back().size();
      }
    }
    const auto& options = coder_->options();
    if (auto trained = train_dictionary(samples, options.dictionary_bytes, static_cast<int>(options.level))) {
      auto made = dictionaries.replace(sampled->family, 0, *trained, deadline);
      if (!made) return std::move(made).error();
      if (*made) {
        place_->logger().log(LogLevel::kInfo, "a dictionary was trained",
                             {{"family", sampled->family}, {"number", std::to_string(**made)}, {"bytes", std::to_string(trained->size())}});
      }
      for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) forget_meta(shard);
    }
  }
  auto swept = dictionaries.sweep(swept_, deadline);
  if (!swept) return std::move(swept).error();
  return {};
}

Result<void> RedisStore::walk_entries(std::string_view ns, Deadline deadline, const NamesWork& work) {
  const NameScan entries{.pattern = fmt::format("{}:{{k*}}:e:{}/*", place_->prefix(), ns), .type = "string"};
  return scan_names(place_->client(), entries, deadline, [&](std::span<const Reply> page) -> Result<bool> {
    std::map<std::uint32_t, std::vector<std::string>> by_part;
    for (const auto& element : page) {
      const auto at = element.text().find("}:e:");
      if (at == std::string_view::npos) continue;
      const auto name = element.text().substr(at + 4);
      const auto [its_ns, bytes] = split_qualified(name);
      if (its_ns != ns) continue;  // another one's name can look like this one's pattern
      by_part[shards_->of(its_ns, bytes)].emplace_back(name);
    }
    for (auto& [shard, names] : by_part) {
      for (std::size_t at = 0; at < names.size(); at += kTogether) {
        const auto end = std::min(names.size(), at + kTogether);
        auto go_on = work(shard, {names.begin() + static_cast<std::ptrdiff_t>(at), names.begin() + static_cast<std::ptrdiff_t>(end)});
        if (!go_on || !*go_on) return go_on;
      }
    }
    return true;
  });
}

// Encodes those of them anew whose bodies are `which`; their records do not change.
Result<std::uint64_t> RedisStore::recode(std::uint32_t shard, std::span<const std::string> names,
                                         const std::function<bool(const IdentityPart&)>& which, Deadline deadline) {
  for (std::size_t tries = 0; tries < kMostTries; ++tries) {
    if (deadline.passed()) break;
    auto known = meta(shard, deadline);
    if (!known) return std::move(known).error();
    auto stored = load_in_pieces(names, deadline);
    if (!stored) return std::move(stored).error();
    CommitCall call(*shards_, shard);
    call.expect_meta(known->text);
    Counts counts;
    std::uint64_t recoded = 0;
    bool again = false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!(*stored)[i]) continue;
      auto entry = decode_entry(*(*stored)[i], split_qualified(names[i]).bytes);
      if (!entry && is_damage(entry.error())) continue;
      if (!entry) return std::move(entry).error();
      if (!live(*entry) || !which(*entry->identity)) continue;
      auto& identity = *entry->identity;
      auto body = coder_->load(identity, deadline);
      if (!body && is_without_dictionary(body.error())) {
        // Replaced since the entry was read; or lost, and then nobody can encode it anew.
        if (tries >= kLostAfter) continue;
        again = true;
        break;
      }
      if (!body && is_damage(body.error())) continue;
      if (!body) return std::move(body).error();
      auto command = decode_command(*body);
      if (!command && is_damage(command.error())) continue;
      if (!command) return std::move(command).error();
      const auto before = dictionary_of(*entry);
      ApplyEntry as_set;
      as_set.command = *std::move(command);
      as_set.encoded = *body;
      coder_->store(as_set, identity);
      const auto now = dictionary_of(*entry);
      if (before != 0) --counts.uses[before];
      if (now != 0) ++counts.uses[now];
      call.expect_entry(names[i], (*stored)[i]);
      call.write_entry(names[i], *entry, next_mark(entry->key, *entry, place_->random().next()));
      ++recoded;
    }
    if (again) continue;
    if (recoded == 0) return recoded;
    call.add_counts(counts);
    auto done = run_script(place_->client(), call.call(), deadline);
    if (!done && !maybe_executed(done.error())) return std::move(done).error();
    if (done && done->integer() == 0) return recoded;
    if (done && call.is_meta(done->integer())) forget_meta(shard);
  }
  return connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNone, "others kept changing the same records until the time was over");
}

Result<Retrained> RedisStore::retrain(std::string_view ns, std::string_view account, std::string_view flow, Deadline deadline) {
  auto parts = shards(deadline);
  if (!parts) return std::move(parts).error();
  if (!zstd_available()) return Error(ErrorCode::kUnsupported, "this build has no zstd");
  if (auto known = meta(0, deadline); !known) return std::move(known).error();
  const auto& options = coder_->options();
  const auto family = family_of(ns, account, flow);
  Dictionaries dictionaries(*place_, *shards_);
  Retrained out;
  // From what is there now, and nothing else.
  std::vector<Payload> samples;
  std::size_t bytes = 0;
  if (options.enabled && options.dictionary_bytes != 0) {
    auto sampled = walk_entries(ns, deadline, [&](std::uint32_t, const std::vector<std::string>& names) -> Result<bool> {
      auto entries = decoded_entries(names, deadline);
      if (!entries) return std::move(entries).error();
      for (const auto& entry : *entries) {
        if (!entry || !live(*entry)) continue;
        auto body = coder_->load(*(*entry)->identity, deadline);
        if (!body && is_unreadable(body.error())) continue;
        if (!body) return std::move(body).error();
        auto command = decode_command(*body);
        if (!command && is_damage(command.error())) continue;
        if (!command) return std::move(command).error();
        if (command->account != account || command->flow != flow) continue;
        samples.push_back(body->slice(0, std::min(body->size(), kMostSampleBytes)));
        bytes += samples.back().size();
        if (samples.size() >= options.sample_records || bytes >= options.sample_bytes) return false;
      }
      return true;
    });
    if (!sampled) return std::move(sampled).error();
  }
  const auto trained = train_dictionary(samples, options.dictionary_bytes, static_cast<int>(options.level));
  for (std::size_t tries = 0;; ++tries) {
    auto current = dictionaries.current({&family, 1}, deadline);
    if (!current) return std::move(current).error();
    if (current->front() == 0 && !trained) break;
    auto made =
        dictionaries.replace(family, current->front(), trained ? std::optional<std::string_view>(*trained) : std::nullopt, deadline);
    if (!made) return std::move(made).error();
    if (*made) break;
    if (tries == kMostTries) return Error(ErrorCode::kUnavailable, "others replaced the same dictionary all the time; try again");
  }
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) forget_meta(shard);
  if (auto known = meta(0, deadline); !known) return std::move(known).error();
  coder_->prepare_family(family, deadline);
  out.samples = trained ? samples.size() : 0;
  out.dictionary_bytes = trained ? trained->size() : 0;

  // Nobody writes with the old ones any more.
  auto old = dictionaries.old_ones(family, deadline);
  if (!old) return std::move(old).error();
  const std::set<std::uint32_t> gone(old->begin(), old->end());
  const auto uses_old = [&](const IdentityPart& identity) {
    return identity.codec == BodyCodec::kZstd && gone.contains(identity.dictionary);
  };
  const auto walk = [&]() -> Result<std::uint64_t> {
    std::uint64_t recoded = 0;
    auto walked = walk_entries(ns, deadline, [&](std::uint32_t shard, const std::vector<std::string>& names) -> Result<bool> {
      auto some = recode(shard, names, uses_old, deadline);
      if (!some) return std::move(some).error();
      recoded += *some;
      return true;
    });
    if (!walked) return std::move(walked).error();
    return recoded;
  };
  if (!gone.empty()) {
    auto recoded = walk();
    if (!recoded) return std::move(recoded).error();
    out.recoded = *recoded;
  }
  for (const auto number : gone) {
    auto dropped = dictionaries.drop(number, true, false, deadline);
    if (!dropped) return std::move(dropped).error();
    if (!*dropped) {
      // Counted too high: a set whose reply never came may do that. Two walks that find nobody are proof on one server; in a cluster, whose
      // slots may have been on their way, they are not.
      auto left = walk();
      if (!left) return std::move(left).error();
      out.recoded += *left;
      dropped = dictionaries.drop(number, true, *left == 0 && !place_->clustered(), deadline);
      if (!dropped) return std::move(dropped).error();
    }
    ++(*dropped ? out.removed : out.still_used);
  }
  return out;
}

}  // namespace setget::inline v0::redis
