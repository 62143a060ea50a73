#include <algorithm>
#include <utility>

#include <setget/dead_letters.hpp>
#include <setget/model.hpp>

namespace setget::inline v0 {

namespace {

constexpr std::size_t kPage = 100;

// Whether the model could still decide it. What is no command dies again, and is a letter as before; erases and touches carry nothing.
Result<bool> may_go(const DeadLetter& letter, KeyStoreBackend& store, Stamp floor, Deadline deadline) {
  if (letter.stamp >= floor) return true;
  const auto command = decode_command(letter.body);
  if (!command || command->kind != CommandKind::kSet) return true;
  // At the beginning of time nothing has expired: a record that is over is known as well.
  auto found = store.get_by_id({.ns = command->ns, .id = command->id, .now = TimePoint{}, .deadline = deadline});
  if (!found && found.error().code() == ErrorCode::kCorrupted) return true;  // known, though not what
  if (!found) return std::move(found).error();
  return found->status != Lookup::Status::kUnknown;
}

}  // namespace

Result<Redriven> redrive(QueueBackend& queue, KeyStoreBackend& store, const RedriveDeadLetters& request) {
  Redriven done;
  auto floor = Stamp{0};
  if (!request.restamp) {
    const auto stats = store.stats(request.deadline);
    if (!stats) return stats.error();
    floor = stats->floor;
  }
  if (floor == 0 || request.limit == 0) {
    const auto moved = queue.redrive(request);
    if (!moved) return moved.error();
    done.moved = *moved;
    return done;
  }
  const auto or_what_was_moved = [&](Error error) { return done.moved > 0 ? Result<Redriven>(done) : Result<Redriven>(std::move(error)); };
  ListDeadLetters list{.queue = request.queue, .filter = request.filter, .cursor = {}, .limit = kPage, .deadline = request.deadline};
  do {
    list.limit = std::min(kPage, request.limit - done.moved);
    auto page = queue.dead_letters(list);
    if (!page) return or_what_was_moved(std::move(page).error());
    RedriveDeadLetters some{.queue = request.queue, .filter = {}, .limit = page->letters.size(), .deadline = request.deadline};
    for (const auto& letter : page->letters) {
      const auto may = may_go(letter, store, floor, request.deadline);
      if (!may) return or_what_was_moved(may.error());
      if (*may) {
        some.filter.message_ids.push_back(letter.message_id);
      } else {
        ++done.left;
      }
    }
    if (!some.filter.message_ids.empty()) {
      const auto moved = queue.redrive(some);
      if (!moved) return or_what_was_moved(moved.error());
      done.moved += *moved;
    }
    list.cursor = std::move(page->next);
  } while (!list.cursor.empty() && done.moved < request.limit);
  return done;
}

}  // namespace setget::inline v0
