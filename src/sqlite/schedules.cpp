#include "sqlite/schedules.hpp"

#include <array>
#include <string>
#include <utility>

#include "core/varint.hpp"
#include "sqlite/engine.hpp"

namespace setget::inline v0::sqlite {

namespace {

constexpr std::array kMigrations{
    "CREATE TABLE schedule(job BLOB PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;",
};

constexpr std::uint8_t kFormat = 1;

enum Flag : std::uint8_t { kHasDue = 1, kHasStarted = 2, kHasFinished = 4, kOk = 8, kKnownFlags = 15 };

void put_time(std::string& out, TimePoint time) { detail::put_varint(out, static_cast<std::uint64_t>(time.time_since_epoch().count())); }

// Equal states give equal bytes: the exchange compares these.
std::string encode(const ScheduleState& state) {
  std::string out(1, static_cast<char>(kFormat));
  const auto flags = (state.last_due ? kHasDue : 0) | (state.last_started ? kHasStarted : 0) | (state.last_finished ? kHasFinished : 0) |
                     (state.last_ok ? kOk : 0);
  out.push_back(static_cast<char>(flags));
  for (const auto& time : {state.last_due, state.last_started, state.last_finished}) {
    if (time) put_time(out, *time);
  }
  detail::put_bytes(out, state.last_error);
  detail::put_bytes(out, state.holder);
  put_time(out, state.lease_until);
  return out;
}

Error damaged(const detail::ByteReader& reader) {
  return Error(ErrorCode::kCorrupted, "the stored state of a scheduled job is damaged").at_position(reader.position());
}

Result<ScheduleState> decode(std::string_view bytes) {
  detail::ByteReader reader(bytes);
  const auto format = reader.byte();
  if (format && *format > kFormat) {
    return Error(ErrorCode::kUnsupported, "the state of a scheduled job was written by a newer version").at_position(0);
  }
  const auto flags = format == kFormat ? reader.byte() : std::nullopt;
  if (!flags || (*flags & ~kKnownFlags) != 0) return damaged(reader);
  ScheduleState state;
  const auto read_time = [&](TimePoint& into) {
    const auto ms = reader.varint();
    if (ms) into = TimePoint(Milliseconds(static_cast<std::int64_t>(*ms)));
    return ms.has_value();
  };
  const auto read_optional = [&](Flag flag, std::optional<TimePoint>& into) { return (*flags & flag) == 0 || read_time(into.emplace()); };
  if (!read_optional(kHasDue, state.last_due) || !read_optional(kHasStarted, state.last_started) ||
      !read_optional(kHasFinished, state.last_finished)) {
    return damaged(reader);
  }
  state.last_ok = (*flags & kOk) != 0;
  const auto error = reader.sized_bytes();
  const auto holder = error ? reader.sized_bytes() : std::nullopt;
  if (!holder || !read_time(state.lease_until) || reader.left() != 0) return damaged(reader);
  state.last_error = std::string(*error);
  state.holder = std::string(*holder);
  return state;
}

class SqliteSchedules final : public ScheduleStore {
 public:
  explicit SqliteSchedules(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  Result<std::optional<ScheduleState>> load(std::string_view job) override {
    return engine_->read_one([&](Connection& db) -> Result<std::optional<ScheduleState>> {
      auto row = db.query("SELECT state FROM schedule WHERE job = ?");
      row.with(job);
      if (!row.step()) return std::optional<ScheduleState>();
      auto state = decode(row.blob(0));
      if (!state) return std::move(state).error();
      return std::optional(*std::move(state));
    });
  }

  Result<bool> exchange(std::string_view job, const std::optional<ScheduleState>& expected, const ScheduleState& next) override {
    const auto before = expected ? encode(*expected) : std::string();
    const auto after = encode(next);
    return engine_->write([&](WriteTxn& txn) -> Result<bool> {
      {
        auto row = txn.db().query("SELECT state FROM schedule WHERE job = ?");
        row.with(job);
        const bool there = row.step();
        if (there != expected.has_value() || (there && row.blob(0) != before)) return false;
      }
      txn.db().run("INSERT OR REPLACE INTO schedule(job, state) VALUES(?, ?)", job, after);
      return true;
    });
  }

 private:
  std::shared_ptr<Engine> engine_;
};

}  // namespace

constinit const Room kScheduleRoom{"schedules", kMigrations};

std::shared_ptr<ScheduleStore> make_schedules(std::shared_ptr<Engine> engine) {
  return std::make_shared<SqliteSchedules>(std::move(engine));
}

}  // namespace setget::inline v0::sqlite
