// The scheduler's memory within a SQLite file.
#pragma once

#include <memory>

#include <setget/schedule_store.hpp>

namespace setget::inline v0::sqlite {

class Engine;
struct Room;

extern const Room kScheduleRoom;
std::shared_ptr<ScheduleStore> make_schedules(std::shared_ptr<Engine> engine);

}  // namespace setget::inline v0::sqlite
