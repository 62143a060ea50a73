// Whole files. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include <setget/error.hpp>

namespace cli {

// "-" is stdin. Errors say what is wrong without the path, for the caller to put before it: kNotFound; kInvalidArgument for a folder;
// kTooLarge; kUnavailable.
setget::Result<std::string> read_whole(const std::string& path, std::uint64_t most_bytes = std::numeric_limits<std::uint64_t>::max());

}  // namespace cli
