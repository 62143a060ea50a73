// What Flows::validate() checks, for whoever knows how the bounds of every record were written.
// Thread rule: pure.
#pragma once

#include <string_view>

#include <setget/ttl.hpp>

namespace setget::inline v0::detail {

// [ttl] says "min" or "min_ttl"; an error names what the file has.
struct BoundNames {
  std::string_view min = "min_ttl";
  std::string_view max = "max_ttl";
};

Result<void> check_flows(const Flows& flows, const BoundNames& names);

}  // namespace setget::inline v0::detail
