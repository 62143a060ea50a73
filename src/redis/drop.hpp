// drop_store: everything that a store ever put under its prefix goes. Thread rule: a function.
#pragma once

#include <cstdint>

#include "redis/place.hpp"

namespace setget::inline v0::redis {

// See Database::drop.
Result<std::uint64_t> drop_store(Place& place, Deadline deadline);

}  // namespace setget::inline v0::redis
