// FIFO groups that were left busy. Each step that takes the last message of a group away frees it; where one did not (an older version took
// two groups of one hash for one; a damaged row names no group), its messages would wait for ever, and the store's floor with them.
#include <set>
#include <string>
#include <unordered_set>

#include "sqlite/queue.hpp"

namespace setget::inline v0::sqlite {

namespace {

constexpr std::int64_t kWaitersLookedAt = 1024;
constexpr std::size_t kGroupsLookedAt = 64;

struct Busy {
  std::string name;
  Stamp head;  // that was made ready or delayed last
};

// Those who have waited longest come first: others move on, so one that never does is soon among them. Without the groups of the layout
// before heads were kept, which have one as soon as they move.
std::vector<Busy> groups_waited_for(Connection& db, std::int64_t queue) {
  std::set<std::string> names;
  {
    auto row = db.query("SELECT grp FROM waiting WHERE queue=?1 ORDER BY stamp LIMIT ?2");
    row.with(queue, kWaitersLookedAt);
    while (names.size() < kGroupsLookedAt && row.step()) names.insert(row.text(0));
  }
  std::vector<Busy> groups;
  for (const auto& name : names) {
    auto row = db.query("SELECT head FROM grp WHERE queue=?1 AND name=?2");
    if (row.with(queue, name).step() && !row.is_null(0)) groups.push_back({.name = name, .head = row.number(0)});
  }
  return groups;
}

bool is_ready_or_delayed(Connection& db, std::int64_t queue, Stamp head) {
  return db.find_integer("SELECT 1 FROM state WHERE kind=?1 AND queue=?2 AND n=?3", kReadyKind, queue, head).has_value() ||
         db.find_integer("SELECT 1 FROM delayed WHERE queue=?1 AND stamp=?2", queue, head).has_value();
}

// Who is leased: the members of groups themselves, and the heads that their groups are known by.
std::unordered_set<Stamp> leased_stamps(Connection& db, std::int64_t queue) {
  std::unordered_set<Stamp> stamps;
  auto row = db.query("SELECT until, members FROM lease WHERE queue=?1");
  row.with(queue);
  while (row.step()) {
    for (const auto& member : decode_members(row.blob(1), row.integer(0))) {
      if (member.group == 0) continue;
      stamps.insert(member.stamp);
      if (member.exact_group) stamps.insert(member.group);
    }
  }
  return stamps;
}

std::set<std::string> groups_of(Connection& db, const std::unordered_set<Stamp>& stamps) {
  std::set<std::string> names;
  for (const auto stamp : stamps) {
    if (auto name = find_group(db, stamp)) names.insert(*std::move(name));
  }
  return names;
}

}  // namespace

std::size_t free_forsaken_groups(WriteTxn& txn, const QueueRow& queue, std::size_t most) {
  auto& db = txn.db();
  auto in_doubt = groups_waited_for(db, queue.id);
  std::erase_if(in_doubt, [&](const Busy& group) { return is_ready_or_delayed(db, queue.id, group.head); });
  if (in_doubt.empty()) return 0;
  const auto leased = leased_stamps(db, queue.id);
  std::erase_if(in_doubt, [&](const Busy& group) { return leased.contains(group.head); });
  if (in_doubt.empty()) return 0;
  // What an older version wrote does not say all of that: the names have the last word.
  const auto held = groups_of(db, leased);
  std::erase_if(in_doubt, [&](const Busy& group) { return held.contains(group.name); });
  if (in_doubt.size() > most) in_doubt.resize(most);
  for (const auto& group : in_doubt) group_is_free(txn, queue.id, group.name);
  return in_doubt.size();
}

}  // namespace setget::inline v0::sqlite
