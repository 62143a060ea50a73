// Idempotency keys within a SQLite file.
#pragma once

#include <memory>

#include <setget/idempotency.hpp>

namespace setget::inline v0::sqlite {

class Engine;
struct Room;

extern const Room kIdempotencyRoom;
std::shared_ptr<IdempotencyStore> make_idempotency(std::shared_ptr<Engine> engine);

}  // namespace setget::inline v0::sqlite
