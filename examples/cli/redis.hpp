// Stores on Redis, for the commands that look behind the seams. Thread rule: one thread.
#pragma once

#include <string>

#include <setget/redis.hpp>

#include "session.hpp"

namespace cli {

bool is_redis(const std::string& uri);
setget::Result<setget::redis::Database> open_redis(const setget::Config& config, const std::string& uri);

}  // namespace cli
