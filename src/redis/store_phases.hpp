// Phases: a change of a store whose parts lie on several servers, so that no step spans them. The record is the commit point: claims are
// written ahead, beside what they will replace; then the record, with which they begin to count; then what others lose by it; then the
// claims in their final form. Each phase is a step of its own in each part and fails if somebody else was faster; then everything is read
// anew, and what was done already is found done. Whoever dies in between leaves a state that readers see as before or as after, and that
// the redelivery of its message, or the next writer who meets it, brings to its end. Thread rule: one thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "redis/store.hpp"
#include "redis/store_commit.hpp"

namespace setget::inline v0::redis {

class Phases {
 public:
  Phases(RedisStore& store, Deadline deadline) : store_(store), deadline_(deadline) {}

  Result<std::vector<Result<ApplyResult>>> apply(const ApplyCommands& request);
  Result<std::vector<Result<bool>>> set_expiry(std::span<const SetExpiry> entries);
  std::vector<Result<bool>> begin_history(std::span<const BeginHistory> entries);
  // The identity has expired: a tombstone takes its place. False if it is not live any more, or was given a longer life.
  std::vector<Result<bool>> evict(std::span<const std::string> names, TimePoint cutoff);
  // What an entry still remembers below the floor; `scores`: with which they were noted.
  std::vector<Result<bool>> forget(std::span<const std::string> names, std::span<const std::string> scores, Stamp floor);

 private:
  enum class Phase : std::uint8_t { kRead, kAhead, kRecord, kOthers, kKeys, kDone };
  struct Plan;
  using Plans = std::vector<std::unique_ptr<Plan>>;

  template <class Entry, class Work>
  std::vector<Result<bool>> one_by_one(std::span<const Entry> entries, Work work);
  void run(Plans& plans);
  void read(Plan& plan);
  bool advance(Plan& plan);
  void prepare_calls(Plan& plan);
  void take_reply(Plan& plan, std::size_t call, Result<Reply> reply);
  void forget_answers(const Plan& plan);
  void end(Plan& plan, std::optional<Error> failed);

  RedisStore& store_;
  const Deadline deadline_;
};

}  // namespace setget::inline v0::redis
