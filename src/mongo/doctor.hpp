// What Database::doctor looks at.
#pragma once

#include <vector>

#include "mongo/place.hpp"

#include <setget/doctor.hpp>

namespace setget::inline v0::mongo {

Result<std::vector<Finding>> examine(Place& place, Deadline deadline);

}  // namespace setget::inline v0::mongo
