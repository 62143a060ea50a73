// Turns of calls that ask Redis: who does not get his within his deadline has sent nothing.
#pragma once

#include "core/turns.hpp"
#include "redis/errors.hpp"

namespace setget::inline v0::redis {

inline Result<setget::detail::Turns::Turn> take_turn(setget::detail::Turns& turns, Deadline deadline) {
  auto turn = turns.take(deadline);
  if (!turn) return connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNotSent, "another call was still waiting for Redis");
  return *std::move(turn);
}

}  // namespace setget::inline v0::redis
