#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include <setget/archive_health.hpp>

namespace setget::inline v0 {

namespace {

// When the first of these changes was accepted, as far as it tells; `since` where it does not, or says that it was before.
TimePoint accepted_at(const Change& change, TimePoint since, TimePoint now) {
  // Of tombstones only the version is left, which is the stamp unless callers number their records.
  const auto at = time_of(change.record ? change.record->stamp : change.version);
  return at > now ? since : std::max(at, since);
}

std::string shown(TimePoint at) { return fmt::format("{:%FT%TZ}", std::chrono::floor<std::chrono::seconds>(at)); }

std::string shown(Milliseconds age) {
  const auto minutes = std::chrono::floor<std::chrono::minutes>(age).count();
  return minutes < 120 ? fmt::format("{} min", minutes) : fmt::format("{} h", minutes / 60);
}

// The due time that passed more than `grace` ago without what happened at `last` having happened again; and whether another one did.
struct Late {
  std::optional<TimePoint> due;
  bool twice = false;
};

Late late(TimePoint last, const std::optional<Cron>& schedule, Milliseconds grace, TimePoint now) {
  if (!schedule) return {};
  const auto due = schedule->next(last);
  if (!due || *due + grace >= now) return {};
  const auto second = schedule->next(*due);
  return {.due = due, .twice = second && *second + grace < now};
}

constexpr const char* kLook = "setget archive run says what is wrong; setget schedule list, whether anybody runs it";

}  // namespace

Result<ArchiveHealth> archive_health(KeyStoreBackend& store, ArchiveBackend& archive, std::string_view cursor, TimePoint now,
                                     Deadline deadline) {
  ArchiveHealth health;
  auto loaded = archive.load_checkpoint_within(deadline);
  if (!loaded) return std::move(loaded).error();
  health.checkpoint = std::move(*loaded);
  // A page of them, and not the archive's statistics: some archives count every document for these.
  auto refused = archive.quarantined({.cursor = {}, .limit = kArchiveHealthQuarantined, .deadline = deadline});
  if (!refused && refused.error().code() != ErrorCode::kUnsupported) return std::move(refused).error();
  if (refused) health.quarantined = refused->entries.size();
  if (!health.checkpoint) return health;
  auto identity = store.identity(deadline);
  if (!identity) return std::move(identity).error();
  health.other_store = health.checkpoint->source != *identity;
  if (health.other_store) return health;
  auto cursors = store.cursors(deadline);
  if (!cursors) return std::move(cursors).error();
  const auto own = std::ranges::find(*cursors, cursor, &CursorInfo::name);
  health.cursor_lost = own == cursors->end() || own->dropped;
  if (health.cursor_lost) return health;
  health.lag = own->lag;
  if (own->lag == 0) return health;
  auto first = store.changes({.cursor = cursor, .after = own->position, .limit = 1, .max_bytes = 1, .deadline = deadline});
  if (!first) return std::move(first).error();
  const auto since = health.checkpoint->last_success_at;
  if (!first->changes.empty()) {
    const auto at = accepted_at(first->changes.front(), since, now);
    if (at != TimePoint{}) health.oldest_change = now - at;
  } else if (!first->at_end && since != TimePoint{}) {
    health.oldest_change = now - since;
  }
  return health;
}

std::vector<Finding> judge_archive(const ArchiveHealth& health, const std::optional<Cron>& schedule, Milliseconds grace, TimePoint now) {
  using Level = Finding::Level;
  std::vector<Finding> found;
  if (!health.checkpoint) {
    found.push_back({Level::kWarning, "nothing has ever been archived", "setget archive run"});
    return found;
  }
  const auto& checkpoint = *health.checkpoint;
  if (!checkpoint.last_error.empty()) {
    found.push_back({Level::kError, "the last archive run failed: " + checkpoint.last_error, "setget archive run"});
  }
  if (health.other_store) {
    found.push_back(
        {Level::kError, "the archive belongs to another store, or to this one before it was flushed or replaced: runs are refused",
         "name the right --store or --archive; or setget archive restore, where this one lost what it had, and then setget archive "
         "run --adopt"});
  }
  const bool never = checkpoint.last_success_at == TimePoint{};
  const auto run = late(never ? checkpoint.last_started_at : checkpoint.last_success_at, schedule, grace, now);
  if (run.due) {
    const auto last = never ? std::string("no archive run has ever succeeded")
                            : fmt::format("the last archive run that succeeded is from {}", shown(checkpoint.last_success_at));
    found.push_back({run.twice ? Level::kError : Level::kWarning, fmt::format("{}; one was due at {}", last, shown(*run.due)), kLook});
  }
  if (health.cursor_lost) {
    found.push_back({Level::kWarning,
                     "the change log does not go on where the last archive run ended: the next one copies everything again",
                     "setget archive run"});
  }
  if (health.oldest_change && late(now - *health.oldest_change, schedule, grace, now).due) {
    found.push_back({Level::kWarning,
                     fmt::format("{} changes wait to be archived, the oldest for {}: longer than the schedule lets them", health.lag,
                                 shown(*health.oldest_change)),
                     kLook});
  }
  if (health.quarantined > 0) {
    found.push_back({Level::kWarning, fmt::format("{} changes are in the archive's quarantine: it refuses them", health.quarantined),
                     "setget archive quarantine lists them with the reasons; every run tries them again"});
  }
  if (checkpoint.last_differences > 0) {
    found.push_back(
        {Level::kError,
         fmt::format("the verification of {} found {} differences", shown(checkpoint.last_verified_at), checkpoint.last_differences),
         "setget archive verify --deep lists them; --repair mends them"});
  }
  return found;
}

}  // namespace setget::inline v0
