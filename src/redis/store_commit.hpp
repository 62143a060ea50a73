// CommitCall: one atomic step in one part, as a script: if everything that was read is still as it was, everything is written. Thread rule:
// one thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis/script.hpp"
#include "redis/shards.hpp"
#include "redis/store_entry.hpp"
#include "redis/store_outbox.hpp"
#include "redis/store_overlay.hpp"

namespace setget::inline v0::redis {

class CommitCall {
 public:
  CommitCall(const Shards& shards, std::uint32_t shard) : shards_(&shards), shard_(shard) {}

  // The part's meta must be this text.
  void expect_meta(std::string_view text) { check(shards_->name(shard_, "m"), Check::kWhole, std::string(text)); }
  // The entry must be what was read.
  void expect_entry(std::string_view qualified_name, const std::optional<Payload>& stored);
  void write_entry(std::string_view qualified_name, const Entry& entry, WriteMark mark);
  void add_effect(const SideEffect& effect);
  void add_counts(const Counts& counts);
  // What the outbox may hold; a step that would add to a full one is not taken. Without it: whatever is added.
  void limit_outbox(const OutboxLimit& limit) { outbox_limit_ = limit; }
  // Positions in the outbox are never below this, so that a server that forgot some does not give them again.
  void outbox_from(Stamp now) { outbox_from_ = now; }
  // Also on a server whose memory is full (noeviction): for what gives memory back.
  void even_when_full() { even_when_full_ = true; }
  // Leaves a mark by which its author can tell later whether the step was taken.
  void leave_marker(std::string_view marker);
  void op(std::string_view command, std::string key, std::vector<std::string> arguments);

  bool empty() const noexcept { return ops_.empty() && lines_.empty() && buckets_.empty() && garbage_.empty() && outbox_.empty(); }
  std::uint32_t shard() const noexcept { return shard_; }
  // Answers 0 where the step was taken; kOutboxFull; else the number of the first check that failed, from 1.
  static constexpr std::int64_t kOutboxFull = -1;
  Script::Call call() const;
  // Which check has this number.
  bool is_meta(std::int64_t number) const noexcept { return number == 1 && meta_first_; }

 private:
  enum class Check : char { kAbsent = 'n', kWhole = 'w', kPrefix = 'p', kOutbox = 'o' };
  struct Expected {
    std::size_t key;
    Check check;
    std::string bytes;
  };
  struct Op {
    std::string_view command;
    std::size_t key;
    std::vector<std::string> arguments;
  };
  void check(std::string key, Check kind, std::string bytes);
  std::size_t number_of(std::string key);

  const Shards* shards_;
  std::uint32_t shard_;
  bool meta_first_ = false;
  bool even_when_full_ = false;
  std::vector<std::string> keys_;
  std::map<std::string, std::size_t> numbers_;
  std::vector<Expected> expected_;
  std::vector<Op> ops_;
  std::vector<std::string> lines_;                                                     // of the log
  std::map<std::string, std::pair<std::uint64_t, std::vector<std::string>>> buckets_;  // score, members
  std::map<std::string, std::uint64_t> garbage_;                                       // member, score
  std::vector<std::string> outbox_;                                                    // states
  OutboxLimit outbox_limit_;
  Stamp outbox_from_ = 0;
};

}  // namespace setget::inline v0::redis
