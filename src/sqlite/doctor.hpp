// The health report of an open file: what is damaged, unsafe or about to go wrong, each with its fix.
#pragma once

#include <vector>

#include <setget/sqlite.hpp>

namespace setget::inline v0::sqlite {

class Engine;

// Reads the whole file.
Result<std::vector<Finding>> examine(Engine& engine);

}  // namespace setget::inline v0::sqlite
