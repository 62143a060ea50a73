// What a flow's schema says against a command. Thread rule: pure.
#pragma once

#include <cstddef>
#include <vector>

#include <setget/payload_schema.hpp>
#include <setget/record.hpp>

namespace setget::inline v0::detail {

// At most `most` reasons; none where there is no schema (nullptr), and for everything but sets.
std::vector<Reason> schema_violations(const PayloadSchema* schema, const Command& command, std::size_t most);

}  // namespace setget::inline v0::detail
